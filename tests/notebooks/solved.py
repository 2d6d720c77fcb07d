"""The softmax starter with the solution in it, and the lines that its checks show."""

import re
import shutil
from pathlib import Path

import nbformat

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE

NB = nbformat.read(PROJECT / EXERCISE.notebook, as_version=4)
# The names of the checks in the notebook's order, those without points included.
CALLED = re.findall(r'^check\("(\w+)"\)$', "\n".join(cell.source for cell in NB.cells), re.M)
CODE_CELLS = sum(cell.cell_type == "code" for cell in NB.cells)


def copy_solved(starter: Path, folder: Path) -> Path:
    """Copy a starter, with the solved files and the stored notebook."""
    shutil.copytree(starter, folder, dirs_exist_ok=True)
    for path in (*EXERCISE.files, EXERCISE.notebook):
        shutil.copy(PROJECT / path, folder / path)
    return folder


def passed_line(name: str) -> str:
    return verdict_line(name, "✓", points=EXERCISE.check(name).points)


def verdict_line(name: str, mark: str, headline: str = "", points: int = 0) -> str:
    check = EXERCISE.check(name)
    unit = "point" if check.points == 1 else "points"
    shown = f" ({points} of {check.points} {unit})" if check.points else ""
    return f"{mark} {check.title}{headline}{shown}"
