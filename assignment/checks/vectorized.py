"""The check that a vectorized loss does without loops, for every linear classifier.

    lines      that run more often for more samples, classes or features are a loop
    memory     that grows with the square of the number of samples is a table of all pairs
    results    of many calls, compared with the reference like any other check's

What C code does to one Python object after the other runs no line. Only there processor time
decides, as a multiple of what array operations of the same sizes take beside it.
"""

import builtins
import contextlib
import io
import math
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from assignment.checks.check import (
    YARDSTICK_SECONDS,
    Arrays,
    Check,
    Finding,
    RuleContext,
    with_noun,
)
from assignment.checks.counting import Line, count_lines
from assignment.checks.draws import Draws
from assignment.checks.linear import Losses, Problem, call_loss, draw_problem
from assignment.checks.student import InvalidResult, Student

Call = Callable[[Problem], tuple[Any, Any]]


def no_loops(losses: Losses) -> Check:
    """Make the check of the vectorized loss of an exercise."""
    return Check(
        "vectorized_no_loops",
        "Vectorized, no loops",
        10,
        losses.regions[1:],
        partial(_run, losses),
        ("loss", "dW"),
        tolerance=1e-3,  # sums of 10,000 numbers, perhaps in float32
        requires=("vectorized_loss", "vectorized_gradient"),
        rule=partial(_rule, losses),
        slow=True,
        yardstick=_run_yardstick,
    )


def _run(losses: Losses, student: Student, seed: int) -> Arrays:
    return _measure(partial(call_loss, student, losses.module, losses.vectorized), seed)


def _run_yardstick(student: Student, seed: int) -> Arrays:
    """Measure array operations in place of the student's function, and the time that they take."""
    taken = 0.0

    def call(problem: Problem) -> tuple[Any, Any]:
        nonlocal taken
        start = time.process_time()
        result = _array_operations(problem)
        taken += time.process_time() - start
        return result

    return _measure(call, seed) | {YARDSTICK_SECONDS: np.asarray(taken)}


def _measure(call: Call, seed: int) -> Arrays:
    """Return what shows a loop, a table of all pairs or slowness, and else the results."""
    arrays = _growing_lines(call, seed)
    if not arrays:
        arrays = {"bytes for each pair of samples": np.asarray(_bytes_for_each_pair(call, seed))}
        if not arrays["bytes for each pair of samples"]:
            arrays |= _results(call, seed)
    return arrays


# ---- lines ---------------------------------------------------------------------------------------


class Sizes(NamedTuple):
    """The numbers of samples, features and classes of a problem."""

    samples: int
    features: int
    classes: int


# A loop over samples, also in blocks of up to thirty, over classes or features, or over every other
# one of them, adds ten runs when there are four times as many. Passes over a thousand samples each,
# a loop over a few given things, and halving until one sample is left add fewer.
FEW = Sizes(samples=100, features=8, classes=8)
MANY = {name: FEW._replace(**{name: 4 * size}) for name, size in FEW._asdict().items()}
MIN_FACTOR, MIN_ADDED = 2, 10
MAX_LINES = 20  # of which a check reports the runs


def _growing_lines(call: Call, seed: int) -> Arrays:
    """Return, for the first lines that run more often in larger problems, the runs in all four.

    The first call is not counted: it imports, prints and fills caches.
    """
    few, *many = (
        draw_problem(seed, size.samples, size.features, size.classes, 0.5)
        for size in (FEW, *MANY.values())
    )
    call(few)
    before = count_lines(partial(call, few))
    counts = [count_lines(partial(call, problem)) for problem in many]
    lines = dict.fromkeys(line for count in counts for line in count)
    growing = [line for line in lines if any(_grows(before[line], count[line]) for count in counts)]
    return {
        f"runs of line {line.number} of {line.file[:200]} in {line.function[:200]}": np.array(
            [before[line], *(count[line] for count in counts)]
        )
        for line in growing[:MAX_LINES]
    }


def _grows(few: int, many: int) -> bool:
    return many >= MIN_FACTOR * few and many >= few + MIN_ADDED


_RUNS = re.compile(r"runs of line (\d{1,9}) of (.{1,200}) in ([\w.<>]{1,200})")


def _reported(arrays: Arrays) -> Iterator[tuple[Line, list[int]]]:
    """Yield the reported lines, and the runs in the four problems."""
    for name, array in arrays.items():
        if match := _RUNS.fullmatch(name):
            number, file, function = match.groups()
            runs = [int(count) for count in array]
            yield Line(file, int(number), function), runs


