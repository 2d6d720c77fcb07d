"""What a student packs is what is graded, and what would not work there is said before."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.__main__ import main
from assignment.checks.check import load_exercise
from assignment.workspace.regions import read_notebook, region_of, source_of, write_notebook
from assignment.workspace.starter import STARTER_MANIFEST
from assignment.workspace.submit import SubmitError, submit
from gradkit.course.starter import starter_files
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import read_submission

SOFTMAX = load_exercise("softmax")
FILE, OTHER_FILE = SOFTMAX.files
NOTEBOOK = SOFTMAX.notebook
NAME = "softmax-submission.zip"
STUBS = ("softmax_naive", "softmax_vectorized", "train_batch", "train_update", "predict")


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("starter")
    for path, content in starter_files(PROJECT, ["softmax"]).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def project(starter: Path, tmp_path: Path) -> Path:
    """A student's project in which everything is done, in a way."""
    folder = tmp_path / "project"
    shutil.copytree(starter, folder)
    for path in (FILE, OTHER_FILE):
        for name in STUBS:
            replace(folder / path, f'raise NotImplementedError("{name}")', f"pass  # {name}")
    edit_cells(folder, lambda cell: set_source(cell, "tuning", cell_with("best_val = 0.5")))
    for name in ("initial_loss", "step", "templates", "added_picture"):
        edit_cells(folder, lambda cell, n=name: set_source(cell, f"answer_{n}", "Because."))  # type: ignore[misc]
    return folder


def cell_with(body: str) -> str:
    lines = ["results = {}", "### START OF YOUR CODE: tuning", body, "### END OF YOUR CODE"]
    return "\n".join(lines) + "\n"


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def edit_cells(project: Path, change: Callable[[dict[str, Any]], object]) -> None:
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    for cell in nb["cells"]:
        change(cell)
    (project / NOTEBOOK).write_text(write_notebook(nb))


def add_cell(project: Path, source: str) -> None:
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    cell = {"cell_type": "code", "id": "mine", "metadata": {}, "source": source, "outputs": []}
    nb["cells"].insert(5, {**cell, "execution_count": None})
    (project / NOTEBOOK).write_text(write_notebook(nb))


def set_source(cell: dict[str, Any], region: str, source: str) -> None:
    if region_of(cell) == region:
        cell["source"] = source


def tune(project: Path, body: str) -> None:
    edit_cells(project, lambda cell: set_source(cell, "tuning", cell_with(body)))


def put_before(project: Path, cell_id: str, line: str) -> None:
    """Put a line at the beginning of one of the course's cells."""

    def change(cell: dict[str, Any]) -> None:
        if cell.get("id") == cell_id:
            cell["source"] = f"{line}\n{source_of(cell)}"

    edit_cells(project, change)


def warnings(project: Path) -> list[str]:
    said = submit(SOFTMAX, project=project)
    assert all(line.isprintable() for line in said.splitlines())
    return [line.removeprefix("- ") for line in said.splitlines() if line.startswith("- ")]


# --- what is packed ------------------------------------------------------------------------------


def test_what_is_packed_is_what_the_grader_reads(project: Path) -> None:
    said = submit(SOFTMAX, project=project)
    with zipfile.ZipFile(project / NAME) as archive:
        assert sorted(archive.namelist()) == sorted([FILE, OTHER_FILE, NOTEBOOK, STARTER_MANIFEST])
        for name in archive.namelist():
            assert archive.read(name) == (project / name).read_bytes()
    work = read_submission(single_submission(project / NAME), SOFTMAX)
    assert set(work.files) == {FILE, OTHER_FILE}
    assert work.cells == {"tuning": cell_with("best_val = 0.5")}
    assert len(work.written_answers) == 4
    assert work.version == json.loads((project / STARTER_MANIFEST).read_text())["version"]
    assert work.notes == []
    first, *rest = said.splitlines()
    assert first.startswith(f"Packed {NAME}, ")
    assert "SHA-256 " in first
    assert rest[-1] == f"Upload {project / NAME} where your course collects the work."
    assert [line.split(",")[0].strip() for line in rest[:-1]] == [
        *(FILE, OTHER_FILE, NOTEBOOK, STARTER_MANIFEST),
    ]


