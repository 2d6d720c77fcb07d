"""The ready-made check that a vectorized function or method does without loops.

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assignment.checks.calls import Call, Problem, Problems
from assignment.checks.check import (
    YARDSTICK_SECONDS,
    Arrays,
    Check,
    Finding,
    Mistake,
    RuleContext,
    with_noun,
)
from assignment.checks.counting import Line, count_lines
from assignment.checks.student import InvalidResult, Student

Run = Callable[[Problem], Arrays]


@dataclass(frozen=True)
class Sizes:
    """Problems of several sizes, to find out what a call's work grows with.

    Attributes
    ----------
    draw : callable
        ``draw(seed, **sizes)`` returns a Problem.
    few : mapping
        The sizes by name: {"samples": 100, "features": 8}. Each in turn is made four times as
        large. Leave out of it a size that the code may loop over.
    pairs : str
        The size whose square no memory may grow with.
    many : callable
        ``many(seed)`` returns large problems of one shape that differ from each other, so that no
        result can serve twice; their results are compared, and the time of their calls measured.
        The public answer key holds all these results: give them at most some thousand numbers.
    operations : callable
        ``operations(problem)`` does array operations of the same sizes, which take similar time.
    yardstick : str
        Words for these operations.
    """

    draw: Callable[..., Problem]
    few: Mapping[str, int]
    pairs: str
    many: Problems
    operations: Callable[[Problem], object]
    yardstick: str


def no_loops(call: Call, sizes: Sizes, *, naive: tuple[str, ...] = (), **check: Any) -> Check:
    """Make the check that a call's Python code does not loop over any of the sizes.

    Parameters
    ----------
    call : Call
    sizes : Sizes
    naive : tuple of str
        Names of functions or methods in the same module that may loop: a call of one of them is the
        mistake ``calls_naive``. The others are ``loop_in_vectorized``, ``table_of_all_pairs`` and
        ``slow_vectorized``.
    check
        The other attributes of the Check: name, title, points, regions, requires, ...

    Examples
    --------
    >>> def draw(seed, samples, features):
    ...     return Problem("any size", {"X": Draws(seed, "X").normal(samples, features)})
    >>> sizes = Sizes(
    ...     draw,
    ...     few={"samples": 100, "features": 8},
    ...     pairs="samples",
    ...     many=lambda seed: [draw(seed + number, 10_000, 4) for number in range(20)],
    ...     operations=lambda problem: np.exp(problem.arguments["X"]).sum(axis=0),
    ...     yardstick="exp() and sum() of an array of the same size",
    ... )
    >>> no_loops(
    ...     Call("scaling", "column_means", ("means",)), sizes,
    ...     name="no_loops", title="No loops", points=2, regions=("means",), requires=("means",),
    ... )
    """

    def run(student: Student, seed: int) -> Arrays:
        return _measure(partial(call, student), sizes, seed)

    def run_yardstick(student: Student, seed: int) -> Arrays:
        """Measure array operations in place of the student's function, and their time."""
        taken = 0.0

        def operate(problem: Problem) -> Arrays:
            nonlocal taken
            start = time.process_time()
            sizes.operations(problem)
            taken += time.process_time() - start
            return {}

        return _measure(operate, sizes, seed) | {YARDSTICK_SECONDS: np.asarray(taken)}

    def rule(arrays: Arrays, context: RuleContext) -> Finding | None:
        """Find loops by counts, tables of pairs by memory, and else slowness by processor time."""
        loop = _find_loop(call.module, naive, sizes, arrays, context)
        if loop is not None:
            return loop
        bytes_for_each_pair = arrays[PAIRS]
        if bytes_for_each_pair != 0:
            took = f"{int(bytes_for_each_pair) * MANY_SAMPLES**2 / 1e6:.0f} MB"
            detail = f"It took {took} for {MANY_SAMPLES:,} samples, where less than 1 MB is enough."
            return Finding("table_of_all_pairs", detail)
        return _find_slowness(sizes.yardstick, arrays, context)

    tolerance = 1e-3  # sums of 10,000 numbers, perhaps in float32
    return Check(
        run=run, compared=call.results, tolerance=tolerance, rule=rule, slow=True,
        yardstick=run_yardstick, mistakes=LOOPS, **check,
    )  # fmt: skip


LOOPS = {
    "calls_naive": Mistake(
        "version with more loops called",
        "The code calls a function that has more loops, directly or through another function. "
        "Compute the result in the function itself.",
    ),
    "loop_in_vectorized": Mistake(
        "one loop too many",
        "The function, or one that it calls, runs a line for each sample, class or feature. "
        "Replace that loop with an operation on whole arrays.",
    ),
    "table_of_all_pairs": Mistake(
        "array of all pairs of samples",
        "The result is right, but an array of N × N numbers makes time and memory grow with the "
        "square of N. (N, 1) with (N,) makes one, and so does scores[:, y].",
    ),
    "slow_vectorized": Mistake(
        "far slower than array operations",
        "No line runs more often for more samples, yet the function takes far longer than array "
        "operations. Look for lists, map(), sum() and other calls that take one element after "
        "another.",
    ),
}


def _measure(run: Run, sizes: Sizes, seed: int) -> Arrays:
    """Return what shows a loop, a table of all pairs or slowness, and else the results."""
    arrays = _growing_lines(run, sizes, seed)
    if not arrays:
        arrays = {PAIRS: np.asarray(_bytes_for_each_pair(run, sizes, seed))}
        if not arrays[PAIRS]:
            arrays |= _results(run, sizes, seed)
    return arrays


# ---- lines ---------------------------------------------------------------------------------------

