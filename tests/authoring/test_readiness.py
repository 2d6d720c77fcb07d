"""Faults of an exercise that would show on the day of grading: `gradkit verify` reports each."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assignment.checks.softmax import EXERCISE
from gradkit.authoring import verify
from gradkit.authoring.readiness import (
    graded_problems,
    notebook_problems,
    starter_leaks,
    unknown_mistakes,
)
from tests.banks import BANK
from tests.trees import copy_tree

NOTEBOOK = "notebooks/softmax.ipynb"
CONFIG = "grading/softmax/exercise.toml"
GRADED = "assignment/checks/graded.py"

Build = Callable[[Path], object]
Plant = Callable[[str, str, str], None]


@pytest.fixture
def tree(shared: Callable[[str, Build], Path], tmp_path: Path) -> Path:
    """A copy of the tree in which faults can be planted."""
    names = ("assignment", "grading", "notebooks", "docs", "datasets")
    folder = shared("ready-tree", lambda to: copy_tree(to / "tree", names))
    return Path(shutil.copytree(folder / "tree", tmp_path / "tree"))


@pytest.fixture
def plant(tree: Path) -> Plant:
    """Replaces the first occurrence of a text in a file of the tree."""

    def replace(path: str, old: str, new: str) -> None:
        text = (tree / path).read_text(encoding="utf-8")
        assert old in text
        (tree / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


def test_exercises_of_this_tree_are_ready(tree: Path) -> None:
    for name in ("softmax", "svm"):
        assert list(notebook_problems(name, tree)) == []
        assert starter_leaks(name, tree) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "problems"),
    [
        (
            NOTEBOOK,
            '"check": "naive_loss"',
            '"role": "setup"',
            [
                (
                    NOTEBOOK,
                    "the check 'naive_loss' has no cells. Give it one: a cell of code with",
                )
            ],
        ),
        (
            NOTEBOOK,
            '"check": "naive_loss"',
            '"check": "naive_gradient"',
            [
                (NOTEBOOK, "the check 'naive_loss' has no cells."),
                (NOTEBOOK, "the check 'naive_gradient' has 2 cells."),
            ],
        ),
        (
            NOTEBOOK,
            '"check": "naive_loss"',
            '"check": "naive_los"',
            [
                (NOTEBOOK, "the check 'naive_loss' has no cells."),
                (NOTEBOOK, "a cell has the check 'naive_los', which assignment/checks/softmax.py"),
            ],
        ),
        (
            CONFIG,
            "answer_step = 5",
            "answer_stepp = 5",
            [(CONFIG, "[questions] has points for answer_stepp, but the notebook has no answer")],
        ),
        (
            CONFIG,
            "answer_step = 5",
            "answer_step = 1",
            [
                (
                    CONFIG,
                    f"[questions] gives answer_step 1 point, and its question in {NOTEBOOK} say",
                )
            ],
        ),
        (
            CONFIG,
            "NUM_ITERS = 200",
            "NUM_STEPS = 200",
            [(CONFIG, f"[parameters] has NUM_STEPS, but no cell of {NOTEBOOK} with the role")],
        ),
        (
            CONFIG,
            "TUNING_ITERS = 500",
            "TUNING_STEPS = 500",
            [(CONFIG, f"[quick] has TUNING_STEPS, but no cell of {NOTEBOOK} with the role")],
        ),
    ],
)
def test_part_that_does_not_fit_to_another_is_reported(
    tree: Path, plant: Plant, path: str, old: str, new: str, problems: list[tuple[str, str]]
) -> None:
    plant(path, old, new)
    found = sorted(notebook_problems("softmax", tree))
    assert [where for where, _ in found] == [where for where, _ in problems]
    for (_, problem), (_, start) in zip(found, sorted(problems), strict=True):
        assert problem.startswith(start)


def test_mistake_of_a_traceback_that_the_bank_does_not_have_is_reported() -> None:
    assert list(unknown_mistakes(BANK)) == []
    id = "transposed_layout"
    path, problem = next(unknown_mistakes(replace(BANK, mistakes={"x": BANK.mistakes[id]})))
    assert path == "assignment/checks/softmax.py"
    assert problem.startswith("the check 'naive_loss' names the mistake '")
    assert problem.endswith("in raises=, but mistakes.toml has only: x.")


def test_unknown_metadata_are_reported(tree: Path, plant: Plant) -> None:
    plant(NOTEBOOK, '"role": "parameters"', '"rolle": "parameters"')
    [leak] = starter_leaks("softmax", tree)
    assert "unknown field `rolle` - at `$.cells[" in leak
    assert leak.endswith("Correct or remove that part.")


def test_parameter_that_the_data_need_is_reported(tree: Path, plant: Plant) -> None:
    plant(CONFIG, "NUM_VALIDATION = 1000", "")
    plant(NOTEBOOK, '"NUM_VALIDATION = 1000', '"# NUM_VALIDATION = 1000')
    [problem] = graded_problems(BANK, tree)
    assert "NUM_VALIDATION" in problem
    assert "[parameters]" in problem


def test_what_a_graded_run_takes_from_the_solution_is_reported(tree: Path, plant: Plant) -> None:
    """An accuracy out of reach, and an answer of eight megabytes."""
    plant(CONFIG, "TRAINED_ACCURACY = 0.29 ", "TRAINED_ACCURACY = 0.99 ")
    run = "outcome = run_check(check, student, own_seed)"
    more = 'check_name == "predict" and outcome.arrays.update(more=np.zeros(10**6))'
    plant(GRADED, run, f"{run}\n        {more}")
    training, predict = sorted(graded_problems(BANK, tree), reverse=True)
    assert training.startswith("training takes its points, with the seed and the parameters of a")
    assert "0.99" in training
    assert training.endswith(
        "[parameters], [bounds] and [limits] in grading/softmax/exercise.toml."
    )
    assert predict.startswith("predict takes its points, ")
    assert "more has shape (1000000,), far larger than any right result" in predict


def test_verify_reports_these_first(tree: Path, plant: Plant) -> None:
    plant(NOTEBOOK, '"check": "naive_loss"', '"chekc": "naive_loss"')
    rows = verify.verify(EXERCISE.name, tree)
    settings, leaks = next(rows), next(rows)
    [problem] = map(str, settings.problems)
    assert problem.startswith(f"{NOTEBOOK}: the check 'naive_loss' has no cells.")
    [problem] = map(str, leaks.problems)
    assert "unknown field `chekc`" in problem
