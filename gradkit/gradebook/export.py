"""The gradebook in formats that others read: spreadsheets, programs, learning platforms.

    open_grades -> export -> a text, and notes on students who are left out

CSV has a row and JSON an object for each submission, superseded ones included; docs/grading.md
lists the fields. A missing score is an empty cell, or null.

Every other format is a platform of `gradkit.lms`. It contains final scores only: a student without
one is left out, and never gets a 0. One that shows students their checks closes the epoch, as
feedback does; a total score tells nothing of the problems that the code met.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gradkit.errors import GradkitError, describe
from gradkit.files import write_atomic
from gradkit.gradebook.database import GradebookFolder, SubmissionRecord
from gradkit.gradebook.grades import ClassGrades, ItemScore, StudentGrade, open_grades
from gradkit.lms import PLATFORMS, read_student_list
from gradkit.lms.platform import Export, FinalScore, ItemPoints
from gradkit.lms.tables import Cell, format_csv, number_cell, plain_number


class ExportError(GradkitError):
    """A format that the gradebook cannot be written in; the text says why, and what to do."""


def write_gradebook(folder: GradebookFolder) -> Path:
    """Write gradebook.csv beside the database, in place of an older one; return its path.

    Raise ExportError if it cannot be written.
    """
    path = folder.out / "gradebook.csv"
    try:
        return write_atomic(path, export(folder, "csv").text)
    except OSError as error:
        raise ExportError(
            f"{describe(error)} All grades are in the database beside it: `gradkit export` prints "
            "them."
        ) from error


def export(folder: GradebookFolder, form: str, roster: Path | None = None) -> Export:
    """Return the gradebook of a class as "csv", "json", or as one of the PLATFORMS imports it.

    `roster` is the platform's own list. Raise ExportError for a roster without a platform,
    RosterError for one that does not fit, DatabaseError for a format that shows students their
    checks while a grader is at work.
    """
    platform = PLATFORMS.get(form)
    with contextlib.ExitStack() as stack:
        database, class_grades = stack.enter_context(open_grades(folder))
        if platform and platform.shows_checks:
            stack.enter_context(database.closed_epoch())
        records = database.submissions()
    if platform:
        scores, left_out = final_scores(class_grades)
        students = read_student_list(roster, platform) if roster else None
        title, maximum = class_grades.exercise.title, class_grades.maximum
        text, notes = platform.export_scores(title, maximum, scores, students)
        return Export(text, left_out + notes)
    if roster is not None:
        raise ExportError(f"A roster is for a platform. Leave it out for {form}.")
    counting = {
        (each.student, each.record.submission): each for each in class_grades.student_grades
    }
    found = [(record, counting.get((record.student, record.submission))) for record in records]
    rows = [(grade.record if grade else record, grade) for record, grade in found]
    return Export({"csv": _csv_text, "json": _json_text}[form](class_grades, rows), [])


# --- csv and json --------------------------------------------------------------------------------

# A submission, with its student's grade if it is the submission that counts.
GradebookRow = tuple[SubmissionRecord, StudentGrade | None]


def _csv_text(class_grades: ClassGrades, rows: Iterable[GradebookRow]) -> str:
    names = [*class_grades.exercise.names, *(question.name for question in class_grades.questions)]
    header = ["student", "score", "maximum", "status", "submission", *names]
    lines: list[Sequence[Cell]] = [[*header, "late", "deduction", "notes"]]
    for record, grade in rows:
        points = {item.name: item.points for item in grade.items} if grade else {}
        lines.append(
            [
                record.student,
                number_cell(grade.score if grade else None),
                class_grades.maximum,
                record.status,
                record.submission,
                *(number_cell(points.get(name)) for name in names),
                grade.lateness if grade else "",
                number_cell((grade and grade.deduction) or None),
                " ".join(_notes(record, grade)),
            ]
        )
    return format_csv(lines)


def _json_text(class_grades: ClassGrades, rows: Iterable[GradebookRow]) -> str:
    checks = class_grades.exercise.names
    objects = [
        {
            "student": record.student,
            "submission": record.submission,
            "status": record.status,
            "received": record.received,
            "time_source": record.time_source,
            "maximum": class_grades.maximum,
            "score": plain_number(grade.score if grade else None),
            "earned": plain_number(grade.earned if grade else None),
            "late": round(grade.late.total_seconds()) if grade else 0,
            "deduction": (
                plain_number(grade.deduction) if grade and grade.score is not None else None
            ),
            "final": grade is not None and grade.is_final,
            "items": [_item_object(item, checks) for item in grade.items] if grade else [],
            "notes": list(_notes(record, grade)),
        }
        for record, grade in rows
    ]
    return json.dumps(objects, ensure_ascii=False, indent=1) + "\n"


def _item_object(item: ItemScore, checks: Sequence[str]) -> dict[str, Any]:
    return {
        "name": item.name,
        "title": item.title,
        "kind": "check" if item.name in checks else "question",
        "points": plain_number(item.points),
        "out_of": item.out_of,
        "status": item.verdict.status.value if item.verdict else None,
        "mistake": item.verdict.mistake if item.verdict else "",
        "headline": item.verdict.headline if item.verdict else "",
        "by_hand": item.manual is not None and item.manual.points is not None,
        "comment": item.manual.comment if item.manual else "",
    }


def _notes(record: SubmissionRecord, grade: StudentGrade | None) -> Iterator[str]:
    yield from grade.notes if grade else record.notes
    if grade and grade.score is not None and grade.open:
        yield f"Still to be graded by hand: {_titles(grade.open)}."


# --- final scores, for platforms -----------------------------------------------------------------


def final_scores(class_grades: ClassGrades) -> tuple[list[FinalScore], list[str]]:
    """Return the final scores of a class, and a note on each student who has none."""
    scores, notes = [], []
    for grade in class_grades.student_grades:
        if grade.score is None or not grade.is_final:
            notes.append(f"{grade.student} is left out: {_missing(grade)}")
            continue
        late = ""
        if grade.lateness:
            start = f"Late by {grade.lateness}" if grade.late else grade.lateness.capitalize()
            late = f"{start}: {number_cell(grade.deduction)} points less."
        items = tuple(
            ItemPoints(item.title, item.points, item.out_of, _remark(item))
            for item in grade.items
            if item.out_of or item.manual
        )
        submission = grade.record.submission
        scores.append(FinalScore(grade.student, submission, grade.score, items, late))
    return scores, notes


def _remark(item: ItemScore) -> str:
    """Return the comment of the person who graded an item, else the headline of its mistake."""
    if item.manual and (item.manual.comment or item.manual.points is not None):
        return " ".join(item.manual.comment.split())
    headline = item.verdict.headline if item.verdict else ""
    return f"{headline[:1].upper()}{headline[1:]}." if headline else ""


def _missing(grade: StudentGrade) -> str:
    """Return the end of a sentence: why a student has no final score."""
    record = grade.record
    if grade.score is not None:
        ungraded = [item for item in grade.items if item.out_of and item.points is None]
        return f"not graded yet: {_titles(ungraded)}."
    if record.status in ("refused", "failed"):
        return " ".join([f"{record.submission} could not be graded.", *grade.notes])
    if not record.submission:
        return "nothing was handed in."
    return f"{record.submission} has not been graded yet."


def _titles(items: Iterable[ItemScore]) -> str:
    return ", ".join(item.title for item in items)
