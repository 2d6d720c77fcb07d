"""What each student of a class stands at: the points of every check and answer, and their sum.

    ledger (results, what people gave, when it came) -> standings -> gradebook, pages, exports

It is always computed from the ledger, so that a tolerance that was corrected, an answer that was
graded by hand or a new due date is in all of them at once.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from assignment.checks.check import Exercise, load_exercise
from assignment.checks.verdict import Verdict
from assignment.workspace import regions
from gradkit.autograder.version import kit_digest
from gradkit.course.answer_key import spec_digest
from gradkit.course.config import read_config
from gradkit.course.late_policy import LatePolicy, format_lateness
from gradkit.course.questions import Question, answer_digest, is_answered, read_questions
from gradkit.course.starter import starter_files
from gradkit.gradebook.database import (
    GradebookDatabase,
    GradebookFolder,
    GradingResult,
    ManualGrade,
    ResultKey,
    SubmissionRecord,
)


@dataclass(frozen=True)
class ItemScore:
    """One check or question, and what a student has for it.

    Attributes
    ----------
    name, title : str
    out_of : int
        The points that there are.
    points : float or None
        Those that were earned; None where nobody has judged it (yet).
    verdict : Verdict or None
        A check's.
    answer : str
        A question's, as it was handed in.
    manual : Manual or None
        What a person gave instead, and why.
    """

    name: str
    title: str
    out_of: int
    points: float | None
    verdict: Verdict | None = None
    answer: str = ""
    manual: ManualGrade | None = None


@dataclass(frozen=True)
class StudentGrade:
    """One student's, by the submission that counts.

    Attributes
    ----------
    entry : Entry
    result : Result or None
        None where nothing was graded.
    checks, questions : tuple of Item
    late : timedelta
        How late it came; 0 if in time.
    deduction : float
        The points that this costs.
    notes : tuple of str
        What a grader should know.
    """

    record: SubmissionRecord
    result: GradingResult | None
    checks: tuple[ItemScore, ...]
    questions: tuple[ItemScore, ...]
    late: timedelta
    deduction: float
    notes: tuple[str, ...]

    @property
    def student(self) -> str:
        return self.record.student

    @property
    def items(self) -> tuple[ItemScore, ...]:
        return self.checks + self.questions

    @property
    def earned(self) -> float | None:
        """The points so far, before lateness; None where nothing was judged at all."""
        judged = [item.points for item in self.items if item.points is not None]
        return sum(judged) if judged else None

    @property
    def score(self) -> float | None:
        """What counts: never 0 for what could not be graded, but None."""
        return None if self.earned is None else round(self.earned - self.deduction, 2)

    @property
    def maximum(self) -> int:
        return sum(item.out_of for item in self.items)

    @property
    def open(self) -> tuple[ItemScore, ...]:
        """The answers that a person has still to grade."""
        if self.result is None:
            return ()
        return tuple(item for item in self.questions if item.out_of and item.points is None)

    @property
    def is_final(self) -> bool:
        """Whether everything that is worth points has been judged."""
        return all(item.points is not None for item in self.items if item.out_of)


@dataclass(frozen=True)
class ClassGrades:
    """A class, as its ledger knows it: the standings of its students, by name, and of what."""

    exercise: Exercise
    questions: tuple[Question, ...]
    late: LatePolicy
    student_grades: tuple[StudentGrade, ...]

    @property
    def maximum(self) -> int:
        checks = sum(check.points for check in self.exercise.checks)
        return checks + sum(question.points for question in self.questions)


def read_grades(database: GradebookDatabase, name: str, project: Path) -> ClassGrades:
    """The standings of all students in a ledger of the exercise of this name.

    Raises
    ------
    ManifestError
        The manifest is not what it should be.
    """
    exercise, starter = load_exercise(name), starter_files(project, [name])
    config = read_config(project, name)
    nb = regions.read_notebook(starter[exercise.notebook].decode(), exercise.notebook)
    questions = read_questions(nb, config.questions)
    spec = spec_digest(name, project, starter)
    reading = _Reading(database, exercise, questions, config.late, spec)
    return ClassGrades(exercise, questions, config.late, tuple(reading.student_grades()))


class _Reading:
    """Reads the standings out of a ledger."""

    def __init__(
        self,
        database: GradebookDatabase,
        exercise: Exercise,
        questions: tuple[Question, ...],
        late: LatePolicy,
        spec: str,
    ) -> None:
        self.database, self.exercise, self.late, self.spec = database, exercise, late, spec
        self.questions, self.manual = questions, database.manual()
        self.kit = kit_digest()

    def student_grades(self) -> Iterator[StudentGrade]:
        """One for each student: the last submission's, if there are several in the ledger."""
        counting: dict[str, SubmissionRecord] = {}
        for record in self.database.records():
            if record.status != "superseded" and (
                record.submission or record.student not in counting
            ):
                counting[record.student] = record
        yield from map(self._standing, counting.values())

    def _standing(self, record: SubmissionRecord) -> StudentGrade:
        result, notes = None, list(record.notes)
        if record.work and record.status == "graded":
            key = ResultKey(record.student, record.work, self.spec, self.kit)
            result = self.database.latest(key)
            if result and result.key != key:
                notes.append("Graded before exercise or kit were changed.")
        checks = tuple(self._checks(record.student, result))
        questions = tuple(self._questions(record.student, result, notes))
        earned = sum(item.points or 0.0 for item in checks + questions)
        maximum = sum(item.out_of for item in checks + questions)
        received = datetime.fromisoformat(record.received) if record.received else None
        late = self.late.lateness(received)
        deduction = self.late.deduction(received, earned, maximum)
        if result is not None:
            notes += self._about_time(record, late)
        return StudentGrade(record, result, checks, questions, late, deduction, tuple(notes))

    def _checks(self, student: str, result: GradingResult | None) -> Iterator[ItemScore]:
        for check in self.exercise.checks:
            verdict = result.verdicts.get(check.name) if result else None
            manual = self.manual.get((student, check.name))
            points: float | None = verdict.points if verdict else None
            if manual and manual.points is not None:
                points = manual.points
            yield ItemScore(check.name, check.title, check.points, points, verdict, "", manual)

    def _questions(
        self, student: str, result: GradingResult | None, notes: list[str]
    ) -> Iterator[ItemScore]:
        written_answers = result.handed_in["answers"] if result else {}
        for question in self.questions:
            answer = written_answers.get(question.name, "")
            manual = self.manual.get((student, question.name))
            if manual and manual.answer not in ("", answer_digest(answer)):
                manual = None
                notes.append(
                    f"{question.title}: the answer has changed since it was graded by hand, so "
                    "those points do not count."
                )
            points = manual.points if manual else None
            if points is None and result and not is_answered(answer):
                points = 0.0
            if not question.points and manual is None:
                points = None
            yield ItemScore(
                question.name, question.title, question.points, points, None, answer, manual
            )

    def _about_time(self, record: SubmissionRecord, late: timedelta) -> Iterator[str]:
        if late:
            by = "" if record.dated == "told" else ", by the time of its newest file"
            yield f"Late by {format_lateness(late)}{by}."
        elif self.late.due and not record.received:
            yield "Nothing tells when it was handed in, so nothing was taken off for lateness."


@contextlib.contextmanager
def opened(grades: GradebookFolder) -> Iterator[tuple[GradebookDatabase, ClassGrades]]:
    """The ledger of a class, and what it says of the class."""
    database = GradebookDatabase(grades.out, grades.exercise)
    try:
        yield database, read_grades(database, grades.exercise, grades.project)
    finally:
        database.close()