def _find_loop(losses: Losses, arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a line that runs more often in a larger problem; first one of the naive function."""
    mistake, found = "loop_in_vectorized", None
    for line, runs in _reported(arrays):
        is_naive = line.file == losses.path and line.function.split(".")[0] == losses.naive
        if found is None or is_naive:
            found = line, runs
        if is_naive:
            mistake = "calls_naive"
            break
    if found is None:
        return None
    line, (before, *counts) = found
    for (name, sizes), count in zip(MANY.items(), counts, strict=True):
        if _grows(before, count):
            many, few = getattr(sizes, name), getattr(FEW, name)
            where = f"{line.file}, in {line.function.split('.')[0]},"
            source = context.sources.get(line.file, "").splitlines()[line.number - 1 : line.number]
            code = f": {source[0].strip()[:80]}" if source else "."
            detail = f"Line {line.number} of {where} ran {count} times for {many} {name}"
            return Finding(mistake, f"{detail}, and {with_noun(before, 'time')} for {few}{code}")
    raise ValueError("No line runs more often in a larger problem.")


# ---- memory --------------------------------------------------------------------------------------

# Correct code takes at most a tenth of a byte for each pair; a table of them has a byte or more.
FEW_SAMPLES, MANY_SAMPLES = 1000, 2000


def _bytes_for_each_pair(call: Call, seed: int) -> int:
    """Return the bytes that a call takes for each pair of samples, rounded down.

    Memory that does not depend on the number of samples cancels. Output goes to a buffer of its
    own: one that holds what was printed before would be copied as it grows.
    """
    peaks = []
    for samples in (FEW_SAMPLES, MANY_SAMPLES):
        problem, output = draw_problem(seed, samples, 2, 2, 0.5), io.StringIO()
        tracemalloc.start()
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                call(problem)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return max(0, peaks[1] - peaks[0]) // (MANY_SAMPLES**2 - FEW_SAMPLES**2)


# ---- results, and their processor time -----------------------------------------------------------

CALLS = 60
SIZES = Sizes(samples=10_000, features=2, classes=6)  # so that all arrays are in the cache
YARDSTICK = "three times X @ W, exp(), sum() and X.T @ on arrays of the same sizes"

NOT_MEASURED = (
    "Its lines were counted, but its processor time could not be measured fairly on this machine."
)
# Right code takes 1 to 9 times the yardstick's time, up to 12 as read from outside, and 43 to 64
# times if C goes through Python objects one by one (200 runs of solutions and variants, and the
# forms of slow_vectorized; benchmarks/cpu_ratio.py). Each scores[range(N), list(y)] takes 3 to 4
# more, and there are up to four in code that many students write: 15 to 19 in all.
MAX_RATIO = 30.0
RATIO = "processor time as a multiple of the yardstick's"


@lru_cache(maxsize=2)  # drawn once for all mistakes
def _draw_calls(seed: int) -> list[Problem]:
    """Draw problems that differ from each other, so that no result can serve twice."""
    N, D, C = SIZES
    draws = Draws(seed, "many calls")
    W, X = draws.normal(CALLS, D, C) / 2, draws.normal(N + CALLS, D)
    y = draws.integers(C, N + CALLS)
    return [Problem("", W[k], X[k : k + N], y[k : k + N], 0.5) for k in range(CALLS)]


def _array_operations(problem: Problem) -> tuple[Any, Any]:
    """Do what YARDSTICK says."""
    _, W, X, _, _ = problem
    for _ in range(3):
        table = np.exp(X @ W)
        total, product = table.sum(), X.T @ table
    return total, product


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    """Let print() do nothing, and shorten arrays in texts: time for output is no loop's."""
    before = builtins.print
    builtins.print = lambda *values, **options: None
    try:
        with np.printoptions(threshold=1000):
            yield
    finally:
        builtins.print = before


def _results(call: Call, seed: int) -> Arrays:
    """Return the losses (CALLS,) and gradients (CALLS, D, C), and a ratio above the limit."""
    losses, gradients, times, yardsticks = [], [], [], []
    for problem in _draw_calls(seed):
        start = time.process_time()
        with _nothing_printed():
            loss, dW = call(problem)
        middle = time.process_time()
        _array_operations(problem)
        yardsticks.append(time.process_time() - middle)
        times.append(middle - start)
        losses.append(np.asarray(loss))
        gradients.append(dW)
    arrays = {}
    for name, values in (("loss", losses), ("dW", gradients)):
        try:
            arrays[f"{name} where N = {SIZES.samples:,}"] = np.stack(values)
        except ValueError:
            raise InvalidResult(f"{name} has another shape for some of {CALLS} problems.") from None
    if min(times) > MAX_RATIO * min(yardsticks) > 0:
        arrays[RATIO] = np.asarray(min(times) / min(yardsticks))
    return arrays


def _find_slowness(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a ratio above the limit; a graded run believes only what was measured outside."""
    ratio = context.cpu_ratio
    if ratio is None:
        ratio = float(arrays.get(RATIO, 0.0))
    if math.isnan(ratio):
        return Finding(detail=NOT_MEASURED, passes=True)
    if ratio > MAX_RATIO:
        detail = f"It took {ratio:.0f} times the processor time of the yardstick ({YARDSTICK})."
        return Finding("slow_vectorized", detail)
    return None


def _rule(losses: Losses, arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find loops by counts, tables of all pairs by memory, and else slowness by processor time."""
    loop = _find_loop(losses, arrays, context)
    if loop is not None:
        return loop
    bytes_for_each_pair = arrays["bytes for each pair of samples"]
    if bytes_for_each_pair != 0:
        took = f"{int(bytes_for_each_pair) * MANY_SAMPLES**2 / 1e6:.0f} MB"
        detail = f"It took {took} for {MANY_SAMPLES:,} samples, where less than 1 MB is enough."
        return Finding("table_of_all_pairs", detail)
    return _find_slowness(arrays, context)
