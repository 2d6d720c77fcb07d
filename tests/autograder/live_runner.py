"""Ways to hand in code: through one runner and mostly one kernel, or without a kernel.

LiveRunner     many versions of softmax.py, one after the other, and their verdicts
run_program    a program in the sandbox of a submission
"""

import contextlib
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from assignment.checks.softmax import SOFTMAX
from assignment.checks.verdict import Verdict
from assignment.workspace import regions
from gradkit.autograder.grade_submission import TREE, open_runner, prepare_workdir
from gradkit.autograder.runner import judge
from gradkit.autograder.sandbox import Isolation, launch
from gradkit.autograder.spec import GradingSpec
from tests.banks import BANK

CHECKS = ("naive_loss", "vectorized_loss")


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
        """Return the verdict on a naive loss with this body.

        The vectorized loss must not suffer from it, and nothing of it may be left.
        """
        self.runner._seconds_left = math.inf
        verdicts = self.check(solution(naive), *CHECKS)
        assert verdicts["vectorized_loss"].passed
        assert not verdicts["naive_loss"].passed
        sandboxes = [child for child in psutil.Process().children() if child.name() == "bwrap"]
        assert len(sandboxes) <= 1  # the one of the last check
        return verdicts["naive_loss"]


def run_program(spec: GradingSpec, program: str) -> str:
    """Return what a program leaves in `found`, in the sandbox of an empty submission."""
    with tempfile.TemporaryDirectory() as folder:
        prepare_workdir(spec, {}, {}, Path(folder), Isolation.SANDBOX)
        runner = open_runner(spec, {}, Path(folder), Isolation.SANDBOX)
        program += "\nimport sys\nprint(found, file=sys.stderr)"
        with runner._new_sandbox() as config:
            process = launch([sys.executable, "-c", program], config, stderr=subprocess.PIPE)
            return process.communicate(timeout=300)[1].decode().strip()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def open_live_runner(spec: GradingSpec, softmax: bytes | None = None) -> Iterator[LiveRunner]:
    with tempfile.TemporaryDirectory() as folder:
        live = LiveRunner(spec, Path(folder), solution() if softmax is None else softmax)
        with contextlib.closing(live.runner):
            yield live
