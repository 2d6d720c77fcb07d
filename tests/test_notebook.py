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

from gradkit.notebook import NOTEBOOK, PROJECT, printed, role, set_parameters

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
    shutil.copy(PROJECT / "pyproject.toml", students_tree)  # as in the instructor's tree
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


def test_the_tree_that_the_notebook_stands_in_goes_before_that_of_an_outer_session(
    students_tree: Path, tmp_path: Path, nb: Any
) -> None:
    # As when nbval is called from a notebook of another copy: its session's name is inherited.
    outer = tmp_path / "outer"
    shutil.copytree(students_tree, outer)
    name = str(outer / "notebooks" / "softmax.ipynb")
    cell = run_cells(students_tree, nb, "setup", JPY_SESSION_NAME=name)
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


def test_code_that_could_not_be_reloaded_is_not_described_as_loaded(
    students_tree: Path, nb: Any
) -> None:
    path = students_tree / "assignment" / "classifiers" / SOFTMAX
    edits = {
        "valid": "source.replace('sum_exp = 0.0', 'sum_exp = 1.0')",
        "invalid": "source + 'def broken(:'",
    }
    for name, edit in edits.items():
        told = nbformat.from_dict(json.loads(json.dumps(nb)))
        [setup] = [cell for cell in told.cells if cell.id == "setup"]
        # What another process does between two runs of a cell, without autoreload's notice.
        setup.source += (
            f"\npath = Path({str(path)!r})\nsource = path.read_text()\n"
            f"path.write_text({edit})\nprint('EDITED')\nprint(describe_source(softmax))\n"
            "path.write_text(source)"
        )
        lines = printed(run_cells(students_tree, told, "setup"))
        before, after = lines[: lines.index("EDITED")], lines[lines.index("EDITED") :]
        assert not any("NOT the code" in line for line in before)
        [complaint] = [line for line in after if "This is NOT the code that runs" in line]
        expected = {"valid": "softmax_loss_naive differs", "invalid": "no valid Python"}[name]
        assert expected in complaint


# --- what is wrong --------------------------------------------------------------------------------

SOFTMAX, LINEAR = "softmax.py", "linear_classifier.py"
MISTAKES = [
    (SOFTMAX, "loss = loss / num_train +", "loss = loss +", "check-initial-loss", ["mean over"]),
    (SOFTMAX, "(p - (c == y[i]))", "(p + (c == y[i]))", "check-gradient", ["reg = 0", "reg = 10"]),
    (SOFTMAX, "/ num_train + reg * W", "/ num_train", "check-gradient", ["reg = 10"]),
    (SOFTMAX, "dscores /= num_train", "pass", "check-vectorized", ["The two gradients differ"]),
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


def test_one_classifier_trained_for_all_pairs_is_noticed(
    students_tree: Path, nb: Any, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    wrong = nbformat.from_dict(json.loads(json.dumps(nb)))
    set_parameters(
        wrong, TUNING_LEARNING_RATES=[1e-6], TUNING_REGS=[1e2, 1e5], TUNING_ITERS=100, NUM_ITERS=10
    )
    [tuning] = [cell for cell in wrong.cells if cell.id == "tuning"]
    line = "        candidate = Softmax()\n"
    assert line in tuning.source
    tuning.source = "candidate = Softmax()\n" + tuning.source.replace(line, "")
    lines = printed(run_cells(students_tree, wrong, "check-tuning"))
    assert [line[0] for line in lines][:2] == ["✓", "✗"]
    assert "Was one Softmax() trained for several pairs?" in lines[1]


def test_a_loss_that_computes_nothing_does_not_pass_the_gradient_check(
    students_tree: Path, nb: Any, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    path = students_tree / "assignment" / "classifiers" / SOFTMAX
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("    num_classes = W.shape[1]\n", "    return loss, dW\n"))
    lines = printed(run_cells(students_tree, nb, "check-gradient"))
    assert [line[0] for line in lines] == ["✗", "✗"]


def test_nbval_fails_where_a_function_is_not_written_yet(
    students_tree: Path, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    path = students_tree / "assignment" / "classifiers" / SOFTMAX
    source = path.read_text(encoding="utf-8")
    for first_line in ("    num_classes = W.shape[1]\n", "    X = X.astype(W.dtype, copy=False)\n"):
        assert source.count(first_line) == 1
        source = source.replace(first_line, "    raise NotImplementedError\n")
    path.write_text(source, encoding="utf-8")
    ran = nbval(students_tree)
    assert ran.returncode == 1
    assert "NotImplementedError" in ran.stdout
