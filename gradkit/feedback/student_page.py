"""What comes back to a student: a page for each, and the zip file that a platform takes.

    standing -> _Page (what may be told) -> templates/feedback.html -> feedback/STUDENT.html

A page holds the student's own name, texts and numbers, and what the kit and people say of them. It
holds no expected number, no seed, nothing of another student, and no picture that came out of the
sandbox: the plots are drawn here, from the numbers that came.
"""

import contextlib
import hashlib
import re
import secrets
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Check, Exercise
from assignment.checks.differences import quantity, relative_error
from assignment.checks.verdict import Status, Verdict
from gradkit.course.late_policy import format_lateness
from gradkit.course.questions import Question, is_answered
from gradkit.errors import GradkitError
from gradkit.feedback.html import as_svg, render, write
from gradkit.feedback.redact import redact_for_student
from gradkit.gradebook.database import GradebookDatabase, GradingResult
from gradkit.gradebook.grades import ClassGrades, ItemScore, StudentGrade
from gradkit.lms import feedback_name

FOLDER = "feedback"
ZIP = "feedback.zip"
_LEFT_OUT_OF_NAMES = re.compile(r"[^\w .,@+()=-]")


class FeedbackError(GradkitError):
    """The pages cannot be written; the text says why."""


@dataclass(frozen=True)
class Miss:
    """An array that is not as it should be: in shape and kind, and by how much, in relation."""

    name: str
    came: str
    expected: str
    off: str
    size: str


@dataclass(frozen=True)
class Line:
    """A check on a student's page."""

    item: ItemScore
    verdict: Verdict | None  # as the student may see it
    same_as: str = ""  # the check in which the same has been said already
    misses: tuple[Miss, ...] = ()
    plots: tuple[tuple[str, Markup], ...] = ()

    @property
    def passed(self) -> bool:
        return self.item.points == self.item.out_of


def page_names(class_grades: ClassGrades) -> dict[str, str]:
    """The names of the students' pages, by student: names that every computer takes for a file's.

    Two students never share one, even where capital letters are taken for small ones.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for student in sorted(student_grade.student for student_grade in class_grades.student_grades):
        clean = _LEFT_OUT_OF_NAMES.sub("_", student).strip(" .")
        if clean != student or clean.casefold() in taken:
            clean = f"{clean}~{hashlib.sha256(student.encode()).hexdigest()[:8]}"
        taken.add(clean.casefold())
        names[student] = f"{clean}.html"
    return names


def write_feedback(class_grades: ClassGrades, database: GradebookDatabase, out: Path) -> Path:
    """Write a page for each student into OUT/feedback, in the place of older ones; the folder.

    Raises
    ------
    FeedbackError
        There is something else at that place.
    """
    folder, fresh = out / FOLDER, out / f".{FOLDER}.{secrets.token_hex(4)}.tmp"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FeedbackError(f"{folder} is no folder, and the pages go there. Move it away.")
    strays = [path.name for path in folder.glob("*") if path.suffix != ".html"]
    if strays:
        raise FeedbackError(
            f"{folder} holds {strays[0]}, which is no page. Pages are written into a folder of "
            "their own, which is replaced each time: move that away."
        )
    fresh.mkdir(parents=True)
    try:
        names = page_names(class_grades)
        answer_key: dict[str, AnswerKey | None] = {}
        for student_grade in class_grades.student_grades:
            spec = student_grade.result.key.spec if student_grade.result else ""
            if spec not in answer_key:
                answer_key[spec] = database.answer_key(spec)
            write(
                fresh / names[student_grade.student],
                page(class_grades, student_grade, answer_key[spec]),
            )
        if folder.exists():
            folder.rename(fresh / "old")
            shutil.rmtree(fresh / "old")
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def pack(class_grades: ClassGrades, out: Path) -> Path:
    """Pack the pages that were written into OUT/feedback.zip, as platforms want them named."""
    names = page_names(class_grades)
    path, unfinished = out / ZIP, out / f".{ZIP}.tmp"
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for student_grade in class_grades.student_grades:
            name = names[student_grade.student]
            archive.write(out / FOLDER / name, feedback_name(student_grade.record.submission, name))
    unfinished.replace(path)
    return path


def page(
    class_grades: ClassGrades, student_grade: StudentGrade, answer_key: AnswerKey | None
) -> str:
    """A student's page; `answer_key` are those of the exam that the result is of."""
    lines = tuple(_lines(class_grades.exercise, student_grade, answer_key))
    asked = {question.name: question for question in class_grades.questions}
    questions = [_Asked(item, asked[item.name]) for item in student_grade.questions]
    return render(
        "feedback",
        title=class_grades.exercise.title,
        student_grade=student_grade,
        to_mend=[line for line in lines if not line.passed],
        passed=[line for line in lines if line.passed],
        plots=[plot for line in lines for plot in line.plots],
        questions=questions,
        late=format_lateness(student_grade.late) if student_grade.late else "",
        due=class_grades.late.due,
        why=_why_ungraded(student_grade),
    )


