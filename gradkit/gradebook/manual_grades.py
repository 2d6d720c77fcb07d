"""What people give: a CSV with points and comments, as answers.html exports it or a hand writes it.

    student,item,points,comment,answer
    s01,answer_step,4,"Right, but why 16 digits?",3f2a...
    s02,naive_loss,8,"The file was damaged by the upload.",

An item is a question or a check. For a question, points and comment are what a person thinks of the
answer; `answer` tells which answer was read, and may be left out. For a check they replace what the
kit found, and the comment is the reason, which the student sees. A row with neither takes back what
was given before.
"""

import base64
import csv
import hmac
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradkit.errors import GradkitError
from gradkit.gradebook.database import GradebookFolder, ManualGrade
from gradkit.gradebook.grades import ClassGrades, opened


def display_names(class_grades: ClassGrades, secret: int, hide_names: bool) -> dict[str, str]:
    """How the students are called on the page: by their ids, or by names that only the ledger's
    seed can tell whose they are.
    """
    students = [student_grade.student for student_grade in class_grades.student_grades]
    if not hide_names:
        return {student: student for student in students}
    key = f"{secret:032x} names".encode()

    def hidden(student: str) -> str:
        digest = hmac.digest(key, student.encode("utf-8", "surrogatepass"), "sha256")
        return f"student {base64.b32encode(digest[:5]).decode()}"

    return {student: hidden(student) for student in students}


COLUMNS = ("student", "item", "points", "comment")

MAX_BYTES = 20_000_000

MAX_COMMENT = 10_000  # characters

MAX_TOLD = 10


class ManualError(GradkitError):
    """A CSV cannot be taken; the text says which rows, and why. Nothing of it was."""


@dataclass
class Read:
    """What a CSV says."""

    given: list[ManualGrade] = field(default_factory=list)
    taken_back: list[tuple[str, str]] = field(default_factory=list)
    checks: int = 0

    def told(self) -> str:
        answers = len(self.given) - self.checks
        said = [f"{answers} answers graded"] * bool(answers)
        said += [f"{self.checks} checks changed by hand"] * bool(self.checks)
        said += [f"{len(self.taken_back)} taken back"] * bool(self.taken_back)
        return f"{'; '.join(said) or 'There was nothing in it'}."


def read_manual(path: Path, class_grades: ClassGrades, hidden: Mapping[str, str]) -> Read:
    """Read what people gave; `hidden` are the students' names where they were hidden from graders.

    Raises
    ------
    ManualError
        Rows are not as they should be, all of which are named.
    """
    table = _rows(path)
    reading = _Reading(class_grades, {name: student for student, name in hidden.items()})
    faults = []
    for number, row in table:
        try:
            reading.take(row)
        except _Fault as fault:
            faults.append(f"row {number}: {fault}")
    if faults:
        more = len(faults) - MAX_TOLD
        lines = [*faults[:MAX_TOLD], *([f"and {more} more"] * (more > 0))]
        raise ManualError("\n  ".join([f"Nothing of {path} was taken:", *lines]))
    return reading.read


class _Fault(ValueError):
    """What is wrong with a row."""


class _Reading:
    def __init__(self, class_grades: ClassGrades, shown: Mapping[str, str]) -> None:
        self.read, self.shown = Read(), shown
        self.students = {student_grade.student for student_grade in class_grades.student_grades}
        self.checks = {check.name: check.points for check in class_grades.exercise.checks}
        self.questions = {question.name: question.points for question in class_grades.questions}
        self.seen: set[tuple[str, str]] = set()

    def take(self, row: Mapping[str, str]) -> None:
        student, item = self._student(row["student"]), row["item"].strip()
        if item not in self.checks and item not in self.questions:
            known = ", ".join([*self.questions, *self.checks])
            raise _Fault(f"there is no question or check {item!r:.80}; there are: {known}")
        if (student, item) in self.seen:
            raise _Fault(f"there already is a row for {student!r} and {item!r}")
        self.seen.add((student, item))
        points, comment = self._points(row["points"], item), row["comment"].strip()
        if len(comment) > MAX_COMMENT:
            raise _Fault(f"the comment has more than {MAX_COMMENT:,} characters")
        if points is None and not comment:
            self.read.taken_back.append((student, item))
            return
        if item in self.checks:
            self.read.checks += 1
            if not comment:
                raise _Fault(
                    f"{item!r} is a check, and whoever changes its points gives a reason, as the "
                    "comment: the student sees it"
                )
        answer = row.get("answer", "").strip() if item in self.questions else ""
        self.read.given.append(ManualGrade(student, item, points, comment, answer))

    def _student(self, text: str) -> str:
        # A spreadsheet may have kept the apostrophe that makes a formula harmless.
        for student in (text, text.strip(), text.strip().removeprefix("'")):
            student = self.shown.get(student, student)
            if student in self.students:
                return student
        raise _Fault(f"there is no student {text.strip()!r:.90} in the ledger")

    def _points(self, text: str, item: str) -> float | None:
        text = text.strip()
        if not text:
            return None
        most = self.checks.get(item, self.questions.get(item, 0))
        try:
            # In many countries' spreadsheets 2.5 is 2,5.
            points = float(text.replace(",", "."))
        except ValueError:
            points = math.nan
        if not 0 <= points <= most:
            raise _Fault(f"{text!r:.40} is not a number of points from 0 to {most}, for {item!r}")
        return points


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ManualError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ManualError(f"{path} is not UTF-8. Save it as `CSV UTF-8`.") from None
    if len(content) > MAX_BYTES:
        raise ManualError(f"{path} has more than {MAX_BYTES:,} bytes.")
    for delimiter in ",;\t":
        try:
            reader = csv.DictReader(
                text.splitlines(keepends=True), restval="", delimiter=delimiter, strict=True
            )
            header = [str(name).strip().casefold() for name in reader.fieldnames or ()]
            if set(COLUMNS) <= set(header):
                reader.fieldnames = header
                rows = [(reader.line_num, row) for row in reader]
                return ((number, row) for number, row in rows if any(map(_is_text, row.values())))
        except csv.Error as error:
            raise ManualError(f"{path} is not CSV: {error}.") from None
    raise ManualError(
        f"{path} does not have the columns {', '.join(COLUMNS)} in its first row. Export it from "
        "answers.html, or write them there."
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def import_manual(grades: GradebookFolder, path: Path) -> str:
    """Take what people gave from a CSV into the ledger, all of it or nothing; what there was.

    Raises
    ------
    ManualError
        A row is not as it should be.
    """
    with opened(grades) as (database, class_grades):
        hidden = display_names(class_grades, database.secret(None), hide_names=True)
        read = read_manual(path, class_grades, hidden)
        database.save_manual_grades(read.given, read.taken_back)
        return read.told()
