"""Compare the gradient that your code computes with a numerical one.

A centered difference measures the slope of f along one number of x,

    df/dx_i  ~  (f(x + h e_i) - f(x - h e_i)) / (2 h),

with an error that falls with h^2. Everything runs in float64, whatever the dtype of x: at h = 1e-5
float32 has no digits left for the difference.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.array_types import FloatArray

STEP = 1e-5  # about the cube root of float64's 2.2e-16, where rounding and truncation balance


class SampledSlope(NamedTuple):
    """One line of `grad_check_sparse`: the two slopes at one place, and their relative error."""

    place: tuple[int, ...]
    numerical: float
    analytic: float
    relative_error: float


class SparseCheck(NamedTuple):
    """The result of `grad_check_sparse`: its lines, and one error for all of them together."""

    slopes: list[SampledSlope]
    relative_error: float


def relative_error(a: Any, b: Any) -> float:
    """Return ``|a - b| / (|a| + |b|)`` by the Euclidean norm: from 0, if a equals b, to 1.

    The norm is that of the whole arrays, since a slope that is nearly 0 by chance carries rounding
    errors as large as those of all the others.

    Raises
    ------
    ValueError
        a and b have different shapes.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"Shapes differ: {a.shape} and {b.shape}.")
    size = np.linalg.norm(a.ravel()) + np.linalg.norm(b.ravel())
    return float(np.linalg.norm((a - b).ravel()) / size) if size else 0.0


def eval_numerical_gradient(
    f: Callable[[FloatArray], float], x: FloatArray, h: float = STEP
) -> NDArray[np.float64]:
    """Measure the gradient of f at x, one number of x at a time.

    Parameters
    ----------
    f : callable
        Takes an array like x, returns a number.
    x : float array of any shape
        The point; it is not changed. f is called twice for each of its numbers.
    h : float
        Step size.

    Returns
    -------
    gradient : float64 array of x's shape
    """
    x64 = np.array(x, np.float64)
    gradient = np.empty_like(x64)
    for place in np.ndindex(x64.shape):
        gradient[place] = _slope(f, x64, place, h)
    return gradient


def grad_check(
    f: Callable[[FloatArray], float], x: FloatArray, analytic: FloatArray, h: float = STEP
) -> float:
    """Compare `analytic` with the whole numerical gradient of f at x; print and return the error.

    This calls f twice for each number of x; use `grad_check_sparse` for large x.

    Raises
    ------
    ValueError
        `analytic` and x have different shapes.
    """
    _require_same_shape(x, analytic)
    error = relative_error(eval_numerical_gradient(f, x, h), analytic)
    print(f"all {np.size(x)} slopes: relative error {error:.1e}")
    return error


def grad_check_sparse(
    f: Callable[[FloatArray], float],
    x: FloatArray,
    analytic: FloatArray,
    num_checks: int = 10,
    h: float = STEP,
    seed: int = 0,
) -> SparseCheck:
    """Compare `analytic` with the numerical gradient of f at a few random places.

    Parameters
    ----------
    f : callable
        Takes an array like x, returns a number.
    x : float array of any shape
        The point; it is not changed.
    analytic : array of x's shape
        The gradient that your code computed at x.
    num_checks : int
        Number of places.
    h : float
        Step size.
    seed : int
        Selects the places.

    Returns
    -------
    SparseCheck
        The printed numbers: for each place both slopes and their relative error, and the relative
        error of all of them together.

    Raises
    ------
    ValueError
        `analytic` and x have different shapes.
    """
    _require_same_shape(x, analytic)
    rng = np.random.default_rng(seed)
    x64 = np.array(x, np.float64)
    slopes = []
    for _ in range(num_checks):
        place = tuple(int(rng.integers(size)) for size in x64.shape)
        numerical, claimed = _slope(f, x64, place, h), float(analytic[place])
        slopes.append(SampledSlope(place, numerical, claimed, relative_error(numerical, claimed)))
        print("numerical {1:+.6f}, analytic {2:+.6f}, relative error {3:.1e}".format(*slopes[-1]))
    together = relative_error([s.numerical for s in slopes], [s.analytic for s in slopes])
    print(f"all {num_checks} together: relative error {together:.1e}")
    return SparseCheck(slopes, together)


def _slope(
    f: Callable[[FloatArray], float], x: NDArray[np.float64], place: tuple[int, ...], h: float
) -> float:
    """Return the centered difference of f along one number of x, which is restored."""
    before = x[place]
    x[place] = before + h
    above = float(f(x))
    x[place] = before - h
    below = float(f(x))
    x[place] = before
    return (above - below) / (2 * h)


def _require_same_shape(x: FloatArray, analytic: FloatArray) -> None:
    if np.shape(x) != np.shape(analytic):
        raise ValueError(
            f"The gradient has shape {np.shape(analytic)}, but x has {np.shape(x)}: "
            "a gradient has one slope for each number of x."
        )
