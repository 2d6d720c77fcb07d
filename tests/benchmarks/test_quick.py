"""Every benchmark runs to its end; its figures are for people to take, on a quiet machine."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assignment import PROJECT

BENCHMARKS = sorted(
    path.stem
    for path in (PROJECT / "benchmarks").glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)
ARGUMENTS = {"load_data": ["{data}"], "notebook_memory": ["{data}"]}
FIGURE = {
    "check": "save to verdict",
    "cpu_ratio": "0 busy processes, graded",
    "grading": "gradkit grade, 1 at once",
    "grading_parts": "together",
    "load_data": "ratios",
    "loss": "float64",
    "notebook_memory": "peak resident memory",
    "scaling": "The gradebook took",
    "sgd_step": "step / (gathering and products)",
    "soak": "could not be graded after",
    "student_hour": "whole notebook",
}


def test_every_benchmark_has_a_figure_to_look_for() -> None:
    assert sorted(FIGURE) == BENCHMARKS


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_round_prints_its_figures(
    name: str, stand_in: Callable[[Path], None], tmp_path: Path, sandbox: None
) -> None:
    stand_in(tmp_path)
    [data] = tmp_path.iterdir()
    arguments = [word.format(data=data) for word in ARGUMENTS.get(name, [])]
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", *arguments],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert FIGURE[name] in ran.stdout
