"""The ready-made check that a gradient is the slope of a loss, measured by small steps.

It needs no reference: the student's own loss is measured in float64, at places of each array.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from assignment.array_types import FloatArray
from assignment.checks.calls import Call, Problem, Problems
from assignment.checks.check import Arrays, Check, Finding, RuleContext
from assignment.checks.draws import Draws
from assignment.checks.student import InvalidResult, Student
from assignment.gradient_check import relative_error

PLACES = 5
# A kink, or a loss in float32, spoils the slopes of some steps, but not of all.
STEPS = (1e-3, 1e-4, 1e-5, 1e-7)
MAX_ERROR = 1e-2


def gradient_agrees(
    call: Call, problems: Problems, *, loss: str, gradients: Mapping[str, str], **check: Any
) -> Check:
    """Make the check that gradients are the slopes of the loss that the same call returns.

    Parameters
    ----------
    call : Call
    problems : callable
        ``problems(seed)`` returns a list of Problem, of float64 arrays.
    loss : str
        The result that is a single number.
    gradients : mapping
        From inputs to the results that are their gradients, of the same shapes: {"W": "dW"}. With
        {"params": "grads"} grads['W1'] belongs to params['W1'], and so on.
    check
        The other attributes of the Check: name, title, points, regions, requires, ...
    """

    def run(student: Student, seed: int) -> Arrays:
        arrays: Arrays = {}
        for problem in problems(seed):
            draws = Draws(seed, "places")
            arrays |= slopes(partial(call, student), problem, loss, gradients, draws)
        return arrays

    def rule(arrays: Arrays, context: RuleContext) -> Finding | None:
        for problem in problems(context.seed):
            for name, gradient in _pairs(problem, gradients):
                compared = compare_slopes(arrays, name, gradient, problem.name)
                if compared.text:
                    return not_the_slope(gradient, compared)
        return None

    return Check(run=run, rule=rule, **check)


def slopes(
    call: Callable[[Problem], Arrays],
    problem: Problem,
    loss: str,
    gradients: Mapping[str, str],
    draws: Draws,
) -> Arrays:
    """Return gradients at places that are drawn, and the slopes of the loss there for each step.

    The arrays of an input W with the gradient dW are "places in W where ..." (PLACES, W.ndim),
    "dW where ..." (PLACES,) and "slopes by W where ..." (steps, PLACES).
    """
    where, moved = f"where {problem.name}", problem.copied(np.float64)
    arrays: Arrays = {}
    results = call(moved)
    for name, gradient in _pairs(problem, gradients):
        if gradient not in results:
            raise InvalidResult(f"The gradients hold no {gradient}.")
        dx, x = results[gradient], moved.arrays()[name]
        if dx.shape != x.shape:
            raise InvalidResult(f"{gradient} has shape {dx.shape}, but {name} has {x.shape}.")
        places = np.stack([draws.integers(size, PLACES) for size in x.shape], axis=1)
        places[0, 0] = len(x) - 1  # the bias, where it is the last row
        measured = np.empty((len(STEPS), PLACES))
        for column, place in enumerate(map(tuple, places.tolist())):
            before = x[place]
            for row, step in enumerate(STEPS):
                losses = []
                for moved_to in (before + step, before - step):
                    x[place] = moved_to
                    losses.append(one_number(loss, call(moved)[loss]))
                measured[row, column] = (losses[0] - losses[1]) / (2 * step)
            x[place] = before
        if not dx.any() and (measured.any() or not results[loss].any()):  # a flat loss may be right
            raise NotImplementedError(
                f"The function still returns 0 for {gradient}: write that part."
            )
        arrays[f"places in {name} {where}"] = places
        arrays[f"{gradient} {where}"] = dx[tuple(places.T)].astype(np.float64)
        arrays[f"slopes by {name} {where}"] = measured
    return arrays


def one_number(name: str, array: Any) -> float:
    """Return a result as a float; raise InvalidResult unless it is one real number."""
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise InvalidResult(
            f"{name} has shape {array.shape} and type {array.dtype}, but one number is expected."
        )
    return float(array.reshape(()))


def _pairs(problem: Problem, gradients: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each array that has a gradient, and that of the gradient."""
    for name in problem.arrays():
        root, bracket, key = name.partition("[")
        if root in gradients:
            yield name, f"{gradients[root]}{bracket}{key}"


class Slopes(NamedTuple):
    """A gradient and slopes of the loss at the same places; `text` is empty where they agree."""

    gradient: FloatArray
    slope: FloatArray
    text: str


def compare_slopes(arrays: Arrays, name: str, gradient: str, where: str) -> Slopes:
    """Compare a gradient with the slopes by `name`, at each place by the step that fits best."""
    dx, measured = arrays[f"{gradient} where {where}"], arrays[f"slopes by {name} where {where}"]
    distances = np.nan_to_num(np.abs(measured - dx), nan=np.inf)
    slope = measured[np.argmin(distances, axis=0), np.arange(PLACES)]
    if relative_error(dx, slope) < MAX_ERROR:
        return Slopes(dx, slope, "")
    worst = int(distances.min(axis=0).argmax())
    place = arrays[f"places in {name} where {where}"][worst].tolist()
    text = (
        f"With {where} your loss changes by {slope[worst]:+.4g} per unit of {name}{place}, and "
        f"{gradient} has {dx[worst]:+.4g} there."
    )
    return Slopes(dx, slope, text)


def not_the_slope(gradient: str, compared: Slopes, samples: int = 0) -> Finding:
    """Describe a wrong gradient; if it is a multiple of the slope, by the number of samples."""
    text, ratio = compared.text, common_ratio(compared.gradient, compared.slope)
    if ratio is not None:
        text += f" At all {PLACES} places tried {gradient} is {times(ratio, samples)} the slope."
    return Finding("", text, f"{gradient} is not the slope of your loss")


def common_ratio(a: FloatArray, b: FloatArray) -> float | None:
    """Return k if a is k times b, at all places alike; else None."""
    square = float(b @ b)
    k = float(a @ b) / square if square else np.nan
    return k if np.linalg.norm(a - k * b) <= MAX_ERROR * np.linalg.norm(b) else None


def times(ratio: float, samples: int = 0) -> str:
    """Write a ratio; if it is the number of samples, or 1 / that, mention it."""
    for name, value in ((f"{samples}", samples), (f"1/{samples}", 1 / samples)) if samples else ():
        if abs(ratio - value) < MAX_ERROR * value:
            return f"{name} times ({samples} images were used)"
    return f"{round(ratio, 3):g} times"
