"""The softmax classifier: a linear classifier with the softmax loss of `softmax.py`.

It has a file of its own, so that a mistake in one of the two modules does not affect the checks of
the other.
"""

from assignment.array_types import FloatArray, IntArray
from assignment.classifiers.linear_classifier import LinearClassifier
from assignment.classifiers.softmax import softmax_loss_vectorized


class Softmax(LinearClassifier):
    """A linear classifier with the softmax loss."""

    def loss(self, X_batch: FloatArray, y_batch: IntArray, reg: float) -> tuple[float, FloatArray]:
        assert self.W is not None
        return softmax_loss_vectorized(self.W, X_batch, y_batch, reg)
