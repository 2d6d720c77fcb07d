"""Checks run on the code as it stands in the files, and whatever it does is an outcome."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.check import Check, Outcome, exercises, load_exercise, run_check_for
from assignment.checks.draws import Draws
from assignment.checks.errors import KNOWN
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.loops import find_loop
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.student import InvalidResult, Student
from assignment.checks.verdict import Judge

SOURCES = {path: (PROJECT / path).read_text(encoding="utf-8") for path in EXERCISE.files}
ANSWERS = load_answer_key("softmax")


def run(source: str, check: str = "naive_loss") -> Outcome:
    """The outcome of a check where `softmax.py` is this text."""
    return run_check_for(EXERCISE.check(check), Student({**SOURCES, SOFTMAX: source}), 0)


def with_naive(*lines: str) -> str:
    """A `softmax.py` whose naive loss has these lines as its body."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"import numpy as np\n\n\ndef softmax_loss_naive(W, X, y, reg):\n{body}\n"


# --- numbers that a seed fixes --------------------------------------------------------------------


def test_a_seed_means_the_same_numbers_on_every_machine_and_for_ever() -> None:
    draws = Draws(231, "a label")
    numbers = np.concatenate([draws.normal(100, 7).ravel(), draws.integers(10, 300)])
    digest = hashlib.sha256(numbers.astype("<f8").tobytes()).hexdigest()
    assert digest.startswith("a7ec704c9652a9eb")


@given(st.integers(0, 2**63 - 1))
def test_what_is_drawn_is_exact_in_float32(seed: int) -> None:
    drawn = Draws(seed, "x").normal(40, 5)
    assert np.array_equal(drawn.astype(np.float32), drawn)
    assert np.abs(drawn).max() < 6


def test_normal_numbers_have_mean_0_and_variance_1() -> None:
    drawn = Draws(1, "moments").normal(200_000)
    assert abs(drawn.mean()) < 0.01  # 4.5 standard errors
    assert abs(drawn.var() - 1) < 0.015
    assert not np.array_equal(drawn, Draws(1, "another label").normal(200_000))


def test_problems_cover_what_the_notebook_does_not() -> None:
    problems = EXERCISE.check("naive_loss").run(Student(SOURCES), 0)
    names = [name for name in problems if name.startswith("loss")]
    assert any("reg = 0" in name for name in names)
    assert any("C = 12" in name for name in names)
    assert any("y below" in name for name in names)


# --- the student's code ---------------------------------------------------------------------------


def test_two_trees_in_one_process_never_see_each_other() -> None:
    half = SOURCES[SOFTMAX].replace("loss / num_train", "loss / num_train / 2")
    one, other = Student(SOURCES), Student({**SOURCES, SOFTMAX: half})
    before = dict(sys.modules)
    losses = []
    for student in (one, other, one):
        arrays = run_check_for(EXERCISE.check("naive_loss"), student, 0).arrays
        losses.append(arrays["loss where N = 6, D = 3, C = 4, reg = 0"])
    assert losses[0] == losses[2]
    assert losses[1] == losses[0] / 2
    assert {k: v for k, v in sys.modules.items() if k in before} == before


def test_the_students_files_import_each_other() -> None:
    using = f"from assignment.classifiers.softmax import another\n{SOURCES[LINEAR_CLASSIFIER]}"
    outcome = run_check_for(
        EXERCISE.check("predict"), Student({**SOURCES, LINEAR_CLASSIFIER: using}), 0
    )
    assert outcome.raised is not None
    assert outcome.raised.kind == "ImportError"
    assert LINEAR_CLASSIFIER in outcome.raised.traceback


def test_a_broken_file_does_not_touch_the_checks_of_the_other() -> None:
    student = Student({**SOURCES, LINEAR_CLASSIFIER: "def broken(:\n"})
    assert run_check_for(EXERCISE.check("naive_loss"), student, 0).arrays
    assert run_check_for(EXERCISE.check("predict"), student, 0).raised is not None
    student = Student({**SOURCES, SOFTMAX: "def broken(:\n"})
    assert run_check_for(EXERCISE.check("naive_loss"), student, 0).raised is not None
    assert run_check_for(EXERCISE.check("predict"), student, 0).arrays


def test_what_is_imported_afterwards_is_what_was_there_before() -> None:
    from assignment.classifiers import softmax

    run(with_naive("return 7.0, W"))
    import assignment.classifiers

    assert sys.modules["assignment.classifiers.softmax"] is softmax
    assert assignment.classifiers.softmax is softmax


def test_a_missing_file_and_one_that_is_not_text_say_so(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidResult, match=r"no assignment/classifiers/softmax.py in .*starter again"
    ):
        Student.from_folder(tmp_path, EXERCISE.files)
    (tmp_path / SOFTMAX).parent.mkdir(parents=True)
    (tmp_path / SOFTMAX).write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(InvalidResult, match="is not UTF-8"):
        Student.from_folder(tmp_path, (SOFTMAX,))


