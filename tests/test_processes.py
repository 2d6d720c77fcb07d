"""The start of a process, which names it; its children; its memory."""

import contextlib
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gradkit.processes import _read_memory, descendants, memory_in_use, processes_of, started


def test_started_is_the_same_in_every_process_and_differs_between_them() -> None:
    program = f"from gradkit.processes import started; print(started({os.getpid()}))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == started(os.getpid()) != started(1)


def test_started_does_not_change_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before, boot_time = started(os.getpid()), psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + 3600)
    assert psutil.boot_time() == boot_time + 3600
    assert started(os.getpid()) == before


def test_ended_process_has_no_start_no_children_and_no_memory() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert started(ended.pid) == "ended"
    assert list(descendants(ended.pid)) == []
    assert memory_in_use(ended.pid) == 0


MAP_NORESERVE = 0x4000  # which the module mmap has from Python 3.13 on


def test_memory_includes_page_tables() -> None:
    """The kernel keeps nothing else for pages that are only read."""
    before, size = memory_in_use(os.getpid()), 2**33
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    with mmap.mmap(-1, size, flags) as pages:
        for place in range(0, size, 2**21):
            assert pages[place] == 0
        assert memory_in_use(os.getpid()) > before + 10_000_000


def test_memory_includes_what_is_swapped_out(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tVmSwap:\nVmRSS:\t   10 kB\nVmPTE:\t    2 kB\nVmSwap:\t  300 kB\n")
    assert _read_memory(str(status)) == 312 * 1024


def test_process_goes_on_when_its_first_thread_has_ended() -> None:
    program = """
import os, sys, threading
def sleep():
    while open(f"/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z": pass
    print("ended", flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=sleep).start()
import ctypes
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ended\n"
        assert memory_in_use(process.pid) > 1_000_000
        assert process.pid in processes_of(os.getuid())


def test_descendants_include_grandchildren() -> None:
    program = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{program}; p.wait()"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        grandchild = int(child.stdout.readline())
        assert {child.pid, grandchild} <= set(descendants(os.getpid()))
        assert {child.pid, grandchild} <= set(processes_of(os.getuid()))
        assert memory_in_use(child.pid) > 1_000_000
        os.kill(grandchild, 9)


def test_descendants_are_found_while_threads_of_their_parent_end() -> None:
    program = """
import subprocess, threading
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
while True:
    for thread in [threading.Thread(target=int) for _ in range(20)]:
        thread.start()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        looks = [child in descendants(parent.pid) for _ in range(2000)]
        os.kill(child, 9)
        parent.kill()
    assert all(looks)


POOL = """
import signal
import sys
import time
from gradkit.processes import process_pool

def work():
    time.sleep(300)
    print("survived", flush=True)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with process_pool(2) as pool:
        pool.submit(abs, 1).result()
        for _ in range(5):
            pool.submit(work)
        print("started", flush=True)
        signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_of_a_pool_end_when_their_parent_does(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "pool.py").write_text(POOL, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "pool.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        children = [*descendants(parent.pid)]
        parent.send_signal(number)
        try:
            assert parent.stdout.readline() == b""  # once no process holds it open
        finally:
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
    assert len(children) >= 2
