"""Grade a class: each result in the ledger as soon as it is there.

    grade_class    ledger, exam and its proof, then every submission: read, claimed, graded, settled
    look           one submission, laid out for a person
    reverdict      all results judged again, by the exam as it is now

This process alone writes to the ledger. Who grades is an engine's affair (`worker_pool`).
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from assignment.workspace import regions
from gradkit import GradkitError
from gradkit.autograder.sandbox import Enclosure, probe
from gradkit.autograder.spec import Exam, make_exam
from gradkit.autograder.version import kit_digest
from gradkit.batch.worker_pool import Engine, Processes, Task, work_folder
from gradkit.course.answer_key import exam_digest
from gradkit.course.starter import starter_files, starter_versions
from gradkit.gradebook.database import Entry, Grades, Key, Ledger, Result
from gradkit.submissions.archives import Refused
from gradkit.submissions.discover import Submission, find
from gradkit.submissions.extract import Work, read

STARTS_AND_STOPS = 120.0  # seconds that a work may take besides all its cells' deadlines


@dataclass
class Report:
    """How a run of `grade_class` went: what was graded now, what was there, what is left."""

    graded: int = 0
    there: int = 0
    refused: int = 0
    failed: int = 0
    left: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = [f"{self.graded} graded"]
        said += [f"{self.there} had been graded before"] * bool(self.there)
        said += [f"{self.refused} refused"] * bool(self.refused)
        said += [f"{self.failed} could not be graded"] * bool(self.failed)
        if self.left:
            said.append(
                f"another grader is still at work on {', '.join(self.left)}: run this again"
            )
        return "; ".join(said) + "."


@dataclass(frozen=True)
class Request(Grades):
    """What a grader asks for; see the options of `python -m gradkit grade`."""

    submissions: Path
    jobs: int = 1
    roster: Path | None = None
    seed: int | None = None
    enclosure: Enclosure = Enclosure.SANDBOX
    scheduler: str | None = None


def make_engine(
    request: Request, exam: Exam, kit: str, say: Callable[[str], None], folder: Path
) -> Engine:
    """The engine that is asked for."""
    if request.scheduler is None:
        return Processes(request.jobs, exam, request.enclosure, folder)
    from gradkit.batch.dask_pool import Cluster

    return Cluster(request.scheduler, exam, kit, request.enclosure, say)


def grade_class(
    request: Request, say: Callable[[str], None], make_engine: Callable[..., Engine] = make_engine
) -> Report:
    """Grade all submissions that have no result yet.

    Raises
    ------
    GradkitError
        Nothing can be graded: no sandbox, a ledger of another seed, a solution that does not pass.
    """
    if request.scheduler is None and request.enclosure is not Enclosure.NONE:
        probe(request.enclosure)
    ledger = Ledger(request.out, request.exercise)
    kit = kit_digest()
    with contextlib.closing(ledger), work_folder() as folder:
        exam = open_exam(request, ledger, folder, request.seed)
        with contextlib.closing(make_engine(request, exam, kit, say, folder)) as engine:
            if not ledger.is_proved(exam.digest, kit):
                say("Grading the solution, which has to come through with all points ...")
                prove(exam, request.project, partial(_alone, engine, exam))
                ledger.keep_proved(exam.digest, kit)
            return _Class(request, ledger, exam, kit, say, engine).grade()


def open_exam(grades: Grades, ledger: Ledger, folder: Path, seed: int | None = None) -> Exam:
    """The exam with the ledger's secret seed; its answers are computed once and kept."""
    secret = ledger.secret(seed)
    digest = exam_digest(
        grades.exercise, grades.project, starter_files(grades.project, [grades.exercise])
    )
    kept = ledger.answers(digest)
    exam = make_exam(grades.exercise, grades.project, secret, folder, kept)
    if kept is None:
        ledger.keep_answers(digest, exam.answers)
    return exam


