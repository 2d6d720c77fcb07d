"""The worker pool of a Dask cluster: `gradkit grade ... --scheduler tcp://HOST:PORT`.

    DaskPool         in the grader: hands tasks to Dask, which picks the workers and tries again
    GradingPlugin    in each worker, present and future: compares versions, tests the sandbox, and
                     starts one grader process for each of the worker's threads
    CleanupPlugin    in the scheduler: removes the grading plugin when the grader is gone

A worker gets the name of the exercise, the secret seed and the answer key, and builds the grading
spec from its own checkout. Checkout, Python and numpy must be of the grader's versions, so that a
submission gets the same verdict on any machine. A worker that is ready offers the job's resource,
which each task asks for: a worker that is refused gets no task of this grader, and keeps those of
others.

Whoever can connect to the scheduler or a worker can run code there and read the seed: their network
must be closed to others, or use Dask's TLS.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped]
import dask
from distributed import Client, Lock, SchedulerPlugin, Security, WorkerPlugin
from distributed import get_worker as current_worker
from distributed.comm.core import connect

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.autograder.version import kit_digest
from gradkit.batch.worker_pool import POLL_INTERVAL, ProcessPool, Task, WorkerPool, run_folder
from gradkit.course.answer_key import spec_digest
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.files import content_digest
from gradkit.gradebook.database import software_versions

if TYPE_CHECKING:
    from gradkit.autograder.grade_submission import GradedSubmission

CONNECT_TIMEOUT = 10.0  # seconds to reach the scheduler, at first and after a lost connection
WORKER_TIMEOUT = 300.0  # seconds without a worker that is ready

JobSpec = dict[str, Any]


class ClusterError(GradkitError):
    """A cluster that cannot be used, or no longer."""


# --- in a worker ---------------------------------------------------------------------------------


def _source_digest() -> str:
    paths = [path for name in ("assignment", "gradkit") for path in (PROJECT / name).rglob("*.py")]
    return content_digest({str(path): path.read_bytes() for path in paths})


_SOURCE_AT_START = _source_digest()  # a process does not notice that its files have changed


def make_job_spec(spec: GradingSpec, isolation: Isolation) -> JobSpec:
    """Return all that a worker needs to grade, as plain data that any version can read."""
    return {
        "token": f"gradkit-{uuid.uuid4().hex}",  # names the job for those who must not know it
        "exercise": spec.exercise.name,
        "secret": spec.secret,
        "answer_key": spec.answer_key.to_json(),
        "isolation": isolation.value,
        "versions": {**software_versions(), "kit": kit_digest(), "exercise": spec.digest},
    }


def check_worker(job_spec: JobSpec) -> None:
    """Check that this process can grade for a job.

    Raises
    ------
    GradkitError
        A version differs, or the sandbox's self-test fails.
    """
    if _source_digest() != _SOURCE_AT_START:
        raise ClusterError("its checkout has changed since it was started; start it again")
    name = job_spec["exercise"]
    digest = spec_digest(name, PROJECT, starter_files(PROJECT, [name]))
    own = {**software_versions(), "kit": kit_digest(), "exercise": digest}
    for part, version in job_spec["versions"].items():
        if own[part] != version:
            raise ClusterError(f"it has {part} {own[part]}, and the grader {version}")
    if Isolation(job_spec["isolation"]) is not Isolation.NONE:
        self_test(Isolation(job_spec["isolation"]))


def open_processes(job_spec: JobSpec, jobs: int, stack: contextlib.ExitStack) -> ProcessPool:
    """Start grader processes in this worker; closing the stack ends them and removes their files.

    Raises
    ------
    GradkitError
        This worker cannot grade for this job.
    """
    check_worker(job_spec)
    folder = stack.enter_context(run_folder())
    answer_key = AnswerKey.from_json(job_spec["answer_key"])
    spec = build_spec(job_spec["exercise"], PROJECT, job_spec["secret"], folder, answer_key)
    # Dask marks its workers as daemons, which may have no children: they would outlive a worker
    # that is killed. A grader process does not.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    pool = ProcessPool(jobs, spec, Isolation(job_spec["isolation"]), folder)
    return stack.enter_context(contextlib.closing(pool))


def grade_one(
    token: str, files: Mapping[str, bytes], cells: Mapping[str, str], alone: bool
) -> "GradedSubmission":
    """Grade a submission in the worker that this runs in."""
    plugin: Any = current_worker().plugins[token]
    with Lock(f"gradkit {socket.gethostname()}") if alone else contextlib.nullcontext():
        return plugin.pool.grade_one(files, cells)


class GradingPlugin(WorkerPlugin):
    """Readies a worker for a job, or reports under the job's token why it cannot be.

    It is sent by value, so that a worker without a checkout can report that, too.
    """

    def __init__(self, job_spec: JobSpec) -> None:
        self.job_spec, self.stack = job_spec, contextlib.ExitStack()
        self.pool: Any = None

    async def setup(self, worker: Any) -> None:
        token, jobs = self.job_spec["token"], worker.state.nthreads
        try:
            from gradkit.batch.dask_pool import open_processes

            self.pool = await asyncio.to_thread(open_processes, self.job_spec, jobs, self.stack)
        except ImportError as error:
            problem = f"it is not started in a checkout of this version ({error})"
            worker.log_event(token, [worker.address, problem])
        except Exception as error:
            worker.log_event(token, [worker.address, str(error).rstrip(".")])
        else:
            await worker.set_resources(**{token: jobs})

    async def teardown(self, worker: Any) -> None:
        await worker.set_resources(**{self.job_spec["token"]: 0})
        await asyncio.to_thread(self.stack.close)


class CleanupPlugin(SchedulerPlugin):
    """Removes a job's plugins when its client is gone, killed ones included."""

    def __init__(self, token: str, client: str) -> None:
        self.name, self.token, self.client = f"{token}-cleanup", token, client

    def remove_client(self, scheduler: Any, client: str) -> None:
        if client == self.client and self.token in scheduler.worker_plugins:
            scheduler.loop.add_callback(
                scheduler.unregister_worker_plugin, comm=None, name=self.token
            )
            scheduler.remove_plugin(self.name)


