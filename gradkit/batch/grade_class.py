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
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.autograder.version import kit_digest
from gradkit.batch.worker_pool import ProcessPool, Task, WorkerPool, work_folder
from gradkit.course.answer_key import spec_digest
from gradkit.course.starter import starter_files, starter_versions
from gradkit.errors import GradkitError
from gradkit.gradebook.database import (
    GradebookDatabase,
    GradebookFolder,
    GradingResult,
    ResultKey,
    SubmissionRecord,
)
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import Submission, find_submissions
from gradkit.submissions.extract import SubmissionContent, read_submission

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
class Request(GradebookFolder):
    """What a grader asks for; see the options of `python -m gradkit grade`."""

    submissions: Path
    jobs: int = 1
    roster: Path | None = None
    seed: int | None = None
    isolation: Isolation = Isolation.SANDBOX
    scheduler: str | None = None


def open_pool(
    request: Request, spec: GradingSpec, kit: str, say: Callable[[str], None], folder: Path
) -> WorkerPool:
    """The engine that is asked for."""
    if request.scheduler is None:
        return ProcessPool(request.jobs, spec, request.isolation, folder)
    from gradkit.batch.dask_pool import DaskPool

    return DaskPool(request.scheduler, spec, kit, request.isolation, say)


def grade_class(
    request: Request, say: Callable[[str], None], open_pool: Callable[..., WorkerPool] = open_pool
) -> Report:
    """Grade all submissions that have no result yet.

    Raises
    ------
    GradkitError
        Nothing can be graded: no sandbox, a ledger of another seed, a solution that does not pass.
    """
    if request.scheduler is None and request.isolation is not Isolation.NONE:
        self_test(request.isolation)
    database = GradebookDatabase(request.out, request.exercise)
    kit = kit_digest()
    with contextlib.closing(database), work_folder() as folder:
        spec = open_spec(request, database, folder, request.seed)
        with contextlib.closing(open_pool(request, spec, kit, say, folder)) as pool:
            if not database.is_verified(spec.digest, kit):
                say("Grading the solution, which has to come through with all points ...")
                prove(spec, request.project, partial(_alone, pool, spec))
                database.mark_verified(spec.digest, kit)
            return _Class(request, database, spec, kit, say, pool).grade()


def open_spec(
    grades: GradebookFolder, database: GradebookDatabase, folder: Path, seed: int | None = None
) -> GradingSpec:
    """The exam with the ledger's secret seed; its answers are computed once and kept."""
    secret = database.secret(seed)
    digest = spec_digest(
        grades.exercise, grades.project, starter_files(grades.project, [grades.exercise])
    )
    kept = database.answer_key(digest)
    spec = build_spec(grades.exercise, grades.project, secret, folder, kept)
    if kept is None:
        database.save_answer_key(digest, spec.answer_key)
    return spec


def prove(
    spec: GradingSpec, project: Path, grade: Callable[[dict[str, bytes], dict[str, str]], Any]
) -> None:
    """Grade the solution as a class is graded: an exam that it fails is no exam.

    `grade` is what grades these files and cells.

    Raises
    ------
    GradkitError
        The solution does not pass; the text says which checks, and why.
    """
    exercise = spec.exercise
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


def _alone(
    pool: WorkerPool, spec: GradingSpec, files: dict[str, bytes], cells: dict[str, str]
) -> Any:
    """Grade these, with nothing beside it."""
    work = SubmissionContent(files, cells, {}, None, [], "")
    task = Task(ResultKey("", "", spec.digest, ""), "the solution", work)
    [ended] = pool.grade(iter([task]), _most_seconds(spec), alone=True)
    if ended.graded is None:
        raise GradkitError(f"The solution could not be graded, and nobody was: {ended.why}")
    return ended.graded


def _most_seconds(spec: GradingSpec) -> float:
    """What a work may take, before something else than its own code must be stuck."""
    return STARTS_AND_STOPS + spec.all_deadlines


# --- the class -----------------------------------------------------------------------------------


