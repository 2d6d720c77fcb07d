"""The filter of system calls, loaded as for a separate user, with which no namespace helps."""

import errno
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gradkit.autograder.sandbox import SandboxConfig, SandboxError
from gradkit.autograder.sandbox.seccomp import FAMILIES, LOCAL_FAMILIES, seccomp_filter
from gradkit.autograder.sandbox.separate_user import separate_user_command

# Prints the error of each call by its name, 0 if it is allowed.
PROBE = """
import ctypes, os, platform, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def number(name):
    return {"x86_64": {"socket": 41, "clone": 56, "getpid": 39},
            "aarch64": {"socket": 198, "clone": 220, "getpid": 172}}[platform.machine()][name]
def call(name, function, *arguments):
    ctypes.set_errno(0)
    failed = function(*map(ctypes.c_long, arguments)) == -1
    print(name, ctypes.get_errno() if failed else 0)
for name in ("unshare", "ptrace", "mount", "shmget", "semget", "setsid", "setns", "umount2"):
    call(name, getattr(libc, name), 0, 0, 0, 0, 0)
call("memfd_create", libc.memfd_create, 0, 0)
for name, code in (("memfd_secret", 447), ("io_uring_setup", 425), ("fsopen", 430)):
    call(name, libc.syscall, code, 0, 0)
call("clone3", libc.syscall, 435, 0, 0)
call("clone with a user namespace", libc.syscall, number("clone"), 0x10000000 | 17, 0, 0, 0, 0)
call("x32", libc.syscall, 0x40000000 | number("getpid"))
for name, family in (("unix", 1), ("inet", 2), ("inet6", 10), ("alg", 38), ("vsock", 40),
                     ("packet", 17), ("ax25", 3), ("vsock with high bits", 1 << 32 | 40)):
    call(name, libc.syscall, number("socket"), family, 1 if family < 17 else 3, 0)
if os.fork() == 0: os._exit(0)
print("fork", os.wait()[1])
"""

FORBIDDEN = (
    *("unshare", "ptrace", "mount", "shmget", "semget", "setsid", "setns", "umount2"),
    *("memfd_create", "memfd_secret", "io_uring_setup", "fsopen", "clone with a user namespace"),
)


@pytest.mark.parametrize(("families", "inet"), [(FAMILIES, 0), (LOCAL_FAMILIES, errno.EOPNOTSUPP)])
def test_filter_refuses_forbidden_calls_and_socket_families(
    tmp_path: Path, families: tuple[int, ...], inet: int
) -> None:
    config = SandboxConfig(tmp_path, {}, tmp_path)
    with seccomp_filter(families) as seccomp:
        command = separate_user_command([sys.executable, "-I", "-c", PROBE], config, seccomp)
        run = subprocess.run(
            ["setpriv", "--no-new-privs", *command],
            pass_fds=[seccomp],
            capture_output=True,
            text=True,
            check=True,
        )
    lines = (line.rpartition(" ") for line in run.stdout.splitlines())
    errors = {name: int(error) for name, _, error in lines}
    for name in FORBIDDEN:
        assert errors.pop(name) == errno.EPERM, name
    assert errors.pop("clone3") == errno.ENOSYS  # so that everyone uses clone
    if platform.machine() == "x86_64":
        assert errors.pop("x32") == errno.EPERM
    assert errors.pop("inet") == inet
    assert errors.pop("inet6") in (inet, errno.EAFNOSUPPORT)
    assert errors.pop("unix") == errors.pop("fork") == 0
    errors.pop("x32", None)
    assert set(errors.values()) == {errno.EOPNOTSUPP}, errors


def test_missing_library_is_reported_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SandboxError, match="pip install pyseccomp"), seccomp_filter(FAMILIES):
        pass
