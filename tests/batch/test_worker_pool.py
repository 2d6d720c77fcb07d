"""Works are handed out to workers as these become free, whatever becomes of the workers."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment import PROJECT
from gradkit.batch import worker_pool as pool
from gradkit.batch.worker_pool import TRIES, NotReady, Task, TaskResult, Worker, WorkerPool
from gradkit.errors import GradkitError
from gradkit.gradebook.database import ResultKey
from gradkit.submissions.extract import SubmissionContent


def task(number: int) -> Task:
    work = SubmissionContent({}, {"number": str(number)}, {}, None, [], "")
    return Task(ResultKey(f"student{number}", "", "", ""), f"{number}.zip", work)


class Threads(WorkerPool):
    """Workers that are threads, and run `doing` with their own name and a task's number."""

    worker_ended = (BrokenExecutor,)

    def __init__(self, count: int, doing: Callable[[str, int], Any], machines: int = 1) -> None:
        self.pool = ThreadPoolExecutor(32)
        self.doing, self.machines = doing, machines
        self.made, self.ended = 0, list[str]()
        self.there: list[Worker] = []
        for _ in range(count):
            self.add()

    def add(self) -> None:
        name, self.made = f"worker {self.made}", self.made + 1
        machine = str(self.made % self.machines)
        self.there.append(Worker(name, machine, partial(self._grade, name)))

    def _grade(self, name: str, files: Any, cells: Any) -> "Future[Any]":
        return self.pool.submit(self.doing, name, int(cells["number"]))

    def workers(self) -> Collection[Worker]:
        return list(self.there)

    def end(self, worker: Worker) -> None:
        if worker in self.there:
            self.ended.append(worker.name)
            self.there.remove(worker)
            self.add()

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Look at the workers more often than once a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "LOOK", 0.01)
        yield


def numbers(ended: list[TaskResult]) -> list[int]:
    return sorted(int(one.task.work.cells["number"]) for one in ended)


def test_a_grader_loads_no_grammar_of_addresses() -> None:
    """That would be most of its start; what is imported in vain is seen by nobody otherwise."""
    program = "import gradkit.autograder.grade_submission, sys; print('jsonschema' in sys.modules, 'lark' in sys.modules)"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["True", "False"], ran.stderr


def test_a_task_is_taken_when_a_worker_is_free_for_it_and_one_ahead() -> None:
    taken, open_, most = [], [0], [0]

    def tasks() -> Iterator[Task]:
        for number in range(200):
            taken.append(number)
            open_[0] += 1
            most[0] = max(most[0], open_[0])
            yield task(number)

    made = Threads(3, lambda name, number: number)
    for _ in made.grade(tasks(), 60):
        open_[0] -= 1
    made.close()
    assert len(taken) == 200
    # Three at work, three that have ended and are not written down yet, one ahead.
    assert most[0] <= 7


def test_what_is_graded_alone_is_alone_on_its_machine() -> None:
    at_work, lock, most = Counter[str](), threading.Lock(), Counter[str]()
    machine = {f"worker {number}": str((number + 1) % 2) for number in range(6)}

    def doing(name: str, number: int) -> int:
        with lock:
            at_work[machine[name]] += 1
            most[machine[name]] = max(most[machine[name]], at_work[machine[name]])
        time.sleep(0.01)
        with lock:
            at_work[machine[name]] -= 1
        return number

    made = Threads(6, doing, machines=2)
    together = list(made.grade(map(task, range(24)), 60))
    assert max(most.values()) == 3
    assert not any(one.alone for one in together)
    most.clear()
    alone = list(made.grade(map(task, range(24)), 60, alone=True))
    made.close()
    assert most == {"0": 1, "1": 1}
    assert all(one.alone for one in alone)
    assert numbers(alone) == list(range(24))


def test_what_ends_its_worker_three_times_is_marked_and_costs_the_others_nothing() -> None:
    def doing(name: str, number: int) -> int:
        if number == 4:
            raise BrokenExecutor
        return number

    made = Threads(2, doing)
    ended = list(made.grade(map(task, range(9)), 60))
    made.close()
    assert numbers(ended) == list(range(9))
    assert [one.why for one in ended if one.graded is None] == [
        "The process that graded it was ended 3 times."
    ]
    assert len(made.ended) == TRIES


def test_an_exception_of_the_grading_is_told_and_tried_no_second_time() -> None:
    tried = []

    def doing(name: str, number: int) -> int:
        tried.append(number)
        if number == 1:
            raise GradkitError("These checks came to no verdict.")
        return number

    made = Threads(1, doing)
    ended = list(made.grade(map(task, range(3)), 60))
    made.close()
    assert tried == [0, 1, 2]
    assert [one.why for one in ended] == ["", "GradkitError: These checks came to no verdict.", ""]


def test_a_worker_that_does_not_come_to_an_end_is_ended() -> None:
    stuck = threading.Event()

    def doing(name: str, number: int) -> int:
        if name == "worker 0":
            stuck.wait(5)
        return number

    made = Threads(1, doing)
    ended = list(made.grade(map(task, range(3)), 0.1))
    stuck.set()
    made.close()
    assert made.ended == ["worker 0"]
    assert numbers(ended) == [0, 1, 2]
    assert all(one.graded is not None for one in ended)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(["ok", "ok", "ended", "not ready", "gone"]), max_size=12),
    st.integers(1, 4),
)
def test_each_task_ends_once_whatever_becomes_of_the_workers(fates: list[str], count: int) -> None:
    """`fates` is what becomes of the first works that are begun, in turn."""
    left, lock, blamed = list(fates), threading.Lock(), Counter[int]()
    gone = threading.Event()

    def doing(name: str, number: int) -> int:
        with lock:
            fate = left.pop(0) if left else "ok"
            if fate in ("ended", "gone"):
                blamed[number] += 1
        if fate == "ended":
            raise BrokenExecutor
        if fate == "not ready":
            raise NotReady
        if fate == "gone":
            with lock:
                made.there[:] = [one for one in made.there if one.name != name]
                made.add()
            gone.wait(5)
        return number

    made = Threads(count, doing)
    ended = list(made.grade(map(task, range(8)), 60))
    gone.set()
    made.close()
    assert numbers(ended) == list(range(8))
    for one in ended:
        number = int(one.task.work.cells["number"])
        assert (one.graded is None) == (blamed[number] >= TRIES)
        assert one.graded is None or one.graded == number  # type: ignore[comparison-overlap]
