"""Loads that a benchmark runs under: busy processes beside it, or a share of one processor."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# Ends with this process, even if that is killed: else it would compute for ever.
COMPUTE = """
import os
while os.getppid() == {parent}:
    for _ in range(10**6): pass
"""


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processes busy meanwhile.

    Every second one has a session of its own: Linux shares the processors among sessions first. So
    these starve sandboxes, which have sessions as well, and the others starve the benchmark.
    """
    command = [sys.executable, "-c", COMPUTE.format(parent=os.getpid())]
    processes = [
        subprocess.Popen(command, start_new_session=bool(number % 2)) for number in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def processor_share(share: float) -> Iterator[None]:
    """Give this process, and those that it starts, a share of one processor meanwhile.

    Raises OSError where no cgroup can be made.
    """
    is_v1 = (CGROUPS / "cpu").is_dir()
    parent = CGROUPS / "cpu" if is_v1 else CGROUPS
    group = parent / f"gradkit-{os.getpid()}"
    group.mkdir()
    try:
        quota = f"{round(100_000 * share)}"
        name = "cpu.cfs_quota_us" if is_v1 else "cpu.max"
        (group / name).write_text(quota if is_v1 else f"{quota} 100000")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        while processes := (group / "cgroup.procs").read_text().split():
            for process in processes:
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    (parent / "cgroup.procs").write_text(process)
        group.rmdir()
