"""docs/new-exercise.md: whoever does what it says has an exercise like any other."""

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.workspace.starter import pack_zip

PAGE = (PROJECT / "docs" / "new-exercise.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
METRICS, NOTEBOOK = "assignment/evaluation/metrics.py", "notebooks/metrics.ipynb"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The instructor's tree with the exercise of the page in it, built as the page says."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("cifar-10-*", "__pycache__", ".ipynb_checkpoints", "*.npz")
    for name in ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets"):
        shutil.copytree(PROJECT / name, tree / name, ignore=ignored)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, tree / name)
    blocks = dict(BLOCK.findall(PAGE))
    assert len(blocks) == 7
    for path, text in blocks.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text, encoding="utf-8")
    [line] = re.findall(r"^metrics-starter = .*$", PAGE, re.MULTILINE)
    with (tree / "grading" / "starters.toml").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    commands = re.findall(r"^    \.venv/bin/python -m gradkit ([^#\n]*)", PAGE, re.MULTILINE)
    assert [command.split()[0] for command in commands] == [
        "build", "store-outputs", "verify", "release"
    ]  # fmt: skip
    for command in commands:
        ran = python(tree, "-m", "gradkit", *command.split())
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return tree


def python(tree: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def test_the_page_changes_nothing_that_is_there(tree: Path) -> None:
    for name in ("gradkit", "assignment", "notebooks"):
        for path in (PROJECT / name).rglob("*.*"):
            place = tree / path.relative_to(PROJECT)
            if path.suffix in (".py", ".ipynb", ".json", ".html") and "checkpoints" not in str(
                path
            ):
                assert place.read_bytes() == path.read_bytes(), path


def test_its_starter_holds_it_alone_and_no_solution(tree: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tree / "dist" / "metrics-starter.zip") as archive:
        archive.extractall(tmp_path)
        names = set(archive.namelist())
    assert {METRICS, NOTEBOOK, "assignment/checks/metrics.json"} <= names
    assert not [name for name in names if "softmax" in name or "svm" in name]
    assert "np.add.at" not in (tmp_path / METRICS).read_text(encoding="utf-8")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Measures of predictions\n\nYou write two measures")
    assert f"| `{METRICS}` | Two measures of how good predictions are: **yours** |" in readme
    ran = python(tmp_path, "-m", "assignment", "check")
    assert ran.returncode == 1
    assert "Accuracy: not attempted yet (0 of 4 points)" in ran.stdout
    with zipfile.ZipFile(tree / "dist" / "softmax-starter.zip") as archive:
        assert not [name for name in archive.namelist() if "metrics" in name or "svm" in name]


def test_a_class_is_graded_in_it(tree: Path, tmp_path: Path, sandbox: None) -> None:
    folder, out = tmp_path / "class", tmp_path / "grades"
    folder.mkdir()
    solved = {path: (tree / path).read_bytes() for path in (METRICS, NOTEBOOK)}
    exchanged = solved[METRICS].replace(b"(y, y_pred), 1", b"(y_pred, y), 1")
    (folder / "ada.zip").write_bytes(pack_zip(solved))
    (folder / "bob.zip").write_bytes(pack_zip(solved | {METRICS: exchanged}))
    ran = python(tree, "-m", "gradkit", "grade", folder, "--exercise", "metrics", "--out", out)
    assert ran.returncode == 0, ran.stderr
    ran = python(tree, "-m", "gradkit", "feedback", "--out", out)  # which exercise, it knows
    assert ran.returncode == 0, ran.stderr
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        book = {row["student"]: row for row in csv.DictReader(file)}
    assert (book["ada"]["score"], book["ada"]["maximum"]) == ("10", "12")
    assert (book["bob"]["accuracy"], book["bob"]["confusion"]) == ("4", "0")
    page = (out / "feedback" / "bob.html").read_text(encoding="utf-8")
    assert "rows and columns exchanged" in page
