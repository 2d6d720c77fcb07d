"""Grade one submission: lay a desk for it, let nbval run the exam there, and take the verdicts.

A desk is a folder: the exam's notebook with the student's cells, and beside it the tree that the
sandbox reads, with the student's files. It is gone afterwards, but for one that is laid for a
grader who wants to look into a submission.
"""

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assignment.checks.check import Outcome
from assignment.checks.verdict import Status, Verdict
from assignment.workspace import regions
from gradkit import GradkitError
from gradkit.autograder.nbval_plugin import Plugin
from gradkit.autograder.runner import Sitting
from gradkit.autograder.sandbox import WORK, Enclosure, room
from gradkit.autograder.spec import DATA, Exam, write_tree

TREE = "tree"


class GradingError(GradkitError):
    """A submission could not be graded, which is not its own doing."""


@dataclass(frozen=True)
class Graded:
    """What came of a submission: verdicts and outcomes by the checks' names, and its seconds."""

    verdicts: dict[str, Verdict]
    outcomes: Mapping[str, Outcome] = field(repr=False)
    seconds: float = 0.0

    def may_be_the_neighbours(self, exam: Exam) -> bool:
        """Whether something lost its points to time, which a busy machine may have taken."""
        return any(
            verdict.status is Status.TIMED_OUT
            or (verdict.status is Status.WRONG and exam.exercise.check(name).slow)
            for name, verdict in self.verdicts.items()
        )


def grade(
    exam: Exam,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    enclosure: Enclosure = Enclosure.SANDBOX,
) -> Graded:
    """Grade a submission with these files, by path, and these cells, by region.

    Raises
    ------
    GradingError
        Not every check came to a verdict.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gradkit-") as folder:
        desk = Path(folder)
        notebook = lay(exam, files, cells, desk, enclosure)
        with contextlib.closing(new_sitting(exam, files, desk, enclosure)) as sitting:
            said = _nbval(notebook, lambda path: lambda: sitting)
        names = exam.exercise.names
        lost = [name for name in names if name not in sitting.outcomes]
        if lost:
            raise GradingError(f"These checks came to no verdict: {', '.join(lost)}. {said}")
        verdicts = {name: sitting.judge.verdict(name) for name in names}
        return Graded(verdicts, sitting.outcomes, time.monotonic() - start)


def lay(
    exam: Exam,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    desk: Path,
    enclosure: Enclosure,
) -> Path:
    """Lay a desk for a submission, and return its notebook's path.

    Other users can read the tree on it, and nothing else: the notebook holds the checks' seeds.
    """
    write_tree(exam, files, desk / TREE)
    desk.chmod(0o711)
    notebook = desk / Path(exam.exercise.notebook).name
    notebook.touch(0o600)
    text = regions.write_notebook(exam.notebook(cells, enclosure))
    notebook.write_text(text, encoding="utf-8")
    (desk / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return notebook


def new_sitting(
    exam: Exam, files: Mapping[str, bytes], desk: Path, enclosure: Enclosure
) -> Sitting:
    """A sitting at a desk, for whoever begins it to close."""
    tree = desk / TREE
    readable = {tree: WORK, exam.data_folder: DATA}
    notebooks = tree / Path(exam.exercise.notebook).parent
    limits = exam.manifest.sandbox_limits
    return Sitting(exam, files, partial(room, readable, notebooks, limits, enclosure))


def _nbval(notebook: Path, find: Callable[[Path], Any]) -> str:
    """Let nbval run a notebook in this process; what went wrong besides the checks, if anything."""
    errors = _Errors()
    # No plugin that this does not need: each costs time at every start.
    unneeded = ("cacheprovider", "faulthandler", "unraisableexception", "threadexception")
    arguments = [
        *(word for name in unneeded for word in ("-p", f"no:{name}")),
        *("-p", "no:warnings", "-p", "nbval.plugin", "--nbval", "--noconftest"),
        *("--capture=no", "--quiet", "--tb=no", "--no-header", "--no-summary"),
        *(f"--rootdir={notebook.parent}", "-c", str(notebook.parent / "pytest.ini")),
        str(notebook),
    ]
    with contextlib.redirect_stdout(io.StringIO()), _no_other_plugins():
        pytest.main(arguments, plugins=[Plugin(find), errors])
    return " ".join(errors.said)


@contextlib.contextmanager
def _no_other_plugins() -> Iterator[None]:
    """Let pytest load no plugin that is not named."""
    name = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


class _Errors:
    """Keeps what failed otherwise than by a verdict."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        text = str(report.longrepr)
        if report.failed and (report.when != "call" or "Error" in text.splitlines()[-1]):
            self.said.append(text.splitlines()[-1][:300])

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.said.append(str(excrepr).splitlines()[-1][:300])
