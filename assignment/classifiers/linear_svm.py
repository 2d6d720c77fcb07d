"""The multiclass SVM's loss and its gradient, once with loops and once without.

A linear classifier gives image x_i the score s_c = x_i . W[:, c] for class c. The SVM wants the
correct class y to be ahead of every other class by at least 1, and sums what is missing:

    loss = mean over images of sum over c != y of max(0, s_c - s_y + 1)  +  0.5 * reg * sum(W * W)
    dW   = gradient of that loss with respect to W

A class that is more than 1 behind adds nothing to the loss or the gradient. The 0.5 makes the
gradient of the regularization exactly reg * W. Write the loops first: they are slow and easy to get
right, and you can compare the vectorized version with them.

The loss is that of Weston and Watkins, "Support vector machines for multi-class pattern
recognition", ESANN 1999, with a margin of 1 and slack that is not squared.
"""

import numpy as np

from assignment.array_types import FloatArray, IntArray


def svm_loss_naive(
    W: FloatArray, X: FloatArray, y: IntArray, reg: float
) -> tuple[float, FloatArray]:
    """Compute the SVM loss and its gradient, with loops over the samples and the classes.

    Parameters
    ----------
    W : (D, C) float array
        Weights, one column per class.
    X : (N, D) float array
        A minibatch, one row per sample.
    y : (N,) integer array
        Correct classes, 0 <= y[i] < C.
    reg : float
        Regularization strength.

    Returns
    -------
    loss : float
        Mean data loss plus ``0.5 * reg * sum(W * W)``.
    dW : (D, C) array of W's dtype
        Gradient of ``loss`` with respect to ``W``; that of the regularization is ``reg * W``.
    """
    loss = 0.0
    dW = np.zeros_like(W)

    ################################################################################
    # TODO: Compute the loss and its gradient with explicit loops, over the samples
    # and over the classes. Put the loss into `loss`, the gradient into `dW`.
    #
    # Careful: the correct class has no margin of its own, but each violated margin
    # of another class also changes the gradient's column of the correct class. And
    # do not forget the regularization, in loss and gradient.
    ################################################################################
    ### BEGIN SOLUTION svm_naive
    num_train = X.shape[0]
    num_classes = W.shape[1]
    for i in range(num_train):
        scores = X[i] @ W
        right_score = scores[y[i]]
        for c in range(num_classes):
            if c == y[i]:
                continue
            margin = scores[c] - right_score + 1
            if margin > 0:
                loss += margin
                dW[:, c] += X[i]
                dW[:, y[i]] -= X[i]
    loss = loss / num_train + 0.5 * reg * np.sum(W * W)
    dW = dW / num_train + reg * W
    ### END SOLUTION

    return loss, dW


def svm_loss_vectorized(
    W: FloatArray, X: FloatArray, y: IntArray, reg: float
) -> tuple[float, FloatArray]:
    """Compute the SVM loss and its gradient, without a Python loop.

    Takes the parameters of :func:`svm_loss_naive` and returns its results. Leaves W, X and y
    unchanged, and returns loss and gradient in W's dtype, so that float32 training stays float32.
    """
    loss = 0.0
    dW = np.zeros_like(W)

    ################################################################################
    # TODO: Compute the same loss and gradient with whole-array operations, no loops.
    # Put the loss into `loss`, the gradient into `dW`.
    #
    # Careful: set the margin of the correct class to 0 before you use the margins.
    # In the gradient it counts once for each violated margin of its row. And do
    # not forget the regularization.
    ################################################################################
    ### BEGIN SOLUTION svm_vectorized
    X = X.astype(W.dtype, copy=False)
    num_train = X.shape[0]
    samples = np.arange(num_train)

    scores = X @ W
    margins = scores - scores[samples, y][:, np.newaxis] + 1
    np.maximum(margins, 0, out=margins)
    margins[samples, y] = 0
    loss = margins.sum() / num_train
    loss += 0.5 * reg * np.vdot(W, W)  # vdot(W, W) is sum(W * W), without the array between

    dscores = (margins > 0).astype(W.dtype)
    dscores[samples, y] = -dscores.sum(axis=1)
    dscores /= num_train
    dW = X.T @ dscores
    dW += reg * W
    ### END SOLUTION

    return loss, dW
