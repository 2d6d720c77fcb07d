"""The gradient checks measure slopes and reveal a wrong gradient."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment.gradient_check import (
    eval_numerical_gradient,
    grad_check,
    grad_check_sparse,
    relative_error,
)


def cubic(x: Any) -> float:
    """sum(x**3 + i * x): its gradient is 3 x**2 + i, and its third derivative 6."""
    return float(np.sum(x**3 + np.arange(x.size).reshape(x.shape) * x))


def cubic_gradient(x: Any) -> Any:
    return 3 * x**2 + np.arange(x.size).reshape(x.shape)


@pytest.fixture
def x() -> Any:
    return np.random.default_rng(0).standard_normal((3, 4))


def test_the_numerical_gradient_equals_the_gradient(x: Any) -> None:
    np.testing.assert_allclose(eval_numerical_gradient(cubic, x), cubic_gradient(x), atol=1e-8)


def test_the_error_of_a_centred_difference_is_h_squared(x: Any) -> None:
    for h in (1e-1, 1e-2, 1e-3):  # the third derivative, 6, divided by 6, times h**2
        error = eval_numerical_gradient(cubic, x, h) - cubic_gradient(x)
        np.testing.assert_allclose(error, h**2, rtol=1e-3)


def test_x_is_not_changed_even_while_f_runs(x: Any) -> None:
    x.flags.writeable = False
    eval_numerical_gradient(cubic, x)
    grad_check(cubic, x, cubic_gradient(x))
    grad_check_sparse(cubic, x, cubic_gradient(x))


def test_float32_and_integers_are_checked_in_float64(x: Any) -> None:
    seen = set()

    def recording(x: Any) -> float:
        seen.add(x.dtype)
        return cubic(x)

    x32 = x.astype(np.float32)
    check = grad_check_sparse(recording, x32, cubic_gradient(x32.astype(np.float64)))
    assert check.relative_error < 1e-8
    eval_numerical_gradient(recording, np.array([1, 2, 3]))
    assert seen == {np.dtype(np.float64)}


@pytest.mark.parametrize("wrong", [-1.0, 0.0, 0.999, 1.001, 2.0])
def test_a_wrong_gradient_has_a_large_error(x: Any, wrong: float) -> None:
    right = cubic_gradient(x)
    assert grad_check(cubic, x, wrong * right) > 1e-4
    assert grad_check_sparse(cubic, x, wrong * right).relative_error > 1e-4
    assert grad_check(cubic, x, right) < 1e-8
    assert grad_check_sparse(cubic, x, right).relative_error < 1e-8
    right[1, 2] += 0.1
    assert grad_check(cubic, x, right) > 1e-4


def test_the_seed_selects_the_places(x: Any) -> None:
    def places(seed: int) -> list[tuple[int, ...]]:
        check = grad_check_sparse(cubic, x, cubic_gradient(x), seed=seed)
        return [slope.place for slope in check.slopes]

    assert places(1) == places(1) != places(2)


def test_the_printed_numbers_are_returned(x: Any, capsys: pytest.CaptureFixture[str]) -> None:
    check = grad_check_sparse(cubic, x, 1.1 * cubic_gradient(x), num_checks=4)
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(check.slopes) == 4
    for line, slope in zip(lines, check.slopes, strict=True):
        assert f"numerical {slope.numerical:+.6f}" in line
        assert f"analytic {slope.analytic:+.6f}" in line
        assert f"relative error {slope.relative_error:.1e}" in line
    assert last == f"all 4 together: relative error {check.relative_error:.1e}"
    error = grad_check(cubic, x, 1.1 * cubic_gradient(x))
    assert capsys.readouterr().out == f"all 12 slopes: relative error {error:.1e}\n"


def test_a_gradient_of_another_shape_is_refused(x: Any) -> None:
    for check in (grad_check, grad_check_sparse):
        with pytest.raises(ValueError, match=r"gradient has shape \(4, 3\), but x has \(3, 4\)"):
            check(cubic, x, cubic_gradient(x).T)
    with pytest.raises(ValueError, match="Shapes differ"):
        relative_error(np.ones(2), np.ones(3))


vectors = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).map(np.array)


@given(a=vectors, b=vectors)
def test_relative_error_is_symmetric_and_between_0_and_1(a: Any, b: Any) -> None:
    assert relative_error(a, b) == relative_error(b, a)
    assert 0 <= relative_error(a, b) <= 1 + 1e-12
    assert relative_error(a, a) == 0
