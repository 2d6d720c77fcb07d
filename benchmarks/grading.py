"""Measure what a submission costs to grade, against one run of `pytest --nbval` for each.

    python -m benchmarks.grading [--submissions 200] [--plain 20] [--jobs 1 2]

Makes a class of the solution, the starter, known mistakes and a few broken files, and grades it.
Runs the graded notebooks of some of them by plain nbval as well: one process for each, a kernel
without a sandbox, nothing compared. CPU is that of the whole machine (/proc/stat), which includes
sandboxes, kernels and workers, and everything else: run nothing beside it. Goals: a fifth of plain
nbval's CPU, and less than 400 MB of memory for the grader. `benchmarks.grading_parts` splits it up.
"""

import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.workspace import regions
from benchmarks.timing import parser
from gradkit.autograder.grade_submission import prepare_workdir
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.batch.grade_class import Request, grade_class
from gradkit.course.mistakes import read_bank

Files = dict[str, bytes]


def handed_in() -> Iterator[Files]:
    """Yield the files of submissions without end, of each kind in turn."""
    bank = read_bank(EXERCISE, PROJECT)
    solved = {path: text.encode() for path, text in bank.solution.files.items()}
    mutants = itertools.cycle(
        mutant for mutant in bank.mutants if mutant.number == 0 and mutant.id != "slow_vectorized"
    )
    while True:
        yield solved
        yield {}
        for mutant in itertools.islice(mutants, 7):
            yield {path: text.encode() for path, text in mutant.tree.files.items()}
        yield {SOFTMAX: b"def softmax_loss_naive(:\n"}


def cpu_seconds() -> float:
    """Return the CPU seconds of this whole machine since it started."""
    ticks = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]))
    idle = ticks[3] + ticks[4]
    return (sum(ticks[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def make_class(folder: Path, count: int, cells: dict[str, str]) -> None:
    nb = regions.read_notebook((PROJECT / EXERCISE.notebook).read_text(encoding="utf-8"), "it")
    notebook = regions.write_notebook(regions.graft_cells(nb, cells, "it"))
    for number, files in enumerate(itertools.islice(handed_in(), count)):
        with zipfile.ZipFile(folder / f"student{number:04}.zip", "w") as archive:
            archive.writestr(EXERCISE.notebook, notebook)
            for path, content in files.items():
                archive.writestr(path, content)


def solved_cells() -> dict[str, str]:
    nb = regions.read_notebook((PROJECT / EXERCISE.notebook).read_text(encoding="utf-8"), "it")
    return regions.extract_cells(nb, "it")


def grade(count: int, jobs: int) -> tuple[float, float, float]:
    """Return wall and CPU seconds per submission, and the peak memory of a process in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "class").mkdir()
        make_class(Path(folder) / "class", count, solved_cells())
        request = Request(PROJECT, "softmax", Path(folder) / "out", Path(folder) / "class", jobs)
        wall, cpu = time.perf_counter(), cpu_seconds()
        report = grade_class(request, lambda line: None)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    assert report.graded == count, report
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return wall / count, cpu / count, 1024.0 * max(one.ru_maxrss for one in usage)


def plain(count: int) -> tuple[float, float]:
    """Return wall and CPU seconds per submission of plain nbval on the same graded notebooks."""
    cells = solved_cells()
    wall = cpu = 0.0
    with tempfile.TemporaryDirectory() as folder:
        spec = build_spec("softmax", PROJECT, 1, Path(folder) / "spec")
        for number, files in enumerate(itertools.islice(handed_in(), count)):
            workdir = Path(folder) / f"workdir{number}"
            workdir.mkdir()
            notebook = prepare_workdir(spec, files, cells, workdir, isolation=Isolation.NONE)
            # nbval starts the kernel in the notebook's folder, where it finds the tree.
            notebook = notebook.rename(workdir / "tree" / EXERCISE.notebook)
            as_handed_out(notebook, spec)
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                "--nbval-lax",
                "-q",
            ]
            start = time.perf_counter(), cpu_seconds()
            subprocess.run([*command, notebook], cwd=workdir, capture_output=True, check=False)
            wall += time.perf_counter() - start[0]
            cpu += cpu_seconds() - start[1]
    return wall / count, cpu / count


def as_handed_out(notebook: Path, spec: GradingSpec) -> None:
    """Undo the savings of `gradkit grade`: compiled files, and a shorter setup cell."""
    for compiled in notebook.parents[1].rglob("__pycache__"):
        shutil.rmtree(compiled)
    nb = regions.read_notebook(notebook.read_text(encoding="utf-8"), str(notebook))
    starter = regions.read_notebook(spec.starter[EXERCISE.notebook].decode(), "the starter")
    sources = {cell["id"]: cell["source"] for cell in starter["cells"]}
    for cell in nb["cells"]:
        if cell["metadata"].get("gradkit", {}).get("role") == "setup":
            cell["source"] = sources[cell["id"]]
    notebook.write_text(regions.write_notebook(nb), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    help = "submissions to grade (default: 200)"
    options.add_argument("--submissions", type=int, default=200, help=help)
    help = "submissions to run by plain nbval (default: 20)"
    options.add_argument("--plain", type=int, default=20, help=help)
    help = "submissions to grade in parallel (default: 1, and the number of CPUs)"
    options.add_argument("--jobs", type=int, nargs="+", default=[1, os.cpu_count() or 1], help=help)
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.submissions, chosen.plain, chosen.jobs = 2, 1, [1]
    plain_wall, plain_cpu = plain(chosen.plain)
    print(f"{'':34}  wall     CPU     of plain nbval's CPU")
    print(f"{'pytest --nbval for each':34} {plain_wall:5.2f} s  {plain_cpu:5.2f} s   1.00")
    for jobs in chosen.jobs:
        wall, cpu, memory = grade(chosen.submissions, jobs)
        name = f"gradkit grade, {jobs} at once"
        print(f"{name:34} {wall:5.2f} s  {cpu:5.2f} s   {cpu / plain_cpu:.2f}")
    print(f"Peak memory of the grader or a worker: {memory / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
