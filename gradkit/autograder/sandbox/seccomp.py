"""The filter of system calls, built by libseccomp as the BPF program that the kernel loads.

A forbidden call fails with an error, so that Python raises an exception for it.
"""

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from typing import Any

from gradkit.autograder.sandbox.config import SandboxError

FORBIDDEN: tuple[str | int, ...] = (
    # Memory that counts as no process's own. 447 is memfd_secret, which libseccomp knows by name
    # only since 2.5.4.
    *("memfd_create", 447, "shmget", "semget", "msgget", "mq_open"),
    # Each new session gets another share of the processors.
    "setsid",
    # Ways into other processes, to more privileges, or to parts of the kernel that have had holes.
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "ptrace", "userfaultfd"),
    *("process_vm_readv", "process_vm_writev", "io_uring_setup", "open_by_handle_at"),
    *("mount", "umount2", "pivot_root", "unshare", "setns", "fsopen", "open_tree", "move_mount"),
)

UNIX, INET, INET6, NETLINK = 1, 2, 10, 16  # socket families, as in <linux/socket.h>
FAMILIES = (UNIX, INET, INET6, NETLINK)  # others, such as VSOCK, ignore network namespaces
LOCAL_FAMILIES = (UNIX,)  # cuts off the network where no namespace does

CLONE_NEWUSER = 0x10000000  # <linux/sched.h>


@contextlib.contextmanager
def seccomp_filter(families: tuple[int, ...]) -> Iterator[int]:
    """Yield a file descriptor to read the filter from; it allows sockets of `families` only.

    Raises SandboxError if libseccomp or its Python binding is missing or too old.
    """
    try:
        program = _build_filter(families)
    except (ImportError, RuntimeError, OSError) as error:
        raise SandboxError(
            f"The sandbox's filter of system calls cannot be built: {error}. Install libseccomp "
            "2.5 or newer (apt-get install libseccomp2) and its Python binding (pip install "
            "pyseccomp)."
        ) from None
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as file:
            program.export_bpf(file)
        yield reading
    finally:
        os.close(reading)


def _build_filter(families: tuple[int, ...]) -> Any:
    # Not at the top: the import fails where libseccomp is missing.
    import pyseccomp as seccomp  # type: ignore[import-untyped]

    program = seccomp.SyscallFilter(seccomp.ALLOW)
    refused = seccomp.ERRNO(errno.EPERM)
    # The same calls have other numbers in the tables of x32 and of 32-bit processes.
    program.set_attr(seccomp.Attr.ACT_BADARCH, refused)
    for call in FORBIDDEN:
        program.add_rule(refused, call)
    # "Not supported": ZeroMQ then does without such a socket.
    unsupported = seccomp.ERRNO(errno.EOPNOTSUPP)
    program.add_rule(unsupported, "socket", seccomp.Arg(0, seccomp.GT, max(families)))
    for family in set(range(max(families))) - set(families):
        program.add_rule(unsupported, "socket", seccomp.Arg(0, seccomp.EQ, family))
    # clone3 passes its flags behind a pointer. If it does not exist, the C library uses clone.
    program.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    flags = 1 if platform.machine().startswith("s390") else 0  # the argument of clone's flags
    new_user = seccomp.Arg(flags, seccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)
    program.add_rule(refused, "clone", new_user)
    return program
