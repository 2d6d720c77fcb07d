"""A project with one exercise and an empty mistake bank, read in no time."""

import shutil
from pathlib import Path

import pytest

from assignment import PROJECT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The softmax exercise, its solution that of this project, with no mistakes or variants."""
    (tmp_path / "assignment" / "checks").mkdir(parents=True)
    for name in ("checks/softmax.py", "checks/softmax.json"):
        shutil.copy(PROJECT / "assignment" / name, tmp_path / "assignment" / name)
    for name in ("assignment/classifiers", "notebooks"):
        (tmp_path / name).symlink_to(PROJECT / name)
    for name in ("softmax", "linear"):
        (tmp_path / "grading" / name).mkdir(parents=True)
    (tmp_path / "grading/softmax/exercise.toml").write_text('shared = ["linear"]\n')
    return tmp_path
