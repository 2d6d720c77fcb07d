"""Measure processor time as a multiple of the yardstick's, of right code and of loops in C.

    python -m benchmarks.cpu_ratio [--runs 200] [--graded 20] [--busy 0 6 24] [--share 0.1]

From it come MAX_RATIO in `assignment/checks/vectorized.py`, and MAX_UNSUSPICIOUS and MAX_SPREAD in
`gradkit/autograder/cpu_ratio.py`. Right are the solutions and the variants of both exercises, in
turn; loops in C are the forms of `slow_vectorized`. A ratio is measured in the process itself, as
for students, and from outside a sandbox, as for graders. Beside it run busy processes, or all of it
has a share of one processor, by a cgroup (version 1 or 2, as root).
"""

import contextlib
import itertools
import math
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from assignment import PROJECT
from assignment.checks import vectorized
from assignment.checks.check import load_exercise, run_check
from assignment.workspace import regions
from benchmarks.load import busy_processes, processor_share
from benchmarks.timing import parser
from gradkit.autograder.grade_submission import open_runner, prepare_workdir
from gradkit.autograder.runner import Code
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.course.mistakes import SourceTree, read_bank

CHECK = "vectorized_no_loops"
EXERCISES = ("softmax", "svm")


class Form(NamedTuple):
    """Code that is right, or loops in C."""

    exercise: str
    is_right: bool
    tree: SourceTree


class Measured(NamedTuple):
    """The ratio of a form; in a graded run also the processor time of its check's cell."""

    is_right: bool
    ratio: float
    cell: float = math.nan


@cache
def forms() -> list[Form]:
    """Read the solutions, the variants of the vectorized loss, and the forms of the mistake."""
    found = []
    for name in EXERCISES:
        exercise = load_exercise(name)
        bank, [region] = read_bank(exercise, PROJECT), exercise.check(CHECK).regions
        variants = [mutant.tree for mutant in bank.variants if mutant.region == region]
        loops = [mutant.tree for mutant in bank.mutants if mutant.id == "slow_vectorized"]
        found += [Form(name, True, tree) for tree in (bank.solution, *variants)]
        found += [Form(name, False, tree) for tree in loops]
    return found


def measure_inside(form: Form, seed: int) -> Measured:
    """Measure a form in this process."""
    vectorized.MAX_RATIO = 1e-9  # so that every ratio is reported
    outcome = run_check(load_exercise(form.exercise).check(CHECK), form.tree.student(), seed)
    return Measured(form.is_right, float(outcome.arrays[vectorized.RATIO]))


def measure_graded(specs: dict[str, GradingSpec], form: Form, seed: int) -> Measured:
    """Measure a form in a sandbox, from outside."""
    spec, check = specs[form.exercise], load_exercise(form.exercise).check(CHECK)
    files = {path: text.encode() for path, text in form.tree.files.items()}
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        path = prepare_workdir(spec, files, {}, workdir, Isolation.SANDBOX)
        cells = regions.read_notebook(path.read_text(encoding="utf-8"), path.name)["cells"]
        with contextlib.closing(open_runner(spec, files, workdir, Isolation.SANDBOX)) as runner:
            runner.run(next(cell for cell in cells if cell["id"] == "setup"))
            answers = [c for c in cells if c["metadata"]["gradkit"].get("check") == CHECK]
            source = regions.source_of(answers[0])
            again = partial(runner._execute_anew, Code("the check", source))
            run = again()
            cell, run.cpu_seconds = run.cpu_seconds, math.inf
            _, ratio = runner._yardstick.compare(check, run, again)
    return Measured(form.is_right, ratio, cell)


def measure(
    load: Callable[[], contextlib.AbstractContextManager[None]], runs: int, graded: int
) -> tuple[list[Measured], list[Measured]]:
    """Measure so many right forms, and every loop in C, under a load: inside and from outside."""
    right = [form for form in forms() if form.is_right]
    wrong = [form for form in forms() if not form.is_right]
    in_process = [*itertools.islice(itertools.cycle(right), runs), *wrong]
    in_sandbox = [*itertools.islice(itertools.cycle(right), graded), *wrong[: 2 * graded]]
    with tempfile.TemporaryDirectory() as folder:
        specs = {
            name: build_spec(name, PROJECT, 1, Path(folder) / name)
            for name in {form.exercise for form in in_sandbox}
        }
        with load():
            inside = [measure_inside(form, seed) for seed, form in enumerate(in_process)]
            outside = [measure_graded(specs, form, seed) for seed, form in enumerate(in_sandbox)]
    return inside, outside


def print_row(name: str, measured: list[Measured]) -> None:
    """Print a row of the table."""
    if not measured:
        return
    ratios = {right: [m.ratio for m in measured if m.is_right == right] for right in (True, False)}
    cells = [m.cell for m in measured if m.is_right]
    lost = sum(map(math.isnan, ratios[True] + ratios[False]))
    print(
        f"{name:32} {len(ratios[True]):5} {np.nanmedian(ratios[True]):7.2f}"
        f" {np.nanmax(ratios[True]):8.2f} {np.nanmin(ratios[False]):9.2f} {lost:5}"
        f" {max(cells):8.2f} s",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=200, help="runs in the process itself")
    options.add_argument("--graded", type=int, default=20, help="runs in a sandbox")
    options.add_argument("--busy", type=int, nargs="*", default=[0, 6, 24])
    options.add_argument("--share", type=float, default=0.1, help="of a processor, in a cgroup")
    chosen = options.parse_args(arguments)
    runs, graded = (1, 1) if chosen.quick else (chosen.runs, chosen.graded)
    loads = {f"{count} busy processes": partial(busy_processes, count) for count in chosen.busy}
    loads[f"{chosen.share:g} of a processor"] = partial(processor_share, chosen.share)
    if chosen.quick:
        loads = {"0 busy processes": partial(busy_processes, 0)}
    print(f"{'processor time / yardstick':32}  runs  median  largest  loop in C  nan  longest cell")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    for name, load in loads.items():
        with context.Pool(1) as pool:
            try:
                inside, outside = pool.apply(measure, (load, runs, graded))
            except OSError as error:
                print(f"{name:32} not measured: {error}")
                continue
        print_row(f"{name}, inside", inside)
        print_row(f"{name}, graded", outside)


if __name__ == "__main__":
    main()
