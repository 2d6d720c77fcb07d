"""Split the time of a graded submission into its parts.

    python -m benchmarks.grading_parts [--submissions 60]

Grades the class of `benchmarks.grading` in one process, as a worker does, and prints the wall time
of each part and the CPU time of the whole machine (/proc/stat), as means over the submissions: run
nothing beside it. The CPU time of a part is that of all processes while it lasts, so the worker's
own share beside a running cell counts for the cell.
"""

import contextlib
import functools
import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assignment import PROJECT
from assignment.checks.verdict import Judge
from benchmarks.grading import cpu_seconds, handed_in, solved_cells
from benchmarks.timing import parser
from gradkit.autograder import grade_submission as grading
from gradkit.autograder.kernel import Kernel
from gradkit.autograder.runner import SubmissionRunner
from gradkit.autograder.spec import build_spec

REST = "pytest and nbval"
CELLS = {
    "setup": "imports of the notebook",
    "parameters": "the data",
    "load": "the data",
    "split": "the data",
}


class Parts:
    """The sums of each part's times, without those of parts within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])  # wall, CPU
        self._open: list[str] = []
        self.begin()

    def begin(self) -> None:
        self._open = [REST]
        self.seconds.clear()
        self._since = time.perf_counter(), cpu_seconds()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def end(self) -> None:
        self._turn()

    def _turn(self) -> None:
        now = time.perf_counter(), cpu_seconds()
        for which in (0, 1):
            self.seconds[self._open[-1]][which] += now[which] - self._since[which]
        self._since = now

    def count(self, owner: Any, name: str, part: Callable[..., str]) -> None:
        """Count a function's time for the part that `part` names from its arguments."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.part(part(*args)):
                return function(*args, **kwargs)

        setattr(owner, name, counted)


def of_cell(_: SubmissionRunner, cell: Mapping[str, Any]) -> str:
    about = cell["metadata"].get("gradkit", {})
    return "the checks" if "check" in about else CELLS.get(cell["id"], "training and tuning")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    help = "submissions to grade (default: 60)"
    options.add_argument("--submissions", type=int, default=60, help=help)
    chosen = options.parse_args(arguments)
    count = 1 if chosen.quick else chosen.submissions
    cells, parts = solved_cells(), Parts()
    submissions = list(itertools.islice(handed_in(), count))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        spec = build_spec("softmax", PROJECT, 1, Path(folder) / "spec")
        grading.grade_submission(spec, {}, cells)  # imports, and what is computed once
        parts.count(grading, "prepare_workdir", lambda *_: "files and notebook laid out")
        parts.count(Kernel, "__init__", lambda *_: "the kernel's start, in its sandbox")
        parts.count(Kernel, "stop", lambda *_: "the kernel's end")
        parts.count(SubmissionRunner, "run", of_cell)
        parts.count(Judge, "verdict", lambda *_: "verdicts")
        parts.begin()
        for files in submissions:
            grading.grade_submission(spec, files, cells)
        parts.end()
    print(f"{'seconds for each of ' + str(count) + ' submissions':38}  wall    CPU")
    for name, (wall, cpu) in sorted(parts.seconds.items(), key=lambda item: -item[1][1]):
        print(f"{name:38} {wall / count:5.3f}  {cpu / count:5.3f}")
    sums = [sum(part[which] for part in parts.seconds.values()) for which in (0, 1)]
    wall, cpu = (total / count for total in sums)
    print(f"{'together':38} {wall:5.3f}  {cpu:5.3f}")


if __name__ == "__main__":
    main()
