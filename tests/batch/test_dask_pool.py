"""A class is graded by Dask's workers as by processes of this machine, whatever ends meanwhile.

Scheduler and workers are real ones, on loopback. `GRADKIT_CHAOS=200x5` grades a class of 200 five
times while workers are killed, which takes half an hour; without it, one small class once.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE, SOFTMAX
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import build_spec
from gradkit.autograder.version import kit_digest
from gradkit.batch import dask_pool as cluster
from gradkit.batch.dask_pool import get_ready, make_job_spec
from gradkit.processes import descendants
from tests.banks import BANK
from tests.batch.test_grade_class import grade, gradebook, solved_cells, solved_files, submission

pytest.importorskip("distributed", reason="Dask is not installed: no cluster is tried")

CLASS, RUNS = map(int, os.environ.get("GRADKIT_CHAOS", "6x1").split("x"))
PATIENCE = 300 + 15 * CLASS  # seconds: workers that are killed begin anew on a busy machine
KILLER = "# whoever grades this is killed"


# --- a cluster -----------------------------------------------------------------------------------


class Dask:
    """A scheduler and workers, each a process, with a log of its own."""

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
        where = ("--host", f"{self.kind}://127.0.0.1", "--port", self.port)
        self.scheduler = self._start(PROJECT, "scheduler", *where)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.1)
        raise AssertionError("the scheduler did not start")

    def add_worker(self, tree: Path = PROJECT, **env: str) -> subprocess.Popen[bytes]:
        """A worker process, and the nanny that starts another one in its place."""
        arguments = (self.address, "--nthreads", 1, "--host", "127.0.0.1")
        return self._start(tree, "worker", *arguments, **env)

    def _start(self, tree: Path, *arguments: Any, **env: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
        number = len(self.processes)
        with (self.folder / f"dask-{number}-{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *self.options], cwd=tree, stdout=log, stderr=log,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **env},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def __contains__(self, pid: int) -> bool:
        """Whether a process is one of its own."""
        return any(pid in descendants(process.pid) for process in self.processes)

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
def dask(tmp_path: Path, sandbox: None) -> Iterator[Dask]:
    with contextlib.closing(Dask(tmp_path)) as made:
        yield made


def make_class(folder: Path, count: int) -> None:
    """All that can be right and wrong with a submission, again and again."""
    mutants = [mutant for mutant in BANK.mutants if mutant.number == 0 and "slow" not in mutant.id]
    chosen = random.Random(5).sample(mutants, min(count, len(mutants)))
    for number in range(count):
        files, cells = solved_files(), solved_cells()
        match number % 5:
            case 0:
                files = {}
            case 1:
                files = {SOFTMAX: b"def softmax_loss_naive(:\n"}
            case 2 | 3:
                mutant = chosen[number % len(chosen)]
                files = {path: text.encode() for path, text in mutant.tree.files.items()}
        submission(folder / f"student{number:03}.zip", files, cells)


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("class")
    make_class(folder, CLASS)
    return folder


@pytest.fixture(scope="module")
def local(classroom: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: None) -> Path:
    """The ledger of the class as processes of this machine grade it."""
    out = tmp_path_factory.mktemp("local")
    ran = grade(classroom, out)
    assert ran.returncode == 0, ran.stderr
    return out


def database(out: Path) -> dict[str, Any]:
    """All that a ledger knows of its submissions, but for the times that things took."""
    with contextlib.closing(sqlite3.connect(out / "gradebook.sqlite")) as db:
        records = db.execute("SELECT * FROM entries ORDER BY student, submission").fetchall()
        columns = "id, student, work, exam, kit, score, verdicts, handed_in, again"
        results = {}
        for number, *values in db.execute(f"SELECT {columns} FROM results"):
            values[6] = zlib.decompress(values[6])
            query = "SELECT name, outcome FROM outcomes WHERE result = ?"
            outcomes = {
                name: {**json.loads(zlib.decompress(outcome)), "seconds": None}
                for name, outcome in db.execute(query, (number,))
            }
            results[values[0]] = values, outcomes
        claims = db.execute("SELECT * FROM claims").fetchall()
    return {"entries": records, "results": results, "claims": claims}


def grading(classroom: Path, out: Path, address: str) -> subprocess.Popen[str]:
    """`gradkit grade` on a cluster, while it runs."""
    command = [sys.executable, "-m", "gradkit", "grade", classroom, "--out", out]
    command += ["--exercise", "softmax", "--seed", "271828182845904523536", "--scheduler", address]
    return subprocess.Popen(
        list(map(str, command)), cwd=PROJECT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def graders() -> dict[str, int]:
    """The processes that are grading something now, by the folder of what they grade."""
    command = ["ps", "axww", "-o", "pid=", "-o", "ppid=", "-o", "args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sandboxes = re.findall(r"^ *(\d+) +(\d+) \S*bwrap .* (\S+/tree) /project ", listed, re.M)
    inner = {pid for pid, _, _ in sandboxes}  # each runs another one in its namespaces
    # The parent 1 is that of one whose grader has been killed.
    return {tree: int(parent) for _, parent, tree in sandboxes if parent not in inner | {"1"}}


# --- as this machine does it ---------------------------------------------------------------------


def test_workers_of_a_cluster_come_to_the_same_rows(
    classroom: Path, local: Path, dask: Dask, tmp_path: Path
) -> None:
    for _ in range(2):
        dask.add_worker()
    ran = grade(classroom, tmp_path / "out", "--scheduler", dask.address)
    assert ran.returncode == 0, ran.stderr
    assert f"{CLASS} graded." in ran.stdout
    assert database(tmp_path / "out") == database(local)
    again = grade(classroom, tmp_path / "out", "--scheduler", dask.address)
    assert f"0 graded; {CLASS} had been graded before" in again.stdout


@pytest.mark.parametrize("run", range(RUNS))
def test_whatever_ends_the_gradebook_is_that_of_this_machine(
    classroom: Path, local: Path, dask: Dask, tmp_path: Path, run: int
) -> None:
    moments, out = random.Random(run), tmp_path / "out"
    for _ in range(2):
        dask.add_worker()
    kills: list[bytes] = []
    stop = threading.Event()

    def kill_now_and_then() -> None:
        while not stop.wait(0.1):
            at_work = [(tree, pid) for tree, pid in graders().items() if pid in dask]
            if not at_work:
                continue
            tree, pid = moments.choice(at_work)
            with contextlib.suppress(OSError):  # it has just ended
                stop.wait(moments.uniform(0, 1))
                # Three times are too often for one work, and some are copies of each other; and
                # twice each would keep a small class busy with starting workers.
                content = b"".join((Path(tree) / path).read_bytes() for path in EXERCISE.files)
                if kills.count(content) < 2 and len(kills) < CLASS // 2:
                    os.kill(pid, signal.SIGKILL)
                    kills.append(content)
                    stop.wait(moments.uniform(2, 6))

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        process = grading(classroom, out, dask.address)
        _wait_for(lambda: _count(out) >= CLASS // 3, process)
        dask.add_worker()
        _wait_for(lambda: _count(out) >= CLASS // 2, process)
        dask.scheduler.kill()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 1
        assert f"The scheduler at {dask.address} has ended, or cannot be reached" in errors
        graded = _count(out)
        assert CLASS // 2 <= graded < CLASS
        dask.start_scheduler()
        for _ in range(2):
            dask.add_worker()
        process = grading(classroom, out, dask.address)
        said, errors = process.communicate(timeout=PATIENCE)
    finally:
        stop.set()
        killer.join()
    assert process.returncode == 0, errors
    assert kills
    assert f"{CLASS - graded} graded; {graded} had been graded before." in said
    assert database(out) == database(local)


def _count(out: Path) -> int:
    """How many results a ledger has, but for those that are to be tried once more, alone."""
    if not (out / "gradebook.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(out / "gradebook.sqlite", timeout=30)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM results WHERE again = 0").fetchone()[0])
        except sqlite3.OperationalError:  # its tables are being made
            return 0


def _wait_for(come: Any, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not come():
        if time.monotonic() > deadline:
            process.kill()
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.2)


@pytest.mark.parametrize("where", ["this machine", "a cluster"])
def test_a_submission_that_ends_its_worker_three_times_is_marked_and_the_class_goes_on(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    submission(folder / "ada.zip", solved_files(), solved_cells())
    submission(folder / "bob.zip", {SOFTMAX: f"{KILLER}\nwhile True: pass\n".encode()})
    submission(folder / "cleo.zip", {})
    submission(folder / "dan.zip", solved_files(), solved_cells())
    options: list[str] = []
    request.getfixturevalue("sandbox")
    if where == "a cluster":
        dask = request.getfixturevalue("dask")
        for _ in range(2):
            dask.add_worker()
        options = ["--scheduler", dask.address]
    kills, stop = [], threading.Event()

    def kill_who_grades_bob() -> None:
        while not stop.wait(0.05):
            for tree, grader in graders().items():
                with contextlib.suppress(OSError):
                    if KILLER in (Path(tree) / SOFTMAX).read_text():
                        os.kill(grader, signal.SIGKILL)
                        kills.append(grader)
                        time.sleep(0.5)  # until its sandbox has ended too

    killer = threading.Thread(target=kill_who_grades_bob)
    killer.start()
    try:
        ran = grade(folder, out, *options)
    finally:
        stop.set()
        killer.join()
    assert ran.returncode == 0, ran.stderr
    assert "3 graded; 1 could not be graded." in ran.stdout
    book = gradebook(out)
    assert {name: row["score"] for name, row in book.items()} == {
        "ada": "100", "bob": "", "cleo": "0", "dan": "100"
    }  # fmt: skip
    assert "The process that graded it was ended 3 times." in book["bob"]["notes"]
    assert len(set(kills)) == 3
    assert _count(out) == 3


# --- who is given no work ------------------------------------------------------------------------


def test_a_worker_of_another_version_is_refused_by_name_and_the_others_grade(
    classroom: Path, dask: Dask, tmp_path: Path
) -> None:
    few, tree = tmp_path / "few", tmp_path / "tree"
    few.mkdir()
    shutil.copy(next(classroom.glob("*.zip")), few)
    litter = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", "*.npz")
    for name in ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets"):
        shutil.copytree(PROJECT / name, tree / name, ignore=litter)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, tree)
    with (tree / "gradkit" / "autograder" / "kernel.py").open("a") as file:
        file.write("# another version\n")
    dask.add_worker(tree)
    alone = grade(few, tmp_path / "out", "--scheduler", dask.address)
    assert alone.returncode == 1
    assert "No worker can be given work (1 refused): it has gradkit " in alone.stderr
    dask.add_worker()
    ran = grade(few, tmp_path / "out", "--scheduler", dask.address)
    if "No worker" in ran.stderr:  # the second one was not there yet
        ran = grade(few, tmp_path / "out", "--scheduler", dask.address)
    assert ran.returncode == 0, ran.stderr
    assert re.search(
        r"The worker tcp://\S+ is refused: it has gradkit \w{16}, and the ", ran.stdout
    )
    assert "1 graded." in ran.stdout


def test_a_worker_without_a_sandbox_or_a_checkout_is_refused(
    classroom: Path, dask: Dask, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(next(classroom.glob("*.zip")), few)
    without = dask.add_worker(PATH=str(Path(sys.executable).parent))
    ran = grade(few, tmp_path / "out", "--scheduler", dask.address)
    assert ran.returncode == 1
    assert "bubblewrap (the command bwrap) is not installed" in ran.stderr
    without.terminate()
    without.wait(timeout=20)
    dask.add_worker(tmp_path)
    ran = grade(few, tmp_path / "out", "--scheduler", dask.address)
    assert ran.returncode == 1
    assert "`python -m dask worker` in a checkout of this version" in ran.stderr
    assert _count(tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Python": "3.9.1"}, "it has Python "),
        ({"numpy": "1.26.4"}, "and the grader 1.26.4"),
        ({"exam": "e" * 16}, "its softmax exercise is of version "),
    ],
)
def test_other_versions_are_told_by_what_they_are_of(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    spec = build_spec("softmax", PROJECT, 1 << 65, tmp_path)
    job_spec = make_job_spec(spec, kit_digest(), Isolation.NONE)
    assert said in get_ready({**job_spec, **changed})


def test_a_worker_whose_checkout_has_changed_is_to_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = build_spec("softmax", PROJECT, 1 << 65, tmp_path / "exam")
    job_spec = make_job_spec(spec, kit_digest(), Isolation.NONE)
    for name in ("assignment", "gradkit"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    monkeypatch.setattr(cluster, "PROJECT", tmp_path)
    with (tmp_path / "gradkit" / "feedback" / "markdown.py").open("a") as file:
        file.write("# changed\n")
    assert get_ready(job_spec) == "its checkout has changed since it was started; start it again"


def test_no_scheduler_is_told_and_nothing_is_graded(classroom: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        for wrong in (address, "http://127.0.0.1:1"):
            ran = grade(classroom, tmp_path / "out", "--scheduler", wrong)
            assert ran.returncode == 1
            assert f"error: No Dask scheduler answers at {wrong}" in ran.stderr
            assert "Traceback" not in ran.stderr
    usage = grade(classroom, tmp_path / "out", "--scheduler", address, "--jobs", "2")
    assert usage.returncode == 2


# --- what a cluster keeps to itself --------------------------------------------------------------


def test_a_submission_on_a_worker_finds_neither_seed_nor_answers(
    dask: Dask, tmp_path: Path
) -> None:
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    search = (
        "import os\n"
        # Not as they are, which would be found here.
        "seed = 271828182845904523535 + 1\n"
        "words = [str(seed).encode(), b'%x' % seed, b'BEGIN ' + b'SOLUTION softmax_']\n"
        "found = [name for name in os.environ if 'DASK' in name or 'GRADKIT' in name]\n"
        "for top, folders, names in os.walk('/'):\n"
        "    folders[:] = [n for n in folders if top != '/' or n not in ('sys', 'usr', 'lib')]\n"
        "    folders[:] = [n for n in folders if n not in ('site-packages', 'task')]\n"
        "    for name in names:\n"
        "        path = os.path.join(top, name)\n"
        "        try:\n"
        "            if os.path.isfile(path) and os.path.getsize(path) < 5_000_000:\n"
        "                content = open(path, 'rb').read(5_000_000)\n"
        "                found += [path for word in words if word in content]\n"
        "        except OSError:\n"
        "            pass\n"
        "raise ValueError(f'found {found}, {len(os.listdir(\"/proc\")) > 0}')\n"
    )
    submission(folder / "eve.zip", {SOFTMAX: search.encode()})
    dask.add_worker()
    ran = grade(folder, out, "--scheduler", dask.address)
    assert "1 graded." in ran.stdout, ran.stderr
    [(_, outcomes)] = database(out)["results"].values()
    assert "found [], True" in json.dumps(outcomes["naive_loss"])
    for made in Path("/tmp").glob("gradkit-run-*/stand-in"):
        assert int(made.parent.name.split("-")[2]) not in dask


def test_a_cluster_behind_tls_is_used_with_dasks_own_settings(
    classroom: Path, sandbox: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes certificates, is not installed: no TLS is tried")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    make += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(next(classroom.glob("*.zip")), few)
    options = ["--tls-ca-file", str(certificate), "--tls-cert", str(certificate)]
    with contextlib.closing(Dask(tmp_path, [*options, "--tls-key", str(key)], "tls")) as dask:
        dask.add_worker()
        stranger = grade(few, tmp_path / "out", "--scheduler", dask.address)
        assert "No Dask scheduler answers at tls://" in stranger.stderr
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(certificate))
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT", str(certificate))
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY", str(key))
        ran = grade(few, tmp_path / "out", "--scheduler", dask.address)
    assert "1 graded." in ran.stdout, ran.stderr
