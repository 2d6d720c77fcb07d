"""Verdicts name the right mistake, or no mistake, but never a wrong one."""

import re

import pytest

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Outcome
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


UNWRITTEN_GRADIENT = (
    ("dW[:, c] += (p - (c == y[i])) * X[i]", "pass"),
    ("dW = dW / num_train + reg * W", "pass"),
)


def test_a_loss_passes_before_the_gradient_is_written() -> None:
    started = judge("softmax_naive", *UNWRITTEN_GRADIENT)
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
    started = judge("softmax_naive", edit, *UNWRITTEN_GRADIENT).verdict("naive_loss")
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
        ("0.5 * reg * np.sum(W * W)", "reg**2"),
        ("sum_exp += np.exp(scores[c])", "sum_exp += np.exp(1.01 * scores[c])"),
    ],
)
def test_an_unknown_mistake_is_described_and_not_named(edit: tuple[str, str]) -> None:
    verdict = judge("softmax_naive", edit).verdict("naive_loss")
    assert verdict.status is Status.WRONG
    assert verdict.mistake == ""
    assert verdict.headline == HEADLINES[verdict.kind]
    assert verdict.text


# A right answer in another style, and known mistakes in that style.
OTHER_STYLE = """scores = X @ W
for i in range(len(X)):
    z = scores[i] - scores[i].max()
    log_p = z - np.log(np.exp(z).sum())
    loss -= log_p[y[i]] / len(X)
    g = np.exp(log_p)
    g[y[i]] -= 1
    dW += np.outer(X[i], g) / len(X)
loss += reg * np.sum(W ** 2) / 2
dW += reg * W
"""


@pytest.mark.parametrize(
    ("mistake", "edits"),
    [
        ("", []),
        ("sum_not_mean", [("log_p[y[i]] / len(X)", "log_p[y[i]]")]),
        ("gradient_not_divided", [("np.outer(X[i], g) / len(X)", "np.outer(X[i], g)")]),
        ("other_convention", [("(W ** 2) / 2", "(W * W)"), ("dW += reg", "dW += 2 * reg")]),
        ("reg_gradient_doubled", [("dW += reg * W", "dW += (W + W) * reg")]),
    ],
)
def test_a_mistake_is_named_however_it_is_written(
    mistake: str, edits: list[tuple[str, str]]
) -> None:
    body = OTHER_STYLE
    for old, new in edits:
        assert old in body
        body = body.replace(old, new)
    judge_ = judge("softmax_naive", body=body)
    verdicts = [judge_.verdict(name) for name in ("naive_loss", "naive_gradient")]
    assert {v.mistake for v in verdicts} - {""} == {mistake} - {""}
    assert all(v.passed for v in verdicts) == (not mistake)


def test_the_other_convention_is_distinguished_from_a_mixture() -> None:
    loss = ("0.5 * reg * np.sum(W * W)", "reg * np.sum(W * W)")
    gradient = ("num_train + reg * W", "num_train + 2 * reg * W")
    both = judge("softmax_naive", loss, gradient)
    assert both.verdict("naive_loss").mistake == "other_convention"
    assert both.verdict("naive_gradient").mistake == "other_convention"
    assert judge("softmax_naive", loss).verdict("naive_loss").mistake == "half_missing_in_loss"
    only = judge("softmax_naive", gradient).verdict("naive_gradient")
    assert only.mistake == "reg_gradient_doubled"


OTHER_REG = ("0.5 * reg * np.sum(W * W)", "reg * np.sum(W * W)")
NEW_LOSS = ("np.log(sum_exp) - scores[y[i]]", "np.log(sum_exp) - scores[0]")


@pytest.mark.parametrize(
    ("edits", "headline"),
    [
        ([("loss / num_train", "loss"), OTHER_REG], "{sum_not_mean}; {half_missing_in_loss}"),
        ([NEW_LOSS, OTHER_REG], "not right yet; {half_missing_in_loss}"),
        (
            [("loss / num_train", "loss"), ("0.5 * reg", "0.4 * reg")],
            "{sum_not_mean}; the regularization as well",
        ),
        (
            [("loss / num_train", "loss"), ("0.5 * reg", "0 * reg")],
            "{sum_not_mean}; {no_reg_in_loss}",
        ),
        # reg is used, and yet what it adds is that of a loss without it:
        ([("0.5 * reg * np.sum", "0.6 * np.sum")], "not right yet"),
    ],
)
def test_mistakes_in_data_and_regularization_are_explained_apart(
    edits: list[tuple[str, str]], headline: str
) -> None:
    verdict = judge("softmax_naive", *edits).verdict("naive_loss")
    names = {id: mistake.name for id, mistake in ANSWER_KEY.mistakes.items()}
    assert verdict.headline.startswith(headline.format_map(names))
    assert verdict.headline.count(";") == headline.count(";")
    if ";" in headline:
        assert len(re.findall(r"\.(?: |$)", verdict.text)) == 2  # a sentence for each part
        assert "What reg adds to loss" in verdict.text
    general = EXERCISE.check("naive_loss").hints["wrong"]
    assert (general in verdict.hint) == headline.startswith("not right yet")


