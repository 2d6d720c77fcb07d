"""Describe in plain words how a check's arrays differ from the reference.

The kinds, from the most particular to the least: "shape", "transposed", "dtype", "nan",
"unregularised" (right only without regularisation), "factor", "offset", "wrong".
`relative_error` compares two arrays, `ArrayStack` one with many by the same rule.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import Arrays


class Difference(NamedTuple):
    """One of the kinds, and a sentence that describes it."""

    kind: str
    text: str


HEADLINES = {
    "shape": "wrong shape",
    "transposed": "transposed",
    "dtype": "wrong dtype",
    "nan": "nan or inf",
    "unregularised": "right only without regularisation",
    "factor": "wrong by a constant factor",
    "offset": "wrong by a constant",
    "wrong": "not right yet",
}
REAL_KINDS = "fiub"  # kinds of dtypes that hold real numbers


def quantity(name: str) -> str:
    """Return an array's name without its problem: "loss" from "loss where N = 5"."""
    return name.partition(" where ")[0]


def relative_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return |a - e| / max(|a|, |e|) by the Euclidean norm; inf where they cannot be compared.

    That is where shapes or the places of nan and inf differ, or either holds no real numbers. Where
    both are nan or inf, they agree: chance decides in which of the two a mistake ends.
    """
    if actual.shape != expected.shape or not _are_real(actual, expected):
        return np.inf
    if actual.shape == ():  # the same rule in a tenth of the time
        one, other = float(actual), float(expected)
        if not (math.isfinite(one) and math.isfinite(other)):
            return np.inf if math.isfinite(one) or math.isfinite(other) else 0.0
        larger = max(abs(one), abs(other))
        return abs(one / larger - other / larger) if larger else 0.0
    a, e = actual.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    finite = np.isfinite(e)
    if not (np.isfinite(a) == finite).all():
        return np.inf
    if not finite.all():
        a, e = a[finite], e[finite]
    largest = max(np.abs(a).max(initial=0.0), np.abs(e).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    a, e = a / largest, e / largest  # so that no square overflows
    difference = a - e
    return float(np.sqrt((difference @ difference) / max(a @ a, e @ e)))


class ArrayStack:
    """K expected arrays, stacked by shape, to compare one array with all of them at once."""

    def __init__(self, expected: Sequence[NDArray[Any]]) -> None:
        self._count = len(expected)
        rows_by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, array in enumerate(expected):
            if _are_real(array):
                rows_by_shape.setdefault(array.shape, []).append(row)
        self._by_shape = {
            shape: _Rows.of(rows, [expected[row] for row in rows])
            for shape, rows in rows_by_shape.items()
        }

    def relative_errors(self, actual: NDArray[Any]) -> NDArray[np.float64]:
        """Return `relative_error` of `actual` from each expected array, a (K,) array."""
        errors = np.full(self._count, np.inf)
        rows = self._by_shape.get(actual.shape)
        if rows is not None and _are_real(actual):
            errors[rows.places] = rows.relative_errors(actual.astype(np.float64).ravel())
        return errors


class _Rows(NamedTuple):
    """The arrays of one shape: a row each, with 0 in place of nan and inf, which `finite` marks."""

    places: list[int]
    numbers: NDArray[np.float64]
    finite: NDArray[np.bool_]
    largest: NDArray[np.float64]

    @classmethod
    def of(cls, places: list[int], arrays: list[NDArray[Any]]) -> "_Rows":
        numbers = np.stack([array.astype(np.float64).ravel() for array in arrays])
        finite = np.isfinite(numbers)
        numbers[~finite] = 0.0
        return cls(places, numbers, finite, np.abs(numbers).max(axis=1, initial=0.0))

    def relative_errors(self, a: NDArray[np.float64]) -> NDArray[np.float64]:
        finite = np.isfinite(a)
        a = np.where(finite, a, 0.0)
        largest = np.maximum(self.largest, np.abs(a).max(initial=0.0))[:, np.newaxis]
        largest[largest == 0.0] = 1.0  # both are all 0: so is their difference
        scaled_a, scaled_e = a / largest, self.numbers / largest  # so that no square overflows
        size = np.maximum(_squared_norms(scaled_a), _squared_norms(scaled_e))
        size[size == 0.0] = 1.0
        errors = np.sqrt(_squared_norms(scaled_a - scaled_e) / size)
        errors[(self.finite != finite).any(axis=1)] = np.inf
        return errors


def _are_real(*arrays: NDArray[Any]) -> bool:
    return all(array.dtype.kind in REAL_KINDS for array in arrays)


def _squared_norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows)
    return norms


def find_difference(
    actual: Arrays, reference: Arrays, compared: tuple[str, ...], tolerance: float
) -> Difference | None:
    """Return the difference in the compared quantities, or None where all agree."""
    names = [name for name in reference if quantity(name) in compared]
    missing = [name for name in names if name not in actual]
    if missing:
        return Difference("shape", f"The check returned no {missing[0]}.")
    wrong = [
        name
        for name in names
        if not relative_error(actual[name], reference[name]) <= tolerance
        or _number_kind(actual[name]) != _number_kind(reference[name])
    ]
    if not wrong:
        return None
    for kind, describe in _DESCRIBE.items():
        for name in wrong:
            text = describe(name, actual[name], reference[name], tolerance)
            if text:
                return Difference(kind, text)
    return (
        _unregularised(names, wrong)
        or _factor_or_offset(actual, reference, names, tolerance)
        or _largest_error(actual, reference, names, wrong)
    )


def _number_kind(array: NDArray[Any]) -> str:
    """Return "int" for labels, "float" for losses; another check compares the number of bits."""
    return {"i": "int", "u": "int", "f": "float"}.get(array.dtype.kind) or array.dtype.name


def _transposed(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    if actual.ndim == 2 and relative_error(actual.T, expected) <= tolerance:
        return f"{name}: the numbers are right, but rows and columns are exchanged."
    return ""


def _shape(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    if actual.shape == expected.shape:
        return ""
    return f"{name} is {_describe_shape(actual)}, but {_describe_shape(expected)} is expected."


def _describe_shape(array: Any) -> str:
    return "a single number" if array.shape == () else f"an array of shape {array.shape}"


def _dtype(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    if _number_kind(actual) == _number_kind(expected):
        return ""
    return f"{name} has dtype {actual.dtype}, but {_number_kind(expected)}s are expected."


def _nan(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    bad = ~np.isfinite(actual)
    if not bad.any():
        return ""
    value = "nan" if np.isnan(actual).any() else "inf"
    if actual.shape == ():
        return f"{name} is {value}."
    return f"{name}: {int(bad.sum())} of {actual.size} numbers are {value}."


_DESCRIBE = {"transposed": _transposed, "shape": _shape, "dtype": _dtype, "nan": _nan}


def _unregularised(names: list[str], wrong: list[str]) -> Difference | None:
    without = [name for name in names if re.search(r"\breg = 0(?![.\d])", name)]
    if without and len(without) < len(names) and set(wrong) == set(names) - set(without):
        text = f"{quantity(names[0])} is right where reg is 0, and wrong where it is not."
        return Difference("unregularised", text)
    return None


def _factor_or_offset(
    actual: Arrays, reference: Arrays, names: list[str], tolerance: float
) -> Difference | None:
    """Find one number that multiplies, or shifts, all numbers of all problems."""
    a = np.concatenate([np.ravel(actual[name]).astype(np.float64) for name in names])
    e = np.concatenate([np.ravel(reference[name]).astype(np.float64) for name in names])
    what = quantity(names[0])
    if len(e) < 2 or _number_kind(reference[names[0]]) == "int":
        return None
    factor = float(a @ e / (e @ e)) if e.any() else 0.0
    plausible = 1e-6 < abs(factor) < 1e6 and f"{factor:.4g}" != "1"
    if plausible and relative_error(a, factor * e) <= tolerance:
        return Difference("factor", f"{what} is {factor:.4g} times what it should be, everywhere.")
    offset = float(np.mean(a - e))
    if relative_error(a, e + offset) <= tolerance:
        side = "more" if offset > 0 else "less"
        text = f"{what} is {abs(offset):.4g} {side} than it should be, everywhere."
        return Difference("offset", text)
    return None


def _largest_error(
    actual: Arrays, reference: Arrays, names: list[str], wrong: list[str]
) -> Difference:
    errors = {name: relative_error(actual[name], reference[name]) for name in wrong}
    # Take the first of those that are equal except for rounding, which differs between processes,
    # and which sums of exponentials of large scores magnify a millionfold.
    most = max(errors.values()) * (1 - 1e-3)
    worst = next(name for name in errors if errors[name] >= most)
    text = f"{quantity(worst)} is off by {_format_error(errors[worst])}"
    where = _problem(worst)
    text += f" where {where}." if where else "."
    right = [_problem(name) for name in names if name not in wrong]
    if right and quantity(worst) in {quantity(name) for name in names if name not in wrong}:
        others = [p for p in dict.fromkeys(right) if p not in {_problem(name) for name in wrong}]
        text += f" It is right where {', and where '.join(others)}." if others else ""
    return Difference("wrong", text)


def _format_error(error: float) -> str:
    return f"{error:.0%}" if error >= 0.01 else f"a part in {1 / error:,.0f}"


def _problem(name: str) -> str:
    return name.partition(" where ")[2]


def decode(stored: Mapping[str, Any]) -> NDArray[Any]:
    """Make an array again from what `encode` returned."""
    data = [np.nan if number is None else number for number in stored["data"]]
    return np.array(data, dtype=stored["dtype"]).reshape(stored["shape"])


def encode(array: NDArray[Any]) -> dict[str, Any]:
    """Write an array as plain JSON: nine digits, null for nan and inf, which count as equal."""
    numbers = np.ravel(array).tolist()
    if array.dtype.kind == "f":
        numbers = [float(f"{n:.9g}") if np.isfinite(n) else None for n in numbers]
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": numbers}