def prove(
    exam: Exam, project: Path, grade: Callable[[dict[str, bytes], dict[str, str]], Any]
) -> None:
    """Grade the solution as a class is graded: an exam that it fails is no exam.

    `grade` is what grades these files and cells.

    Raises
    ------
    GradkitError
        The solution does not pass; the text says which checks, and why.
    """
    exercise = exam.exercise
    files = {path: (project / path).read_bytes() for path in exercise.files}
    text = regions.read_source(project / exercise.notebook)
    cells = regions.extract_cells(regions.read_notebook(text, exercise.notebook), exercise.notebook)
    graded = grade(files, cells)
    lost = [f"{v.title} ({v.headline}: {v.text})" for v in graded.verdicts.values() if not v.passed]
    if lost:
        raise GradkitError(
            f"The solution itself does not pass: {'; '.join(lost)}. Nobody was graded. Run "
            "`python -m gradkit verify`."
        )


def _alone(engine: Engine, exam: Exam, files: dict[str, bytes], cells: dict[str, str]) -> Any:
    """Grade these, with nothing beside it."""
    work = Work(files, cells, {}, None, [], "")
    task = Task(Key("", "", exam.digest, ""), "the solution", work)
    [ended] = engine.grade(iter([task]), _most_seconds(exam), alone=True)
    if ended.graded is None:
        raise GradkitError(f"The solution could not be graded, and nobody was: {ended.why}")
    return ended.graded


def _most_seconds(exam: Exam) -> float:
    """What a work may take, before something else than its own code must be stuck."""
    return STARTS_AND_STOPS + exam.all_deadlines


# --- the class -----------------------------------------------------------------------------------


