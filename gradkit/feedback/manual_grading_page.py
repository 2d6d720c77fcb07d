"""The page on which people grade answers in words: all students' answers to a question, one below
the other, with fields for points and comments, which the browser keeps and exports as CSV.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gradkit.course.questions import Question, answer_digest, is_answered
from gradkit.feedback.html import render, write
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import ClassGrades, ItemScore, opened
from gradkit.gradebook.manual_grades import display_names


@dataclass(frozen=True)
class Given:
    """A student's answer to a question, and what was given for it so far."""

    student: str  # or the name that hides who it is
    item: ItemScore

    @property
    def digest(self) -> str:
        return answer_digest(self.item.answer)

    @property
    def points(self) -> str:
        manual = self.item.manual
        return f"{manual.points:g}" if manual and manual.points is not None else ""

    @property
    def comment(self) -> str:
        return self.item.manual.comment if self.item.manual else ""


@dataclass(frozen=True)
class Asked:
    """A question, its answers, and how many students have written none."""

    question: Question
    given: tuple[Given, ...]
    unanswered: int


def manual_grading_page(class_grades: ClassGrades, names: Mapping[str, str]) -> str:
    """The page, with the students called by these names."""
    asked = [_asked(class_grades, number, names) for number in range(len(class_grades.questions))]
    # What the browser keeps belongs to these answers: another class's page does not find it.
    content = "\n".join(given.digest + given.student for one in asked for given in one.given)
    return render(
        "answers",
        title=class_grades.exercise.title,
        name=class_grades.exercise.name,
        asked=asked,
        store=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16],
    )


def _asked(class_grades: ClassGrades, number: int, names: Mapping[str, str]) -> Asked:
    question = class_grades.questions[number]
    graded = [
        student_grade
        for student_grade in class_grades.student_grades
        if student_grade.result is not None
    ]
    given = [
        Given(names[student_grade.student], item)
        for student_grade in graded
        if is_answered((item := student_grade.questions[number]).answer)
    ]
    # In the order of the names shown, which tells nothing where they are hidden.
    given.sort(key=lambda one: one.student)
    return Asked(question, tuple(given), len(graded) - len(given))


MANUAL_PAGE = "answers.html"


def write_manual_page(grades: GradebookFolder, hide_names: bool) -> Path:
    """Write the page on which the answers in words are graded; where it is."""
    with opened(grades) as (database, class_grades):
        names = display_names(class_grades, database.secret(None), hide_names)
        place = grades.out / MANUAL_PAGE
        write(place, manual_grading_page(class_grades, names))
        return place
