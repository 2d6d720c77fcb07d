"""Verdicts name the right mistake, or no mistake, but never a wrong one."""

import pytest

from assignment.checks.check import Check, Outcome
from assignment.checks.differences import HEADLINES
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Judge, Status
from tests.banks import BANK
from tests.checks.solution import ANSWER_KEY, judge


def test_the_solution_passes_everything_that_needs_no_notebook() -> None:
    judge_ = Judge.of_student(EXERCISE, ANSWER_KEY, BANK.solution.student())
    for check in EXERCISE.checks:
        verdict = judge_.verdict(check.name)
        assert verdict.passed != check.in_notebook
        assert verdict.points == (0 if check.in_notebook else check.points)


def test_an_unchanged_result_is_not_attempted() -> None:
    verdict = judge("softmax_naive", body="pass\n").verdict("naive_loss")
    assert verdict.status is Status.NOT_ATTEMPTED
    assert "still 0, as at the start" in verdict.text


def test_a_loss_passes_before_the_gradient_is_written() -> None:
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
def test_a_property_of_a_wrong_result_earns_no_points(function: str) -> None:
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
def test_an_unknown_mistake_is_described_and_not_named(edit: tuple[str, str]) -> None:
    verdict = judge("softmax_naive", edit).verdict("naive_loss")
    assert verdict.status is Status.WRONG
    assert verdict.mistake == ""
    assert verdict.headline == HEADLINES[verdict.kind]
    assert verdict.text


OTHER_FORMS = {
    # Known mistakes, written by other people.
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


@pytest.mark.parametrize("mistake", OTHER_FORMS)
def test_a_mistake_is_named_however_it_is_written(mistake: str) -> None:
    verdicts = judge("softmax_naive", body=OTHER_FORMS[mistake].lstrip("\n"))
    named = {v.mistake for v in map(verdicts.verdict, ("naive_loss", "naive_gradient"))}
    assert named - {""} == {mistake}


def test_the_other_convention_is_distinguished_from_a_mixture() -> None:
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


def test_overflow_and_underflow_are_two_mistakes() -> None:
    shifted = judge("softmax_vectorized", (LOSS, LOG_P))
    assert shifted.verdict("vectorized_large_scores").passed
    assert shifted.verdict("vectorized_underflow").mistake == "log_of_probability"
    assert shifted.verdict("vectorized_underflow").out_of == 1
    unshifted = judge("softmax_vectorized", (SHIFT, "pass"))
    assert unshifted.verdict("vectorized_large_scores").mistake == "no_max_shift"
    assert unshifted.verdict("vectorized_large_scores").out_of == 6


def test_an_overflow_is_named_beside_a_mistake_that_cannot_cause_it() -> None:
    both = judge("softmax_vectorized", (SHIFT, "pass"), (REG, "loss += reg * np.vdot(W, W)"))
    assert both.verdict("vectorized_loss").mistake == "half_missing_in_loss"
    assert both.verdict("vectorized_large_scores").mistake == "no_max_shift"


def test_a_nan_names_no_mistake_where_ordinary_results_are_wrong_for_an_unknown_reason() -> None:
    both = judge("softmax_vectorized", (SHIFT, "pass"), (REG, "loss += 0.4 * reg * np.vdot(W, W)"))
    verdict = both.verdict("vectorized_large_scores")
    assert verdict.mistake == ""
    assert verdict.headline == "nan or inf"
    assert "overflow" in verdict.hint


def test_a_hint_for_large_scores_is_given_only_where_they_cause_the_nan() -> None:
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
def test_mismatched_shapes_are_named_by_their_cause_or_not_at_all(
    edit: tuple[str, str], mistake: str
) -> None:
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_loss")
    assert verdict.status is Status.RAISED
    assert verdict.mistake == mistake


def test_a_computed_0_is_an_attempt() -> None:
    overwritten = judge("softmax_naive", ("loss = loss / num_train + 0.5", "loss = 0.5"))
    assert overwritten.verdict("naive_underflow").status is Status.WRONG
    body = "loss = 0.0\ndW = np.zeros(0)\n"
    verdict = judge("softmax_naive", body=body).verdict("naive_gradient")
    assert verdict.headline == HEADLINES["shape"]
    unwritten = judge("softmax_naive", body="pass\n")
    for name in ("naive_loss", "naive_large_scores", "naive_underflow"):
        assert unwritten.verdict(name).status is Status.NOT_ATTEMPTED


@pytest.mark.parametrize("number", ["mean", "min"])
def test_a_nan_is_not_named_after_another_cause(number: str) -> None:
    edit = (SHIFT, f"scores -= scores.{number}(axis=1, keepdims=True)")
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_underflow")
    assert verdict.mistake == "shifted_by_another_number"
    median = (SHIFT, "scores -= 2 * np.abs(scores[:, :1])")
    assert judge("softmax_vectorized", median).verdict("vectorized_underflow").mistake in (
        "",
        "shifted_by_another_number",
    )


def test_mismatched_shapes_are_reported_with_the_shapes_of_the_inputs() -> None:
    verdict = judge("softmax_vectorized", ("scores = X @ W", "scores = X @ X")).verdict(
        "vectorized_loss"
    )
    assert "called with W of shape (3, 4), X (6, 3), y (6,)." in verdict.quoted


@pytest.mark.parametrize("floor", ["3e-9", "1e-20", "1e-300"])
def test_a_floor_of_any_height_under_the_probability_is_explained(floor: str) -> None:
    edit = (LOSS, f"loss = -np.mean(np.log(np.maximum(probs[samples, y] / sum_exp, {floor})))")
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_underflow")
    assert verdict.status is Status.WRONG
    assert "keeps the probability away from 0" in verdict.hint


def test_a_check_without_a_rule_fails_without_arrays() -> None:
    check = Check("naive_loss", "Naive loss", 8, (), lambda student, seed: {}, compared=("loss",))
    judge_ = Judge(EXERCISE, ANSWER_KEY, {}, lambda check: Outcome())
    verdict = judge_.verdict_on(check)
    assert verdict.status is Status.WRONG
    assert "returned no loss" in verdict.text
