"""The watchdog: a thread that kills a sandbox as soon as it exceeds a limit."""

import contextlib
import os
import subprocess
import threading
import time

from gradkit.autograder.sandbox import Isolation, SandboxConfig, kill_sandbox
from gradkit.autograder.sandbox.bwrap import sandbox_root
from gradkit.course.exercise_config import MB
from gradkit.processes import descendants, memory_in_use, processes_of

WATCH_INTERVAL = 0.05  # seconds between two looks at the sandbox
MAX_FILES = 10_000  # the kernel keeps about a kB of memory for each
MAX_SOCKETS = 256  # a kernel has a few dozen, and each holds at most 0.4 MB
MAX_TERMINALS = 16
MAX_RECEIVED = 150 * MB  # by which a grader's process may grow while a sandbox runs


class Watchdog(threading.Thread):
    """A thread that kills a sandbox as soon as it exceeds a limit; `reason` then says which one.

    Memory is the sum of its processes', so pages that several share count for each.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", config: SandboxConfig) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.process, self.config, self.reason = process, config, ""
        self._most_of_grader = memory_in_use(os.getpid()) + MAX_RECEIVED

    def run(self) -> None:
        try:
            while self.process.poll() is None:
                self.reason = self._exceeded_limit()
                if self.reason:
                    kill_sandbox(self.process, self.config)
                    return
                time.sleep(WATCH_INTERVAL)
        except BaseException:  # nothing runs unwatched
            kill_sandbox(self.process, self.config)
            raise

    def processes(self) -> list[int]:
        """Return the sandbox's processes, except its first."""
        if self.config.isolation is Isolation.SEPARATE_USER and self.config.uid is not None:
            return list(processes_of(self.config.uid))  # some may no longer descend from the first
        return list(descendants(self.process.pid))

    def _exceeded_limit(self) -> str:
        limits, config = self.config.limits, self.config
        pids = self.processes()
        if len(pids) > limits.processes:
            return f"It started more than {limits.processes} processes."
        if sum(map(memory_in_use, pids)) > limits.memory_mb * MB:
            return f"It used more than {limits.memory_mb:,} MB of memory."
        # A message in many small pieces is in the grader's memory before any of it can be counted.
        if memory_in_use(os.getpid()) > self._most_of_grader:
            return "It sent far more than a result has."
        if config.isolation is Isolation.SANDBOX and (root := sandbox_root(self.process)):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                systems = [os.statvfs(root / folder) for folder in ("tmp", "dev/shm")]
                if sum(system.f_files - system.f_ffree for system in systems) > MAX_FILES:
                    return f"It made more than {MAX_FILES:,} files."
                if len(os.listdir(root / "dev/pts")) > MAX_TERMINALS:  # noqa: PTH208, asked often
                    return f"It opened more than {MAX_TERMINALS} terminals."
                # The first line is "sockets: used 17".
                sockstat = (root.parent / "net/sockstat").read_text()
                if int(sockstat.split(maxsplit=3)[2]) > MAX_SOCKETS:
                    return f"It opened more than {MAX_SOCKETS} sockets."
        return ""
