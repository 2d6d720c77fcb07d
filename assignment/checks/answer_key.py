"""The answer key: each check's reference arrays for one seed, and the arrays of known mistakes.

For the public seed it is the file EXERCISE.json beside the checks: numbers and hints, no code,
written by `gradkit answer-key`. A *fingerprint* holds the arrays that one form of one mistake
returns from a check, except those that equal the reference.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import Arrays, Mistake
from assignment.checks.differences import ArrayStack, added_by_reg, decode, encode, size_factors

# Largest relative error at which arrays still match a fingerprint. Equivalent code differs in
# float64's last digits, 1e-16 of the largest intermediate number; fingerprints have nine digits.
ROUNDING = 1e-7

_MISSING = np.array("")  # equals no array of numbers


@dataclass(frozen=True)
class Fingerprint:
    """The arrays of one mistake in one check, and the number of checks that the mistake fails."""

    mistake: str
    arrays: Arrays
    shows_in: int


class FingerprintStack:
    """All fingerprints of one check, stacked by array, so that one comparison serves them all.

    `reference` stands in for the arrays that a fingerprint does not hold. What `reg` adds to an
    array (`added_by_reg`) counts as an array, too.
    """

    def __init__(self, reference: Arrays, fingerprints: Sequence[Fingerprint]) -> None:
        self.fingerprints = fingerprints
        complete = [reference | print_.arrays for print_ in fingerprints]
        complete = [arrays | added_by_reg(arrays) for arrays in complete]
        self._reference = reference | added_by_reg(reference)
        self._stacks = {
            name: ArrayStack([arrays.get(name, _MISSING) for arrays in complete])
            for name in self._reference
        }
        self._products: dict[tuple[str, ...], list[tuple[dict[str, float], Arrays]]] = {}

    def products(self, names: Sequence[str]) -> list[tuple[dict[str, float], Arrays]]:
        """Return the `size_factors` that a fingerprint has in these arrays, and their products."""
        key = tuple(names)
        if key not in self._products:
            products = [
                (factors, {name: self._reference[name] * factors[name] for name in names})
                for factors in size_factors(names)
            ]
            known = [product for product in products if self.match(product[1], names).any()]
            self._products[key] = known
        return self._products[key]

    def match(self, arrays: Arrays, names: Collection[str]) -> NDArray[np.bool_]:
        """Mark the fingerprints that equal all arrays of these names, except for rounding.

        Returns a (K,) bool array for K fingerprints.
        """
        matches = np.ones(len(self.fingerprints), bool)
        for name in names:
            if matches.any():
                errors = self._stacks[name].relative_errors(arrays[name]) if name in arrays else 1.0
                matches &= errors <= ROUNDING
        return matches


@dataclass
class AnswerKey:
    """Reference and fingerprints by check, mistakes by id, for one seed."""

    seed: int
    reference: dict[str, Arrays] = field(default_factory=dict)
    fingerprints: dict[str, list[Fingerprint]] = field(default_factory=dict)
    mistakes: dict[str, Mistake] = field(default_factory=dict)
    _stacks: dict[str, FingerprintStack] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def stack(self, check: str) -> FingerprintStack:
        """Return the fingerprints of a check, stacked at the first call: they are complete then."""
        if check not in self._stacks:
            self._stacks[check] = FingerprintStack(
                self.reference[check], self.fingerprints.get(check, [])
            )
        return self._stacks[check]

    def to_json(self) -> str:
        """Write one line for each array, so that a diff shows which of them changed."""
        checks = {
            name: {
                "reference": _encode_arrays(arrays),
                "fingerprints": [
                    {
                        "mistake": fingerprint.mistake,
                        "shows_in": fingerprint.shows_in,
                        "arrays": _encode_arrays(fingerprint.arrays),
                    }
                    for fingerprint in self.fingerprints.get(name, [])
                ],
            }
            for name, arrays in self.reference.items()
        }
        mistakes = {key: vars(mistake) for key, mistake in sorted(self.mistakes.items())}
        return _format_json({"seed": self.seed, "mistakes": mistakes, "checks": checks}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "AnswerKey":
        """Read what `to_json` wrote."""
        stored = json.loads(text)
        answer_key = cls(stored["seed"])
        answer_key.mistakes = {id: Mistake(**entry) for id, entry in stored["mistakes"].items()}
        for name, entry in stored["checks"].items():
            answer_key.reference[name] = _decode_arrays(entry["reference"])
            answer_key.fingerprints[name] = [
                Fingerprint(print_["mistake"], _decode_arrays(print_["arrays"]), print_["shows_in"])
                for print_ in entry["fingerprints"]
            ]
        return answer_key


def load_answer_key(exercise: str) -> AnswerKey:
    """Read the answer key for the public seed, which comes with the assignment."""
    path = Path(__file__).with_name(f"{exercise}.json")
    return AnswerKey.from_json(path.read_text(encoding="utf-8"))


def _encode_arrays(arrays: Arrays) -> dict[str, Any]:
    return {name: encode(array) for name, array in arrays.items()}


def _decode_arrays(arrays: Mapping[str, Any]) -> Arrays:
    return {name: decode(stored) for name, stored in arrays.items()}


def _format_json(value: Any, indent: str = "") -> str:
    """Format JSON with one line for each innermost object, an array or a mistake."""
    deeper = indent + " "
    if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
        items = [
            f"{deeper}{json.dumps(key)}: {_format_json(v, deeper)}" for key, v in value.items()
        ]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        items = [deeper + _format_json(item, deeper) for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
