"""The notebook: it passes as it stands, wherever it is started, and sees what is wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from gradkit.notebook import NOTEBOOK, PROJECT, printed, role

STUDENTS_FILES = ("assignment", "notebooks", "datasets", "get_datasets.sh", "requirements.txt")
ROLES = {"setup", "parameters", "display"}


@pytest.fixture(scope="module")
def nb() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture
def students_tree(tmp_path: Path) -> Path:
    """A copy of what students get, without data."""
    tree = tmp_path / "softmax"
    tree.mkdir()
    ignored = shutil.ignore_patterns("cifar-10-*", "__pycache__", "*.npz", ".ipynb_checkpoints")
    for name in STUDENTS_FILES:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree / name)
    return tree


def nbval(tree: Path) -> subprocess.CompletedProcess[str]:
    """The command of the README, from a folder that is not the notebook's."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval"]
    return subprocess.run(
        [*command, "notebooks/softmax.ipynb"], cwd=tree, capture_output=True, text=True, check=False
    )


def run_cells(tree: Path, nb: Any, last: str, **env: str) -> Any:
    """Run the notebook in `tree` up to the cell `last`, and return that cell with its outputs."""
    ids = [cell.id for cell in nb.cells]
    cut = nbformat.from_dict(json.loads(json.dumps(nb)))
    cut.cells = [c for c in cut.cells[: ids.index(last) + 1] if role(c) != "display"]
    notebooks = tree / "notebooks"
    resources = {"metadata": {"path": str(notebooks if notebooks.exists() else tree)}}
    client = NotebookClient(cut, timeout=120, kernel_name="python3", resources=resources)
    client.execute(env=os.environ | env)
    return cut.cells[-1]


# --- as it stands ---------------------------------------------------------------------------------


def test_nbval_passes_on_a_fresh_copy_and_draws_the_stand_in(students_tree: Path, nb: Any) -> None:
    ran = nbval(students_tree)
    assert ran.returncode == 0, ran.stdout[-3000:]
    code_cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert f"{len(code_cells)} passed" in ran.stdout
    assert (students_tree / "datasets" / "cifar-10-synthetic" / "test_batch").exists()


def test_nbval_goes_on_passing_when_the_real_data_have_arrived(
    students_tree: Path, real_cifar10: Path
) -> None:
    (students_tree / "datasets" / "cifar-10-batches-py").symlink_to(real_cifar10.resolve())
    ran = nbval(students_tree)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert not (students_tree / "datasets" / "cifar-10-synthetic").exists()


def test_every_check_prints_verdicts_that_nbval_compares(nb: Any) -> None:
    checks = [cell for cell in nb.cells if "check" in cell.metadata.get("gradkit", {})]
    assert len(checks) == 6
    for cell in checks:
        assert cell.execution_count  # nbval compares no cell that was never run
        assert not set(cell.metadata.get("tags", [])) & {"nbval-ignore-output", "nbval-skip"}
        lines = printed(cell)
        assert lines
        assert all(line.startswith("✓ ") for line in lines)
        assert not any(character.isdigit() for line in lines for character in _without_reg(line))


def _without_reg(line: str) -> str:
    """A verdict without the numbers that do not depend on the data."""
    return line.replace("-log(0.1)", "").replace("reg = 0)", "").replace("reg = 10)", "")


def test_every_code_cell_has_its_place(nb: Any) -> None:
    for cell in nb.cells:
        about = cell.metadata.get("gradkit", {})
        assert cell.cell_type == "markdown" or len(about) == 1
        assert set(about) <= {"role", "region", "check"}
        assert about.get("role", "setup") in ROLES
    assert [c.id for c in nb.cells if "parameters" in c.metadata.get("tags", [])] == ["parameters"]
    assert [c.id for c in nb.cells if role(c) == "parameters"] == ["parameters"]
    regions = [cell.metadata.get("gradkit", {}).get("region") for cell in nb.cells]
    assert sorted(filter(None, regions)) == [
        "answer_added_picture",
        "answer_initial_loss",
        "answer_step",
        "answer_templates",
        "tuning",
    ]


