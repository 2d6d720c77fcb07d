"""A submission is packed as it is graded; the report names what is open or would not work there."""

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
from assignment.workspace.regions import read_notebook
from assignment.workspace.starter import STARTER_MANIFEST
from assignment.workspace.submit import SubmitError, submit
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import read_submission
from tests.workspace.projects import (
    LINEAR,
    NOTEBOOK,
    SOFTMAX,
    code_cell,
    edit,
    edit_cells,
    find_cell,
    make_starter,
    replace,
    tune,
    unpack,
    whole_starter,
)

EXERCISE = load_exercise("softmax")
NAME = "softmax-submission.zip"
CODE = ("softmax_naive", "softmax_vectorized", "train_batch", "train_update", "predict")
ANSWERS = [f"answer_{name}" for name in ("initial_loss", "step", "templates", "added_picture")]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Problems that the comparison with a fresh copy finds: it has tests of its own."""
    problems: list[str] = []
    monkeypatch.setattr(
        "assignment.workspace.submit.compare_with_fresh_copy", lambda *_: iter(problems)
    )
    return problems


@pytest.fixture
def fresh(tmp_path: Path, compared: list[str]) -> Path:
    """A project with the starter's stubs."""
    return unpack(tmp_path / "project", make_starter())


@pytest.fixture
def project(fresh: Path) -> Path:
    """A project in which every region is filled."""
    return finish(fresh)


def finish(project: Path) -> Path:
    for name in CODE:
        path = SOFTMAX if name.startswith("softmax") else LINEAR
        edit(project, replace(path, f'raise NotImplementedError("{name}")', f"pass  # {name}"))

    def answer(cells: list[Any]) -> None:
        for region in ANSWERS:
            cells[find_cell(cells, region)]["source"] = "Because."

    edit(project, tune("best_val = 0.5"), edit_cells(answer))
    return project


def problems_in(project: Path) -> list[str]:
    """Pack a submission, and return the problems that the report lists."""
    report = submit(EXERCISE, project=project).splitlines()
    assert all(line.isprintable() for line in report)
    return [line.removeprefix("- ") for line in report if line.startswith("- ")]


def require_refused(project: Path, words: str) -> None:
    with pytest.raises(SubmitError) as caught:
        submit(EXERCISE, project=project)
    assert words in str(caught.value)
    assert not (project / NAME).exists()


# --- packed --------------------------------------------------------------------------------------


def test_grader_reads_what_was_packed(project: Path) -> None:
    report = submit(EXERCISE, project=project).splitlines()
    packed = [SOFTMAX, LINEAR, NOTEBOOK, STARTER_MANIFEST]
    with zipfile.ZipFile(project / NAME) as archive:
        assert sorted(archive.namelist()) == sorted(packed)
        for name in packed:
            assert archive.read(name) == (project / name).read_bytes()
    content = read_submission(single_submission(project / NAME), EXERCISE)
    assert set(content.files) == {SOFTMAX, LINEAR}
    assert [*content.cells] == ["tuning"]
    assert "best_val = 0.5" in content.cells["tuning"]
    assert content.written_answers == dict.fromkeys(ANSWERS, "Because.")
    assert content.version == json.loads((project / STARTER_MANIFEST).read_text())["version"]
    assert content.notes == []
    assert report[0].startswith(f"Packed {NAME}, ")
    assert "SHA-256 " in report[0]
    assert [line.split(",")[0].strip() for line in report[1:-1]] == packed
    assert report[-1] == f"Upload {project / NAME} where your course collects submissions."


def test_same_files_give_the_same_zip_file_on_every_day(project: Path) -> None:
    submit(EXERCISE, project=project)
    first = (project / NAME).read_bytes()
    os.utime(project / SOFTMAX, (1e9, 1e9))
    submit(EXERCISE, project=project)
    assert (project / NAME).read_bytes() == first


