"""Sanity checks of a loss and its gradient, which need no reference.

    initial_loss   the loss where it is known: with tiny weights, and by how much reg raises it
    gradient       dW against slopes of the student's own loss, measured by small steps

They give no points, and run in the notebook on its development set, before the checks that compare
with the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.calls import Problem
from assignment.checks.check import Arrays, Check, Finding, RuleContext
from assignment.checks.draws import Draws
from assignment.checks.linear import Losses
from assignment.checks.numeric import (
    MAX_ERROR,
    common_ratio,
    compare_slopes,
    not_the_slope,
    one_number,
    slopes,
    times,
)
from assignment.checks.student import Student

NUM_CLASSES = 10
TINY, SMALL = 1e-6, 1e-4  # standard deviations of weights
REG = 3e4  # with weights of 1e-4 its gradient is about as large as that of the data
MAX_SCORE = 1.0  # root mean square of the scores that count as small

FEW = 10  # images on which slopes are measured


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
            "gradient", "The numeric gradient", 0, region, partial(slopes_of_loss, losses),
            rule=slopes_rule, raises=raises, in_notebook=True,
        ),
    )  # fmt: skip


# ---- the initial loss ----------------------------------------------------------------------------


def initial_loss(losses: Losses, student: Student, seed: int) -> Arrays:
    """Return the loss with tiny and with small weights, and how much regularization adds."""
    X, y = _development_set(student)
    W = Draws(seed, "initial weights").normal(X.shape[1], NUM_CLASSES)
    arrays: Arrays = {"number of images": np.array(len(X))}

    def loss(scale: float, images: int, reg: float) -> float:
        inputs = {"W": scale * W, "X": X[:images], "y": y[:images], "reg": reg}
        return one_number("loss", losses.naive_call(student, Problem("", inputs))["loss"])

    for scale in (TINY, SMALL):
        arrays[f"loss where W = {scale}"] = np.array(loss(scale, len(X), 0.0))
        scores = X @ (scale * W)
        arrays[f"size of the scores where W = {scale}"] = np.sqrt(np.mean(scores**2))
    if not arrays[f"loss where W = {TINY}"].any():
        raise NotImplementedError("The function still returns 0 for loss: write that part.")
    added = loss(SMALL, FEW, REG) - loss(SMALL, FEW, 0.0)
    arrays["added by reg"] = np.array(added)
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
            detail = (
                f"With random weights of {scale:g} the loss should be near {equal.formula}. {cause}"
            )
            return Finding("", detail, f"{loss:.4g}, not {equal.value:.4g}")
    added, expected = float(arrays["added by reg"]), float(arrays["0.5 * reg * sum(W * W)"])
    if abs(added - expected) < MAX_ERROR * expected:
        return None
    detail = (
        f"reg = {REG:g} should raise the loss by 0.5 * reg * sum(W * W) = {expected:.4g}, but it "
        f"raises yours by {added:.4g}, {times(added / expected, FEW)} as much."
    )
    return Finding("", detail, "wrong regularization")


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


def slopes_of_loss(losses: Losses, student: Student, seed: int) -> Arrays:
    """Return dW at a few places, and the slopes of the loss there, with and without reg."""
    X, y = (array[:FEW] for array in _development_set(student))
    arrays: Arrays = {}
    for reg in (0.0, REG):
        draws = Draws(seed, "weights and places")  # the same for both
        W = SMALL * draws.normal(X.shape[1], NUM_CLASSES)
        problem = Problem(f"reg = {reg:g}", {"W": W, "X": X, "y": y, "reg": reg})
        arrays |= slopes(partial(losses.naive_call, student), problem, "loss", {"W": "dW"}, draws)
    return arrays


def slopes_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a dW that is not the slope of the loss, or is so only without regularization."""
    without, with_reg = (compare_slopes(arrays, "W", "dW", f"reg = {reg:g}") for reg in (0.0, REG))
    if without.text:
        return not_the_slope("dW", without, FEW)
    if not with_reg.text:
        return None
    text = with_reg.text
    added = (with_reg.gradient - without.gradient, with_reg.slope - without.slope)
    if (ratio := common_ratio(*added)) is not None:
        text += f" What reg adds to dW is {times(ratio, FEW)} what it adds to the slope."
    return Finding("", text, "right only without regularization")


def _development_set(student: Student) -> tuple[FloatArray, IntArray]:
    return np.asarray(student.variable("X_dev")), np.asarray(student.variable("y_dev"))