def test_windows_line_endings_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    path = tmp_path / SOFTMAX
    path.parent.mkdir(parents=True)
    source = SOURCES[SOFTMAX].replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + source.encode())
    student = Student.from_folder(tmp_path, (SOFTMAX,))
    assert run_check_for(EXERCISE.check("vectorized_loss"), student, 0).arrays


# --- outcomes -------------------------------------------------------------------------------------


def test_a_stub_is_not_attempted_and_says_where_to_write() -> None:
    outcome = run(with_naive("", 'raise NotImplementedError("softmax_naive")'))
    assert outcome.missing == f"Write `softmax_naive` in {SOFTMAX}, at line 6."


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
def test_whatever_is_raised_is_told_with_the_students_lines_only(body: str, kind: str) -> None:
    raised = run(with_naive("W = W * 2", body)).raised
    assert raised is not None
    assert raised.kind == kind
    assert raised.traceback.splitlines()[1].strip() == body
    assert f'File "{SOFTMAX}", line 6, in softmax_loss_naive' in raised.traceback
    assert "checks/" not in raised.traceback
    assert raised.traceback.count("File ") <= 4


def test_the_lines_quoted_are_those_that_ran() -> None:
    bodies = ["return undefined_name, W", "return another_name, W"]
    students = [Student({**SOURCES, SOFTMAX: with_naive(body)}) for body in bodies]
    for student, body in zip(students * 2, bodies * 2, strict=True):
        raised = run_check_for(EXERCISE.check("naive_loss"), student, 0).raised
        assert raised is not None
        assert body in raised.traceback


def test_the_person_at_the_keyboard_can_always_stop() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(with_naive("raise KeyboardInterrupt"))


def test_prints_and_warnings_are_kept_to_their_last_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = ["import warnings", "warnings.warn('look')", "print('x' * 9999)", "print('the end')"]
    outcome = run(with_naive(*lines, "return np.log(0.0), W"))
    assert outcome.printed.endswith("the end")
    assert len(outcome.printed) <= 400
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "softmax_loss_naive returned nothing (None), but `loss, dW` is wanted."),
        ("return 1.0", "returned a float"),
        ("return 1.0, W, X", "returned 3 things, but `loss, dW` is wanted"),
        ("return None, W", "returned loss = None"),
        ("return 1.0, ...", "returned dW = Ellipsis"),
        ("return 'loss', W", "returned loss = 'loss'"),
        ("return 1.0, W.tolist()", "returned dW as a list, not as an array"),
    ],
)
def test_what_cannot_be_judged_is_said(body: str, said: str) -> None:
    assert said in run(with_naive(body)).invalid


def test_an_exception_whose_text_cannot_be_had_is_told_by_its_class() -> None:
    for body in ("raise ValueError('x')", "return 5", "raise SystemExit"):
        lines = ["class Odd(Exception):", f"    def __str__(self): {body}", "raise Odd"]
        raised = run(with_naive(*lines)).raised
        assert raised is not None
        assert raised.kind == "Odd"


def test_what_is_quoted_is_short_and_cannot_move_the_cursor() -> None:
    raised = run(with_naive(r"raise ValueError('\x1b[2J' + 'x' * 10**6)")).raised
    assert raised is not None
    assert len(raised.traceback) < 1000
    assert "\x1b" not in raised.traceback
    assert r"\x1b[2J" in raised.traceback
    outcome = run(
        with_naive(r"print('\x1b[2J')", "import sys", "sys.stdout.close()", "return 1, W")
    )
    assert outcome.printed.splitlines()[-1] == r"\x1b[2J"


def test_a_class_that_became_something_else_is_said() -> None:
    text = "def LinearClassifier():\n    pass\n"
    student = Student({**SOURCES, LINEAR_CLASSIFIER: text})
    assert (
        "is a function, but a class" in run_check_for(EXERCISE.check("predict"), student, 0).invalid
    )


def test_a_function_that_was_renamed_is_missed_by_name() -> None:
    outcome = run(with_naive("return 1.0, W").replace("softmax_loss_naive", "my_loss"))
    assert "has no softmax_loss_naive any more" in outcome.invalid


def test_every_check_of_every_exercise_has_its_place() -> None:
    assert exercises() == ["softmax", "svm"]
    for name in exercises():
        exercise = load_exercise(name)
        assert sum(check.points for check in exercise.checks) == 100
        assert len(set(exercise.names)) == len(exercise.names)
        for number, check in enumerate(exercise.checks):
            assert set(check.requires + check.baseline) <= set(exercise.names[:number])
            assert check.compared or check.rule


