"""Brightspace: names tell student and time of each submission."""

from datetime import datetime
from pathlib import Path

import pytest

from gradkit.lms.brightspace import Brightspace
from gradkit.lms.tables import RosterError
from gradkit.submissions.roster import read_roster
from tests.lms.downloads import counting, found_in
from tests.lms.scores import exported, final, rows_of, write


def test_a_folder_for_each_submission(tmp_path: Path) -> None:
    old, new = "123-91 - Ann - Lee - Mar 1, 2026 1159 PM", "123-92 - Ann - Lee - Mar 2, 2026 100 PM"
    other = "124-91 - Ann - Lee - Mar 1, 2026 1159 PM"
    files = [f"{folder}/softmax.py" for folder in (new, old, other)]
    found = found_in(tmp_path, "index.html", *files)
    assert set(found) == {("Ann - Lee_123", old), ("Ann - Lee_123", new), ("Ann - Lee_124", other)}
    ann = counting(found)["Ann - Lee_123"]
    assert (ann.name, ann.received) == (new, datetime(2026, 3, 2, 13))
    assert ann.time_source == "platform"


def test_files_of_a_submission_belong_together(tmp_path: Path) -> None:
    start = "123-91 - Jane Doe - Mar {}, 2026 1201 AM - {}"
    names = [start.format(day, file) for day in (10, 9) for file in ("softmax.py", "softmax.ipynb")]
    found = counting(found_in(tmp_path, *names))
    assert {path.name for path in found["Jane Doe_123"].paths} == {*names[:2]}
    assert found["Jane Doe_123"].received == datetime(2026, 3, 10, 0, 1)


@pytest.mark.parametrize(
    ("name", "rest"),
    {
        "1-2 - José - Sept 1, 2025 9:30 AM - a - Mar 1, 2026 1159 PM - b.py": (
            "a - Mar 1, 2026 1159 PM - b.py"
        ),
        "1-2 - Jane Doe - May 18, 2025 1224\u202fPM": "",
        "1-2 - Jane Doe - May 38, 2025 1224 PM": None,
        "1-2 - Jane Doe - May 18, 2025 1324 PM": None,
        "1 - Jane Doe - May 18, 2025 1224 PM": None,
        "1-2 - Jane Doe": None,
    }.items(),
)
def test_only_its_own_names_are_parsed(name: str, rest: str | None) -> None:
    parsed = Brightspace().parse_name(name)
    assert (parsed and parsed.original_filename) == rest


GRADES = """\
OrgDefinedId,Username,Last Name,First Name,Warm-up Points Grade <MaxPoints:5>,End-of-Line Indicator
#0012,#jdoe,Doe,Jane,5,#
#0013,#jroe,Roe,Jo Ann,,#
"""


def test_exported_grades_come_back_with_scores(tmp_path: Path) -> None:
    grades = write(tmp_path, GRADES)
    submission = "12-13 - Jane Doe - Mar 1, 2026 1159 PM"
    scores = final("jdoe", submission, 22.5), final("0013", "a.zip"), final("mallory", "m.zip")
    text, notes = exported("brightspace", *scores, roster=grades)
    assert rows_of(text) == [
        ["OrgDefinedId", "Username", "Softmax Points Grade", "End-of-Line Indicator"],
        ["#0012", "#jdoe", "22.5", "#"],
        ["#0013", "#jroe", "30", "#"],
    ]
    assert notes == [f"mallory is left out: not found in {grades}."]


def test_exported_grades_are_a_roster(tmp_path: Path) -> None:
    roster = read_roster(write(tmp_path, GRADES))
    assert roster.students == ("jdoe", "jroe")
    assert roster.match("Jo Ann Roe") == (["jroe"], [])
    assert roster.match("Warm up 5") == ([], [])


@pytest.mark.parametrize("roster", [None, "student\njdoe\n"])
def test_export_asks_for_the_exported_grades(roster: str | None, tmp_path: Path) -> None:
    with pytest.raises(RosterError, match="Give the grades as Brightspace exports them"):
        exported(
            "brightspace",
            final("jdoe", "a.zip"),
            roster=write(tmp_path, roster) if roster else None,
        )
