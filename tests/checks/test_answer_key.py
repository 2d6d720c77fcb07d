"""The answer key: numbers and hints, and the comparison with all fingerprints at once."""

import json
import re

import numpy as np
import pytest

from assignment import PROJECT
from assignment.checks.answer_key import ROUNDING, AnswerKey, Fingerprint, load_answer_key
from assignment.checks.check import Arrays, exercises, load_exercise
from assignment.checks.differences import quantity, relative_error
from assignment.checks.errors import KNOWN
from gradkit.course.mistakes import read_bank
from tests.checks.solution import ANSWER_KEY


def test_an_answer_key_holds_only_numbers_and_hints_is_small_and_comes_back_from_json() -> None:
    path = PROJECT / "assignment" / "checks" / "softmax.json"
    assert path.stat().st_size < 700_000
    stored = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    for check in stored["checks"].values():
        groups = [check["reference"], *(print_["arrays"] for print_ in check["fingerprints"])]
        for array in (array for group in groups for array in group.values()):
            assert set(array) == {"shape", "dtype", "data"}
            assert all(n is None or isinstance(n, (int, float)) for n in array["data"])
    again = AnswerKey.from_json(ANSWER_KEY.to_json())
    assert again.to_json() == ANSWER_KEY.to_json()
    assert again.mistakes == ANSWER_KEY.mistakes


@pytest.mark.parametrize("exercise", exercises())
def test_a_hint_is_one_or_two_sentences_and_gives_no_line_of_the_solution(exercise: str) -> None:
    solved = {
        line.strip()
        for body in read_bank(load_exercise(exercise), PROJECT).solution.bodies().values()
        for line in body.text.splitlines()
        if len(line.strip()) > 12
    }
    for id, mistake in load_answer_key(exercise).mistakes.items():
        assert 20 < len(mistake.hint) < 200, id
        assert 1 <= len(re.findall(r"[.?](?: |$)", mistake.hint)) <= 2, id
        assert mistake.name[0].islower() or mistake.name[0] in "([01X", id
        assert not any(line in mistake.hint for line in solved), id
    assert all(known.hint.endswith(".") for known in KNOWN)


def plain_match(print_: Fingerprint, arrays: Arrays, expected: Arrays) -> bool:
    """Compare with one fingerprint, one array after the other."""
    return all(
        name in arrays and relative_error(arrays[name], print_.arrays.get(name, array)) <= ROUNDING
        for name, array in expected.items()
    )


@pytest.mark.parametrize("exercise", exercises())
def test_a_stack_matches_the_fingerprints_that_a_plain_comparison_matches(exercise: str) -> None:
    answer_key = load_answer_key(exercise)
    rng = np.random.default_rng(0)
    for check in load_exercise(exercise).checks:
        fingerprints = answer_key.fingerprints.get(check.name, [])
        reference = answer_key.reference.get(check.name, {})
        for number, fingerprint in enumerate(fingerprints):
            # On either side of the threshold, and far beyond it.
            noise = rng.choice([0.0, 0.5 * ROUNDING, 2 * ROUNDING, 0.1])
            arrays = {
                name: array * (1 + noise)
                for name, array in (reference | fingerprint.arrays).items()
            }
            if noise == 0.1:
                arrays.popitem()
            compared = {n: array for n, array in reference.items() if quantity(n) in check.compared}
            for expected in (compared, reference):
                matches = answer_key.stack(check.name).match(arrays, expected)
                assert matches.tolist() == [
                    plain_match(other, arrays, expected) for other in fingerprints
                ]
                assert noise > ROUNDING or matches[number]
