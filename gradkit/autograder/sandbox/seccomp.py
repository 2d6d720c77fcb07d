"""The filter of system calls, built by libseccomp as the BPF program that the kernel loads.

A forbidden call fails with an error, so that Python raises an exception for it.
"""

import contextlib
import errno
import fcntl
import os
import platform
import signal
import socket
import termios
from collections.abc import Iterator
from typing import Any

from gradkit.autograder.sandbox.config import SandboxError

FORBIDDEN = (
    # Memory that counts as no process's own, without a limit or beyond the one on files.
    *("memfd_create", "shmget", "semget", "msgget", "mq_open"),
    *("io_setup", "inotify_init", "inotify_init1", "fanotify_init"),
    # Pipes and sockets would hold whole pages, of which they count a few bytes.
    *("splice", "vmsplice", "tee", "sendfile"),
    # Each new session gets another share of the processors.
    "setsid",
    # A process that comes after all others may wait for ever, and waiting counts as nobody's time.
    "sched_setattr",
    # Ways into other processes, to more privileges, or to parts of the kernel that have had holes.
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "ptrace", "userfaultfd"),
    "seccomp",  # whose filters are kept as long as anyone listens to them
    *("process_vm_readv", "process_vm_writev", "open_by_handle_at"),
    *("mount", "umount2", "pivot_root", "unshare", "setns"),
)

# From here on system calls have the same number on all machines. Most of them make something new
# that the kernel keeps (io_uring, Landlock's rules, memfd_secret) or mounts, and nothing needs
# them. To a program they do not exist, except those that the C library or Python uses:
# pidfd_send_signal, pidfd_open, close_range, openat2, faccessat2, epoll_pwait2, fchmodat2.
NEW_CALLS = range(424, 512)
NEW_CALLS_ALLOWED = {424, 434, 436, 437, 439, 441, 452}

# From <linux/mman.h> and <linux/sched.h>.
MAP_SHARED, MAP_ANONYMOUS, MAP_HUGETLB, CLONE_NEWUSER = 0x1, 0x20, 0x40000, 0x10000000


@contextlib.contextmanager
def seccomp_filter() -> Iterator[int]:
    """Yield a file descriptor to read the filter from; it allows Unix sockets only.

    Raise SandboxError if libseccomp or its Python binding is missing or too old.
    """
    try:
        program = _build_filter()
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


def _build_filter() -> Any:
    # Not at the top: the import fails where libseccomp is missing.
    import pyseccomp as seccomp  # type: ignore[import-untyped]

    program = seccomp.SyscallFilter(seccomp.ALLOW)
    refused = seccomp.ERRNO(errno.EPERM)
    # The same calls have other numbers in the tables of x32 and of 32-bit processes.
    program.set_attr(seccomp.Attr.ACT_BADARCH, refused)
    for call in FORBIDDEN:
        program.add_rule(refused, call)
    # Among them is clone3, whose flags lie behind a pointer: the C library then uses clone.
    for number in set(NEW_CALLS) - NEW_CALLS_ALLOWED:
        program.add_rule(seccomp.ERRNO(errno.ENOSYS), number)
    flags = 1 if platform.machine().startswith("s390") else 0  # the argument of clone's flags
    new_user = seccomp.Arg(flags, seccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)
    program.add_rule(refused, "clone", new_user)
    policy = seccomp.Arg(1, seccomp.NE, os.SCHED_OTHER)  # ZeroMQ sets the ordinary one
    program.add_rule(refused, "sched_setscheduler", policy)
    # "Not supported": ZeroMQ then does without such a socket.
    unsupported = seccomp.ERRNO(errno.EOPNOTSUPP)
    for call in ("socket", "socketpair"):
        program.add_rule(unsupported, call, seccomp.Arg(0, seccomp.NE, socket.AF_UNIX))
    # Pages of shared memory without a name count for nobody once a process has dropped them.
    for kind in (MAP_SHARED | MAP_ANONYMOUS, MAP_HUGETLB):
        program.add_rule(refused, "mmap", seccomp.Arg(3, seccomp.MASKED_EQ, kind, kind))
    # A machine may allow buffers of any size, locks of any number.
    level, buffer = _int_argument(1, socket.SOL_SOCKET), _int_argument(2, socket.SO_SNDBUF)
    program.add_rule(refused, "setsockopt", level, buffer)
    # The time of a child vanishes with it where its parent has declared that it will not wait.
    own_action = seccomp.Arg(1, seccomp.NE, 0)
    program.add_rule(refused, "rt_sigaction", _int_argument(0, signal.SIGCHLD), own_action)
    for command in (fcntl.F_SETLK, fcntl.F_SETLKW, fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW):
        program.add_rule(refused, "fcntl", _int_argument(1, command))
    # A terminal's line discipline may be a part of the kernel that hardly anyone uses.
    program.add_rule(refused, "ioctl", _int_argument(1, termios.TIOCSETD))
    return program


def _int_argument(position: int, value: int) -> Any:
    """Return the condition that an argument of C's type int has a value.

    Of the 64 bits that a program passes the kernel takes 32.
    """
    import pyseccomp as seccomp

    return seccomp.Arg(position, seccomp.MASKED_EQ, 0xFFFFFFFF, value)
