"""Workers of a Dask cluster: `python -m gradkit grade ... --scheduler tcp://HOST:PORT`.

    Cluster    in the grader's process: who is there, who is refused, and who is gone
    get_ready  in a worker's: what it needs to grade for an exam, once
    grade_one  in a worker's: one work

A worker is given an exam's name, seed and answers, and makes the rest of it from its own checkout,
which must be of the same version as the grader's, and so must Python and numpy: then a work comes
to the same verdicts wherever it is graded. Each work goes to one worker by its address, since a
work that ends its worker has to be known from those that were only beside it.

Whoever can speak with scheduler or workers can run code there and read the exam's seed. So their
network has to be closed to others, or to be Dask's TLS.
"""

import asyncio
import contextlib
import hashlib
import logging
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.autograder.version import kit_digest
from gradkit.batch.worker_pool import NotReady, Worker, WorkerPool, graded, work_folder
from gradkit.course.answer_key import spec_digest
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError

CONNECT_SECONDS = 10.0  # to the scheduler, at first and when the connection was lost
READY_SECONDS = 180.0  # that a worker may take to get ready
PATIENCE = 300.0  # seconds without any worker
MAX_EXAMS = 4  # that a worker keeps, for as many graders at a time

JobSpec = dict[str, Any]


class ClusterError(GradkitError):
    """The cluster cannot be used, or no longer; the text says why, and what to do."""


# --- in a worker ---------------------------------------------------------------------------------


def make_job_spec(spec: GradingSpec, kit: str, isolation: Isolation) -> JobSpec:
    """What a worker has to know to grade for an exam: plain data, which any version can read."""
    job_spec = {
        "exercise": spec.exercise.name,
        "secret": spec.secret,
        "answers": spec.answer_key.to_json(),
        "enclosure": isolation.value,
        "exam": spec.digest,
        "gradkit": kit,
        "Python": platform.python_version(),
        "numpy": np.__version__,
    }
    # For whoever may not know the secret: it says of which bundle a work is.
    return {**job_spec, "token": hashlib.sha256(repr(job_spec).encode()).hexdigest()}


@dataclass(frozen=True)
class _Known:
    """What a worker keeps of an exam; closing it removes its folder."""

    spec: GradingSpec
    isolation: Isolation
    folder: Path
    closing: contextlib.ExitStack


def _code() -> str:
    """What tells whether a file of the kit has changed, which a process that runs does not see."""
    sha256 = hashlib.sha256()
    for folder in ("assignment", "gradkit"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            sha256.update(path.read_bytes())
    return sha256.hexdigest()


_CODE = _code()
_KNOWN: dict[str, _Known] = {}  # by their bundles' tokens
_ONE_AT_A_TIME = threading.Lock()  # pytest, and the time that is measured, are the process's own


def get_ready(job_spec: JobSpec) -> str:
    """Make this process ready for an exam; why it cannot be, or nothing."""
    here = {
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "gradkit": kit_digest(),
    }
    for name, version in here.items():
        if version != job_spec[name]:
            return f"it has {name} {version}, and the grader {job_spec[name]}"
    if _code() != _CODE:
        return "its checkout has changed since it was started; start it again"
    with _ONE_AT_A_TIME:
        try:
            return "" if job_spec["token"] in _KNOWN else _learn(job_spec)
        except GradkitError as error:
            return str(error).rstrip(".")


def _learn(job_spec: JobSpec) -> str:
    name, isolation = job_spec["exercise"], Isolation(job_spec["enclosure"])
    digest = spec_digest(name, PROJECT, starter_files(PROJECT, [name]))
    if digest != job_spec["exam"]:
        return f"its {name} exercise is of version {digest}, and the grader's of {job_spec['exam']}"
    if isolation is not Isolation.NONE:
        self_test(isolation)
    while len(_KNOWN) >= MAX_EXAMS:
        _KNOWN.pop(next(iter(_KNOWN))).closing.close()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        answer_key = AnswerKey.from_json(job_spec["answers"])
        spec = build_spec(name, PROJECT, job_spec["secret"], folder, answer_key)
        import gradkit.autograder.grade_submission  # noqa: F401  which takes a second, once

        _KNOWN[job_spec["token"]] = _Known(spec, isolation, folder, stack.pop_all())
    return ""


def grade_one(token: str, files: Mapping[str, bytes], cells: Mapping[str, str]) -> Any:
    """Grade a work for the exam with this token.

    Raises
    ------
    NotReady
        This process knows no such exam.
    """
    with _ONE_AT_A_TIME:
        if token not in _KNOWN:
            raise NotReady(token)
        known = _KNOWN[token]
        with _temporary_files_in(known.folder):
            return graded(known.spec, files, cells, known.isolation)


def leave(job_spec: JobSpec) -> None:
    """Forget an exam."""
    with _ONE_AT_A_TIME:
        if job_spec["token"] in _KNOWN:
            _KNOWN.pop(job_spec["token"]).closing.close()


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let desks and sockets be where they are cleaned up, should this process be killed."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


# --- in the grader's process ---------------------------------------------------------------------


@dataclass
class _Joining:
    """A worker that is getting ready: first it is asked whether it finds this module."""

    worker: Worker
    future: Future[Any]
    since: float
    found: bool = False


class DaskPool(WorkerPool):
    """The workers of a Dask cluster.

    Parameters
    ----------
    address : str
        The scheduler's, as it prints it: tcp://HOST:PORT, or tls://HOST:PORT.
    exam : Exam
    kit : str
        The version of the grader's kit.
    enclosure : Enclosure
    say : function
        Is told of workers that are refused.

    Raises
    ------
    ClusterError
        There is no such scheduler, or Dask is not installed.
    """

    # What a worker does with an exam's token and a work's files and cells.
    work: Callable[..., Any] = staticmethod(grade_one)

    def __init__(
        self,
        address: str,
        spec: GradingSpec,
        kit: str,
        isolation: Isolation,
        say: Callable[[str], None],
    ) -> None:
        self._address, self._say = address, say
        self._client, self.worker_ended = _connected(address)
        self._bundle = make_job_spec(spec, kit, isolation)
        self._scheduler = ""
        # Workers by their ids: an address may be that of another one, later.
        self._addresses: dict[str, str] = {}
        self._executors: dict[str, Any] = {}  # of one worker each, by address
        self._ready: dict[str, Worker] = {}
        self._joining: dict[str, _Joining] = {}
        self._refused: dict[str, str] = {}
        self._without = time.monotonic()  # since when there has been no worker
        self._had_one = False
        if not self._look()["workers"]:
            say(f"The scheduler at {address} has no worker yet. Waiting for one ...")

    def workers(self) -> Collection[Worker]:
        there = self._look()["workers"]
        self._addresses = {about["id"]: address for address, about in there.items()}
        for known in (self._ready, self._joining, self._refused):
            for gone in known.keys() - self._addresses.keys():
                known.pop(gone)
        for id, joining in list(self._joining.items()):
            self._take(id, joining)
        for id, address in self._addresses.items():
            if not any(id in known for known in (self._ready, self._joining, self._refused)):
                self._begin(id, there[address]["nthreads"])
        if self._ready or self._joining:
            self._without = time.monotonic()
            self._had_one = self._had_one or bool(self._ready)
        elif self._refused and not self._had_one:  # else one may be on its way back
            why = next(iter(self._refused.values()))
            raise ClusterError(
                f"No worker can be given work ({len(self._refused)} refused): {why}."
            )
        elif time.monotonic() - self._without > PATIENCE:
            raise ClusterError(
                f"The scheduler at {self._address} has had no worker for {PATIENCE:g} seconds. "
                f"Start some in a checkout of this version: `python -m dask worker {self._address} "
                "--nthreads 1`. What was graded is in the ledger; the same command goes on."
            )
        return self._ready.values()

    def end(self, worker: Worker) -> None:
        if self._ready.pop(worker.name, None):
            self._refused[worker.name] = "it did not come to an end with a submission"
            # Where a nanny watches over it, it comes back as another one.
            with contextlib.suppress(Exception):
                address = self._addresses[worker.name]
                self._client.restart_workers([address], timeout=CONNECT_SECONDS)

    def renew(self, worker: Worker) -> None:
        self._ready.pop(worker.name, None)  # so that it is met as a new one

    def close(self) -> None:
        with contextlib.suppress(Exception):
            left = [self._submit(self._addresses[id], leave, self._bundle) for id in self._ready]
            wait(left, timeout=CONNECT_SECONDS)
            self._client.close(timeout=CONNECT_SECONDS)

    def _look(self) -> Any:
        """What the scheduler says of itself and its workers."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while self._client.status == "connecting" and time.monotonic() < deadline:
            time.sleep(0.1)
        about = self._client.scheduler_info() if self._client.status == "running" else {}
        self._scheduler = self._scheduler or about.get("id", "")
        if not about or about["id"] != self._scheduler:
            raise ClusterError(
                f"The scheduler at {self._address} has ended, or cannot be reached any more. What "
                "was graded is in the ledger; the same command goes on with the rest."
            )
        return about

    def _submit(self, address: str, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        if address not in self._executors:
            # Never at another worker, and not again by Dask: that is decided here.
            how = {"workers": [address], "pure": False, "retries": 0}
            self._executors[address] = self._client.get_executor(**how)
        return self._executors[address].submit(function, *args)

    def _begin(self, id: str, threads: int) -> None:
        address = self._addresses[id]
        grade = partial(self._submit, address, self.work, self._bundle["token"])
        worker = Worker(id, str(urlsplit(address).hostname), grade)
        # Asked in Python's own words: a worker that is sent what it cannot import ends.
        future = self._submit(address, find_spec, __name__)
        self._joining[id] = _Joining(worker, future, time.monotonic())
        if threads > 1:
            self._say(
                f"The worker {address} has {threads} threads, but grades one submission at a time. "
                "Start as many workers as there are processors: `python -m dask worker ... "
                "--nthreads 1 --nworkers N`."
            )

    def _take(self, id: str, joining: _Joining) -> None:
        """See whether a worker is ready, or why it cannot be."""
        if not joining.future.done():
            if time.monotonic() - joining.since < READY_SECONDS:
                return
            refusal = f"it was not ready within {READY_SECONDS:g} seconds"
        elif joining.future.cancelled():  # the connection was lost meanwhile
            del self._joining[id]
            return
        elif joining.future.exception() or joining.future.result() is None:
            refusal = (
                "it does not find what the grader has; start `python -m dask scheduler` and "
                "`python -m dask worker` in a checkout of this version"
            )
        elif not joining.found:
            joining.found = True
            joining.future = self._submit(self._addresses[id], get_ready, self._bundle)
            return
        else:
            refusal = joining.future.result()
        del self._joining[id]
        if refusal:
            self._refused[id] = refusal
            self._say(f"The worker {self._addresses[id]} is refused: {refusal}.")
        else:
            self._ready[id] = joining.worker


def _connected(address: str) -> Any:
    """A client of the scheduler, and what Dask raises for a worker that has ended.

    Raises
    ------
    ClusterError
        It cannot be had.
    """
    try:
        import dask
        from distributed import Client, KilledWorker, Security
        from distributed.comm.core import connect
    except ImportError as error:
        raise ClusterError(
            "Dask is not installed. Say: pip install -r requirements-cluster.txt"
        ) from error
    # Else the last 1,000 messages would be kept for whoever develops Dask: as many submissions.
    dask.config.set({"distributed.admin.low-level-log-length": 10})
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said here

    async def knock() -> None:
        comm = await connect(address, CONNECT_SECONDS, **Security().get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(knock())  # a client that finds nobody leaves complaints of its own behind
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} ({str(error)[:200]}). Start one with "
            "`python -m dask scheduler`, in a checkout of this version; it prints its address."
        ) from error
    return client, (KilledWorker,)
