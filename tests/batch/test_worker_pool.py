"""Worker pools grade each task once, whatever happens to the workers."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment import PROJECT
from gradkit.autograder.sandbox import Isolation
from gradkit.batch import worker_pool
from gradkit.batch.worker_pool import (
    MAX_TRIES,
    GraderProcess,
    GradingFailed,
    ProcessPool,
    Task,
    TaskResult,
    WorkerPool,
)
from gradkit.errors import GradkitError
from gradkit.gradebook.database import ResultKey
from gradkit.submissions.extract import SubmissionContent

SPEC: Any = SimpleNamespace(all_deadlines=60.0)


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


@pytest.mark.parametrize(("alone", "expected"), [(False, 3), (True, 1)])
def test_a_task_that_is_graded_alone_has_nothing_beside_it(alone: bool, expected: int) -> None:
    lock, at_work, most = threading.Lock(), 0, 0
    together = threading.Barrier(expected)

    def function(number: int) -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        together.wait(30)  # until as many are at work as there may be
        with lock:
            at_work -= 1
        together.wait(30)
        return number

    with closing(ThreadPool(3, function)) as pool:
        results = list(pool.grade(map(task, range(12)), alone))
    assert most == expected
    assert numbers(results) == list(range(12))
    assert {result.alone for result in results} == {alone}


PROBLEMS = {"raised": "ValueError: raised", "refused": "No verdict."}


@given(
    st.lists(st.sampled_from(["graded", "graded", "cancelled", *PROBLEMS]), max_size=12),
    st.lists(st.integers(0, 3), max_size=5),
)
def test_each_task_ends_once_whatever_happens_to_the_workers(
    fates: list[str], capacities: list[int]
) -> None:
    """`fates` are those of the first submissions; `capacities` change as workers come and go."""
    left, sizes = list(fates), list(capacities)

    class Moody(ThreadPool):
        def capacity(self, alone: bool) -> int:
            return sizes.pop(0) if sizes else 2

        def submit(self, task: Task, alone: bool) -> "Future[Any]":
            future: Future[Any] = Future()
            fate = left.pop(0) if left else "graded"
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
        results = list(pool.grade(map(task, range(8))))
    assert numbers(results) == list(range(8))
    for result in results:
        assert result.problem or str(result.graded) in result.task.name
    problems = [result.problem for result in results if result.problem]
    tried = fates[: len(fates) - len(left)]
    assert problems == [PROBLEMS[fate] for fate in tried if fate in PROBLEMS]


# --- real processes ------------------------------------------------------------------------------


def pretend_to_grade(log: Path, files: Mapping[str, bytes], cells: Mapping[str, str]) -> Any:
    """Stand in for the grading in a grader process, which some submissions end."""
    with log.open("a") as file:
        file.write(f"{cells['number']}\n")
    if cells["do"] == "end":
        os._exit(1)
    return os.getpid()


def test_a_submission_that_ends_its_process_is_tried_three_times_and_the_others_once(
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
    assert sorted(tried) == ["0", "1", *(["2"] * MAX_TRIES), "3", "4", "5"]


def test_a_process_that_does_not_come_to_an_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor that never answers stands for a process that hangs."""
    ended = []

    class Hanging:
        _processes = None

        def submit(self, *arguments: Any) -> "Future[Any]":
            return Future()

        def shutdown(self, **options: bool) -> None:
            ended.append(self)

    monkeypatch.setattr(worker_pool, "OVERHEAD_SECONDS", 0.01)
    process = GraderProcess(SimpleNamespace(all_deadlines=0.0), Isolation.NONE, tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(process, "_start", Hanging)
    with pytest.raises(GradingFailed, match="was ended 3 times"):
        process.grade({}, {})
    assert len(ended) == MAX_TRIES