def test_an_unknown_check_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(KeyError, match=r"no check 'naiv_loss'.*naive_loss, naive_gradient"):
        EXERCISE.check("naiv_loss")


# --- loops ----------------------------------------------------------------------------------------

LOOPS = [
    "for i in range(3):\n    pass",
    "while True:\n    break",
    "x = [i for i in y]",
    "x = {i for i in y}",
    "x = {i: i for i in y}",
    "x = sum(i for i in y)",
    "helper(y)",
    "x = helper",
    "naive(y)",
    "f = naive",
    "if False:\n    def inner():\n        for i in y: pass",
    "x = (lambda: [i for i in y])()",
    "for i in [*range(3)]: pass",
    "x = list(map(len, y))",
    "x = np.vectorize(len)(y)",
    "x = np.apply_along_axis(sum, 1, y)",
    "Helper().method(y)",
    "x = other(y)",
    "x = alias",
    "x = hidden(y)",
    "x = later(y)",
    "import itertools\nx = list(itertools.starmap(len, y))",
    "exec('for i in y: pass')",
    "global helper\nx = helper",
    "for a, b in zip(y, y): pass",
    "for i, a in enumerate(y): pass",
    "for n in range(y.shape[0]): pass",
]
NO_LOOPS = [
    "x = np.exp(y)",
    "for name in ('W', 'X'):\n    print(name)",
    "x = [np.shape(a) for a in [y, y]]",
    "innocent(y)",
    "helper = np.exp(y)\nx = helper + 1",
    "map = y * 2\nx = map.sum()",
    "N, D = [n for n in y.shape]",
    "assert all(d > 0 for d in y.shape)",
    "for k, a in {'y': y}.items(): pass",
    "for i, a in enumerate((y, y)): pass",
    "for k, a in zip('ab', (y, y)): pass",
    "x = np.logaddexp.reduce(y, axis=1)",
    "'for i in range(3)'",
    "# for i in y",
]
HELPERS = (
    "class Helper:\n    def method(self, y):\n        for i in y: pass\n"
    "other = lambda y: [i for i in y]\nalias = helper\n"
    "try:\n    def hidden(y):\n        while y: pass\nexcept ImportError:\n    pass\n"
    "later: object = lambda y: [i for i in y]\n"
    "def helper(y):\n    return deeper(y)\ndef deeper(y):\n    for i in y: pass\n"
)
INNOCENT = "def innocent(y):\n    return y\ndef naive(y):\n    for i in y: pass\n"


def function(body: str) -> str:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{HELPERS}{INNOCENT}def f(y):\n    y = y\n{indented}    return y\n"


@pytest.mark.parametrize("body", LOOPS)
def test_a_loop_is_found_wherever_it_hides_in_the_source(body: str) -> None:
    loop = find_loop(function(body), "f", ["naive"])
    assert loop is not None
    assert loop.text.startswith("Line ")
    assert loop.calls_forbidden == ("naive" in body)


@pytest.mark.parametrize("body", NO_LOOPS)
def test_what_goes_over_neither_samples_nor_classes_is_no_loop(body: str) -> None:
    assert find_loop(function(body), "f", ["naive"]) is None


@pytest.mark.parametrize("source", ["def f(:", "x = 1", "\0", "(" * 500, "def g(): f()"])
def test_a_source_without_the_function_has_no_loop(source: str) -> None:
    assert find_loop(source, "f", ["naive"]) is None


# --- exceptions of old code -----------------------------------------------------------------------

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


@pytest.mark.parametrize("name", OLD)
def test_copied_old_code_gets_its_hint(name: str) -> None:
    student = Student({**SOURCES, SOFTMAX: with_naive("x = 0", OLD[name], "return 1.0, W")})
    judge = Judge.of_student(EXERCISE, ANSWERS, student)
    verdict = judge.verdict("naive_loss")
    assert verdict.headline == name
    assert verdict.hint
    assert "Error" in verdict.quoted or "BdbQuit" in verdict.quoted


def test_every_known_exception_is_tried() -> None:
    assert set(OLD) == {known.name for known in KNOWN}


def test_an_exception_that_nothing_is_known_of_gets_no_name() -> None:
    student = Student({**SOURCES, SOFTMAX: with_naive("return xrang(3), W")})
    verdict = Judge.of_student(EXERCISE, ANSWERS, student).verdict("naive_loss")
    assert verdict.headline == "raised NameError"
    assert not verdict.hint


def test_a_check_cannot_spoil_numpys_warnings_for_others() -> None:
    before = np.geterr()
    run_check_for(
        Check("x", "x", 0, (), lambda student, seed: {"a": np.log(np.zeros(1))}), Student({}), 0
    )
    assert np.geterr() == before
