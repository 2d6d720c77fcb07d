"""What is said about a student's code: the right thing, or nothing, but never a wrong name."""

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey, load_answer_key
from assignment.checks.check import Check, Outcome
from assignment.checks.differences import (
    HEADLINES,
    decode,
    encode,
    find_difference,
    relative_error,
)
from assignment.checks.display import WIDTH, as_html, as_text, headline
from assignment.checks.errors import KNOWN
from assignment.checks.softmax import EXERCISE
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status, Verdict
from tests.banks import BANK

ANSWERS = load_answer_key("softmax")


def judge(region: str, *edits: tuple[str, str], body: str = "") -> Judge:
    """A judge of the solution with these edits in a region, or with another body there."""
    text = body or BANK.solution.body(region).text
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return Judge.of_student(EXERCISE, ANSWERS, BANK.solution.with_region(region, text).student())


# --- differences in plain words -------------------------------------------------------------------

REFERENCE = {
    "loss where N = 5, reg = 0": np.array(2.0),
    "loss where N = 7, reg = 0.5": np.array(3.5),
    "dW where N = 5, reg = 0": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    "dW where N = 7, reg = 0.5": np.array([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]),
}


def changed(**by_quantity: Any) -> dict[str, Any]:
    """The reference with a function applied to all the arrays of a quantity."""
    return {
        name: np.asarray(by_quantity.get(name.partition(" ")[0], lambda a: a)(array))
        for name, array in REFERENCE.items()
    }


KINDS = [
    ("shape", changed(loss=lambda a: np.array([a, a])), "shape (2,) came out, but a single number"),
    ("shape", changed(dW=lambda a: a.ravel()), "shape (6,) came out, but shape (2, 3)"),
    ("shape", changed(dW=lambda a: a[0, 0]), "a single number came out"),
    ("transposed", changed(dW=lambda a: a.T), "rows and columns are exchanged"),
    ("dtype", changed(dW=lambda a: a.astype(int)), "int64 came out, but floats are expected"),
    ("dtype", changed(dW=lambda a: a.astype(object)), "object came out"),
    ("dtype", changed(dW=lambda a: a.astype(complex)), "complex128 came out"),
    ("nan", changed(loss=lambda a: a * np.nan), "nan came out"),
    ("nan", changed(dW=lambda a: np.where(a > 4, np.inf, a)), "2 of 6 numbers are inf"),
    ("factor", changed(loss=lambda a: 2 * a), "loss is 2 times what it should be, everywhere"),
    ("factor", changed(dW=lambda a: -a), "dW is -1 times what it should be"),
    ("offset", changed(loss=lambda a: a + 0.25), "loss is 0.25 more than it should be"),
    ("offset", changed(dW=lambda a: a - 1), "dW is 1 less than it should be"),
    ("wrong", changed(loss=lambda a: a**2), "loss is off by 71% where N = 7, reg = 0.5."),
    ("wrong", changed(dW=lambda a: a + np.eye(2, 3) * 1e-4), "off by a part in"),
]


@pytest.mark.parametrize(("kind", "actual", "said"), KINDS)
def test_the_kinds_of_difference_are_told_apart(
    kind: str, actual: dict[str, Any], said: str
) -> None:
    quantity = "loss" if any(actual[n] is not REFERENCE[n] for n in actual if n[0] == "l") else "dW"
    quantity = "loss" if find_difference(actual, REFERENCE, ("loss",), 1e-6) else "dW"
    difference = find_difference(actual, REFERENCE, (quantity,), 1e-6)
    assert difference is not None
    assert difference.kind == kind
    assert said in difference.text
    assert kind in HEADLINES


@pytest.mark.parametrize("rounding", [1 - 1e-8, 1 - 1e-15, 1.0, 1 + 1e-15, 1 + 1e-8])
def test_where_it_is_worst_does_not_depend_on_rounding(rounding: float) -> None:
    reference = {"loss where N = 5": np.array(1.0), "loss where N = 6": np.array(3.0)}
    wrong = {"loss where N = 5": np.array(-0.75), "loss where N = 6": np.array(-2.25 * rounding)}
    wrong["loss where N = 7"], reference["loss where N = 7"] = np.array(4.0), np.array(4.1)
    difference = find_difference(wrong, reference, ("loss",), 1e-6)
    assert difference is not None
    assert difference.text == "loss is off by 175% where N = 5."


