"""nbval's part in grading: it collects a graded notebook's cells and reports each check by name.

    notebook -> nbval's collector -> GradedCell -> SubmissionRunner -> verdict -> pytest's report

A `SubmissionRunner` runs the cells: its kernel is in the sandbox, and its outcomes are judged out
here. Each check is a test of its name, which fails with the verdict as its message.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from assignment.checks.display import as_text
from gradkit.autograder.kernel import KernelError
from gradkit.autograder.runner import SubmissionRunner
from gradkit.errors import GradkitError


class GradedNotebook(IPyNbFile):
    """A notebook whose cells a `SubmissionRunner` runs; it is opened before the first of them."""

    open_runner: Callable[[Path], SubmissionRunner]
    runner: SubmissionRunner

    def setup(self) -> None:
        self.runner = self.open_runner(self.path)

    def collect(self) -> Iterator["GradedCell"]:
        for item in super().collect():
            metadata = item.cell.metadata.get("gradkit", {})
            yield GradedCell.from_parent(
                self,
                name=metadata.get("check") or item.cell.get("id") or item.name,
                cell_num=item.cell_num,
                cell=item.cell,
                options=item.options,
            )

    def teardown(self) -> None:
        self.runner.close()


class GradedCell(IPyNbCell):
    """A cell of a graded notebook. Only checks fail: an error elsewhere fails those after it."""

    def setup(self) -> None:
        """Skip nbval's setup, which expects the cells after a timeout to fail."""

    def runtest(self) -> None:
        try:
            verdict = self.parent.runner.run(self.cell)
        except KernelError as error:  # the other cells would fare no better
            self.session.shouldstop = str(error)
            raise
        if verdict is not None and not verdict.passed:
            pytest.fail(as_text(verdict), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}::{self.name}"

    repr_failure = pytest.Item.repr_failure  # nbval's own adds words around a verdict


class Plugin:
    """A pytest plugin that replaces nbval's collector by `GradedNotebook`.

    `open_runner` opens a notebook's runner. `errors` collects what was raised besides verdicts.
    """

    def __init__(self, open_runner: Callable[[Path], SubmissionRunner]) -> None:
        self.open_runner = open_runner
        self.errors: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, list[Any], list[Any]]:
        # A wrapper, since nbval's own hook is called as well, and would collect a second time.
        collectors = yield
        for number, collector in enumerate(collectors):
            if isinstance(collector, IPyNbFile):
                collectors[number] = GradedNotebook.from_parent(parent, path=file_path)
                collectors[number].open_runner = self.open_runner
        return collectors

    def pytest_exception_interact(self, call: pytest.CallInfo[Any]) -> None:
        if call.excinfo and not isinstance(call.excinfo.value, pytest.fail.Exception):
            error = call.excinfo.value
            known = isinstance(error, GradkitError)
            self.errors.append(str(error) if known else call.excinfo.exconly()[:300])
