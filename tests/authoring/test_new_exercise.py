"""docs/new-exercise.md: following the page gives an exercise that is released and graded."""

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.workspace.starter import pack_zip
from gradkit.authoring.mistakes_lock import Lock
from tests.trees import copy_tree

PAGE = (PROJECT / "docs" / "new-exercise.md").read_text(encoding="utf-8").partition("## 8.")[0]
BLOCK = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
METRICS, NOTEBOOK = "assignment/evaluation/metrics.py", "notebooks/metrics.ipynb"


@pytest.fixture(scope="session")
def tree(shared: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The instructor's tree with the page's exercise, made by the page's commands."""

    def follow_the_page(folder: Path) -> None:
        tree = copy_tree(folder / "tree")
        blocks = dict(BLOCK.findall(PAGE))
        assert len(blocks) == 6
        for path, text in blocks.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text, encoding="utf-8")
        [line] = re.findall(r"^metrics-starter = .*$", PAGE, re.MULTILINE)
        with (tree / "grading" / "starters.toml").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        commands = re.findall(r"^    gradkit ([^#\n]*)", PAGE, re.MULTILINE)
        names = [command.split()[0] for command in commands]
        assert names == ["answer-key", "run-notebooks", "verify", "release"]
        for command in commands:
            ran = python(tree, "-m", "gradkit", *command.split())
            assert ran.returncode == 0, ran.stdout + ran.stderr

    return shared("new-exercise", follow_the_page) / "tree"


def python(tree: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_page_changes_no_existing_file(tree: Path) -> None:
    suffixes = (".py", ".ipynb", ".json", ".html")
    for name in ("gradkit", "assignment", "notebooks"):
        for path in (PROJECT / name).rglob("*.*"):
            if path.suffix in suffixes and "checkpoints" not in str(path):
                assert (tree / path.relative_to(PROJECT)).read_bytes() == path.read_bytes(), path


def test_lock_of_the_page_names_each_form(tree: Path) -> None:
    lock = Lock.read(tree / "grading" / "metrics" / "mistakes.lock")
    forms = {"count_not_share in accuracy", "count_not_share in accuracy, form 2"}
    assert dict(lock.named) == {
        **dict.fromkeys(forms, ("accuracy",)),
        "rows_and_columns in confusion": ("confusion",),
    }
    assert lock.review == {}


def test_starter_of_the_page_holds_its_exercise_alone(tree: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(tree / "dist" / "metrics-starter.zip", tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {METRICS, NOTEBOOK, "assignment/checks/metrics.json"} <= names
    assert not [name for name in names if "softmax" in name or "svm" in name]
    assert "np.add.at" not in (tmp_path / METRICS).read_text(encoding="utf-8")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Measures of predictions\n\nYou write two measures")
    assert f"| `{METRICS}` | Two measures of predictions: **yours** |" in readme
    ran = python(tmp_path, "-m", "assignment", "check")
    assert ran.returncode == 1
    assert "Accuracy: not attempted yet (0 of 4 points)" in ran.stdout
    with zipfile.ZipFile(tree / "dist" / "softmax-starter.zip") as archive:
        assert not [name for name in archive.namelist() if "metrics" in name or "svm" in name]


def test_class_is_graded_in_the_exercise_of_the_page(
    tree: Path, tmp_path: Path, sandbox: None
) -> None:
    folder, out = tmp_path / "class", tmp_path / "grades"
    folder.mkdir()
    solved = {path: (tree / path).read_bytes() for path in (METRICS, NOTEBOOK)}
    exchanged = solved[METRICS].replace(b"(y, y_pred), 1", b"(y_pred, y), 1")
    (folder / "ada.zip").write_bytes(pack_zip(solved))
    (folder / "bob.zip").write_bytes(pack_zip(solved | {METRICS: exchanged}))
    ran = python(tree, "-m", "gradkit", "grade", folder, "--exercise", "metrics", "--out", out)
    assert ran.returncode == 0, ran.stderr
    ran = python(tree, "-m", "gradkit", "feedback", "--out", out)
    assert ran.returncode == 0, ran.stderr
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        book = {row["student"]: row for row in csv.DictReader(file)}
    assert (book["ada"]["score"], book["ada"]["maximum"]) == ("10", "12")
    assert (book["bob"]["accuracy"], book["bob"]["confusion"]) == ("4", "0")
    page = (out / "feedback" / "bob.html").read_text(encoding="utf-8")
    assert "rows and columns exchanged" in page
