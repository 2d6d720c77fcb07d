"""Canvas: its gradebook comes back with one column filled, its names tell users and files."""

import re
from pathlib import Path

import pytest

from gradkit.lms import feedback_name
from gradkit.lms.tables import RosterError
from gradkit.submissions.roster import read_roster
from tests.lms.scores import exported, final, rows_of, write


def import_csv(text: str, people: dict[str, str]) -> dict[str, tuple[str, dict[str, str]]]:
    """Import a CSV as Canvas does: by column the points possible, and the scores by user.

    `people` are the course's, by Canvas's number, with their sortable names.
    """
    header, *rows = rows_of(text)
    assert "Student" in header[0]
    assert "ID" in header[1]
    columns = 3
    if header[2] == "SIS Login ID":
        columns = 4
    elif (header[2], header[3]) == ("SIS User ID", "SIS Login ID"):
        columns = 5 + (header[4] == "Integration ID")
    assert header[columns - 1] == "Section"
    imported = {}
    for column, name in enumerate(header[columns:], start=columns):
        [points] = [row[column] for row in rows if "Points Possible" in row[0]]
        scores = {}
        for row in rows:
            if "Points Possible" not in row[0]:
                [person] = [id for id, who in people.items() if row[1] == id or row[0] == who]
                assert row[column] != "", "an empty cell removes an older score"
                scores[person] = row[column]
        imported[name] = (points, scores)
    return imported


def test_export_identifies_students_by_the_numbers_in_names() -> None:
    text, notes = exported(
        "canvas",
        final("doejane_12345", "doejane_12345_678901_softmax.zip"),
        final("müllerzoë_22", "müllerzoë_LATE_22_678902_softmax-1.zip", 22),
        final("anon_a1B2c", "anon_a1B2c_678_softmax.zip"),
    )
    imported = import_csv(text, {"12345": "Doe, Jane", "22": "Müller, Zoë"})
    assert imported == {"Softmax": ("30", {"12345": "30", "22": "22"})}
    assert [note.split()[0] for note in notes] == ["anon_a1B2c"]


GRADEBOOK = """\
\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Warm-up (1),Softmax (678),Current Score
,,,,,,Manual Posting,
    Points Possible,,,,,10.00,30.00,(read only)
"Doe, Jane",12345,s1,jdoe,"A, and B",9.00,,90.00
"Müller, ""Zo"" Zoë",22,s2,zm@example.edu,B,,20.00,
"Wang, Wei",31,s3,wei1,B,,,
"Wang, Wei",32,s4,wei2,B,,7.00,
"Student, Test",99,,f00,B,,,
"""


def test_export_fills_one_column_of_the_gradebook(tmp_path: Path) -> None:
    roster = write(tmp_path, GRADEBOOK)
    text, notes = exported(
        "canvas",
        final("wangwei_32", "wangwei_32_5_softmax.zip", 22),
        final("zm@example.edu", "Zoë.zip"),
        final("Doe, Jane", "jane.zip"),
        final("mallory", "mallory.zip"),
        roster=roster,
    )
    header, points, *rows = rows_of(text)
    assert (len(header), header[-1]) == (6, "Softmax (678)")
    assert points[0] == "    Points Possible"
    assert [row[1] for row in rows] == ["12345", "22", "32"]
    assert rows[0] == ["Doe, Jane", "12345", "s1", "jdoe", "A, and B", "30"]
    assert rows[1][0] == 'Müller, "Zo" Zoë'
    people = {"12345": "Doe, Jane", "22": "Müller, Zoë", "31": "", "32": ""}
    [(possible, scores)] = import_csv(text, people).values()
    assert float(possible) == 30
    assert scores == {"12345": "30", "22": "30", "32": "22"}
    assert notes == [f"mallory is left out: not found in {roster}."]


def test_the_gradebook_is_a_roster_too(tmp_path: Path) -> None:
    roster = read_roster(write(tmp_path, GRADEBOOK))
    assert roster.students == (
        *("Doe, Jane", 'Müller, "Zo" Zoë', "Wang, Wei (31)", "Wang, Wei (32)", "Student, Test"),
    )
    assert roster.match("wangwei_32") == (["Wang, Wei (32)"], [])
    assert roster.match("Jane Doe") == (["Doe, Jane"], [])
    assert roster.match("jdoe 9 00") == (["Doe, Jane"], [])
    assert roster.match("warm-up 9 00") == ([], [])


def test_export_takes_ids_from_a_roster_of_the_course(tmp_path: Path) -> None:
    roster = write(tmp_path, "student;sis login id\nu1;jdoe\nu2;x\n")
    text, notes = exported("canvas", final("u1", "u1.zip"), roster=roster)
    assert rows_of(text)[0][:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert rows_of(text)[2:] == [["u1", "", "", "jdoe", "", "30"]]
    assert len(notes) == 1


def test_export_notes_other_points_and_a_new_assignment(tmp_path: Path) -> None:
    jane = final("Doe, Jane", "jane.zip")
    roster = write(tmp_path, GRADEBOOK.replace("30.00", "10,00"))
    assert exported("canvas", jane, roster=roster).notes == [
        "In Canvas the assignment has 10 points, and here 30. The scores are exported unchanged."
    ]
    text, notes = exported(
        "canvas", jane, roster=write(tmp_path, GRADEBOOK.replace("Softmax", "Other"))
    )
    assert rows_of(text)[0][-1] == "Softmax"
    assert "so Canvas will make a new one" in notes[0]


@pytest.mark.parametrize(
    ("roster", "problem"),
    [
        (GRADEBOOK.replace("Warm-up", "Softmax"), "has 2 assignments"),
        ("student,name\nu1,Jane\n", "has none of the columns ID, SIS User ID"),
        (GRADEBOOK.replace("30.00", "(read only)"), "does not let anyone import"),
    ],
)
def test_export_refuses_an_unfit_gradebook(roster: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(RosterError, match=problem):
        exported("canvas", final("u1", "u1.zip"), roster=write(tmp_path, roster))


def upload_feedback(name: str) -> tuple[str, str]:
    """Return the user and the file that Canvas finds in the name of a file uploaded again."""
    parts = [part for part in Path(name).name.split("_") if part != "LATE"]
    assert not parts[-1].startswith("link")
    if parts[0] == "anon":
        return parts[1], parts[2]
    user, file = [part for part in parts if re.fullmatch(r"\d+", part)][:2]
    return user, file


@pytest.mark.parametrize(
    ("submission", "known"),
    [
        ("doejane_12345_678901_softmax.zip", ("12345", "678901")),
        ("doejane_LATE_12345_678901_softmax-1.zip", ("12345", "678901")),
        ("doejane_12345_678901_7_8_link.html and 2 more", ("12345", "678901")),
        ("anon_a1B2c_678901_softmax.zip", ("a1B2c", "678901")),
        ("müllerzoë_5_6_ü.py", ("5", "6")),
    ],
)
def test_feedback_name_keeps_user_and_file(submission: str, known: tuple[str, str]) -> None:
    name = feedback_name(submission, "u1.html")
    assert upload_feedback(name) == known
    assert name.endswith("_feedback.html")
