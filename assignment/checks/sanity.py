"""Sanity checks of a loss and its gradient, which need no reference.

    initial_loss   the loss where it is known: with tiny weights, and by how much reg raises it
    gradient       dW against slopes of the student's own loss, measured by small steps

They give no points, and run in the notebook on its development set, before the checks that compare
with the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.check import Arrays, Check, Finding, RuleContext
from assignment.checks.draws import Draws
from assignment.checks.linear import Losses, Problem, call_loss
from assignment.checks.student import InvalidResult, Student
from assignment.gradient_check import relative_error

NUM_CLASSES = 10
TINY, SMALL = 1e-6, 1e-4  # standard deviations of weights
REG = 3e4  # with weights of 1e-4 its gradient is about as large as that of the data
MAX_SCORE = 1.0  # root mean square of the scores that count as small

FEW = 10  # images on which slopes are measured
PLACES = 5
# A kink, or a loss in float32, spoils the slopes of some steps, but not of all.
STEPS = (1e-3, 1e-4, 1e-5, 1e-7)
MAX_ERROR = 1e-2


@dataclass(frozen=True)
class EqualScores:
    """A loss at equal scores: its formula and value, and what wrong values there come from.

    At small scores the loss differs from `value` by less than `spread` times their root mean
    square: 5 standard deviations and more, over 200 development sets of the stand-in. `causes`
    maps a sentence to the wrong loss that it explains.
    """

    formula: str
    value: float
    spread: float
    causes: Mapping[str, float]


def sanity_checks(
    losses: Losses, equal: EqualScores, raises: Mapping[str, str]
) -> tuple[Check, ...]:
    """Make the two checks of an exercise's naive loss."""
    region = losses.regions[:1]
    return (
        Check(
            "initial_loss", "The initial loss", 0, region, partial(initial_loss, losses),
            rule=partial(initial_loss_rule, equal), raises=raises, in_notebook=True,
        ),
        Check(
            "gradient", "The numeric gradient", 0, region, partial(slopes, losses),
            rule=slopes_rule, raises=raises, in_notebook=True,
        ),
    )  # fmt: skip


# ---- the initial loss ----------------------------------------------------------------------------


def initial_loss(losses: Losses, student: Student, seed: int) -> Arrays:
    """Return the loss with tiny and with small weights, and how much regularisation adds."""
    X, y = _development_set(student)
    W = Draws(seed, "initial weights").normal(X.shape[1], NUM_CLASSES)
    arrays: Arrays = {"number of images": np.array(len(X))}
    for scale in (TINY, SMALL):
        loss, _ = _call(losses, student, scale * W, X, y, 0.0)
        arrays[f"loss where W = {scale}"] = np.array(loss)
        scores = X @ (scale * W)
        arrays[f"size of the scores where W = {scale}"] = np.sqrt(np.mean(scores**2))
    if not arrays[f"loss where W = {TINY}"].any():
        raise NotImplementedError("The loss is still 0, as at the start: compute it first.")
    few = X[:FEW], y[:FEW]
    without, with_reg = (_call(losses, student, SMALL * W, *few, reg)[0] for reg in (0.0, REG))
    arrays["added by reg"] = np.array(with_reg - without)
    arrays["0.5 * reg * sum(W * W)"] = np.array(0.5 * REG * np.sum((SMALL * W) ** 2))
    return arrays


