"""Canvas: its gradebook comes back with one column filled, its names tell users."""

import re
from pathlib import Path

import pytest

from gradkit.lms.tables import RosterError
from gradkit.submissions.roster import read_roster
from tests.lms.scores import exported, final, rows_of, write

# The headers that Canvas's GradebookImporter accepts, up to custom columns and assignments.
HEADER = re.compile(
    "(Student|LastName,FirstName),ID,"
    "(SIS Login ID,|SIS User ID,SIS Login ID,(Integration ID,)?(Root Account,)?)?Section"
)


def import_csv(text: str, people: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    """Import a CSV as Canvas does: the assignment, its points possible, the scores by user.

    `people` are the course's, by Canvas's number, with their sortable names.
    """
    header, possible, *rows = rows_of(text)
    assert HEADER.fullmatch(",".join(header[:-1]))
    assert possible[0] == "    Points Possible"
    scores = {}
    for row in rows:
        assert len(row) == len(header)
        id = row[header.index("ID")]
        name = ", ".join(row[: header.index("ID")])
        [person] = [each for each, who in people.items() if id == each or name == who]
        assert row[-1] != "", "an empty cell removes an older score"
        scores[person] = row[-1]
    return header[-1], possible[-1], scores


def test_export_identifies_students_by_the_numbers_in_names() -> None:
    text, notes = exported(
        "canvas",
        final("doejane_12345", "doejane_12345_678901_softmax.zip"),
        final("müllerzoë_22", "müllerzoë_LATE_22_678902_softmax-1.zip", 22),
        final("anon_a1B2c", "anon_a1B2c_678_softmax.zip"),
    )
    imported = import_csv(text, {"12345": "Doe, Jane", "22": "Müller, Zoë"})
    assert imported == ("Softmax", "30", {"12345": "30", "22": "22"})
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
    assert rows_of(text)[2] == ["Doe, Jane", "12345", "s1", "jdoe", "A, and B", "30"]
    assert rows_of(text)[3][0] == 'Müller, "Zo" Zoë'
    people = {"12345": "Doe, Jane", "22": "Müller, Zoë", "31": "", "32": ""}
    scores = {"12345": "30", "22": "30", "32": "22"}
    assert import_csv(text, people) == ("Softmax (678)", "30.00", scores)
    assert notes == [f"mallory is left out: not found in {roster}."]


def test_the_gradebook_is_a_roster_too(tmp_path: Path) -> None:
    roster = read_roster(write(tmp_path, GRADEBOOK))
    assert roster.students == (
        *("Doe, Jane", 'Müller, "Zo" Zoë', "Wang, Wei (31)", "Wang, Wei (32)", "Student, Test"),
    )
    for name, students in {
        "wangwei_32": ["Wang, Wei (32)"],
        "Jane Doe": ["Doe, Jane"],
        "jdoe 9 00": ["Doe, Jane"],
        "warm-up 9 00": [],
    }.items():
        assert roster.match(name) == (students, [])


def gradebook(header: str, *rows: str) -> str:
    return "".join(f"{line}\n" for line in (f"{header},Softmax (678)", *rows))


@pytest.mark.parametrize(
    "text",
    [
        gradebook("Student,ID,Section", "Points Possible,,,30", '"Doe, Jane",1,A,', "Roe,2,A,"),
        gradebook("Student,ID,Section", '"Doe, Jane",1,A,', "Roe,2,A,"),
        gradebook("Student,ID", "    Points Possible,,30", '"Doe, Jane",1,', "Roe,2,"),
        gradebook("Student,ID,Section", "    Mögliche Punkte,,,30", '"Doe, Jane",1,A,'),
        gradebook(
            "Student,Section,ID", ",,,Manual Posting", "Points Possible,,,30", "Doe Jane,A,1,"
        ),
        gradebook(
            "LastName,FirstName,ID,SIS Login ID,Section",
            "    Points Possible,,,,,30.00",
            "Doe,Jane,1,jdoe,A,",
            "Roe,,2,roe,A,",
        ),
        gradebook(
            "Student,LastName,FirstName,ID,Integration ID,Root Account,Section",
            "Points Possible,,,,,,,30",
            '"Doe, Jane",Doe,Jane,1,i1,example.edu,A,',
        ),
        "sep=;\nStudent;ID;Section;Softmax (678)\nPoints Possible;;;30,00\nDoe, Jane;1;A;\n",
    ],
)
def test_a_gradebook_with_any_columns_comes_back_as_canvas_takes_it(
    text: str, tmp_path: Path
) -> None:
    path = write(tmp_path, text)
    roster = read_roster(path)
    assert not any("Possible" in student for student in roster.students)
    assert roster.match("doejane_7_8_softmax")[0] == [roster.students[0]]
    assert roster.match("a_7_8_softmax") == ([], [])
    exported_text, notes = exported("canvas", final(roster.students[0], "jane.zip"), roster=path)
    title, possible, imported = import_csv(exported_text, {"1": ""})
    assert (title, float(possible), imported) == ("Softmax (678)", 30, {"1": "30"})
    assert notes == []


@pytest.mark.parametrize("status", ["EX", "ex", "N/A"])
def test_export_never_overwrites_an_excused_student(status: str, tmp_path: Path) -> None:
    roster = write(tmp_path, GRADEBOOK.replace(",20.00,", f",{status},"))
    scores = final("Doe, Jane", "a.zip"), final("zm@example.edu", "b.zip")
    text, [note] = exported("canvas", *scores, roster=roster)
    assert import_csv(text, {"12345": ""})[2] == {"12345": "30"}
    assert note.startswith(f"zm@example.edu is left out: {roster} has {status} in the column")


@pytest.mark.parametrize(
    "name",
    ["山田\u3000太郎", "Doe,\u00a0 Jane ", "نیک\u200cنام", "\u200fDoe", "Doe,\tJane", "x" * 99],
)
def test_names_go_back_unchanged(name: str, tmp_path: Path) -> None:
    roster = write(tmp_path, GRADEBOOK.replace("Doe, Jane", name))
    student = read_roster(roster).students[0]
    assert student.isprintable()
    text, notes = exported("canvas", final(student, "a.zip"), roster=roster)
    assert rows_of(text)[2][:2] == [name, "12345"]
    assert notes == []


@pytest.mark.parametrize("points", ['"1,000.00"', '"1.000,00"', "1 000", "1\u00a0000.00", "1'000"])
def test_points_possible_may_have_thousands_marks(points: str, tmp_path: Path) -> None:
    roster = write(tmp_path, GRADEBOOK.replace("30.00", points))
    text, [note] = exported("canvas", final("Doe, Jane", "jane.zip"), roster=roster)
    assert rows_of(text)[1][-1] == "1000.00"
    assert note.startswith("In Canvas the assignment has 1000 points, and here 30.")


def test_export_takes_ids_from_a_roster_of_the_course(tmp_path: Path) -> None:
    roster = write(tmp_path, "student;sis login id\nu1;jdoe\nu2;x\nu3;x\n")
    scores = final("u1", "u1.zip"), final("x", "x.zip")
    text, [note, left_out] = exported("canvas", *scores, roster=roster)
    assert import_csv(text, {"12345": "u1"}) == ("Softmax", "30", {"12345": "30"})
    assert rows_of(text)[2:] == [["u1", "", "jdoe", "", "30"]]
    assert "so Canvas will make a new one" in note
    assert left_out.startswith("x is left out: found more than once in")


def test_export_notes_other_points(tmp_path: Path) -> None:
    roster = write(tmp_path, GRADEBOOK.replace("30.00", "10,00"))
    assert exported("canvas", final("Doe, Jane", "jane.zip"), roster=roster).notes == [
        "In Canvas the assignment has 10 points, and here 30. The scores are exported unchanged."
    ]


@pytest.mark.parametrize(
    ("roster", "problem"),
    [
        (GRADEBOOK.replace("Warm-up", "Softmax"), "has 2 assignments"),
        (GRADEBOOK.replace("Warm-up (1)", "Softmax (678)"), "has 2 assignments"),
        (
            GRADEBOOK.replace("30.00", "(read only)"),
            "is read-only, so Canvas would import no score",
        ),
        ("student,name\nu1,Jane\n", "has none of the columns ID, SIS User ID"),
    ],
)
def test_export_refuses_an_unfit_gradebook(roster: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(RosterError, match=problem):
        exported("canvas", final("u1", "u1.zip"), roster=write(tmp_path, roster))
