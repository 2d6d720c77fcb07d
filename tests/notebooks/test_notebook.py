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
from nbclient.exceptions import CellExecutionError

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from assignment.workspace.regions import extract_cells, graft_cells, read_notebook, write_notebook
from gradkit.authoring.notebook_outputs import printed, role, set_parameters
from gradkit.course.starter import starter_files
from tests.banks import BANK

NOTEBOOK = PROJECT / EXERCISE.notebook
STUDENTS_FILES = ("assignment", "notebooks", "datasets", "get_datasets.sh", "requirements.txt")
ROLES = {"setup", "parameters", "display"}
SOFTMAX = "softmax.py"


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


def nbval(tree: Path, how: str = "--nbval") -> subprocess.CompletedProcess[str]:
    """The command of the README, from a folder that is not the notebook's.

    Without pytest's summary, which repeats each failure, whole where CI is set and cut elsewhere.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rN", how]
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


def test_each_check_of_the_exercise_is_one_line_whose_answer_nbval_compares(nb: Any) -> None:
    checks = [cell for cell in nb.cells if "check" in cell.metadata.get("gradkit", {})]
    assert [cell.metadata.gradkit.check for cell in checks] == EXERCISE.names
    for cell in checks:
        check = EXERCISE.check(cell.metadata.gradkit.check)
        assert cell.source == f'check("{check.name}")'
        assert cell.execution_count  # nbval compares no cell that was never run
        assert not cell.metadata.get("tags")
        points = "point" if check.points == 1 else "points"
        assert printed(cell) == [f"✓ {check.title} ({check.points} of {check.points} {points})"]


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


def mutant(tree: Path, mistake: str, region: str) -> None:
    """Put the first form of a known mistake into the student's files."""
    [first] = [p for p in BANK.mutants if (p.id, p.region, p.number) == (mistake, region, 0)]
    for path, source in first.tree.files.items():
        (tree / path).write_text(source, encoding="utf-8")


def stopped(tree: Path, nb: Any, last: str) -> str:
    """What Run All says when it stops at the check `last`."""
    with pytest.raises(CellExecutionError) as caught:
        run_cells(tree, nb, last)
    assert caught.value.ename == "CheckFailed"
    return str(caught.value)


@pytest.mark.parametrize(
    ("mistake", "region", "last"),
    [
        ("sum_not_mean", "softmax_naive", "check-naive-loss"),
        ("right_class_added", "softmax_naive", "check-naive-gradient"),
        ("no_max_shift", "softmax_naive", "check-naive-large-scores"),
        ("other_convention", "softmax_vectorized", "check-vectorized-loss"),
        ("loop_in_vectorized", "softmax_vectorized", "check-vectorized-no-loops"),
        ("same_batch_every_step", "train_batch", "check-train-batch"),
        ("update_with_plus", "train_update", "check-train-update"),
        ("predicts_the_lowest", "predict", "check-predict"),
    ],
)
def test_run_all_stops_at_a_mistake_and_calls_it_by_its_name(
    students_tree: Path,
    nb: Any,
    mistake: str,
    region: str,
    last: str,
    stand_in: Callable[[Path], None],
) -> None:
    stand_in(students_tree / "datasets")
    mutant(students_tree, mistake, region)
    said = stopped(students_tree, nb, last)
    assert f": {BANK.mistakes[mistake].name} (0 of " in said
    assert BANK.mistakes[mistake].hint.split(".")[0] in " ".join(said.split())
    assert "Traceback" not in said


def test_one_classifier_trained_for_all_pairs_is_noticed(
    students_tree: Path, nb: Any, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    wrong = nbformat.from_dict(json.loads(json.dumps(nb)))
    wrong.cells = [c for c in wrong.cells if c.id not in ("check-training", "gradient-check")]
    set_parameters(
        wrong, TUNING_LEARNING_RATES=[1e-6], TUNING_REGS=[1e2, 1e5], TUNING_ITERS=100, NUM_ITERS=10
    )
    [tuning] = [cell for cell in wrong.cells if cell.id == "tuning"]
    line = "        candidate = Softmax()\n"
    assert line in tuning.source
    tuning.source = "candidate = Softmax()\n" + tuning.source.replace(line, "")
    assert "one classifier for all pairs" in stopped(students_tree, wrong, "check-tuning")


def test_code_that_raises_shows_its_own_lines_and_nobody_elses(
    students_tree: Path, nb: Any, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    path = students_tree / "assignment" / "classifiers" / SOFTMAX
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("scores = X[i] @ W", "scores = np.dot(X[i], w)"))
    said = stopped(students_tree, nb, "check-naive-loss")
    assert "raised NameError" in said
    assert "scores = np.dot(X[i], w)" in said
    assert "name 'w' is not defined" in said
    assert "checks/" not in said
    assert "site-packages" not in said


def test_a_file_that_cannot_be_loaded_is_explained_in_the_first_cell(
    students_tree: Path, nb: Any
) -> None:
    mutant(students_tree, "print_statement", "softmax_naive")
    said = stopped(students_tree, nb, "setup")
    assert "a print statement" in said
    assert "print 'N', num_train" in said
    assert "print is a function in Python 3" in said


def test_a_check_looks_at_the_file_as_it_is_saved(
    students_tree: Path, nb: Any, stand_in: Callable[[Path], None]
) -> None:
    stand_in(students_tree / "datasets")
    told = nbformat.from_dict(json.loads(json.dumps(nb)))
    [cell] = [cell for cell in told.cells if cell.id == "check-naive-loss"]
    # Spoilt and mended while the kernel runs, with no time for autoreload to notice.
    cell.source = (
        "path = project / 'assignment/classifiers/softmax.py'\n"
        "right = path.read_text()\n"
        "path.write_text(right.replace('loss = loss / num_train', 'loss = 2 * loss / num_train'))\n"
        "try:\n    check('naive_loss')\nexcept Exception as failed:\n    print(failed)\n"
        "path.write_text(right)\n"
        "check('naive_loss')"
    )
    first, *_, last = printed(run_cells(students_tree, told, "check-naive-loss"))
    assert first.startswith("✗ Naive loss")
    assert last.startswith("✓ Naive loss")


@pytest.fixture
def starter(tmp_path: Path, stand_in: Callable[[Path], None]) -> Path:
    """What students are handed, with the stand-in in it."""
    for path, content in starter_files(PROJECT, ["softmax"]).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    stand_in(tmp_path / "datasets")
    return tmp_path


def test_the_students_full_run_fails_at_each_check_that_is_not_solved(starter: Path) -> None:
    ran = nbval(starter, "--nbval-lax")
    assert ran.returncode == 1
    for check in EXERCISE.checks:
        points = "point" if check.points == 1 else "points"
        line = f"· {check.title}: not attempted yet (0 of {check.points} {points})"
        assert ran.stdout.count(line) == 1


def test_the_students_full_run_passes_when_all_is_solved(starter: Path, nb: Any) -> None:
    for file in EXERCISE.files:
        shutil.copy(PROJECT / file, starter / file)
    path = starter / EXERCISE.notebook
    students = read_notebook(path.read_text(encoding="utf-8"), "the student's")
    solved = extract_cells(read_notebook(NOTEBOOK.read_text(encoding="utf-8"), "the solved"), "")
    grafted = graft_cells(students, solved, "the student's")
    path.write_text(write_notebook(grafted), encoding="utf-8")
    ran = nbval(starter, "--nbval-lax")
    assert ran.returncode == 0, ran.stdout[-3000:]