# --- in the grader -------------------------------------------------------------------------------


class DaskPool(WorkerPool):
    """The workers of the Dask cluster whose scheduler prints the address tcp://HOST:PORT.

    `say` prints a line, such as the reason why a worker is refused.

    Raises
    ------
    ClusterError
        No scheduler answers at the address.
    """

    grade_one: Callable[..., Any] = staticmethod(grade_one)

    def __init__(
        self, address: str, spec: GradingSpec, isolation: Isolation, say: Callable[[str], None]
    ) -> None:
        self._address, self._say = address, say
        self._client = _connect(address)
        self._scheduler = self._client.scheduler_info()["id"]
        job_spec = make_job_spec(spec, isolation)
        self._token = job_spec["token"]
        self._executor = self._client.get_executor(
            pure=False, retries=0, resources={self._token: 1}
        )
        self._ready: dict[str, int] = {}  # capacities by address
        self._hosts: set[str] = set()  # of those
        self._refused: set[tuple[str, str]] = set()
        self._running = {}
        self._last_ready = time.monotonic()
        self._polled, self._had_one = -POLL_INTERVAL, False
        self._register(job_spec)
        if not self._client.scheduler_info()["workers"]:
            say(f"The scheduler at {address} has no worker yet. Waiting for one ...")

    def capacity(self, alone: bool) -> int:
        if time.monotonic() >= self._polled + POLL_INTERVAL or self._client.status != "running":
            self._poll()
        return len(self._hosts) if alone else sum(self._ready.values())

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        files, cells = task.content.files, task.content.cells
        return self._executor.submit(self.grade_one, self._token, files, cells, alone)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=CONNECT_TIMEOUT)

    def _register(self, job_spec: JobSpec) -> None:
        module = sys.modules[__name__]
        cloudpickle.register_pickle_by_value(module)
        try:
            cleanup = CleanupPlugin(self._token, self._client.id)
            self._client.register_plugin(cleanup, name=cleanup.name)
            self._client.register_plugin(GradingPlugin(job_spec), name=self._token)
        except Exception as error:  # such as bytecode of another Python; others may be ready
            self._say(f"A worker of {self._address} cannot be used: {error}")
        finally:
            cloudpickle.unregister_pickle_by_value(module)

    def _poll(self) -> None:
        """Look which workers are ready, and which are refused."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while self._client.status == "connecting" and time.monotonic() < deadline:
            time.sleep(0.1)
        info: Any = {}
        events: Any = ()
        if self._client.status == "running":
            with contextlib.suppress(OSError):
                info, events = self._client.scheduler_info(), self._client.get_events(self._token)
        if info.get("id") != self._scheduler:
            raise ClusterError(
                f"The scheduler at {self._address} has ended, or cannot be reached. The results so "
                "far are in the gradebook; the same command grades the rest."
            )
        self._polled, workers = time.monotonic(), info["workers"]
        ready = {
            address: int(info["resources"][self._token])
            for address, info in workers.items()
            if info["resources"].get(self._token)
        }
        refused = {tuple(event) for _, event in events}
        for address, problem in sorted(refused - self._refused):
            self._say(f"The worker {address} is refused: {problem}.")
        self._refused = refused
        if not ready.keys() & self._ready.keys():
            # Dask offers a task that lost its last worker to workers as they join, which is
            # before these are ready.
            for future in list(self._running):
                future.cancel()
        self._ready, self._hosts = ready, {workers[address]["host"] for address in ready}
        if ready:
            self._had_one, self._last_ready = True, time.monotonic()
        elif refused and not self._had_one and not workers.keys() - dict(refused).keys():
            raise ClusterError(
                f"No worker can be used ({len(refused)} refused): {min(refused)[1]}."
            )
        elif time.monotonic() - self._last_ready > WORKER_TIMEOUT:
            raise ClusterError(
                f"The scheduler at {self._address} has had no worker for {WORKER_TIMEOUT:g} "
                f"seconds. Start some in a checkout of this version: `python -m dask worker "
                f"{self._address}`. The results so far are in the gradebook; the same command "
                "grades the rest."
            )


def _connect(address: str) -> Client:
    """Connect to a scheduler.

    Raises
    ------
    ClusterError
        No scheduler answers.
    """
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
