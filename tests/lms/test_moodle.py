"""Moodle: its grading worksheet comes back with grades, its names tell participants."""

import csv
import io
from pathlib import Path

import pytest

from gradkit.lms import feedback_name
from gradkit.lms.platform import ItemPoints
from gradkit.lms.tables import RosterError
from tests.lms.scores import exported, final, rows_of, write

WRONG = ItemPoints("Naive loss", 0.0, 8, "A row's number without keepdims.")


def import_worksheet(text: str, participants: set[int]) -> dict[int, tuple[float, str]]:
    """Import a worksheet as Moodle does: the grade and feedback of participants."""
    header, *rows = rows_of(text)
    at = {name: header.index(name) for name in ("Identifier", "Grade", "Last modified (grade)")}
    imported = {}
    for row in rows:
        assert len(row) == len(header)
        number = int(row[at["Identifier"]][len("Participant ") :])
        grade = float(row[at["Grade"]])
        if number in participants and 0 <= grade <= 30:
            imported[number] = grade, row[header.index("Feedback comments")]
    return imported


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_export_identifies_participants_by_the_numbers_in_names() -> None:
    late = "Late by 1 h: 3 points less."
    zoe = "Zoë O'Neil, MA_22"
    text, notes = exported(
        "moodle",
        final("Jane Doe_12345", "Jane Doe_12345_assignsubmission_file_", 22, WRONG),
        final(zoe, f"{zoe}_assignsubmission_file_softmax.zip", 26.75, late=late),
    )
    jane_feedback = "Naive loss: 0 of 8. A row's number without keepdims."
    assert import_worksheet(text, {12345, 22}) == {12345: (22, jane_feedback), 22: (26.75, late)}
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
    imported = import_worksheet(text, {12345, 22, 23})
    assert imported == {12345: (30, ""), 22: (23.5, zoe_feedback)}
    before, after = table_of(WORKSHEET)[1], table_of(text)[1]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"Grade", "Feedback comments"}
    assert notes == [f"mallory is left out: not found in {roster}."]


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


def upload_feedback(name: str) -> tuple[int, str, str, str]:
    """Return the participant, kind and name that Moodle finds in the name of a feedback file."""
    for part in name.split("/"):
        pieces = part.split("_", 4)
        if len(pieces) >= 4 and pieces[1].isdecimal():
            return int(pieces[1]), pieces[2], pieces[3], "_".join(pieces[4:])
    raise AssertionError(name)


@pytest.mark.parametrize(
    "submission",
    [
        "Jane Doe_12345_assignsubmission_file_",
        "Jane Doe_12345_assignsubmission_file",
        "Jane Doe_12345_assignsubmission_file_softmax_1.zip and 1 more",
        "Zoë O'Neil-Öztürk_12345_assignsubmission_file_a/b.zip",
    ],
)
def test_feedback_name_keeps_participant_and_kind(submission: str) -> None:
    name = feedback_name(submission, "u1.html")
    assert upload_feedback(name) == (12345, "assignsubmission", "file", "feedback.html")
