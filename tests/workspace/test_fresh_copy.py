"""Code that works in the student's folder, but would not where it is graded, is reported."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.workspace import fresh_copy
from assignment.workspace.fresh_copy import compare_with_fresh_copy, find_lost_names, parse_cell
from assignment.workspace.starter import STARTER_MANIFEST, StarterManifest, read_manifest
from gradkit.course.starter import starter_files
from tests.workspace.projects import (
    LINEAR,
    SOFTMAX,
    code_cell,
    contents,
    edit,
    edit_cells,
    replace,
    tune,
    unpack,
    whole_starter,
)

EXERCISE = load_exercise("softmax")
ELSEWHERE = "all right in your folder, but not where it is graded"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the starter's stubs."""
    return unpack(tmp_path / "project", whole_starter())


@pytest.fixture
def solved(project: Path) -> Path:
    for path in EXERCISE.files:
        shutil.copy(PROJECT / path, project / path)
    edit(project, tune("import numpy as np\nimport assignment.vis_utils\nbest_val = 0.5"))
    return project


def manifest_of(project: Path) -> StarterManifest:
    return read_manifest((project / STARTER_MANIFEST).read_text())


def compare(project: Path) -> list[str]:
    """Return the problems that the comparison finds, without the advice."""
    before = contents(project)
    problems = [*compare_with_fresh_copy(EXERCISE, project, manifest_of(project))]
    assert contents(project) == before
    return [problem.partition(". Of your code only")[0] for problem in problems]


def test_solution_works_in_a_fresh_copy(solved: Path) -> None:
    assert compare(solved) == []


def test_module_that_only_a_function_or_a_cell_imports_is_missed(solved: Path) -> None:
    (solved / "assignment/classifiers/mine.py").write_text("top = 1\n")
    (solved / "notebooks/mine_too.py").write_text("top = 1\n")
    first, other = (f"    ### BEGIN SOLUTION {name}\n" for name in ("softmax_naive", "train_batch"))
    wrong = code_cell("x = = 1", region="tuning")
    edit(
        solved,
        replace(SOFTMAX, first, f"{first}    from .mine import top\n"),
        # What fails in both folders is not reported.
        replace(LINEAR, f"    {other}", f"    {other}            import not_installed\n"),
        tune("%time\nif True:\n    from mine_too import top\nimport not_installed"),
        edit_cells(lambda cells: cells.append(wrong)),
    )
    assert compare(solved) == [
        f"`from mine_too import top` in your cell of “7. Tuning”: {ELSEWHERE}: "
        "ModuleNotFoundError: No module named 'mine_too'",
        "Naive loss; Naive gradient; Naive, large scores; Naive, a probability of 0: "
        f"{ELSEWHERE}: ModuleNotFoundError: No module named 'assignment.classifiers.mine'",
    ]


def test_code_of_another_exercise_is_not_in_a_fresh_copy(tmp_path: Path) -> None:
    starter = starter_files(PROJECT, ["softmax", "svm"])
    project, copy = unpack(tmp_path / "project", starter), tmp_path / "copy"
    svm = "assignment/classifiers/linear_svm.py"
    for path in (SOFTMAX, svm):
        edit(project, (path, lambda text: re.sub("raise NotImplemented.*", "x = 1", text)))
    fresh_copy._copy_starter(EXERCISE, project, manifest_of(project), copy)
    assert (copy / svm).read_bytes() == starter[svm]
    assert (copy / SOFTMAX).read_bytes() == (project / SOFTMAX).read_bytes()
    assert contents(copy).keys() == contents(project).keys()


def test_crash_and_endless_loop_are_reported_without_a_verdict(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mine.py").touch()
    crash = "import os\ntry:\n    import mine\nexcept ImportError:\n    os._exit(1)\n"
    edit(project, replace(SOFTMAX, "import numpy as np\n", f"import numpy as np\n{crash}\n"))
    assert compare(project) == [f"The checks: {ELSEWHERE}: Python ended before they did"]
    (project / SOFTMAX).write_text("while True:\n    pass\n")
    monkeypatch.setattr(fresh_copy, "TIMEOUT", 0.5)
    [problem] = compare(project)
    assert problem.startswith("The checks did not end within 0.5 s")


# --- cells ---------------------------------------------------------------------------------------


def lost_names(source: str, *others: dict[str, Any]) -> list[str]:
    setup = code_cell("import numpy as np\nrates = [1]", role="setup")
    cells = [setup, *others, code_cell(source, region="tuning")]
    return [line.split("`")[1] for line in find_lost_names({"cells": cells})]


def test_name_that_only_an_ungraded_cell_defines_is_lost() -> None:
    added = code_cell("from itertools import product\ndef helper():\n    pass\nrates = [2]")
    display = code_cell("%matplotlib inline\ndef timed(f):\n    pass", role="display")
    text = {"cell_type": "markdown", "metadata": {}, "source": "product = 1"}
    source = "best = [helper(), timed(print)]\nfor rate in product(rates, np.e): typo(rate)"
    assert lost_names(source, added, display, text) == ["helper", "product", "timed"]
    heading = {"cell_type": "markdown", "metadata": {}, "source": ["## 7. Tuning\n", "Try it."]}
    cells = [heading, added, code_cell("helper()", region="tuning")]
    [line] = find_lost_names({"cells": cells})
    assert line == (
        "Your cell of “7. Tuning” uses `helper`, which is defined in a cell that is not graded: "
        "one that was added, or that only displays something. Define it in the cell itself."
    )


@pytest.mark.parametrize(
    "source",
    [
        "import helper",
        "from x import y as helper",
        "from x import *",
        "helper = 1",
        "def helper(): pass",
        "class helper: pass",
        "for helper in (): pass",
        "def f(helper): pass",
        "try:\n    pass\nexcept OSError as helper:\n    pass",
        "[(helper := x) for x in ()]",
        "with x as (helper, y): pass",
    ],
)
def test_name_that_a_graded_cell_binds_is_not_lost(source: str) -> None:
    added = code_cell("helper = 1")
    assert lost_names(f"{source}\nprint(helper)", added) == []
    assert lost_names("print(helper)", added, code_cell(source, region="tuning")) == []
    assert lost_names("print(helper)", added, code_cell(source, role="setup")) == []


def test_lines_of_ipython_are_not_syntax_errors() -> None:
    parse_cell("%matplotlib inline\n!ls\nnp.max?\nif True:\n    %time pass\nfiles = !ls\nx = 1")
    parse_cell("%%time\nx = 1")
    assert isinstance(parse_cell("print('%d'\n      % x)").body[0], ast.Expr)  # not a magic line
    for source in ("x = = 1", "x = (" * 1000, "\0"):
        with pytest.raises(SyntaxError):
            parse_cell(source)
