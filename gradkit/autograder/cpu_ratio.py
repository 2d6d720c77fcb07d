"""The processor time of a check, as a multiple of the check's yardstick, read from outside.

Array operations take the place of the student's function, in a new kernel, in a sandbox without the
student's files. What the student's code takes beyond that cell is its own.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from operator import itemgetter

from assignment.checks.check import YARDSTICK_SECONDS, Check
from assignment.checks.graded import OutcomeError, read_outcome
from assignment.workspace import regions
from gradkit.autograder.kernel import CellRun, Kernel, KernelError
from gradkit.autograder.sandbox import SandboxConfig, SandboxError
from gradkit.autograder.spec import GradingSpec

# Seconds: the check's cell takes 0.1 to 0.25 with right code, and 1 and more with loops in C (on a
# core of 3 GHz; benchmarks/cpu_ratio.py). A slower machine compares more often, no more strictly.
MAX_UNSUSPICIOUS = 0.6
MAX_SPREAD = 1.5  # between the yardsticks before and after a cell, else it is measured again
MAX_ROUNDS = 4


@dataclass(frozen=True)
class YardstickRun:
    """Processor time of a yardstick's cell, and of the array operations in it, in seconds."""

    cell: float
    operations: float


@dataclass(frozen=True)
class Yardstick:
    """Runs yardsticks, each in a sandbox of its own that holds the pristine starter."""

    spec: GradingSpec
    new_sandbox: Callable[[], AbstractContextManager[SandboxConfig]]

    def compare(
        self, check: Check, run: CellRun, again: Callable[[], CellRun]
    ) -> tuple[CellRun, float]:
        """Return the run of a check's cell that counts, and its processor time as a multiple.

        A run that took little time counts, as 0. Else the smaller multiple of two runs counts that
        `again` made, each in a new kernel, so that nothing kept from an earlier run can shorten it:
        nan if the yardsticks beside them differ, or did not run.
        """
        if run.status != "done" or run.cpu_seconds <= MAX_UNSUSPICIOUS:
            return run, 0.0
        fair: list[tuple[float, CellRun]] = []
        for _ in range(MAX_ROUNDS):
            before, run, after = self._run(check), again(), self._run(check)
            if run.status != "done":
                return run, 0.0
            if before is None or after is None:
                continue
            few, many = sorted([before.operations, after.operations])
            if 0 < many <= MAX_SPREAD * few:
                cell, operations = (before.cell + after.cell) / 2, (few + many) / 2
                fair.append((1 + (run.cpu_seconds - cell) / operations, run))
            if len(fair) == 2:
                break
        if not fair:
            return run, math.nan
        ratio, run = min(fair, key=itemgetter(0))
        return run, ratio

    def _run(self, check: Check) -> YardstickRun | None:
        """Run the yardstick; return None if that is impossible, which is never the student's."""
        exercise, limits = self.spec.exercise.name, self.spec.config.limits
        own_seed = check.seed_from(self.spec.secret)
        cells = self.spec.notebook({})["cells"]
        sources = [regions.source_of(cell) for cell in cells if cell.get("id") == "setup"]
        answer = f"answer({exercise!r}, {check.name!r}, {own_seed}, {{}}, yardstick=True)"
        sources.append(f"from assignment.checks.graded import answer\n{answer}")
        try:
            with self.new_sandbox() as config, ExitStack() as stack:
                kernel = Kernel(config)
                stack.callback(kernel.stop)
                for source in sources:
                    run = kernel.run(source, limits.cell_seconds)
            seconds = read_outcome(run.outcome).arrays[YARDSTICK_SECONDS]
        except (KernelError, SandboxError, OutcomeError, KeyError, OSError):
            return None
        return YardstickRun(run.cpu_seconds, float(seconds))
