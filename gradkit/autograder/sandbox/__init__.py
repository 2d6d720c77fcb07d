"""The sandbox: student code runs in it, and can reach nothing except its own files.

    config          its settings: folders to read, folder of the sockets, user, limits
    seccomp         the filter of system calls
    bwrap           a command as bubblewrap runs it
    separate_user   a command as another user runs it, where bubblewrap cannot
    watchdog        kills a sandbox that exceeds its limits
    provisioner     lets Jupyter start its kernels in sandboxes

A sandbox reads the student's tree, the data, the interpreter and the system's libraries. Only the
kernel's messages come out, through Unix sockets. docs/security.md lists what it holds off, also as
another user in a container that forbids what bubblewrap needs.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assignment import PROJECT
from gradkit.autograder.sandbox.bwrap import bwrap_command, end_sandboxes
from gradkit.autograder.sandbox.config import (
    ALLOW_NAMESPACES,
    WORK,
    Isolation,
    SandboxConfig,
    SandboxError,
    environment,
)
from gradkit.autograder.sandbox.seccomp import seccomp_filter
from gradkit.autograder.sandbox.separate_user import kill_leftovers, separate_user_command
from gradkit.course.exercise_config import Limits
from gradkit.files import remove_tree, temporary_folder

__all__ = [
    "MAX_SOCKET_PARENT",
    "WORK",
    "Isolation",
    "SandboxConfig",
    "SandboxError",
    "end_sandboxes",
]

FIRST_FREE_UID = 1 << 30  # far above the accounts of any system

# Characters of a folder with socket folders, except with bubblewrap, which finds its sockets from
# inside: a socket's whole path has at most 107.
MAX_SOCKET_PARENT = 90


@contextlib.contextmanager
def open_sandbox(
    readable: Mapping[Path, str],
    workdir: Path,
    limits: Limits | None = None,
    isolation: Isolation = Isolation.SANDBOX,
) -> Iterator[SandboxConfig]:
    """Make a sandbox's socket folder and user; then remove it and kill the user's processes.

    Raise SandboxError if a separate user is wanted, and the grader is not root.
    """
    is_root = os.geteuid() == 0
    if isolation is Isolation.SEPARATE_USER and not is_root:
        raise SandboxError("Only root can let another user run a submission, and you are not root.")
    usual = tempfile.gettempdir()
    is_short = isolation is Isolation.SANDBOX or len(usual) <= MAX_SOCKET_PARENT
    parent = usual if is_short else "/tmp"
    socket_dir = Path(tempfile.mkdtemp(prefix="gk-", dir=parent))
    uid = None
    if is_root and isolation is not Isolation.NONE:
        uid = FIRST_FREE_UID + secrets.randbelow(1 << 29)
    config = SandboxConfig(socket_dir, readable, workdir, limits or Limits(), uid, isolation)
    try:
        if isolation is not Isolation.SANDBOX:
            Path(config.home).mkdir(0o700)
        if uid is not None:
            os.chown(socket_dir, uid, uid)
            if isolation is Isolation.SEPARATE_USER:
                os.chown(config.home, uid, uid)
        yield config
    finally:
        try:
            kill_leftovers(config)
        finally:
            remove_tree(socket_dir)


def freeze_socket_dir(config: SandboxConfig) -> None:
    """Forbid a separate user all writing to the socket folder, once the sockets exist."""
    if config.isolation is Isolation.SEPARATE_USER:
        os.chown(config.socket_dir, 0, 0)
        config.socket_dir.chmod(0o555)


def launch(
    command: list[str], config: SandboxConfig, stderr: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    """Start a command in a sandbox; its output is dropped, except `stderr` if that is a pipe."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    options |= {"stderr": stderr, "start_new_session": True, "cwd": config.workdir}
    if config.isolation is Isolation.NONE:
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        env["IPYTHONDIR"] = config.home  # the grader's own has files that a kernel runs first
        # With JPY_PARENT_PID the kernel would end with the process that it names.
        for name in ("JPY_PARENT_PID", "MPLBACKEND", "PYTHONSTARTUP", "PYTHONWARNINGS"):
            env.pop(name, None)
        return subprocess.Popen(command, env=env, **options)
    # bubblewrap gets no variable of the grader's either: it is process 1 in the sandbox, where
    # /proc/1/environ can be read.
    options["env"] = environment(config.home)
    separate = config.isolation is Isolation.SEPARATE_USER
    with seccomp_filter() as seccomp:
        wrapped = (separate_user_command if separate else bwrap_command)(command, config, seccomp)
        # Where memory runs out, the kernel ends what is in a sandbox, and not the grader.
        last_resort = ["choom", "-n", "1000", "--"]
        return subprocess.Popen([*last_resort, *wrapped], pass_fds=[seccomp], **options)


def kill_sandbox(process: "subprocess.Popen[bytes]", config: SandboxConfig) -> None:
    """Kill a sandbox's first process, and with its namespace everything in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    kill_leftovers(config)


# Exits with 7 if this Python works and none of the files can be read.
_SELF_TEST = """
import sys
import numpy, zmq
for path in sys.argv[1:]:
    try:
        open(path).close()
    except OSError:
        continue
    sys.exit(f"it can read {path}")
sys.exit(7)
"""

SELF_TEST_TIMEOUT = 60.0  # seconds; it takes one
SECRET_FOLDERS = ("assignment", "grading", "gradkit", "notebooks")


def self_test(isolation: Isolation = Isolation.SANDBOX) -> None:
    """Start Python in a sandbox; raise SandboxError if that fails or it can read the solutions."""
    paths = [str(path) for name in SECRET_FOLDERS for path in (PROJECT / name).rglob("*.[pti]*")]
    with (
        temporary_folder() as folder,
        open_sandbox({folder: WORK}, folder, isolation=isolation) as config,
    ):
        folder.chmod(0o711)
        command = [sys.executable, "-c", _SELF_TEST, *paths]
        with launch(command, config, stderr=subprocess.PIPE) as process:
            try:
                _, stderr = process.communicate(timeout=SELF_TEST_TIMEOUT)
            except subprocess.TimeoutExpired:
                raise SandboxError(
                    f"Python did not start in a sandbox within {SELF_TEST_TIMEOUT:g} seconds. Run "
                    "this again when less is running on this machine."
                ) from None
            finally:
                kill_sandbox(process, config)
    if process.returncode == 7:
        return
    lines = stderr.decode(errors="replace").strip().splitlines()
    reason = lines[-1][:300] if lines else f"it ended with status {process.returncode}"
    if isolation is Isolation.SEPARATE_USER:
        raise SandboxError(
            f"No other user can run a submission here: {reason}. Close {PROJECT} to other users "
            f"(chmod 700), and let them run {sys.executable}."
        )
    advice = f" {ALLOW_NAMESPACES}" if reason.startswith("bwrap:") else ""
    raise SandboxError(f"A sandbox does not start here: {reason}.{advice}")