@pytest.mark.parametrize(
    ("edits", "headline"),
    [
        (
            [("- scores[y[i]]", "+ scores[y[i]]"), ("loss / num_train", "loss")],
            "{correct_score_added}; {sum_not_mean}",
        ),
        (
            [("0.5 * reg * np.sum(W * W)", "reg * np.sum(W[1:] ** 2)")],
            "{part_of_W_left_out}; {half_missing_in_loss}",
        ),
        ([("- scores[y[i]]", "+ scores[y[i]]"), ("loss / num_train", "loss / 7")], "not right yet"),
        ([("0.5 * reg * np.sum(W * W)", "2 * reg * np.sum(W * W)")], HEADLINES["unregularised"]),
    ],
)
def test_a_mistake_times_a_known_factor_has_both_names_and_times_another_one_none(
    edits: list[tuple[str, str]], headline: str
) -> None:
    names = {id: mistake.name for id, mistake in ANSWER_KEY.mistakes.items()}
    verdict = judge("softmax_naive", *edits).verdict("naive_loss")
    assert verdict.headline == headline.format_map(names)


def test_a_wrong_regularization_is_described_by_itself() -> None:
    verdict = judge("softmax_naive", ("0.5 * reg", "0.1 * reg")).verdict("naive_loss")
    assert "What reg adds to loss is 1/5 times as large as expected, everywhere" in verdict.text
    assert "right where reg is 0" in verdict.text


def test_results_in_the_wrong_order_are_not_called_by_their_shapes() -> None:
    edit = ("dW = dW / num_train + reg * W", "dW, loss = loss, dW / num_train + reg * W")
    for name in ("naive_loss", "naive_gradient"):
        verdict = judge("softmax_naive", edit).verdict(name)
        assert verdict.headline == HEADLINES["order"]
        assert not verdict.mistake
        assert "the other way round" in verdict.text


@pytest.mark.parametrize("shape", ["(1,)", "(num_train,)", "(1, 1)"])
def test_a_loss_of_any_shape_is_called_an_array(shape: str) -> None:
    edit = ("dW = dW / num_train + reg * W", f"loss = np.full({shape}, loss)")
    assert judge("softmax_naive", edit).verdict("naive_loss").mistake == "loss_as_array"


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


@pytest.mark.parametrize(
    ("reg", "loss", "overflow"),
    [
        ("reg", "half_missing_in_loss", "no_max_shift"),
        ("0.4 * reg", "", ""),  # ordinary results are wrong for an unknown reason
    ],
)
def test_an_overflow_is_named_only_beside_a_mistake_that_cannot_cause_it(
    reg: str, loss: str, overflow: str
) -> None:
    edits = ((SHIFT, "pass"), (REG, f"loss += {reg} * np.vdot(W, W)"))
    both = judge("softmax_vectorized", *edits)
    assert both.verdict("vectorized_loss").mistake == loss
    verdict = both.verdict("vectorized_large_scores")
    assert verdict.mistake == overflow
    assert verdict.headline == "nan or inf" or overflow
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
        "softmax_naive", ("for i in range(num_train)", "for i in range(2, num_train)")
    )
    verdict = one_short.verdict("naive_underflow")
    assert verdict.status is Status.WRONG
    assert not verdict.hint


@pytest.mark.parametrize(
    ("edit", "mistake"),
    [
        ((REG, "loss += 0.5 * reg * np.sum(W.T * W)"), "shapes that do not fit"),
        ((REG, "loss += 0.5 * reg * np.sum(W.T.dot(W.T))"), "matrix_product_of_W"),
        (("dW = X.T @ dscores", "dW = W.dot(dscores)"), "shapes that do not fit"),
        (("dscores[samples, y] -= 1", "dscores -= np.eye(num_train)[y]"), "table_of_samples"),
        (("dscores[samples, y] -= 1", "dscores -= X[:, y]"), "row_and_column_mixed"),
        (("dscores = probs\n", "dscores = probs - y\n"), "labels_subtracted"),
        (("scores = X @ W", "scores = W.T @ X"), "transposed_layout"),
        (("scores = X @ W", "scores = np.matmul(X.T, W)"), "transposed_layout"),
        (("probs /= sum_exp[:, np.newaxis]", "probs = probs / sum_exp"), "row_without_keepdims"),
        ((SHIFT, "scores = scores - scores.max(1) / y"), "row_without_keepdims"),
    ],
)
def test_mismatched_shapes_are_quoted_and_named_by_their_cause_or_not_at_all(
    edit: tuple[str, str], mistake: str
) -> None:
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_loss")
    assert verdict.status is Status.RAISED
    assert verdict.mistake == mistake
    assert "called with W of shape (3, 4), X (6, 3), y (6,)." in verdict.quoted


