"""The two softmax losses, on problems with a known result."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment.classifiers.softmax import softmax_loss_naive, softmax_loss_vectorized
from assignment.gradient_check import eval_numerical_gradient

Loss = Callable[..., Any]
both = pytest.mark.parametrize("loss_function", [softmax_loss_naive, softmax_loss_vectorized])

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]


def problem(seed: int, N: int, D: int, C: int, scale: float = 1.0) -> Problem:
    rng = np.random.default_rng(seed)
    W = scale * rng.standard_normal((D, C))
    return W, rng.standard_normal((N, D)), rng.integers(C, size=N)


problems = st.builds(
    problem,
    seed=st.integers(0, 2**32),
    N=st.integers(1, 7),
    D=st.integers(1, 6),
    C=st.integers(1, 12),
    scale=st.sampled_from([0.0, 0.01, 1.0, 30.0]),
)
regs = st.sampled_from([0.0, 1e-3, 0.5, 3.0, 1e3])


@both
def test_a_problem_has_the_result_worked_out_by_hand(loss_function: Loss) -> None:
    # One sample, scores (0, log 3): probabilities 1/4 and 3/4; the first class is correct.
    W = np.array([[0.0, np.log(3.0)], [0.0, 0.0]])
    loss, dW = loss_function(W, np.array([[1.0, 2.0]]), np.array([0]), 0.0)
    assert loss == pytest.approx(np.log(4.0))
    np.testing.assert_allclose(dW, [[-0.75, 0.75], [-1.5, 1.5]])


@both
@pytest.mark.parametrize("C", [1, 2, 10, 37])
def test_equal_scores_have_the_log_of_the_number_of_classes_as_loss(
    loss_function: Loss, C: int
) -> None:
    _, X, y = problem(0, 20, 5, C)
    loss, _ = loss_function(np.zeros((5, C)), X, y, 1e3)
    assert loss == pytest.approx(np.log(C))


@both
@given(problem=problems, reg=regs)
def test_the_gradient_equals_the_slope_of_the_loss(
    loss_function: Loss, problem: Problem, reg: float
) -> None:
    W, X, y = problem
    _, dW = loss_function(W, X, y, reg)
    numerical = eval_numerical_gradient(lambda W: loss_function(W, X, y, reg)[0], W)
    # The difference quotient has the rounding error of the loss, divided by the step.
    rounding = 1e-16 * (1 + abs(loss_function(W, X, y, reg)[0])) / 1e-5
    np.testing.assert_allclose(dW, numerical, rtol=1e-5, atol=1e-7 + 10 * rounding)


@given(problem=problems, reg=regs)
def test_vectorized_and_naive_agree(problem: Problem, reg: float) -> None:
    loss_naive, dW_naive = softmax_loss_naive(*problem, reg)
    loss, dW = softmax_loss_vectorized(*problem, reg)
    assert loss == pytest.approx(loss_naive, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(dW, dW_naive, rtol=1e-10, atol=1e-12)


@both
@given(problem=problems, reg=regs)
def test_regularization_adds_half_the_square_and_its_gradient_reg_times_W(
    loss_function: Loss, problem: Problem, reg: float
) -> None:
    W, X, y = problem
    loss_0, dW_0 = loss_function(W, X, y, 0.0)
    loss, dW = loss_function(W, X, y, reg)
    assert loss - loss_0 == pytest.approx(0.5 * reg * np.sum(W * W), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(dW - dW_0, reg * W, rtol=1e-9, atol=1e-9)


@both
@given(problem=problems, seed=st.integers(0, 99))
def test_the_order_of_samples_and_of_classes_does_not_matter(
    loss_function: Loss, problem: Problem, seed: int
) -> None:
    W, X, y = problem
    rng = np.random.default_rng(seed)
    samples, classes = rng.permutation(len(X)), rng.permutation(W.shape[1])
    loss, dW = loss_function(W, X, y, 0.1)
    shuffled_y = np.argsort(classes)[y[samples]]
    loss_shuffled, dW_shuffled = loss_function(W[:, classes], X[samples], shuffled_y, 0.1)
    assert loss_shuffled == pytest.approx(loss)
    np.testing.assert_allclose(dW_shuffled, dW[:, classes], rtol=1e-9, atol=1e-9)


@both
@pytest.mark.parametrize("offset", [-1e8, -1e4, 1e4, 1e8])
def test_scores_far_from_zero_have_the_same_loss_as_scores_near_it(
    loss_function: Loss, offset: float
) -> None:
    W, X, y = problem(1, 6, 4, 5)
    X = np.hstack([X, np.ones((6, 1))])
    near = loss_function(np.vstack([W, np.zeros((1, 5))]), X, y, 0.0)
    far = loss_function(np.vstack([W, np.full((1, 5), offset)]), X, y, 0.0)
    tolerance = 1e-15 * abs(offset) * 10
    assert far[0] == pytest.approx(near[0], abs=tolerance)
    np.testing.assert_allclose(far[1][:4], near[1][:4], atol=10 * tolerance)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [50.0, 800.0, 2e4, 1e7])
def test_a_correct_class_far_below_the_top_has_the_gap_as_loss(
    loss_function: Loss, dtype: type, gap: float
) -> None:
    W: np.ndarray = np.array([[gap, 0.0, -gap]], dtype)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss, dW = loss_function(W, np.ones((1, 1), dtype), np.array([1]), 0.0)
        best, dW_best = loss_function(W, np.ones((1, 1), dtype), np.array([0]), 0.0)
    assert loss == pytest.approx(gap)
    np.testing.assert_allclose(dW, [[1.0, -1.0, 0.0]], atol=1e-6)
    assert best == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(dW_best, 0.0, atol=1e-6)


@pytest.mark.parametrize("X_dtype", [np.float32, np.float64, np.uint8, np.int64])
@pytest.mark.parametrize("W_dtype", [np.float32, np.float64])
def test_the_vectorized_loss_stays_in_the_dtype_of_W(X_dtype: type, W_dtype: type) -> None:
    W, X, y = problem(3, 6, 4, 5)
    loss, dW = softmax_loss_vectorized(W.astype(W_dtype), (10 * X).astype(X_dtype), y, 0.5)
    assert np.asarray(loss).dtype == W_dtype
    assert dW.dtype == W_dtype


def test_labels_of_any_integer_dtype_are_accepted() -> None:
    W, X, y = problem(4, 6, 4, 5)
    loss, dW = softmax_loss_vectorized(W, X, y, 0.5)
    for dtype in (np.uint8, np.int8, np.int32, np.int64, np.uint64):
        loss_again, dW_again = softmax_loss_vectorized(W, X, y.astype(dtype), 0.5)
        assert loss_again == loss
        np.testing.assert_array_equal(dW_again, dW)


def test_memory_layout_does_not_matter() -> None:
    W, X, y = problem(5, 12, 8, 5)
    W, X, y = W[::2], X[::3, ::2], y[::3]
    loss, dW = softmax_loss_vectorized(W, X, y, 0.5)
    for order in ("C", "F"):
        loss_again, dW_again = softmax_loss_vectorized(W.copy(order), X.copy(order), y.copy(), 0.5)
        assert loss_again == pytest.approx(loss)
        np.testing.assert_allclose(dW_again, dW)
