"""Kills a grader at the n-th write to its database, for every n, and grades on each time.

    python killed_at_each_write.py FOLDER

Two submissions are graded by a pool that answers at once. Prints at how many writes the grader
was killed; fails if a database, after another run, differs from that of a grader never killed.
"""

import contextlib
import io
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assignment import PROJECT
from assignment.checks.check import Outcome
from assignment.checks.verdict import Status, Verdict
from gradkit.autograder.grade_submission import GradedSubmission
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import build_spec
from gradkit.batch import grade_class as batch
from gradkit.batch.worker_pool import Task, WorkerPool
from gradkit.errors import GradkitError
from gradkit.gradebook import database
from tests.classes import SEED, write_submission

WRITES = ("CREATE", "INSERT", "DELETE", "UPDATE", "COMMIT")


class AtOnce(WorkerPool):
    """A pool that gives all points to each submission at once, and some fail at first."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def capacity(self, alone: bool) -> int:
        return 2

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        future: Future[GradedSubmission] = Future()
        if task.name == "cleo.zip" and not alone:
            future.set_exception(GradkitError("Its kernel was lost."))
            return future
        verdicts = {name: Verdict(name, name, Status.PASSED, 1, 1) for name in self.names}
        future.set_result(GradedSubmission(verdicts, {name: Outcome() for name in verdicts}))
        return future

    def close(self) -> None:
        pass


class CountedConnection(sqlite3.Connection):
    """A connection whose process is killed at a certain write."""

    left = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        self.count(sql)
        return super().execute(sql, *arguments)

    def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        self.count(sql)
        return super().executemany(sql, *arguments)

    def executescript(self, sql: str) -> sqlite3.Cursor:
        for statement in sql.strip().split(";"):
            self.count(statement.strip())
            super().execute(statement)
        return self.cursor()

    def count(self, sql: str) -> None:
        if sql.startswith(WRITES):
            CountedConnection.left -= 1
            if CountedConnection.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def ends_unless_killed(grade: Callable[[], object], at: int) -> bool:
    """Run a grader in a process that is killed at a write, and tell whether it came to its end."""
    pid = os.fork()
    if pid == 0:
        CountedConnection.left = at
        grade()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or status == 0, "the grader failed"
    return status == 0


def main(folder: Path) -> None:
    (folder / "class").mkdir()
    for name in ("ada", "cleo"):
        write_submission(folder / "class" / f"{name}.zip", {})
    (folder / "class" / "eve.zip").write_bytes(b"PK\x03\x04 damaged")
    answer_key = SimpleNamespace(to_json=lambda: "")  # the real one takes longer than all the rest
    spec = build_spec("softmax", PROJECT, SEED, folder / "data", answer_key)  # type: ignore[arg-type]
    vars(batch).update(
        build_spec=lambda *arguments: spec,
        starter_files=lambda *arguments: spec.starter,
        starter_versions=lambda *arguments: frozenset(),
    )
    connect = partial(sqlite3.connect, factory=CountedConnection)
    vars(database).update(
        AnswerKey=SimpleNamespace(from_json=lambda text: answer_key),
        sqlite3=SimpleNamespace(**{**vars(sqlite3), "connect": connect}),
    )

    def run(out: Path) -> list[object]:
        request = batch.Request(
            PROJECT, "softmax", out, folder / "class", seed=SEED, isolation=Isolation.NONE
        )
        pool = AtOnce(spec.exercise.names)
        with contextlib.redirect_stderr(io.StringIO()):  # the progress bar
            batch.grade_class(request, lambda line: None, lambda *arguments: pool)
        with contextlib.closing(database.GradebookDatabase(out, "softmax")) as opened:
            results = [(r.key, r.score, *r.outcomes) for r in opened.results()]
            return [*opened.submissions(), *sorted(results)]

    expected, number = run(folder / "whole"), 1
    assert len(expected) == 3 + 2
    while not ends_unless_killed(lambda: run(folder / f"{number}"), number):  # noqa: B023
        assert run(folder / f"{number}") == expected, f"killed at write {number}"
        number += 1
    print(number - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
