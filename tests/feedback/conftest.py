"""The class whose pages are tested, made once per run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import open_grades
from tests.classes import GradedClass
from tests.feedback.pages import FeedbackClass, build


@pytest.fixture(scope="session")
def feedback_class(
    shared: Callable[[str, Callable[[Path], object]], Path], graded_class: GradedClass
) -> FeedbackClass:
    folder = shared("feedback-class", lambda folder: build(folder, graded_class))
    grades = GradebookFolder(folder / "tree", "softmax", folder / "grades")
    with open_grades(grades) as (_, class_grades):
        return FeedbackClass(grades, class_grades)