def test_the_same_work_is_the_same_file_on_every_day(project: Path) -> None:
    submit(SOFTMAX, project=project)
    first = (project / NAME).read_bytes()
    os.utime(project / FILE, (1e9, 1e9))
    submit(SOFTMAX, project=project)
    assert (project / NAME).read_bytes() == first


def test_the_command_packs_and_says_what_to_do(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "assignment", "submit", "--out", str(tmp_path / "mine.zip")]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Packed mine.zip, ")
    assert ran.stderr == ""
    assert not (project / NAME).exists()
    (project / NOTEBOOK).unlink()
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{NOTEBOOK} is missing in {project}. Nothing was packed.")


def test_an_exercise_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["submit", "knn"])
    assert stopped.value.code == 2
    assert "there is no exercise 'knn'; there are: softmax, svm" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["submit"])
    assert stopped.value.code == 2
    assert "name one of the exercises: softmax, svm" in capsys.readouterr().err


# --- what is refused -----------------------------------------------------------------------------


def test_the_instructors_tree_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "softmax"]) == 1
    assert "is the instructor's tree, with the solutions in it" in capsys.readouterr().err
    assert not (PROJECT / NAME).exists()


@pytest.mark.parametrize("path", [FILE, OTHER_FILE, NOTEBOOK])
def test_a_missing_file_is_refused(path: str, project: Path) -> None:
    (project / path).unlink()
    refused(project, f"{path} is missing in {project}. Nothing was packed.")
    (project / path).mkdir()
    refused(project, f"{project / path} cannot be read: Is a directory. Nothing was packed.")


def refused(project: Path, said: str) -> None:
    with pytest.raises(SubmitError) as error:
        submit(SOFTMAX, project=project)
    assert said in str(error.value)
    assert not (project / NAME).exists()


def test_a_region_that_cannot_be_made_out_is_refused(project: Path) -> None:
    text = (project / FILE).read_text()
    (project / FILE).write_text(text.replace("### END OF YOUR CODE", "", 1))
    refused(project, "region 'softmax_vectorized' begins inside region 'softmax_naive'")
    (project / FILE).write_text(text.replace("### START OF YOUR CODE: softmax_naive", "#"))
    refused(project, "`### END OF YOUR CODE` ends a region, but none has begun")
    without = [line for line in text.splitlines() if "OF YOUR CODE" not in line]
    (project / FILE).write_text("\n".join(without))
    refused(project, f"{FILE} has no region softmax_naive any more. Nothing was packed.")
    (project / STARTER_MANIFEST).unlink()
    refused(project, "has no region softmax_naive any more. Nothing was packed.")


def test_a_cell_that_is_gone_is_refused(project: Path) -> None:
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    for region in ("tuning", "answer_step"):
        cells = [cell for cell in nb["cells"] if region_of(cell) != region]
        (project / NOTEBOOK).write_text(write_notebook({**nb, "cells": cells}))
        refused(project, f"{NOTEBOOK} has no cell {region} any more. Nothing was packed.")


def test_a_damaged_file_is_refused(project: Path) -> None:
    notebook = (project / NOTEBOOK).read_bytes()
    (project / NOTEBOOK).write_bytes(notebook[:-5])
    refused(project, f"{NOTEBOOK} is not a notebook, or a damaged one")
    (project / NOTEBOOK).write_bytes(notebook)
    (project / FILE).write_bytes(b"# \xff\n")
    refused(project, f"{FILE}, line 1: the byte 0xff is not UTF-8")


