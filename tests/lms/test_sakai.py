"""Sakai: a folder for each student, beside a list; its own files are nobody's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.lms.downloads import counting, found_in
from tests.submissions.packing import FILE, content_of

OURS = ("comments.txt", "Doe, Jane(jdoe)_submissionText.html", "Feedback Attachment(s)/softmax.py")


@pytest.mark.parametrize("jane", ["Doe, Jane(jdoe)", "Doe, Jane (Jo)(jdoe)"])
def test_only_attachments_are_submissions(jane: str, tmp_path: Path) -> None:
    found = found_in(
        tmp_path,
        "grades.csv",
        *(f"{jane}/{name}" for name in OURS),
        **{
            f"{jane}/timestamp.txt": "2026-03-01T22:59:10.123Z",
            f"{jane}/Submission attachment(s)/softmax.py": "# mine",
            "Roe,(r2)/Submission attachment(s)/softmax.py": "",
        },
    )
    assert set(found) == {("jdoe", jane), ("r2", "Roe,(r2)")}
    jane_doe, roe = found["jdoe", jane], found["r2", "Roe,(r2)"]
    assert jane_doe.received == datetime(2026, 3, 1, 22, 59, 10, tzinfo=UTC)
    assert (jane_doe.time_source, roe.time_source) == ("platform", "files")
    content = content_of(*jane_doe.paths)
    assert content.files == {FILE: b"# mine"}
    assert not any("timestamp" in note for note in content.notes)


def test_files_without_folders(tmp_path: Path) -> None:
    files = ("a (1).zip", "softmax.py")
    names = [f"Doe, Jane(jdoe)_Submission attachment(s)_{file}" for file in files]
    text = "Doe, Jane(jdoe)__submissionText.html"
    [jane] = found_in(tmp_path, *names, text).values()
    assert (jane.student, {path.name for path in jane.paths}) == ("jdoe", {*names, text})


@pytest.mark.parametrize("name", ["Doe, Jane(1)", "Doe, Jane (2)", "Doe Jane(jdoe)", "Doe, Jane"])
def test_other_names_are_not_its_own(name: str, tmp_path: Path) -> None:
    [student] = counting(found_in(tmp_path, f"{name}/softmax.py"))
    assert student.startswith("Doe")
