"""Brightspace: names tell student and time of each submission."""

from datetime import datetime
from pathlib import Path

import pytest

from gradkit.lms.brightspace import Brightspace
from tests.lms.downloads import counting, found_in


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
