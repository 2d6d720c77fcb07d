"""Explanations of exceptions with a plain cause."""

import pytest

from assignment.checks.errors import KNOWN
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.verdict import Judge, Verdict
from tests.checks.solution import ANSWER_KEY, naive_loss, student_with

CODE = {
    "xrange": "for i in xrange(3): pass",
    "an import for Python 2": "from past.builtins import xrange",
    "an import from another course": "from cs231n.classifiers import softmax",
    "a name that numpy removed": "W = W.astype(np.float)",
    "a print statement": "print 'loss', 3",
    "tabs mixed with spaces": "if True:\n        x = 1\n\tx = 2",
    "indentation": "  x = 1",
    "a dictionary method of Python 2": "{}.iteritems()",
    "a float where an integer is needed": "range(len(X) / 2)",
    "input() in a check": "input('W? ')",
    "a breakpoint in a check": "import pdb; pdb.set_trace(); x = 1",
    "a module that the course does not use": "from torch import nn",
    "another course's train()": "def train(X, y): pass\n    train(X, y, seed=1)",
    "an invisible character": "x = 1\u200b",
    "a function of math for an array": "import math; loss = math.log(W)",
    "a loop over a number": "for i in len(X): pass",
    "a shape as two arguments": "dW = np.zeros(3, 4)",
    "a variable without a value": "total += 1; total = 0",
    "an array where one value is needed": "if y == 1: pass",
    "an array in place of the axis": "np.max(0, W)",
    "^ in place of **": "loss = np.sum(W^2)",
    "a float in an array of integers": "dW = np.zeros(W.shape, int); dW /= 2",
    "an index that is not an integer": "X[y / 1]",
    "an index out of bounds": "W[:, len(X)]",
    "more indices than axes": "y[0, 0]",
    "shapes that do not fit": "W + X",
    "a list in place of an array": "dW = [0, 0]; dW = dW / 2",
    "parentheses in place of brackets": "W(0, 0)",
    "None in place of a value": "dW = None; dW[0] = 0",
    "an undefined name": "xrang(3)",
    "other arguments than it is called with": "def f(a): pass\n    f()",
    "an argument of another name": "np.sum(W, keep_dims=True)",
}


def verdict_on(*lines: str) -> Verdict:
    student = student_with(SOFTMAX, naive_loss(*lines))
    return Judge.of_student(EXERCISE, ANSWER_KEY, student).verdict("naive_loss")


@pytest.mark.parametrize("name", [known.name for known in KNOWN])
def test_an_exception_with_a_plain_cause_gets_a_hint(name: str) -> None:
    verdict = verdict_on("x = 0", CODE[name], "return 1.0, W")
    assert verdict.headline == name
    assert verdict.hint
    assert "Error" in verdict.quoted or "BdbQuit" in verdict.quoted


@pytest.mark.parametrize(
    "code",
    [
        "from ..layers import affine_forward",
        "from .layers import affine_forward",
        "from assignment.layer_utils import affine",
        "from assignment.classifiers.linear_svm import relu",
    ],
)
def test_imports_of_other_courses_are_named_however_they_are_written(code: str) -> None:
    verdict = verdict_on(code, "return 1.0, W")
    assert verdict.headline == "an import from another course"


def test_python_2_is_left_behind_in_one_go() -> None:
    hint = verdict_on("from past.builtins import xrange", "return 1.0, W").hint
    assert "xrange(...), write range(...)" in hint


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import os; os.nothing", "AttributeError"),
        ("import math; math.log(-1)", "ValueError"),
        ("for i in range(3): len(X)()", "TypeError"),
        ("(a, b) = len(X)", "TypeError"),
        ("np.zeros(3, 'no')", "TypeError"),
    ],
)
def test_an_unknown_exception_gets_no_name_and_no_hint(code: str, kind: str) -> None:
    verdict = verdict_on(code, "return 1.0, W")
    assert verdict.headline == f"raised {kind}"
    assert not verdict.hint
