"""The time that processes take for themselves, whatever else their machine does.

A deadline in seconds of a clock ends whoever is starved by other programs, throttled, or paused
with the whole machine. Own time is the processor time that processes used, plus the time in which
all of them slept: an endless loop uses up the one, `sleep` the other. While one of them waits for a
processor, only what it gets of it counts.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")  # in a second
RUNNABLE, SUSPENDED = b"R", (b"T", b"t", b"D")  # states in /proc: stopped, or waiting for a disk


class OwnTime:
    """The own time of a changing set of processes, read now and then from outside.

    `seconds` is processor time, and the time in which all threads slept. `cpu_seconds` is processor
    time alone, in steps of 0.01 s for each process; at most that while one starts or has gone.
    `suspended` is the time in which none could run, since some were stopped or waited for a disk.

    Each but the processor time grows by at most 2 * `interval` from one look to the next: the
    observer may itself have been starved or paused in between.
    """

    def __init__(self, processes: Callable[[], Iterable[int]], interval: float = 0.05) -> None:
        self._processes, self._interval = processes, interval
        self.seconds = self.cpu_seconds = self.suspended = 0.0
        self._looked, self._last = time.monotonic(), _look(processes())

    def update(self, force: bool = False) -> None:
        """Look at the processes, unless the last look was less than `interval` ago."""
        now = time.monotonic()
        if now < self._looked + self._interval and not force:
            return
        last, look = self._last, _look(self._processes())
        passed, self._looked, self._last = min(now - self._looked, 2 * self._interval), now, look
        used = (look.ticks - last.ticks) / TICKS
        # The time of a child that nobody waited for is lost with it. Neither a child that has gone,
        # nor one that has come and may soon go, is a way to compute unseen.
        if used < 0 or look.runnable - last.all:
            used = max(used, passed)
        self.cpu_seconds += used
        if look.runnable:
            self.seconds += used
        elif look.suspended:
            self.seconds += used
            self.suspended += max(passed - used, 0.0)
        else:
            self.seconds += max(used, passed)


Process = tuple[int, bytes]  # pid and start


class _Look(NamedTuple):
    ticks: int
    all: set[Process]
    runnable: set[Process]  # those that run, or wait for a processor
    suspended: bool


def _look(pids: Iterable[int]) -> _Look:
    ticks, all_, runnable, suspended = 0, set(), set(), False
    for pid in pids:
        fields = _read_stat(f"/proc/{pid}/stat")
        if not fields:
            continue
        process, states = (pid, fields[19]), {fields[0]}
        if RUNNABLE not in states and int(fields[17]) > 1:
            with contextlib.suppress(OSError):
                threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208, it is asked often
                for thread in threads:
                    states.update(_read_stat(f"/proc/{pid}/task/{thread}/stat")[:1])
        ticks += sum(map(int, fields[11:15]))
        all_.add(process)
        if RUNNABLE in states:
            runnable.add(process)
        suspended = suspended or not states.isdisjoint(SUSPENDED)
    return _Look(ticks, all_, runnable, suspended)


def _read_stat(path: str) -> list[bytes]:
    """Return the fields of a stat file in /proc after the name; proc(5) counts them from 3.

    Return none if the process or thread has ended.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []
