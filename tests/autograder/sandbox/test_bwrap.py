"""Code in bubblewrap's sandbox reaches nothing outside, and does not outlive its grader."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assignment import PROJECT
from gradkit.autograder import sandbox as sandbox_package
from gradkit.autograder.sandbox import (
    SandboxConfig,
    SandboxError,
    end_sandboxes,
    open_sandbox,
    self_test,
)
from gradkit.autograder.sandbox.bwrap import bwrap_command
from gradkit.autograder.sandbox.config import limit_command
from gradkit.autograder.spec import GradingSpec
from tests.autograder.conftest import SECRET, attacks, run_program
from tests.banks import BANK
from tests.classes import wait_for


@attacks("probes")
def test_sandbox_has_none_of(spec: GradingSpec, sandbox: None, name: str, code: str) -> None:
    lines = {
        line.strip()
        for line in BANK.solution.body("softmax_vectorized").text.splitlines()
        if len(line.strip()) > 25 and "#" not in line
    }
    reference = spec.answer_key.reference["naive_loss"]
    number = f"{float(next(iter(reference.values()))):.9g}"
    secrets = [*lines, number, str(SECRET), f"{SECRET:x}", "gradient_of_right_class_only.toml"]
    backwards = [secret[::-1] for secret in secrets]  # the sandbox's arguments hold the program
    program = f"SECRETS_BACKWARDS = {backwards!r}\n{code}"
    assert run_program(spec, program) == "[]"


def test_sandbox_hides_environment_and_processes_of_the_grader(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADERS_OWN", "31415926535")
    program = (
        "import glob\n"
        "readable = [p for p in glob.glob('/proc/[0-9]*/environ') if os.access(p, os.R_OK)]\n"
        "variables = b''.join(open(path, 'rb').read() for path in readable)\n"
        "found = b'GRADERS' in variables, len(glob.glob('/proc/[0-9]*')) < 8, os.getuid() > 0"
    )
    assert run_program(spec, program) == "(False, True, True)"
    # Unless the grader is root, bubblewrap (process 1) is of the same user as the code.
    assert run_program(spec, program, uid=None).startswith("(False, True, ")


def test_sandbox_of_a_grader_who_is_not_root_writes_to_none_of_its_folders(
    spec: GradingSpec, sandbox: None
) -> None:
    """The code is of the same user as bubblewrap, which made them."""
    program = (
        "for folder in ('/', '/dev', '/etc', '/proc', '/project'):\n"
        "    try:\n"
        "        open(f'{folder}/mine', 'w').close()\n"
        "        found.append(folder)\n"
        "    except OSError: pass"
    )
    assert run_program(spec, program, uid=None) == "[]"


@pytest.mark.parametrize(
    ("bwrap", "reason"),
    [
        ("", r"not installed. Install it .* --no-sandbox"),
        ("echo 'bwrap: No new namespaces' >&2\nexit 1", r"No new namespaces\. Allow user.*sysctl"),
        ("echo 'MemoryError' >&2\nexit 1", r"MemoryError\.$"),
        ("exit 3", r"ended with status 3\.$"),
        ("exec /bin/sleep 60", r"did not start in a sandbox within 0\.5 seconds\. Run this again"),
    ],
)
def test_self_test_reports_why_no_sandbox_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bwrap: str, reason: str
) -> None:
    monkeypatch.setattr(sandbox_package, "SELF_TEST_TIMEOUT", 0.5 if "sleep" in bwrap else 60.0)
    if bwrap:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{bwrap}\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=reason):
        self_test()


def test_sandbox_is_refused_where_the_grader_has_less_than_a_submission_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = {resource.RLIMIT_NOFILE: 100, resource.RLIMIT_AS: 2**30}
    limit = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (0, low.get(kind, limit)))
    config = SandboxConfig(tmp_path, {}, tmp_path)
    with pytest.raises(SandboxError, match="`ulimit -n` to be 256 or more, and it is 100 here"):
        limit_command(["true"], config)
    del low[resource.RLIMIT_NOFILE]
    with pytest.raises(SandboxError, match=r"`ulimit -v` to be .* it is 1048576 here"):
        limit_command(["true"], config)


def test_sandbox_is_refused_when_interpreter_lies_beside_the_solutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(PROJECT))
    with open_sandbox({tmp_path: "/project"}, tmp_path) as config:
        assert config.socket_dir.stat().st_mode & 0o077 == 0
        with pytest.raises(SandboxError, match="the solutions could be read"):
            bwrap_command(["true"], config, 0)
    assert not config.socket_dir.exists()


GRADER = """
import sys, time
from pathlib import Path
from gradkit.autograder.sandbox import launch, open_sandbox
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
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a killed grader leaves a folder there
    with subprocess.Popen([sys.executable, "-c", GRADER, tree], cwd=PROJECT) as grader:
        wait_for(lambda: began.exists() and began.read_text().endswith("\n"))
        grader.kill()
    left = int(began.read_text())
    wait_for(lambda: b"bwrap\0--" in cmdline(left) and not cmdline(left).startswith(b"/bin/sh"))
    end_sandboxes(tmp_path / "another run")
    assert cmdline(left)
    end_sandboxes(tmp_path / "run")
    wait_for(lambda: not cmdline(left))


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
