"""Grade a class: every submission in a folder, with each result in the database once it is there.

    found -> read -> graded by a worker pool -> saved

Before the first submission without a result, the grading spec is built, and the solution graded.
Only this process writes to the database.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from assignment.checks.check import load_exercise
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.autograder.version import kit_digest
from gradkit.batch.run_folder import run_folder
from gradkit.batch.worker_pool import ProcessPool, Task, WorkerPool
from gradkit.course.answer_key import spec_digest
from gradkit.course.exercises import read_solution
from gradkit.course.starter import starter_files, starter_versions
from gradkit.errors import GradkitError
from gradkit.gradebook.database import (
    DamagedResult,
    GradebookDatabase,
    GradebookFolder,
    GradingResult,
    ResultKey,
    SubmissionRecord,
)
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import Submission, find_submissions
from gradkit.submissions.extract import SubmissionContent, read_submission


@dataclass
class Report:
    """Counts of submissions in one run of `grade_class`."""

    graded: int = 0
    there: int = 0
    refused: int = 0
    failed: int = 0

    def __str__(self) -> str:
        others = {
            "had been graded before": self.there,
            "refused": self.refused,
            "could not be graded": self.failed,
        }
        counts = [f"{count} {text}" for text, count in others.items() if count]
        return "; ".join([f"{self.graded} graded", *counts]) + "."


@dataclass(frozen=True)
class Request(GradebookFolder):
    """The arguments of `gradkit grade`."""

    submissions: Path
    jobs: int = 1
    roster: Path | None = None
    seed: int | None = None
    isolation: Isolation = Isolation.SANDBOX
    scheduler: str | None = None


def open_pool(
    request: Request, spec: GradingSpec, say: Callable[[str], None], folder: Path
) -> WorkerPool:
    if request.scheduler is None:
        return ProcessPool(request.jobs, spec, request.isolation, folder)
    try:
        from gradkit.batch.dask_pool import DaskPool
    except ImportError as error:
        raise GradkitError(
            f"Dask is not installed ({error}). Run: pip install -e '.[cluster]'"
        ) from error
    return DaskPool(request.scheduler, spec, request.isolation, say)


def grade_class(
    request: Request, say: Callable[[str], None], open_pool: Callable[..., WorkerPool] = open_pool
) -> Report:
    """Grade all submissions that have no result yet.

    Raise GradkitError if nothing can be graded: the sandbox is missing, the database has another
    seed or another grader, or the solution does not pass.
    """
    if request.scheduler is None and request.isolation is not Isolation.NONE:
        self_test(request.isolation)
    database = GradebookDatabase(request.out, request.exercise)
    with database, database.only_grader():
        database.secret(request.seed)
        return _ClassGrader(request, database, say, open_pool).grade()


def open_spec(
    folder: GradebookFolder, database: GradebookDatabase, data: Path, epoch: int
) -> GradingSpec:
    """Build the grading spec of an epoch of the database, with its data in the folder `data`."""
    name, project = folder.exercise, folder.project
    digest = spec_digest(name, project, starter_files(project, [name]))
    saved = database.answer_key(digest, epoch)
    spec = build_spec(name, project, database.epoch_secret(epoch), data, saved)
    if saved is None:
        database.save_answer_key(digest, epoch, spec.answer_key)
    return spec


def verify_solution(
    spec: GradingSpec, project: Path, grade: Callable[[SubmissionContent], Any]
) -> None:
    """Grade the solution by `grade`; raise GradkitError, naming checks, if it lost points."""
    files, cells = read_solution(spec.exercise, project)
    graded = grade(SubmissionContent(files, cells, {}, None, [], ""))
    lost = [f"{v.title} ({v.headline}: {v.text})" for v in graded.verdicts.values() if not v.passed]
    if lost:
        raise GradkitError(
            f"The solution itself does not pass: {'; '.join(lost)}. Nobody was graded. Run "
            "`gradkit verify`."
        )


def _grade_solution(pool: WorkerPool, spec: GradingSpec, content: SubmissionContent) -> Any:
    task = Task(ResultKey("", "", spec.digest, ""), "the solution", content)
    [result] = pool.grade(iter([task]))
    if result.graded is None:
        raise GradkitError(f"The solution could not be graded, and nobody was: {result.problem}")
    return result.graded


class _ClassGrader:
    """One run over a class's submissions."""

    def __init__(
        self,
        request: Request,
        database: GradebookDatabase,
        say: Callable[[str], None],
        open_pool: Callable[..., WorkerPool],
    ) -> None:
        self.request, self.database = request, database
        self.say, self._open_pool = say, open_pool
        self.exercise, self.kit = load_exercise(request.exercise), kit_digest()
        self.epoch = database.epoch()
        starter = starter_files(request.project, [request.exercise])
        self.digest = spec_digest(request.exercise, request.project, starter)
        self.versions = starter_versions(request.project, request.exercise)
        self.report = Report()
        self.bar: Any = None

    def grade(self) -> Report:
        found = find_submissions(self.request.submissions, self.exercise, self.request.roster)
        self._mark_superseded(found)
        with tqdm(total=len(found), unit="submission", file=sys.stderr) as self.bar:
            tasks = (task for each in found if (task := self._record(each)))
            first = next(tasks, None)
            if first:
                with self._open_spec_and_pool() as (self.spec, self.pool):
                    for ended in self.pool.grade(chain([first], tasks)):
                        if ended.graded is None:
                            self._save_failed(ended.task, ended.problem)
                        else:
                            self._save_graded(ended.task, ended.graded)
        return self.report

    @contextlib.contextmanager
    def _open_spec_and_pool(self) -> Iterator[tuple[GradingSpec, WorkerPool]]:
        """Build the spec of the current epoch, and open the pool; verify the solution with them."""
        with run_folder(self.request.isolation) as folder:
            spec = open_spec(self.request, self.database, folder, self.epoch)
            pool = self._open_pool(self.request, spec, self.say, folder)
            with contextlib.closing(pool):
                if not self.database.is_verified(self.digest, self.epoch, self.kit):
                    self.say("Grading the solution, which must earn all points ...")
                    grade = partial(_grade_solution, pool, spec)
                    verify_solution(spec, self.request.project, grade)
                    self.database.mark_verified(self.digest, self.epoch, self.kit)
                yield spec, pool

    def _mark_superseded(self, found: list[Submission]) -> None:
        """Mark a student's older submissions as superseded.

        Platforms give a submission another name when it is handed in again.
        """
        names: dict[str, set[str]] = {}
        for submission in found:
            names.setdefault(submission.student, set()).add(submission.name)
        for record in self.database.submissions():
            if record.submission not in names.get(record.student, {record.submission}):
                note = "It is no longer in the folder, where there is another one."
                self.database.save_submission(replace(record, status="superseded", notes=(note,)))

    def _record(self, submission: Submission) -> Task | None:
        """Save the record of a submission; return its task if it has to be graded now."""
        status = "superseded" if submission.superseded else "waiting"
        record = SubmissionRecord(
            submission.name,
            submission.student,
            submission.received.isoformat(timespec="seconds") if submission.received else "",
            status if submission.name else "nothing handed in",
            notes=submission.notes,
            time_source=submission.time_source,
        )
        if submission.superseded or not submission.name:
            self._save(record)
            return None
        try:
            content = read_submission(submission, self.exercise)
        except SubmissionRejected as error:
            # The first note is for the student; the others may name other students.
            self.report.refused += 1
            record = replace(record, status="refused", notes=(str(error), *record.notes))
            self._save(record, f"refused  {record.submission}: {error}")
            return None
        notes = list(content.notes)
        if content.version and content.version not in self.versions:
            current = " and ".join(sorted(self.versions)) or "of no version"
            notes.append(f"Made from a starter {content.version}; those of today are {current}.")
        record = replace(record, content_digest=content.digest, notes=tuple(notes))
        key = ResultKey(submission.student, content.digest, self.digest, self.kit)
        result = None
        with contextlib.suppress(DamagedResult):  # graded again
            result = self.database.result(key)
        if result:
            self.report.there += 1
            self._save(replace(record, status="graded"))
            return None
        self.database.save_submission(record)
        return Task(key, submission.name, content)

    def _save_graded(self, task: Task, graded: Any) -> None:
        handed_in = {
            "files": {path: text.decode("latin-1") for path, text in task.content.files.items()},
            "cells": task.content.cells,
            "answers": task.content.written_answers,
            "unassigned": task.content.unassigned,
        }
        result = GradingResult(
            task.key, graded.verdicts, graded.outcomes, handed_in, graded.seconds, epoch=self.epoch
        )
        self.database.save_result(result)
        self.report.graded += 1
        out_of = sum(check.points for check in self.exercise.checks)
        record = self.database.submission(task.key.student, task.name)
        self._save(replace(record, status="graded"), f"{result.score:3} of {out_of}  {task.name}")

    def _save_failed(self, task: Task, problem: str) -> None:
        self.report.failed += 1
        record = self.database.submission(task.key.student, task.name)
        note = f"It could not be graded; the same command tries it again. {problem}"
        record = replace(record, status="failed", notes=(*record.notes, note))
        self._save(record, f"failed  {task.name}: {note}")

    def _save(self, record: SubmissionRecord, text: str = "") -> None:
        """Save the last record of a submission in this run, and print what became of it."""
        self.database.save_submission(record)
        self.bar.update()
        if text:
            self.say(f"{record.student:24} {text}")
