"""A page for each student, and the zip file of all pages that a platform takes.

    StudentGrade -> templates/student_page.html -> feedback/STUDENT.html

A page shows the student's own name, texts and numbers, how the kit and people judged them, and all
that the code printed and raised: the epoch of the problems that it met is closed by then. It shows
no expected number and nothing of another student. Plots are drawn here, from the numbers that the
sandbox sent: it sends no images.
"""

import contextlib
import hashlib
import io
import secrets
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Arrays, Check
from assignment.checks.differences import format_error, format_ratio, is_part, relative_error
from assignment.checks.verdict import Status
from gradkit.errors import GradkitError
from gradkit.feedback.html import as_svg, images_as_svg, render
from gradkit.files import remove_tree, write_atomic
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import ClassGrades, ItemScore, StudentGrade, open_grades
from gradkit.lms import feedback_name
from gradkit.lms.words import folded, is_identifier
from gradkit.processes import process_pool

FOLDER = "feedback"
ZIP = "feedback.zip"
MIN_PAGES = 25  # per process: their 2 s of CPU are worth starting it, which takes 1 s
SAFE_IN_NAMES = " .,@+()=-"  # beside letters, marks and digits
MAX_NAME = 230  # bytes of a page's name without its ending; file systems allow 255


class FeedbackError(GradkitError):
    """The pages cannot be written."""


# --- files ---------------------------------------------------------------------------------------


def page_names(class_grades: ClassGrades) -> dict[str, str]:
    """Return the file name of each student's page, valid on every operating system.

    No two are the same, even on a file system that ignores case.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for student in sorted(grade.student for grade in class_grades.student_grades):
        safe = "".join(c if c in SAFE_IN_NAMES or is_identifier(c) else "_" for c in student)
        clean = safe.encode()[:MAX_NAME].decode(errors="ignore").strip(" .")
        if clean != student or folded(clean) in taken:
            clean = f"{clean}~{hashlib.sha256(student.encode()).hexdigest()[:8]}"
        taken.add(folded(clean))
        names[student] = f"{clean}.html"
    return names


def write_student_pages(grades: GradebookFolder, class_grades: ClassGrades, jobs: int) -> Path:
    """Write a page for each student into OUT/feedback, replacing older pages; return that folder.

    A large class is divided among up to `jobs` processes. Raise FeedbackError if OUT/feedback holds
    something else, DamagedResult if a result is damaged; the older pages stay then.
    """
    folder, fresh = grades.out / FOLDER, grades.out / f".{FOLDER}.{secrets.token_hex(4)}.tmp"
    strays = [path for path in folder.glob("*") if path.suffix != ".html"]
    if folder.is_symlink() or folder.is_file():
        strays.append(folder)
    if strays:
        raise FeedbackError(
            f"{strays[0]} is not a page. Move it away: the folder {folder} is replaced each time."
        )
    fresh.mkdir(parents=True)
    try:
        names = list(page_names(class_grades).items())
        jobs = min(jobs, len(names) // MIN_PAGES)
        if jobs < 2:
            _write_pages(grades, dict(names), fresh)
        else:
            shares = [dict(names[job::jobs]) for job in range(jobs)]
            with process_pool(jobs) as pool:
                list(pool.map(_write_pages, repeat(grades), shares, repeat(fresh)))
        if folder.exists():
            folder.rename(fresh / "old")
            remove_tree(fresh / "old")
        fresh.rename(folder)
    finally:
        remove_tree(fresh)
    return folder


def _write_pages(grades: GradebookFolder, names: Mapping[str, str], folder: Path) -> None:
    """Write the pages of some students."""
    with open_grades(grades) as (database, class_grades):
        answer_key = cache(database.answer_key)
        for grade in class_grades.student_grades:
            if grade.student in names:
                result = grade.result
                key = answer_key(result.key.spec, result.epoch) if result else None
                page = student_page(class_grades, grade, key)
                write_atomic(folder / names[grade.student], page)


def zip_pages(class_grades: ClassGrades, out: Path) -> Path:
    """Pack the pages in OUT/feedback into OUT/feedback.zip, named as each platform requires."""
    names = page_names(class_grades)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for grade in class_grades.student_grades:
            name = names[grade.student]
            archive.write(out / FOLDER / name, feedback_name(grade.record.submission, name))
    return write_atomic(out / ZIP, packed.getvalue())


# --- a page --------------------------------------------------------------------------------------


def student_page(
    class_grades: ClassGrades, student_grade: StudentGrade, answer_key: AnswerKey | None
) -> str:
    """Return a student's page; `answer_key` is that of the result's spec and epoch."""
    exercise = class_grades.exercise
    differences, plots = {}, list[tuple[str, Markup]]()
    for check, item in zip(exercise.checks, student_grade.checks, strict=True):
        outcome = student_grade.result and student_grade.result.outcomes.get(check.name)
        if outcome and outcome.arrays:
            plots += _plots(check, outcome.arrays)
            if item.verdict and item.verdict.status is Status.WRONG and answer_key:
                reference = answer_key.reference.get(check.name, {})
                differences[check.name] = list(_differences(check, outcome.arrays, reference))
    return render(
        "student_page",
        title=exercise.title,
        student_grade=student_grade,
        earlier=_earlier_explanations(student_grade.checks),
        differences=differences,
        questions=list(zip(class_grades.questions, student_grade.questions, strict=True)),
        plots=plots,
        due=class_grades.late.due,
    )


def _earlier_explanations(checks: Collection[ItemScore]) -> dict[str, str]:
    """Map each check whose explanation repeats that of an earlier one to the latter's title."""
    titles: dict[tuple[str, str, str], str] = {}
    earlier = {}
    for item in checks:
        verdict = item.verdict
        if verdict and (verdict.quoted or verdict.hint):
            explanation = (verdict.headline, verdict.quoted, verdict.hint)
            title = titles.setdefault(explanation, item.title)
            if title != item.title:
                earlier[item.name] = title
    return earlier


