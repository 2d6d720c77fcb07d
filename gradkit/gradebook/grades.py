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
from gradkit.course.answer_key import exam_digest
from gradkit.course.config import read_manifest
from gradkit.course.late_policy import Late, how_long
from gradkit.course.questions import Question, answer_digest, is_answered, read_questions
from gradkit.course.starter import starter_files
from gradkit.gradebook.database import Entry, Grades, Key, Ledger, Manual, Result


@dataclass(frozen=True)
class Item:
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
    manual: Manual | None = None


@dataclass(frozen=True)
class Standing:
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

    entry: Entry
    result: Result | None
    checks: tuple[Item, ...]
    questions: tuple[Item, ...]
    late: timedelta
    deduction: float
    notes: tuple[str, ...]

    @property
    def student(self) -> str:
        return self.entry.student

    @property
    def items(self) -> tuple[Item, ...]:
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
    def open(self) -> tuple[Item, ...]:
        """The answers that a person has still to grade."""
        if self.result is None:
            return ()
        return tuple(item for item in self.questions if item.out_of and item.points is None)

    @property
    def is_final(self) -> bool:
        """Whether everything that is worth points has been judged."""
        return all(item.points is not None for item in self.items if item.out_of)


@dataclass(frozen=True)
class Class:
    """A class, as its ledger knows it: the standings of its students, by name, and of what."""

    exercise: Exercise
    questions: tuple[Question, ...]
    late: Late
    standings: tuple[Standing, ...]

    @property
    def maximum(self) -> int:
        checks = sum(check.points for check in self.exercise.checks)
        return checks + sum(question.points for question in self.questions)


def read_class(ledger: Ledger, name: str, project: Path) -> Class:
    """The standings of all students in a ledger of the exercise of this name.

    Raises
    ------
    ManifestError
        The manifest is not what it should be.
    """
    exercise, starter = load_exercise(name), starter_files(project, [name])
    manifest = read_manifest(project / "grading" / name / "exercise.toml")
    nb = regions.read_notebook(starter[exercise.notebook].decode(), exercise.notebook)
    questions = read_questions(nb, manifest.questions)
    exam = exam_digest(name, project, starter)
    reading = _Reading(ledger, exercise, questions, manifest.late, exam)
    return Class(exercise, questions, manifest.late, tuple(reading.standings()))


class _Reading:
    """Reads the standings out of a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        exercise: Exercise,
        questions: tuple[Question, ...],
        late: Late,
        exam: str,
    ) -> None:
        self.ledger, self.exercise, self.late, self.exam = ledger, exercise, late, exam
        self.questions, self.manual = questions, ledger.manual()
        self.kit = kit_digest()

    def standings(self) -> Iterator[Standing]:
        """One for each student: the last submission's, if there are several in the ledger."""
        counting: dict[str, Entry] = {}
        for entry in self.ledger.entries():
            if entry.status != "superseded" and (entry.submission or entry.student not in counting):
                counting[entry.student] = entry
        yield from map(self._standing, counting.values())

    def _standing(self, entry: Entry) -> Standing:
        result, notes = None, list(entry.notes)
        if entry.work and entry.status == "graded":
            key = Key(entry.student, entry.work, self.exam, self.kit)
            result = self.ledger.latest(key)
            if result and result.key != key:
                notes.append("Graded before exercise or kit were changed.")
        checks = tuple(self._checks(entry.student, result))
        questions = tuple(self._questions(entry.student, result, notes))
        earned = sum(item.points or 0.0 for item in checks + questions)
        maximum = sum(item.out_of for item in checks + questions)
        received = datetime.fromisoformat(entry.received) if entry.received else None
        late = self.late.by(received)
        deduction = self.late.deduction(received, earned, maximum)
        if result is not None:
            notes += self._about_time(entry, late)
        return Standing(entry, result, checks, questions, late, deduction, tuple(notes))

    def _checks(self, student: str, result: Result | None) -> Iterator[Item]:
        for check in self.exercise.checks:
            verdict = result.verdicts.get(check.name) if result else None
            manual = self.manual.get((student, check.name))
            points: float | None = verdict.points if verdict else None
            if manual and manual.points is not None:
                points = manual.points
            yield Item(check.name, check.title, check.points, points, verdict, "", manual)

    def _questions(self, student: str, result: Result | None, notes: list[str]) -> Iterator[Item]:
        answers = result.handed_in["answers"] if result else {}
        for question in self.questions:
            answer = answers.get(question.name, "")
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
            yield Item(question.name, question.title, question.points, points, None, answer, manual)

    def _about_time(self, entry: Entry, late: timedelta) -> Iterator[str]:
        if late:
            by = "" if entry.dated == "told" else ", by the time of its newest file"
            yield f"Late by {how_long(late)}{by}."
        elif self.late.due and not entry.received:
            yield "Nothing tells when it was handed in, so nothing was taken off for lateness."


@contextlib.contextmanager
def opened(grades: Grades) -> Iterator[tuple[Ledger, Class]]:
    """The ledger of a class, and what it says of the class."""
    ledger = Ledger(grades.out, grades.exercise)
    try:
        yield ledger, read_class(ledger, grades.exercise, grades.project)
    finally:
        ledger.close()