def test_a_computed_0_is_an_attempt_and_an_unchanged_0_is_not() -> None:
    overwritten = judge("softmax_naive", ("loss = loss / num_train + 0.5", "loss = 0.5"))
    assert overwritten.verdict("naive_underflow").status is Status.WRONG
    body = "loss = 0.0\ndW = np.zeros(0)\n"
    verdict = judge("softmax_naive", body=body).verdict("naive_gradient")
    assert verdict.headline == HEADLINES["shape"]
    unchanged = judge("softmax_naive", body="loss = 0.0\n")
    unwritten = judge("softmax_naive", body="pass\n")
    for name in ("naive_loss", "naive_large_scores", "naive_underflow"):
        for verdicts in (unchanged, unwritten):
            assert verdicts.verdict(name).status is Status.NOT_ATTEMPTED
    assert "still returns 0 for loss" in unchanged.verdict("naive_loss").text
    assert "Write `softmax_loss_naive` (line" in unwritten.verdict("naive_loss").text


def test_large_scores_wait_for_a_gradient_that_is_not_written() -> None:
    started = judge("softmax_naive", *UNWRITTEN_GRADIENT)
    assert started.verdict("naive_loss").passed
    assert started.verdict("naive_underflow").passed
    waiting = started.verdict("naive_large_scores")
    assert waiting.status is Status.NOT_ATTEMPTED
    assert "still returns 0 for dW" in waiting.text


@pytest.mark.parametrize("gradient", ["None", "[1.0]", "{}", "loss * 1e-3"])
def test_a_right_loss_passes_whatever_the_gradient_is(gradient: str) -> None:
    edit = ("dW = dW / num_train + reg * W", f"dW = {gradient}")
    verdicts = judge("softmax_naive", edit)
    assert verdicts.verdict("naive_loss").passed
    assert not verdicts.verdict("naive_gradient").passed


@pytest.mark.parametrize(
    ("shift", "mistakes"),
    [
        ("scores.mean(axis=1, keepdims=True)", {"shifted_by_another_number"}),
        ("scores.min(axis=1, keepdims=True)", {"shifted_by_another_number"}),
        ("2 * np.abs(scores[:, :1])", {"shifted_by_another_number", ""}),
    ],
)
def test_a_nan_is_not_named_after_another_cause(shift: str, mistakes: set[str]) -> None:
    verdicts = judge("softmax_vectorized", (SHIFT, f"scores -= {shift}"))
    assert verdicts.verdict("vectorized_underflow").mistake in mistakes


@pytest.mark.parametrize("floor", ["3e-9", "1e-20", "1e-300"])
def test_a_floor_of_any_height_under_the_probability_is_explained(floor: str) -> None:
    edit = (LOSS, f"loss = -np.mean(np.log(np.maximum(probs[samples, y] / sum_exp, {floor})))")
    verdict = judge("softmax_vectorized", edit).verdict("vectorized_underflow")
    assert verdict.status is Status.WRONG
    assert verdict.mistake == "floor_under_the_probability"


def test_a_check_without_a_rule_fails_without_arrays() -> None:
    check = EXERCISE.check("naive_loss")
    verdict = Judge(EXERCISE, ANSWER_KEY, {}, lambda check: Outcome()).verdict_on(check)
    assert verdict.status is Status.WRONG
    assert "returned no loss" in verdict.text


@pytest.mark.parametrize("seed", [EXERCISE.seed, 7])
def test_expected_numbers_are_shown_for_the_public_seed_only(seed: int) -> None:
    reference = ANSWER_KEY.reference["naive_loss"]
    answer_key = AnswerKey(seed, {"naive_loss": reference})
    squares = Outcome({name: array**2 for name, array in reference.items()})
    verdict = Judge(EXERCISE, answer_key, {}, lambda check: squares).verdict("naive_loss")
    assert "times as large as expected" in verdict.text
    assert (", expected " in verdict.text) == (seed == EXERCISE.seed)