def test_right_only_without_regularisation_is_said() -> None:
    wrong = {**REFERENCE, "loss where N = 7, reg = 0.5": np.array(3.0)}
    difference = find_difference(wrong, REFERENCE, ("loss",), 1e-6)
    assert difference is not None
    assert difference.kind == "unregularised"
    assert difference.text == "loss is right where reg is 0, and wrong where it is not."


def test_where_only_some_problems_are_wrong_the_right_ones_are_named() -> None:
    wrong = {**REFERENCE, "loss where N = 5, reg = 0": np.array(2.5)}
    difference = find_difference(wrong, REFERENCE, ("loss",), 1e-6)
    assert difference is not None
    assert difference.text == (
        "loss is off by 20% where N = 5, reg = 0. It is right where N = 7, reg = 0.5."
    )


def test_what_is_not_judged_may_be_anything() -> None:
    assert find_difference(changed(dW=lambda a: a * np.nan), REFERENCE, ("loss",), 1e-6) is None


FLOATS = st.floats(-1e300, 1e300)
ARRAYS = hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=4), elements=FLOATS)


@given(ARRAYS)
def test_an_array_differs_from_itself_by_nothing(array: Any) -> None:
    assert relative_error(array, array) == 0.0


@given(ARRAYS, st.floats(1e-6, 1e6))
def test_a_relative_error_does_not_depend_on_the_unit(array: Any, unit: float) -> None:
    other = array[::-1]
    errors = relative_error(array, other), relative_error(array * unit, other * unit)
    assert errors[0] == pytest.approx(errors[1], rel=1e-6, abs=1e-12) or array.max() * unit > 1e300


@given(hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64]), (2, 3)))
def test_an_array_comes_back_from_json(array: Any) -> None:
    back = decode(json.loads(json.dumps(encode(array))))
    assert back.dtype == array.dtype
    assert relative_error(back, array) < 1e-8


# --- verdicts -------------------------------------------------------------------------------------


def test_the_solution_passes_everything_that_needs_no_notebook() -> None:
    judge_ = Judge.of_student(EXERCISE, ANSWERS, BANK.solution.student())
    for check in EXERCISE.checks:
        verdict = judge_.verdict(check.name)
        assert verdict.passed != check.in_notebook
        assert verdict.points == (0 if check.in_notebook else check.points)


def test_what_comes_back_as_it_was_set_is_not_attempted() -> None:
    verdict = judge("softmax_naive", body="pass\n").verdict("naive_loss")
    assert verdict.status is Status.NOT_ATTEMPTED
    assert "as it was set at the start: 0" in verdict.text


def test_a_loss_without_its_gradient_is_a_good_beginning() -> None:
    line = "dW[:, c] += (p - (c == y[i])) * X[i]"
    started = judge("softmax_naive", (line, "pass"), ("dW = dW / num_train + reg * W", "pass"))
    assert started.verdict("naive_loss").passed
    assert started.verdict("naive_gradient").status is Status.NOT_ATTEMPTED


@pytest.mark.parametrize(
    "edit",
    [
        ("0.5 * reg * np.sum(W * W)", "reg * np.sum(W * W)"),
        ("loss = loss / num_train + ", "loss = loss + "),
    ],
)
def test_a_mistake_in_the_loss_is_named_before_the_gradient_is_written(
    edit: tuple[str, str],
) -> None:
    complete = judge("softmax_naive", edit).verdict("naive_loss")
    without = [("dW[:, c] += (p - (c == y[i])) * X[i]", "pass"), ("dW = dW / num_train", "dW = 0")]
    started = judge("softmax_naive", edit, *without).verdict("naive_loss")
    assert complete.mistake == started.mistake != ""


@pytest.mark.parametrize("function", ["naive", "vectorized"])
def test_a_property_of_wrong_numbers_is_worth_nothing(function: str) -> None:
    wrong = judge(f"softmax_{function}", body="return 1.0, np.ones_like(W)\n")
    for check in EXERCISE.checks:
        if check.name.startswith(function):
            verdict = wrong.verdict(check.name)
            assert verdict.points == 0
            if check.requires:
                assert verdict.status is Status.WAITING
                assert f"counts once “{function.capitalize()} loss”" in verdict.text


