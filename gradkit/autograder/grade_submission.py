"""Grade one submission: write its workdir, let nbval run the notebook there, take the verdicts.

    workdir/softmax.ipynb    the graded notebook with the student's cells; only the grader reads it
    workdir/tree/            the starter with the student's files, which the sandbox reads
    workdir/pristine/        the starter without them, for yardsticks; only where one is needed

The workdir is removed afterwards, except one that `gradkit debug` makes.
"""

import contextlib
import io
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from assignment.checks.check import Outcome
from assignment.checks.verdict import Verdict
from assignment.workspace import regions
from gradkit.autograder.cpu_ratio import Yardstick
from gradkit.autograder.nbval_plugin import Plugin
from gradkit.autograder.runner import SubmissionRunner
from gradkit.autograder.sandbox import WORK, Isolation, SandboxConfig, open_sandbox
from gradkit.autograder.spec import DATA, GradingSpec, write_tree
from gradkit.errors import GradkitError
from gradkit.files import temporary_folder

TREE = "tree"
PRISTINE_TREE = "pristine"


class GradingError(GradkitError):
    """A submission could not be graded, for which its student is not to blame."""


@dataclass(frozen=True)
class GradedSubmission:
    """The verdicts and outcomes of a submission by the checks' names, and the seconds it took."""

    verdicts: dict[str, Verdict]
    outcomes: Mapping[str, Outcome] = field(repr=False)
    seconds: float = 0.0


def grade_submission(
    spec: GradingSpec,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    isolation: Isolation = Isolation.SANDBOX,
) -> GradedSubmission:
    """Grade a submission: `files` by their paths, `cells` by the names of their regions.

    Raises GradingError if a check came to no verdict, or files were removed meanwhile.
    """
    start = time.monotonic()
    with temporary_folder() as workdir:
        notebook = prepare_workdir(spec, files, cells, workdir, isolation)
        with contextlib.closing(open_runner(spec, files, workdir, isolation)) as runner:
            problems = _run_nbval(notebook, runner)
        for folder in (workdir / TREE, spec.data_folder):
            if not folder.is_dir():  # such as by a program that tidies up
                raise GradingError(f"{folder} was removed while it was in use.")
    names = spec.exercise.names
    lost = [name for name in names if name not in runner.outcomes]
    if lost:
        raise GradingError(problems or f"These checks came to no verdict: {', '.join(lost)}.")
    judge = runner.judge
    verdicts = {name: judge.verdict(name) for name in names}
    return GradedSubmission(verdicts, runner.outcomes, time.monotonic() - start)


def prepare_workdir(
    spec: GradingSpec,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    workdir: Path,
    isolation: Isolation,
) -> Path:
    """Write a submission's workdir, and return its notebook's path.

    Other users can read the tree in it, and nothing else: the notebook holds the checks' seeds.
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
    """Return a runner for a submission's workdir; the caller closes it."""

    def new_sandbox(tree: Path) -> AbstractContextManager[SandboxConfig]:
        readable = {tree: WORK, spec.data_folder: DATA}
        folder = tree / Path(spec.exercise.notebook).parent
        return open_sandbox(readable, folder, spec.config.limits, isolation)

    def new_pristine_sandbox() -> AbstractContextManager[SandboxConfig]:
        tree = workdir / PRISTINE_TREE
        if not tree.exists():
            write_tree(spec, {}, tree)
        return new_sandbox(tree)

    yardstick = Yardstick(spec, new_pristine_sandbox)
    return SubmissionRunner(spec, files, partial(new_sandbox, workdir / TREE), yardstick)


def _run_nbval(notebook: Path, runner: SubmissionRunner) -> str:
    """Run a notebook by nbval in this process; return its errors, except the checks' verdicts."""
    plugin = Plugin(lambda _: runner)
    # Each plugin costs time at every start.
    unneeded = ("cacheprovider", "faulthandler", "unraisableexception", "threadexception")
    arguments = [
        "--disable-plugin-autoload",
        *(word for name in unneeded for word in ("-p", f"no:{name}")),
        *("-p", "no:warnings", "-p", "nbval.plugin", "--nbval", "--noconftest"),
        *("--capture=no", "--quiet", "--tb=no", "--no-header", "--no-summary"),
        *(f"--rootdir={notebook.parent}", "-c", str(notebook.parent / "pytest.ini")),
        str(notebook),
    ]
    with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):  # meant for the grader's own tests
            patch.delenv(name, raising=False)
        pytest.main(arguments, plugins=[plugin])
    return " ".join(dict.fromkeys(plugin.errors))
