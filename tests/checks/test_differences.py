"""Differences between a check's arrays and the reference, in plain words."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assignment.checks.differences import (
    HEADLINES,
    ArrayStack,
    decode,
    encode,
    find_difference,
    format_ratio,
    quantity,
    relative_error,
)

REFERENCE = {
    "loss where N = 5, reg = 0": np.array(2.0),
    "loss where N = 7, reg = 0.5": np.array(3.5),
    "dW where N = 5, reg = 0": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    "dW where N = 7, reg = 0.5": np.array([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]),
}


def changed(what: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    """The reference with a function applied to all arrays of a quantity."""
    return {
        name: np.asarray(change(array)) if quantity(name) == what else array
        for name, array in REFERENCE.items()
    }


@pytest.mark.parametrize(
    ("kind", "what", "change", "text"),
    [
        ("shape", "loss", lambda a: np.array([a, a]), "of shape (2,), but a single number is"),
        ("shape", "dW", lambda a: a.ravel(), "of shape (6,), but an array of shape (2, 3) is"),
        ("shape", "dW", lambda a: a[0, 0], "is a single number, but an array"),
        ("transposed", "dW", lambda a: a.T, "rows and columns are exchanged"),
        ("dtype", "dW", lambda a: a.astype(int), "dtype int64, but floats are expected"),
        ("dtype", "dW", lambda a: a.astype(object), "dtype object"),
        ("dtype", "dW", lambda a: a.astype(complex), "dtype complex128"),
        ("nan", "loss", lambda a: a * np.nan, "loss where N = 5, reg = 0 is nan."),
        ("nan", "dW", lambda a: np.where(a > 4, np.inf, a), "reg = 0 has inf in 2 of 6 numbers."),
        ("factor", "loss", lambda a: 2 * a, "loss is 2 times as large as expected, everywhere."),
        ("factor", "dW", lambda a: -a, "dW is -1 times as large as expected"),
        ("offset", "loss", lambda a: a + 0.25, "loss is 0.25 more than expected, everywhere."),
        ("offset", "dW", lambda a: a - 1, "dW is 1 less than expected"),
        (
            "wrong",
            "loss",
            lambda a: a**2,
            "loss is 3.5 times as large as expected where N = 7, reg = 0.5.",
        ),
        ("wrong", "dW", lambda a: a + np.eye(2, 3) * 1e-4, "off by a part in"),
    ],
)
def test_a_difference_is_described_by_its_kind_and_for_its_quantity_only(
    kind: str, what: str, change: Callable[[Any], Any], text: str
) -> None:
    actual = changed(what, change)
    difference = find_difference(actual, REFERENCE, (what,), 1e-6)
    assert difference is not None
    assert difference.kind == kind
    assert text in difference.text
    assert kind in HEADLINES
    other = "dW" if what == "loss" else "loss"
    assert find_difference(actual, REFERENCE, (other,), 1e-6) is None


@pytest.mark.parametrize("rounding", [1 - 1e-8, 1 - 1e-15, 1.0, 1 + 1e-15, 1 + 1e-8])
def test_the_largest_error_does_not_depend_on_rounding(rounding: float) -> None:
    reference = {"loss where N = 5": np.array(1.0), "loss where N = 6": np.array(3.0)}
    wrong = {"loss where N = 5": np.array(-0.75), "loss where N = 6": np.array(-2.25 * rounding)}
    wrong["loss where N = 7"], reference["loss where N = 7"] = np.array(3.9), np.array(4.0)
    difference = find_difference(wrong, reference, ("loss",), 1e-6)
    assert difference is not None
    assert difference.text == "loss is -0.75 times as large as expected where N = 5."
    assert difference.details == "loss is -0.75 times as large as expected where N = 6."


SUMMED = {
    "loss where N = 5, C = 3, reg = 0": (np.array(10.0), np.array(2.0)),
    "loss where N = 3, C = 4, reg = 0": (np.array(4.5), np.array(1.5)),
    "loss where N = 9, C = 5, reg = 2": (np.array(6.0), np.array(4.0)),
}


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (
            1.0,
            "loss is 5 times as large as expected where N = 5, C = 3, reg = 0, and N is 5. "
            "loss is 3 times as large as expected where N = 3, C = 4, reg = 0, and N is 3.",
        ),
        (0.6, "loss is 3 times as large as expected where N = 5, C = 3, reg = 0. "),
    ],
)
def test_a_ratio_is_held_against_the_sizes_of_each_problem(factor: float, text: str) -> None:
    actual = {name: factor * yours for name, (yours, _) in SUMMED.items()}
    reference = {name: expected for name, (_, expected) in SUMMED.items()}
    difference = find_difference(actual, reference, ("loss",), 1e-6)
    assert difference is not None
    assert f"{difference.text} {difference.details}".startswith(text)
    assert "yours" not in difference.text


@pytest.mark.parametrize(
    ("what", "change", "text"),
    [
        ("loss", lambda a: a**2, "reg = 0.5 (yours 12.2, expected 3.5)."),
        (
            "loss",
            lambda a: a + 1e-4 * a**2,
            "a part in 2,858 where N = 7, reg = 0.5 (yours 3.501, expected 3.5).",
        ),
        ("loss", lambda a: 3 * a, "everywhere (yours 6, expected 2)."),
        ("loss", lambda a: a + 0.25, "0.25 more than expected, everywhere (yours 2.25, expected"),
        ("dW", lambda a: a - 1, "(at dW[0, 0] yours 0, expected 1)."),
        (
            "loss",
            lambda a: np.where(a == 3.5, 7, a),
            "where N = 7, reg = 0.5 (yours 7, expected 3.5). It is right where reg is 0.",
        ),
        ("dW", lambda a: a + np.eye(2, 3), "(at dW[0, 0] yours 2, expected 1)."),
    ],
)
def test_both_numbers_are_shown_where_the_expected_one_is_public(
    what: str, change: Callable[[Any], Any], text: str
) -> None:
    difference = find_difference(changed(what, change), REFERENCE, (what,), 1e-6, True)
    assert difference is not None
    assert text in difference.text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (9.0, "9"),
        (1 / 9, "1/9"),
        (110_000.0, "110,000"),
        (-0.35, "-0.35"),
        (1e-5, "1/100,000"),
        (0.99999, "1"),
        (-1 / 3, "-1/3"),
    ],
)
def test_a_ratio_is_written_with_three_digits(ratio: float, text: str) -> None:
    assert format_ratio(ratio) == text


TABLE = np.array([[1.0, -2.0, 4.0, -3.0], [2.0, 5.0, -3.0, -4.0], [6.0, -1.0, -7.0, 2.0]])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ([[0, 0, 1, 0], [0, 0, 2, 0], [0, 0, 0, 0]], "Only column 2 of 4 (from 0) is wrong"),
        ([[1, 0, 2, 0], [3, 0, 5, 0], [1, 0, 1, 0]], "Only columns 0, 2 of 4 (from 0) are wrong"),
        ([[0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 3, 5]], "Only row 2 of 3 (from 0) is wrong"),
        ([[1, 2, 3, 4]] * 3, "All rows are wrong by the same numbers."),
        ([[1] * 4, [2] * 4, [3] * 4], "All columns are wrong by the same numbers."),
        ([[1, 2, 0, 4], [0, 1, 2, 3], [3, 1, 1, 0]], "Each row of dW should sum to 0 there"),
        ([[1, -1, 2, -2], [3, -1, -1, -1], [1, 2, 0, -3]], ""),
    ],
)
def test_a_wrong_table_is_described_by_what_its_errors_have_in_common(
    error: list[list[int]], text: str
) -> None:
    reference = {"dW where N = 5": TABLE, "dW where N = 6": TABLE}
    arrays = {"dW where N = 5": TABLE, "dW where N = 6": TABLE + np.array(error)}
    difference = find_difference(arrays, reference, ("dW",), 1e-6)
    assert difference is not None
    assert text in difference.text
    assert bool(text) == any(word in difference.text for word in ("Only", "All", "Each"))


def test_wrong_labels_are_counted() -> None:
    reference = {"y_pred where N = 4": np.array([0, 1, 2, 3])}
    actual = {"y_pred where N = 4": np.array([0, 2, 4, 6])}
    difference = find_difference(actual, reference, ("y_pred",), 0.0)
    assert difference is not None
    assert difference.text == "y_pred is wrong in 3 of 4 labels where N = 4."


@pytest.mark.parametrize(
    ("problem", "value", "kind", "text"),
    [
        (
            "N = 7, reg = 0.5",
            7.0,
            "unregularised",
            "loss is 2 times as large as expected where N = 7, reg = 0.5. It is right where reg is",
        ),
        (
            "N = 5, reg = 0",
            2.5,
            "wrong",
            "where N = 5, reg = 0.",
        ),
    ],
)
def test_where_only_some_problems_are_wrong_the_right_ones_are_named(
    problem: str, value: float, kind: str, text: str
) -> None:
    wrong = {**REFERENCE, f"loss where {problem}": np.array(value)}
    difference = find_difference(wrong, REFERENCE, ("loss",), 1e-6)
    assert difference is not None
    assert difference.kind == kind
    assert text in difference.text
    right = "It is right where N = 7, reg = 0.5."
    assert difference.details == (right if kind == "wrong" else "")


# --- relative errors ------------------------------------------------------------------------------

FLOATS = st.floats(-1e300, 1e300)
ARRAYS = hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=4), elements=FLOATS)


@given(ARRAYS, st.floats(1e-6, 1e6))
def test_a_relative_error_is_0_for_equal_arrays_and_independent_of_the_unit(
    array: Any, unit: float
) -> None:
    assert relative_error(array, array) == 0.0
    other = array[::-1]
    errors = relative_error(array, other), relative_error(array * unit, other * unit)
    assert errors[0] == pytest.approx(errors[1], rel=1e-6, abs=1e-12) or array.max() * unit > 1e300


# Few numbers and shapes, so that arrays are often equal, or differ only by rounding or by a nan.
NUMBERS = [0.0, 1.0, 1 + 1e-9, 1 + 1e-6, -3.0, 1e300, -1e-300, 5e-324, np.nan, np.inf, -np.inf]
SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (2, 3), (3, 2), (0,), (2, 0)]
DTYPES = ["f8", "f8", "f8", "f4", "i8", "u1", "?", "c16", "O"]


@given(st.integers(0, 2**32))
def test_an_array_stack_computes_the_relative_error_of_each_array(seed: int) -> None:
    rng = np.random.default_rng(seed)
    likely = rng.choice(NUMBERS, size=3)
    arrays = [
        rng.choice(likely, size=SHAPES[rng.integers(len(SHAPES))]) for _ in range(rng.integers(9))
    ]
    with np.errstate(all="ignore"):
        arrays = [np.asarray(array).astype(rng.choice(DTYPES)) for array in arrays]
        for actual in arrays:
            errors = ArrayStack(arrays).relative_errors(actual)
            plain = [relative_error(actual, expected) for expected in arrays]
            np.testing.assert_allclose(errors, plain, rtol=1e-14, atol=0)


@given(hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64]), (2, 3)))
def test_an_array_comes_back_from_json(array: Any) -> None:
    back = decode(json.loads(json.dumps(encode(array))))
    assert back.dtype == array.dtype
    assert relative_error(back, array) < 1e-8
