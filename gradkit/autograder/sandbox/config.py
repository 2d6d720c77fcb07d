"""The settings of one sandbox: its folders, user and limits; and the environment in it."""

import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gradkit.course.exercise_config import MB, Limits
from gradkit.errors import GradkitError

WORK = "/project"  # where the student's tree lies in a sandbox

NO_SANDBOX = "Or add --no-sandbox, for submissions that you trust as if they were your own."
INSTALL = f"Install it (apt-get install bubblewrap). {NO_SANDBOX}"
ALLOW_NAMESPACES = (
    "Allow user namespaces where they are forbidden (sysctl -w kernel.unprivileged_userns_clone=1, "
    "or, on Ubuntu 24.04 and later, kernel.apparmor_restrict_unprivileged_userns=0). " + NO_SANDBOX
)


class Isolation(Enum):
    """The barrier between student code and everything else; with NONE only the watchdog."""

    SANDBOX = "sandbox"
    SEPARATE_USER = "separate user"
    NONE = "none"


class SandboxError(GradkitError):
    """No sandbox can be started here; the text gives the reason and the way to mend it."""


@dataclass(frozen=True)
class SandboxConfig:
    """The settings of one sandbox.

    `socket_dir` holds the kernel's connection file and, unless bubblewrap runs it, its sockets.
    """

    socket_dir: Path
    readable: Mapping[Path, str]  # from folders of this machine to their paths in the sandbox
    workdir: Path  # below one of `readable`; the command starts in it
    limits: Limits = Limits()
    uid: int | None = None  # the sandbox's own user, where the grader is root
    isolation: Isolation = Isolation.SANDBOX

    @property
    def home(self) -> str:
        """The home folder: a /tmp of its own, or a folder beside the sockets."""
        return "/tmp" if self.isolation is Isolation.SANDBOX else str(self.socket_dir / "home")

    @property
    def sockets(self) -> str:
        """The beginning of the paths of the kernel's sockets, as the kernel sees them."""
        if self.isolation is Isolation.SANDBOX:
            return "/tmp/.kernel"
        return str(self.socket_dir / "s")


def environment(home: str) -> dict[str, str]:
    """Return a sandbox's environment variables; the grader's own are not passed on."""
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "USER": "student",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        # More threads than processors, as with several sandboxes, make BLAS wait for itself.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    # Without these OpenBLAS may compute wrong numbers on a processor that it takes for another.
    settings = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    return variables | {name: os.environ[name] for name in settings if name in os.environ}


def limit_command(command: list[str], config: SandboxConfig) -> list[str]:
    """Return `command`, run with the sandbox's limits and, where it has one, as its user.

    Raise SandboxError if the grader's own limits are lower, and a right answer might not run.
    """
    limits = config.limits
    # One process alone may not outgrow the memory of all, nor fill a disk with one file.
    # And all of them together should not keep the grader from running.
    prefix = ["nice", "-n", "10", "prlimit", "--core=0"]
    for name, flag, value, unit in (
        ("nofile", "-n", 256, 1),
        ("nproc", "-u", limits.processes, 1),
        ("as", "-v", (limits.memory_mb + 1000) * MB, 1024),
        ("fsize", "-f", limits.files_mb * MB, 1024),
    ):
        own = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        if own != resource.RLIM_INFINITY and own < value:
            raise SandboxError(
                f"A submission needs `ulimit {flag}` to be {value // unit} or more, and it is "
                f"{own // unit} here. Raise it."
            )
        prefix.append(f"--{name}={value}")
    if config.uid is not None:
        ids = f"--reuid={config.uid}", f"--regid={config.uid}", "--clear-groups"
        prefix += ["setpriv", *ids, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return prefix + command
