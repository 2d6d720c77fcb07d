"""`gradkit spread`: the bounds of an exercise, from the spread of what the solution reaches.

The solution runs once for each seed, with the parameters and the data of grading. Each number that
a rule holds against a bound is noted (`RuleContext.meets`). A bound lies DEVIATIONS sample standard
deviations from the mean: 9,999 of 10,000 right submissions meet it, with 95% confidence from
MIN_SEEDS runs (one-sided tolerance limit of a normal distribution: M. G. Natrella, Experimental
Statistics, NBS Handbook 91, section 2-5.2). More runs would allow less; the rest is left to tails
that are not normal.
"""

import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from assignment.checks.check import SIDES, Measurement, RuleContext, load_exercise, run_check_for
from assignment.checks.draws import derive_seed
from assignment.checks.student import Student
from assignment.checks.unseen import UNSEEN_INPUTS
from assignment.workspace import regions
from gradkit.authoring.proofs import run_notebook
from gradkit.course.exercise_config import CONFIG, read_config
from gradkit.course.exercise_data import draw_data, notebook_variables
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import read_bank
from gradkit.files import temporary_folder, write_atomic
from gradkit.processes import process_pool

DEVIATIONS = 5.2
MIN_SEEDS = 20


class Spread(NamedTuple):
    """The bound that follows from some measurements, and their mean and standard deviation."""

    bound: float
    mean: float
    deviation: float

    def line(self, name: str) -> str:
        return f"{name} = {self.bound:g} # {self.mean:.4g} ± {self.deviation:.2g}"


def write_spread(name: str, project: Path, seeds: int, as_graded: bool = True) -> Iterator[str]:
    """Measure an exercise's bounds and yield their lines, then warnings.

    As graded, the lines replace those under [bounds] in exercise.toml. Otherwise the notebook's own
    parameters are used, and models are judged as in the notebook; nothing is written.

    Raise CourseError if the solution does not pass a check that measures something.
    """
    exercise, config = load_exercise(name), read_config(project, name)
    with process_pool() as pool:
        run = partial(measure, name, project, as_graded=as_graded)
        runs = [measurement for found in pool.map(run, range(seeds)) for measurement in found]
    measured = defaultdict[str, list[Measurement]](list)
    for measurement in runs:
        measured[measurement.bound].append(measurement)
    spreads = {bound: spread_of(found) for bound, found in measured.items()}
    lines = {bound: spread.line(bound) for bound, spread in spreads.items()}
    yield from lines.values()
    if as_graded and lines:
        path = project / "grading" / name / CONFIG
        write_atomic(path, with_bounds(path.read_text(encoding="utf-8"), lines, path))
    before = {**exercise.bounds, **(config.bounds if as_graded else {})}
    for bound, found in measured.items():
        yield from _warnings(bound, found, spreads[bound].bound, before.get(bound))
    for bound in sorted(before.keys() - measured.keys()):
        yield f"{bound} is a bound that no rule measures anything against. Remove it."


def measure(name: str, project: Path, seed: int, as_graded: bool) -> list[Measurement]:
    """Run the solution's notebook with the data of one seed, and its checks; return the numbers.

    Raise CourseError if a check of the notebook's results does not pass.
    """
    exercise, config = load_exercise(name), read_config(project, name)
    bank, path = read_bank(exercise, project), project / exercise.notebook
    notebook = regions.read_notebook(regions.read_source(path), path.name)
    parameters = config.parameters if as_graded else {}
    data = draw_data(exercise, notebook, parameters, derive_seed(seed, "data"))
    measured: list[Measurement] = []
    with temporary_folder() as folder:
        given = notebook_variables(data) | {"BEST_MODEL": folder / "best.npz"}
        variables = run_notebook(bank.solution, path, given)
        if as_graded and UNSEEN_INPUTS in data:
            variables[UNSEEN_INPUTS] = data[UNSEEN_INPUTS]
        student = Student(bank.solution.files, variables)
        known = data if as_graded else variables
        for check in exercise.checks:
            if check.in_notebook and check.rule:
                outcome = run_check_for(check, student, seed)
                context = RuleContext(
                    check.seed_from(seed), student.sources, None, known, None, measured
                )
                finding = check.rule(outcome.arrays, context) if outcome.arrays else None
                if not outcome.arrays or (finding and (finding.mistake or finding.headline)):
                    raise CourseError(
                        f"The solution fails {check.name} with the data of seed {seed}, whatever "
                        f"the bounds: {finding or outcome}"
                    )
    return measured


def spread_of(measurements: Iterable[Measurement]) -> Spread:
    """Return the bound at DEVIATIONS from the mean, rounded away from it by a fifth at most."""
    values, [side, *_] = [m.value for m in measurements], [m.side for m in measurements]
    mean, deviation = fmean(values), stdev(values)
    distance = max(DEVIATIONS * deviation, abs(mean) / 100, 1e-9)
    unit = 10.0 ** math.floor(math.log10(distance / 5))
    steps = {
        "above": lambda: math.floor((mean - distance) / unit),
        "below": lambda: math.ceil((mean + distance) / unit),
        "within": lambda: math.ceil((abs(mean) + distance) / unit),
    }
    return Spread(steps[side]() * unit, mean, deviation)


def _warnings(
    name: str, found: list[Measurement], bound: float, before: float | None
) -> Iterator[str]:
    """Yield what makes a bound worthless, and what made the one before it unfair."""
    met = SIDES[found[0].side]
    by_guessing = sum(met(m.guess, bound) for m in found)
    if by_guessing:
        yield (
            f"{name} = {bound:g} proves nothing: without learning anything, a submission reaches "
            f"{fmean(m.guess for m in found):.4g}, and meets it in {by_guessing} of {len(found)} "
            "runs. Let the notebook train more, or on more data."
        )
    missed = sum(not met(m.value, before) for m in found) if before is not None else 0
    if missed:
        yield f"{name} was {before:g}: the solution missed that in {missed} of {len(found)} runs."


def with_bounds(text: str, lines: Mapping[str, str], path: Path) -> str:
    """Return the text of an exercise.toml with these lines in its table [bounds].

    Raise CourseError if the table is written in another way than as a line for each bound.
    """
    before = tomllib.loads(text)
    if not re.search(r"(?m)^\[bounds\]", text):
        text = f"{text.rstrip()}\n\n[bounds]\n".lstrip()
    head, heading, rest = re.split(r"(?m)^(\[bounds\].*\n?)", text, maxsplit=1)
    table, *others = re.split(r"(?m)^(?=\[)", rest, maxsplit=1)
    for name, line in lines.items():
        table, count = re.subn(rf"(?m)^[ \t]*{name}[ \t]*=.*$", line, table)
        if not count:
            table = f"{table.rstrip()}\n{line}\n".lstrip("\n") + "\n" * bool(others)
    written = "".join([head, heading, table, *others])
    new = {name: tomllib.loads(line)[name] for name, line in lines.items()}
    with suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(written) == {**before, "bounds": {**before.get("bounds", {}), **new}}:
            return written
    raise CourseError(
        f"{path} has its bounds in a form that cannot be rewritten. Write each as a line below "
        f"[bounds], such as: {next(iter(lines.values()))}"
    )
