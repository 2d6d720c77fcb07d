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
from gradkit.autograder.nbval_plugin import Plugin
from gradkit.autograder.runner import SubmissionRunner
from gradkit.autograder.sandbox import WORK, Isolation, room
from gradkit.autograder.spec import DATA, GradingSpec, write_tree
from gradkit.errors import GradkitError

TREE = "tree"


class GradingError(GradkitError):
    """A submission could not be graded, which is not its own doing."""


@dataclass(frozen=True)
class GradedSubmission:
    """What came of a submission: verdicts and outcomes by the checks' names, and its seconds."""

    verdicts: dict[str, Verdict]
    outcomes: Mapping[str, Outcome] = field(repr=False)
    seconds: float = 0.0

    def may_be_the_neighbours(self, spec: GradingSpec) -> bool:
        """Whether something lost its points to time, which a busy machine may have taken."""
        return any(
            verdict.status is Status.TIMED_OUT
            or (verdict.status is Status.WRONG and spec.exercise.check(name).slow)
            for name, verdict in self.verdicts.items()
        )


def grade_submission(
    spec: GradingSpec,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    isolation: Isolation = Isolation.SANDBOX,
) -> GradedSubmission:
    """Grade a submission with these files, by path, and these cells, by region.

    Raises
    ------
    GradingError
        Not every check came to a verdict.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gradkit-") as folder:
        workdir = Path(folder)
        notebook = prepare_workdir(spec, files, cells, workdir, isolation)
        with contextlib.closing(open_runner(spec, files, workdir, isolation)) as runner:
            said = _nbval(notebook, lambda path: lambda: runner)
        names = spec.exercise.names
        lost = [name for name in names if name not in runner.outcomes]
        if lost:
            raise GradingError(f"These checks came to no verdict: {', '.join(lost)}. {said}")
        verdicts = {name: runner.judge.verdict(name) for name in names}
        return GradedSubmission(verdicts, runner.outcomes, time.monotonic() - start)


def prepare_workdir(
    spec: GradingSpec,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    workdir: Path,
    isolation: Isolation,
) -> Path:
    """Lay a desk for a submission, and return its notebook's path.

    Other users can read the tree on it, and nothing else: the notebook holds the checks' seeds.
    """
    write_tree(spec, files, workdir / TREE)
    workdir.chmod(0o711)
    notebook = workdir / Path(spec.exercise.notebook).name
    notebook.touch(0o600)
    text = regions.write_notebook(spec.notebook(cells, isolation))
    notebook.write_text(text, encoding="utf-8")
    (workdir / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return notebook


def open_runner(
    spec: GradingSpec, files: Mapping[str, bytes], workdir: Path, isolation: Isolation
) -> SubmissionRunner:
    """A sitting at a desk, for whoever begins it to close."""
    tree = workdir / TREE
    readable = {tree: WORK, spec.data_folder: DATA}
    notebooks = tree / Path(spec.exercise.notebook).parent
    limits = spec.config.limits
    return SubmissionRunner(spec, files, partial(room, readable, notebooks, limits, isolation))


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
