"""What students' code may try in the sandbox, and what comes of it.

The code stands in the naive loss. Whatever it does, its own check fails in time, the checks of the
vectorized loss keep their points, and nothing of it is left.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from assignment import PROJECT
from assignment.checks.check import RuleContext
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.verdict import Status, Verdict
from assignment.workspace import regions
from gradkit.autograder.grade_submission import open_runner, prepare_workdir
from gradkit.autograder.sandbox import (
    FORBIDDEN,
    LOCAL,
    Isolation,
    SandboxError,
    Watchdog,
    as_other_user,
    descendants,
    environment,
    processes_of,
    room,
    sandboxed,
    seccomp_filter,
    self_test,
)
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.batch.worker_pool import work_folder
from gradkit.course.config import Limits
from tests.banks import BANK

SECRET = 271828182845904523536028747135266249
LIMITS = Limits(check_seconds=2, cell_seconds=5, memory_mb=300, files_mb=32, processes=64)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, sandbox: None) -> GradingSpec:
    """The softmax exam, with short deadlines."""
    folder = tmp_path_factory.mktemp("exam")
    for place in (folder, *folder.parents[:3]):
        place.chmod(0o755)  # pytest makes its folders for their owner only
    made = build_spec("softmax", PROJECT, SECRET, folder / "exam")
    return replace(made, config=structs.replace(made.config, limits=LIMITS))


def solution(naive: str = "") -> bytes:
    """softmax.py with another body in the naive loss."""
    tree = BANK.solution.with_region("softmax_naive", naive) if naive else BANK.solution
    return tree.files[SOFTMAX].encode()


def sit(spec: GradingSpec, softmax: bytes, *names: str) -> dict[str, Verdict]:
    """The verdicts of these checks, in a sitting of them and the setup cell alone."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        files = {SOFTMAX: softmax}
        nb = regions.read_notebook(
            prepare_workdir(spec, files, {}, workdir, Isolation.SANDBOX).read_text(
                encoding="utf-8"
            ),
            "it",
        )
        with contextlib.closing(open_runner(spec, files, workdir, Isolation.SANDBOX)) as runner:
            for cell in nb["cells"]:
                about = cell["metadata"]["gradkit"]
                if cell["id"] == "setup" or about.get("check") in names:
                    runner.run(cell)
            return {name: runner.judge.verdict(name) for name in names}


CHECKS = ("naive_loss", "vectorized_loss")


def attack(spec: GradingSpec, body: str) -> Verdict:
    """What is said of a naive loss with this body; the vectorized one must not suffer from it."""
    start = time.monotonic()
    verdicts = sit(spec, solution(body), *CHECKS)
    assert time.monotonic() - start < 20
    assert verdicts["vectorized_loss"].passed
    assert not verdicts["naive_loss"].passed
    left = [pid for pid in descendants(os.getpid()) if b"bwrap" in cmdline(pid)]
    assert not left
    return verdicts["naive_loss"]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


# --- code that does not end, or ends too much -----------------------------------------------------

ENDLESS = {
    "a loop": "while True: pass",
    "a loop that ignores SIGINT": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    ),
    "a loop that swallows KeyboardInterrupt": (
        "while True:\n"
        "    try:\n"
        "        while True: pass\n"
        "    except KeyboardInterrupt:\n"
        "        print('still here')"
    ),
    "a sleep": "import time\ntime.sleep(1e6)",
    "a lock that nobody opens": "import threading\nthreading.Event().wait()",
}


@pytest.mark.parametrize("how", ENDLESS)
def test_what_does_not_end_is_stopped(spec: GradingSpec, how: str) -> None:
    verdict = attack(spec, ENDLESS[how])
    assert verdict.status is Status.TIMED_OUT
    assert verdict.text == "It was stopped after 2 seconds."
    if how == "a loop":
        assert "while True: pass" in verdict.quoted


def test_a_keyboard_interrupt_that_is_swallowed_is_no_pass(spec: GradingSpec) -> None:
    right = BANK.solution.body("softmax_naive").text
    body = (
        "try:\n    while True: pass\nexcept KeyboardInterrupt:\n    print('caught')\n"
        + "\n".join(line.removeprefix("    ") for line in right.splitlines())
    )
    assert attack(spec, body).status is Status.TIMED_OUT


