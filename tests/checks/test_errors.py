"""Explanations of the exceptions that copied code raises."""

import pytest

from assignment.checks.errors import KNOWN
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.verdict import Judge, Verdict
from tests.checks.solution import ANSWER_KEY, naive_loss, student_with

OLD = {
    "xrange": "for i in xrange(3): pass",
    "a module of Python 2's times": "from past.builtins import xrange",
    "an import of another course": "from cs231n.classifiers import softmax",
    "np.float and its like": "W = W.astype(np.float)",
    "a print statement": "print 'loss', 3",
    "tabs mixed with spaces": "if True:\n        x = 1\n\tx = 2",
    "indentation": "  x = 1",
    "a method of Python 2's dictionaries": "{}.iteritems()",
    "a float where an integer is needed": "range(len(X) / 2)",
    "input() in a check": "input('W? ')",
    "a breakpoint in a check": "import pdb; pdb.set_trace(); x = 1",
}


def verdict_on(*lines: str) -> Verdict:
    student = student_with(SOFTMAX, naive_loss(*lines))
    return Judge.of_student(EXERCISE, ANSWER_KEY, student).verdict("naive_loss")


@pytest.mark.parametrize("name", [known.name for known in KNOWN])
def test_copied_old_code_gets_a_hint(name: str) -> None:
    verdict = verdict_on("x = 0", OLD[name], "return 1.0, W")
    assert verdict.headline == name
    assert verdict.hint
    assert "Error" in verdict.quoted or "BdbQuit" in verdict.quoted


def test_an_unknown_exception_gets_no_name_and_no_hint() -> None:
    verdict = verdict_on("return xrang(3), W")
    assert verdict.headline == "raised NameError"
    assert not verdict.hint
