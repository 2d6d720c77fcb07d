"""A copy of the instructor's tree in which commands can run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trees import copy_tree

RunGradkit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def course(tmp_path: Path, stand_in: Callable[[Path], None]) -> Path:
    """The tree with the synthetic images in it; git does not know it."""
    tree = copy_tree(tmp_path / "course")
    stand_in(tree / "datasets")
    return tree


@pytest.fixture
def gradkit(course: Path) -> RunGradkit:
    """Runs a command of gradkit in the tree `course`."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gradkit", *arguments]
        env = os.environ | {"PYTHONPATH": ""}
        return subprocess.run(
            command, cwd=course, env=env, capture_output=True, text=True, check=False
        )

    return run
