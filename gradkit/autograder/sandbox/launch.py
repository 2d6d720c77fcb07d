"""The life of one sandbox: its folder and user, a command in it, its end; and a self-test."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assignment import PROJECT
from gradkit.autograder.sandbox.bwrap import bwrap_command
from gradkit.autograder.sandbox.config import (
    SETUP_HELP,
    WORK,
    Isolation,
    SandboxConfig,
    SandboxError,
    environment,
)
from gradkit.autograder.sandbox.seccomp import FAMILIES, LOCAL_FAMILIES, seccomp_filter
from gradkit.autograder.sandbox.separate_user import kill_processes_of, separate_user_command
from gradkit.course.config import Limits

FIRST_FREE_UID = 1 << 30  # far above the accounts of any system

MAX_SOCKET_PATH = 60  # of a folder, in characters: a socket's whole path has at most 107


@contextlib.contextmanager
def open_sandbox(
    readable: Mapping[Path, str],
    workdir: Path,
    limits: Limits | None = None,
    isolation: Isolation = Isolation.SANDBOX,
) -> Iterator[SandboxConfig]:
    """Make a sandbox's socket folder and user; afterwards remove it and kill the user's processes.

    Raises
    ------
    SandboxError
        A separate user is wanted, and the grader is not root.
    """
    is_root = os.geteuid() == 0
    if isolation is Isolation.SEPARATE_USER and not is_root:
        raise SandboxError("Only root can let another user run a submission, and you are not root.")
    usual = tempfile.gettempdir()
    parent = usual if len(usual) < MAX_SOCKET_PATH else "/tmp"
    socket_dir = Path(tempfile.mkdtemp(prefix="gk-", dir=parent))
    uid = None
    if is_root and isolation is not Isolation.NONE:
        uid = FIRST_FREE_UID + secrets.randbelow(1 << 29)
    config = SandboxConfig(socket_dir, readable, workdir, limits or Limits(), uid, isolation)
    try:
        if uid is not None:
            os.chown(socket_dir, uid, uid)
        if uid is not None and isolation is Isolation.SEPARATE_USER:
            Path(config.home).mkdir(0o700)
            os.chown(config.home, uid, uid)
        yield config
    finally:
        try:
            kill_leftovers(config)
        finally:
            with contextlib.suppress(Exception):  # folders in folders, thousands deep
                shutil.rmtree(socket_dir, ignore_errors=True)


def freeze_socket_dir(config: SandboxConfig) -> None:
    """Forbid all writing to the socket folder, once the sockets exist."""
    if config.uid is not None:
        os.chown(config.socket_dir, 0, 0)
        config.socket_dir.chmod(0o555)


def launch(
    command: list[str], config: SandboxConfig, stderr: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    """Start a command in a sandbox; its output is dropped, except `stderr` if that is a pipe."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    options |= {"stderr": stderr, "start_new_session": True}
    if config.isolation is Isolation.NONE:
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        env.pop("JPY_PARENT_PID", None)  # else the kernel ends with the process that it names
        return subprocess.Popen(command, cwd=config.workdir, env=env, **options)
    if config.isolation is Isolation.SEPARATE_USER:
        with seccomp_filter(LOCAL_FAMILIES) as seccomp:
            wrapped = separate_user_command(command, config, seccomp)
            options |= {"cwd": config.workdir, "env": environment(config.home)}
            return subprocess.Popen(wrapped, pass_fds=[seccomp], **options)
    with seccomp_filter(FAMILIES) as seccomp:
        wrapped = bwrap_command(command, config, seccomp)
        return subprocess.Popen(wrapped, cwd="/", pass_fds=[seccomp], **options)


def kill_sandbox(process: "subprocess.Popen[bytes]", config: SandboxConfig) -> None:
    """Kill a sandbox's first process, and with its namespace everything in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    kill_leftovers(config)


def kill_leftovers(config: SandboxConfig) -> None:
    """Kill the remaining processes of a separate user, whom no namespace takes along."""
    if config.isolation is Isolation.SEPARATE_USER and config.uid is not None:
        kill_processes_of(config.uid)


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

SECRET_FOLDERS = ("assignment", "grading", "gradkit", "notebooks")


def self_test(isolation: Isolation = Isolation.SANDBOX) -> None:
    """Start a sandbox, run Python in it, and check that it cannot read the solutions.

    Raises
    ------
    SandboxError
        It does not start, or can read them; the text gives the reason.
    """
    paths = [str(path) for name in SECRET_FOLDERS for path in (PROJECT / name).rglob("*.[pti]*")]
    with (
        tempfile.TemporaryDirectory() as folder,
        open_sandbox({Path(folder): WORK}, Path(folder), isolation=isolation) as config,
    ):
        Path(folder).chmod(0o711)
        command = [sys.executable, "-c", _SELF_TEST, *paths]
        process = launch(command, config, stderr=subprocess.PIPE)
        try:
            _, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            kill_sandbox(process, config)
            _, stderr = process.communicate()
    if process.returncode == 7:
        return
    lines = stderr.decode(errors="replace").strip().splitlines() or ["it printed no reason"]
    reason = lines[-1][:300]
    if isolation is Isolation.SEPARATE_USER:
        raise SandboxError(
            f"No other user can run a submission here: {reason}. Close {PROJECT} to other users "
            f"(chmod 700), and let them run {sys.executable}."
        )
    raise SandboxError(f"A sandbox does not start here: {reason}. {SETUP_HELP}")