CRASHES = {
    "os._exit(0)": "import os\nos._exit(0)",
    "a segmentation fault": "import ctypes\nctypes.string_at(0)",
    "an abort": "import os\nos.abort()",
    "a kill of itself": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "a kill of its parent": "import os\ntry: os.kill(1, 9)\nfinally: os._exit(1)",
    "a kill of all": "import os\ntry: os.kill(-1, 9)\nfinally: os._exit(1)",
}


@pytest.mark.parametrize("how", CRASHES)
def test_what_ends_python_is_a_crash(spec: GradingSpec, how: str) -> None:
    verdict = attack(spec, CRASHES[how])
    assert verdict.status is Status.CRASHED
    assert verdict.text == "The Python that ran it ended."


RAISES = {
    "sys.exit()": ("import sys\nsys.exit()", "SystemExit"),
    "recursion without end": ("return softmax_loss_naive(W, X, y, reg)", "RecursionError"),
    "input()": ("input('W? ')", "StdinNotImplementedError"),
    "a package that is not there": ("import torch", "ModuleNotFoundError"),
    "an exception whose text cannot be had": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
        "Odd",
    ),
}


@pytest.mark.parametrize("how", RAISES)
def test_what_raises_is_told_with_the_students_line(spec: GradingSpec, how: str) -> None:
    body, kind = RAISES[how]
    verdict = attack(spec, body)
    assert verdict.status is Status.RAISED
    assert verdict.kind == kind
    assert f'File "{SOFTMAX}"' in verdict.quoted


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"\xff\xfe\0x", b"def f(:\n"])
def test_a_file_that_is_no_module_gets_verdicts_and_no_points(
    spec: GradingSpec, content: bytes
) -> None:
    for verdict in sit(spec, content, *CHECKS).values():
        assert verdict.points == 0
        assert verdict.status in (Status.WRONG, Status.RAISED)
        assert verdict.text or verdict.quoted


def test_a_file_that_never_ends_to_load_is_told_of_in_every_check(spec: GradingSpec) -> None:
    for verdict in sit(spec, b"while True: pass\n" + solution(), *CHECKS).values():
        assert verdict.status is Status.TIMED_OUT
        assert "The cell `setup` did not end" in verdict.text


