"""Another user in place of bubblewrap; tests/batch/test_gradescope_run.py tries attacks on it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradkit.autograder.sandbox import Isolation, SandboxError, open_sandbox, self_test
from gradkit.autograder.sandbox.config import environment
from gradkit.autograder.sandbox.separate_user import separate_user_command
from gradkit.processes import processes_of
from tests.classes import wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can let another user run code")


def test_separate_user_is_refused_unless_grader_is_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    sandbox = open_sandbox({tmp_path: "/project"}, tmp_path, isolation=Isolation.SEPARATE_USER)
    with pytest.raises(SandboxError, match="Only root can let another user run"), sandbox:
        pass


@needs_root
def test_separate_user_is_refused_when_it_could_read_the_solutions() -> None:
    """As here, where the tree is open to everyone, or this Python to nobody else."""
    with pytest.raises(SandboxError, match=r"No other user can run .*Close .* to other users"):
        self_test(Isolation.SEPARATE_USER)


@needs_root
def test_home_and_processes_of_separate_user_end_with_its_sandbox(tmp_path: Path) -> None:
    """Also one that has left its group, and one that goes on as a new process again and again."""
    fleeing = "import os\nwhile True:\n    if os.fork(): os._exit(0)"
    with open_sandbox({tmp_path: "/project"}, tmp_path, None, Isolation.SEPARATE_USER) as config:
        home, uid = Path(config.home), config.uid
        assert uid
        assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (uid, 0o700)
        assert environment(config.home)["HOME"] == environment(config.home)["TMPDIR"] == str(home)
        command = separate_user_command(["true"], config, 0)
        assert {"nice", f"--reuid={uid}", "--no-new-privs"} <= {*command}
        # Root's own Python, since another user may not be able to run it.
        become = f"import os\nos.setpgid(0, 0)\nos.setresuid(*[{uid}] * 3)\n"
        flees, sleeps = (
            subprocess.Popen([sys.executable, "-I", "-S", "-c", become + program], cwd="/")
            for program in (fleeing, "import time; time.sleep(99)")
        )
        assert flees.wait(timeout=30) == 0  # the first of those that flee has gone
        wait_for(lambda: sleeps.pid in processes_of(uid))
    assert not home.exists()
    assert not list(processes_of(uid))
    assert sleeps.wait(timeout=10) == -9
