"""The assignment package, imported before numpy."""

import os
import subprocess
import sys

import pytest

from assignment import PROJECT

LIBRARIES = ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "VECLIB_MAXIMUM", "BLIS_NUM")
SHOW = "import os, sys, assignment; assert 'numpy' not in sys.modules; print({0})"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["1", None, "1", "1", "1"]),
        ({"OMP_NUM_THREADS": "3"}, [None, "3", None, None, None]),
        ({"OPENBLAS_NUM_THREADS": "2"}, ["2", None, None, None, None]),
    ],
)
def test_blas_uses_one_thread_unless_the_environment_gives_a_number(
    chosen: dict[str, str], expected: list[str | None]
) -> None:
    env = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    code = SHOW.format(f"[os.environ.get(name + '_THREADS') for name in {LIBRARIES}]")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=env | chosen,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == str(expected)