def _differences(
    check: Check, arrays: Arrays, reference: Arrays
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield name, actual form, expected form, relative error and norm ratio of each wrong array."""
    for name, expected in reference.items():
        actual = arrays.get(name)
        if not is_part(name, check.compared):
            continue
        if actual is None:
            yield name, "missing", _form(expected), "", ""
        elif (error := relative_error(actual, expected)) > check.tolerance:
            shown = format_error(error) if np.isfinite(error) else ""
            yield name, _form(actual), _form(expected), shown, _norm_ratio(actual, expected)


def _form(array: NDArray[Any]) -> str:
    """Describe an array's shape and dtype, and count its nan and inf."""
    dtype = array.dtype.name if array.dtype.kind in "fiub" else "not numeric"
    shape = f"shape {array.shape}" if array.shape else "one number"
    bad = int((~np.isfinite(array)).sum()) if array.dtype.kind == "f" else 0
    return f"{shape}, {dtype}" + (f", {bad} of {array.size} nan or inf" if bad else "")


def _norm_ratio(actual: NDArray[Any], expected: NDArray[Any]) -> str:
    """Return the ratio of the Euclidean norms, or nothing for arrays without finite norms."""
    with contextlib.suppress(TypeError, ValueError), np.errstate(all="ignore"):
        norms = [float(np.linalg.norm(np.ravel(a).astype(np.float64))) for a in (actual, expected)]
        if np.isfinite(norms).all() and norms[1]:
            return format_ratio(norms[0] / norms[1])
    return ""


def _plots(check: Check, arrays: Arrays) -> Iterator[tuple[str, Markup]]:
    """Draw a check's arrays, as far as they can be drawn: a student's code may return anything."""
    with contextlib.suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for caption, plot in check.plots(arrays) if check.plots else ():
            draw = images_as_svg if isinstance(plot, Mapping) else as_svg
            yield caption, draw(plot, caption)
