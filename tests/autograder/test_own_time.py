"""Own time counts what processes compute and how long they sleep, and not how long they starve."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradkit.autograder.own_time import OwnTime
from gradkit.processes import descendants

SPIN = "while True: pass"
SLEEP = "import time; time.sleep(600)"
FLEETING = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    if os.fork() == 0:
        while time.process_time() < 0.02: pass
        with open(sys.argv[1], "a") as ended: ended.write("x")
        os._exit(0)
    try: os.wait()
    except ChildProcessError: pass
"""
Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program that prints a line first; it is killed in the end."""
    started = []

    def start_one(program: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", f"print(flush=True)\n{program}", str(tmp_path / "ended")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        with process.stdout:
            process.stdout.readline()
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()


def watch(process: "subprocess.Popen[bytes]", seconds: float, until: str = "") -> OwnTime:
    """Watch a process for some seconds, or until half a second of this kind of time has passed."""
    own_time = OwnTime(lambda: [process.pid, *descendants(process.pid)])
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (until and getattr(own_time, until) >= 0.5):
        own_time.update()
        time.sleep(0.02)
    return own_time


@pytest.mark.parametrize("program", [SPIN, SLEEP], ids=["spin", "sleep"])
def test_own_time_passes_while_a_process_computes_or_sleeps(start: Start, program: str) -> None:
    assert watch(start(program), 300, until="seconds").seconds >= 0.5


def test_processor_time_of_children_that_end_soon_counts(start: Start, tmp_path: Path) -> None:
    """A loop in them would else take no time."""
    own_time = watch(start(FLEETING), 300, until="cpu_seconds")
    children = (tmp_path / "ended").stat().st_size
    assert own_time.seconds >= own_time.cpu_seconds > 0.02 * children / 4


def test_no_own_time_passes_while_a_process_waits_for_a_processor(start: Start) -> None:
    """Beside four processes that are bound to its processor and come first."""
    bind = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}])"
    starved = start(f"{bind}\nos.nice(19)\n{SPIN}")
    for _ in range(4):
        start(f"{bind}\n{SPIN}")
    own_time = watch(starved, 1.5)
    assert own_time.seconds < own_time.cpu_seconds + 0.2
    assert own_time.cpu_seconds < 0.5


CPU_CONTROLLER = Path("/sys/fs/cgroup/cpu")


@pytest.mark.skipif(
    not os.access(CPU_CONTROLLER / "cgroup.procs", os.W_OK),
    reason="a cgroup with less than a processor needs root and version 1 of control groups",
)
def test_no_own_time_passes_while_a_process_is_throttled(start: Start) -> None:
    throttled = start(SPIN)
    group = CPU_CONTROLLER / f"gradkit-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("10000")  # of 100,000
        (group / "cgroup.procs").write_text(f"{throttled.pid}")
        own_time = watch(throttled, 1.5)
    finally:
        (CPU_CONTROLLER / "cgroup.procs").write_text(f"{throttled.pid}")
        group.rmdir()
    assert own_time.seconds < own_time.cpu_seconds + 0.2
    assert own_time.cpu_seconds < 0.5


def test_a_pause_of_the_observer_adds_little(start: Start) -> None:
    """As when the whole machine is paused."""
    sleeps = start(SLEEP)
    own_time = OwnTime(lambda: [sleeps.pid])
    time.sleep(0.5)
    own_time.update()
    assert own_time.seconds < 0.2


def test_time_of_a_stopped_process_is_counted_apart(start: Start) -> None:
    stopped = start(SPIN)
    stopped.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    own_time = watch(stopped, 300, until="suspended")
    assert own_time.seconds < 0.2
    assert own_time.suspended >= 0.5
