"""Dask's workers grade a class as processes of this machine do, whatever ends meanwhile.

Scheduler and workers are real, on loopback.
`GRADKIT_CHAOS=200` grades a class of 200 while something is killed every few seconds, in half an
hour; without it, a class of 6 with two kills.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from assignment import PROJECT
from assignment.checks.graded import write_outcome
from assignment.checks.softmax import SOFTMAX
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.version import kit_digest
from gradkit.course.answer_key import spec_digest
from gradkit.course.starter import starter_files
from gradkit.gradebook.database import GradebookDatabase, software_versions
from gradkit.processes import descendants
from tests.classes import (
    SEED,
    GradedClass,
    grade_command,
    gradkit,
    some_of,
    start_grading,
    wait_for,
    write_submission,
)

pytest.importorskip("distributed", reason="Dask is not installed: no cluster is tried")

from gradkit.batch import dask_pool

pytestmark = pytest.mark.xdist_group("dask")

SIZE = int(os.environ.get("GRADKIT_CHAOS", "6"))


class Cluster:
    """A scheduler and its workers, each a process with a log of its own."""

    def __init__(self, folder: Path, options: list[str] | None = None, kind: str = "tcp") -> None:
        self.folder, self.options, self.kind = folder, options or [], kind
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    @property
    def address(self) -> str:
        return f"{self.kind}://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        host = ("--host", f"{self.kind}://127.0.0.1", "--port", self.port)
        self.scheduler = self._start(PROJECT, "scheduler", *host)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            return False

        wait_for(answers, self.scheduler)

    def add_worker(self, folder: Path = PROJECT, threads: int = 1, **env: str) -> None:
        """Start a worker in a folder, with the nanny that restarts it; wait until it has joined."""
        options = (self.address, "--nthreads", threads, "--host", "127.0.0.1")
        process = self._start(folder, "worker", *options, **env)
        log = self.folder / f"{len(self.processes) - 1}.log"
        wait_for(lambda: b"Registered to" in log.read_bytes(), process)

    def _start(self, folder: Path, *arguments: Any, **env: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *self.options], cwd=folder, stdout=log, stderr=log,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **env},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def __contains__(self, pid: int) -> bool:
        return any(pid in list(descendants(process.pid)) for process in self.processes)

    def close(self) -> None:
        for process in reversed(self.processes):  # the scheduler last
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def cluster(tmp_path: Path, sandbox: None) -> Iterator[Cluster]:
    """A cluster without workers, for one test."""
    (tmp_path / "cluster").mkdir()
    with contextlib.closing(Cluster(tmp_path / "cluster")) as started:
        yield started


def grade_on(
    address: str, few: GradedClass, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Grade in a process of its own, which Dask's client may leave threads in."""
    command = grade_command(*few, "--scheduler", address)
    return gradkit(*command, tree=PROJECT, OPENBLAS_NUM_THREADS="1", **environment)


def contents(out: Path) -> dict[str, Any]:
    """Return all that a database holds of each student, except times."""
    with contextlib.closing(GradebookDatabase(out, "softmax")) as database:
        results = {
            result.key.student: (
                *(result.key, dict(result.verdicts), dict(result.handed_in)),
                {n: {**write_outcome(o), "seconds": None} for n, o in result.outcomes.items()},
            )
            for result in database.results()
        }
        return {
            record.student: (record, results.get(record.student))
            for record in database.submissions()
        }


# --- the same results as on this machine ---------------------------------------------------------


