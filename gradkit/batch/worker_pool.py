"""Worker pools: where the submissions of a class are graded, several at a time.

A worker gets a submission's files and cells, and returns verdicts. Workers are trusted; the
submission runs in the sandbox that its worker starts. Each worker is a process of its own, so that
a submission that ends its worker is known, and costs no other submission a try.
"""

import contextlib
import ctypes
import os
import pickle
import queue
import signal
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from gradkit.autograder.own_time import OwnTime
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec
from gradkit.errors import GradkitError, describe
from gradkit.gradebook.database import ResultKey, pack_outcomes
from gradkit.processes import descendants
from gradkit.submissions.extract import SubmissionContent

if TYPE_CHECKING:  # importing it takes a second, which only workers need to spend
    from gradkit.autograder.grade_submission import GradedSubmission

POLL_INTERVAL = 1.0  # seconds between two looks at how many workers there are
MAX_TRIES = 3  # of a submission whose worker ended
# The memory of a process grows a little with every run of pytest; a new process costs a second.
TASKS_PER_PROCESS = 64
# Own time of a grader process and its sandbox (gradkit.autograder.own_time) besides that of the
# submission; when both are used up, something else must be stuck.
OVERHEAD_SECONDS = 120.0
GUARD_INTERVAL = 5.0  # seconds between two looks at it


class GradingFailed(GradkitError):
    """A submission whose grader process, or the worker with it, was lost several times."""


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


class WorkerPool(ABC):
    """Workers that grade submissions in parallel."""

    @abstractmethod
    def capacity(self, alone: bool) -> int:
        """Return how many submissions can be graded now; with `alone`, one on each machine.

        Raise GradkitError if no worker is left, and none will come.
        """

    @abstractmethod
    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        """Begin to grade a task; a cancelled future is submitted again."""

    @abstractmethod
    def close(self) -> None:
        """End all workers that this pool has started."""

    def grade(self, tasks: Iterator[Task]) -> Iterator[TaskResult]:
        """Grade tasks, and yield their results in the order in which they end.

        What could not be graded is tried once more when all others are done, alone on its machine.
        At most one task more than there are workers is taken from `tasks`, so that memory does not
        grow with the class.
        """
        again = []
        for result in self._grade(tasks):
            if result.graded is None:
                again.append(result.task)
            else:
                yield result
        yield from self._grade(iter(again), alone=True)

    def _grade(self, tasks: Iterator[Task], alone: bool = False) -> Iterator[TaskResult]:
        running: dict[Future[GradedSubmission], tuple[Task, int]] = {}  # with the number of tries
        done: queue.SimpleQueue[Future[GradedSubmission]] = queue.SimpleQueue()
        lost: deque[tuple[Task, int]] = deque()  # tasks whose future was cancelled
        results: list[TaskResult] = []
        more = True
        while True:
            capacity = self.capacity(alone)
            limit = capacity if alone else capacity + bool(capacity)
            while len(running) < limit and (lost or more):
                task, tries = lost.popleft() if lost else (next(tasks, None), 0)
                if task is None:
                    more = False
                    break
                future = self.submit(task, alone)
                running[future] = task, tries + 1
                future.add_done_callback(done.put)
            yield from results  # after the workers are busy again
            if not running and not lost and not more:
                return
            results = []
            with contextlib.suppress(queue.Empty):
                future = done.get(timeout=POLL_INTERVAL)
                task, tries = running.pop(future)
                try:
                    results = [TaskResult(task, future.result())]
                except CancelledError:
                    if tries < MAX_TRIES:
                        lost.append((task, tries))
                    else:
                        problem = f"The worker that graded it was lost {tries} times."
                        results = [TaskResult(task, problem=problem)]
                except Exception as error:
                    problem = describe(error) or f"{type(error).__name__}: {error}"
                    results = [TaskResult(task, problem=problem[:500])]


# --- processes of this machine -------------------------------------------------------------------


class GraderProcess:
    """A process that grades one submission at a time; another one takes its place when it ends.

    `job` is the file with the spec and the isolation: as arguments they would fill the pipe to a
    process that is killed while it starts, and the grader would wait for ever. Its temporary files
    are in `folder`. Whoever made that removes it: the process may be killed. `max_seconds` is the
    own time that it may take for a submission, sandbox included.
    """

    def __init__(self, job: Path, folder: Path, max_seconds: float) -> None:
        self._arguments, self._max_seconds = (job, folder), max_seconds
        self._executor: ProcessPoolExecutor | None = None
        self._closed, self._starting = False, Lock()

    def grade(self, files: Mapping[str, bytes], cells: Mapping[str, str]) -> "GradedSubmission":
        """Grade a submission, with its outcomes packed as the database keeps them.

        Raise GradingFailed if the process ended three times, or got stuck: each takes minutes.
        """
        for _ in range(MAX_TRIES):
            try:
                with self._starting:
                    if self._closed:
                        break
                    executor = self._executor = self._executor or self._start()
                    future = executor.submit(_grade, files, cells)
                return self._result(executor, future)
            except BrokenProcessPool:
                self._kill()
        raise GradingFailed(f"The process that graded it was ended {MAX_TRIES} times.")

    def _result(
        self, executor: ProcessPoolExecutor, future: "Future[GradedSubmission]"
    ) -> "GradedSubmission":
        """Wait for a result; end the process and raise GradingFailed if it is stuck."""

        def processes() -> Iterator[int]:
            for pid in list(executor._processes or ()):
                yield pid
                yield from descendants(pid)

        own_time = OwnTime(processes, GUARD_INTERVAL)
        while not wait([future], GUARD_INTERVAL).done:
            own_time.update()
            if own_time.seconds + own_time.suspended > self._max_seconds:
                self._kill()
                raise GradingFailed(
                    f"It was ended after {self._max_seconds:g} seconds in which it ran, slept or "
                    "stood still."
                )
        return future.result()

    def close(self) -> None:
        with self._starting:  # nothing is started afterwards
            self._closed = True
        self._kill()

    def _start(self) -> ProcessPoolExecutor:
        context = get_context("spawn")  # a fork of a process that has threads may hang
        # Else multiprocessing's own helper ends with the terminal, and the grader complains.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
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
            for process in processes:  # until it writes no more
                process.join(timeout=5.0)


class ProcessPool(WorkerPool):
    """Grader processes on this machine, each led by a thread."""

    def __init__(self, jobs: int, spec: GradingSpec, isolation: Isolation, folder: Path) -> None:
        self.jobs = jobs
        job = folder / "job.pickle"
        job.touch(0o600)  # it holds the seed
        job.write_bytes(pickle.dumps((spec, isolation)))
        max_seconds = OVERHEAD_SECONDS + spec.config.limits.submission_seconds
        self._processes = [GraderProcess(job, folder, max_seconds) for _ in range(jobs)]
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


def _begin(parent: int, job: Path, folder: Path) -> None:
    """Make this process a grader: it ends with its parent, to which it leaves Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that call
            os._exit(1)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    tempfile.tempdir = str(folder)
    _SPEC[:] = [pickle.loads(job.read_bytes())]  # noqa: S301, the grader wrote it


def _grade(files: Mapping[str, bytes], cells: Mapping[str, str]) -> "GradedSubmission":
    [(spec, isolation)] = _SPEC
    from gradkit.autograder.grade_submission import grade_submission

    graded = grade_submission(spec, files, cells, isolation)
    return replace(graded, outcomes=pack_outcomes(graded.outcomes))
