"""A list of students is read from any spreadsheet, or refused with the row to be mended."""

import re
from pathlib import Path

import pytest

from gradkit.lms import read_student_list
from gradkit.lms.tables import RosterError, read_number
from tests.lms.scores import write


@pytest.mark.parametrize(
    ("roster", "problem"),
    [
        ("", "has no column `student` in its first row"),
        ("id,name\n1,Jane\n", "has no column `student` in its first row, 'id,name'"),
        ("student\nu1\nu1\n", "row 3: student 'u1' is listed twice, first in row 2"),
        (
            "student\nZoe\u0308\nZo\u00eb\n",
            "row 3: student 'Zo\u00eb' is listed twice, first in row 2",
        ),
        ("student,name\n\n,Jane\n", "row 3: '' cannot be a student's id"),
        ('student,name\nu1,"Jane\nu2,Zoe\n', "is not CSV: unexpected end of data"),
        ("student\n\u200b\n", "row 2: '' cannot be a student's id"),
    ],
)
def test_read_student_list_refuses_unusable_rosters(
    roster: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(RosterError, match=re.escape(problem)):
        read_student_list(write(tmp_path, roster))


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffStudent;Name\r\nu1;Jane, MA\r\n\r\n".encode(),
        b'name\tstudent\n"Ja\nne"\tu1',
        b'sep=;\r\nname;student\r\n"Doe, Jane";u1\r\n',
        b"sep=|\nname|student\nJane|u1\n",
        "name\tstudent\r\nZoë\tu1\r\n".encode("utf-16"),
        b"\xfe\xff" + "name\tstudent\r\nZoë\tu1\r\n".encode("utf-16-be"),
        "student\u00a0\nu1".encode(),
    ],
)
def test_read_student_list_takes_any_spreadsheet(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_bytes(content)
    students = read_student_list(tmp_path / "roster.csv").students
    assert [student.id for student in students] == ["u1"]


@pytest.mark.parametrize(
    ("cell", "id"),
    [
        ("山田\u3000太郎", "山田 太郎"),
        ("Jane\u00a0Doe", "Jane Doe"),
        ("Jane\tDoe", "Jane Doe"),
        ("Jane\nDoe", "Jane Doe"),
        ("نیک\u200cنام", "نیکنام"),
        ("ශ්\u200dරී", "ශ්රී"),
        ("Ja\u00adne", "Jane"),
        ("\u202bדוד\u202c", "דוד"),
        ("Mu\u0308ller", "M\u00fcller"),
    ],
)
def test_a_student_has_a_printable_id(cell: str, id: str, tmp_path: Path) -> None:
    path = write(tmp_path, f'student,name\n"{cell}",A\n')
    assert [student.id for student in read_student_list(path).students] == [id]


def test_students_whose_names_differ_in_blanks_alone_are_two(tmp_path: Path) -> None:
    path = write(tmp_path, "student\nJane\u00a0Doe\nJane Doe\nJane\u3000Doe\nJim\u00a0Doe\n")
    ids = [student.id for student in read_student_list(path).students]
    assert len({*ids}) == 4
    assert ids[1::2] == ["Jane Doe", "Jim Doe"]
    assert all(id.startswith("Jane Doe~") for id in ids[::2])


def test_ids_are_cut_and_stay_apart(tmp_path: Path) -> None:
    path = write(tmp_path, f"student\n{'x' * 90}1\n{'x' * 90}2\nu\x071\n")
    ids = [student.id for student in read_student_list(path).students]
    assert len({*ids}) == 3
    assert all(id.isprintable() and len(id) <= 80 for id in ids)


@pytest.mark.parametrize(
    ("text", "number"),
    {
        "30.00": 30,
        "12,5": 12.5,
        "1,000.00": 1000,
        "1.000,00": 1000,
        "1 000,5": 1000.5,
        "1\u202f000": 1000,
        "1'000.00": 1000,
        "1,000": 1000,
        "1.000.000": 1_000_000,
        "0.500": 0.5,
        "(read only)": None,
        "": None,
        "nan": None,
        ".": None,
    }.items(),
)
def test_read_number_takes_the_marks_of_any_country(text: str, number: float | None) -> None:
    assert read_number(text) == number


def test_read_student_list_refuses_files_that_are_not_csv_in_utf_8(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"student\n\xe4\n")
    with pytest.raises(RosterError, match="is not UTF-8"):
        read_student_list(tmp_path / "latin.csv")
    with pytest.raises(RosterError, match="cannot be read: No such file"):
        read_student_list(tmp_path / "none.csv")
