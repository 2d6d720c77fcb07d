"""Manual grades: a CSV is imported whole or not at all, and an invalid row is named."""

import re
import shutil
from pathlib import Path

import pytest

from assignment import PROJECT
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import StudentGrade, open_grades
from gradkit.gradebook.manual_grades import ManualError, import_manual
from tests.classes import GradedClass

HEADER = "student,item,points,comment"


@pytest.fixture
def grades(graded_class: GradedClass, tmp_path: Path) -> GradebookFolder:
    out = shutil.copytree(graded_class.out, tmp_path / "grades")
    return GradebookFolder(PROJECT, "softmax", out)


def import_text(grades: GradebookFolder, text: str, encoding: str = "utf-8") -> str:
    path = grades.out / "manual.csv"
    path.write_text(text, encoding=encoding)
    return str(import_manual(grades, path))


def grade_of(grades: GradebookFolder, student: str) -> StudentGrade:
    with open_grades(grades) as (_, class_grades):
        return {grade.student: grade for grade in class_grades.student_grades}[student]


def test_points_for_an_answer_that_has_changed_do_not_count(grades: GradebookFolder) -> None:
    import_text(grades, f"{HEADER},answer\nada,answer_step,5,,0123456789abcdef\n")
    ada = grade_of(grades, "ada")
    assert {item.name: item.points for item in ada.questions}["answer_step"] is None
    assert "the answer has changed since it was graded by hand" in " ".join(ada.notes)


def test_an_empty_row_removes_a_manual_grade(grades: GradebookFolder) -> None:
    import_text(grades, f"{HEADER}\ncleo,naive_loss,6,The sum was asked for.\n")
    assert grade_of(grades, "cleo").checks[0].points == 6
    summary = import_text(grades, "student;item;points;comment\ncleo;naive_loss;;\n", "utf-8-sig")
    assert summary == "1 taken back."
    naive_loss = grade_of(grades, "cleo").checks[0]
    assert (naive_loss.points, naive_loss.manual) == (0, None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("zoe,answer_step,1,", "row 2: there is no student 'zoe' in the gradebook"),
        ("ada,answer_stepp,1,", "row 2: there is no question or check 'answer_stepp'; there are: "),
        ("ada,answer_step,6,", "'6' is not a number of points from 0 to 5"),
        ("ada,answer_step,-1,", "'-1' is not a number of points from 0 to 5"),
        ("ada,answer_step,nan,", "'nan' is not a number of points"),
        ("ada,naive_loss,8,", "'naive_loss' is a check: give the reason"),
        ("ada,answer_step,1,\nada,answer_step,2,", "row 3: there already is a row for 'ada'"),
        ('ada,answer_step,1,"open', "is not CSV"),
        (None, f"lacks the columns {HEADER.replace(',', ', ')}"),
    ],
)
def test_an_invalid_row_is_named_and_nothing_is_imported(
    grades: GradebookFolder, rows: str | None, message: str
) -> None:
    header = "name,grade" if rows is None else HEADER
    with pytest.raises(ManualError, match=re.escape(message)):
        import_text(grades, f"{header}\n{rows}\nbob,answer_step,1,\n")
    with open_grades(grades) as (database, _):
        assert database.manual_grades() == {}
