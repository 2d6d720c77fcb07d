"""Describe in plain words how a check's arrays differ from the reference.

The kinds, from the most particular to the least: "order", "transposed", "shape", "dtype", "nan",
"unregularised" (right only without regularization), "factor", "offset", "wrong".
`relative_error` compares two arrays, `ArrayStack` one with many by the same rule.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import Arrays, with_noun


class Difference(NamedTuple):
    """A kind of difference, a sentence on where it shows most, and details of other inputs."""

    kind: str
    text: str
    details: str = ""


HEADLINES = {
    "order": "results in the wrong order",
    "shape": "wrong shape",
    "transposed": "transposed",
    "dtype": "wrong dtype",
    "nan": "nan or inf",
    "unregularised": "right only without regularization",
    "factor": "wrong by a constant factor",
    "offset": "wrong by a constant",
    "wrong": "not right yet",
}
ADDED_BY_REG = "What reg adds to "
REAL_KINDS = "fiub"  # kinds of dtypes that hold real numbers


def quantity(name: str) -> str:
    """Return an array's name without its problem: "loss" from "loss where N = 5"."""
    return name.partition(" where ")[0]


def is_part(name: str, quantities: Collection[str]) -> bool:
    """Return whether an array is one of these quantities, or in one: grads['W1'] in grads."""
    whole = quantity(name)
    return whole in quantities or whole.partition("[")[0] in quantities


def is_without_reg(name: str) -> bool:
    """Return whether an array belongs to a problem with reg = 0."""
    return re.search(r"\breg = 0(?![.\d])", name) is not None


@np.errstate(all="ignore")  # numbers from outside may overflow
def added_by_reg(arrays: Arrays) -> Arrays:
    """Return what `reg` adds to each array: its difference from the same problem with reg = 0."""
    added = {}
    for name, array in arrays.items():
        without = arrays.get(re.sub(r"\breg = [\d.]+", "reg = 0", name), array)
        if without is not array and without.shape == array.shape and _are_real(array, without):
            added[f"{ADDED_BY_REG}{name}"] = np.subtract(array, without, dtype=np.float64)
    return added


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


@np.errstate(all="ignore")  # numbers from outside may overflow
def find_difference(
    actual: Arrays,
    reference: Arrays,
    compared: tuple[str, ...],
    tolerance: float,
    show_expected: bool = False,
) -> Difference | None:
    """Return the difference in the compared quantities, or None where all agree.

    Its text gives ratios, and expected numbers only if `show_expected` is set.
    """
    names = [name for name in reference if is_part(name, compared)]
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
    for name in wrong:
        if text := _order(name, actual, reference):
            return Difference("order", text)
    for kind, describe in _DESCRIBE.items():
        for name in wrong:
            text = describe(name, actual[name], reference[name], tolerance)
            if text:
                return Difference(kind, text)
    return _factor_or_offset(actual, reference, names, tolerance, show_expected) or _largest_errors(
        actual, reference, names, wrong, tolerance, show_expected
    )


def _number_kind(array: NDArray[Any]) -> str:
    """Return "int" for labels, "float" for losses; another check compares the number of bits."""
    return {"i": "int", "u": "int", "f": "float"}.get(array.dtype.kind) or array.dtype.name


def _order(name: str, actual: Arrays, reference: Arrays) -> str:
    """Describe two results of a problem that have each other's shape."""
    others = [other for other in reference if _problem(other) == _problem(name) and other in actual]
    for other in others:
        shapes = reference[other].shape, reference[name].shape
        if shapes[0] != shapes[1] and (actual[name].shape, actual[other].shape) == shapes:
            what = f"{quantity(name)} has the shape of {quantity(other)}"
            return f"{what}, and the other way round: does `return` give them in this order?"
    return ""


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
    return f"{name} has {value} in {bad.sum()} of {with_noun(actual.size, 'number')}."


_DESCRIBE = {"transposed": _transposed, "shape": _shape, "dtype": _dtype, "nan": _nan}


