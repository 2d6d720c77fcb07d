"""Random numbers that a seed fixes for ever."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assignment.checks.draws import Draws


def test_a_seed_draws_the_same_numbers_on_every_machine_and_for_ever() -> None:
    draws = Draws(231, "a label")
    numbers = np.concatenate([draws.normal(100, 7).ravel(), draws.integers(10, 300)])
    digest = hashlib.sha256(numbers.astype("<f8").tobytes()).hexdigest()
    assert digest.startswith("a7ec704c9652a9eb")


@given(st.integers(0, 2**63 - 1))
def test_normal_numbers_are_exact_in_float32(seed: int) -> None:
    drawn = Draws(seed, "x").normal(40, 5)
    assert np.array_equal(drawn.astype(np.float32), drawn)
    assert np.abs(drawn).max() < 6


def test_normal_numbers_have_mean_0_and_variance_1() -> None:
    drawn = Draws(1, "moments").normal(200_000)
    assert abs(drawn.mean()) < 0.01  # 4.5 standard errors
    assert abs(drawn.var() - 1) < 0.015
    assert not np.array_equal(drawn, Draws(1, "another label").normal(200_000))
