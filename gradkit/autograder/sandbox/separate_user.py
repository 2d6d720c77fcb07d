"""A command as another user runs it, where root grades and a container forbids bubblewrap."""

import subprocess
import sys

from gradkit.autograder.sandbox.config import Isolation, SandboxConfig, SandboxError, limit_command
from gradkit.processes import processes_of

MAX_KILLS = 100

# Loads the filter of system calls, as bubblewrap does, for the command that comes after it.
_LOAD_FILTER = """
import ctypes, os, sys

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]

steps = os.read(int(sys.argv[1]), 65536)
os.close(int(sys.argv[1]))
set_seccomp, mode_filter, unused = map(ctypes.c_ulong, (22, 2, 0))
program = Program(len(steps) // 8, steps)
if ctypes.CDLL(None).prctl(set_seccomp, mode_filter, ctypes.byref(program), unused, unused):
    sys.exit("System calls cannot be filtered here.")
os.execv(sys.argv[2], sys.argv[2:])
"""


def separate_user_command(command: list[str], config: SandboxConfig, seccomp: int) -> list[str]:
    """Return `command`, run by the sandbox's user; `seccomp` is the filter's file descriptor."""
    load_filter = [sys.executable, "-I", "-S", "-c", _LOAD_FILTER, str(seccomp)]
    return limit_command([*load_filter, *command], config)


def kill_leftovers(config: SandboxConfig) -> None:
    """Kill a separate user's processes, which no namespace takes along.

    Raise SandboxError if some remain.
    """
    uid = config.uid
    if config.isolation is not Isolation.SEPARATE_USER or uid is None:
        return
    # The kernel kills all but the sender in one step: none can be started in between.
    command = ["sh", "-c", "kill -9 -1"]
    for _ in range(MAX_KILLS):  # a process that is to be killed may kill the killer first
        if not any(processes_of(uid)):
            return
        subprocess.run(
            command, user=uid, group=uid, extra_groups=(), cwd="/", capture_output=True, check=False
        )
    raise SandboxError(f"Processes of user {uid} cannot be killed. Restart the container.")