def _factor_or_offset(
    actual: Arrays, reference: Arrays, names: list[str], tolerance: float, show_expected: bool
) -> Difference | None:
    """Find one number that multiplies, or shifts, all numbers of all problems."""
    a = np.concatenate([np.ravel(actual[name]).astype(np.float64) for name in names])
    e = np.concatenate([np.ravel(reference[name]).astype(np.float64) for name in names])
    what = quantity(names[0])
    numbers = f" ({_both_numbers(names[0], actual, reference)})" if show_expected else ""
    if len(e) < 2 or _number_kind(reference[names[0]]) == "int":
        return None
    factor = float(a @ e / (e @ e)) if e.any() else 0.0
    plausible = 1e-6 < abs(factor) < 1e6 and f"{factor:.4g}" != "1"
    if plausible and relative_error(a, factor * e) <= tolerance:
        text = f"{what} is {format_ratio(factor)} times as large as expected, everywhere{numbers}."
        return Difference("factor", text)
    offset = float(np.mean(a - e))
    if relative_error(a, e + offset) <= tolerance:
        side = "more" if offset > 0 else "less"
        text = f"{what} is {abs(offset):.4g} {side} than expected, everywhere{numbers}."
        return Difference("offset", text)
    return None


MAX_PROBLEMS = 2  # in a text


def _largest_errors(
    actual: Arrays,
    reference: Arrays,
    names: list[str],
    wrong: list[str],
    tolerance: float,
    show_expected: bool,
) -> Difference:
    """Describe the problems with the largest errors, and list those that are right."""
    errors = {name: relative_error(actual[name], reference[name]) for name in wrong}
    # Errors that are equal except for rounding, which differs between processes, keep their order.
    # Sums of exponentials of large scores magnify rounding a millionfold.
    worst = sorted(wrong, key=lambda name: -float(f"{errors[name]:.3g}"))
    what = quantity(worst[0])
    worst = [name for name in worst if quantity(name) == what][:MAX_PROBLEMS]
    ratios = {name: _ratio(actual[name], reference[name], tolerance) for name in worst}
    sizes = [
        {letter for letter, size in _sizes(name) if _is_size(ratios[name], size, tolerance)}
        for name in worst
    ]
    sentences = []
    for name in worst:
        text = f"{what} is off by {format_error(errors[name])}"
        if _number_kind(reference[name]) == "int":
            count = int((actual[name] != reference[name]).sum())
            text = f"{what} is wrong in {count} of {with_noun(reference[name].size, 'label')}"
        elif abs(ratios[name] - 1) >= 0.01:
            text = f"{what} is {format_ratio(ratios[name])} times as large as expected"
        if not actual[name].any():
            text = f"{what} is 0"
        text += f" where {_problem(name)}" if _problem(name) else ""
        for letter, size in _sizes(name):
            text += f", and {letter} is {size}" if letter in set.intersection(*sizes) else ""
        numbers = f" ({_both_numbers(name, actual, reference)})" if show_expected else ""
        sentences.append(f"{text}{numbers}.")
    pattern = _pattern(worst[0], actual, reference, tolerance)
    text, details = f"{sentences[0]} {pattern}".strip(), " ".join(sentences[1:])
    right = [name for name in names if name not in wrong]
    if right and all((name in right) == is_without_reg(name) for name in names):
        return Difference("unregularised", f"{text} It is right where reg is 0.", details)
    if what in map(quantity, right):
        problems = dict.fromkeys(map(_problem, right))
        others = [p for p in problems if p not in {_problem(name) for name in wrong}]
        details += f" It is right where {', and where '.join(others)}." if others else ""
    return Difference("wrong", text, details.strip())


