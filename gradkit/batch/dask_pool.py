"""The worker pool of a Dask cluster: `gradkit grade ... --scheduler tcp://HOST:PORT`.

    DaskPool          in the grader: opens WorkerProcesses in every worker that joins, and submits
                      each task to the worker that is least busy
    WorkerProcesses   in a worker: compares versions, tests the sandbox, and starts one grader
                      process for each thread; Dask drops it when the grader is gone

A worker builds the grading spec from its own checkout. Checkout, Python and numpy must be of the
grader's versions, so that a submission gets the same verdict on any machine.

Whoever can connect to the scheduler or a worker can run code there and read the seed: their network
must be closed to others, or use Dask's TLS.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import operator
import pkgutil
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dask
from distributed import Client, Security, get_worker
from distributed.comm.core import connect

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.autograder.version import kit_digest
from gradkit.batch.run_folder import run_folder
from gradkit.batch.worker_pool import ProcessPool, Task, WorkerPool
from gradkit.course.answer_key import spec_digest
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.files import content_digest
from gradkit.gradebook.database import software_versions

if TYPE_CHECKING:
    from gradkit.autograder.grade_submission import GradedSubmission

CONNECT_TIMEOUT = 10.0  # seconds to reach the scheduler
WORKER_TIMEOUT = 300.0  # seconds without a worker that is ready
JobSpec = dict[str, Any]  # all that a worker needs, as plain data that any version can read
GO_ON = "The results so far are in the gradebook; the same command grades the rest."


class ClusterError(GradkitError):
    """A cluster that cannot be used, or no longer."""


# --- in a worker ---------------------------------------------------------------------------------


def _source_digest() -> str:
    paths = [path for name in ("assignment", "gradkit") for path in (PROJECT / name).rglob("*.py")]
    return content_digest({str(path): path.read_bytes() for path in paths})


_SOURCE_AT_START = _source_digest()  # a process does not notice that its files have changed


def check_worker(job_spec: JobSpec) -> None:
    """Raise GradkitError if a version differs, or the sandbox's self-test fails."""
    if _source_digest() != _SOURCE_AT_START:
        raise ClusterError("its checkout has changed since it was started; start it again")
    name, isolation = job_spec["exercise"], Isolation(job_spec["isolation"])
    digest = spec_digest(name, PROJECT, starter_files(PROJECT, [name]))
    own = {**software_versions(), "kit": kit_digest(), "exercise": digest}
    for part, version in job_spec["versions"].items():
        if own[part] != version:
            raise ClusterError(f"it has {part} {own[part]}, and the grader {version}")
    if isolation is not Isolation.NONE:
        self_test(isolation)


class WorkerProcesses:
    """The grader processes of a worker. They end, and their files go, when it is dropped.

    Raise GradkitError in a worker that cannot grade for this job.
    """

    def __init__(self, job_spec: JobSpec) -> None:
        check_worker(job_spec)
        # Dask marks its workers as daemons, which may have no children: they would outlive a worker
        # that is killed. A grader process does not.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        isolation = Isolation(job_spec["isolation"])
        answer_key, jobs = AnswerKey.from_json(job_spec["answer_key"]), get_worker().state.nthreads
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(run_folder(isolation))
            spec = build_spec(job_spec["exercise"], PROJECT, job_spec["secret"], folder, answer_key)
            self.pool = ProcessPool(jobs, spec, isolation, folder)
            stack.enter_context(contextlib.closing(self.pool))
            weakref.finalize(self, stack.pop_all().close)


def grade_one(
    processes: WorkerProcesses, files: Mapping[str, bytes], cells: Mapping[str, str]
) -> "GradedSubmission":
    """Grade a submission in the worker that holds these processes."""
    return processes.pool.grade_one(files, cells)


# --- in the grader -------------------------------------------------------------------------------


@dataclass(eq=False)
class _Worker:
    host: str
    threads: int
    processes: Any  # Dask's future
    executor: Any
    problem: str = ""
    running: "set[Future[GradedSubmission]]" = field(default_factory=set)


