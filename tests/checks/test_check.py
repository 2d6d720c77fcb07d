"""Running a check: whatever the student's code does becomes part of the outcome."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assignment.checks.check import (
    MAX_PRINTED,
    Check,
    ExerciseError,
    exercises,
    load_exercise,
    run_check_for,
)
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.student import Student
from tests.checks.solution import (
    SOURCES,
    exception_of,
    naive_loss,
    run_naive_loss,
    student_with,
)


def test_a_stub_is_not_attempted_and_the_outcome_says_where_to_write() -> None:
    outcome = run_naive_loss("", 'raise NotImplementedError("softmax_naive")')
    assert outcome.missing == f"Write `softmax_loss_naive` in {SOFTMAX}, at line 6."


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return 1 / 0, W", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return softmax_loss_naive(W, X, y, reg)", "RecursionError"),
        ("return np.zeros(3) + np.zeros(4), W", "ValueError"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_an_exception_is_reported_with_the_students_lines_only(body: str, kind: str) -> None:
    raised = exception_of("W = W * 2", body)
    assert raised.kind == kind
    assert body in map(str.strip, raised.traceback.splitlines())
    assert f'File "{SOFTMAX}", line 6, in softmax_loss_naive' in raised.traceback
    assert "checks/" not in raised.traceback
    assert raised.traceback.count("File ") <= 4


def test_a_traceback_quotes_the_lines_that_ran() -> None:
    bodies = ["return undefined_name, W", "return another_name, W"]
    students = [student_with(SOFTMAX, naive_loss(body)) for body in bodies]
    for student, body in zip(students * 2, bodies * 2, strict=True):
        raised = run_check_for(EXERCISE.check("naive_loss"), student, 0).raised
        assert raised is not None
        assert body in raised.traceback


def test_lines_that_are_printed_again_and_again_are_counted() -> None:
    loop = "for _ in range(30_000): print(())"
    printed = run_naive_loss("print(1, 2)", loop, "print(3, 4)").printed
    assert printed == "1 2\n() (30000 times)\n3 4"


def test_a_keyboard_interrupt_stops_a_check() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_naive_loss("raise KeyboardInterrupt")


def test_prints_and_warnings_are_captured_and_cut_to_their_last_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = ["import warnings", "warnings.warn('look')", "print('x' * 9999)", "print('the end')"]
    outcome = run_naive_loss(*lines, "return np.log(0.0), W")
    assert outcome.printed == "(What was printed before this is left out.)\nthe end"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "softmax_loss_naive returned nothing (None), but `loss, dW` is expected."),
        ("return 1.0", "returned a float"),
        ("return 1.0, W, X", "returned 3 values, but `loss, dW` is expected"),
        ("return None, W", "returned loss = None"),
        ("return 1.0, ...", "returned dW = Ellipsis"),
        ("return 'loss', W", "returned loss = 'loss'"),
        ("return 1.0, W.tolist()", "returned dW as a list, not as an array"),
    ],
)
def test_an_invalid_result_is_described(body: str, message: str) -> None:
    check = "naive_gradient" if "dW =" in message or "dW as" in message else "naive_loss"
    assert message in run_naive_loss(body, check=check).invalid


@pytest.mark.parametrize("body", ["raise ValueError('x')", "return 5", "raise SystemExit"])
def test_an_exception_without_a_readable_message_is_reported_by_its_class(body: str) -> None:
    lines = ["class Odd(Exception):", f"    def __str__(self): {body}", "raise Odd"]
    assert exception_of(*lines).kind == "Odd"


def test_quoted_text_is_short_and_cannot_move_the_cursor() -> None:
    quoted = exception_of(r"raise ValueError('\x1b[2J' + 'x' * 10**6)").traceback
    assert len(quoted) < 2 * MAX_PRINTED
    assert quoted.endswith("xxx ... (The rest is left out.)")
    assert "\x1b" not in quoted
    assert r"\x1b[2J" in quoted
    lines = [r"print('\x1b[2J')", "import sys", "sys.stdout.close()", "return 1, W"]
    assert run_naive_loss(*lines).printed == r"\x1b[2J (5 times)"


def test_a_function_of_another_name_or_kind_is_reported() -> None:
    renamed = student_with(SOFTMAX, "def my_loss(W): pass")
    outcome = run_check_for(EXERCISE.check("naive_loss"), renamed, 0)
    assert "no longer defines softmax_loss_naive" in outcome.invalid
    not_a_class = student_with(LINEAR_CLASSIFIER, "def LinearClassifier(): pass")
    outcome = run_check_for(EXERCISE.check("predict"), not_a_class, 0)
    assert "LinearClassifier is a function, not a class" in outcome.invalid


def test_a_check_restores_numpys_error_state() -> None:
    before = np.geterr()
    check = Check("x", "x", 0, (), lambda student, seed: {"a": np.log(np.zeros(1))})
    assert run_check_for(check, Student({}), 0).arrays
    assert np.geterr() == before


# --- exercises ------------------------------------------------------------------------------------


def test_every_exercise_has_100_points_and_checks_in_the_order_of_their_requirements() -> None:
    assert exercises() == ["knn", "softmax", "svm"]
    for name in exercises():
        exercise = load_exercise(name)
        assert sum(check.points for check in exercise.checks) == 100
        assert len(set(exercise.names)) == len(exercise.names)
        for number, check in enumerate(exercise.checks):
            assert set(check.requires + check.baseline) <= set(exercise.names[:number])
            assert check.compared or check.rule
    with pytest.raises(KeyError, match=r"has no check 'naiv_loss', only: naive_loss, naive_grad"):
        EXERCISE.check("naiv_loss")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"requires": ("naive_los",)}, "check 'b' has requires='naive_los', which names no check"),
        ({"baseline": ("b",)}, "check 'b' has baseline='b', .* Those above it are: a."),
        ({"name": "a"}, "check 'a' is there twice"),
    ],
)
def test_an_exercise_whose_checks_do_not_fit_is_refused(
    changed: dict[str, Any], problem: str
) -> None:
    first, second = (Check(name, name, 1, (), lambda student, seed: {}) for name in "ab")
    with pytest.raises(ExerciseError, match=f"^assignment/checks/any.py: the {problem}"):
        replace(EXERCISE, name="any", checks=(first, replace(second, **changed)), practice=())


def test_problems_cover_cases_that_the_notebook_does_not() -> None:
    problems = EXERCISE.check("naive_loss").run(Student(SOURCES), 0)
    names = [name for name in problems if name.startswith("loss")]
    for case in ("reg = 0", "C = 12", "y below"):
        assert any(case in name for name in names)