def _pattern(name: str, actual: Arrays, reference: Arrays, tolerance: float) -> str:
    """Describe which rows or columns of a table are wrong, or what all its errors have in common.

    A table that has a ratio to the expected one is described by that alone.
    """
    a, e = actual[name].astype(np.float64), reference[name].astype(np.float64)
    what, limit = quantity(name), tolerance * float(np.linalg.norm(e))
    if a.ndim != 2 or 1 in a.shape or math.isfinite(_ratio(a, e, tolerance)):
        return ""
    for axis, kind in ((0, "column"), (1, "row")):
        wrong = np.flatnonzero(np.linalg.norm(a - e, axis=axis) > limit).tolist()
        if len(wrong) <= a.shape[1 - axis] // 2:
            numbers, one = ", ".join(map(str, wrong)), len(wrong) == 1
            where = f"{kind}{'' if one else 's'} {numbers} of {a.shape[1 - axis]} (from 0)"
            return f"Only {where} {'is' if one else 'are'} wrong there."
    for axis, kind in ((0, "row"), (1, "column")):
        if np.linalg.norm(np.ptp(a - e, axis=axis)) <= limit:
            return f"All {kind}s are wrong by the same numbers."
    sums = [float(np.linalg.norm(table.sum(axis=1))) for table in (a, e)]
    if sums[1] <= limit < sums[0]:
        return f"Each row of {what} should sum to 0 there, and yours does not."
    return ""


def _ratio(actual: NDArray[Any], expected: NDArray[Any], tolerance: float) -> float:
    """Return the factor between two arrays; nan if one is not a multiple of the other."""
    a, e = np.ravel(actual).astype(np.float64), np.ravel(expected).astype(np.float64)
    ratio = float(a @ e / (e @ e)) if e.any() else math.nan
    return ratio if relative_error(a, ratio * e) <= tolerance else math.nan


def size_factors(names: Collection[str]) -> Iterator[dict[str, float]]:
    """Yield factors of these arrays by name: products of 2, N, D and C, or of their inverses."""
    sizes = {name: [2, *(size for _, size in _sizes(name))] for name in names}
    for powers in product((0, 1, -1), repeat=min(map(len, sizes.values()))):
        factors = {name: math.prod(map(pow, sizes[name], powers)) for name in names}
        yield factors
        yield {name: -factor for name, factor in factors.items()}


def _sizes(name: str) -> list[tuple[str, int]]:
    """Return the numbers of samples, features and classes in a problem's name."""
    return [(letter, int(size)) for letter, size in re.findall(r"\b([NDC]) = (\d+)", name)]


def _is_size(ratio: float, size: int, tolerance: float) -> bool:
    """Return whether a ratio is the size or its inverse, either of them not 1."""
    return size > 1 and any(
        math.isclose(abs(ratio), n, rel_tol=tolerance) for n in (size, 1 / size)
    )


def format_ratio(ratio: float) -> str:
    """Write a ratio with three digits, such as 9, 0.35 or 110,000; a small one as 1/9."""
    if 0 < abs(ratio) < 0.7 and (
        abs(ratio) < 0.01 or math.isclose(1 / ratio, round(1 / ratio), rel_tol=1e-4)
    ):
        return f"{'-' * (ratio < 0)}1/{format_ratio(abs(1 / ratio))}"
    return _rounded(ratio, 3)


def _rounded(number: float, digits: int) -> str:
    return f"{float(f'{number:.{digits}g}'):,.10g}"


def _both_numbers(name: str, actual: Arrays, reference: Arrays) -> str:
    """Write the number that differs most beside the expected one, with digits that differ."""
    a, e = actual[name].astype(np.float64), reference[name].astype(np.float64)
    distance = np.abs(a - e)
    place = np.argwhere(distance >= distance.max() * (1 - 1e-3))[0].tolist()
    yours, expected = float(a[tuple(place)]), float(e[tuple(place)])
    digits = next((d for d in range(3, 9) if f"{yours:.{d}g}" != f"{expected:.{d}g}"), 9)
    what = quantity(name).removeprefix(ADDED_BY_REG)
    where = f"at {what}{place} yours" if place else "yours"
    return f"{where} {_rounded(yours, digits)}, expected {_rounded(expected, digits)}"


def format_error(error: float) -> str:
    """Write a relative error as a percentage, or a small one as "a part in 12,000"."""
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
