"""A model is judged by its predictions for samples that it has not seen.

In a graded run the samples enter the kernel once training has ended, and their labels never do. A
student's notebook has no such samples: there the validation or the test set serves in their place.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import Finding, RuleContext
from assignment.checks.student import Student

# Names in what an exercise's `data` returns. No variable of a notebook can have them.
UNSEEN_INPUTS, UNSEEN_LABELS = "X unseen", "y unseen"


def unseen_inputs(student: Student, split: str) -> Any:
    """Return the samples to judge a model by: unseen ones, or the notebook's `X_{split}`."""
    notebook = student.notebook or {}
    return (
        notebook.get(UNSEEN_INPUTS) if UNSEEN_INPUTS in notebook else student.variable(f"X_{split}")
    )


def unseen_labels(context: RuleContext, split: str) -> NDArray[Any]:
    """Return the labels of the samples that `unseen_inputs` returns."""
    data = context.data
    return np.asarray(data[UNSEEN_LABELS if UNSEEN_LABELS in data else f"y_{split}"])


def accuracy(y_pred: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the share of correct labels; 0 if they are not numbers, or not as many as `y`."""
    fits = y_pred.shape == y.shape and y_pred.dtype.kind in "iuf"
    return float(np.mean(y_pred == y)) if fits else 0.0


def guessed_accuracy(y: NDArray[Any]) -> float:
    """Return the accuracy of always predicting the most frequent label."""
    return float(np.unique(y, return_counts=True)[1].max() / len(y))


def too_low(
    y_pred: NDArray[Any], split: str, bound: str, headline: str, context: RuleContext
) -> Finding | None:
    """Find predictions for `unseen_inputs` whose accuracy is not above a bound."""
    y = unseen_labels(context, split)
    reached, guess = accuracy(y_pred, y), guessed_accuracy(y)
    if context.meets(bound, reached, "above", guess):
        return None
    detail = (
        f"Its accuracy is {reached:.3f}; {context.expected(bound)}, and guessing gives {guess:.2g}."
    )
    return Finding("", detail, headline)