def test_command_packs_and_reports(tmp_path: Path) -> None:
    project = finish(unpack(tmp_path / "project", whole_starter()))
    (project / "mine.py").touch()
    edit(project, replace(SOFTMAX, "import numpy as np\n", "import mine\nimport numpy as np\n"))
    command = [sys.executable, "-m", "assignment", "submit", "--out", str(tmp_path / "mine.zip")]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Packed mine.zip, ")
    assert "ModuleNotFoundError: No module named 'mine'" in ran.stdout
    assert ran.stderr == ""
    assert (tmp_path / "mine.zip").exists()
    assert not (project / NAME).exists()
    (project / NOTEBOOK).unlink()
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{NOTEBOOK} is missing in {project}. Nothing was packed.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "knn"], "there is no exercise 'knn'; there are: softmax, svm"),
        (["submit"], "name one of the exercises: softmax, svm"),
    ],
)
def test_command_without_an_exercise_of_that_name_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


# --- refused -------------------------------------------------------------------------------------


def test_instructors_tree_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "softmax"]) == 1
    assert "is the instructor's tree, with the solutions in it" in capsys.readouterr().err
    assert not (PROJECT / NAME).exists()


@pytest.mark.parametrize("path", [SOFTMAX, LINEAR, NOTEBOOK])
def test_missing_file_is_refused(path: str, project: Path) -> None:
    (project / path).unlink()
    require_refused(project, f"{path} is missing in {project}. Nothing was packed.")
    (project / path).mkdir()
    require_refused(
        project, f"{project / path} cannot be read: Is a directory. Nothing was packed."
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.replace("### END OF YOUR CODE", "", 1),
            "region 'softmax_vectorized' begins inside region 'softmax_naive'",
        ),
        (
            lambda text: text.replace("### START OF YOUR CODE: softmax_naive", "#"),
            "`### END OF YOUR CODE` without the first line of its region",
        ),
        (
            lambda text: "".join(
                line for line in text.splitlines(True) if "OF YOUR CODE" not in line
            ),
            "has no region softmax_naive any more. Nothing was packed. Put the lines",
        ),
    ],
)
@pytest.mark.parametrize("has_manifest", [True, False])
def test_missing_marker_is_refused(
    project: Path, change: Callable[[str], str], words: str, has_manifest: bool
) -> None:
    edit(project, (SOFTMAX, change))
    if not has_manifest:
        (project / STARTER_MANIFEST).unlink()
    require_refused(project, words)


@pytest.mark.parametrize("region", ["tuning", "answer_step"])
def test_missing_cell_is_refused(project: Path, region: str) -> None:
    edit(project, edit_cells(lambda cells: cells.pop(find_cell(cells, region))))
    require_refused(project, f"{NOTEBOOK} has no region {region} any more. Nothing was packed.")


def test_damaged_file_is_refused(project: Path) -> None:
    notebook = (project / NOTEBOOK).read_bytes()
    (project / NOTEBOOK).write_bytes(notebook[:-5])
    require_refused(project, f"{NOTEBOOK} is not a notebook, or a damaged one")
    (project / NOTEBOOK).write_bytes(notebook)
    (project / SOFTMAX).write_bytes(b"# \xff\n")
    require_refused(project, f"{SOFTMAX}, line 1: the byte 0xff is not UTF-8")


def test_larger_file_than_is_graded_is_refused(project: Path) -> None:
    notebook = (project / NOTEBOOK).read_text()
    edit(project, tune("#" * 100_000))
    require_refused(project, f"{NOTEBOOK}: the cell tuning has more than 100 kB, the most that")
    (project / NOTEBOOK).write_text(notebook + " " * 20_000_000)
    require_refused(project, "at most 20,000 kB are graded. Nothing was packed. Clear the notebook")
    (project / NOTEBOOK).write_text(notebook)
    (project / SOFTMAX).write_text((project / SOFTMAX).read_text() + "#" * 1_000_000)
    require_refused(project, f"{SOFTMAX} has 1,003 kB; at most 1,000 kB are graded.")


