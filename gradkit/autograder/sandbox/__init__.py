"""The sandbox: student code runs in it, and can reach nothing that is not its own.

    Room                 what a sandbox holds: folders to read, a folder for sockets, limits
    Enclosure            what stands between a room and all else: a sandbox, another user, nothing
    sandboxed            a command as bubblewrap runs it in a room
    as_other_user        a command as another user runs it, where bubblewrap cannot
    SandboxProvisioner   makes Jupyter start its kernels so
    Watchdog             kills a sandbox that outgrows its limits

Inside there is no network, no other process, no file but those of the interpreter, the system's
libraries and the room's folders, all of them read-only; /tmp, of a fixed size, is gone with the
sandbox. The kernel talks through Unix sockets in the room's private folder. System calls that
reach memory which nobody counts, or the kernel's less travelled parts, are filtered out.

Containers forbid what bubblewrap needs. In one of them root can still let another user run the
code: then it has no network either, no powers, and cannot read what is closed to that user, as the
instructor's tree must be. But it sees the container's other files and processes, and what it writes
to /tmp and the like stays there. That is enough where each container grades one submission.
"""

import contextlib
import os
import platform
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Any as AnyTrait

from assignment import PROJECT
from gradkit.course.config import MB, Limits
from gradkit.errors import GradkitError

POLL = 0.05  # seconds between two looks of the watchdog

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")

FIRST_FREE_UID = 1 << 30  # no account of any system is near it

MAX_KILLS = 100

MAX_PRIVATE_FILES = 32  # a kernel makes a dozen sockets

MAX_PRIVATE_BYTES = MB

MAX_RECEIVED = 150 * MB  # that a grader's process may grow while a sandbox runs


SETUP_HELP = (
    "Install it (apt-get install bubblewrap), and allow user namespaces where they are forbidden "
    "(sysctl -w kernel.unprivileged_userns_clone=1, or, on Ubuntu 24.04 and later, "
    "kernel.apparmor_restrict_unprivileged_userns=0). Or say --no-sandbox, for work that you trust "
    "as if it were your own."
)


class Isolation(Enum):
    """What stands between student code and all else."""

    SANDBOX = "sandbox"
    OTHER_USER = "other user"
    NONE = "none"


class SandboxError(GradkitError):
    """No sandbox can be had here; the text says why, and how to mend it."""


@dataclass(frozen=True)
class SandboxConfig:
    """What one sandbox holds.

    Attributes
    ----------
    private : Path
        A folder that grader and sandbox share, for the kernel's connection file and sockets. It is
        the only one that the sandbox may write to, and the watchdog keeps it small.
    readable : mapping
        From folders of this machine to where they are in the sandbox.
    work : Path
        Where a kernel in it starts.
    limits : Limits
    uid : int or None
        Which user the sandbox is, where the grader may choose: another one for each.
    enclosure : Enclosure
        NONE for work that is trusted: then there is no sandbox, only the watchdog.
    """

    private: Path
    readable: Mapping[Path, str]
    work: Path
    limits: Limits = field(default_factory=Limits)
    uid: int | None = None
    isolation: Isolation = Isolation.SANDBOX

    @property
    def home(self) -> str:
        """Where its files go: a /tmp of its own, or a folder beside the sockets."""
        return str(self.private / "home") if self.isolation is Isolation.OTHER_USER else "/tmp"

    def seen(self, path: Path) -> str:
        """Where a path below one of the readable folders is in the sandbox."""
        for outside, inside in self.readable.items():
            if path.is_relative_to(outside):
                return (Path(inside) / path.relative_to(outside)).as_posix()
        raise ValueError(f"{path} is in none of the room's folders")


@contextlib.contextmanager
def room(
    readable: Mapping[Path, str],
    work: Path,
    limits: Limits | None = None,
    isolation: Isolation = Isolation.SANDBOX,
) -> Iterator[SandboxConfig]:
    """A room with a private folder of its own, which is gone afterwards, with all of its user's.

    The folder's path is short, since that of a socket may have 107 characters only.
    """
    may_choose = os.geteuid() == 0
    if isolation is Isolation.OTHER_USER and not may_choose:
        raise SandboxError("Only root can let another user run a submission, and you are not root.")
    usual = tempfile.gettempdir()
    private = Path(tempfile.mkdtemp(prefix="gk-", dir=usual if len(usual) < 60 else "/tmp"))
    uid = None
    if may_choose and isolation is not Isolation.NONE:
        uid = FIRST_FREE_UID + secrets.randbelow(1 << 29)
    made = SandboxConfig(private, readable, work, limits or Limits(), uid, isolation)
    try:
        if uid is not None:
            os.chown(private, uid, uid)
        if uid is not None and isolation is Isolation.OTHER_USER:
            Path(made.home).mkdir(0o700)
            os.chown(made.home, uid, uid)
        yield made
    finally:
        try:
            end_all(made)
        finally:
            with contextlib.suppress(Exception):  # folders in folders, thousands deep
                shutil.rmtree(private, ignore_errors=True)


