"""The watchdog: a thread that kills a sandbox as soon as it exceeds a limit."""

import os
import subprocess
import threading
import time

from gradkit.autograder.sandbox import Isolation, SandboxConfig, kill_sandbox
from gradkit.course.exercise_config import MB
from gradkit.processes import descendants, processes_of, resident_memory

WATCH_INTERVAL = 0.05  # seconds between two looks at the sandbox
MAX_SOCKET_FILES = 32  # a kernel makes a dozen sockets
MAX_SOCKET_BYTES = MB
MAX_RECEIVED = 150 * MB  # by which a grader's process may grow while a sandbox runs


class Watchdog(threading.Thread):
    """A thread that kills a sandbox as soon as it exceeds a limit; `reason` then says which one.

    Memory is the sum of its processes' resident memory, so pages that several share count for each.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", config: SandboxConfig) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.process, self.config, self.reason = process, config, ""
        self._most_of_grader = resident_memory(os.getpid()) + MAX_RECEIVED

    def run(self) -> None:
        while self.process.poll() is None:
            self.reason = self._exceeded_limit()
            if self.reason:
                kill_sandbox(self.process, self.config)
                return
            time.sleep(WATCH_INTERVAL)

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
        if sum(map(resident_memory, pids)) > limits.memory_mb * MB:
            return f"It used more than {limits.memory_mb:,} MB of memory."
        # A message in many small pieces is in the grader's memory before any of it can be counted.
        if resident_memory(os.getpid()) > self._most_of_grader:
            return "It sent far more than a result has."
        try:
            with os.scandir(config.socket_dir) as listing:
                entries = list(listing)
            size = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        except OSError:  # a file was removed meanwhile
            return ""
        if len(entries) > MAX_SOCKET_FILES or size > MAX_SOCKET_BYTES:
            return "It wrote into the folder of the kernel's own files."
        return ""
