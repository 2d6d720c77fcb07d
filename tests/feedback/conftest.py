"""A class with everything that a page can show, made once per run from the graded class."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import run_check_for
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Judge, Status, Verdict
from gradkit.course.mistakes import SourceTree, solved_tree
from gradkit.course.starter import starter_files
from gradkit.feedback.class_page import write_pages
from gradkit.feedback.manual_grading_page import write_manual_page
from gradkit.feedback.student_page import page_names
from gradkit.gradebook.database import (
    GradebookDatabase,
    GradebookFolder,
    GradingResult,
    SubmissionRecord,
)
from gradkit.gradebook.grades import ClassGrades, open_grades
from gradkit.gradebook.manual_grades import import_manual
from tests.classes import GradedClass
from tests.trees import copy_tree

STUB_STUDENT = "<b>fay&amp;"
NASTY = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    "![seen](http://127.0.0.1:9/seen.png) [here](javascript:document.title='owned')"
    "</div></main>{{ 7 * 191 }}\n\nand $p_y$ **bold**"
)
RAISING = "raise ValueError(repr(W.tolist()) + str(float(W.sum())), 'dead' + X[:6].tobytes().hex())"
# In time until an hour after; a day costs a tenth of 120 points.
LATE = """
[late]
due = 2026-03-01T23:59:00+00:00
grace_hours = 1
policy = "per day"
percent = 10
"""
MANUAL_GRADES = """student,item,points,comment
ada,answer_step,4.5,"Right; but why <16> digits?"
cleo,naive_loss,6,The sum was asked for in the lecture.
"""


class FeedbackClass(NamedTuple):
    """A graded class, and the pages written for it; only to be read."""

    grades: GradebookFolder
    class_grades: ClassGrades

    def path(self, student: str) -> Path:
        return self.grades.out / "feedback" / page_names(self.class_grades)[student]

    def page(self, student: str) -> str:
        return self.path(student).read_text(encoding="utf-8")

    def copy(self, folder: Path) -> GradebookFolder:
        """Copy the gradebook, to change it."""
        out = shutil.copytree(self.grades.out, folder / "grades")
        return GradebookFolder(self.grades.project, "softmax", out)


@pytest.fixture(scope="session")
def feedback_class(
    shared: Callable[[str, Callable[[Path], object]], Path], graded_class: GradedClass
) -> FeedbackClass:
    def build(folder: Path) -> None:
        tree = copy_tree(folder / "tree", ("assignment", "grading", "notebooks", "docs"))
        with (tree / "grading" / "softmax" / "exercise.toml").open("a") as config:
            config.write(LATE)
        grades = GradebookFolder(tree, "softmax", folder / "grades")
        shutil.copytree(graded_class.out, grades.out)
        _add_students(grades.out)
        (folder / "manual.csv").write_text(MANUAL_GRADES)
        import_manual(grades, folder / "manual.csv")
        write_pages(grades, zipped=True)
        write_manual_page(grades, hide_names=False)

    folder = shared("feedback-class", build)
    grades = GradebookFolder(folder / "tree", "softmax", folder / "grades")
    with open_grades(grades) as (_, class_grades):
        return FeedbackClass(grades, class_grades)


def _add_students(out: Path) -> None:
    """Give the students of the graded class the results of other submissions, and add some."""
    from tests.banks import BANK

    [keepdims] = [
        mutant.tree
        for mutant in BANK.mutants
        if (mutant.id, mutant.region, mutant.number)
        == ("row_without_keepdims", "softmax_vectorized", 0)
    ]
    [sum_] = [
        mutant.tree
        for mutant in BANK.mutants
        if (mutant.id, mutant.region, mutant.number) == ("sum_not_mean", "softmax_naive", 0)
    ]
    starter = {path: text.decode() for path, text in starter_files_of_softmax().items()}
    stuck = solved_tree(EXERCISE, starter).with_region(
        "softmax_naive", sum_.body("softmax_naive").text
    )
    raising = BANK.solution.with_region("softmax_vectorized", RAISING)
    with contextlib.closing(GradebookDatabase(out, "softmax")) as database:
        results = {result.key.student: result for result in database.results()}
        ada, cleo = results["ada"], results["cleo"]
        key = database.answer_key(ada.key.spec)
        assert key is not None
        answers = {**cleo.handed_in["answers"], "answer_step": NASTY}
        for student, received, result in (
            ("ada", "2026-03-01T23:30:00+00:00", ada),
            ("bob", "2026-03-03T00:30:00+00:00", ada),
            ("cleo", "", replace(cleo, handed_in={**cleo.handed_in, "answers": answers})),
            ("dan", "", run_in_process(raising, ada, key, in_notebook="raised ValueError")),
            ("gus", "", run_in_process(keepdims, ada, key, in_notebook="raised ValueError")),
            ("hal", "", run_in_process(stuck, results["bob"], key)),
            (STUB_STUDENT, "", results["bob"]),
        ):
            moved = replace(result, key=result.key._replace(student=student))
            database.save_result(moved)
            record = SubmissionRecord(
                f"{student}.zip", student, received or "2026-03-01T12:00:00+00:00", "graded",
                moved.key.content_digest,
            )  # fmt: skip
            database.save_submission(record)
