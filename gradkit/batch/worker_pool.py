"""Where works are graded: many at once, by workers that each do one after another.

    Engine       hands works out as workers become free, and gives back what came of them
    Processes    workers on this machine
    Cluster      workers of a Dask cluster (gradkit.cluster)

Workers get a submission's files and cells as bytes and texts, and give back verdicts. What is
trusted stays with them; what is not runs in the sandbox that a worker starts.
"""

import contextlib
import ctypes
import itertools
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradkit.autograder.sandbox import Isolation, end_sandboxes
from gradkit.autograder.spec import GradingSpec
from gradkit.gradebook.database import PackedOutcomes, ResultKey
from gradkit.processes import started
from gradkit.submissions.extract import SubmissionContent

if TYPE_CHECKING:  # what it imports takes a second, and only workers need it
    from gradkit.autograder.grade_submission import GradedSubmission

LOOK = 1.0  # seconds between two looks at who is there, and who takes too long
TRIES = 3  # of a work whose worker ended
# A process's memory grows a little with every run of pytest; a new one costs a second.
WORKS_PER_PROCESS = 64

Grade = Callable[[Mapping[str, bytes], Mapping[str, str]], Future["GradedSubmission"]]


@dataclass(frozen=True)
class Task:
    """One student's work, to be graded."""

    key: ResultKey
    name: str
    work: SubmissionContent


@dataclass(frozen=True)
class TaskResult:
    """What came of a task: how it was graded, or why it could not be.

    `alone` says that nothing else was graded on that machine meanwhile.
    """

    task: Task
    graded: "GradedSubmission | None" = None
    why: str = ""
    alone: bool = False


@dataclass(frozen=True)
class Worker:
    """One that grades one work at a time.

    Attributes
    ----------
    name : str
        No other worker of the engine has it, before or after.
    machine : str
        Workers on the same one take each other's time.
    grade : function
        From a work's files and cells to the future of what comes of it.
    """

    name: str
    machine: str
    grade: Grade


class NotReady(Exception):
    """A worker was given a work before it knew of the exam, as after a restart."""


class WorkerPool(ABC):
    """Workers, and how works are handed out to them."""

    # What a future raises when its worker has ended.
    worker_ended: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def workers(self) -> Collection[Worker]:
        """Those that are ready or at work. It is asked about once a second.

        Raises
        ------
        GradkitError
            There are none, and none will come.
        """

    @abstractmethod
    def end(self, worker: Worker) -> None:
        """End a worker, if it has not ended yet, and do without it from now on."""

    def renew(self, worker: Worker) -> None:
        """Get a worker ready again that has turned out not to be."""
        self.end(worker)

    @abstractmethod
    def close(self) -> None:
        """End all that this engine has begun."""

    def grade(
        self, tasks: Iterator[Task], most_seconds: float, alone: bool = False
    ) -> Iterator[TaskResult]:
        """Grade tasks, and give back what came of each, in the order in which they end.

        A task is taken from `tasks` when a worker is free for it, and one ahead, so that memory
        does not grow with how many there are.

        Parameters
        ----------
        tasks : iterator of Task
        most_seconds : float
            What a work may take; a worker that takes longer is ended.
        alone : bool
            Grade one at a time on each machine.
        """
        return _Handing(self, tasks, most_seconds, alone).out()


@dataclass(frozen=True)
class _Run:
    """A task that is being graded."""

    task: Task
    worker: Worker
    since: float
    alone: bool


