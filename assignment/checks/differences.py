"""How the arrays that came out differ from those that should have come out, in plain words.

The kinds, from the most particular to the least: "shape", "transposed", "dtype", "nan",
"unregularised" (right only without regularisation), "factor", "offset", "wrong".
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import Arrays


class Difference(NamedTuple):
    """One of the kinds, and a sentence that says it."""

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


def quantity(name: str) -> str:
    """What an array is, without the problem that it is of: "loss" of "loss where N = 5"."""
    return name.partition(" where ")[0]


def relative_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """|a - e| / max(|a|, |e|) by the Euclidean norm; inf where shapes or non-finite places differ.

    Where both are nan or inf, they agree: which of the two a mistake ends in is chance.
    """
    if actual.shape != expected.shape or actual.dtype.kind not in "fiub":
        return np.inf
    if actual.shape == ():  # as below, in a tenth of the time
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


def find_difference(
    actual: Arrays, reference: Arrays, compared: tuple[str, ...], tolerance: float
) -> Difference | None:
    """The difference in the judged quantities, or None where all are right."""
    names = [name for name in reference if quantity(name) in compared]
    missing = [name for name in names if name not in actual]
    if missing:
        return Difference("shape", f"There is no {missing[0]}.")
    wrong = [
        name
        for name in names
        if not relative_error(actual[name], reference[name]) <= tolerance
        or _kind(actual[name]) != _kind(reference[name])
    ]
    if not wrong:
        return None
    for describe in (_transposed, _shape, _dtype, _nan):
        for name in wrong:
            text = describe(name, actual[name], reference[name], tolerance)
            if text:
                return Difference(describe.__name__.removeprefix("_"), text)
    return (
        _unregularised(names, wrong)
        or _factor_or_offset(actual, reference, names, tolerance)
        or _simply_wrong(actual, reference, names, wrong)
    )


def _kind(array: NDArray[Any]) -> str:
    """Labels are integers, losses are floats; of what size is another check's business."""
    return {"i": "int", "u": "int", "f": "float"}.get(array.dtype.kind) or array.dtype.name


def _transposed(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    if actual.ndim == 2 and relative_error(actual.T, expected) <= tolerance:
        return f"{name}: the numbers are right, but rows and columns are exchanged."
    return ""


def _shape(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    if actual.shape == expected.shape:
        return ""
    is_scalar = "a single number" if expected.shape == () else f"shape {expected.shape}"
    was_scalar = "a single number" if actual.shape == () else f"shape {actual.shape}"
    return f"{name}: {was_scalar} came out, but {is_scalar} is expected."


def _dtype(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    if _kind(actual) == _kind(expected):
        return ""
    return f"{name}: {actual.dtype} came out, but {_kind(expected)}s are expected."


def _nan(name: str, actual: Any, expected: Any, tolerance: float) -> str:
    bad = ~np.isfinite(actual)
    if not bad.any():
        return ""
    what = "nan" if np.isnan(actual).any() else "inf"
    if actual.shape == ():
        return f"{name}: {what} came out."
    return f"{name}: {int(bad.sum())} of {actual.size} numbers are {what}."


def _unregularised(names: list[str], wrong: list[str]) -> Difference | None:
    without = [name for name in names if re.search(r"\breg = 0(?![.\d])", name)]
    if without and len(without) < len(names) and set(wrong) == set(names) - set(without):
        text = f"{quantity(names[0])} is right where reg is 0, and wrong where it is not."
        return Difference("unregularised", text)
    return None


def _factor_or_offset(
    actual: Arrays, reference: Arrays, names: list[str], tolerance: float
) -> Difference | None:
    """One number, the same for all problems, by which all is multiplied or shifted."""
    come = np.concatenate([np.ravel(actual[name]).astype(np.float64) for name in names])
    want = np.concatenate([np.ravel(reference[name]).astype(np.float64) for name in names])
    what = quantity(names[0])
    if len(want) < 2 or _kind(reference[names[0]]) == "int":
        return None
    factor = float(come @ want / (want @ want)) if want.any() else 0.0
    telling = 1e-6 < abs(factor) < 1e6 and f"{factor:.4g}" != "1"
    if telling and relative_error(come, factor * want) <= tolerance:
        return Difference("factor", f"{what} is {factor:.4g} times what it should be, everywhere.")
    offset = float(np.mean(come - want))
    if relative_error(come, want + offset) <= tolerance:
        side = "more" if offset > 0 else "less"
        text = f"{what} is {abs(offset):.4g} {side} than it should be, everywhere."
        return Difference("offset", text)
    return None


def _simply_wrong(
    actual: Arrays, reference: Arrays, names: list[str], wrong: list[str]
) -> Difference:
    errors = {name: relative_error(actual[name], reference[name]) for name in wrong}
    # The first of those that are equal but for rounding, which is not the same in every process,
    # and which a sum of exponentials of large scores makes a millionfold of.
    most = max(errors.values()) * (1 - 1e-3)
    worst = next(name for name in errors if errors[name] >= most)
    text = f"{quantity(worst)} is off by {_size(errors[worst])}"
    where = _problem(worst)
    text += f" where {where}." if where else "."
    right = [_problem(name) for name in names if name not in wrong]
    if right and quantity(worst) in {quantity(name) for name in names if name not in wrong}:
        others = [p for p in dict.fromkeys(right) if p not in {_problem(name) for name in wrong}]
        text += f" It is right where {', and where '.join(others)}." if others else ""
    return Difference("wrong", text)


def _size(error: float) -> str:
    return f"{error:.0%}" if error >= 0.01 else f"a part in {1 / error:,.0f}"


def _problem(name: str) -> str:
    return name.partition(" where ")[2]


def decode(stored: Mapping[str, Any]) -> NDArray[Any]:
    """An array of what `encode` made of it."""
    data = [np.nan if number is None else number for number in stored["data"]]
    return np.array(data, dtype=stored["dtype"]).reshape(stored["shape"])


def encode(array: NDArray[Any]) -> dict[str, Any]:
    """An array as plain JSON: nine digits, null for nan and inf, which count as the same."""
    numbers = np.ravel(array).tolist()
    if array.dtype.kind == "f":
        numbers = [float(f"{n:.9g}") if np.isfinite(n) else None for n in numbers]
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": numbers}
