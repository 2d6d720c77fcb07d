"""The softmax starter with the solution in it, and the lines that its checks show."""

import re
import shutil
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from gradkit.authoring.notebook_outputs import set_parameters

NB = nbformat.read(PROJECT / EXERCISE.notebook, as_version=4)
# The names of the checks in the notebook's order, those without points included.
CALLED = re.findall(r'^check\("(\w+)"\)$', "\n".join(cell.source for cell in NB.cells), re.M)
CODE_CELLS = sum(cell.cell_type == "code" for cell in NB.cells)

# The checks of the results still pass: fewer images, fewer and larger steps, and fewer pairs.
SHORT_TRAINING = {
    "NUM_TRAINING": 5000,
    "NUM_DEV": 100,
    "LEARNING_RATE": 1e-6,
    "NUM_ITERS": 300,
    "TUNING_LEARNING_RATES": [1e-6],
    "TUNING_REGS": [1e2, 1e3],
    "TUNING_ITERS": 500,
}


def copy_solved(starter: Path, folder: Path) -> Path:
    """Copy a starter, with the solved files and the stored notebook."""
    shutil.copytree(starter, folder, dirs_exist_ok=True)
    for path in (*EXERCISE.files, EXERCISE.notebook):
        shutil.copy(PROJECT / path, folder / path)
    return folder


def shorten(path: Path) -> None:
    """Give a notebook a short training, and remove its outputs."""
    nb = nbformat.read(path, as_version=4)
    nb, _ = ClearOutputPreprocessor().preprocess(nb, {})
    set_parameters(nb, **SHORT_TRAINING)
    nbformat.write(nb, path)


def passed_line(name: str) -> str:
    return verdict_line(name, "✓", points=EXERCISE.check(name).points)


def verdict_line(name: str, mark: str, headline: str = "", points: int = 0) -> str:
    check = EXERCISE.check(name)
    unit = "point" if check.points == 1 else "points"
    shown = f" ({points} of {check.points} {unit})" if check.points else ""
    return f"{mark} {check.title}{headline}{shown}"