def initial_loss_rule(equal: EqualScores, arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a loss that is not what equal scores give, or that `reg` does not raise as it should."""
    N = int(arrays["number of images"])
    for scale in (TINY, SMALL):
        size = float(arrays[f"size of the scores where W = {scale}"])
        if not size < MAX_SCORE:
            detail = (
                f"With random weights of {scale:g} the scores are about {size:.2g} in size, so the "
                "loss is not known. Are the images in X_dev those of the notebook, with the mean "
                "image subtracted?"
            )
            return Finding("", detail, "the scores are not small")
        loss, bound = float(arrays[f"loss where W = {scale}"]), equal.spread * size
        if not abs(loss - equal.value) < bound:
            cause = _cause_of(loss, equal, bound, N)
            detail = f"With random weights of {scale:g} it should be near {equal.formula}. {cause}"
            return Finding("", detail, f"{loss:.4g} and not {equal.value:.4g}")
    added, expected = float(arrays["added by reg"]), float(arrays["0.5 * reg * sum(W * W)"])
    if abs(added - expected) < MAX_ERROR * expected:
        return None
    detail = (
        f"reg = {REG:g} should raise the loss by 0.5 * reg * sum(W * W) = {expected:.4g}, and it "
        f"raises yours by {added:.4g}: {_times(added / expected, FEW)} as much."
    )
    return Finding("", detail, "the regularisation")


def _cause_of(loss: float, equal: EqualScores, bound: float, N: int) -> str:
    """Return a sentence on where a wrong loss at equal scores comes from, or ""."""
    causes = {
        f"It is {N} times that, and there are {N} images: take the mean.": N * equal.value,
        f"It is divided by {N}, the number of images, once too often.": equal.value / N,
        "Only its sign is wrong.": -equal.value,
        **equal.causes,
    }
    fitting = [
        cause
        for cause, value in causes.items()
        if abs(loss - value) < bound * max(1.0, abs(value / equal.value))
    ]
    return fitting[0] if len(fitting) == 1 else ""


# ---- the gradient --------------------------------------------------------------------------------


def slopes(losses: Losses, student: Student, seed: int) -> Arrays:
    """Return dW at a few places, and the slopes of the loss there, with and without reg."""
    X, y = (array[:FEW] for array in _development_set(student))
    draws = Draws(seed, "weights and places")
    W = SMALL * draws.normal(X.shape[1], NUM_CLASSES)
    rows, columns = draws.integers(len(W), PLACES), draws.integers(NUM_CLASSES, PLACES)
    rows[0] = len(W) - 1  # the bias
    arrays: Arrays = {"place": np.stack([rows, columns], axis=1)}
    for reg in (0.0, REG):
        _, dW = _call(losses, student, W, X, y, reg)
        if dW.shape != W.shape:
            raise InvalidResult(f"dW has shape {dW.shape}, but W has {W.shape}.")
        if not dW.any():
            raise NotImplementedError("dW is still 0, as at the start: compute it first.")
        arrays[f"dW where reg = {reg:g}"] = dW[rows, columns].astype(np.float64)
        measured = np.empty((len(STEPS), PLACES))
        for place in range(PLACES):
            for number, step in enumerate(STEPS):
                moved = np.zeros_like(W)
                moved[rows[place], columns[place]] = step
                above, below = (
                    _call(losses, student, W + sign * moved, X, y, reg)[0] for sign in (1, -1)
                )
                measured[number, place] = (above - below) / (2 * step)
        arrays[f"slopes where reg = {reg:g}"] = measured
    return arrays


def slopes_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a dW that is not the slope of the loss, at each place by the step that fits best."""
    places = arrays["place"].tolist()
    before: list[FloatArray] = [np.zeros(PLACES), np.zeros(PLACES)]
    for reg in (0.0, REG):
        dW, measured = arrays[f"dW where reg = {reg:g}"], arrays[f"slopes where reg = {reg:g}"]
        distances = np.nan_to_num(np.abs(measured - dW), nan=np.inf)
        slope = measured[np.argmin(distances, axis=0), np.arange(PLACES)]
        if relative_error(dW, slope) < MAX_ERROR:
            before = [dW, slope]
            continue
        worst = int(distances.min(axis=0).argmax())
        where = "W[{}, {}]".format(*places[worst])
        detail = (
            f"With reg = {reg:g} your loss changes by {slope[worst]:+.4g} per unit of {where}, and "
            f"dW has {dW[worst]:+.4g} there."
        )
        ratio = _common_ratio(dW - before[0], slope - before[1])
        if not reg:
            if ratio is not None:
                detail += f" At all {PLACES} places tried dW is {_times(ratio, FEW)} the slope."
            return Finding("", detail, "dW is not the slope of your loss")
        if ratio is not None:
            detail += f" What reg adds to dW is {_times(ratio, FEW)} what it adds to the slope."
        return Finding("", detail, "right without regularisation, wrong with it")
    return None


def _common_ratio(a: FloatArray, b: FloatArray) -> float | None:
    """Return k if a is k times b, at all places alike; else None."""
    square = float(b @ b)
    k = float(a @ b) / square if square else np.nan
    return k if np.linalg.norm(a - k * b) <= MAX_ERROR * np.linalg.norm(b) else None


def _times(ratio: float, N: int) -> str:
    """Write a ratio; if it is N or 1 / N, mention the number of images."""
    for name, value in ((f"{N}", N), (f"1/{N}", 1 / N)):
        if abs(ratio - value) < MAX_ERROR * value:
            return f"{name} times ({N} images were used)"
    return f"{round(ratio, 3):g} times"


# ---- what both use -------------------------------------------------------------------------------


def _development_set(student: Student) -> tuple[FloatArray, IntArray]:
    return np.asarray(student.variable("X_dev")), np.asarray(student.variable("y_dev"))


def _call(losses: Losses, student: Student, *arguments: Any) -> tuple[float, FloatArray]:
    """Call the naive loss; raise InvalidResult unless the loss is one number."""
    problem = Problem("development set", *arguments)
    loss, dW = call_loss(student, losses.module, losses.naive, problem)
    array = np.asarray(loss)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise InvalidResult(
            f"{losses.naive} returned a loss of shape {array.shape} and type {array.dtype}, but "
            "one number is expected."
        )
    return float(array.reshape(())), dW
