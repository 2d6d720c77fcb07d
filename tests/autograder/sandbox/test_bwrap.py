"""What code in bubblewrap's sandbox finds when it looks around, and what outlives its grader."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assignment import PROJECT
from gradkit.autograder.sandbox import SandboxError, end_sandboxes, open_sandbox, self_test
from gradkit.autograder.sandbox.bwrap import bwrap_command
from gradkit.autograder.spec import GradingSpec
from tests.autograder.conftest import SECRET
from tests.autograder.live_runner import run_program, wait_until
from tests.banks import BANK


def test_sandbox_can_read_no_solution_and_no_answer(spec: GradingSpec, sandbox: None) -> None:
    lines = {
        line.strip()
        for line in BANK.solution.body("softmax_vectorized").text.splitlines()
        if len(line.strip()) > 25 and "#" not in line
    }
    reference = spec.answer_key.reference["naive_loss"]
    number = f"{float(next(iter(reference.values()))):.9g}"
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
        "        if '/proc/' not in path:\n"
        "            found += [path for secret in secrets if secret in content]\n"
        "found = f'{read > 1000} {found}'"
    )
    assert run_program(spec, program) == "True []"


def test_sandbox_shows_starter_without_instructor_files_and_startup_files(
    spec: GradingSpec, sandbox: None
) -> None:
    folders = [str(PROJECT / name) for name in ("gradkit", "grading", "tests", ".git")]
    startup = ["conftest.py", "sitecustomize.py", "usercustomize.py", "pytest.ini", "setup.cfg"]
    program = (
        "import importlib.util, os\n"
        f"found = [path for path in {folders!r} if os.path.exists(path)]\n"
        "found += [n for n in ('gradkit', 'tests') if importlib.util.find_spec(n)]\n"
        f"found += [n for d, _, ns in os.walk('/project') for n in ns if n in {startup!r}]\n"
        "found += [d for d in ('/tmp/.ipython',) if os.path.exists(d)]\n"
        "found += sorted(os.listdir('/project'))"
    )
    shown = ["README.md", "assignment", "datasets", "get_datasets.sh", "notebooks"]
    found = ast.literal_eval(run_program(spec, program))
    assert [name for name in found if not name.startswith((".", "requirements"))] == shown


def test_sandbox_hides_environment_and_processes_of_the_grader(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADERS_OWN", "31415926535")
    program = (
        "import os, glob\n"
        "found = [k for k in os.environ if 'GRADERS' in k], "
        "len(glob.glob('/proc/[0-9]*')), os.getuid() == 0"
    )
    text = run_program(spec, program)
    assert text.startswith("([], ")
    assert int(text.split(", ")[1]) < 8
    assert text.endswith("False)") or os.geteuid() != 0


def test_sandbox_can_write_nowhere_except_its_own_folders(spec: GradingSpec, sandbox: None) -> None:
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
    assert run_program(spec, program) == "[]"


def test_sandbox_has_no_network_and_cannot_gain_privileges(
    spec: GradingSpec, sandbox: None
) -> None:
    program = (
        "import os, socket\nfound = []\n"
        "def attempt(what, f):\n"
        "    try:\n"
        "        f()\n"
        "        found.append(what)\n"
        "    except OSError: pass\n"
        "attempt('network', lambda: socket.create_connection(('127.0.0.1', 1), 1))\n"
        "attempt('udp', lambda: socket.socket(2, 2).connect(('10.0.0.1', 53)))\n"
        "attempt('vsock', lambda: socket.socket(40, 1))\n"
        "attempt('chroot', lambda: os.chroot('/tmp'))\n"
        "attempt('setuid', lambda: os.setuid(0))\n"
        "for pid in range(200, 40000): attempt(pid, lambda: os.kill(pid, 0))\n"
    )
    assert run_program(spec, program) == "[]"


def test_sandbox_does_not_start_without_bubblewrap(
    sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=r"not installed. Install it .* --no-sandbox"):
        self_test()


def test_sandbox_is_refused_when_interpreter_lies_beside_the_solutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(PROJECT))
    with (
        open_sandbox({tmp_path: "/project"}, tmp_path) as config,
        pytest.raises(SandboxError, match="the solutions could be read"),
    ):
        bwrap_command(["true"], config, 0)


GRADER = """
import sys, time
from pathlib import Path
from gradkit.autograder.sandbox import open_sandbox
from gradkit.autograder.sandbox import launch
folder = Path(sys.argv[1])
with open_sandbox({folder: "/project"}, folder) as config:
    launch(["sleep", "60"], config)
    time.sleep(60)
"""


def test_end_sandboxes_ends_one_that_started_while_its_grader_was_killed(
    sandbox: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This bubblewrap asks to end with its parent when that no longer exists.
    late, began, tree = tmp_path / "bwrap", tmp_path / "began", tmp_path / "run" / "tree"
    tree.mkdir(parents=True)
    late.write_text(f'#!/bin/sh\necho $$ >{began}\nsleep 1\nexec {shutil.which("bwrap")} "$@"\n')
    late.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with subprocess.Popen([sys.executable, "-c", GRADER, tree], cwd=PROJECT) as grader:
        wait_until(lambda: began.exists() and began.read_text().endswith("\n"))
        grader.kill()
    left = int(began.read_text())
    wait_until(lambda: b"bwrap\0--" in cmdline(left) and not cmdline(left).startswith(b"/bin/sh"))
    end_sandboxes(tmp_path / "another run")
    assert cmdline(left)
    end_sandboxes(tmp_path / "run")
    wait_until(lambda: not cmdline(left))


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
