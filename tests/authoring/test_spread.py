"""Bounds from the spread of what the solution reaches, and their lines in exercise.toml."""

import tomllib
from pathlib import Path

import pytest

from assignment.checks.check import SIDES, Measurement
from gradkit.authoring.spread import DEVIATIONS, spread_of, with_bounds
from gradkit.course.instructor_tree import CourseError

PATH = Path("exercise.toml")
LINES = {"ERROR": "ERROR = 0.2 # 0.1 ± 0.02", "SHARE": "SHARE = 0.5 # 0.6 ± 0.02"}


@pytest.mark.parametrize(
    ("side", "values", "bound"),
    [
        ("above", [0.36, 0.38], 0.31),
        ("below", [1.8, 1.82], 1.87),
        ("within", [-0.02, 0.02], 0.11),
        ("within", [-0.03, -0.01], 0.08),
        ("above", [1.0, 1.0], 0.99),
        ("below", [0.0, 0.0], 1e-9),
        ("above", [4000.0, 4200.0], 3500.0),
    ],
)
def test_bound_lies_beyond_the_spread_on_its_side(
    side: str, values: list[float], bound: float
) -> None:
    spread = spread_of([Measurement("IT", value, side, 0.0) for value in values * 10])
    assert spread.bound == pytest.approx(bound)
    beyond = {"above": -1, "below": 1, "within": 1 if spread.mean >= 0 else -1}[side]
    furthest = spread.mean + beyond * DEVIATIONS * spread.deviation
    assert all(SIDES[side](value, spread.bound) for value in [*values, furthest])


@pytest.mark.parametrize(
    "text",
    [
        "shared = ['a']\n",
        "[bounds]\nERROR = 1\n",
        "[bounds] # all\nOTHER = 3 # kept\n  ERROR= 1 # so far\nSHARE = 2",
        "[parameters]\nN = 7\n\n# All.\n[bounds]\nSHARE = 1\n\n# Time.\n[limits]\nprocesses = 9\n",
    ],
)
def test_lines_of_bounds_replace_those_in_a_config(text: str) -> None:
    written = with_bounds(text, LINES, PATH)
    before, after = tomllib.loads(text), tomllib.loads(written)
    assert after == {**before, "bounds": {**before.get("bounds", {}), "ERROR": 0.2, "SHARE": 0.5}}
    assert all(line in written.splitlines() for line in LINES.values())
    assert [*filter(lambda line: "#" in line and "so far" not in line, text.splitlines())] == [
        line for line in written.splitlines() if "#" in line and line not in LINES.values()
    ]
    assert with_bounds(written, LINES, PATH) == written


@pytest.mark.parametrize("text", ["bounds = {ERROR = 1}\n", "bounds.ERROR = 1\n"])
def test_bounds_in_another_form_are_left_alone(text: str) -> None:
    with pytest.raises(CourseError, match="Write each as a line below"):
        with_bounds(text, LINES, PATH)
