"""The filter of system calls, loaded as for a separate user, with which no namespace helps."""

import errno
import json
import platform
import subprocess
import sys
from pathlib import Path

import pyseccomp  # type: ignore[import-untyped]
import pytest

from gradkit.autograder.sandbox import SandboxConfig, SandboxError
from gradkit.autograder.sandbox.seccomp import seccomp_filter
from gradkit.autograder.sandbox.separate_user import separate_user_command

# Refused whatever their arguments are.
FORBIDDEN = (
    *("memfd_create", "shmget", "semget", "msgget", "mq_open"),
    *("io_setup", "inotify_init", "inotify_init1", "fanotify_init"),
    *("splice", "vmsplice", "tee", "sendfile", "setsid", "sched_setattr", "seccomp"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "ptrace", "userfaultfd"),
    *("process_vm_readv", "process_vm_writev", "open_by_handle_at"),
    *("mount", "umount2", "pivot_root", "unshare", "setns"),
)
# Refused with the arguments that PROBE gives them.
FORBIDDEN_ARGUMENTS = (
    *("shared memory without a name", "shared and validated", "huge pages", "send buffer"),
    *("F_SETLK", "F_SETLKW", "F_OFD_SETLK", "F_OFD_SETLKW", "lock with high bits"),
    *("idle policy", "line discipline", "children ignored", "clone with a user namespace"),
)

# Prints the error of each call by its name, 0 if it is allowed.
PROBE = """
import ctypes, fcntl, json, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
numbers, forbidden = map(json.loads, sys.argv[1:])
def call(name, function, *arguments):
    ctypes.set_errno(0)
    failed = function(*map(ctypes.c_long, arguments)) == -1
    print(name, ctypes.get_errno() if failed else 0)
for name in forbidden:
    call(name, libc.syscall, numbers[name], 1, 1, 1, 1, 1, 1)
for name, code in (("memfd_secret", 447), ("io_uring_setup", 425), ("fsopen", 430), ("clone3", 435),
                   ("landlock", 444), ("not yet made", 500), ("close_range", 436)):
    call(name, libc.syscall, code, 9999, 9999, 0)
for name, flags in (("shared memory without a name", 0x21), ("shared and validated", 0x23),
                    ("huge pages", 0x40022), ("private memory", 0x22)):
    call(name, libc.mmap, 0, 4096, 3, flags, -1, 0)
one, other = socket.socketpair()
call("send buffer", libc.setsockopt, one.fileno(), socket.SOL_SOCKET, socket.SO_SNDBUF, 0, 4)
for name in ("F_SETLK", "F_SETLKW", "F_OFD_SETLK", "F_OFD_SETLKW"):
    call(name, libc.fcntl, 1, getattr(fcntl, name), 0)
call("lock with high bits", libc.syscall, numbers["fcntl"], 1, 1 << 32 | fcntl.F_SETLK, 0)
for name, policy in (("ordinary policy", 0), ("idle policy", 5)):
    call(name, libc.sched_setscheduler, 0, policy, ctypes.addressof(ctypes.c_int(0)))
call("line discipline", libc.ioctl, 1, 0x5423, 0)
call("children ignored", libc.signal, signal.SIGCHLD, 1)
call("clone with a user namespace", libc.syscall, numbers["clone"], 0x10000000 | 17, 0, 0, 0, 0)
call("x32", libc.syscall, 0x40000000 | numbers["getpid"])
for name, family in (("unix", 1), ("inet", 2), ("inet6", 10), ("alg", 38), ("vsock", 40),
                     ("packet", 17), ("ax25", 3), ("vsock with high bits", 1 << 32 | 40)):
    call(name, libc.syscall, numbers["socket"], family, 1 if family < 17 else 3, 0)
pair = (ctypes.c_int * 2)()
for name, family in (("pair", 1), ("tipc pair", 30)):
    call(name, libc.socketpair, family, 1, 0, ctypes.addressof(pair))
if os.fork() == 0: os._exit(0)
print("fork", os.wait()[1])
"""

# So that programs go on without them; everyone then uses clone.
UNKNOWN = ("clone3", "memfd_secret", "io_uring_setup", "fsopen", "landlock", "not yet made")


def test_filter_refuses_forbidden_calls_and_socket_families(tmp_path: Path) -> None:
    config, native = SandboxConfig(tmp_path, {}, tmp_path), pyseccomp.Arch.NATIVE
    named = (*FORBIDDEN, "socket", "clone", "getpid", "fcntl")
    numbers = {name: pyseccomp.resolve_syscall(native, name) for name in named}
    forbidden = [name for name in FORBIDDEN if numbers[name] >= 0]  # the others are unknown here
    arguments = map(json.dumps, (numbers, forbidden))
    with seccomp_filter() as seccomp:
        program = [sys.executable, "-I", "-c", PROBE, *arguments]
        command = separate_user_command(program, config, seccomp)
        run = subprocess.run(
            ["setpriv", "--no-new-privs", *command],
            pass_fds=[seccomp],
            capture_output=True,
            text=True,
            check=True,
        )
    lines = (line.rpartition(" ") for line in run.stdout.splitlines())
    errors = {name: int(error) for name, _, error in lines}
    for name in (*forbidden, *FORBIDDEN_ARGUMENTS):
        assert errors.pop(name) == errno.EPERM, name
    for name in UNKNOWN:
        assert errors.pop(name) == errno.ENOSYS, name
    if platform.machine() == "x86_64":
        assert errors.pop("x32") == errno.EPERM
    for name in ("unix", "pair", "close_range", "private memory", "fork", "ordinary policy"):
        assert errors.pop(name) == 0, name
    errors.pop("x32", None)
    assert set(errors.values()) == {errno.EOPNOTSUPP}, errors


def test_missing_library_is_reported_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SandboxError, match="pip install pyseccomp"), seccomp_filter():
        pass