@pytest.mark.parametrize(
    "edit",
    [
        ("np.log(sum_exp) - scores[y[i]]", "1.1 * (np.log(sum_exp) - scores[y[i]])"),
        ("np.log(sum_exp) - scores[y[i]]", "np.log(sum_exp) - scores[y[i]] + 0.1"),
        ("np.log(sum_exp) - scores[y[i]]", "np.log(sum_exp) - scores[0]"),
        ("0.5 * reg * np.sum(W * W)", "0.4 * reg * np.sum(W * W)"),
        ("0.5 * reg * np.sum(W * W)", "reg"),
        ("sum_exp += np.exp(scores[c])", "sum_exp += np.exp(1.01 * scores[c])"),
    ],
)
def test_a_mistake_that_nobody_knows_is_described_and_not_named(edit: tuple[str, str]) -> None:
    verdict = judge("softmax_naive", edit).verdict("naive_loss")
    assert verdict.status is Status.WRONG
    assert verdict.mistake == ""
    assert verdict.headline == HEADLINES[verdict.kind]
    assert verdict.text


OTHER_WORDS = {
    # The same mistakes as in the bank, in the words of other people.
    "sum_not_mean": """
for x, label in zip(X, y):
    s = x.dot(W)
    s -= s.max()
    p = np.exp(s) / np.exp(s).sum()
    loss -= np.log(p[label])
    p[label] -= 1
    dW += np.outer(x, p) / X.shape[0]
loss += reg / 2 * (W ** 2).sum()
dW += reg * W
""",
    "gradient_not_divided": """
for i in range(X.shape[0]):
    s = np.dot(X[i], W) - np.max(np.dot(X[i], W))
    loss += np.log(np.sum(np.exp(s))) - s[y[i]]
    for j in range(W.shape[1]):
        dW[:, j] += X[i] * np.exp(s[j]) / np.sum(np.exp(s))
        if j == y[i]:
            dW[:, j] -= X[i]
loss = loss / X.shape[0] + 0.5 * reg * np.sum(W ** 2)
dW += reg * W
""",
    "other_convention": """
N = len(y)
for i in range(N):
    s = X[i].dot(W)
    s = s - max(s)
    loss += -s[y[i]] + np.log(sum(np.exp(s)))
    for k in range(W.shape[1]):
        dW[:, k] += (np.exp(s[k]) / sum(np.exp(s)) - (k == y[i])) * X[i]
loss /= N
dW /= N
loss += reg * np.sum(np.square(W))
dW += reg * 2 * W
""",
    "reg_gradient_doubled": """
scores = X @ W
for i in range(len(X)):
    z = scores[i] - scores[i].max()
    log_p = z - np.log(np.exp(z).sum())
    loss -= log_p[y[i]] / len(X)
    g = np.exp(log_p)
    g[y[i]] -= 1
    dW += np.outer(X[i], g) / len(X)
loss += reg * np.sum(W * W) / 2
dW += (W + W) * reg
""",
}


@pytest.mark.parametrize("mistake", OTHER_WORDS)
def test_a_mistake_has_its_name_in_whatever_words_it_is_made(mistake: str) -> None:
    verdicts = judge("softmax_naive", body=OTHER_WORDS[mistake].lstrip("\n"))
    named = {v.mistake for v in map(verdicts.verdict, ("naive_loss", "naive_gradient"))}
    assert named - {""} == {mistake}


def test_the_other_convention_is_told_from_a_mixture() -> None:
    loss = ("0.5 * reg * np.sum(W * W)", "reg * np.sum(W * W)")
    gradient = ("num_train + reg * W", "num_train + 2 * reg * W")
    both = judge("softmax_naive", loss, gradient)
    assert both.verdict("naive_loss").mistake == "other_convention"
    assert both.verdict("naive_gradient").mistake == "other_convention"
    assert judge("softmax_naive", loss).verdict("naive_loss").mistake == "half_missing_in_loss"
    only = judge("softmax_naive", gradient).verdict("naive_gradient")
    assert only.mistake == "reg_gradient_doubled"


SHIFT = "scores -= scores.max(axis=1, keepdims=True)"
LOSS = "loss = np.sum(np.log(sum_exp) - scores[samples, y]) / num_train"
LOG_P = "loss = -np.mean(np.log(probs[samples, y] / sum_exp))"
REG = "loss += 0.5 * reg * np.vdot(W, W)"