@dataclass(frozen=True)
class _Asked:
    """A question with its answer, on a student's page."""

    item: ItemScore
    question: Question

    @property
    def is_answered(self) -> bool:
        return is_answered(self.item.answer)


def _why_ungraded(student_grade: StudentGrade) -> str:
    """Why there is no result; the grader's other notes may name other students."""
    status = student_grade.record.status
    if student_grade.result is not None:
        return ""
    if status == "refused":
        return student_grade.record.notes[0]
    if status == "nothing handed in":
        return "Nothing was handed in under your name."
    return "Your work could not be graded, through no fault of its own. It is not lost."


def _lines(
    exercise: Exercise, student_grade: StudentGrade, answer_key: AnswerKey | None
) -> Iterator[Line]:
    result, said = student_grade.result, dict[tuple[str, str, str], str]()
    for check, item in zip(exercise.checks, student_grade.checks, strict=True):
        if result is None or item.verdict is None:
            yield Line(item, None)
            continue
        handed_in = result.handed_in
        files = {path: text.encode("latin-1") for path, text in handed_in["files"].items()}
        verdict = redact_for_student(item.verdict, files, handed_in["cells"])
        same = (verdict.headline, verdict.quoted, verdict.hint)
        before = said.setdefault(same, item.title)
        yield Line(
            item,
            verdict,
            before if before != item.title and (verdict.quoted or verdict.hint) else "",
            tuple(_misses(check, item.verdict, result, answer_key)),
            tuple(_plots(check, result)),
        )


def _misses(
    check: Check, verdict: Verdict, result: GradingResult, answer_key: AnswerKey | None
) -> Iterator[Miss]:
    """Which of the arrays are off, for a check that compares numbers."""
    outcome = result.outcomes.get(check.name)
    if verdict.status is not Status.WRONG or not outcome or not outcome.arrays or not answer_key:
        return
    reference = answer_key.reference.get(check.name, {})
    for name, expected in reference.items():
        if quantity(name) not in check.compared:
            continue
        came = outcome.arrays.get(name)
        if came is None:
            yield Miss(name, "nothing", _form(expected), "", "")
        elif (error := relative_error(came, expected)) > check.tolerance:
            yield Miss(name, _form(came), _form(expected), _off(error), _size(came, expected))


def _form(array: NDArray[Any]) -> str:
    """Shape and kind of an array, in words."""
    numeric = array.dtype.kind in "fiub"
    kind = array.dtype.name if numeric else "no numbers"
    shape = f"shape {array.shape}" if array.shape else "one number"
    bad = int((~np.isfinite(array)).sum()) if array.dtype.kind == "f" else 0
    return f"{shape}, {kind}" + (f", {bad} of {array.size} nan or inf" if bad else "")


def _off(error: float) -> str:
    if not np.isfinite(error):
        return ""
    return f"{error:.0%}" if error >= 0.01 else f"{error:.0e}"


def _size(came: NDArray[Any], expected: NDArray[Any]) -> str:
    """How large it is beside what it should be, by the Euclidean norm."""
    with contextlib.suppress(TypeError, ValueError), np.errstate(all="ignore"):
        sizes = [float(np.linalg.norm(np.ravel(x).astype(np.float64))) for x in (came, expected)]
        if np.isfinite(sizes).all() and sizes[1]:
            return f"{sizes[0] / sizes[1]:.2g} ×"
    return ""


def _plots(check: Check, result: GradingResult) -> Iterator[tuple[str, Markup]]:
    """What came out, drawn; nothing where it cannot be, since a student may send anything."""
    outcome = result.outcomes.get(check.name)
    if check.plots is None or outcome is None or not outcome.arrays:
        return
    with contextlib.suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for sentence, figure in check.plots(outcome.arrays):
            yield sentence, as_svg(figure, sentence)
