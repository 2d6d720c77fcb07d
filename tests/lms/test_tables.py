"""A list of students is read from any spreadsheet, or refused with the row to be mended."""

import re
from pathlib import Path

import pytest

from gradkit.lms import read_student_list
from gradkit.lms.tables import RosterError, read_table
from tests.lms.scores import write


@pytest.mark.parametrize(
    ("roster", "problem"),
    [
        ("", "has no column `student` in its first row"),
        ("id,name\n1,Jane\n", "has no column `student` in its first row, 'id,name'"),
        ("student\nu1\nu1\n", "row 3: student 'u1' is listed twice"),
        ("student,name\n\n,Jane\n", "row 3: '' cannot be a student's id"),
        ("student\n" + "x" * 81, "cannot be a student's id"),
        ("student\nu\x071\n", "cannot be a student's id"),
    ],
)
def test_read_student_list_refuses_unusable_rosters(
    roster: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(RosterError, match=re.escape(problem)):
        read_student_list(write(tmp_path, roster))


@pytest.mark.parametrize(
    "text", ["\ufeffStudent;Name\r\nu1;Jane\r\n\r\n", 'name\tstudent\n"Ja\nne"\tu1']
)
def test_read_student_list_takes_any_spreadsheet(text: str, tmp_path: Path) -> None:
    assert [student.id for student in read_student_list(write(tmp_path, text)).students] == ["u1"]


def test_read_table_refuses_files_that_are_not_csv_in_utf_8(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"student\n\xe4\n")
    with pytest.raises(RosterError, match="is not UTF-8"):
        read_table(tmp_path / "latin.csv", "student", "")
    with pytest.raises(RosterError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.csv", "student", "")