def test_what_is_stored_is_of_no_particular_machine(nb: Any) -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert str(PROJECT) not in text
    assert str(Path.home()) + "/" not in text
    assert nb.metadata.kernelspec.name == "python3"
    assert nb.metadata.language_info == {"name": "python"}
    assert not [o for c in nb.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert NOTEBOOK.stat().st_size < 2**20


# --- wherever it is started -----------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["JPY_SESSION_NAME", "__vsc_ipynb_file__"])
def test_the_assignment_is_found_from_the_notebooks_own_path(
    students_tree: Path, tmp_path: Path, nb: Any, variable: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own_path = str(students_tree / "notebooks" / "softmax.ipynb")
    if variable == "JPY_SESSION_NAME":
        cell = run_cells(elsewhere, nb, "setup", JPY_SESSION_NAME=own_path)
    else:  # as VS Code does, which sets a variable in the kernel
        told = nbformat.from_dict(json.loads(json.dumps(nb)))
        [setup] = [cell for cell in told.cells if cell.id == "setup"]
        setup.source = f"__vsc_ipynb_file__ = {own_path!r}\n{setup.source}"
        cell = run_cells(elsewhere, told, "setup")
    assert printed(cell)[0].startswith(str(students_tree / "assignment"))


def test_without_its_assignment_the_notebook_says_where_it_belongs(tmp_path: Path, nb: Any) -> None:
    with pytest.raises(Exception, match="Keep this notebook in the `notebooks` folder"):
        run_cells(tmp_path, nb, "setup")


def test_the_setup_cell_tells_which_code_is_loaded(students_tree: Path, nb: Any) -> None:
    first = printed(run_cells(students_tree, nb, "setup"))[0]
    assert "classifiers/softmax.py, saved 20" in first
    edited = students_tree / "assignment" / "classifiers" / "softmax.py"
    edited.write_text(edited.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    second = printed(run_cells(students_tree, nb, "setup"))[0]
    assert first.split("sha256")[1] != second.split("sha256")[1]


# --- what is wrong --------------------------------------------------------------------------------

SOFTMAX, LINEAR = "softmax.py", "linear_classifier.py"
MISTAKES = [
    (SOFTMAX, "loss = loss / num_train +", "loss = loss +", "check-initial-loss", ["mean over"]),
    (SOFTMAX, "(p - (c == y[i]))", "(p + (c == y[i]))", "check-gradient", ["reg = 0", "reg = 10"]),
    (SOFTMAX, "/ num_train + reg * W", "/ num_train", "check-gradient", ["reg = 10"]),
    (SOFTMAX, "dscores /= len(samples)", "pass", "check-vectorized", ["The two gradients differ"]),
    (SOFTMAX, "loss += 0.5 * reg", "loss += reg", "check-vectorized", ["The two losses differ"]),
    (
        LINEAR,
        "self.W -= learning_rate",
        "self.W += learning_rate",
        "check-training",
        ["fall", "Is"],
    ),
    (LINEAR, "np.argmax(X @", "np.argmin(X @", "check-training", ["expected above"]),
]


@pytest.mark.parametrize(("file", "right", "wrong", "check", "complaints"), MISTAKES)
@pytest.mark.filterwarnings("ignore")
def test_a_mistake_fails_the_check_that_it_belongs_to(
    students_tree: Path,
    nb: Any,
    file: str,
    right: str,
    wrong: str,
    check: str,
    complaints: list[str],
    stand_in: Callable[[Path], None],
) -> None:
    stand_in(students_tree / "datasets")
    path = students_tree / "assignment" / "classifiers" / file
    source = path.read_text(encoding="utf-8")
    assert source.count(right) == 1
    path.write_text(source.replace(right, wrong), encoding="utf-8")
    lines = printed(run_cells(students_tree, nb, check))
    failed = [line for line in lines if line.startswith("✗")]
    assert len(failed) == len(complaints)
    for line, complaint in zip(failed, complaints, strict=True):
        assert complaint in line


def test_nbval_fails_where_a_function_is_not_written_yet(
    students_tree: Path, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    path = students_tree / "assignment" / "classifiers" / SOFTMAX
    source = path.read_text(encoding="utf-8")
    for first_line in ("    num_train = X.shape[0]\n", "    X = X.astype(W.dtype, copy=False)\n"):
        assert source.count(first_line) == 1
        source = source.replace(first_line, "    raise NotImplementedError\n")
    path.write_text(source, encoding="utf-8")
    ran = nbval(students_tree)
    assert ran.returncode == 1
    assert "NotImplementedError" in ran.stdout
