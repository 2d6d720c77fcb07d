"""Worker pools: where the submissions of a class are graded, several at a time.

    WorkerPool       grades tasks in parallel, and yields each result as it is ready
    ProcessPool      the worker pool of this machine
    DaskPool         the worker pool of a Dask cluster (gradkit.batch.dask_pool)
    GraderProcess    one process that grades, here or on a machine of the cluster

A worker gets a submission's files and cells, and returns verdicts. Workers are trusted; the
submission runs in the sandbox that its worker starts. Each worker is a process of its own, so that
a submission that ends its worker is known, and costs no other submission a try.
"""

import contextlib
import ctypes
import os
import queue
import signal
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec
from gradkit.errors import GradkitError
from gradkit.gradebook.database import ResultKey, pack_outcomes
from gradkit.submissions.extract import SubmissionContent

if TYPE_CHECKING:  # importing it takes a second, which only workers need to spend
    from gradkit.autograder.grade_submission import GradedSubmission

POLL_INTERVAL = 1.0  # seconds between two looks at how many workers there are
MAX_TRIES = 3  # of a submission whose worker ended
# The memory of a process grows a little with every run of pytest; a new process costs a second.
TASKS_PER_PROCESS = 64
# Besides the deadlines of all cells; when both are over, something else must be stuck.
OVERHEAD_SECONDS = 120.0


class GradingFailed(GradkitError):
    """A submission that could not be graded, through no fault of its own."""


@dataclass(frozen=True)
class Task:
    """A student's submission, to be graded."""

    key: ResultKey
    name: str
    content: SubmissionContent


@dataclass(frozen=True)
class TaskResult:
    """A task with its verdicts, or with the problem that kept it from being graded."""

    task: Task
    graded: "GradedSubmission | None" = None
    problem: str = ""
    alone: bool = False  # nothing else was graded on that machine meanwhile


class WorkerPool(ABC):
    """Workers that grade submissions in parallel."""

    @abstractmethod
    def capacity(self, alone: bool) -> int:
        """Return how many submissions can be graded now; with `alone`, one on each machine.

        Raises
        ------
        GradkitError
            No worker is left, and none will come.
        """

    @abstractmethod
    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        """Begin to grade a task; a cancelled future is submitted again."""

    @abstractmethod
    def close(self) -> None:
        """End all workers that this pool has started."""

    def grade(self, tasks: Iterator[Task], alone: bool = False) -> Iterator[TaskResult]:
        """Grade tasks, and yield their results in the order in which they end.

        At most one task more than there are workers is taken from `tasks`, so that memory does not
        grow with the class. With `alone`, each machine grades one at a time.
        """
        running: dict[Future[GradedSubmission], Task] = {}
        done: queue.SimpleQueue[Future[GradedSubmission]] = queue.SimpleQueue()
        lost: deque[Task] = deque()  # tasks whose future was cancelled
        results: list[TaskResult] = []
        more = True
        while True:
            capacity = self.capacity(alone)
            limit = capacity if alone else capacity + bool(capacity)
            while len(running) < limit and (lost or more):
                task = lost.popleft() if lost else next(tasks, None)
                if task is None:
                    more = False
                    break
                future = self.submit(task, alone)
                running[future] = task
                future.add_done_callback(done.put)
            yield from results  # after the workers are busy again
            if not running and not lost and not more:
                return
            results = []
            with contextlib.suppress(queue.Empty):
                future = done.get(timeout=POLL_INTERVAL)
                task = running.pop(future)
                try:
                    graded = future.result()
                    results = [TaskResult(task, graded, alone=alone or capacity == 1)]
                except CancelledError:
                    lost.append(task)
                except Exception as error:
                    kind = "" if isinstance(error, GradkitError) else f"{type(error).__name__}: "
                    results = [TaskResult(task, problem=f"{kind}{error}"[:500])]


# --- processes of this machine -------------------------------------------------------------------


class GraderProcess:
    """A process that grades one submission at a time; another one takes its place when it ends.

    Its temporary files are in `folder`. Whoever made that removes it: the process may be killed.
    """

    def __init__(self, spec: GradingSpec, isolation: Isolation, folder: Path) -> None:
        self._arguments = (spec, isolation, folder)
        self._max_seconds = OVERHEAD_SECONDS + spec.all_deadlines
        self._executor: ProcessPoolExecutor | None = None
        self._closed = False

    def grade(self, files: Mapping[str, bytes], cells: Mapping[str, str]) -> "GradedSubmission":
        """Grade a submission, with its outcomes packed as the database keeps them.

        Raises
        ------
        GradingFailed
            The process ended, or got stuck, three times.
        """
        for _ in range(MAX_TRIES):
            if self._closed:
                break
            self._executor = self._executor or self._start()
            try:
                future = self._executor.submit(_grade, files, cells)
                return future.result(timeout=self._max_seconds)
            except (BrokenProcessPool, TimeoutError):
                self._kill()
        raise GradingFailed(f"The process that graded it was ended {MAX_TRIES} times.")

    def close(self) -> None:
        self._closed = True
        self._kill()

    def _start(self) -> ProcessPoolExecutor:
        context = get_context("spawn")  # a fork of a process that has threads may hang
        arguments = (os.getpid(), *self._arguments)
        return ProcessPoolExecutor(
            1, context, _begin, arguments, max_tasks_per_child=TASKS_PER_PROCESS
        )

    def _kill(self) -> None:
        executor, self._executor = self._executor, None
        if executor:
            processes = list((executor._processes or {}).values())
            executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()


class ProcessPool(WorkerPool):
    """Grader processes on this machine, each led by a thread."""

    def __init__(self, jobs: int, spec: GradingSpec, isolation: Isolation, folder: Path) -> None:
        self.jobs = jobs
        self._processes = [GraderProcess(spec, isolation, folder) for _ in range(jobs)]
        self._idle: queue.LifoQueue[GraderProcess] = queue.LifoQueue()
        for process in self._processes:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(jobs)

    def capacity(self, alone: bool) -> int:
        return 1 if alone else self.jobs

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        return self._threads.submit(self.grade_one, task.content.files, task.content.cells)

    def grade_one(self, files: Mapping[str, bytes], cells: Mapping[str, str]) -> "GradedSubmission":
        """Grade a submission by the next process that is idle."""
        process = self._idle.get()
        try:
            return process.grade(files, cells)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.close()


_SPEC: list[tuple[GradingSpec, Isolation]] = []  # of a grader process


def _begin(parent: int, spec: GradingSpec, isolation: Isolation, folder: Path) -> None:
    """Make this process a grader: it ends with its parent, to which it leaves Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that call
            os._exit(1)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    tempfile.tempdir = str(folder)
    _SPEC[:] = [(spec, isolation)]


def _grade(files: Mapping[str, bytes], cells: Mapping[str, str]) -> "GradedSubmission":
    [(spec, isolation)] = _SPEC
    from gradkit.autograder.grade_submission import grade_submission

    graded = grade_submission(spec, files, cells, isolation)
    return replace(graded, outcomes=pack_outcomes(graded.outcomes))
