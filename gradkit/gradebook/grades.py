"""Each student's grade: the points of every check and written answer, and their sum.

    database (results, manual grades, submissions) -> ClassGrades -> gradebook, pages, exports

Grades are computed from the database each time, so that a corrected tolerance, a written answer
that was graded, or a new due date is in all of them at once.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from assignment.checks.check import Exercise, load_exercise
from assignment.checks.verdict import Verdict
from assignment.workspace.regions import is_answered, read_notebook
from gradkit.autograder.version import kit_digest
from gradkit.course.answer_key import spec_digest
from gradkit.course.exercise_config import read_config
from gradkit.course.late_policy import LatePolicy, format_lateness
from gradkit.course.questions import Question, answer_digest, read_questions
from gradkit.course.starter import starter_files
from gradkit.gradebook.database import (
    DamagedResult,
    GradebookDatabase,
    GradebookFolder,
    GradingResult,
    ManualGrade,
    ResultKey,
    SubmissionRecord,
)

# Times that are reported, and take no points: a student or a download may have made them.
_HINTS = {"name": "the time in its name", "files": "the time of its newest file"}


@dataclass(frozen=True)
class ItemScore:
    """A student's score for one check or written answer."""

    name: str
    title: str
    out_of: int
    points: float | None  # None for an item that nobody has judged yet
    verdict: Verdict | None = None  # of a check
    answer: str = ""  # the written answer, as it was handed in
    manual: ManualGrade | None = None  # points and comment that a person gave instead
    unassigned: tuple[str, ...] = ()  # other cells of the notebook that may hold the answer

    @property
    def digest(self) -> str:
        """The digest of all that a person reads as the answer."""
        return answer_digest("\n".join([self.answer, *self.unassigned]))


@dataclass(frozen=True)
class StudentGrade:
    """A student's grade, by the submission that counts."""

    record: SubmissionRecord
    result: GradingResult | None  # None if nothing was graded
    checks: tuple[ItemScore, ...]
    questions: tuple[ItemScore, ...]
    late: timedelta  # 0 if in time, and if nobody knows by how much
    deduction: float  # points, for lateness
    notes: tuple[str, ...]  # sentences for the grader

    @property
    def student(self) -> str:
        return self.record.student

    @property
    def lateness(self) -> str:
        """The time by which it is late, such as "2 d 3 h", or that it is marked; "" if in time."""
        if self.late:
            return format_lateness(self.late)
        return "marked as late" if self.deduction else ""

    @property
    def items(self) -> tuple[ItemScore, ...]:
        return self.checks + self.questions

    @property
    def earned(self) -> float | None:
        """Points so far, before the deduction; None if nothing was judged."""
        judged = [item.points for item in self.items if item.points is not None]
        return sum(judged) if judged else None

    @property
    def score(self) -> float | None:
        """Points that count; None, and never 0, for a submission that could not be graded."""
        return None if self.earned is None else round(self.earned - self.deduction, 2)

    @property
    def maximum(self) -> int:
        return sum(item.out_of for item in self.items)

    @property
    def open(self) -> tuple[ItemScore, ...]:
        """The written answers that a person has still to grade."""
        if self.result is None:
            return ()
        return tuple(item for item in self.questions if item.out_of and item.points is None)

    @property
    def is_final(self) -> bool:
        """True if every item that is worth points was judged."""
        return all(item.points is not None for item in self.items if item.out_of)


@dataclass(frozen=True)
class ClassGrades:
    """The grades of a class for one exercise, sorted by student."""

    exercise: Exercise
    questions: tuple[Question, ...]
    late: LatePolicy
    student_grades: tuple[StudentGrade, ...]

    @property
    def maximum(self) -> int:
        checks = sum(check.points for check in self.exercise.checks)
        return checks + sum(question.points for question in self.questions)


@contextlib.contextmanager
def open_grades(folder: GradebookFolder) -> Iterator[tuple[GradebookDatabase, ClassGrades]]:
    """Open the database of a class, and compute its grades."""
    with GradebookDatabase(folder.out, folder.exercise) as database:
        yield database, read_grades(database, folder.exercise, folder.project)


def read_grades(database: GradebookDatabase, name: str, project: Path) -> ClassGrades:
    """Compute the grades of all students in the database of an exercise.

    Raise CourseError if the exercise's configuration is invalid.
    """
    reader = _GradesReader(database, name, project)
    grades = tuple(reader.student_grades())
    return ClassGrades(reader.exercise, reader.questions, reader.late, grades)