def test_a_submission_has_no_more_time_than_all_its_cells_together(
    spec: GradingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often its kernel ends, and what came before has to run again."""
    monkeypatch.setattr(GradingSpec, "all_deadlines", 8.0)
    slow = b"import time\ntime.sleep(1)\n" + solution("import os\nos._exit(0)")
    names = [check.name for check in EXERCISE.checks]
    verdicts = sit(spec, slow, *names)
    assert verdicts["naive_loss"].status is Status.CRASHED
    assert verdicts["predict"].status is Status.TIMED_OUT
    assert "The time for the whole submission was used up" in verdicts["predict"].text


# --- code that takes too much ---------------------------------------------------------------------

FLOODS = {
    "stdout, past the checks": "import os\nwhile True: os.write(1, b'x' * 10**6)",
    "the notebook's own streams": (
        "import sys\nfrom IPython import get_ipython\n"
        "out = get_ipython().kernel.iopub_thread\n"
        "from ipykernel.iostream import OutStream\n"
        "s = OutStream(get_ipython().kernel.session, out, 'stdout', watchfd=False)\n"
        "while True:\n    s.write('x' * 10**6)\n    s.flush()"
    ),
    "displays": (
        "from IPython.display import display\n"
        "while True: display({'text/plain': 'x' * 10**6}, raw=True)"
    ),
    "one huge display": (
        "from IPython.display import display\ndisplay({'text/plain': 'x' * 10**8}, raw=True)\n"
        "while True: pass"
    ),
}


@pytest.mark.parametrize("how", FLOODS)
def test_a_flood_of_output_is_not_received(spec: GradingSpec, how: str) -> None:
    before = peak_memory()
    verdict = attack(spec, FLOODS[how])
    assert verdict.status in (Status.TIMED_OUT, Status.CRASHED)
    assert peak_memory() - before < 150e6


def peak_memory() -> float:
    import resource

    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


MEMORY = {
    "on the heap": "held = []\nwhile True: held.append(bytearray(10**7))",
    "in one piece": "held = np.ones(10**12)",
    "in children": (
        "import os\nfor _ in range(20):\n    if os.fork() == 0:\n        held = []\n"
        "        while True: held.append(bytearray(10**7))\nimport time\ntime.sleep(9)"
    ),
    "in shared memory": (
        "from multiprocessing.shared_memory import SharedMemory\nheld = []\n"
        "while True:\n    held.append(SharedMemory(create=True, size=10**7))\n"
        "    held[-1].buf[:] = bytes(10**7)"
    ),
    "in memory files": (
        "import os\nfile = os.memfd_create('x')\nwhile True: os.write(file, bytes(10**7))"
    ),
    "in mapped files of no name": (
        "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 10**7))\n"
        "    held[-1].write(bytes(10**7))"
    ),
    "in a file": "file = open('/tmp/x', 'wb')\nwhile True: file.write(bytes(10**6))",
    "in many files": (
        "for i in range(10**6):\n    open(f'/tmp/{i}', 'wb').write(bytes(10**6))"
    ),
    "in the folder of the sockets": (
        "import glob\n[folder] = glob.glob('/tmp/gk-*')\n"
        "for i in range(10**6):\n    open(f'{folder}/{i}', 'wb').write(bytes(10**5))"
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", MEMORY)
def test_memory_and_files_without_end_are_ended(spec: GradingSpec, where: str) -> None:
    verdict = attack(spec, MEMORY[where])
    assert verdict.status in (Status.CRASHED, Status.RAISED)
    if where == "in memory files":
        assert "PermissionError" in verdict.quoted


PROCESSES = {
    "processes without end": "import os\nwhile True: os.fork()",
    "threads without end": (
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    ),
    "children in their own session": (
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0:\n            time.sleep(9999)\n        os._exit(0)\n"
        "while True: pass"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PROCESSES)
def test_whatever_is_started_ends_with_its_kernel(spec: GradingSpec, what: str) -> None:
    verdict = attack(spec, PROCESSES[what])
    assert verdict.status in (Status.CRASHED, Status.RAISED, Status.TIMED_OUT)


def test_threads_and_exit_handlers_that_go_on_change_nothing(spec: GradingSpec) -> None:
    body = (
        "import atexit, threading, time\n"
        "atexit.register(time.sleep, 99)\n"
        "def go():\n"
        "    while True:\n"
        "        time.sleep(0.001)\n"
        "        print('still here')\n"
        "threading.Thread(target=go).start()\n"
    )
    assert attack(spec, body).status is Status.NOT_ATTEMPTED


GRADER = """
import tempfile, time
from gradkit.engine import work_folder
from gradkit.sandbox import launch, room
with work_folder() as folder:
    tempfile.tempdir = str(folder)
    (folder / "tree").mkdir()
    with room({folder / "tree": "/project"}, folder / "tree") as place:
        launch(["sleep", "60"], place)
        time.sleep(60)
"""


def test_what_starts_while_its_grader_is_killed_is_ended_by_the_next_one(
    sandbox: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It asks to end with its parent when that is no longer there.
    late, began = tmp_path / "bwrap", tmp_path / "began"
    late.write_text(f'#!/bin/sh\necho $$ >{began}\nsleep 1\nexec {shutil.which("bwrap")} "$@"\n')
    late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with subprocess.Popen([sys.executable, "-c", GRADER], cwd=PROJECT) as grader:
        wait_for(lambda: began.exists() and began.read_text().endswith("\n"))
        grader.kill()
    left = int(began.read_text())
    wait_for(lambda: b"bwrap\0--" in cmdline(left) and not cmdline(left).startswith(b"/bin/sh"))
    with work_folder():
        wait_for(lambda: not cmdline(left))


def wait_for(come: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- code that looks around -----------------------------------------------------------------------


def looked(spec: GradingSpec, program: str) -> str:
    """What a program in the sandbox has to tell: the text of the exception that it ends with."""
    verdict = attack(spec, f"{program}\nraise RuntimeError(str(found))")
    assert verdict.status is Status.RAISED, verdict
    return verdict.quoted


def test_no_readable_file_holds_a_solution_or_an_answer(spec: GradingSpec) -> None:
    lines = {
        line.strip()
        for line in BANK.solution.body("softmax_vectorized").text.splitlines()
        if len(line.strip()) > 25 and "#" not in line
    }
    answer_key = spec.answer_key.reference["naive_loss"]
    number = f"{float(next(iter(answer_key.values()))):.9g}"
    secrets = [*lines, number, str(SECRET), f"{SECRET:x}", "gradient_of_right_class_only.toml"]
    program = (
        "import os\n"
        f"secrets = {[secret[::-1] for secret in secrets]!r}\n"
        "secrets = [secret[::-1].encode() for secret in secrets]\n"
        "found, read = [], 0\n"
        "for folder, folders, names in os.walk('/'):\n"
        "    folders[:] = [name for name in folders if (folder, name) not in\n"
        "                  (('/', 'sys'), ('/', 'usr'), ('/proc', 'sys'))]\n"
        "    for name in names:\n"
        "        path = os.path.join(folder, name)\n"
        "        if '.so' in name or name.endswith(('.pyc', '.js', '.map', '.a')):\n"
        "            continue\n"
        "        if not os.path.isfile(path): continue\n"
        "        try:\n"
        "            with open(path, 'rb') as file: content = file.read(3 * 10**6)\n"
        "        except OSError:\n"
        "            continue\n"
        "        read += 1\n"
        "        if '/proc/' not in path and 'classifiers/softmax.py' not in path:\n"
        "            found += [path for secret in secrets if secret in content]\n"
        "found = f'{read > 1000} {found}'"
    )
    patient = structs.replace(spec.config, limits=structs.replace(LIMITS, check_seconds=60))
    assert "True []" in sit(replace(spec, config=patient), solution(
        f"{program}\nraise RuntimeError(found)"), *CHECKS)["naive_loss"].quoted  # fmt: skip


def test_the_trees_of_the_instructor_are_nowhere(spec: GradingSpec) -> None:
    names = ["gradkit", "grading", "tests", ".git", "benchmarks"]
    program = (
        "import os\n"
        f"found = [f for f in {[str(PROJECT / name) for name in names]!r} if os.path.exists(f)]\n"
        "import importlib.util\n"
        "found += [n for n in ('gradkit', 'tests') if importlib.util.find_spec(n)]\n"
        "found += os.listdir('/project')"
    )
    listed = looked(spec, program)
    for name in ("assignment", "notebooks", "README.md"):
        assert name in listed
    assert not any(name in listed.replace("[", "'") for name in ("gradkit", "'grading", "tests"))


def test_environment_and_process_table_hold_nothing_of_the_graders(spec: GradingSpec) -> None:
    os.environ["GRADERS_OWN"] = "31415926535"
    try:
        said = looked(
            spec,
            "import os, glob\n"
            "found = [k for k in os.environ if 'GRADERS' in k], "
            "len(glob.glob('/proc/[0-9]*')), os.getuid() == 0",
        )
    finally:
        del os.environ["GRADERS_OWN"]
    text = said.rpartition("RuntimeError: ")[2]
    assert text.startswith("([], ")
    assert int(text.split(", ")[1]) < 8
    assert text.endswith("False)") or os.geteuid() != 0


def test_nothing_can_be_written_but_what_is_the_sandboxs_own(spec: GradingSpec) -> None:
    program = (
        "import os\nfound = []\n"
        "for folder, folders, names in os.walk('/'):\n"
        "    if folder.startswith(('/proc', '/sys', '/tmp', '/dev/shm', '/dev/pts')): continue\n"
        "    try:\n"
        "        open(os.path.join(folder, 'mine'), 'w').close()\n"
        "        found.append(folder)\n"
        "    except OSError: pass\n"
        "    folders[:] = [n for n in folders if (folder, n) != ('/', 'usr')]"
    )
    assert "RuntimeError: []" in looked(spec, program)


def test_there_is_no_network_and_no_way_to_more_powers(spec: GradingSpec) -> None:
    program = (
        "import ctypes, os, socket\nfound = []\n"
        "def tried(what, f):\n"
        "    try:\n"
        "        f()\n"
        "        found.append(what)\n"
        "    except OSError: pass\n"
        "tried('network', lambda: socket.create_connection(('127.0.0.1', 1), 1))\n"
        "tried('udp', lambda: socket.socket(2, 2).connect(('10.0.0.1', 53)))\n"
        "tried('vsock', lambda: socket.socket(40, 1))\n"
        "tried('alg', lambda: socket.socket(38, 5))\n"
        "tried('chroot', lambda: os.chroot('/tmp'))\n"
        "tried('setuid', lambda: os.setuid(0))\n"
        "tried('kill', lambda: [os.kill(p, 0) for p in range(200, 40000)] and None)\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for name, arguments in (('unshare', (0x10000000,)), ('ptrace', (0, 0, 0, 0)),\n"
        "        ('mount', (0, b'/tmp', b'tmpfs', 0, 0)), ('memfd_create', (b'x', 0)),\n"
        "        ('shmget', (0, 10**6, 0o1600))):\n"
        "    if getattr(libc, name)(*arguments) != -1: found.append(name)"
    )
    assert "RuntimeError: []" in looked(spec, program)


# --- code that wants points for nothing -----------------------------------------------------------

RIGHT = "\n".join(
    line.removeprefix("    ") for line in BANK.solution.body("softmax_naive").text.splitlines()
)
FORGED = (
    "from IPython.display import display\n"
    "def forge(**more):\n"
    "    sent = {'arrays': {}, 'missing': '', 'unusable': '', 'raised': None, 'timed_out': '',\n"
    "            'crashed': '', 'printed': '', 'seconds': 0.0} | more\n"
    "    display({'application/vnd.gradkit.outcome+json': sent}, raw=True)\n"
)
CHEATS = {
    "zeros, at once": "return 0.0, np.zeros_like(W)",
    "nan": "return float('nan'), np.full_like(W, np.nan)",
    "inf": "return float('inf'), np.full_like(W, np.inf)",
    "numbers as text": "return '1.5', W",
    "objects that equal everything": (
        "class Equal:\n"
        "    def __eq__(self, other): return True\n"
        "    def __array__(self, dtype=None, copy=None): return np.zeros(())\n"
        "return Equal(), W"
    ),
    "a wrong shape": "return np.zeros((3, 3)), W",
    "a complex number": "return 1j, W",
    "10 GB": "return np.broadcast_to(1.0, (10**9,)), W",
    "many axes": "return np.zeros((1,) * 32), W",
    "numpy patched": (
        "np.allclose = np.array_equal = lambda *a, **k: True\n"
        "np.linalg.norm = np.abs = lambda *a, **k: 0.0\nreturn 0.5, W"
    ),
    "the comparison patched": (
        "from assignment.checks import differences, verdict\n"
        "differences.find_difference = verdict.find_difference = lambda *a: None\nreturn 0.5, W"
    ),
    "builtins patched": (
        "import builtins\nbuiltins.print = builtins.abs = lambda *a, **k: 0\n"
        "builtins.AssertionError = Exception\nreturn 0.5, W"
    ),
    "json patched": (
        "import json\njson.dumps = lambda *a, **k: '{\"status\": \"passed\"}'\nreturn 0.5, W"
    ),
    "the display patched": (
        "import IPython.display\nIPython.display.display = lambda *a, **k: None\nreturn 0.5, W"
    ),
    "a forged verdict": (
        "from IPython.display import display\n"
        "display({'text/plain': '✓ Naive loss (8 of 8 points)'}, raw=True)\nreturn 0.5, W"
    ),
    "a forged outcome without arrays": f"{FORGED}forge()\nimport os\nos._exit(0)",
    "a forged outcome of nonsense": (
        f"{FORGED}forge(arrays={{'loss where x': {{'dtype': 'O', 'shape': [-1], 'data': '!'}}}})\n"
        "import time\ntime.sleep(99)"
    ),
    "a forged outcome that is no object": (
        "from IPython.display import display\n"
        "display({'application/vnd.gradkit.outcome+json': ['passed'] * 3}, raw=True)\n"
        "import os\nos._exit(0)"
    ),
    "a forged idle message": (
        "from IPython import get_ipython\nk = get_ipython().kernel\n"
        "k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'},\n"
        "    parent=k.get_parent('shell'), ident=b'status')\nimport time\ntime.sleep(99)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", CHEATS)
def test_only_the_right_numbers_are_worth_points(spec: GradingSpec, how: str) -> None:
    verdict = attack(spec, CHEATS[how])
    assert verdict.points == 0


def test_right_numbers_in_whatever_way_are_right(spec: GradingSpec) -> None:
    numeric = (
        "def f(W):\n"
        "    s = X @ W\n"
        "    s = s - s.max(axis=1, keepdims=True)\n"
        "    data = np.mean(np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(y)), y])\n"
        "    return data + reg / 2 * (W**2).sum()\n"
        "for i in np.ndindex(W.shape):\n"
        "    h = np.zeros_like(W)\n"
        "    h[i] = 1e-6\n"
        "    dW[i] = (f(W + h) - f(W - h)) / 2e-6\n"
        "loss = f(W)\n"
    )
    names = ("naive_loss", "naive_gradient")
    verdicts = sit(spec, solution(numeric), *names)
    assert all(verdict.passed for verdict in verdicts.values())


def test_an_answer_to_one_check_cannot_be_prepared_in_another(spec: GradingSpec) -> None:
    """Each check has a seed of its own, which is not known before its cell runs."""
    body = (
        "import sys\n"
        "seeds = [f.f_locals.get('own_seed') for f in sys._current_frames().values()\n"
        "         for f in iter_back(f)]\n"
        "raise RuntimeError(sorted({s for s in seeds if s}))"
    )
    helper = "def iter_back(f):\n    while f:\n        yield f\n        f = f.f_back\n\n\n"
    softmax = helper.encode() + solution(body)
    said = {
        name: verdict.quoted.rpartition(":")[2]
        for name, verdict in sit(spec, softmax, "naive_loss", "naive_gradient").items()
    }
    # The seed itself is not told on: whoever reads the feedback does not learn it.
    assert set(said.values()) == {" […]"}
    own = {name: EXERCISE.check(name).seed_from(SECRET) for name in said}
    assert len(set(own.values())) == 2


def test_files_that_are_not_the_students_to_write_are_not_there(spec: GradingSpec) -> None:
    looked_for = ["conftest.py", "sitecustomize.py", "usercustomize.py", "pytest.ini", "setup.cfg"]
    program = (
        "import os\n"
        f"found = [n for d, _, ns in os.walk('/project') for n in ns if n in {looked_for!r}]\n"
        "found += [p for p in ('/tmp/.ipython/profile_default/startup/x.py',) if os.path.exists(p)]"
    )
    assert "RuntimeError: []" in looked(spec, program)


def test_the_time_of_a_check_is_measured_outside(spec: GradingSpec) -> None:
    slow = BANK.solution.with_region(
        "softmax_vectorized",
        "import time\nif len(X) > 10**5: time.sleep(3)\ntime.perf_counter = lambda: 0.0\n"
        + "\n".join(
            line.removeprefix("    ")
            for line in BANK.solution.body("softmax_vectorized").text.splitlines()
        )
        + "\n",
    ).files[SOFTMAX]
    patient = structs.replace(spec.config, limits=structs.replace(LIMITS, check_seconds=9))
    names = ("vectorized_loss", "vectorized_gradient", "vectorized_no_loops")
    verdicts = sit(replace(spec, config=patient), slow.encode(), *names)
    assert verdicts["vectorized_loss"].passed
    assert verdicts["vectorized_no_loops"].mistake == "slow_vectorized"


WITHOUT_SOCKETS = (
    "import os, socket\n"
    "def cut():\n"
    "    for fd in map(int, os.listdir('/proc/self/fd')):\n"
    "        try: socket.socket(fileno=os.dup(fd)).shutdown(2)\n"
    "        except OSError: pass\n"
)


@pytest.mark.parametrize(
    "then",
    ["cut()\nimport time\ntime.sleep(99)", "import threading\nthreading.Timer(0.3, cut).start()"],
)
def test_a_kernel_that_closes_its_sockets_does_not_hold_the_grader(
    spec: GradingSpec, then: str
) -> None:
    verdict = attack(spec, WITHOUT_SOCKETS + then)
    assert verdict.points == 0


def test_what_is_sent_in_pieces_without_end_is_not_kept(spec: GradingSpec) -> None:
    body = (
        "import os, socket, struct\n"
        "piece = bytes([3]) + struct.pack('>Q', 1900000) + bytes(1900000)\n"
        "while True:\n"
        "    for fd in map(int, os.listdir('/proc/self/fd')):\n"
        "        try:\n"
        "            s = socket.socket(fileno=os.dup(fd))\n"
        "            s.settimeout(0.2)\n"
        "            s.sendall(piece)\n"
        "        except OSError: pass"
    )
    before = peak_memory()
    verdict = attack(spec, body)
    assert verdict.points == 0
    assert peak_memory() - before < 400e6


def test_the_folder_of_the_sockets_is_closed_once_they_are_there(spec: GradingSpec) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can take the folder away from its owner")
    program = (
        "import glob, os\n[folder] = glob.glob('/tmp/**/gk-*', recursive=True)\nfound = []\n"
        "for tried in (lambda: open(f'{folder}/x', 'w'), lambda: os.mkdir(f'{folder}/d'),\n"
        "        lambda: os.symlink('/etc/passwd', f'{folder}/kernel.json'),\n"
        "        lambda: os.chmod(folder, 0o777), lambda: os.unlink(f'{folder}/kernel.json')):\n"
        "    try: found.append(tried())\n"
        "    except OSError: pass"
    )
    assert "RuntimeError: []" in looked(spec, program)


def test_results_that_are_nan_are_no_results(spec: GradingSpec) -> None:
    check = EXERCISE.check("tuning")
    pairs = [
        (lr, reg) for lr in spec.data["TUNING_LEARNING_RATES"] for reg in spec.data["TUNING_REGS"]
    ]
    arrays = {
        "results": np.array([[*pair, np.nan, np.nan] for pair in pairs]),
        "best_val": np.array(np.nan),
        "W": np.zeros((3073, 10), np.float32),
    }
    assert check.rule
    finding = check.rule(arrays, RuleContext(0, {}, 0.0, spec.data))
    assert finding and finding.headline == "not numbers"
    losses = {"loss_history": np.full(spec.data["NUM_ITERS"], np.nan), "W": arrays["W"]}
    training = EXERCISE.check("training").rule
    assert training
    finding = training(losses, RuleContext(0, {}, 0.0, spec.data))
    assert finding and "0 numbers that are losses" in finding.detail


# --- the filter, the probe, the watchdog ----------------------------------------------------------


def test_the_filter_is_made_of_whole_instructions_for_each_kind_of_processor() -> None:
    for machine in FORBIDDEN:
        assert len(seccomp_filter(machine)) % 8 == 0
        assert len(seccomp_filter(machine)) // 8 == 2 * len(FORBIDDEN[machine]) + 21
    with pytest.raises(SandboxError, match="x86_64 and aarch64, but this is m68k"):
        seccomp_filter("m68k")


def test_where_bubblewrap_is_missing_the_way_out_is_told(
    sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    self_test()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=r"not installed. Install it .* --no-sandbox"):
        self_test()


def test_where_no_sandbox_starts_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match=r"No permissions to create new namespace.*sysctl"):
        self_test()


def test_an_interpreter_beside_the_solutions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(PROJECT))
    with (
        room({tmp_path: "/project"}, tmp_path) as place,
        pytest.raises(SandboxError, match="the solutions could be read"),
    ):
        sandboxed(["true"], place, 0)


def test_a_private_folder_is_gone_afterwards_and_is_no_one_elses(tmp_path: Path) -> None:
    with room({tmp_path: "/project"}, tmp_path) as place:
        assert place.private.stat().st_mode & 0o077 == 0
        assert len(str(place.private)) < 40
    assert not place.private.exists()


def test_the_watchdog_looks_at_grandchildren(tmp_path: Path) -> None:
    program = "import subprocess; subprocess.run(['sleep', '60'])"
    with room({tmp_path: "/project"}, tmp_path, isolation=Isolation.NONE) as place:
        process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        try:
            deadline = time.monotonic() + 10
            while not list(descendants(process.pid)) and time.monotonic() < deadline:
                time.sleep(0.05)
            few = replace(place, limits=structs.replace(place.limits, processes=0))
            dog = Watchdog(process, few)
            dog.start()
            dog.join(timeout=10)
            assert dog.found == "It started more than 0 processes."
            assert process.wait(timeout=10) == -9
        finally:
            process.kill()


# --- where there is no sandbox --------------------------------------------------------------------
# What code may try as another user, and what it gains, is tried in tests/test_gradescope.py.


def test_the_exams_notebook_is_for_the_graders_eyes_only(spec: GradingSpec, tmp_path: Path) -> None:
    """Another user, who sees the desk, can read the tree on it and not the checks' seeds."""
    umask = os.umask(0)
    try:
        notebook = prepare_workdir(spec, {}, {}, tmp_path, Isolation.OTHER_USER)
    finally:
        os.umask(umask)
    assert "own_seed" not in notebook.read_text(encoding="utf-8")
    assert notebook.stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "tree" / SOFTMAX).stat().st_mode & 0o777 == 0o644