def test_what_the_grader_would_not_take_is_refused(project: Path) -> None:
    notebook = (project / NOTEBOOK).read_text()
    tune(project, "#" * 100_000)
    refused(project, f"{NOTEBOOK}: the cell tuning has more than 100 kB, which is not taken.")
    (project / NOTEBOOK).write_text(notebook + " " * 20_000_000)
    refused(project, "and no more than 20,000 kB are taken. Nothing was packed. Clear the notebook")
    (project / NOTEBOOK).write_text(notebook)
    (project / FILE).write_text((project / FILE).read_text() + "#" * 1_000_000)
    refused(project, f"{FILE} has 1,003 kB, and no more than 1,000 kB are taken.")


def test_no_other_file_is_overwritten(project: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "holiday.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("beach.jpg", b"")
    for place in (project / FILE, zipped):
        before = place.read_bytes()
        with pytest.raises(SubmitError, match="is there, and no submission that was packed here"):
            submit(SOFTMAX, place, project)
        assert place.read_bytes() == before
    with pytest.raises(SubmitError, match="is a folder"):
        submit(SOFTMAX, tmp_path, project)
    with pytest.raises(SubmitError, match="cannot be written: No such file or directory"):
        submit(SOFTMAX, tmp_path / "none" / "mine.zip", project)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.zip", "project"]


# --- what is said before -------------------------------------------------------------------------


def test_nothing_is_said_of_work_that_is_done(project: Path) -> None:
    assert warnings(project) == []


def test_the_solution_raises_no_warning(project: Path, tmp_path: Path) -> None:
    solved = read_notebook((PROJECT / NOTEBOOK).read_text(), NOTEBOOK)
    tuning = next(source_of(c) for c in solved["cells"] if region_of(c) == "tuning")
    edit_cells(project, lambda cell: set_source(cell, "tuning", tuning))
    assert warnings(project) == []
    # Nor where something of the notebook was changed, be it a parameter.
    put_before(project, "parameters", "X_ = 1")
    add_cell(project, "print(X_train)")
    assert warnings(project) == []


def test_open_stubs_are_told(starter: Path, project: Path) -> None:
    shutil.copy(starter / OTHER_FILE, project / OTHER_FILE)
    assert warnings(project) == ["Not attempted yet: train_batch, train_update, predict."]
    shutil.copy(starter / FILE, project / FILE)
    shutil.copy(starter / NOTEBOOK, project / NOTEBOOK)
    assert warnings(project) == [
        f"Not attempted yet: {', '.join(STUBS)}, tuning.",
        "Not answered yet: answer_initial_loss, answer_step, answer_templates, "
        "answer_added_picture.",
    ]


def test_names_that_nobody_defines_are_told(project: Path) -> None:
    add_cell(project, "from itertools import product\ndef helper():\n    return rates\n")
    tune(
        project,
        "for rate, reg in product(TUNING_LEARNING_RATES, TUNING_REGS):\n"
        "    best_val = max(best_val, helper(), len(rates))\n"
        "    best = [x for x in results if (y := x)] + [y]\n"
        "def again(z):\n    global later\n    later = z, np, typo\n    return again(later)",
    )
    added = "which is defined in a cell that was added. Those are left out where it is graded"
    assert warnings(project) == [
        f"The cell tuning uses `helper`, {added}. Define it in the cell tuning.",
        f"The cell tuning uses `product`, {added}. Define it in the cell tuning.",
        "The cell tuning uses `rates`, which nobody defines where it is graded. Define it in the "
        "cell tuning.",
        "The cell tuning uses `typo`, which nobody defines where it is graded. Define it in the "
        "cell tuning.",
    ]


def test_names_from_cells_that_only_show_something_are_told(project: Path) -> None:
    tune(project, "best_val = timed(Softmax)")
    assert warnings(project) == [
        "The cell tuning uses `timed`, which is defined in a cell that only shows something. Those "
        "are left out where it is graded. Define it in the cell tuning."
    ]


def test_names_that_were_put_into_a_cell_of_the_courses_are_told(project: Path) -> None:
    put_before(project, "setup", "from itertools import product")
    tune(project, "best_val = list(product(TUNING_REGS, [SEED, np.pi, X_val, y_val, time, os]))")
    assert warnings(project) == [
        "The cell tuning uses `product`, from a cell that is not yours. If you put it there, put "
        "it into the cell tuning: the others are graded as they were handed out."
    ]


def test_names_that_a_second_cell_of_the_region_defines_are_defined(project: Path) -> None:
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    [number] = [n for n, cell in enumerate(nb["cells"]) if region_of(cell) == "tuning"]
    copy = {**nb["cells"][number], "id": "copy", "source": "from itertools import product"}
    nb["cells"].insert(number, copy)
    (project / NOTEBOOK).write_text(write_notebook(nb))
    tune_last = cell_with("best_val = list(product([1], [2]))")
    edit_cells(
        project,
        lambda cell: (
            cell.update(source=tune_last)
            if region_of(cell) == "tuning" and cell["id"] != "copy"
            else None
        ),
    )
    assert warnings(project) == []


def test_what_ipython_reads_is_no_fault_and_what_nobody_can_is(project: Path) -> None:
    tune(project, "%matplotlib inline\n!ls\nnp.max?\nif True:\n    %time pass\ndisplay(1)")
    assert warnings(project) == []
    tune(project, "from numpy import *\nbest_val = exp(1)")
    assert warnings(project) == []
    tune(project, "best_val = = 1")
    assert warnings(project) == [
        "The cell tuning cannot be read as Python: line 3, invalid syntax."
    ]
    replace(project / FILE, "pass  # softmax_naive", "loss = = 1")
    said, *_ = warnings(project)
    assert said.startswith(f"{FILE} cannot be read as Python: line ")
    assert said.endswith(", invalid syntax.")


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("from .mine import top", "assignment/classifiers/mine.py"),
        ("from . import mine", "assignment/classifiers/mine.py"),
        ("from .. import mine", "assignment/mine.py"),
        ("from assignment.classifiers import mine", "assignment/classifiers/mine.py"),
        ("import assignment.classifiers.mine as m", "assignment/classifiers/mine.py"),
        ("import mine", "mine.py"),
        ("from mine import top", "mine.py"),
        ("import mine.deep", "mine/deep.py"),
        ("from mine import deep", "mine/__init__.py"),
    ],
)
def test_modules_that_stay_behind_are_told(line: str, module: str, project: Path) -> None:
    (project / module).parent.mkdir(exist_ok=True)
    (project / module).write_text("top = 1\n")
    replace(project / FILE, "import numpy as np\n", f"import numpy as np\n{line}\n")
    assert warnings(project) == [
        f"{FILE} imports {module}, which is not handed in: of your code, only {FILE}, "
        f"{OTHER_FILE} and your cells are. Put what it needs into those."
    ]


