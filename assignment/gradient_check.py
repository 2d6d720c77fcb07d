"""Compare the gradient that your code computes with one measured by small steps.

The slope of f along one number of x is measured by a centred difference,

    df/dx_i  ~  (f(x + h e_i) - f(x - h e_i)) / (2 h),

whose error falls with h^2. Everything runs in float64, whatever comes in: at h = 1e-5 float32
has no digits left for the difference.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.array_types import FloatArray

STEP = 1e-5  # about the cube root of float64's 2.2e-16, where rounding and truncation balance


class SampledSlope(NamedTuple):
    """One line of `grad_check_sparse`: what was compared where."""

    place: tuple[int, ...]
    numerical: float
    analytic: float
    relative_error: float


class SparseCheck(NamedTuple):
    """What `grad_check_sparse` returns: its lines, and one error for all of them together."""

    slopes: list[SampledSlope]
    relative_error: float


def relative_error(a: Any, b: Any) -> float:
    """``|a - b| / (|a| + |b|)`` by the Euclidean norm of the whole: 0 for the same, 1 at the most.

    Taken over the whole, not number by number, since a slope that is nearly 0 by chance carries
    rounding of the size of all the others.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"Shapes differ: {a.shape} and {b.shape}.")
    size = np.linalg.norm(a.ravel()) + np.linalg.norm(b.ravel())
    return float(np.linalg.norm((a - b).ravel()) / size) if size else 0.0


def eval_numerical_gradient(
    f: Callable[[FloatArray], float], x: FloatArray, h: float = STEP
) -> NDArray[np.float64]:
    """Measure the gradient of f at x, number by number.

    Parameters
    ----------
    f : callable
        Takes an array like x, returns a number.
    x : float array of any shape
        Where to measure; it is not changed. f is called twice for each of its numbers.
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
    """Compare `analytic` with the whole numerical gradient of f at x, print and return the error.

    Two evaluations of f a number of x: for small problems. See `grad_check_sparse` for large ones.
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
    """Compare `analytic` with the numerical gradient of f at a few places drawn at random.

    Parameters
    ----------
    f : callable
        Takes an array like x, returns a number.
    x : float array of any shape
        Where to measure; it is not changed.
    analytic : array of x's shape
        The gradient that your code computed at x.
    num_checks : int
        How many places.
    h : float
        Step size.
    seed : int
        Draws the places; the same seed gives the same ones.

    Returns
    -------
    SparseCheck
        What was printed: for each place both slopes and their relative error, and the
        relative error of all of them together.
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
    """Centred difference of f along one number of x, which is put back afterwards."""
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