def test_whatever_is_killed_the_results_are_those_of_this_machine(
    graded_class: GradedClass, cluster: Cluster, tmp_path: Path
) -> None:
    few, names = some_of(graded_class, tmp_path), ("ada", "bob", "cleo")
    for number in range(SIZE):
        name = names[number % 3]
        shutil.copy2(graded_class.submissions / f"{name}.zip", few.submissions / f"{number}.zip")
    for _ in range(2):
        cluster.add_worker()
    kills: list[int] = []
    stop = threading.Event()
    killer = threading.Thread(target=kill_now_and_then, args=(cluster, kills, stop))
    killer.start()
    try:
        process = start_grading(*few, "--scheduler", cluster.address)
        wait_for(lambda: len(kills) >= 2 and count(few.out) >= SIZE // 3, process)
        cluster.scheduler.kill()
        _, errors = process.communicate()
        assert process.returncode == 1
        assert f"The scheduler at {cluster.address} has ended, or cannot be reach" in errors
        graded = count(few.out)
        assert SIZE // 3 <= graded < SIZE
        cluster.start_scheduler()
        cluster.add_worker(threads=2)
        process = start_grading(*few, "--scheduler", cluster.address)
        printed, errors = process.communicate()
    finally:
        stop.set()
        killer.join()
    assert process.returncode == 0, errors
    assert f"{SIZE - graded} graded; {graded} had been graded before." in printed
    expected, found = contents(graded_class.out), contents(few.out)
    for number in range(SIZE):
        student, result = str(number), found[str(number)][1]
        assert found[student][0].status == "graded"
        assert result[0].student == student
        assert result[1:] == expected[names[number % 3]][1][1:]


def kill_now_and_then(cluster: Cluster, kills: list[int], stop: threading.Event) -> None:
    """Kill a grader process, then a Dask worker, and so on; in a small class one of each."""
    moments = random.Random(5)
    while not stop.wait(0.1) and len(kills) < max(2, SIZE // 4):
        graders = [pid for pid in parents_of_sandboxes().values() if pid in cluster]
        if graders:
            stop.wait(moments.uniform(0, 1))
            with contextlib.suppress(OSError, psutil.Error):  # it has just ended
                pid = moments.choice(graders)
                pid = psutil.Process(pid).ppid() if len(kills) % 2 else pid
                os.kill(pid, signal.SIGKILL)
                kills.append(pid)
                stop.wait(moments.uniform(2, 6))


def parents_of_sandboxes() -> dict[str, int]:
    """Return the grader processes at work, by the folder of the submission's tree."""
    graders: dict[str, int] = {}
    for process in psutil.process_iter(["cmdline", "ppid"]):
        command = " ".join(process.info["cmdline"] or ())
        tree = re.match(r"\S*bwrap .* (\S+/tree) /project ", command)
        if tree and process.info["ppid"] != 1:  # 1 is that of a grader that was killed
            graders.setdefault(tree[1], int(process.info["ppid"]))  # the outer one comes first
    return graders


def count(out: Path) -> int:
    with contextlib.closing(GradebookDatabase(out, "softmax")) as database:
        return sum(record.status == "graded" for record in database.submissions())


# --- workers that are refused --------------------------------------------------------------------


def job_spec(**versions: str) -> dask_pool.JobSpec:
    """Return a job spec of this machine's versions, except those given, with nothing to grade."""
    digest = spec_digest("softmax", PROJECT, starter_files(PROJECT, ["softmax"]))
    own = {**software_versions(), "kit": kit_digest(), "exercise": digest}
    isolation = Isolation.NONE.value
    return {"exercise": "softmax", "isolation": isolation, "versions": {**own, **versions}}


@pytest.mark.parametrize("part", ["Python", "numpy", "kit", "exercise"])
def test_a_worker_of_another_version_is_refused_by_name(part: str) -> None:
    dask_pool.check_worker(job_spec())
    with pytest.raises(dask_pool.ClusterError, match=rf"it has {part} \S+, and the grader 0\.1"):
        dask_pool.check_worker(job_spec(**{part: "0.1"}))


def test_a_worker_whose_checkout_has_changed_is_to_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_pool, "PROJECT", tmp_path)
    with pytest.raises(dask_pool.ClusterError, match="has changed since it was started; start it"):
        dask_pool.check_worker(job_spec())


def test_workers_without_checkout_or_sandbox_are_refused_and_the_others_grade(
    graded_class: GradedClass, cluster: Cluster, tmp_path: Path
) -> None:
    few = some_of(graded_class, tmp_path, "bob")
    (tmp_path / "other" / "gradkit").mkdir(parents=True)  # hides the installed one
    (tmp_path / "other" / "gradkit" / "__init__.py").write_text("raise ImportError('not here')")
    cluster.add_worker(tmp_path / "other")
    cluster.add_worker(PATH=str(Path(sys.executable).parent))
    alone = grade_on(cluster.address, few)
    assert alone.returncode == 1
    assert "error: No worker can be used (2 refused): " in alone.stderr
    assert count(few.out) == 0
    cluster.add_worker()
    ran = grade_on(cluster.address, few)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"The worker tcp://\S+ is refused: it is not started in a chec", ran.stdout)
    assert re.search(r"The worker tcp://\S+ is refused: bubblewrap \(the command bw", ran.stdout)
    assert "1 graded." in ran.stdout
    logs = [log.read_text() for log in cluster.folder.glob("*.log")]
    assert "Compute Failed" in "".join(logs)
    assert str(SEED) not in "".join(logs)


