"""A grading spec with short time limits, and ways to hand in code for it.

LiveRunner     many versions of softmax.py, one after the other, and their verdicts
run_program    a program in the sandbox of an empty submission
"""

import contextlib
import math
import pickle
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace as replace_fields

from assignment import PROJECT
from assignment.checks.softmax import SOFTMAX
from assignment.checks.verdict import Verdict
from assignment.workspace import regions
from gradkit.autograder.grade_submission import TREE, open_runner, prepare_workdir
from gradkit.autograder.runner import judge
from gradkit.autograder.sandbox import Isolation, launch
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.course.exercise_config import Limits
from tests.banks import BANK

SECRET = 271828182845904523536028747135266249
LIMITS = Limits(check_seconds=2, cell_seconds=5, memory_mb=300, files_mb=32, processes=64)
CHECKS = ("naive_loss", "vectorized_loss")

ATTACKS = tomllib.loads((Path(__file__).parent / "attacks.toml").read_text(encoding="utf-8"))


def attacks(*tables: str) -> pytest.MarkDecorator:
    """Give a test the parameters `name` and `code` from these tables of attacks.toml."""
    items = [item for table in tables for item in ATTACKS[table].items()]
    return pytest.mark.parametrize(("name", "code"), items, ids=[name for name, _ in items])


@pytest.fixture(scope="session")
def spec(shared: Callable[[str, Callable[[Path], object]], Path]) -> GradingSpec:
    """The softmax exercise's grading spec."""

    def build(folder: Path) -> None:
        built = build_spec("softmax", PROJECT, SECRET, folder / "spec")
        quick = replace(built, config=replace_fields(built.config, limits=LIMITS))
        (folder / "spec.pickle").write_bytes(pickle.dumps(quick))

    folder = shared("softmax-spec", build)
    return pickle.loads((folder / "spec.pickle").read_bytes())  # noqa: S301


def solution(naive: str = "") -> bytes:
    """Return softmax.py with another body in the naive loss."""
    tree = BANK.solution.with_region("softmax_naive", naive) if naive else BANK.solution
    return tree.files[SOFTMAX].encode()


def body(region: str) -> str:
    """Return a region of the solution as the body of another function, or as a part of it."""
    lines = BANK.solution.body(region).text.splitlines()
    return "".join(f"{line.removeprefix('    ')}\n" for line in lines)


class LiveRunner:
    """A runner whose setup cell has run, and whose student goes on to edit softmax.py.

    A check reads the file each time, so that most versions of it need no new kernel.
    """

    def __init__(self, spec: GradingSpec, workdir: Path, softmax: bytes) -> None:
        self.spec, self.file = spec, workdir / TREE / SOFTMAX
        files = {SOFTMAX: softmax}
        notebook = prepare_workdir(spec, files, {}, workdir, Isolation.SANDBOX)
        cells = regions.read_notebook(notebook.read_text(encoding="utf-8"), "it")["cells"]
        self.cells = {cell["metadata"]["gradkit"].get("check"): cell for cell in cells}
        self.runner = open_runner(spec, files, workdir, Isolation.SANDBOX)
        self.runner.run(next(cell for cell in cells if cell["id"] == "setup"))

    def check(self, softmax: bytes, *names: str) -> dict[str, Verdict]:
        """Return the verdicts of these checks on a version of softmax.py."""
        self.file.write_bytes(softmax)
        self.runner.outcomes.clear()
        for name in names:
            self.runner.run(self.cells[name])
        judge_ = judge(self.spec, {SOFTMAX: softmax}, self.runner.outcomes)
        return {name: judge_.verdict(name) for name in names}

    def attack(self, naive: str) -> Verdict:
        """Return the verdict on a naive loss with this body, which does not pass.

        The vectorized loss must not suffer from it, and nothing of it may be left.
        """
        self.runner._seconds_left = math.inf
        verdicts = self.check(solution(naive), *CHECKS)
        assert verdicts["vectorized_loss"].passed
        assert not verdicts["naive_loss"].passed
        sandboxes = [child for child in psutil.Process().children() if child.name() == "bwrap"]
        assert len(sandboxes) <= 1  # the one of the last check
        return verdicts["naive_loss"]


@contextlib.contextmanager
def open_live_runner(spec: GradingSpec, softmax: bytes | None = None) -> Iterator[LiveRunner]:
    with tempfile.TemporaryDirectory() as folder:
        live = LiveRunner(spec, Path(folder), solution() if softmax is None else softmax)
        with contextlib.closing(live.runner):
            yield live


@pytest.fixture(scope="module")
def live(spec: GradingSpec, sandbox: None) -> Iterator[LiveRunner]:
    with open_live_runner(spec) as runner:
        yield runner


def run_program(spec: GradingSpec, program: str, **settings: Any) -> str:
    """Return what a program leaves in `found`, in a sandbox with these settings changed."""
    before = f"import os, sys\nPROJECT, found = {str(PROJECT)!r}, []\n"
    program = f"{before}{program}\nprint(found, file=sys.stderr)"
    with tempfile.TemporaryDirectory() as folder:
        prepare_workdir(spec, {}, {}, Path(folder), Isolation.SANDBOX)
        with open_runner(spec, {}, Path(folder), Isolation.SANDBOX)._new_sandbox() as config:
            command = [sys.executable, "-c", program]
            process = launch(command, replace(config, **settings), stderr=subprocess.PIPE)
            return process.communicate()[1].decode().strip()
