"""An exercise on a table of numbers: drawn, trained on, measured and graded without any image."""

import csv
import json
import re
import tomllib
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.workspace.starter import pack_zip
from tests.authoring.conftest import RunGradkit

RIDGE, NOTEBOOK, CONFIG = (
    "assignment/regression/ridge.py",
    "notebooks/ridge.ipynb",
    "grading/ridge/exercise.toml",
)
SOLUTION = '''"""Ridge regression."""

import numpy as np


def fit(X, y, reg):
    """Return the weights (D,) that minimise the squared error plus reg * sum(w * w)."""
    # TODO: Solve the normal equations.
    ### BEGIN SOLUTION ridge
    w = np.linalg.solve(X.T @ X + reg * np.eye(X.shape[1]), X.T @ y)
    ### END SOLUTION
    return w
'''
CHECKS = '''"""The checks of ridge regression."""

import numpy as np

from assignment.checks.check import Check, Exercise, Finding
from assignment.checks.draws import Draws
from assignment.checks.unseen import UNSEEN_INPUTS, UNSEEN_LABELS, unseen_inputs, unseen_labels


def draw_table(seed, N):
    draws = Draws(seed, "table")
    w, X = draws.normal(5), draws.normal(N, 5)
    return X, X @ w + draws.normal(N) / 10


def data(parameters, seed):
    """Draw a table: N rows to train on, 100 in the notebook's second split, 300 unseen ones."""
    N = parameters["NUM_TRAINING"]
    X, y = draw_table(seed, N + 400)
    splits = {"X_train": X[:N], "y_train": y[:N], "X_val": X[N:-300], "y_val": y[N:-300]}
    return {**splits, UNSEEN_INPUTS: X[-300:], UNSEEN_LABELS: y[-300:]}


def weights(student, seed):
    return {"w": np.asarray(student.function("ridge", "fit")(*draw_table(seed, 9), 2.0))}


def predictions(student, seed):
    """Return predictions of the trained weights: for unseen rows or, in a notebook, for X_val."""
    return {"y_pred": unseen_inputs(student, "val") @ student.variable("w")}


def rule(arrays, context):
    """Find a mean squared error that is not below the bound ERROR."""
    y = unseen_labels(context, "val")
    error = float(np.mean((arrays["y_pred"] - y) ** 2))
    if context.meets("ERROR", error, "below", guess=float(np.var(y))):
        return None
    return Finding("", f"It is {error:.3g}; {context.expected('ERROR')}.", "a large error")


EXERCISE = Exercise(
    name="ridge",
    title="Ridge regression",
    about="You fit a line through a table of numbers.",
    notebook="notebooks/ridge.ipynb",
    files=("assignment/regression/ridge.py",),
    seed=234,
    bounds={"ERROR": 0.1},
    data=data,
    checks=(
        Check("weights", "Weights", 4, ("ridge",), weights, ("w",)),
        Check("error", "Error", 3, ("ridge",), predictions, rule=rule, in_notebook=True),
    ),
)
'''
[SOLVE] = re.findall(r"w = np.linalg.*", SOLUTION)
LOOKING = """import IPython, os
    [name] = os.listdir("/data")
    with open(f"/data/{name}", "rb") as file:
        assert b"unseen" not in file.read()
    assert not IPython.get_ipython().kernel.get_parent("shell")["buffers"]
"""  # while it trains, nothing is there to judge the model by
SETUP = """import sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd().parent))
from assignment.checks.notebook import Checks
check = Checks("ridge", globals())
from assignment.checks.ridge import draw_table
from assignment.regression.ridge import fit"""
DATA = """_X, _y = draw_table(SEED, NUM_TRAINING + 100)
X_train, y_train, X_val, y_val = _X[:-100], _y[:-100], _X[-100:], _y[-100:]"""
CELLS = [
    ({"role": "setup"}, SETUP),
    ({"check": "weights"}, 'check("weights")'),
    ({"role": "parameters"}, "SEED = 7\nNUM_TRAINING = 1000\nREG = 0.1"),
    ({"role": "data"}, DATA),
    ({"role": "setup"}, "w = fit(X_train, y_train, REG)"),
    ({"check": "error"}, 'check("error")'),
]


