"""Copies of the instructor's tree for tests that change it or run its commands."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from assignment import PROJECT

SOURCES = ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets")
FILES = (
    *("get_datasets.sh", "requirements.txt"),
    *("LICENSE", "README.md", "constraints.txt", "pyproject.toml"),  # of an autograder
)
LITTER = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", ".lock", "*.npz")


def copy_tree(folder: Path, names: Iterable[str] = SOURCES) -> Path:
    """Copy what commands need of the instructor's tree into `folder`, which must not exist."""
    folder.mkdir(parents=True)
    for name in names:
        shutil.copytree(PROJECT / name, folder / name, ignore=LITTER)
    for name in FILES:
        shutil.copy(PROJECT / name, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by path, except what Python leaves there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