def test_a_cell_that_needs_a_module_of_the_students_is_told(project: Path) -> None:
    (project / "notebooks/mine.py").write_text("top = 1\n")
    tune(project, "from mine import top")
    [warning] = warnings(project)
    assert warning.startswith("The cell tuning imports notebooks/mine.py, which is not handed in")


def test_modules_of_the_courses_and_of_others_are_no_fault(project: Path) -> None:
    lines = (
        "import assignment.vis_utils, os.path, matplotlib.pyplot as plt\n"
        "from .softmax import softmax_loss_naive\nfrom ..gradient_check import relative_error\n"
        "from assignment import data_utils\nfrom .... import beyond\nimport not_installed\n"
    )
    replace(project / OTHER_FILE, "import numpy as np\n", f"import numpy as np\n{lines}")
    assert warnings(project) == []


def test_a_missing_record_of_the_starter_is_told(project: Path) -> None:
    (project / STARTER_MANIFEST).write_text("{}")
    [warning] = warnings(project)
    assert warning.startswith(f"{STARTER_MANIFEST} is missing or damaged.")
    with zipfile.ZipFile(project / NAME) as archive:
        assert STARTER_MANIFEST not in archive.namelist()
    assert len(read_submission(single_submission(project / NAME), SOFTMAX).files) == 2
