"""Another user in place of bubblewrap; tests/batch/test_gradescope_run.py tries attacks on it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradkit.autograder.sandbox import Isolation, SandboxError, open_sandbox, self_test
from gradkit.autograder.sandbox.config import environment
from gradkit.autograder.sandbox.separate_user import separate_user_command
from gradkit.processes import processes_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can let another user run code")


def test_separate_user_is_refused_unless_grader_is_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with (
        pytest.raises(SandboxError, match="Only root can let another user run"),
        open_sandbox({tmp_path: "/project"}, tmp_path, isolation=Isolation.SEPARATE_USER),
    ):
        pass


@needs_root
def test_separate_user_is_refused_when_it_could_read_the_solutions() -> None:
    """As here, where the tree is open to everyone, or this Python to nobody else."""
    with pytest.raises(SandboxError, match=r"No other user can run .*Close .* to other users"):
        self_test(Isolation.SEPARATE_USER)


@needs_root
def test_separate_user_has_its_own_home_and_environment(tmp_path: Path) -> None:
    with open_sandbox({tmp_path: "/project"}, tmp_path, None, Isolation.SEPARATE_USER) as config:
        home = Path(config.home)
        assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (config.uid, 0o700)
        assert environment(config.home)["HOME"] == environment(config.home)["TMPDIR"] == str(home)
        command = separate_user_command(["true"], config, 0)
        assert command[:3] == ["nice", "-n", "10"]
        assert f"--reuid={config.uid}" in command
        assert "--no-new-privs" in command
    assert not home.exists()


@needs_root
def test_all_processes_of_separate_user_end_with_its_sandbox(tmp_path: Path) -> None:
    """Also one that has left its group, and one that goes on as a new process again and again."""
    fleeing = "import os\nwhile True:\n    if os.fork(): os._exit(0)"
    with open_sandbox({tmp_path: "/project"}, tmp_path, None, Isolation.SEPARATE_USER) as config:
        # Root's own Python, since another user may not be able to run it.
        become = f"import os\nos.setpgid(0, 0)\nos.setresuid(*[{config.uid}] * 3)\n"
        started = [
            subprocess.Popen([sys.executable, "-I", "-S", "-c", become + program], cwd="/")
            for program in (fleeing, "import time; time.sleep(99)")
        ]
        assert config.uid
        assert started[0].wait(timeout=30) == 0  # the first of those that flee has gone
        while started[1].pid not in processes_of(config.uid):
            assert started[1].poll() is None
            time.sleep(0.01)
    assert not list(processes_of(config.uid))
    assert started[1].wait(timeout=10) == -9