class _Class:
    """One run over a class's submissions."""

    def __init__(
        self,
        request: Request,
        ledger: Ledger,
        exam: Exam,
        kit: str,
        say: Callable[[str], None],
        engine: Engine,
    ) -> None:
        self.request, self.ledger, self.exam, self.kit, self.say = request, ledger, exam, kit, say
        self.engine = engine
        self.versions = starter_versions(request.project, request.exercise)
        self.report = Report()
        self.bar: Any = None
        self.again: list[Task] = []
        self.work_seconds = _most_seconds(exam)

    def grade(self) -> Report:
        found = find(self.request.submissions, self.exam.exercise, self.request.roster)
        self._retire(found)
        with tqdm(total=len(found), unit="submission", file=sys.stderr) as self.bar:
            self._run(self._tasks(found))
            # What ran out of time beside others gets all of a machine for itself, once.
            again, self.again = self.again, []
            self._run(iter(again), alone=True)
        return self.report

    def _retire(self, found: list[Submission]) -> None:
        """Let what was in the folder before, of a student who has others in it now, count no more.

        Platforms give a submission another name when it is handed in again.
        """
        names: dict[str, set[str]] = {}
        for submission in found:
            names.setdefault(submission.student, set()).add(submission.name)
        for entry in self.ledger.entries():
            if entry.submission not in names.get(entry.student, {entry.submission}):
                note = "It is no longer in the folder, where there is another one."
                self.ledger.enter(replace(entry, status="superseded", notes=(note,)))

    def _tasks(self, found: list[Submission]) -> Iterator[Task]:
        """What is to be graded, one by one; everything else about a submission is entered here."""
        others = []
        for submission in found:
            task = self._enter(submission)
            if task and self._claim(task):
                yield task
            elif task:
                others.append(task)
        for task in others:  # another grader was at work on them when they were looked at first
            if self.ledger.result(task.key) is not None:
                self._is_there(self.ledger.entry(task.key.student, task.name))
            elif self._claim(task):
                yield task
            else:
                self.report.left.append(task.name)

    def _claim(self, task: Task) -> bool:
        # It waits for a worker first, who may have another one.
        return self.ledger.claim(task.key, 2 * self.work_seconds)

    def _enter(self, submission: Submission) -> Task | None:
        """Write a submission down as it is found; the task, if it has to be graded."""
        entry = _entry(submission)
        if submission.superseded or not submission.name:
            self.ledger.enter(entry)
            self._came(entry, None)
            return None
        try:
            work = read(submission, self.exam.exercise)
        except Refused as error:
            # The student is told the first of the notes; the others may name other students.
            refusal = str(error.__cause__ or error)
            refused = replace(entry, status="refused", notes=(refusal, *entry.notes))
            self.ledger.enter(refused)
            self.report.refused += 1
            self._came(refused, None)
            return None
        notes = [*work.notes, *self._of_version(work)]
        key = Key(submission.student, work.digest, self.exam.digest, self.kit)
        there = self.ledger.result(key)
        entry = replace(entry, work=work.digest, notes=tuple(notes))
        task = Task(key, submission.name, work)
        if there and not there.again:
            self._is_there(entry)
            return None
        self.ledger.enter(entry)
        if there:  # it ran out of time, and the grader was stopped before it was tried again
            self.again.append(task)
            return None
        return task

    def _is_there(self, entry: Entry) -> None:
        self.ledger.enter(replace(entry, status="graded"))
        self.report.there += 1
        self._came(entry, None)

    def _of_version(self, work: Work) -> Iterator[str]:
        if work.version and work.version not in self.versions:
            of_today = " and ".join(sorted(self.versions)) or "of no version"
            yield f"Made from a starter {work.version}; those of today are {of_today}."

    def _run(self, tasks: Iterator[Task], alone: bool = False) -> None:
        for ended in self.engine.grade(tasks, self.work_seconds, alone):
            if ended.graded is None:
                self._failed(ended.task, ended.why)
                continue
            result = self._result(ended.task, ended.graded)
            if result.again and not ended.alone:
                self.again.append(ended.task)
                self.ledger.settle(ended.task.key, result)
            else:
                self._settled(ended.task, result)

    def _result(self, task: Task, graded: Any) -> Result:
        handed_in = {
            "files": {path: text.decode("latin-1") for path, text in task.work.files.items()},
            "cells": task.work.cells,
            "answers": task.work.answers,
        }
        return Result(
            task.key,
            graded.verdicts,
            graded.outcomes,
            handed_in,
            graded.seconds,
            again=graded.may_be_the_neighbours(self.exam),
        )

    def _settled(self, task: Task, result: Result) -> None:
        before = self.ledger.result(task.key)
        best = before if before and before.score > result.score else result
        self.ledger.settle(task.key, replace(best, again=False))
        entry = replace(self.ledger.entry(task.key.student, task.name), status="graded")
        self.ledger.enter(entry)
        self.report.graded += 1
        self._came(entry, best)

    def _failed(self, task: Task, why: str) -> None:
        self.ledger.settle(task.key)
        entry = self.ledger.entry(task.key.student, task.name)
        note = f"It could not be graded, through no fault of its own: {why}"
        entry = replace(entry, status="failed", notes=(*entry.notes, note))
        self.ledger.enter(entry)
        self.report.failed += 1
        self._came(entry, None)

    def _came(self, entry: Entry, result: Result | None) -> None:
        """Tell of a submission that is done with."""
        self.bar.update()
        if result:
            out_of = sum(check.points for check in self.exam.exercise.checks)
            self.say(f"{entry.student:24} {result.score:3} of {out_of}  {entry.submission}")
        elif entry.status in ("refused", "failed"):
            note = entry.notes[0 if entry.status == "refused" else -1]
            self.say(f"{entry.student:24} {entry.status}  {entry.submission}: {note}")


def _entry(submission: Submission) -> Entry:
    received = submission.when.isoformat(timespec="seconds") if submission.when else ""
    status = "superseded" if submission.superseded else "waiting"
    if not submission.name:
        status = "nothing handed in"
    return Entry(
        submission.name,
        submission.student,
        received,
        status,
        notes=submission.notes,
        dated=submission.dated,
    )
