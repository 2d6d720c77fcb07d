"""A small tree to release, unknown to git: the softmax exercise with a few of its mistakes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assignment.checks.check import load_exercise
from assignment.checks.softmax import EXERCISE
from gradkit.course.answer_key import write_answer_key
from gradkit.course.exercises import STARTERS, exercise_names
from tests.banks import keep_tables
from tests.trees import copy_tree

KEPT = ("einsum", "log2", "other_ways_to_predict", "other_ways_to_tune")


def end_too_early(source: str, region: str) -> str:
    """Return a text in which the last line of a region stands below its end."""
    lines = source.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.strip().endswith(f"SOLUTION {region}"))
    end = next(n for n in range(begin, len(lines)) if lines[n].strip() == "### END SOLUTION")
    lines[end - 1], lines[end] = lines[end], lines[end - 1]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def small_tree(shared: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The tree of `tree`; only to be read."""

    def build(folder: Path) -> None:
        tree = copy_tree(folder / "tree")
        for name in set(exercise_names(tree)) - {"softmax"}:
            other = load_exercise(name)
            shutil.rmtree(tree / "grading" / name)
            checks = [f"assignment/checks/{name}.{ending}" for ending in ("py", "json")]
            for path in {*other.files, *other.modules, other.notebook, *checks}:
                if path not in EXERCISE.files:
                    (tree / path).unlink()
        for kind in ("mistakes", "variants"):
            for place in (tree / "grading").glob(f"*/{kind}.toml"):
                keep_tables(place, KEPT)
        (tree / STARTERS).write_text('softmax-starter = ["softmax"]\n', encoding="utf-8")
        write_answer_key(EXERCISE, tree)

    return shared("softmax-tree", build) / "tree"


@pytest.fixture
def tree(small_tree: Path, tmp_path: Path) -> Path:
    """A copy of the small tree, to be changed."""
    return Path(shutil.copytree(small_tree, tmp_path / "tree"))