def test_large_scores_and_underflow_are_two_lessons() -> None:
    shifted = judge("softmax_vectorized", (LOSS, LOG_P))
    assert shifted.verdict("vectorized_large_scores").passed
    assert shifted.verdict("vectorized_underflow").mistake == "log_of_probability"
    assert shifted.verdict("vectorized_underflow").out_of == 1
    unshifted = judge("softmax_vectorized", (SHIFT, "pass"))
    assert unshifted.verdict("vectorized_large_scores").mistake == "no_max_shift"
    assert unshifted.verdict("vectorized_large_scores").out_of == 6


def test_an_overflow_is_named_beside_a_mistake_that_cannot_be_its_cause() -> None:
    both = judge("softmax_vectorized", (SHIFT, "pass"), (REG, "loss += reg * np.vdot(W, W)"))
    assert both.verdict("vectorized_loss").mistake == "half_missing_in_loss"
    assert both.verdict("vectorized_large_scores").mistake == "no_max_shift"


def test_a_nan_names_nothing_where_ordinary_numbers_are_wrong_for_an_unknown_reason() -> None:
    both = judge("softmax_vectorized", (SHIFT, "pass"), (REG, "loss += 0.4 * reg * np.vdot(W, W)"))
    verdict = both.verdict("vectorized_large_scores")
    assert verdict.mistake == ""
    assert verdict.headline == "nan or inf"
    assert "overflow" in verdict.hint


def test_a_hint_for_large_scores_is_given_only_where_they_are_the_cause() -> None:
    aliased = judge(
        "softmax_vectorized",
        (LOSS, "pass"),
        ("dscores /= num_train", f"{LOG_P}\n    dscores /= num_train"),
        (REG, "loss += 0.5 * reg * np.vdot(W, W)"),
    )
    for name in ("vectorized_large_scores", "vectorized_underflow"):
        verdict = aliased.verdict(name)
        assert verdict.kind == "nan"
        assert not verdict.hint
    assert "After `a = b`" in aliased.verdict("vectorized_loss").hint
    one_short = judge(
        "softmax_naive", ("for i in range(num_train)", "for i in range(num_train - 1)")
    )
    for verdict in map(one_short.verdict, ("naive_loss", "naive_underflow")):
        assert verdict.status is Status.WRONG
        assert not verdict.hint


@pytest.mark.parametrize(
    ("edit", "mistake"),
    [
        ((REG, "loss += 0.5 * reg * np.sum(W.T * W)"), ""),
        ((REG, "loss += 0.5 * reg * np.sum(W.T.dot(W.T))"), "matrix_product_of_W"),
        (("dW = X.T @ dscores", "dW = W.dot(dscores)"), ""),
        (("dscores = probs\n", "dscores = probs - y\n"), "labels_subtracted"),
        (("scores = X @ W", "scores = W.T @ X"), "transposed_layout"),
        (("scores = X @ W", "scores = np.matmul(X.T, W)"), "transposed_layout"),
        (("probs /= sum_exp[:, np.newaxis]", "probs = probs / sum_exp"), "row_without_keepdims"),
        ((SHIFT, "scores = scores - scores.max(1) / y"), "row_without_keepdims"),
    ],
)
def test_shapes_that_do_not_fit_have_the_name_of_their_cause_or_none(
    edit: tuple[str, str], mistake: str
) -> None:
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_loss")
    assert verdict.status is Status.RAISED
    assert verdict.mistake == mistake


def test_a_0_that_was_computed_is_an_attempt() -> None:
    overwritten = judge("softmax_naive", ("loss = loss / num_train + 0.5", "loss = 0.5"))
    assert overwritten.verdict("naive_underflow").status is Status.WRONG
    body = "loss = 0.0\ndW = np.zeros(0)\n"
    verdict = judge("softmax_naive", body=body).verdict("naive_gradient")
    assert verdict.headline == HEADLINES["shape"]
    unwritten = judge("softmax_naive", body="pass\n")
    for name in ("naive_loss", "naive_large_scores", "naive_underflow"):
        assert unwritten.verdict(name).status is Status.NOT_ATTEMPTED


def test_a_step_that_is_skipped_or_scaled_by_the_loss_is_seen() -> None:
    scaled = judge("train_update", ("learning_rate * dW", "learning_rate * dW * loss"))
    assert not scaled.verdict("train_update").passed
    skipped = judge("train_update", body="if it == 1:\n    break\nself.W -= learning_rate * dW\n")
    assert "asked for the loss 2 times in 3 steps" in skipped.verdict("train_update").text


