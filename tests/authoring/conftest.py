"""A copy of the instructor's tree in which commands can run."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests import classes
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
    return partial(classes.gradkit, tree=course)
