"""Copies of the instructor's tree for tests that change it or run its commands."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from assignment import PROJECT
from assignment.checks.check import load_exercise
from gradkit.course.answer_key import write_answer_key
from gradkit.course.exercises import STARTERS, exercise_names

SOURCES = ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets")
FILES = (
    *("get_datasets.sh", "requirements.txt"),
    *("LICENSE", "README.md", "constraints.txt", "pyproject.toml"),  # of an autograder
)
LITTER = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", ".lock", "*.npz")


def copy_tree(folder: Path, names: Iterable[str] = SOURCES) -> Path:
    """Copy what commands need of the instructor's tree into `folder`, which must not exist."""
    folder.mkdir(parents=True)
    for name in names:
        shutil.copytree(PROJECT / name, folder / name, ignore=LITTER)
    for name in FILES:
        shutil.copy(PROJECT / name, folder)
    return folder


def write_small_tree(folder: Path) -> None:
    """Copy the tree, unknown to git, with the softmax exercise alone and a few of its mistakes."""
    from tests.banks import keep_tables  # which takes a while to import

    kept = ("einsum", "log2", "other_ways_to_predict", "other_ways_to_tune", "sum_not_mean")
    tree, softmax = copy_tree(folder / "tree"), load_exercise("softmax")
    for name in set(exercise_names(tree)) - {"softmax"}:
        other = load_exercise(name)
        shutil.rmtree(tree / "grading" / name)
        checks = [f"assignment/checks/{name}.{ending}" for ending in ("py", "json")]
        for path in {*other.files, *other.modules, other.notebook, *checks} - {*softmax.files}:
            (tree / path).unlink()
    for kind in ("mistakes", "variants"):
        for place in (tree / "grading").glob(f"*/{kind}.toml"):
            keep_tables(place, kept)
    (tree / STARTERS).write_text('softmax-starter = ["softmax"]\n', encoding="utf-8")
    write_answer_key(softmax, tree)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by path, except what Python leaves there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
