"""`gradkit new`: what it reads from solved modules, and what it refuses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.check import load_exercise
from gradkit.authoring.new_exercise import exercise_texts, new_exercise
from gradkit.course.exercises import exercise_names
from gradkit.course.instructor_tree import CourseError
from tests.classes import gradkit

MODULE = '''"""Two layers."""


class Layer:
    """A layer.

    Attributes
    ----------
    W : (D, H + 1) float array
    """

    def forward(self, X, y=None, axis=None):
        """Return the scores.

        Parameters
        ----------
        X : (N, D) float array
            Samples.
        y : (N,) integer array
            Labels, 0 <= y[i] < C.
        """
        ### BEGIN SOLUTION forward
        scores = X @ self.W
        ### END SOLUTION
        return scores, y


def clip(x, low):
    """Return x, at least low.

    Parameters
    ----------
    x, low : float

    Returns
    -------
    clipped : float
    """
    ### BEGIN SOLUTION clip_below
    x = max(x, low)
    ### END SOLUTION
    ### BEGIN SOLUTION clip_again
    x = max(x, low)
    ### END SOLUTION
    return x
'''
PATH = "assignment/layers/layers.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a solved module, and the list of starters."""
    for path, text in {PATH: MODULE, "grading/starters.toml": 'a-starter = ["a"]'}.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def test_each_function_with_regions_gets_a_check_of_inputs_with_the_documented_shapes(
    project: Path,
) -> None:
    text = exercise_texts(project, "layers", [PATH])["assignment/checks/layers.py"]
    variables: dict[str, Any] = {}
    exec(compile(text, "layers.py", "exec"), variables)
    exercise = variables["EXERCISE"]
    assert [check.regions for check in exercise.checks] == [
        ("forward",),
        ("clip_below", "clip_again"),
    ]
    assert [check.compared for check in exercise.checks] == [("scores", "y"), ("clipped",)]
    first, second = variables["forward_problems"](1)
    for problem in (first, second):
        X, y, W = problem.arguments["X"], problem.arguments["y"], problem.state["W"]
        assert list(problem.arguments) == ["X", "y"]  # axis keeps its default
        assert (X.shape[0], X.shape[1]) == (len(y), len(W))
        assert len({*X.shape, *W.shape}) == 3
    assert first.arguments["X"].shape != second.arguments["X"].shape
    assert {type(x) for x in variables["clip_below_problems"](1)[0].arguments.values()} == {float}


def test_new_exercise_is_verified_and_released_before_anyone_edits_it(
    small_tree: Path, tmp_path: Path
) -> None:
    course = Path(shutil.copytree(small_tree, tmp_path / "course"))
    (course / PATH).parent.mkdir()
    (course / PATH).write_text(MODULE, encoding="utf-8")
    for command in (
        ("new", "layers", PATH),
        ("answer-key", "--exercise", "layers"),
        ("verify", "--exercise", "layers"),
        ("release", "--accept", "layers"),
    ):
        ran = gradkit(*command, tree=course)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (course / "dist" / "layers-starter.zip").exists()


def test_files_appear_beside_what_was_there_and_nothing_is_overwritten(project: Path) -> None:
    written = [*new_exercise(project, "two_layers", [project / PATH])]
    assert (project / "grading/starters.toml").read_text() == (
        'a-starter = ["a"]\ntwo-layers-starter = ["two_layers"]\n'
    )
    for path in written[:-1]:
        (project / path).write_text("mine", encoding="utf-8")
        (project / "grading/starters.toml").write_text('a-starter = ["a"]')
        with pytest.raises(CourseError, match="exists already"):
            [*new_exercise(project, "two_layers", [project / PATH])]
        assert (project / path).read_text() == "mine"
        (project / path).unlink()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("x, low : float", "x : float", "clip needs low, which cannot be drawn: its type is miss"),
        ("x, low : float", "x, low : dict of arrays", "clip needs x, .*: its type is dict of arr"),
        ("W : (D, H + 1) float", "W : a float", "Layer.forward needs W, which cannot be drawn"),
        ("W : (D, H + 1)", "W : (in, 2H)", r"forward needs W, .*: its type is \(in, 2H\) float"),
        ("    return x\n", "", "clip returns nothing that a check could compare"),
        ("### END SOLUTION\n    return x", "return x", "cannot be read: .*never ends"),
        ("class Layer:", "class Layer", "cannot be read: .*line 4"),
        ("clip_again", "forward", "a second region 'forward'"),
        ('"""Two layers."""', "### BEGIN SOLUTION top\n### END SOLUTION", "has top outside funct"),
    ],
)
def test_module_that_does_not_show_how_to_call_it_is_refused(
    project: Path, old: str, new: str, problem: str
) -> None:
    assert old in MODULE
    (project / PATH).write_text(MODULE.replace(old, new), encoding="utf-8")
    with pytest.raises(CourseError, match=problem):
        [*new_exercise(project, "layers", [project / PATH])]
    assert not (project / "notebooks").exists()


@pytest.mark.parametrize(
    ("name", "path", "problem"),
    [
        ("Layers", PATH, "'Layers' cannot name an exercise"),
        ("import", PATH, "'import' cannot name an exercise"),
        ("a", PATH, "has a-starter already"),
        ("b", "assignment/layers.py", "is not in a folder below assignment/"),
        ("b", "../layers.py", "is not in a folder below assignment/"),
        ("b", "assignment/layers/other.py", "is missing"),
    ],
)
def test_wrong_names_and_places_are_refused(
    project: Path, name: str, path: str, problem: str
) -> None:
    with pytest.raises(CourseError, match=problem):
        [*new_exercise(project, name, [project / path])]


@pytest.mark.parametrize("name", exercise_names(PROJECT))
def test_first_cells_of_each_notebook_are_those_of_the_template(project: Path, name: str) -> None:
    exercise = load_exercise(name)
    written = exercise_texts(project, name, [PATH])[f"notebooks/{name}.ipynb"]
    new, present = (
        {cell["id"]: "".join(cell["source"]) for cell in json.loads(text)["cells"]}
        for text in (written, (PROJECT / exercise.notebook).read_text(encoding="utf-8"))
    )
    assert present["colab"] == new["colab"]
    [expected] = re.findall(r"^places = .* import Checks$", new["setup"], re.DOTALL | re.MULTILINE)
    assert expected in present["setup"]