def test_a_scheduler_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_pool, "CONNECT_TIMEOUT", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for wrong in (f"tcp://127.0.0.1:{taken.getsockname()[1]}", "http://127.0.0.1:1"):
            with pytest.raises(
                dask_pool.ClusterError, match=f"No Dask scheduler answers at {wrong}"
            ):
                dask_pool.DaskPool(wrong, SimpleNamespace(), Isolation.NONE, print)  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


# --- what a cluster keeps to itself --------------------------------------------------------------

SEARCH = f"""\
import os
seed = {SEED - 1} + 1  # not the number itself, which would be found here
words = [str(seed).encode(), b'%x' % seed, b'BEGIN ' + b'SOLUTION softmax_']
found = [name for name in os.environ if 'DASK' in name or 'GRADKIT' in name]
for top, folders, names in os.walk('/'):
    folders[:] = [n for n in folders if top != '/' or n not in ('sys', 'usr', 'lib')]
    folders[:] = [n for n in folders if n not in ('site-packages', 'task')]
    for name in names:
        path = os.path.join(top, name)
        try:
            if os.path.isfile(path) and os.path.getsize(path) < 5_000_000:
                content = open(path, 'rb').read(5_000_000)
                found += [path for word in words if word in content]
        except OSError:
            pass
raise ValueError(f'found {{found}}, {{len(os.listdir("/proc")) > 0}}')
"""


def test_a_submission_on_a_worker_finds_neither_seed_nor_solution(
    graded_class: GradedClass, cluster: Cluster, tmp_path: Path
) -> None:
    few = some_of(graded_class, tmp_path)
    write_submission(few.submissions / "eve.zip", {SOFTMAX: SEARCH.encode()})
    cluster.add_worker()
    ran = grade_on(cluster.address, few)
    assert "1 graded." in ran.stdout, ran.stderr
    [(_, result)] = contents(few.out).values()
    assert "found [], True" in json.dumps(result[-1]["naive_loss"])
    folders = [path.name.split("-") for path in Path("/tmp").glob("gradkit-run-*")]
    workers = {int(pid) for _, _, pid, *_ in folders if int(pid) in cluster}

    def gone() -> bool:
        return not any(Path("/tmp").glob(f"gradkit-run-{pid}-*") for pid in workers)

    wait_for(gone, cluster.scheduler)


def test_a_cluster_behind_tls_is_used_with_dasks_own_settings(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes certificates, is not installed: no TLS is tried")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    few = some_of(graded_class, tmp_path, "bob")
    options = ["--tls-ca-file", str(certificate), "--tls-cert", str(certificate)]
    with contextlib.closing(Cluster(tmp_path, [*options, "--tls-key", str(key)], "tls")) as behind:
        behind.add_worker()
        stranger = grade_on(behind.address, few)
        assert "No Dask scheduler answers at tls://" in stranger.stderr
        tls = {"CA_FILE": certificate, "CLIENT__CERT": certificate, "CLIENT__KEY": key}
        names = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": f"{path}" for name, path in tls.items()}
        ran = grade_on(behind.address, few, **names)
    assert "1 graded." in ran.stdout, ran.stderr