class DaskPool(WorkerPool):
    """The workers of the Dask cluster whose scheduler prints the address tcp://HOST:PORT.

    `say` prints a line, such as the reason why a worker is refused. Raises ClusterError if no
    scheduler answers.
    """

    grade_one: Callable[..., Any] = staticmethod(grade_one)

    def __init__(
        self, address: str, spec: GradingSpec, isolation: Isolation, say: Callable[[str], None]
    ) -> None:
        self._address, self._say, self._client = address, say, _connect(address)
        self._job_spec = {
            "exercise": spec.exercise.name,
            "secret": spec.secret,
            "answer_key": spec.answer_key.to_json(),
            "isolation": isolation.value,
            "versions": {**software_versions(), "kit": kit_digest(), "exercise": spec.digest},
        }
        self._workers: dict[str, _Worker] = {}  # by address
        self._ready: list[_Worker] = []
        self._last_ready, self._had_one = time.monotonic(), False
        if not self._client.nthreads():
            say(f"The scheduler at {address} has no worker yet. Waiting for one ...")

    def capacity(self, alone: bool) -> int:
        self._update_workers()
        workers = self._workers.values()
        self._ready = [worker for worker in workers if worker.processes.status == "finished"]
        if self._ready:
            self._last_ready, self._had_one = time.monotonic(), True
        elif workers and all(worker.problem for worker in workers) and not self._had_one:
            problem = next(iter(workers)).problem
            raise ClusterError(f"No worker can be used ({len(workers)} refused): {problem}.")
        elif time.monotonic() - self._last_ready > WORKER_TIMEOUT:
            raise ClusterError(
                f"The scheduler at {self._address} has had no worker for {WORKER_TIMEOUT:g} "
                f"seconds. Start some in a checkout of this version: `python -m dask worker "
                f"{self._address}`. {GO_ON}"
            )
        if alone:
            return len({worker.host for worker in self._ready})
        return sum(worker.threads for worker in self._ready)

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        busy = {worker.host for worker in self._workers.values() if worker.running and alone}
        free = [worker for worker in self._ready if worker.host not in busy]
        worker = min(free, key=lambda worker: len(worker.running) / worker.threads)
        future: Future[GradedSubmission] = worker.executor.submit(
            self.grade_one, worker.processes, task.content.files, task.content.cells
        )
        worker.running.add(future)
        future.add_done_callback(worker.running.discard)
        return future

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=CONNECT_TIMEOUT)

    def _update_workers(self) -> None:
        """Open the workers that have joined, give up those that are gone, report those refused."""
        try:
            if self._client.status != "running":
                raise ConnectionError
            threads: dict[str, int] = self._client.nthreads()
        except OSError:
            raise ClusterError(
                f"The scheduler at {self._address} has ended, or cannot be reached. {GO_ON}"
            ) from None
        for address in self._workers.keys() - threads.keys():
            for future in list(self._workers.pop(address).running):
                future.cancel()
        for address in threads.keys() - self._workers.keys():
            options = {"workers": [address], "pure": False, "retries": 0}
            # By name, since a worker that cannot import what it gets would end.
            opener = self._client.submit(
                pkgutil.resolve_name, f"{__name__}:WorkerProcesses", **options
            )
            self._workers[address] = _Worker(
                urlsplit(address).hostname or address,
                threads[address],
                self._client.submit(operator.call, opener, self._job_spec, **options),
                self._client.get_executor(**options),
            )
        for address, worker in self._workers.items():
            if worker.processes.status == "error" and not worker.problem:
                error = worker.processes.exception()
                worker.problem = str(error).rstrip(".")
                if isinstance(error, ImportError | AttributeError):
                    worker.problem = f"it is not started in a checkout of this version ({error})"
                self._say(f"The worker {address} is refused: {worker.problem}.")


def _connect(address: str) -> Client:
    # Else Dask keeps the last 1,000 messages, for debugging: as many submissions.
    dask.config.set({"distributed.admin.low-level-log-length": 10})
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # problems are reported here

    async def knock() -> None:
        comm = await connect(address, CONNECT_TIMEOUT, **Security().get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(knock())  # a client that finds no scheduler prints tracebacks
        return Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} ({str(error)[:200]}). Start one with "
            "`python -m dask scheduler`, in a checkout of this version; it prints its address."
        ) from error
