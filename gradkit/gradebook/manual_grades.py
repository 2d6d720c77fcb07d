"""Points and comments that people give: a CSV exported by the manual grading page, or by hand.

    student,item,points,comment,answer
    s01,answer_step,4,"Right, but why 16 digits?",3f2a...
    s02,naive_loss,8,"The file was damaged by the upload.",

An item is a question or a check. `answer` is the digest of the written answer that was graded, and
may be left out. For a check, the points replace the automatic ones, and the comment is the reason,
which the student sees. A row with neither points nor comment removes the manual grade.
"""

import base64
import hmac
import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from gradkit.errors import GradkitError
from gradkit.gradebook.database import GradebookFolder, ManualGrade
from gradkit.gradebook.grades import ClassGrades, open_grades
from gradkit.lms.tables import RosterError, read_tables

COLUMNS = ("student", "item", "points", "comment")
MAX_COMMENT = 10_000  # characters
MAX_PROBLEMS = 10  # that a message lists


class ManualError(GradkitError):
    """A CSV of manual grades that is invalid, so that nothing of it was imported."""


class _InvalidRow(ValueError):
    pass


def display_names(class_grades: ClassGrades, secret: int, hide_names: bool) -> dict[str, str]:
    """Return the name of each student on the manual grading page.

    With `hide_names` it is a pseudonym, which only the database's secret seed links to the student.
    """
    key = f"{secret:032x} names".encode()

    def name(student: str) -> str:
        if not hide_names:
            return student
        digest = hmac.digest(key, student.encode("utf-8", "surrogatepass"), "sha256")
        return f"student {base64.b32encode(digest[:5]).decode()}"

    return {grade.student: name(grade.student) for grade in class_grades.student_grades}


def import_manual(folder: GradebookFolder, path: Path) -> str:
    """Import manual grades from a CSV into the database, and return a summary.

    Raise ManualError, which lists the invalid rows, if there are any; nothing is imported then.
    """
    with open_grades(folder) as (database, class_grades):
        names = display_names(class_grades, database.secret(None), hide_names=True)
        reader, problems = _RowReader(class_grades, names), []
        for number, row in _read_rows(path):
            try:
                reader.add(row)
            except _InvalidRow as error:
                problems.append(f"row {number}: {error}")
        if problems:
            more = len(problems) - MAX_PROBLEMS
            lines = [*problems[:MAX_PROBLEMS], *([f"and {more} more"] * (more > 0))]
            raise ManualError("\n  ".join([f"Nothing of {path} was imported:", *lines]))
        database.save_manual_grades(reader.given, reader.removed)
    checks = sum(manual.item in reader.checks for manual in reader.given)
    counts = {
        "answers graded": len(reader.given) - checks,
        "checks changed by hand": checks,
        "taken back": len(reader.removed),
    }
    parts = [f"{count} {text}" for text, count in counts.items() if count]
    return f"{'; '.join(parts) or 'The table is empty'}."


class _RowReader:
    """Checks rows against the students, checks and questions of a class."""

    def __init__(self, class_grades: ClassGrades, pseudonyms: Mapping[str, str]) -> None:
        self.students = {name: name for name in pseudonyms}
        self.students |= {pseudonym: name for name, pseudonym in pseudonyms.items()}
        self.checks = {check.name: check.points for check in class_grades.exercise.checks}
        self.questions = {question.name: question.points for question in class_grades.questions}
        self.seen: set[tuple[str, str]] = set()
        self.given: list[ManualGrade] = []
        self.removed: list[tuple[str, str]] = []

    def add(self, row: Mapping[str, str]) -> None:
        student, item = self._student(row["student"]), row["item"].strip()
        if item not in self.checks and item not in self.questions:
            known = ", ".join([*self.questions, *self.checks])
            raise _InvalidRow(f"there is no question or check {item!r:.80}; there are: {known}")
        if (student, item) in self.seen:
            raise _InvalidRow(f"there already is a row for {student!r} and {item!r}")
        self.seen.add((student, item))
        points, comment = self._points(row["points"].strip(), item), row["comment"].strip()
        if len(comment) > MAX_COMMENT:
            raise _InvalidRow(f"the comment has more than {MAX_COMMENT:,} characters")
        if points is None and not comment:
            self.removed.append((student, item))
            return
        if item in self.checks and not comment:
            raise _InvalidRow(
                f"{item!r} is a check: give the reason for its points as the comment, which the "
                "student sees"
            )
        digest = row["answer"].strip() if item in self.questions else ""
        self.given.append(ManualGrade(student, item, points, comment, digest))

    def _student(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text)
        # A spreadsheet may have kept the apostrophe that makes a formula harmless.
        for student in (text, text.strip(), text.strip().removeprefix("'")):
            if student in self.students:
                return self.students[student]
        raise _InvalidRow(f"there is no student {text.strip()!r:.90} in the gradebook")

    def _points(self, text: str, item: str) -> float | None:
        if not text:
            return None
        out_of = self.checks.get(item, self.questions.get(item, 0))
        try:
            # Spreadsheets of many countries write 2.5 as 2,5.
            points = float(text.replace(",", "."))
        except ValueError:
            points = math.nan
        if not 0 <= points <= out_of:
            raise _InvalidRow(
                f"{text!r:.40} is not a number of points from 0 to {out_of}, for {item!r}"
            )
        return points


def _read_rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """Read the rows that are not empty, with their numbers."""
    try:
        table = next((table for table in read_tables(path) if table.has(*COLUMNS)), None)
    except RosterError as error:
        raise ManualError(str(error)) from None
    if table is None:
        raise ManualError(
            f"{path} lacks the columns {', '.join(COLUMNS)} in its first row. Export it from the "
            "manual grading page, or add them."
        )
    columns = (*COLUMNS, "answer")
    return [
        (row.number, {column: table.original(row, column) for column in columns})
        for row in table.rows
    ]
