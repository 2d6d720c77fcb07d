"""The page on which people grade written answers.

It lists all students' answers to one question at a time, with fields for points and comments. The
browser stores these and exports them as the CSV that `gradkit import-grades` reads.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from assignment.workspace.regions import is_answered
from gradkit.feedback.html import render
from gradkit.files import write_atomic
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import ItemScore, open_grades
from gradkit.gradebook.manual_grades import display_names

MANUAL_PAGE = "manual-page.html"


def write_manual_page(grades: GradebookFolder, hide_names: bool) -> Path:
    """Write the manual grading page of a class and return its path."""
    with open_grades(grades) as (database, class_grades):
        names = display_names(class_grades, database.secret(None), hide_names)
    graded = [grade for grade in class_grades.student_grades if grade.result is not None]
    answers = {
        question.name: _answers({names[grade.student]: grade.questions[number] for grade in graded})
        for number, question in enumerate(class_grades.questions)
    }
    # The browser stores points under this digest, so that another class's page does not find them.
    content = "\n".join(digest + name for given in answers.values() for name, _, digest in given)
    page = render(
        "manual_grading_page",
        exercise=class_grades.exercise,
        questions=class_grades.questions,
        answers=answers,
        graded=len(graded),
        store=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16],
    )
    return write_atomic(grades.out / MANUAL_PAGE, page)


def _answers(items: Mapping[str, ItemScore]) -> list[tuple[str, ItemScore, str]]:
    """List the written answers with their digests in the order of the names shown.

    Any other order could reveal hidden names.
    """
    return [
        (name, item, item.digest)
        for name, item in sorted(items.items())
        if is_answered(item.answer) or item.unassigned
    ]
