"""nbval runs the exam's notebook: `python -m pytest -p gradkit.autograder.nbval_plugin --nbval DESK/...ipynb`.

nbval collects and reports as it always does. What runs a cell, and what a check's cell is compared
with, is a `SubmissionRunner`: its kernel is in the sandbox, and what came out of it is judged out here. Each
check is an item by its name, with its points; it fails with the verdict as its message.

A notebook is an exam's if it lies on a desk (see `grade_submission`); any other is left to nbval.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from assignment.checks.display import as_text
from assignment.checks.verdict import Verdict
from gradkit.autograder.runner import SubmissionRunner

NewRunner = Callable[[], SubmissionRunner]


class NotPassed(Exception):
    """A check did not pass; the message is the verdict."""


class GradedNotebook(IPyNbFile):
    """A notebook whose cells are run by a sitting, which begins with the first of them."""

    open_runner: NewRunner
    runner: SubmissionRunner

    def setup(self) -> None:
        self.runner = self.open_runner()

    def collect(self) -> Iterator["GradedCell"]:
        for item in super().collect():
            about = item.cell.metadata.get("gradkit", {})
            yield GradedCell.from_parent(
                self,
                name=about.get("check") or item.cell.get("id") or item.name,
                cell_num=item.cell_num,
                cell=item.cell,
                options=item.options,
            )

    def teardown(self) -> None:
        self.runner.close()


class GradedCell(IPyNbCell):
    """A cell of an exam's notebook. One that is no check never fails: its checks do."""

    verdict: Verdict | None = None

    def setup(self) -> None:
        """Nothing: nbval would mark what follows a timeout as expected to fail."""

    def runtest(self) -> None:
        self.verdict = self.parent.runner.run(self.cell)
        if self.verdict is None:
            return
        self.user_properties += [("points", self.verdict.points), ("of", self.verdict.out_of)]
        if not self.verdict.passed:
            raise NotPassed(as_text(self.verdict))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}::{self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        if isinstance(excinfo.value, NotPassed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class Plugin:
    """Puts `GradedNotebook` in the place of nbval's collector, for the notebooks that `find` knows.

    `find` gives what begins a sitting for a notebook, or None where it is no exam's.
    """

    def __init__(self, find: Callable[[Path], NewRunner | None]) -> None:
        self.find = find

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, list[Any], list[Any]]:
        # A wrapper, since nbval's own hook is called as well, and would collect a second time.
        collected = yield
        for number, collector in enumerate(collected):
            open_runner = isinstance(collector, IPyNbFile) and self.find(file_path)
            if open_runner:
                collected[number] = GradedNotebook.from_parent(parent, path=file_path)
                collected[number].open_runner = open_runner
        return collected


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin of pytest's command line: find the desks that `gradkit prepare` has laid."""
    from gradkit.autograder.debug import runner_at

    config.pluginmanager.register(Plugin(runner_at), "gradkit desks")
