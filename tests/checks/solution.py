"""The softmax solution with mistakes put into it, for the tests of checks and verdicts."""

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.check import Outcome, Raised, run_check_for
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.student import Student
from assignment.checks.verdict import Judge
from tests.banks import BANK

SOURCES = {path: (PROJECT / path).read_text(encoding="utf-8") for path in EXERCISE.files}
ANSWER_KEY = load_answer_key("softmax")


def student_with(path: str, source: str) -> Student:
    """The solution with another text in one file."""
    return Student({**SOURCES, path: source})


def naive_loss(*lines: str) -> str:
    """A `softmax.py` whose naive loss has these lines as its body."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"import numpy as np\n\n\ndef softmax_loss_naive(W, X, y, reg):\n{body}\n"


def run_naive_loss(*lines: str, check: str = "naive_loss") -> Outcome:
    """The outcome of a check of the naive loss with these lines as its body."""
    student = student_with(SOFTMAX, naive_loss(*lines))
    return run_check_for(EXERCISE.check(check), student, 0)


def exception_of(*lines: str) -> Raised:
    """The exception that the naive loss raises with these lines as its body."""
    raised = run_naive_loss(*lines).raised
    assert raised is not None
    return raised


def judge(region: str, *edits: tuple[str, str], body: str = "") -> Judge:
    """A judge of the solution with these edits, or another body, in a region."""
    text = body or BANK.solution.body(region).text
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    student = BANK.solution.with_region(region, text).student()
    return Judge.of_student(EXERCISE, ANSWER_KEY, student)