class _Class:
    """One run over a class's submissions."""

    def __init__(
        self,
        request: Request,
        database: GradebookDatabase,
        spec: GradingSpec,
        kit: str,
        say: Callable[[str], None],
        pool: WorkerPool,
    ) -> None:
        self.request, self.database, self.spec, self.kit, self.say = (
            request,
            database,
            spec,
            kit,
            say,
        )
        self.pool = pool
        self.versions = starter_versions(request.project, request.exercise)
        self.report = Report()
        self.bar: Any = None
        self.again: list[Task] = []
        self.work_seconds = _most_seconds(spec)

    def grade(self) -> Report:
        found = find_submissions(self.request.submissions, self.spec.exercise, self.request.roster)
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
        for record in self.database.records():
            if record.submission not in names.get(record.student, {record.submission}):
                note = "It is no longer in the folder, where there is another one."
                self.database.save_submission(replace(record, status="superseded", notes=(note,)))

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
            if self.database.result(task.key) is not None:
                self._is_there(self.database.record(task.key.student, task.name))
            elif self._claim(task):
                yield task
            else:
                self.report.left.append(task.name)

    def _claim(self, task: Task) -> bool:
        # It waits for a worker first, who may have another one.
        return self.database.claim(task.key, 2 * self.work_seconds)

    def _enter(self, submission: Submission) -> Task | None:
        """Write a submission down as it is found; the task, if it has to be graded."""
        record = _entry(submission)
        if submission.superseded or not submission.name:
            self.database.save_submission(record)
            self._came(record, None)
            return None
        try:
            work = read_submission(submission, self.spec.exercise)
        except SubmissionRejected as error:
            # The student is told the first of the notes; the others may name other students.
            refusal = str(error.__cause__ or error)
            refused = replace(record, status="refused", notes=(refusal, *record.notes))
            self.database.save_submission(refused)
            self.report.refused += 1
            self._came(refused, None)
            return None
        notes = [*work.notes, *self._of_version(work)]
        key = ResultKey(submission.student, work.digest, self.spec.digest, self.kit)
        there = self.database.result(key)
        record = replace(record, work=work.digest, notes=tuple(notes))
        task = Task(key, submission.name, work)
        if there and not there.again:
            self._is_there(record)
            return None
        self.database.save_submission(record)
        if there:  # it ran out of time, and the grader was stopped before it was tried again
            self.again.append(task)
            return None
        return task

    def _is_there(self, record: SubmissionRecord) -> None:
        self.database.save_submission(replace(record, status="graded"))
        self.report.there += 1
        self._came(record, None)

    def _of_version(self, work: SubmissionContent) -> Iterator[str]:
        if work.version and work.version not in self.versions:
            of_today = " and ".join(sorted(self.versions)) or "of no version"
            yield f"Made from a starter {work.version}; those of today are {of_today}."

    def _run(self, tasks: Iterator[Task], alone: bool = False) -> None:
        for ended in self.pool.grade(tasks, self.work_seconds, alone):
            if ended.graded is None:
                self._failed(ended.task, ended.why)
                continue
            result = self._result(ended.task, ended.graded)
            if result.again and not ended.alone:
                self.again.append(ended.task)
                self.database.save_result(ended.task.key, result)
            else:
                self._settled(ended.task, result)

    def _result(self, task: Task, graded: Any) -> GradingResult:
        handed_in = {
            "files": {path: text.decode("latin-1") for path, text in task.work.files.items()},
            "cells": task.work.cells,
            "answers": task.work.written_answers,
        }
        return GradingResult(
            task.key,
            graded.verdicts,
            graded.outcomes,
            handed_in,
            graded.seconds,
            again=graded.may_be_the_neighbours(self.spec),
        )

    def _settled(self, task: Task, result: GradingResult) -> None:
        before = self.database.result(task.key)
        best = before if before and before.score > result.score else result
        self.database.save_result(task.key, replace(best, again=False))
        record = replace(self.database.record(task.key.student, task.name), status="graded")
        self.database.save_submission(record)
        self.report.graded += 1
        self._came(record, best)

    def _failed(self, task: Task, why: str) -> None:
        self.database.save_result(task.key)
        record = self.database.record(task.key.student, task.name)
        note = f"It could not be graded, through no fault of its own: {why}"
        record = replace(record, status="failed", notes=(*record.notes, note))
        self.database.save_submission(record)
        self.report.failed += 1
        self._came(record, None)

    def _came(self, record: SubmissionRecord, result: GradingResult | None) -> None:
        """Tell of a submission that is done with."""
        self.bar.update()
        if result:
            out_of = sum(check.points for check in self.spec.exercise.checks)
            self.say(f"{record.student:24} {result.score:3} of {out_of}  {record.submission}")
        elif record.status in ("refused", "failed"):
            note = record.notes[0 if record.status == "refused" else -1]
            self.say(f"{record.student:24} {record.status}  {record.submission}: {note}")


def _entry(submission: Submission) -> SubmissionRecord:
    received = submission.when.isoformat(timespec="seconds") if submission.when else ""
    status = "superseded" if submission.superseded else "waiting"
    if not submission.name:
        status = "nothing handed in"
    return SubmissionRecord(
        submission.name,
        submission.student,
        received,
        status,
        notes=submission.notes,
        dated=submission.dated,
    )
