"""Worker pools grade each task once, whatever happens to the workers."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment import PROJECT
from gradkit.autograder import own_time
from gradkit.autograder.own_time import _Look
from gradkit.autograder.sandbox import Isolation
from gradkit.batch import worker_pool
from gradkit.batch.worker_pool import (
    MAX_TRIES,
    GraderProcess,
    ProcessPool,
    Task,
    TaskResult,
    WorkerPool,
)
from gradkit.course.exercise_config import Limits
from gradkit.errors import GradkitError
from gradkit.gradebook.database import ResultKey
from gradkit.processes import descendants
from gradkit.submissions.extract import SubmissionContent

SPEC: Any = SimpleNamespace(config=SimpleNamespace(limits=Limits()))


def task(number: int, do: str = "") -> Task:
    content = SubmissionContent({}, {"number": str(number), "do": do}, {}, None, [], "")
    return Task(ResultKey(f"student{number}", "", "", ""), f"{number}.zip", content)


def numbers(results: list[TaskResult]) -> list[int]:
    return sorted(int(result.task.content.cells["number"]) for result in results)


class ThreadPool(WorkerPool):
    """Workers that are threads, and call a function with a task's number."""

    def __init__(self, count: int, function: Callable[[int], Any]) -> None:
        self.count, self.function = count, function
        self.threads = ThreadPoolExecutor(count)

    def capacity(self, alone: bool) -> int:
        return 1 if alone else self.count

    def submit(self, task: Task, alone: bool) -> "Future[Any]":
        return self.threads.submit(self.function, int(task.content.cells["number"]))

    def close(self) -> None:
        self.threads.shutdown()


def test_a_grader_process_loads_no_grammar_of_addresses() -> None:
    """Importing that would take most of its start."""
    program = (
        "import gradkit.autograder.grade_submission, sys\n"
        "print('jsonschema' in sys.modules, 'lark' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["True", "False"], ran.stderr


def test_a_task_is_taken_when_a_worker_is_free_and_one_ahead() -> None:
    taken, open_tasks, largest = 0, 0, 0

    def tasks() -> Iterator[Task]:
        nonlocal taken, open_tasks, largest
        for taken in range(1, 201):
            open_tasks += 1
            largest = max(largest, open_tasks)
            yield task(taken)

    with closing(ThreadPool(3, lambda number: number)) as pool:
        for _ in pool.grade(tasks()):
            open_tasks -= 1
    assert taken == 200
    assert largest <= 5  # three at work, one ahead, one that has ended


def test_what_could_not_be_graded_is_tried_once_more_with_nothing_beside_it() -> None:
    lock, at_work, most = threading.Lock(), 0, 0
    together = threading.Barrier(3)
    tried: Counter[int] = Counter()

    def function(number: int) -> int:
        nonlocal at_work, most
        tried[number] += 1
        if tried[number] == 1:
            together.wait(30)
            raise GradkitError("Its kernel was lost.")
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with lock:
            at_work -= 1
        if number % 2:
            raise GradkitError("Its kernel was lost again.")
        return number

    with closing(ThreadPool(3, function)) as pool:
        results = list(pool.grade(map(task, range(12))))
    assert most == 1
    assert numbers(results) == list(range(12))
    assert set(tried.values()) == {2}
    assert {int(r.task.content.cells["number"]) % 2: r.problem for r in results} == {
        0: "",
        1: "Its kernel was lost again.",
    }


PROBLEMS = {
    "cancelled": "The worker that graded it was lost 3 times.",
    "raised": "ValueError: raised",
    "refused": "No verdict.",
}


@given(
    st.lists(st.sampled_from(["graded", *PROBLEMS]), max_size=20),
    st.lists(st.integers(0, 3), max_size=5),
)
def test_each_task_ends_once_whatever_happens_to_the_workers(
    fates: list[str], capacities: list[int]
) -> None:
    """`fates` are those of the first tries; `capacities` change as workers come and go."""
    left, sizes = list(fates), list(capacities)
    tries: defaultdict[str, list[str]] = defaultdict(list)

    class Moody(ThreadPool):
        def capacity(self, alone: bool) -> int:
            return sizes.pop(0) if sizes else 2

        def submit(self, task: Task, alone: bool) -> "Future[Any]":
            future: Future[Any] = Future()
            fate = left.pop(0) if left else "graded"
            tries[task.name].append(fate)
            if fate == "cancelled":
                future.cancel()
            elif fate == "raised":
                future.set_exception(ValueError("raised"))
            elif fate == "refused":
                future.set_exception(GradkitError("No verdict."))
            else:
                future.set_result(task.content.cells["number"])
            return future

    with pytest.MonkeyPatch.context() as patch, closing(Moody(1, int)) as pool:
        patch.setattr(worker_pool, "POLL_INTERVAL", 0.001)
        results = list(pool.grade(map(task, range(4))))
    assert numbers(results) == list(range(4))
    for result in results:
        tried = tries[result.task.name]
        assert result.problem == PROBLEMS.get(tried[-1], "")
        assert tried.count("graded") == (not result.problem)
        assert tried.count("raised") + tried.count("refused") <= 2
        assert len(tried) <= 2 * MAX_TRIES


# --- real processes ------------------------------------------------------------------------------


def pretend_to_grade(log: Path, files: Mapping[str, bytes], cells: Mapping[str, str]) -> Any:
    """Stand in for the grading in a grader process, which some submissions end."""
    with log.open("a") as file:
        file.write(f"{cells['number']}\n")
    if cells["do"] == "end":
        os._exit(1)
    time.sleep({"sleep": 600, "sleep a second": 1}.get(cells["do"], 0))
    return os.getpid()


def test_a_submission_that_ends_its_process_is_tried_six_times_and_the_others_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "_grade", partial(pretend_to_grade, tmp_path / "log"))
    tasks = [task(number, "end" if number == 2 else "") for number in range(6)]
    with closing(ProcessPool(2, SPEC, Isolation.NONE, tmp_path)) as pool:
        results = list(pool.grade(iter(tasks)))
    assert numbers(results) == list(range(6))
    problems = {result.task.name: result.problem for result in results if result.graded is None}
    assert problems == {"2.zip": "The process that graded it was ended 3 times."}
    tried = (tmp_path / "log").read_text().split()
    assert sorted(tried) == ["0", "1", *(["2"] * MAX_TRIES * 2), "3", "4", "5"]