@pytest.mark.parametrize("number", ["mean", "min"])
def test_a_nan_of_another_cause_is_not_called_by_a_name_that_is_not_its_own(number: str) -> None:
    edit = (SHIFT, f"scores -= scores.{number}(axis=1, keepdims=True)")
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_underflow")
    assert verdict.mistake == "shifted_by_another_number"
    median = (SHIFT, "scores -= 2 * np.abs(scores[:, :1])")
    assert judge("softmax_vectorized", median).verdict("vectorized_underflow").mistake in (
        "",
        "shifted_by_another_number",
    )


def test_shapes_that_do_not_fit_are_told() -> None:
    verdict = judge("softmax_vectorized", ("scores = X @ W", "scores = X @ X")).verdict(
        "vectorized_loss"
    )
    assert "called with W of shape (3, 4), X (6, 3), y (6,)." in verdict.quoted


@pytest.mark.parametrize("floor", ["3e-9", "1e-20", "1e-300"])
def test_a_floor_of_any_height_is_explained(floor: str) -> None:
    edit = (LOSS, f"loss = -np.mean(np.log(np.maximum(probs[samples, y] / sum_exp, {floor})))")
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_underflow")
    assert verdict.status is Status.WRONG
    assert "holds the probability away from 0" in verdict.hint


def test_a_rule_that_names_a_mistake_finds_it_in_the_bank() -> None:
    verdict = judge("train_batch", ("y_batch = y[drawn]", "y_batch = y[drawn - 1]"))
    assert verdict.verdict("train_batch").mistake == "labels_not_matching"


@pytest.mark.parametrize(
    ("batch", "headline_"),
    [
        ("X[drawn] * 2", "not the training samples"),
        ("X[drawn].astype(object)", "not numbers"),
        ("X[drawn].T", "the batch has the wrong shape"),
        ("None", "not numbers"),
    ],
)
def test_a_batch_of_anything_else_than_samples_is_told(batch: str, headline_: str) -> None:
    edit = ("X_batch = X[drawn]", f"X_batch = {batch}")
    assert judge("train_batch", edit).verdict("train_batch").headline == headline_