def test_each_enclosure_has_its_files_where_it_can_reach_them(spec: GradingSpec) -> None:
    def parameters(isolation: Isolation) -> str:
        cells = spec.notebook({}, isolation)["cells"]
        [found] = [c for c in cells if c["metadata"]["gradkit"].get("role") == "parameters"]
        return str(found["source"])

    assert "DATA = '/data'\n" in parameters(Isolation.SANDBOX)
    assert "BEST_MODEL = Path('/tmp/best_model.npz')" in parameters(Isolation.SANDBOX)
    for other in (Isolation.NONE, Isolation.OTHER_USER):
        assert f"DATA = '{spec.data_folder}'\n" in parameters(other)
    assert "BEST_MODEL = Path.home() / 'best_model.npz'" in parameters(Isolation.OTHER_USER)


def test_only_root_can_let_another_user_run_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with (
        pytest.raises(SandboxError, match="Only root can let another user run"),
        room({tmp_path: "/project"}, tmp_path, isolation=Isolation.OTHER_USER),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can let another user run code")
def test_another_user_is_refused_where_it_could_read_the_solutions() -> None:
    """As here, where the tree is open to everyone, or this Python to nobody else."""
    with pytest.raises(SandboxError, match=r"No other user can run .* be closed to others"):
        self_test(Isolation.OTHER_USER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can let another user run code")
def test_another_user_has_a_home_of_its_own_and_none_of_the_graders_environment(
    tmp_path: Path,
) -> None:
    with room({tmp_path: "/project"}, tmp_path, isolation=Isolation.OTHER_USER) as place:
        home = Path(place.home)
        assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (place.uid, 0o700)
        assert environment(place.home)["HOME"] == environment(place.home)["TMPDIR"] == str(home)
        command = as_other_user(["true"], place, 0)
        assert command[:3] == ["nice", "-n", "10"]
        assert f"--reuid={place.uid}" in command
        assert "--no-new-privs" in command
    assert not home.exists()


def test_without_a_namespace_there_are_no_sockets_for_the_network() -> None:
    for machine in FORBIDDEN:
        steps = len(seccomp_filter(machine)) // 8
        assert len(seccomp_filter(machine, LOCAL)) // 8 == steps - 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_whatever_a_user_runs_is_ended_at_one_blow(tmp_path: Path) -> None:
    """Also what has left its group, and whoever goes on as another process again and again."""
    fleeing = "import os\nwhile True:\n    if os.fork(): os._exit(0)"
    with room({tmp_path: "/project"}, tmp_path, isolation=Isolation.OTHER_USER) as place:
        # Root's own Python, since another user's may not be had here.
        become = f"import os\nos.setpgid(0, 0)\nos.setresuid(*[{place.uid}] * 3)\n"
        started = [
            subprocess.Popen([sys.executable, "-I", "-S", "-c", become + program], cwd="/")
            for program in (fleeing, "import time; time.sleep(99)")
        ]
        assert place.uid
        assert started[0].wait(timeout=30) == 0  # the first of those that flee has gone
        while started[1].pid not in processes_of(place.uid):
            assert started[1].poll() is None
            time.sleep(0.01)
    assert not list(processes_of(place.uid))
    assert started[1].wait(timeout=10) == -9