def freeze_socket_dir(room: SandboxConfig) -> None:
    """Let nothing more be written into the private folder, once its sockets are there."""
    if room.uid is not None:
        os.chown(room.private, 0, 0)
        room.private.chmod(0o555)


# --- the command ---------------------------------------------------------------------------------


def sandboxed(command: list[str], room: SandboxConfig, seccomp: int) -> list[str]:
    """`command` with bubblewrap in front; `seccomp` is the file descriptor of `seccomp_filter()`.

    Raises
    ------
    SandboxError
        bubblewrap is not there, or the interpreter's folders hold the instructor's tree.
    """
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise SandboxError(f"bubblewrap (the command bwrap) is not installed. {SETUP_HELP}")
    wrapped = [bubblewrap, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    if room.uid is not None:
        # As root a limit on processes does not hold. So no user namespace, in which the outer user
        # would still be root, but really another user; setpriv below becomes that one.
        wrapped.remove("--unshare-all")
        for kind in ("ipc", "pid", "net", "uts", "cgroup-try"):
            wrapped.append(f"--unshare-{kind}")
        wrapped += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        wrapped += ["--cap-drop", "ALL"]
    wrapped += ["--hostname", "sandbox", "--seccomp", str(seccomp)]
    wrapped += ["--proc", "/proc", "--dev", "/dev"]
    wrapped += ["--size", str(8 * MB), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    wrapped += ["--perms", "1777", "--size", str(room.limits.files), "--tmpfs", "/tmp"]
    for path in (*_system_paths(), *_interpreters_folders()):
        wrapped += _seen_as_here(path)
    for outside, inside in room.readable.items():
        wrapped += ["--ro-bind", str(outside), inside]
    private = str(room.private)
    wrapped += [*_folders_above(private), "--bind", private, private]
    wrapped += ["--chdir", room.seen(room.work)]
    for name, value in environment().items():
        wrapped += ["--setenv", name, value]
    return [*wrapped, "--", *_limited(room), *command]


# Asks the kernel to filter the system calls of whatever comes after it. bubblewrap does the same.
_FILTERED = """
import ctypes, os, sys

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]

steps = os.read(int(sys.argv[1]), 65536)
os.close(int(sys.argv[1]))
set_seccomp, mode_filter, none = map(ctypes.c_ulong, (22, 2, 0))
program = Program(len(steps) // 8, steps)
if ctypes.CDLL(None).prctl(set_seccomp, mode_filter, ctypes.byref(program), none, none):
    sys.exit("System calls cannot be filtered here.")
os.execv(sys.argv[2], sys.argv[2:])
"""


def as_other_user(command: list[str], room: SandboxConfig, seccomp: int) -> list[str]:
    """`command`, run by the room's user; `seccomp` as for `sandboxed`."""
    return [*_limited(room), sys.executable, "-I", "-S", "-c", _FILTERED, str(seccomp), *command]


def _limited(room: SandboxConfig) -> list[str]:
    """What is put before a command for its limits, and to make it the room's user."""
    limits = room.limits
    # One process alone may not outgrow the memory of all, nor fill a disk with one file.
    # And all of them together should not keep the grader from running.
    before = ["nice", "-n", "10", "prlimit", "--core=0", "--nofile=256"]
    before += [f"--nproc={limits.processes}"]
    before += [f"--as={limits.memory + 1000 * MB}", f"--fsize={limits.files}"]
    if room.uid is not None:
        ids = f"--reuid={room.uid}", f"--regid={room.uid}", "--clear-groups"
        before += ["setpriv", *ids, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return before


def environment(home: str = "/tmp") -> dict[str, str]:
    """The environment variables of a kernel in the sandbox; nothing of the grader's passes."""
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "IPYTHONDIR": f"{home}/.ipython",
        "MPLCONFIGDIR": f"{home}/.matplotlib",
        # More threads than processors, as with several sandboxes, make BLAS wait for itself.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    # How OpenBLAS is told to compute right on this machine's processor.
    told = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    return variables | {name: os.environ[name] for name in told if name in os.environ}


def _seen_as_here(path: str) -> list[str]:
    """What makes a folder, file or link of the system be in the sandbox where it is outside."""
    if Path(path).is_symlink():
        return ["--symlink", str(Path(path).readlink()), path]
    return [*_folders_above(path), "--ro-bind", path, path]


def _folders_above(path: str) -> list[str]:
    """What makes the folders above a path; bubblewrap would make them for their owner only."""
    above = [str(folder) for folder in reversed(Path(path).parents) if folder != Path("/")]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


def _system_paths() -> Iterator[str]:
    yield from (path for path in (*SYSTEM_FOLDERS, *SYSTEM_FILES) if os.path.lexists(path))


def _interpreters_folders() -> list[str]:
    """The folders of this Python and its packages that the system's do not hold already."""
    paths = {
        sys.prefix,
        sys.base_prefix,
        *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
    }
    folders: list[str] = []
    for path in sorted({str(Path(path).resolve()) for path in paths} | paths):
        if PROJECT.is_relative_to(path):
            raise SandboxError(
                f"The folder {path}, which holds this Python or its packages, holds {PROJECT} as "
                "well, so that the solutions could be read in a sandbox. Run gradkit with an "
                "environment of its own: python -m venv .venv."
            )
        if not any(Path(path).is_relative_to(other) for other in (*folders, "/usr")):
            folders.append(path)
    return folders


# --- system calls --------------------------------------------------------------------------------

# By their numbers on each kind of processor. Memory files and System V's shared memory count as
# nobody's memory; processes that leave their session get another share of the processors for each;
# the others let a process reach into others, or widen its powers, or are where the kernel's own
# holes have been.
FORBIDDEN = {
    "x86_64": {
        "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "semget": 64, "msgget": 68,
        "mq_open": 240, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321,
        "perf_event_open": 298, "ptrace": 101, "userfaultfd": 323, "io_uring_setup": 425,
        "mount": 165, "umount2": 166, "pivot_root": 155, "unshare": 272, "setns": 308,
        "open_by_handle_at": 304, "process_vm_readv": 310, "process_vm_writev": 311,
        "fsopen": 430, "open_tree": 428, "move_mount": 429, "setsid": 112,
    },
    "aarch64": {
        "memfd_create": 279, "memfd_secret": 447, "shmget": 194, "semget": 190, "msgget": 186,
        "mq_open": 180, "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280,
        "perf_event_open": 241, "ptrace": 117, "userfaultfd": 282, "io_uring_setup": 425,
        "mount": 40, "umount2": 39, "pivot_root": 41, "unshare": 97, "setns": 268,
        "open_by_handle_at": 265, "process_vm_readv": 270, "process_vm_writev": 271,
        "fsopen": 430, "open_tree": 428, "move_mount": 429, "setsid": 157,
    },
}  # fmt: skip

CLONE = {"x86_64": 56, "aarch64": 220}

SOCKET = {"x86_64": 41, "aarch64": 198}

FAMILIES = (1, 2, 10, 16)  # UNIX, INET, INET6, NETLINK: others, as VSOCK, know no namespaces

LOCAL = (1,)  # UNIX alone: what keeps the network out where no namespace does

CLONE3 = 435

CLONE_NEWUSER = 0x10000000

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

FIRST_X32 = 0x40000000  # x86-64's second set of numbers for the same calls


# Berkeley Packet Filter, as in linux/filter.h, bpf_common.h and seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

# A socket that is not to be had is "not supported": so ZeroMQ does without, and Python raises.
_EPERM, _ENOSYS, _EOPNOTSUPP = 1, 38, 95

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def seccomp_filter(machine: str = "", families: tuple[int, ...] = FAMILIES) -> bytes:
    """The filter of system calls, as the kernel takes it; sockets are of these families only.

    Raises
    ------
    SandboxError
        The numbers of this kind of processor's system calls are not known.
    """
    machine = machine or platform.machine()
    if machine not in FORBIDDEN:
        known = " and ".join(FORBIDDEN)
        raise SandboxError(
            f"The sandbox knows the system calls of {known}, but this is {machine}. Grade on one "
            "of those, or say --no-sandbox, for work that you trust as if it were your own."
        )

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    steps = [
        step(_LOAD, _ARCHITECTURE),
        step(_EQUAL, AUDIT_ARCH[machine], 1, 0),
        step(_RETURN, _KILL),
        step(_LOAD, _NUMBER),
        step(_AT_LEAST, FIRST_X32, 0, 1),
        step(_RETURN, _ERRNO | _EPERM),
    ]
    for number in FORBIDDEN[machine].values():
        steps += [step(_EQUAL, number, 0, 1), step(_RETURN, _ERRNO | _EPERM)]
    steps += [step(_EQUAL, SOCKET[machine], 0, len(families) + 3), step(_LOAD, _FIRST_ARGUMENT)]
    for left, family in zip(range(len(families), 0, -1), families, strict=True):
        steps.append(step(_EQUAL, family, left, 0))
    steps += [step(_RETURN, _ERRNO | _EOPNOTSUPP), step(_RETURN, _ALLOW)]
    # clone3 hides its flags behind a pointer; told that there is none, everyone uses clone.
    steps += [step(_EQUAL, CLONE3, 0, 1), step(_RETURN, _ERRNO | _ENOSYS)]
    steps += [
        step(_EQUAL, CLONE[machine], 0, 3),
        step(_LOAD, _FIRST_ARGUMENT),
        step(_ANY_BIT, CLONE_NEWUSER, 0, 1),
        step(_RETURN, _ERRNO | _EPERM),
        step(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


@contextlib.contextmanager
def _seccomp_file(families: tuple[int, ...]) -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        os.write(writing, seccomp_filter(families=families))
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


# --- kernels -------------------------------------------------------------------------------------

PROVISIONER = "gradkit-sandbox"


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel in a room, which the kernel specification's metadata hold."""

    room: Any = AnyTrait()  # a Room
    watchdog: "Watchdog | None" = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        if self.room.uid is not None and self.parent:
            os.lchown(self.parent.connection_file, self.room.uid, self.room.uid)
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        self.process = launch(cmd, self.room)
        self.pid = self.process.pid
        self.pgid = os.getpgid(self.pid)
        self.watchdog = Watchdog(self.process, self.room)
        self.watchdog.start()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Whatever is asked for, a kernel ends at once, with all that it has started."""
        if self.process:
            end(self.process, self.room)
            # Else jupyter_client looks whether it has ended, and then waits a tenth of a second.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1.0)

    async def cleanup(self, restart: bool = False) -> None:
        if self.watchdog:
            self.watchdog.stop()


def launch(command: list[str], room: SandboxConfig, stderr: int = subprocess.DEVNULL) -> Any:
    """Start a command in a room; what it prints is dropped."""
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    how |= {"stderr": stderr, "start_new_session": True}
    if room.isolation is Isolation.NONE:
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        env.pop("JPY_PARENT_PID", None)
        return subprocess.Popen(command, cwd=room.work, env=env, **how)
    if room.isolation is Isolation.OTHER_USER:
        with _seccomp_file(LOCAL) as filter_:
            wrapped = as_other_user(command, room, filter_)
            how |= {"cwd": room.work, "env": environment(room.home)}
            return subprocess.Popen(wrapped, pass_fds=[filter_], **how)
    with _seccomp_file(FAMILIES) as filter_:
        wrapped = sandboxed(command, room, filter_)
        return subprocess.Popen(wrapped, cwd="/", pass_fds=[filter_], **how)


WORK = "/project"  # where the student's tree is in a sandbox


def end(process: "subprocess.Popen[bytes]", room: SandboxConfig) -> None:
    """Kill a sandbox: with its first process goes the namespace, and all that is in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    end_all(room)


def end_sandboxes(folder: Path) -> None:
    """Kill the sandboxes with something of this folder in them.

    bubblewrap asks to end with its parent, and its inner process to end with the outer one. A
    grader that is killed in the milliseconds before they have asked leaves them behind.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[0].endswith(b"bwrap") and any(
                one.startswith(os.fsencode(folder) + b"/") for one in arguments
            ):
                os.kill(int(process.name), signal.SIGKILL)


# Becomes a user and kills all that this user runs but itself, which the kernel does at one blow:
# nothing can be started in between.
_KILL_ALL = """
import os, sys
uid = int(sys.argv[1])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
os.kill(-1, 9)
"""


def end_all(room: SandboxConfig) -> None:
    """Kill whatever is left of a room's user, where no namespace has taken it along."""
    if room.isolation is not Isolation.OTHER_USER or room.uid is None:
        return
    for _ in range(MAX_KILLS):  # what is to be killed may kill first
        if not list(processes_of(room.uid)):
            return
        command = [sys.executable, "-I", "-S", "-c", _KILL_ALL, str(room.uid)]
        subprocess.run(command, capture_output=True, check=False)
    raise SandboxError(f"What runs as user {room.uid} cannot be ended.")


# What `python -m ipykernel_launcher` does, without the debugger: to import it takes a third of a
# kernel's start, and nobody will debug there. The kernel does without it where there is none. And
# nothing of what is imported is garbage, so that to look for some is time lost.
_KERNEL = """
import gc, sys
sys.path.remove("")
sys.modules["debugpy"] = None
gc.disable()
from ipykernel import kernelapp
gc.enable()
kernelapp.launch_new_instance()
"""


def kernel_spec(room: SandboxConfig) -> KernelSpec:
    """The specification of this Python's kernel, to be started in `room`."""
    factory = KernelProvisionerFactory.instance()
    factory.provisioners[PROVISIONER] = EntryPoint(
        PROVISIONER, f"{__name__}:SandboxProvisioner", factory.GROUP_NAME
    )
    return KernelSpec(
        argv=[
            sys.executable,
            *("-c", _KERNEL, "-f", "{connection_file}"),
            *("--HistoryManager.enabled=False", "--IPKernelApp.log_level=CRITICAL"),
        ],
        display_name="Python in a sandbox",
        language="python",
        metadata={
            "kernel_provisioner": {"provisioner_name": PROVISIONER, "config": {"room": room}}
        },
    )


# --- the watchdog --------------------------------------------------------------------------------


class Watchdog(threading.Thread):
    """Looks at a sandbox again and again, and ends it when it is larger than it may be.

    `found` then says what was too large. Memory is what its processes have in use (the pages that
    several share count for each), and what lies in the private folder.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", room: SandboxConfig) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.process, self.room, self.found = process, room, ""
        self._graders = _resident(os.getpid())
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(POLL) and self.process.poll() is None:
            self.found = self._look()
            if self.found:
                end(self.process, self.room)
                return

    def stop(self) -> None:
        self._stopped.set()

    def _look(self) -> str:
        limits, room = self.room.limits, self.room
        if room.isolation is Isolation.OTHER_USER and room.uid is not None:
            pids = list(processes_of(room.uid))  # some of which nobody may be the parent of
        else:
            pids = list(descendants(self.process.pid))
        if len(pids) > limits.processes:
            return f"It started more than {limits.processes} processes."
        if sum(map(_resident, pids)) > limits.memory:
            return f"It used more than {limits.memory // MB:,} MB of memory."
        # What is sent in many small pieces is in our memory before any of it can be counted.
        if _resident(os.getpid()) > self._graders + MAX_RECEIVED:
            return "It sent far more than an answer has."
        try:
            entries = list(os.scandir(self.room.private))
            size = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        except OSError:
            return ""
        if len(entries) > MAX_PRIVATE_FILES or size > MAX_PRIVATE_BYTES:
            return "It wrote into the folder of the kernel's own files."
        return ""


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                text = (thread / "children").read_text()
                children = [int(word) for word in text.split()]
                yield from children
                waiting += children


def processes_of(uid: int) -> Iterator[int]:
    """The processes of a user, but for those that have ended."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (place / "status").read_text(errors="replace")
            if f"\nUid:\t{uid}\t" in status and "\nState:\tZ" not in status:
                yield int(place.name)


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


# --- the probe -----------------------------------------------------------------------------------


# Ends with 7 if this Python works and none of these files can be read.
_PROBE = """
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

CLOSED = ("assignment", "grading", "gradkit", "notebooks")


def self_test(isolation: Isolation = Isolation.SANDBOX) -> None:
    """Start a sandbox, see it do something, and see that it cannot read the solutions.

    Raises
    ------
    SandboxError
        It does not start, or can read them; the text says why.
    """
    closed = [str(path) for name in CLOSED for path in (PROJECT / name).rglob("*.[pti]*")]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o711)
        tried = stack.enter_context(room({Path(folder): WORK}, Path(folder), None, isolation))
        command = [sys.executable, "-c", _PROBE, *closed]
        process = launch(command, tried, stderr=subprocess.PIPE)
        try:
            _, said = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            end(process, tried)
            _, said = process.communicate()
        if process.returncode != 7:
            last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            if isolation is Isolation.OTHER_USER:
                raise SandboxError(
                    f"No other user can run a submission here: {last[0][:300]}. {PROJECT} has to "
                    f"be closed to others (chmod 700), and {sys.executable} open to them."
                )
            raise SandboxError(f"A sandbox does not start here: {last[0][:300]}. {SETUP_HELP}")
