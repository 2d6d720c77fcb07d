"""A submission is packed as it is graded; the report names what is open or would not work there."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.__main__ import main
from assignment.checks.check import load_exercise
from assignment.checks.terminal import check
from assignment.workspace.regions import ANSWER_STUB, read_notebook
from assignment.workspace.starter import STARTER_MANIFEST, marker_problems
from assignment.workspace.submit import SubmitError, submit
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import read_submission
from tests.workspace.projects import (
    LINEAR,
    NOTEBOOK,
    SOFTMAX,
    Edit,
    code_cell,
    edit,
    edit_cell,
    edit_cells,
    find_cell,
    make_starter,
    replace,
    text_cell,
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

    edit(
        project, *(edit_cell(region, source="Because.") for region in ANSWERS), tune("best_val = 1")
    )
    return project


def problems_in(project: Path) -> list[str]:
    """Pack a submission, and return the problems that the report lists."""
    report = submit(EXERCISE, project=project).splitlines()
    assert all(line.isprintable() for line in report)
    problems = [line.removeprefix("- ") for line in report if line.startswith("- ")]
    return [re.sub(r" \(line \d+\)", "", problem) for problem in problems]


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
    assert "best_val = 1" in content.cells["tuning"]
    assert content.written_answers == dict.fromkeys(ANSWERS, "Because.")
    assert content.version == json.loads((project / STARTER_MANIFEST).read_text())["version"]
    assert content.notes == []
    assert report[0].startswith(f"Packed {NAME}, ")
    assert "SHA-256 " in report[0]
    assert [line.split(",")[0].strip() for line in report[1:-1]] == packed
    assert report[-1] == f"Upload {project / NAME} where your course collects submissions."
    first = (project / NAME).read_bytes()
    os.utime(project / SOFTMAX, (1e9, 1e9))
    submit(EXERCISE, project=project)
    assert (project / NAME).read_bytes() == first


def test_command_packs_and_reports(tmp_path: Path) -> None:
    project = finish(unpack(tmp_path / "project", whole_starter()))
    (project / "mine").mkdir()
    (project / "mine/deep.py").touch()
    line = "from assignment import data_utils\nimport mine.deep\n"
    edit(project, replace(SOFTMAX, "import numpy as np\n", f"{line}import numpy as np\n"))
    command = [sys.executable, "-m", "assignment", "submit", "--out", str(tmp_path / "mine.zip")]
    env = os.environ | {"PYTHONPATH": str(project)}  # must not bring the module back
    ran = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Packed mine.zip, ")
    assert (
        "- Your files: all right in your folder, but not where it is graded: ModuleNotFoundError: "
        f"No module named 'mine'. Of your code only {SOFTMAX}, {LINEAR} and your cells of the "
        "notebook are handed in: put what it needs into those.\n"
    ) in ran.stdout
    assert ran.stderr == ""
    assert (tmp_path / "mine.zip").exists()
    assert not (project / NAME).exists()


def test_command_needs_an_exercise_and_a_students_copy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["submit"])
    assert "name one of the exercises: knn, softmax, svm" in capsys.readouterr().err
    assert main(["submit", "softmax"]) == 1
    assert "is the instructor's tree, with the solutions in it" in capsys.readouterr().err
    assert not (PROJECT / NAME).exists()


# --- refused -------------------------------------------------------------------------------------


def without_cell(region: str) -> Edit:
    return edit_cells(lambda cells: cells.pop(find_cell(cells, region)))


@pytest.mark.parametrize("path", [SOFTMAX, NOTEBOOK])
def test_missing_file_is_refused(path: str, project: Path) -> None:
    (project / path).unlink()
    require_refused(project, f"{path} is missing in {project}. Nothing was packed.")
    (project / path).mkdir()
    require_refused(project, f"{project / path} cannot be read: Is a directory. Nothing was packed")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            (SOFTMAX, lambda text: text.replace("### END OF YOUR CODE", "", 1)),
            "region 'softmax_vectorized' begins inside region 'softmax_naive'",
        ),
        (
            (SOFTMAX, lambda text: re.sub(".*(START|END) OF YOUR CODE.*", "", text)),
            "has lost the line `### START OF YOUR CODE: softmax_naive`, and the END line below",
        ),
        (without_cell("tuning"), f"{NOTEBOOK} has lost the cell of “7. Tuning”. Nothing was"),
        (without_cell("answer_step"), f"{NOTEBOOK} has lost the cell of “Inline question 2”."),
        ((NOTEBOOK, lambda text: text[:-5]), f"{NOTEBOOK} is not a notebook, or a damaged one"),
        ((SOFTMAX, lambda _: "# \udcff"), f"{SOFTMAX}, line 1: the byte 0xff is not UTF-8"),
        (tune("#" * 100_000), f"{NOTEBOOK}: your cell of “7. Tuning” has more than 100 kB, the"),
        (
            (NOTEBOOK, lambda text: text + " " * 20_000_000),
            "at most 20,000 kB are graded. Nothing was packed. Clear the notebook",
        ),
        (
            (SOFTMAX, lambda text: text + "#" * 1_000_000),
            f"{SOFTMAX} has 1,003 kB; at most 1,000 kB are graded.",
        ),
    ],
)
def test_damaged_incomplete_or_too_large_file_is_refused(
    project: Path, change: Edit, words: str
) -> None:
    edit(project, change)
    require_refused(project, words)


@pytest.mark.parametrize("markers", ["START|END", "START", "END"])
def test_lost_marker_lines_are_reported_by_check_too(
    project: Path, capsys: pytest.CaptureFixture[str], markers: str
) -> None:
    assert list(marker_problems(project, EXERCISE.files)) == []
    lines = re.compile(f".*({markers}) OF YOUR CODE.*")
    edit(project, (SOFTMAX, lambda text: lines.sub("", text, count=2)))
    check("softmax", project=project)
    with pytest.raises(SubmitError) as refused:
        submit(EXERCISE, project=project)
    assert str(refused.value).partition(". ")[0] in capsys.readouterr().out


def test_a_file_in_another_encoding_that_python_reads_is_packed_unchanged(project: Path) -> None:
    source = "# coding: gbk\n# 你好\n" + (project / SOFTMAX).read_text(encoding="utf-8")
    (project / SOFTMAX).write_bytes(source.encode("gbk", "replace"))
    assert "cannot be read" not in submit(EXERCISE, project=project)
    with zipfile.ZipFile(project / NAME) as archive:
        assert archive.read(SOFTMAX) == (project / SOFTMAX).read_bytes()


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
    cells = read_notebook((PROJECT / NOTEBOOK).read_text(), NOTEBOOK)["cells"]
    solution = cells[find_cell(cells, "tuning")]["source"]
    picture = {"image.png": {"image/png": "aaaa"}}
    for change in (
        edit_cells(lambda cells: cells.insert(5, code_cell("print(X_train)"))),
        edit_cell("tuning", source=solution),
        tune("%matplotlib inline\n!ls\nbest_val = 1"),
        edit_cell("answer_step", source=ANSWER_STUB, attachments=picture),
        (LINEAR, lambda text: "\ufeff" + text),
    ):
        edit(project, change)
        assert problems_in(project) == []


def test_open_regions_are_reported(fresh: Path, tmp_path: Path) -> None:
    functions = "`softmax_loss_naive`, `softmax_loss_vectorized`"
    questions = [f"“Inline question {number}”" for number in range(1, 5)]
    cells = [*questions[:2], "“7. Tuning”", *questions[2:]]
    assert problems_in(fresh) == [
        f"{SOFTMAX}: not attempted yet: {functions}.",
        f"{LINEAR}: not attempted yet: `train`, `train`, `predict`.",
        f"{NOTEBOOK}: not attempted yet: {', '.join(cells)}.",
    ]
    stubs = shutil.copy(fresh / LINEAR, tmp_path)
    edit(finish(fresh), edit_cell("answer_step", source="\n"))
    shutil.copy(stubs, fresh / LINEAR)
    assert problems_in(fresh) == [
        f"{LINEAR}: not attempted yet: `train`, `train`, `predict`.",
        f"{NOTEBOOK}: not attempted yet: “Inline question 2”.",
    ]


def split_answer(cells: list[Any]) -> None:
    number = find_cell(cells, "answer_step")
    half = {**cells[number], **code_cell("of rounding.", region="answer_step")}
    cells.insert(number + 1, half)


def add_below(region: str, *added: dict[str, Any]) -> Edit:
    def apply(cells: list[Any]) -> None:
        number = find_cell(cells, region) + 1
        cells[number:number] = added

    return edit_cells(apply)


@pytest.mark.parametrize("text", ["Because of rounding.", "# Because.", "Because"])
def test_answer_in_a_cell_of_code_is_not_read_as_python(text: str, project: Path) -> None:
    edit(project, edit_cell("answer_step", source=text, cell_type="code", outputs=[]))
    edit(project, edit_cells(split_answer))
    edit(project, edit_cells(lambda cells: cells.insert(5, code_cell("Because = 1"))))
    assert problems_in(project) == []
    edit(project, edit_cell("tuning", source="best = = 1", cell_type="markdown"))
    [problem] = problems_in(project)
    assert problem.startswith("Your cell of “7. Tuning” cannot be read as Python: line 1")


def test_open_answer_beside_cells_of_the_students_is_reported(project: Path) -> None:
    edit(project, edit_cell("answer_step", source=ANSWER_STUB))
    left = f"{NOTEBOOK}: not attempted yet: “Inline question 2”."
    assert problems_in(project) == [left]
    edit(project, add_below("answer_step", text_cell("Because of rounding.")))
    assert problems_in(project) == [
        left,
        f"{NOTEBOOK}: no answer in the cell of “Inline question 2”, but there are cells of your "
        "own. If one of them is an answer, copy it into the cell below its question.",
    ]


STUB = 'results = {}\n### START OF YOUR CODE: tuning\nraise NotImplementedError("tuning")\n'


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (code_cell(f"{STUB}### END OF YOUR CODE", region="tuning"), "2 diff"),
        (code_cell("best_val = 2", region="tuning"), ""),
        (code_cell(STUB.replace("raise", "#") + "### END OF YOUR CODE", region="tuning"), "2 diff"),
        (code_cell(STUB.replace("raise", "#") + "### END OF YOUR CODE"), "2 different cells of"),
    ],
)
def test_different_copies_of_a_cell_are_reported(
    cell: dict[str, Any], words: str, project: Path
) -> None:
    edit(project, add_below("tuning", cell))
    problems = problems_in(project)
    assert words in " ".join(problems)
    assert len(problems) == bool(words)


def test_cell_without_metadata_is_packed_by_its_markers(project: Path) -> None:
    edit(project, edit_cell("tuning", metadata={}))
    [problem] = problems_in(project)
    assert "counts as your code, by its line `### START OF YOUR CODE: tuning`" in problem


def test_lost_names_and_differences_from_a_fresh_copy_are_reported(
    project: Path, compared: list[str]
) -> None:
    compared.append("Fails in a fresh copy.")
    edit(project, edit_cells(lambda cells: cells.insert(5, code_cell("rates = [1]"))))
    edit(project, tune("best_val = timed(rates)"))
    assert [line.partition(", which")[0] for line in problems_in(project)] == [
        "Your cell of “7. Tuning” uses `rates`",
        "Your cell of “7. Tuning” uses `timed`",
        "Fails in a fresh copy.",
    ]


def test_syntax_errors_are_reported(project: Path) -> None:
    edit(
        project,
        tune("best_val = = 1"),
        replace(SOFTMAX, "pass  # softmax_naive", "loss = = 1"),
    )
    assert problems_in(project) == [
        f"{SOFTMAX} cannot be read as Python: line 53, invalid syntax.",
        "Your cell of “7. Tuning” cannot be read as Python: line 3, invalid syntax.",
    ]


def test_missing_manifest_is_reported(project: Path) -> None:
    (project / STARTER_MANIFEST).write_text("{}")
    [problem] = problems_in(project)
    assert problem.startswith(f"{STARTER_MANIFEST} is missing or damaged.")
    with zipfile.ZipFile(project / NAME) as archive:
        assert STARTER_MANIFEST not in archive.namelist()
    assert len(read_submission(single_submission(project / NAME), EXERCISE).files) == 2
