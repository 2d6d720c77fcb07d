"""Measure what a large class costs besides the grading itself.

    python -m benchmarks.scaling [--submissions 100000] [--of starter] [--scheduler tcp://HOST:PORT]

Makes a class of copies of one submission: the untouched starter, or the solution with all outputs
of its notebook, the smallest and the largest that students hand in. Sends it through `gradkit
grade`, and writes the gradebook. Only the grading is replaced: a worker grades the submission once
and gives the same answer from then on. Without --scheduler, two threads of the grader are the
workers; with it, those of a Dask cluster that was started in this checkout. Half-way the grader is
killed, and the same command continues. `docs/scaling.md` plans with these figures.
"""

import contextlib
import multiprocessing
import os
import resource
import sqlite3
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from benchmarks.grading import make_class, solved_cells
from benchmarks.timing import parser
from gradkit.autograder.spec import GradingSpec
from gradkit.batch.dask_pool import DaskPool, WorkerProcesses, grade_one
from gradkit.batch.grade_class import Request, grade_class
from gradkit.batch.worker_pool import ProcessPool, WorkerPool
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.gradebook.database import DATABASE_NAME
from gradkit.gradebook.export import write_gradebook

MB = 1e6
MAX_LINKS = 30_000  # to one file; file systems allow some 65,000
PARTS = 10  # of the class, for each of which a line is printed
_ANSWERS: dict[str, Any] = {}
_ONE_AT_A_TIME = threading.Lock()


def once(grade_it: Callable[..., Any], files: Any, cells: Any) -> Any:
    """Grade a submission the first time, and return the same answer from then on."""
    key = repr((files, cells))
    with _ONE_AT_A_TIME:
        if key not in _ANSWERS:
            _ANSWERS[key] = grade_it(files, cells)
    return _ANSWERS[key]


def answer_of_a_worker(processes: WorkerProcesses, files: Any, cells: Any) -> Any:
    """Answer in a cluster's worker, which grades each submission once."""
    return once(partial(grade_one, processes), files, cells)


class Simulated(DaskPool):
    """A cluster whose workers answer at once."""

    grade_one = staticmethod(answer_of_a_worker)


class Threads(ProcessPool):
    """Two workers of this machine that answer at once."""

    def grade_one(self, files: Any, cells: Any) -> Any:
        return once(super().grade_one, files, cells)


def open_pool(
    request: Request, spec: GradingSpec, say: Callable[[str], None], folder: Path
) -> WorkerPool:
    if request.scheduler is None:
        return Threads(2, spec, request.isolation, folder)
    return Simulated(request.scheduler, spec, request.isolation, say)


def grade(request: Request) -> None:
    """Grade in a process of its own, so that it can be killed."""
    scaling = import_module("benchmarks.scaling")  # the name by which workers of a cluster find it

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the progress bar
    try:
        grade_class(request, lambda line: None, scaling.open_pool)
    except GradkitError as error:
        print(error, flush=True)


def copies(folder: Path, count: int, of: str) -> None:
    """Make a class of `count` copies of the solution or of the starter, as links to one file."""
    one = folder / "one"
    one.mkdir()
    make_class(one, 1, solved_cells())
    [source] = one.iterdir()
    if of == "starter":
        starter = starter_files(PROJECT, ["softmax"])
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in (EXERCISE.notebook, *EXERCISE.files):
                archive.writestr(path, starter[path])
    submissions = folder / "class"
    submissions.mkdir()
    for number in range(count):
        if number and number % MAX_LINKS == 0:
            source = Path(source.rename(one / f"{number}.zip").with_suffix(".copy"))
            source.write_bytes((one / f"{number}.zip").read_bytes())
        os.link(source, submissions / f"student{number:07}.zip")


def results(out: Path) -> int:
    """Return the number of results in the database."""
    with contextlib.suppress(sqlite3.Error):
        path = f"file:{out / DATABASE_NAME}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True, timeout=60)) as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM results").fetchone()[0])
    return 0


class Grader:
    """A grader in a process of its own."""

    def __init__(self, request: Request) -> None:
        self.request, self.started = request, time.monotonic()
        self.process = multiprocessing.get_context("spawn").Process(target=grade, args=(request,))
        self.process.start()

    def has(self, count: int) -> float:
        """Wait for `count` results, and return the seconds since the grader was started."""
        while (done := results(self.request.out)) < count and self.process.is_alive():
            time.sleep(0.02)
        assert done >= count or results(self.request.out) >= count, "the grader has ended"
        return time.monotonic() - self.started

    @property
    def memory(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return float(pages * resource.getpagesize())

    @property
    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def simulate(grader: Grader, done: int, until: int, part: int) -> None:
    """Print a line for each part of the class, from `done` results to `until`."""
    before = grader.has(done + 1), grader.cpu
    for count in range(done + part, until + 1, part):
        now = grader.has(count), grader.cpu if grader.process.is_alive() else before[1]
        each = [1000 * (after - since) / part for after, since in zip(now, before, strict=True)]
        memory = f"{grader.memory / MB:6.0f} MB" if grader.process.is_alive() else ""
        print(f"{count:12,}  {each[0]:6.1f} ms  {each[1]:6.1f} ms  {memory}", flush=True)
        before = now


def main(arguments: Sequence[str] | None = None) -> None:
    parsed = parser(__doc__)
    help = "size of the class (default: 100,000)"
    parsed.add_argument("--submissions", type=int, default=100_000, help=help)
    help = "submission to copy (default: starter)"
    parsed.add_argument("--of", choices=("starter", "solution"), default="starter", help=help)
    help = "grade through the Dask cluster of this scheduler"
    parsed.add_argument("--scheduler", metavar="ADDRESS", help=help)
    options = parsed.parse_args(arguments)
    count = 1_000 if options.quick else options.submissions
    part = count // PARTS
    with tempfile.TemporaryDirectory(prefix="gradkit-scaling-") as name:
        folder = Path(name)
        copies(folder, count, options.of)
        out = folder / "out"
        request = Request(
            PROJECT, "softmax", out, folder / "class", seed=1 << 65, scheduler=options.scheduler
        )
        print(f"{'submissions':>12}  {'wall each':>9}  {'CPU each':>9}  the grader's memory")
        grader = Grader(request)
        simulate(grader, 0, count // 2, part)
        grader.process.kill()
        grader.process.join()
        done = results(out)
        grader = Grader(request)
        print(
            f"Killed with {done:,} results; the next came {grader.has(done + 1):.1f} s after ",
            end="",
        )
        print("the same command was given again.")
        simulate(grader, done, count - part, part)
        grader.process.join()
        assert grader.process.exitcode == 0 and results(out) >= count
        size = (out / DATABASE_NAME).stat().st_size
        start = time.monotonic()
        write_gradebook(request)
        took = time.monotonic() - start
        print(f"The database has {size / MB:,.0f} MB, {size / count / 1000:.0f} kB a submission.")
        print(f"The gradebook took {took:.1f} s, {1000 * took / count:.1f} ms a submission.")


if __name__ == "__main__":
    main()
