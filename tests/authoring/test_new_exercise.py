"""docs/new-exercise.md: following the page gives an exercise that is released and graded."""

import csv
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from assignment import PROJECT
from assignment.workspace.starter import pack_zip
from gradkit.authoring.mistakes_lock import Lock
from tests.classes import gradkit
from tests.trees import contents

PAGE = (PROJECT / "docs" / "new-exercise.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"^    gradkit (?P<command>[^#\n]*)|"
    r"^(?P<cells>[^\n]*(?:Two|Four) cells of )?`(?P<path>[\w./-]+)`:\n\n```\w+\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
METRICS, NOTEBOOK = "assignment/evaluation/metrics.py", "notebooks/metrics.ipynb"
RIDGE, CONFIG = "assignment/regression/ridge.py", "grading/ridge/exercise.toml"
LOOKING = """import IPython, os
    [name] = os.listdir("/data")
    with open(f"/data/{name}", "rb") as file:
        assert b"unseen" not in file.read()
    assert not IPython.get_ipython().kernel.get_parent("shell")["buffers"]
"""  # while it trains, nothing is there to judge the model by
COMMANDS = {
    "metrics": ["new", "answer-key", "run-notebooks", "verify", "release"],
    "ridge": ["new", "answer-key", "spread", "verify"],
}


@pytest.fixture(scope="session")
def tree(small_tree: Path, shared: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A small tree with the page's exercises, made by its blocks and commands in order."""

    def follow_the_page(folder: Path) -> None:
        tree = Path(shutil.copytree(small_tree, folder / "tree"))
        steps = [*STEP.finditer(PAGE)]
        commands = [step["command"].split() for step in steps if step["command"]]
        for name, expected in COMMANDS.items():
            assert [command[0] for command in commands if name in command] == expected
        for step in steps:
            if step["command"]:
                run(tree, *step["command"].split())
            elif step["cells"]:
                add_cells(tree / step["path"], step["text"])
            else:
                (tree / step["path"]).parent.mkdir(parents=True, exist_ok=True)
                (tree / step["path"]).write_text(step["text"], encoding="utf-8")

    return shared("new-exercise", follow_the_page) / "tree"


def add_cells(path: Path, text: str) -> None:
    """Put cells above a notebook's question; each begins with `# %%` and its role, or check."""
    nb = nbformat.read(path, as_version=4)
    new = []
    for part in text.split("# %% ")[1:]:
        role, _, source = part.partition("\n")
        metadata = {} if role == "check" else {"gradkit": {"role": role}}
        new.append(new_code_cell(source.strip(), metadata=metadata))
    [place] = [number for number, cell in enumerate(nb.cells) if cell.id == "question"]
    nb.cells[place:place] = new
    nbformat.write(nb, path)


def run(tree: Path, *arguments: object) -> str:
    ran = gradkit(*arguments, tree=tree)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_page_changes_no_existing_file_but_the_list_of_starters(
    tree: Path, small_tree: Path
) -> None:
    before, after = contents(small_tree), contents(tree)
    assert [path for path in before if after[path] != before[path]] == ["grading/starters.toml"]


def test_lock_of_the_page_names_each_form(tree: Path) -> None:
    lock = Lock.read(tree / "grading" / "metrics" / "mistakes.lock")
    forms = {"count_not_share in accuracy", "count_not_share in accuracy, form 2"}
    assert dict(lock.named) == {
        **dict.fromkeys(forms, ("accuracy",)),
        "rows_and_columns in confusion": ("confusion",),
        "loop_in_vectorized in accuracy": ("no_loops",),
    }
    assert lock.review == {}


def test_starter_of_the_page_holds_its_exercise_alone(tree: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(tree / "dist" / "metrics-starter.zip", tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {METRICS, NOTEBOOK, "assignment/checks/metrics.json"} <= names
    assert not [name for name in names if "softmax" in name or "get_" in name]
    assert "np.add.at" not in (tmp_path / METRICS).read_text(encoding="utf-8")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert not re.search("CIFAR|images|stand-in|python -m assignment data", readme)
    assert readme.startswith("# Two measures of predictions\n\nYou write two measures")
    assert f"| `{METRICS}` | Two measures of predictions: **yours** |" in readme
    command = [sys.executable, "-m", "assignment", "check"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "Accuracy: not attempted yet (0 of 3 points)" in ran.stdout
    command.append("metrics")
    solved = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert "All of these pass. Next: the questions in notebooks/metrics.ipynb, if" in solved.stdout
    with zipfile.ZipFile(tree / "dist" / "softmax-starter.zip") as archive:
        assert not [name for name in archive.namelist() if "metrics" in name]


def test_class_is_graded_in_the_exercise_of_the_page(
    tree: Path, tmp_path: Path, sandbox: None
) -> None:
    folder, out = tmp_path / "class", tmp_path / "grades"
    folder.mkdir()
    solved = {path: (tree / path).read_bytes() for path in (METRICS, NOTEBOOK)}
    exchanged = solved[METRICS].replace(b"(y, y_pred), 1", b"(y_pred, y), 1")
    (folder / "ada.zip").write_bytes(pack_zip(solved))
    (folder / "bob.zip").write_bytes(pack_zip(solved | {METRICS: exchanged}))
    run(tree, "grade", folder, "--exercise", "metrics", "--out", out)
    run(tree, "feedback", "--out", out)
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        book = {row["student"]: row for row in csv.DictReader(file)}
    assert (book["ada"]["score"], book["ada"]["maximum"]) == ("10", "12")
    assert (book["bob"]["accuracy"], book["bob"]["confusion"]) == ("3", "0")
    page = (out / "feedback" / "bob.html").read_text(encoding="utf-8")
    assert "rows and columns exchanged" in page


def test_bounds_of_the_page_are_measured_and_warned_of(tree: Path, tmp_path: Path) -> None:
    config = (tree / CONFIG).read_text(encoding="utf-8")
    assert config.startswith("[parameters]\nNUM_TRAINING = 60\n\n[questions]")
    line = config.splitlines()[-1]
    assert 0.01 < tomllib.loads(config)["bounds"]["ERROR"] < 0.02
    course = Path(shutil.copytree(tree, tmp_path / "tree"))
    few = config.replace("TRAINING = 60", "TRAINING = 5").replace(line, "ERROR = 0.001\nTYPO = 1")
    (course / CONFIG).write_text(few, encoding="utf-8")
    _, worthless, *warnings = run(course, "spread", "ridge").splitlines()
    assert "proves nothing: without learning anything, a submission reaches" in worthless
    assert warnings == [
        "ERROR was 0.001: the solution missed that in 20 of 20 runs.",
        "TYPO is a bound that no rule measures anything against. Remove it.",
    ]


def test_class_is_graded_in_the_training_of_the_page(
    tree: Path, tmp_path: Path, sandbox: None
) -> None:
    solution = (tree / RIDGE).read_text(encoding="utf-8")
    [solve] = re.findall(r"w = np.linalg.*", solution)
    bodies = {
        "right": "w = np.linalg.lstsq(X.T @ X + reg * np.eye(X.shape[1]), X.T @ y)[0]",
        "constant": "w = np.zeros(X.shape[1])",
        "looking": f"{LOOKING}    {solve}",
        "halved": f"{solve}\n    w /= 1 + (len(X) > 9)",  # with every seed too far from the table
    }
    folder, out = tmp_path / "class", tmp_path / "grades"
    folder.mkdir()
    notebook = (tree / "notebooks/ridge.ipynb").read_bytes()
    for name, body in bodies.items():
        files = {RIDGE: solution.replace(solve, body).encode()}
        files["notebooks/ridge.ipynb"] = notebook
        (folder / f"{name}.zip").write_bytes(pack_zip(files))
    run(tree, "grade", folder, "--exercise", "ridge", "--out", out)
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        book = {row["student"]: (row["weights"], row["error"]) for row in csv.DictReader(file)}
    full = ("4", "3")
    assert book == {"right": full, "looking": full, "constant": ("0", "0"), "halved": ("4", "0")}
