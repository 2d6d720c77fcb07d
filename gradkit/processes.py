"""Processes of this machine: when they started, their children, their user, their memory; a pool.

psutil reads all of it except the memory and the children: its `Process.children` reads
the table of all processes, which takes 2.2 ms of CPU where 0.06 ms suffice, and the sandbox's
watchdog asks every 50 ms; its memory leaves out what is swapped out.
"""

import contextlib
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait

import psutil

MEMORY = re.compile(rb"^Vm(?:RSS|Swap|PTE):\s*(\d+) kB$", re.MULTILINE)  # in /proc/PID/status


def started(pid: int) -> str:
    """Return when a process began, in seconds since this machine did; "ended" if it has ended.

    With its pid that names a process for good, also after the clock has been set.
    """
    boot_time = psutil.boot_time()
    try:
        return f"{psutil.Process(pid).create_time() - boot_time:.2f}"
    except psutil.Error:
        return "ended"


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that they have started."""
    parents = [pid]
    while parents:
        parent = parents.pop()
        threads: list[str] = []
        with contextlib.suppress(OSError):
            threads = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208, a watchdog asks often
        for thread in threads:
            try:
                children_path = f"/proc/{parent}/task/{thread}/children"
                with open(children_path) as file:  # noqa: PTH123
                    children = [int(pid) for pid in file.read().split()]
            except OSError:  # this thread has ended; the others may have children
                continue
            yield from children
            parents += children


def processes_of(uid: int) -> Iterator[int]:
    """Yield the processes of a user, except those that have ended with all their threads."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
            if process.uids().real == uid and not ended:
                yield process.pid


def memory_in_use(pid: int) -> int:
    """Return the bytes that a process has in memory, swapped out, and in page tables.

    The result is 0 if it has ended, and on systems other than Linux.
    """
    with contextlib.suppress(OSError):
        if memory := _read_memory(f"/proc/{pid}/status"):
            return memory
        # Its first thread has ended, and no longer shows what the others go on using.
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208, a watchdog asks often
            with contextlib.suppress(OSError):
                if memory := _read_memory(f"/proc/{pid}/task/{thread}/status"):
                    return memory
    return 0


def _read_memory(path: str) -> int:
    with open(path, "rb") as file:  # noqa: PTH123
        return 1024 * sum(map(int, MEMORY.findall(file.read())))


@contextlib.contextmanager
def process_pool(jobs: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of `jobs` processes (default: one for each CPU), each with one BLAS thread.

    They end at once if the body raises, or this process is killed.
    """
    # spawn: a fork of a process with threads, such as those of BLAS, may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _end_with_parent)
    try:
        yield pool
    except BaseException:
        for process in (pool._processes or {}).values():
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let this process of a pool end when its parent does, and leave Ctrl-C to that.

    BLAS is limited here, before numpy is loaded: more threads than processors wait for each other.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent

    def wait_for_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait_for_parent, daemon=True).start()