class _GradesReader:
    """Computes grades from a database."""

    def __init__(self, database: GradebookDatabase, name: str, project: Path) -> None:
        self.database, self.manual_grades = database, database.manual_grades()
        self.exercise, starter = load_exercise(name), starter_files(project, [name])
        config = read_config(project, name)
        path = self.exercise.notebook
        nb = read_notebook(starter[path].decode(), path)
        self.questions, self.late = read_questions(nb, config.questions), config.late
        self.spec, self.kit = spec_digest(name, project, starter), kit_digest()

    def student_grades(self) -> Iterator[StudentGrade]:
        """Yield one grade per student, by the last submission that is not superseded."""
        counting: dict[str, SubmissionRecord] = {}
        for record in self.database.submissions():
            is_first = record.student not in counting
            if record.status != "superseded" and (record.submission or is_first):
                counting[record.student] = record
        yield from map(self._student_grade, counting.values())

    def _student_grade(self, record: SubmissionRecord) -> StudentGrade:
        result, notes = None, list(record.notes)
        handed_in: Mapping[str, Any] = {}
        if record.content_digest and record.status == "graded":
            key = ResultKey(record.student, record.content_digest, self.spec, self.kit)
            try:
                result = self.database.latest(key)
                if result:
                    parts = ("answers", "unassigned")
                    handed_in = {name: result.handed_in.get(name, {}) for name in parts}
            except DamagedResult as error:
                result = None
                record = replace(record, status="failed")
                notes.append(str(error))
            if result and result.key != key:
                notes.append("Graded before exercise or kit were changed.")
        checks = tuple(self._check_scores(record.student, result))
        questions = tuple(self._question_scores(record.student, result, handed_in, notes))
        earned = sum(item.points or 0.0 for item in checks + questions)
        maximum = sum(item.out_of for item in checks + questions)
        time = datetime.fromisoformat(record.received) if record.received else None
        received = None if record.time_source in _HINTS else time
        late = self.late.lateness(received)
        marked_late = record.time_source == "late mark"
        deduction = self.late.deduction(received, earned, maximum, marked_late)
        if result is not None and self.late.due:
            notes += self._lateness_notes(record.time_source, time)
        return StudentGrade(record, result, checks, questions, late, deduction, tuple(notes))

    def _check_scores(self, student: str, result: GradingResult | None) -> Iterator[ItemScore]:
        for check in self.exercise.checks:
            verdict = result.verdicts.get(check.name) if result else None
            manual = self.manual_grades.get((student, check.name))
            points: float | None = verdict.points if verdict else None
            if manual and manual.points is not None:
                points = manual.points
            yield ItemScore(check.name, check.title, check.points, points, verdict, "", manual)

    def _question_scores(
        self,
        student: str,
        result: GradingResult | None,
        handed_in: Mapping[str, Any],
        notes: list[str],
    ) -> Iterator[ItemScore]:
        for question in self.questions:
            item = ItemScore(
                question.name,
                question.title,
                question.points,
                points=None,
                answer=handed_in.get("answers", {}).get(question.name, ""),
                unassigned=tuple(handed_in.get("unassigned", {}).get(question.name, ())),
            )
            manual = self.manual_grades.get((student, question.name))
            if manual and manual.answer_digest not in ("", item.digest):
                manual = None
                notes.append(
                    f"{question.title}: the answer has changed since it was graded by hand, so "
                    "those points do not count."
                )
            points = manual.points if manual else None
            if points is None and result and not (is_answered(item.answer) or item.unassigned):
                points = 0.0
            if not question.points and manual is None:
                points = None
            yield replace(item, points=points, manual=manual)

    def _lateness_notes(self, source: str, time: datetime | None) -> Iterator[str]:
        """Yield how late a submission is, and what a person has to decide."""
        late = self.late.lateness(time)
        no_points = (
            "No points were deducted, since nothing tells when it was submitted. Write that into "
            "the roster's column `submitted`, and grade again."
        )
        if late and source in _HINTS:
            yield f"By {_HINTS[source]} it would be late by {format_lateness(late)}. {no_points}"
        elif late and time:
            zone = "" if time.tzinfo else ", if its time is in the offset of the due date"
            yield f"Late by {format_lateness(late)}{zone}."
        elif source == "late mark" and not self.late.deduction(None, 1, 1, marked_late=True):
            yield no_points
        elif not source:
            yield "The time of the submission is unknown, so no points were deducted for lateness."