def test_every_mistake_that_the_checks_name_is_in_the_bank() -> None:
    modules = [PROJECT / "assignment" / "checks" / name for name in ("linear.py", "softmax.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in modules)
    named = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    named |= {id for check in EXERCISE.checks for id in check.raises.values()}
    assert len(named) > 15
    assert named <= set(ANSWERS.mistakes)


# --- the notebook's results -----------------------------------------------------------------------


WEIGHTS = np.random.default_rng(0).standard_normal((8, 4))


def notebook_verdict(name: str, **variables: Any) -> Verdict:
    X = np.random.default_rng(1).standard_normal((400, 8))
    y = np.argmax(X @ WEIGHTS, axis=1)
    model = type("Model", (), {"W": WEIGHTS})()
    notebook = {
        "NUM_ITERS": 200,
        "TUNING_LEARNING_RATES": [0.1],
        "TUNING_REGS": [1.0, 2.0],
        "model": model,
        "loss_history": np.linspace(2.3, 1.5, 200).tolist(),
        "results": {(0.1, 1.0): (0.9, 1.0), (0.1, 2.0): (0.8, 0.7)},
        "best_val": 1.0,
        "best_softmax": model,
        "X_val": X,
        "y_val": y,
        "X_test": X[::-1][:300],
        "y_test": np.zeros(300, dtype=int),
        **variables,
    }
    student = Student(BANK.solution.files, notebook)
    return Judge.of_student(EXERCISE, ANSWERS, student, notebook).verdict(name)


def test_a_trained_and_tuned_model_passes() -> None:
    assert notebook_verdict("training").passed
    assert notebook_verdict("tuning").passed


@pytest.mark.parametrize(
    ("check", "variables", "headline_"),
    [
        ("training", {"loss_history": [2.3] * 200}, "the loss does not fall"),
        ("training", {"loss_history": [2.3, np.nan]}, "training stopped early"),
        ("training", {"loss_history": [np.nan] * 200}, "training stopped early"),
        ("tuning", {"best_val": 0.7}, "the last classifier kept, not the best"),
        ("tuning", {"best_val": 0.9}, "chosen by the training accuracy"),
        ("tuning", {"best_val": 0.2}, "best_val is not the best"),
        ("tuning", {"results": {(0.1, 1.0): (0.9, 1.0)}}, "not every pair was tried"),
        ("tuning", {"results": {(0.1, 1.0): 1.0}}, "nothing to judge"),
        ("tuning", {"results": {0.1: "good"}}, "nothing to judge"),
        ("tuning", {"best_val": "high"}, "nothing to judge"),
        ("tuning", {"best_softmax": "a model"}, "nothing to judge"),
        ("tuning", {"results": {}}, "not attempted yet"),
        ("tuning", {"best_softmax": None}, "not attempted yet"),
        ("training", {"loss_history": [None] * 200}, "training stopped early"),
        ("training", {"model": None}, "not attempted yet"),
        ("saved_model", {}, "not attempted yet"),
    ],
)
def test_what_the_notebook_computed_wrongly_is_said(
    check: str, variables: dict[str, Any], headline_: str
) -> None:
    verdict = notebook_verdict(check, **variables)
    assert not verdict.passed
    assert verdict.headline == headline_


@pytest.mark.parametrize("W", [-WEIGHTS, WEIGHTS[:3], WEIGHTS[0], WEIGHTS.astype(int)])
def test_weights_that_predict_nothing_do_not_pass(W: Any) -> None:
    assert not notebook_verdict("training", model=type("Model", (), {"W": W})()).passed


# --- what is read ---------------------------------------------------------------------------------

FAILED = Verdict(
    "naive_loss",
    "Naive loss",
    Status.WRONG,
    0,
    8,
    headline="sum instead of mean",
    text="loss is <b>off</b> by 50%. " * 5,
    hint="Divide.",
    quoted='  File "a.py", line 3\n    x = y',
)


def test_a_verdict_is_short_and_read_from_the_top() -> None:
    lines = as_text(FAILED).splitlines()
    assert lines[0] == headline(FAILED) == "✗ Naive loss: sum instead of mean (0 of 8 points)"
    assert lines[-2:] == ['      File "a.py", line 3', "        x = y"]
    assert max(map(len, lines)) <= WIDTH


def test_html_shows_what_was_said_and_no_markup_of_it() -> None:
    html = as_html(Verdict("x", "<script>alert(1)</script>", Status.PASSED, 1, 1))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "1 of 1 point)" in html


def test_every_hint_points_at_the_cause_in_a_few_words_and_gives_no_code() -> None:
    solved = {
        line.strip()
        for r in ("softmax_naive", "softmax_vectorized", "train_batch")
        for line in BANK.solution.body(r).text.splitlines()
        if len(line.strip()) > 12
    }
    for id, mistake in ANSWERS.mistakes.items():
        assert mistake.hint.endswith("."), id
        assert 20 < len(mistake.hint) < 260, id
        assert mistake.name[0].islower() or mistake.name[0] in "([01L2½NW", id
        assert not any(line in mistake.hint for line in solved), id
    assert all(known.hint.endswith(".") for known in KNOWN)


# --- the answers ----------------------------------------------------------------------------------


def test_the_answers_are_numbers_and_hints_and_not_large() -> None:
    path = PROJECT / "assignment" / "checks" / "softmax.json"
    assert path.stat().st_size < 400_000
    stored = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    for check in stored["checks"].values():
        arrays = [check["reference"], *(print_["arrays"] for print_ in check["fingerprints"])]
        for named in arrays:
            for array in named.values():
                assert set(array) == {"shape", "dtype", "data"}
                assert all(n is None or isinstance(n, (int, float)) for n in array["data"])


def test_answers_come_back_from_json() -> None:
    again = AnswerKey.from_json(ANSWERS.to_json())
    assert again.to_json() == ANSWERS.to_json()
    assert again.mistakes == ANSWERS.mistakes


def test_a_check_without_a_rule_and_without_arrays_does_not_pass() -> None:
    check = Check("naive_loss", "Naive loss", 8, (), lambda student, seed: {}, compared=("loss",))
    judge_ = Judge(EXERCISE, ANSWERS, {}, lambda check: Outcome())
    verdict = judge_.verdict_on(check)
    assert verdict.status is Status.WRONG
    assert "There is no loss" in verdict.text
