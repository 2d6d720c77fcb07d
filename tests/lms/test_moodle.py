"""Moodle: its grading worksheet comes back with grades, its names tell participants."""

from datetime import datetime
from pathlib import Path

import pytest

from gradkit.lms.tables import RosterError
from gradkit.submissions.roster import read_roster
from tests.lms.scores import WRONG, exported, final, table_of, write


def import_worksheet(text: str) -> dict[int, tuple[float, str]]:
    """Import a worksheet as Moodle does: the grade and feedback of participants."""
    assert "Last modified (grade)" in text.splitlines()[0]
    return {
        int(row["Identifier"].removeprefix("Participant ")): (
            float(row["Grade"]),
            row["Feedback comments"],
        )
        for row in table_of(text)
    }


def test_export_identifies_participants_by_the_numbers_in_names() -> None:
    late = "Late by 1 h: 3 points less."
    zoe = "Zoë O'Neil, MA_22"
    text, notes = exported(
        "moodle",
        final("Jane Doe_12345", "Jane Doe_12345_assignsubmission_file_", 22, WRONG),
        final(zoe, f"{zoe}_assignsubmission_file_softmax.zip", 26.75, late=late),
    )
    jane_feedback = "Naive loss: 0 of 8. Row-wise result without keepdims=True."
    assert import_worksheet(text) == {12345: (22, jane_feedback), 22: (26.75, late)}
    assert [row["Full name"] for row in table_of(text)] == ["Jane Doe", "Zoë O'Neil, MA"]
    assert notes == []


WORKSHEET = """\
Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 12345","Jane Doe",jane@example.edu,"Submitted for grading",,30.00,Yes,\
"Sunday, 1 March 2026, 8:00 PM",-,
"Participant 22","Zoë, Roe",zoe@example.edu,"No submission",3.00,30.00,Yes,-,\
"Monday, 2 March 2026, 8:00 PM","old words"
"Participant 23","Jim Poe",jim@example.edu,"No submission",5.00,30.00,Yes,-,-,keep
"""


def test_export_fills_grades_and_feedback_of_the_worksheet(tmp_path: Path) -> None:
    roster = write(tmp_path, WORKSHEET)
    text, notes = exported(
        "moodle",
        final("u7", "Jane Doe_12345_assignsubmission_file_x.zip"),
        final("zoe@example.edu", "zoe.zip", 23.5, WRONG._replace(points=1.5, remark="x < y & z")),
        final("mallory", "mallory.zip"),
        roster=roster,
    )
    zoe_feedback = "Naive loss: 1.5 of 8. x &lt; y &amp; z"
    assert import_worksheet(text) == {12345: (30, ""), 22: (23.5, zoe_feedback)}
    before, after = table_of(WORKSHEET)[1], table_of(text)[1]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"Grade", "Feedback comments"}
    assert notes == [f"mallory is left out: not found in {roster}."]


def test_the_worksheet_is_a_roster_with_times(tmp_path: Path) -> None:
    twin = '"Participant 9","Jane Doe",jd@example.edu,"",,30.00,Yes,"Sonntag, 1. März 2026",-,\n'
    roster = read_roster(write(tmp_path, WORKSHEET + twin))
    assert roster.match("Jane Doe_12345") == (["Participant 12345"], [])
    assert roster.match("Jane Doe_9") == (["Participant 9"], [])
    assert roster.submitted == {"Participant 12345": datetime(2026, 3, 1, 20)}


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("30.00", "10.00", "In Moodle the assignment has 10 points, and here 30"),
        ("Feedback comments", "X", "has no column Feedback comments, so there are grades only"),
    ],
)
def test_export_notes_a_worksheet_that_does_not_fit(
    old: str, new: str, note: str, tmp_path: Path
) -> None:
    roster = write(tmp_path, WORKSHEET.replace(old, new))
    [found] = exported("moodle", final("jane@example.edu", "jane.zip"), roster=roster).notes
    assert note in found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Identifier", "Teilnehmer", "with Moodle in English"),
        ("Last modified (grade)", "X", "has no column Last modified"),
        ("Maximum Grade", "Scale", "by a scale"),
    ],
)
def test_export_refuses_an_unfit_worksheet(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(RosterError, match=problem):
        exported("moodle", roster=write(tmp_path, WORKSHEET.replace(old, new)))
