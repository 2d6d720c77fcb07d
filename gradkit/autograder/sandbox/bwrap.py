"""A command as bubblewrap runs it: in namespaces of its own, with the folders that it may read."""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil

from assignment import PROJECT
from gradkit.autograder.sandbox.config import INSTALL, SandboxConfig, SandboxError, limit_command
from gradkit.course.exercise_config import MB
from gradkit.processes import descendants

KERNEL_FILES = "/kernel"  # where the socket folder lies in a sandbox
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")


def bwrap_command(command: list[str], config: SandboxConfig, seccomp: int) -> list[str]:
    """Return `command` with bubblewrap in front; `seccomp` is the filter's file descriptor.

    Raise SandboxError if bubblewrap is not installed, or the solutions could be read.
    """
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise SandboxError(f"bubblewrap (the command bwrap) is not installed. {INSTALL}")
    wrapped = [bubblewrap, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if config.uid is not None:
        # As root a limit on processes does not hold. So no user namespace, in which the outer user
        # would still be root, but really another user; setpriv below becomes that one.
        for kind in ("ipc", "pid", "net", "uts", "cgroup-try"):
            wrapped.append(f"--unshare-{kind}")
        for capability in ("SETUID", "SETGID", "SETPCAP"):
            wrapped += ["--cap-add", f"CAP_{capability}"]
    else:
        wrapped.append("--unshare-all")
    wrapped += ["--hostname", "sandbox", "--seccomp", str(seccomp)]
    # Through /proc a process could make the kernel's out-of-memory killer prefer another one.
    wrapped += ["--proc", "/proc", "--remount-ro", "/proc"]
    # What /dev/zero maps counts as nobody's memory.
    wrapped += ["--dev", "/dev", "--dev-bind", "/dev/null", "/dev/zero"]
    for folder, megabytes in (("/dev/shm", 8), ("/tmp", config.limits.files_mb)):
        wrapped += ["--perms", "1777", "--size", str(megabytes * MB), "--tmpfs", folder]
    wrapped += ["--remount-ro", "/dev"]
    system = filter(os.path.lexists, (*SYSTEM_FOLDERS, *SYSTEM_FILES))
    for path in (*system, *_interpreter_folders()):
        if Path(path).is_symlink():
            wrapped += ["--symlink", str(Path(path).readlink()), path]
        else:
            wrapped += [*_make_parents(path), "--ro-bind", path, path]
    for outside, inside in config.readable.items():
        wrapped += ["--ro-bind", str(outside), inside]
        if config.workdir.is_relative_to(outside):
            wrapped += ["--chdir", str(inside / config.workdir.relative_to(outside))]
    wrapped += ["--ro-bind", str(config.socket_dir), KERNEL_FILES, "--remount-ro", "/"]
    command = [word.replace(str(config.socket_dir), KERNEL_FILES) for word in command]
    return [*wrapped, "--", *limit_command(command, config)]


def sandbox_root(process: "subprocess.Popen[bytes]") -> Path | None:
    """Return the path from outside to a sandbox's root folder; None before it has one, or after.

    Only its /tmp and /dev/shm are the student's: the rest cannot be written to from inside.
    """
    root = Path(f"/proc/{next(descendants(process.pid), 0)}/root")
    try:
        return None if root.samefile("/") else root
    except OSError:
        return None


def _make_parents(path: str) -> list[str]:
    """Return the options that make a path's parents; by itself bubblewrap closes them to others."""
    parents = [str(folder) for folder in reversed(Path(path).parents) if folder != Path("/")]
    return [word for folder in parents for word in ("--perms", "0755", "--dir", folder)]


def _interpreter_folders() -> list[str]:
    """Return the folders of this Python and its packages, except those that lie in /usr."""
    libraries = map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))
    paths = {sys.prefix, sys.base_prefix, *libraries}
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


def end_sandboxes(folder: Path) -> None:
    """Kill the sandboxes and kernels that have a path below `folder` among their arguments.

    bubblewrap asks the kernel to end it with its parent, and its inner process to end with the
    outer one. A grader that is killed in the milliseconds before leaves them behind. Where
    bubblewrap does not run a kernel, nothing ends it with its grader.
    """
    for process in psutil.process_iter(["cmdline"]):
        if any(argument.startswith(f"{folder}/") for argument in process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile, or is another user's
                process.kill()
