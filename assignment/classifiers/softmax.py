"""The softmax loss and its gradient, once with loops and once without.

A linear classifier gives image x_i the score s_c = x_i . W[:, c] for class c. Softmax turns the
scores into probabilities, p_c = exp(s_c) / sum_k exp(s_k), and the loss of the image is -log(p_y)
for its correct class y. Both functions below compute

    loss = mean over images of -log(p_y)  +  0.5 * reg * sum(W * W)
    dW   = gradient of that loss with respect to W

The 0.5 makes the gradient of the regularization exactly reg * W. Write the loops first: they are
slow and easy to get right, and you can compare the vectorized version with them.
"""

import numpy as np

from assignment.array_types import FloatArray, IntArray


def softmax_loss_naive(
    W: FloatArray, X: FloatArray, y: IntArray, reg: float
) -> tuple[float, FloatArray]:
    """Compute the softmax loss and its gradient, with loops over the samples and the classes.

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
    # Careful: exp() overflows for large scores, so shift the scores of a sample
    # before you take it. And do not forget the regularization, in loss and gradient.
    ################################################################################
    ### BEGIN SOLUTION softmax_naive
    num_train = X.shape[0]
    num_classes = W.shape[1]
    for i in range(num_train):
        scores = X[i] @ W
        scores = scores - np.max(scores)  # the probabilities stay the same, exp() stays finite
        sum_exp = 0.0
        for c in range(num_classes):
            sum_exp += np.exp(scores[c])
        # -log(exp(s_y) / sum) without the quotient, which may underflow to 0 and has no log then
        loss += np.log(sum_exp) - scores[y[i]]
        for c in range(num_classes):
            p = np.exp(scores[c]) / sum_exp
            dW[:, c] += (p - (c == y[i])) * X[i]
    loss = loss / num_train + 0.5 * reg * np.sum(W * W)
    dW = dW / num_train + reg * W
    ### END SOLUTION

    return loss, dW


def softmax_loss_vectorized(
    W: FloatArray, X: FloatArray, y: IntArray, reg: float
) -> tuple[float, FloatArray]:
    """Compute the softmax loss and its gradient, without a Python loop.

    Takes the parameters of :func:`softmax_loss_naive` and returns its results. Leaves W, X and y
    unchanged, and returns loss and gradient in W's dtype, so that float32 training stays float32.
    """
    loss = 0.0
    dW = np.zeros_like(W)

    ################################################################################
    # TODO: Compute the same loss and gradient with whole-array operations, no loops.
    # Put the loss into `loss`, the gradient into `dW`.
    #
    # Careful: shift the scores again, and take the log of the sum of exponentials,
    # not of the probabilities, since a probability may have underflowed to 0. And
    # do not forget the regularization.
    ################################################################################
    ### BEGIN SOLUTION softmax_vectorized
    X = X.astype(W.dtype, copy=False)
    num_train = X.shape[0]
    samples = np.arange(num_train)

    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    probs = np.exp(scores)
    sum_exp = probs.sum(axis=1)
    # log(sum exp s) - s_y is -log(p_y), and stays finite where p_y underflows to 0
    loss = np.sum(np.log(sum_exp) - scores[samples, y]) / num_train
    loss += 0.5 * reg * np.vdot(W, W)  # vdot(W, W) is sum(W * W), without the array between

    probs /= sum_exp[:, np.newaxis]
    dscores = probs
    dscores[samples, y] -= 1
    dscores /= num_train
    dW = X.T @ dscores
    dW += reg * W
    ### END SOLUTION

    return loss, dW