class _Handing:
    """One call of `Engine.grade`."""

    def __init__(
        self, pool: WorkerPool, tasks: Iterator[Task], most_seconds: float, alone: bool
    ) -> None:
        self.pool, self.tasks, self.most_seconds, self.alone = pool, tasks, most_seconds, alone
        self.again: deque[Task] = deque()  # tasks whose worker ended
        self.tries: Counter[ResultKey] = Counter()
        self.ahead: Task | None = None  # the next one
        self.idle: dict[str, Worker] = {}
        self.present: dict[str, Worker] = {}  # who may be given works
        self.neighbours: Counter[str] = Counter()  # workers of each machine
        self.running: dict[Future[GradedSubmission], _Run] = {}
        self.done: queue.SimpleQueue[Future[GradedSubmission]] = queue.SimpleQueue()
        self.looked = -LOOK

    def out(self) -> Iterator[TaskResult]:
        ended: list[TaskResult] = []
        while True:
            if time.monotonic() >= self.looked + LOOK:
                ended += self._look()
            self._hand_out()
            # Workers are busy again before anybody writes down what they did.
            yield from ended
            if not self.running and self.ahead is None:
                return
            ended = [*self._ended(self._wait())]

    def _look(self) -> Iterator[TaskResult]:
        """See who is there; tasks of workers that are gone have to be graded by others."""
        workers = self.pool.workers()
        self.neighbours = Counter(worker.machine for worker in workers)
        if self.alone:
            workers = {worker.machine: worker for worker in reversed([*workers])}.values()
            self.neighbours = Counter({worker.machine: 1 for worker in workers})
        self.present = {worker.name: worker for worker in workers}
        self.looked = time.monotonic()
        for future, run in list(self.running.items()):
            if run.worker.name not in self.present:
                future.cancel()
                yield from self._lost(self.running.pop(future))
            elif self.looked - run.since > self.most_seconds:
                self.pool.end(run.worker)
        busy = {run.worker.name for run in self.running.values()}
        self.idle = {name: one for name, one in self.present.items() if name not in busy}

    def _hand_out(self) -> None:
        while True:
            if self.ahead is None:
                self.ahead = self.again.popleft() if self.again else next(self.tasks, None)
            if not self.idle or self.ahead is None:
                return
            task, self.ahead = self.ahead, None
            _, worker = self.idle.popitem()
            try:
                future = worker.grade(task.work.files, task.work.cells)
            except self.pool.worker_ended:  # while it was idle
                self.pool.end(worker)
                self.again.appendleft(task)
                self.looked = -LOOK
                continue
            alone = self.neighbours[worker.machine] == 1
            self.running[future] = _Run(task, worker, time.monotonic(), alone)
            future.add_done_callback(self.done.put)

    def _wait(self) -> Iterator[Future[Any]]:
        """The futures that are done, as soon as there is one; none when it is time to look."""
        try:
            yield self.done.get(timeout=max(0.0, self.looked + LOOK - time.monotonic()))
            while True:
                yield self.done.get_nowait()
        except queue.Empty:
            return

    def _ended(self, done: Iterator[Future[Any]]) -> Iterator[TaskResult]:
        for future in done:
            run = self.running.pop(future, None)
            if run is None:  # its worker was taken for lost before
                continue
            try:
                came = future.result()
            except (CancelledError, NotReady) as error:  # which is nobody's doing
                if isinstance(error, NotReady):
                    self.pool.renew(run.worker)
                self.again.append(run.task)
                self.looked = -LOOK
                continue
            except self.pool.worker_ended:
                self.pool.end(run.worker)
                self.looked = -LOOK
                yield from self._lost(run)
                continue
            except Exception as error:
                yield TaskResult(run.task, why=f"{type(error).__name__}: {error}"[:500])
            else:
                yield TaskResult(run.task, came, alone=run.alone)
            if run.worker.name in self.present:
                self.idle[run.worker.name] = run.worker

    def _lost(self, run: _Run) -> Iterator[TaskResult]:
        self.tries[run.task.key] += 1
        if self.tries[run.task.key] < TRIES:
            self.again.append(run.task)
        else:
            yield TaskResult(run.task, why=f"The process that graded it was ended {TRIES} times.")


# --- processes of this machine -------------------------------------------------------------------


class ProcessPool(WorkerPool):
    """Workers on this machine: processes that import pytest and nbval once.

    Parameters
    ----------
    jobs : int
        How many.
    exam : Exam
    enclosure : Enclosure
    folder : Path
        For all that they need for a while; whoever made it cleans up, should they be killed.
    """

    worker_ended = (BrokenProcessPool,)

    def __init__(self, jobs: int, spec: GradingSpec, isolation: Isolation, folder: Path) -> None:
        self._begin = (spec, isolation, os.getpid(), folder)
        self._names = map("process {}".format, itertools.count(1))
        self._pools: dict[Worker, ProcessPoolExecutor] = {}
        for _ in range(jobs):
            self._add()

    def workers(self) -> Collection[Worker]:
        return self._pools.keys()

    def end(self, worker: Worker) -> None:
        if worker in self._pools:
            _kill(self._pools.pop(worker))
            self._add()

    def close(self) -> None:
        for pool in self._pools.values():
            _kill(pool)

    def _add(self) -> None:
        # A pool of one, so that whose process has ended is never in doubt.
        pool = ProcessPoolExecutor(
            1,
            # A fork of a process that has threads, as tqdm makes one, may hang.
            get_context("spawn"),
            _begin,
            self._begin,
            max_tasks_per_child=WORKS_PER_PROCESS,
        )
        grade: Grade = partial(pool.submit, _grade)  # type: ignore[call-arg]
        self._pools[Worker(next(self._names), "", grade)] = pool


def _kill(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


_EXAM: list[Any] = []
WORK_FOLDER = "gradkit-run-"


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A folder for all that this process needs for a while to grade, and those that it starts.

    Those of processes that were killed are removed first: there are seeds in them. With a folder
    ends what still runs in it.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{WORK_FOLDER}*"):
        pid, since, *_ = left.name.removeprefix(WORK_FOLDER).split("-")
        if pid.isdecimal() and started(int(pid)) != since:
            end_sandboxes(left)
            shutil.rmtree(left, ignore_errors=True)
    mine = f"{WORK_FOLDER}{os.getpid()}-{started(os.getpid())}-"
    with tempfile.TemporaryDirectory(prefix=mine, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the sandbox reads the stand-in in it
        try:
            yield Path(folder)
        finally:
            end_sandboxes(Path(folder))


def _begin(spec: GradingSpec, isolation: Isolation, parent: int, folder: Path) -> None:
    """Make this process a worker: it ends with the grader, and leaves Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that was said
            os._exit(1)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    tempfile.tempdir = str(folder)  # where the grader cleans up, should this be killed
    _EXAM[:] = [spec, isolation]


def _grade(files: Mapping[str, bytes], cells: Mapping[str, str]) -> Any:
    spec, isolation = _EXAM
    return graded(spec, files, cells, isolation)


def graded(
    spec: GradingSpec, files: Mapping[str, bytes], cells: Mapping[str, str], isolation: Isolation
) -> "GradedSubmission":
    """Grade a work in this process, with outcomes as the ledger keeps them."""
    from gradkit.autograder.grade_submission import grade_submission

    came = grade_submission(spec, files, cells, isolation)
    return replace(came, outcomes=PackedOutcomes.pack(came.outcomes))