STANDS_STILL = _Look(0, {(1, b"0")}, set(), suspended=True)


@pytest.mark.parametrize("look", [own_time._look, lambda pids: STANDS_STILL], ids=["sleep", "stop"])
def test_a_process_that_gets_stuck_is_ended_and_its_submission_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Iterable[int]], _Look]
) -> None:
    """A submission can stop itself for as long as it takes; more tries would cost minutes each."""
    monkeypatch.setattr(own_time, "_look", look)
    start, started = GraderProcess._start, []

    def start_and_count(process: GraderProcess) -> Any:
        started.append(process)
        return start(process)

    monkeypatch.setattr(GraderProcess, "_start", start_and_count)
    with closing(hurried_pool(tmp_path, monkeypatch)) as pool:
        [result] = pool.grade(iter([task(1, "sleep")]))
    assert len(started) == 2
    assert result.problem == (
        "It was ended after 0.5 seconds in which it ran, slept or stood still."
    )


def test_a_process_that_starves_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that finds it always waiting for a processor stands for it."""
    look = _Look(0, {(1, b"0")}, {(1, b"0")}, suspended=False)
    monkeypatch.setattr(own_time, "_look", lambda pids: look)
    with closing(hurried_pool(tmp_path, monkeypatch)) as pool:
        [result] = pool.grade(iter([task(2, "sleep a second")]))
    assert result.graded


def hurried_pool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessPool:
    """Return a pool whose process has half a second of own time."""
    monkeypatch.setattr(worker_pool, "_grade", partial(pretend_to_grade, folder / "log"))
    monkeypatch.setattr(worker_pool, "GUARD_INTERVAL", 0.05)
    monkeypatch.setattr(worker_pool, "OVERHEAD_SECONDS", 0.3)
    spec: Any = SimpleNamespace(config=SimpleNamespace(limits=Limits(submission_seconds=0.2)))
    return ProcessPool(1, spec, Isolation.NONE, folder)


def test_the_file_with_the_seed_is_closed_to_other_users(tmp_path: Path) -> None:
    with closing(ProcessPool(1, SPEC, Isolation.NONE, tmp_path)):
        [job] = tmp_path.iterdir()
        assert job.stat().st_mode & 0o777 == 0o600


def test_a_process_killed_while_it_starts_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spec of any size: it is not written into a pipe that nobody reads any more."""
    monkeypatch.setattr(worker_pool, "_grade", partial(pretend_to_grade, tmp_path / "log"))
    killed: set[int] = set()

    def kill_those_that_appear() -> None:
        while len(killed) < MAX_TRIES - 1:
            for pid in set(descendants(os.getpid())) - killed:
                with contextlib.suppress(psutil.Error):
                    if "spawn_main" in " ".join(psutil.Process(pid).cmdline()):
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)

    killer = threading.Thread(target=kill_those_that_appear)
    killer.start()
    spec: Any = SimpleNamespace(**vars(SPEC), data=bytes(10**6))
    with closing(ProcessPool(1, spec, Isolation.NONE, tmp_path)) as pool:
        [result] = pool.grade(iter([task(1)]))
    killer.join()
    assert result.graded
    assert len(killed) == MAX_TRIES - 1