def test_other_files_are_not_overwritten(project: Path, tmp_path: Path) -> None:
    photos = tmp_path / "holiday.zip"
    with zipfile.ZipFile(photos, "w") as archive:
        archive.writestr("beach.jpg", b"")
    for place in (project / SOFTMAX, photos):
        before = place.read_bytes()
        with pytest.raises(SubmitError, match="is there already, and not a submission packed here"):
            submit(EXERCISE, place, project)
        assert place.read_bytes() == before
    with pytest.raises(SubmitError, match="is a folder"):
        submit(EXERCISE, tmp_path, project)
    with pytest.raises(SubmitError, match="cannot be written: No such file or directory"):
        submit(EXERCISE, tmp_path / "none" / "mine.zip", project)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.zip", "project"]


# --- reported ------------------------------------------------------------------------------------


def test_finished_submission_has_no_problems(project: Path) -> None:
    assert problems_in(project) == []
    edit(project, edit_cells(lambda cells: cells.insert(5, code_cell("print(X_train)"))))
    assert problems_in(project) == []


def test_solution_has_no_problems(project: Path) -> None:
    solved = read_notebook((PROJECT / NOTEBOOK).read_text(), NOTEBOOK)["cells"]
    source = solved[find_cell(solved, "tuning")]["source"]

    def solve(cells: list[Any]) -> None:
        cells[find_cell(cells, "tuning")]["source"] = source

    edit(project, edit_cells(solve))
    assert problems_in(project) == []


def test_open_regions_are_reported(fresh: Path, tmp_path: Path) -> None:
    answers = f"Not answered yet: {', '.join(ANSWERS)}."
    assert problems_in(fresh) == [f"Not attempted yet: {', '.join(CODE)}, tuning.", answers]
    stubs = shutil.copy(fresh / LINEAR, tmp_path)
    finish(fresh)
    shutil.copy(stubs, fresh / LINEAR)
    assert problems_in(fresh) == ["Not attempted yet: train_batch, train_update, predict."]


def test_picture_alone_is_an_answer(project: Path) -> None:
    def paste(cells: list[Any]) -> None:
        cell = cells[find_cell(cells, "answer_step")]
        cell |= {"source": "", "attachments": {"image.png": {"image/png": "aaaa"}}}

    edit(project, edit_cells(paste))
    assert problems_in(project) == []


def test_lost_names_and_differences_from_a_fresh_copy_are_reported(
    project: Path, compared: list[str]
) -> None:
    compared.append("Fails in a fresh copy.")
    edit(project, edit_cells(lambda cells: cells.insert(5, code_cell("rates = [1]"))))
    edit(project, tune("best_val = timed(rates)"))
    assert [line.partition(", which")[0] for line in problems_in(project)] == [
        "The cell tuning uses `rates`",
        "The cell tuning uses `timed`",
        "Fails in a fresh copy.",
    ]


def test_syntax_errors_are_reported(project: Path) -> None:
    edit(project, tune("%matplotlib inline\n!ls\nbest_val = 1"))
    assert problems_in(project) == []
    edit(
        project,
        tune("best_val = = 1"),
        replace(SOFTMAX, "pass  # softmax_naive", "loss = = 1"),
        (LINEAR, lambda text: "\ufeff" + text),
    )
    assert problems_in(project) == [
        f"{SOFTMAX} cannot be read as Python: line 53, invalid syntax.",
        "The cell tuning cannot be read as Python: line 3, invalid syntax.",
    ]


def test_missing_manifest_is_reported(project: Path) -> None:
    (project / STARTER_MANIFEST).write_text("{}")
    [problem] = problems_in(project)
    assert problem.startswith(f"{STARTER_MANIFEST} is missing or damaged.")
    with zipfile.ZipFile(project / NAME) as archive:
        assert STARTER_MANIFEST not in archive.namelist()
    assert len(read_submission(single_submission(project / NAME), EXERCISE).files) == 2