# A loop over samples, also in blocks of up to thirty, over classes or features, or over every other
# one of them, adds ten runs when there are four times as many. Passes over a thousand samples each,
# a loop over a few given things, and halving until one sample is left add fewer.
TIMES, MIN_FACTOR, MIN_ADDED = 4, 2, 10
MAX_LINES = 20  # of which a check reports the runs


def _growing_lines(run: Run, sizes: Sizes, seed: int) -> Arrays:
    """Return, for the first lines that run more often in larger problems, the runs in all of them.

    The first call is not counted: it imports, prints and fills caches.
    """
    few = sizes.draw(seed, **sizes.few)
    many = [
        sizes.draw(seed, **{**sizes.few, name: TIMES * size}) for name, size in sizes.few.items()
    ]
    run(few)
    before = count_lines(partial(run, few))
    counts = [count_lines(partial(run, problem)) for problem in many]
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
    """Yield the reported lines, and the runs in each problem."""
    for name, array in arrays.items():
        if match := _RUNS.fullmatch(name):
            number, file, function = match.groups()
            runs = [int(count) for count in array]
            yield Line(file, int(number), function), runs


def _find_loop(
    module: str, naive: tuple[str, ...], sizes: Sizes, arrays: Arrays, context: RuleContext
) -> Finding | None:
    """Find a line that runs more often in a larger problem; first one of the naive function."""
    mistake, found = "loop_in_vectorized", None
    for line, runs in _reported(arrays):
        is_naive = Path(line.file).stem == module and _outermost(line) in naive
        if found is None or is_naive:
            found = line, runs
        if is_naive:
            mistake = "calls_naive"
            break
    if found is None:
        return None
    line, (before, *counts) = found
    for (name, few), count in zip(sizes.few.items(), counts, strict=True):
        if _grows(before, count):
            where = f"{line.file}, in {_outermost(line)},"
            source = context.sources.get(line.file, "").splitlines()[line.number - 1 : line.number]
            code = f": {source[0].strip()[:80]}" if source else "."
            words = name.replace("_", " ")
            detail = f"Line {line.number} of {where} ran {count} times for {TIMES * few} {words}"
            return Finding(mistake, f"{detail}, and {with_noun(before, 'time')} for {few}{code}")
    raise ValueError("No line runs more often in a larger problem.")


def _outermost(line: Line) -> str:
    """Return the function or method that holds a line, also in functions inside it."""
    return line.function.partition(".<locals>")[0]


# ---- memory --------------------------------------------------------------------------------------

# Correct code takes at most a tenth of a byte for each pair; a table of them has a byte or more.
FEW_SAMPLES, MANY_SAMPLES = 1000, 2000
PAIRS = "bytes for each pair of samples"


def _bytes_for_each_pair(run: Run, sizes: Sizes, seed: int) -> int:
    """Return the bytes that a call takes for each pair of samples, rounded down.

    Memory that does not depend on the number of samples cancels. Output goes to a buffer of its
    own: one that holds what was printed before would be copied as it grows.
    """
    peaks = []
    for samples in (FEW_SAMPLES, MANY_SAMPLES):
        small = {**dict.fromkeys(sizes.few, 2), sizes.pairs: samples}
        problem, output = sizes.draw(seed, **small), io.StringIO()
        tracemalloc.start()
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                run(problem)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return max(0, peaks[1] - peaks[0]) // (MANY_SAMPLES**2 - FEW_SAMPLES**2)


# ---- results, and their processor time -----------------------------------------------------------

NOT_MEASURED = (
    "Its lines were counted, but its processor time could not be measured fairly on this machine."
)
# Right code takes 1 to 9 times the yardstick's time, up to 12 as read from outside, and 43 to 64
# times if C goes through Python objects one by one (200 runs of solutions and variants, and the
# forms of slow_vectorized; benchmarks/cpu_ratio.py). Each scores[range(N), list(y)] takes 3 to 4
# more, and there are up to four in code that many students write: 15 to 19 in all.
MAX_RATIO = 30.0
RATIO = "processor time as a multiple of the yardstick's"


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    """Let print() do nothing, and shorten arrays in texts: output must not count as a loop."""
    before = builtins.print
    builtins.print = lambda *values, **options: None
    try:
        with np.printoptions(threshold=1000):
            yield
    finally:
        builtins.print = before


def _results(run: Run, sizes: Sizes, seed: int) -> Arrays:
    """Return the results of many calls, stacked by name, and a ratio above the limit."""
    results: list[Arrays] = []
    times, yardsticks, problems = [], [], sizes.many(seed)
    for problem in problems:
        start = time.process_time()
        with _nothing_printed():
            results.append(run(problem))
        middle = time.process_time()
        sizes.operations(problem)
        yardsticks.append(time.process_time() - middle)
        times.append(middle - start)
    arrays = {}
    for name in results[0]:
        try:
            stacked = np.stack([result[name] for result in results])
        except (KeyError, ValueError):
            what = f"{name} is missing or has another shape for some of {len(problems)} problems."
            raise InvalidResult(what) from None
        arrays[f"{name} where {problems[0].name}"] = stacked
    if min(times) > MAX_RATIO * min(yardsticks) > 0:
        arrays[RATIO] = np.asarray(min(times) / min(yardsticks))
    return arrays


def _find_slowness(yardstick: str, arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a ratio above the limit; a graded run believes only what was measured outside."""
    ratio = context.cpu_ratio
    if ratio is None:
        ratio = float(arrays.get(RATIO, 0.0))
    if math.isnan(ratio):
        return Finding(detail=NOT_MEASURED, passes=True)
    if ratio > MAX_RATIO:
        detail = f"It took {ratio:.0f} times the processor time of the yardstick ({yardstick})."
        return Finding("slow_vectorized", detail)
    return None
