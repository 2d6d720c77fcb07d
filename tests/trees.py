"""Copies of the instructor's tree for tests that change it or run its commands."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from assignment import PROJECT

SOURCES = ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets")
LITTER = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", "*.npz")


def copy_tree(folder: Path, names: Iterable[str] = SOURCES) -> Path:
    """Copy what commands need of the instructor's tree into `folder`, which must not exist."""
    folder.mkdir(parents=True)
    for name in names:
        shutil.copytree(PROJECT / name, folder / name, ignore=LITTER)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    return folder