@pytest.fixture
def ridge(course: Path) -> Path:
    """The instructor's tree with the exercise."""
    cells = [
        {
            **{"cell_type": "code", "id": f"c{number}", "metadata": {"gradkit": about}},
            **{"execution_count": None, "outputs": [], "source": source},
        }
        for number, (about, source) in enumerate(CELLS)
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    for path, text in {
        RIDGE: SOLUTION,
        NOTEBOOK: json.dumps(notebook, indent=1),
        CONFIG: "# Small.\n\n[parameters]\nNUM_TRAINING = 60\n\n[limits]\ncheck_seconds = 5\n",
        "assignment/regression/__init__.py": "",
        "assignment/checks/ridge.py": CHECKS,
        "grading/ridge/mistakes.toml": (
            '[unregularised]\nname = "not regularised"\nhint = "Add reg to the diagonal."\n'
            'replace = [[" + reg * np.eye(X.shape[1])", ""]]'
        ),
    }.items():
        (course / path).parent.mkdir(parents=True, exist_ok=True)
        (course / path).write_text(text, encoding="utf-8")
    with (course / "grading" / "starters.toml").open("a", encoding="utf-8") as file:
        file.write('ridge-starter = ["ridge"]\n')
    return course


def test_page_shows_the_code_of_this_exercise() -> None:
    page = (PROJECT / "docs" / "new-exercise.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```$", page[page.index("## 8.") :], re.DOTALL | re.M)
    assert len(shown) == 2
    for code in shown:
        assert code in CHECKS


def test_exercise_without_images_is_measured_and_graded(
    ridge: Path, gradkit: RunGradkit, tmp_path: Path, sandbox: None
) -> None:
    def run(*arguments: str) -> str:
        ran = gradkit(*arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("answer-key", "--exercise", "ridge")
    line, *warnings = run("spread", "ridge").splitlines()
    config = (ridge / CONFIG).read_text()
    assert config.startswith("# Small.\n\n[parameters]\nNUM_TRAINING = 60\n\n[limits]")
    assert config.endswith(f"\n\n[bounds]\n{line}\n")
    assert 0.01 < tomllib.loads(config)["bounds"]["ERROR"] < 0.02
    assert warnings == []
    run("verify", "--exercise", "ridge", "--accept")
    few = config.replace("TRAINING = 60", "TRAINING = 5").replace(line, "ERROR = 0.001\nTYPO = 1")
    (ridge / CONFIG).write_text(few)
    _, worthless, *warnings = run("spread", "ridge").splitlines()
    assert "proves nothing: without learning anything, a submission reaches" in worthless
    assert warnings == [
        "ERROR was 0.001: the solution missed that in 20 of 20 runs.",
        "TYPO is a bound that no rule measures anything against. Remove it.",
    ]
    (ridge / CONFIG).write_text(config)

    bodies = {
        "right": "w = np.linalg.lstsq(X.T @ X + reg * np.eye(5), X.T @ y)[0]",
        "constant": "w = np.zeros(5)",
        "looking": f"{LOOKING}    {SOLVE}",
        "few": "w = np.linalg.solve(X[:9].T @ X[:9] + reg * np.eye(5), X[:9].T @ y[:9])",
    }
    folder, out = tmp_path / "class", tmp_path / "grades"
    folder.mkdir()
    for name, body in bodies.items():
        files = {RIDGE: SOLUTION.replace(SOLVE, body), NOTEBOOK: (ridge / NOTEBOOK).read_text()}
        content = pack_zip({path: text.encode() for path, text in files.items()})
        (folder / f"{name}.zip").write_bytes(content)
    run("grade", str(folder), "--exercise", "ridge", "--out", str(out))
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        book = {row["student"]: (row["weights"], row["error"]) for row in csv.DictReader(file)}
    full = ("4", "3")
    assert book == {"right": full, "looking": full, "constant": ("0", "0"), "few": ("4", "0")}
