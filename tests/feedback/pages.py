"""A class with everything that a page can show, and the text of its pages."""

import contextlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from assignment.checks.check import Outcome
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Judge, Status, Verdict
from gradkit.feedback import student_page
from gradkit.feedback.class_page import write_pages
from gradkit.feedback.manual_grading_page import write_manual_page
from gradkit.feedback.student_page import page_names
from gradkit.gradebook.database import GradebookDatabase, GradebookFolder, SubmissionRecord
from gradkit.gradebook.grades import ClassGrades, open_grades
from gradkit.gradebook.manual_grades import import_manual
from tests.classes import GradedClass
from tests.trees import copy_tree

STUB_STUDENT = "<b>fay&amp;"
SCRIPT = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
NASTY = (
    f"{SCRIPT}![seen](http://127.0.0.1:9/seen.png) [here](javascript:document.title='owned')"
    "</div></main>{{ 7 * 191 }}\n\nand $p_y$ **bold**"
)
RAISING = f"""\
for number in range(99):
    print("line", number, W[0])
print({SCRIPT!r}, "\\x1b[2J", "\\u202eesrever")
raise ValueError(repr(W.tolist()), 'dead' + 20 * X[:6].tobytes().hex())
"""
# In time until an hour after; a day costs a tenth of 120 points.
LATE = """
[late]
due = 2026-03-01T23:59:00+00:00
grace_hours = 1
policy = "per day"
percent = 10
"""
MANUAL_GRADES = """student,item,points,comment
ada,answer_step,4.5,"Right; but why <16> digits? $h^2$"
cleo,naive_loss,6,The sum was asked for in the lecture.
"""


class FeedbackClass(NamedTuple):
    """A graded class, and the pages written for it; only to be read."""

    grades: GradebookFolder
    class_grades: ClassGrades

    def page(self, student: str) -> str:
        path = self.grades.out / "feedback" / page_names(self.class_grades)[student]
        return path.read_text(encoding="utf-8")

    def copy(self, folder: Path) -> GradebookFolder:
        """Copy the gradebook, to change it."""
        out = shutil.copytree(self.grades.out, folder / "grades")
        return GradebookFolder(self.grades.project, "softmax", out)


@pytest.fixture(scope="session")
def feedback_class(
    shared: Callable[[str, Callable[[Path], object]], Path], graded_class: GradedClass
) -> FeedbackClass:
    """The graded class with more students, and its pages, written by two processes."""

    def build(folder: Path) -> None:
        tree = copy_tree(
            folder / "tree", ("assignment", "grading", "notebooks", "docs", "datasets")
        )
        with (tree / "grading" / "softmax" / "exercise.toml").open("a") as config:
            config.write(LATE)
        grades = GradebookFolder(tree, "softmax", folder / "grades")
        shutil.copytree(graded_class.out, grades.out)
        _add_students(grades.out)
        (folder / "manual.csv").write_text(MANUAL_GRADES)
        import_manual(grades, folder / "manual.csv")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(student_page, "MIN_PAGES", 4)
            write_pages(grades, zipped=True, jobs=2)
        write_manual_page(grades, hide_names=False)

    folder = shared("feedback-class", build)
    grades = GradebookFolder(folder / "tree", "softmax", folder / "grades")
    with open_grades(grades) as (_, class_grades):
        return FeedbackClass(grades, class_grades)


def _add_students(out: Path) -> None:
    """Replace some results of the graded class, and add students to it."""
    from tests.banks import BANK

    mutants = {(m.id, m.region): m.tree for m in BANK.mutants if m.number == 0}
    tree = mutants["row_without_keepdims", "softmax_vectorized"]
    raising = tree.with_region("softmax_naive", RAISING)
    with contextlib.closing(GradebookDatabase(out, "softmax")) as database:
        results = {
            r.key.student: replace(r, outcomes=dict(r.outcomes), handed_in=dict(r.handed_in))
            for r in database.results()
        }
        ada, cleo = results["ada"], results["cleo"]
        answer_key = database.answer_key(ada.key.spec, ada.epoch)
        assert answer_key is not None
        judge = Judge.of_student(EXERCISE, answer_key, raising.student())
        verdicts = {
            check.name: judge.verdict(check.name)
            if not check.in_notebook
            else Verdict(
                check.name, check.title, Status.RAISED, 0, check.points, "raised ValueError"
            )
            for check in EXERCISE.checks
        }
        files = {path: text.encode().decode("latin-1") for path, text in raising.files.items()}
        answers = {**cleo.handed_in["answers"], "answer_step": NASTY}
        known = BANK.mistakes["sample_never_drawn"]
        remark = replace(
            ada.verdicts["train_batch"],
            headline=known.name,
            text="Only one of two samples was drawn.",
            hint=known.hint,
        )
        for student, result in {
            "ada": ada,
            "bob": replace(ada, verdicts={**ada.verdicts, "train_batch": remark}),
            "cleo": replace(cleo, handed_in={**cleo.handed_in, "answers": answers}),
            "gus": replace(
                ada,
                verdicts=verdicts,
                outcomes={name: Outcome() for name in verdicts},
                handed_in={**ada.handed_in, "files": files},
            ),
            STUB_STUDENT: results["bob"],
        }.items():
            time = "2026-03-03T00:30:00+00:00" if student == "bob" else "2026-03-01T23:30:00+00:00"
            database.save_result(replace(result, key=result.key._replace(student=student)))
            digest = result.key.content_digest
            database.save_submission(
                SubmissionRecord(
                    f"{student}.zip", student, time, "graded", digest, time_source="platform"
                )
            )


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the tags of a page with their attributes."""
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Parser().feed(page)
    return tags


def text_of(page: str) -> str:
    """Return the text of a page, without that in its plots."""
    page = re.sub(r"<(style|script|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
