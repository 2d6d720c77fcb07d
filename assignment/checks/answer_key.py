"""What the right answer to each check is for one seed, and what each known mistake gives instead.

For the public seed this is the file EXERCISE.json beside the checks: numbers and hints, no code,
built by the instructor's tree. A *fingerprint* is what one form of one mistake makes of a check:
the arrays that differ from the reference (the others are as they should be).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assignment.checks.check import Arrays
from assignment.checks.differences import decode, encode

# How near arrays must be to a fingerprint to be the same mistake. Other words for it differ in
# float64's last digits, 1e-16 of the largest number on the way; fingerprints have nine digits.
ROUNDING = 1e-7


@dataclass(frozen=True)
class Mistake:
    """A known mistake: its name, and a sentence that points at the cause."""

    name: str
    hint: str


@dataclass(frozen=True)
class Fingerprint:
    """What a mistake makes of a check, and in how many checks of its function it shows at all."""

    mistake: str
    arrays: Arrays
    shows_in: int


@dataclass
class AnswerKey:
    """Reference and fingerprints by the checks' names, mistakes by their ids, of one seed."""

    seed: int
    reference: dict[str, Arrays] = field(default_factory=dict)
    fingerprints: dict[str, list[Fingerprint]] = field(default_factory=dict)
    mistakes: dict[str, Mistake] = field(default_factory=dict)

    def to_json(self) -> str:
        """A line for every array, so that a change is easy to read in a diff."""
        checks = {
            name: {
                "reference": _encode(arrays),
                "fingerprints": [
                    {
                        "mistake": fingerprint.mistake,
                        "shows_in": fingerprint.shows_in,
                        "arrays": _encode(fingerprint.arrays),
                    }
                    for fingerprint in self.fingerprints.get(name, [])
                ],
            }
            for name, arrays in self.reference.items()
        }
        mistakes = {key: vars(mistake) for key, mistake in sorted(self.mistakes.items())}
        return _dump({"seed": self.seed, "mistakes": mistakes, "checks": checks}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "AnswerKey":
        stored = json.loads(text)
        answer_key = cls(stored["seed"])
        answer_key.mistakes = {key: Mistake(**about) for key, about in stored["mistakes"].items()}
        for name, about in stored["checks"].items():
            answer_key.reference[name] = _decode(about["reference"])
            answer_key.fingerprints[name] = [
                Fingerprint(print_["mistake"], _decode(print_["arrays"]), print_["shows_in"])
                for print_ in about["fingerprints"]
            ]
        return answer_key


def load_answer_key(exercise: str) -> AnswerKey:
    """The answers for the public seed, as they came with the assignment."""
    path = Path(__file__).with_name(f"{exercise}.json")
    return AnswerKey.from_json(path.read_text(encoding="utf-8"))


def _encode(arrays: Arrays) -> dict[str, Any]:
    return {name: encode(array) for name, array in arrays.items()}


def _decode(arrays: Mapping[str, Any]) -> Arrays:
    return {name: decode(stored) for name, stored in arrays.items()}


def _dump(value: Any, indent: str = "") -> str:
    """JSON whose innermost objects, the arrays and the mistakes, take one line each."""
    deeper = indent + " "
    if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
        items = [f"{deeper}{json.dumps(key)}: {_dump(v, deeper)}" for key, v in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        items = [deeper + _dump(item, deeper) for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
