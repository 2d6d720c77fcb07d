"""The initial loss and the numeric gradient, checked on the student's own loss alone."""

import re
import textwrap
from collections.abc import Mapping

import numpy as np
import pytest

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import load_exercise, run_check_for
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status, Verdict
from gradkit.course.mistakes import read_bank

BANKS = {name: read_bank(load_exercise(name), PROJECT) for name in ("softmax", "svm")}
NAMES = ("initial_loss", "gradient")
rng = np.random.default_rng(0)
X_DEV = np.column_stack([60 * rng.standard_normal((40, 30)), np.ones(40)])
NOTEBOOK = {"X_dev": X_DEV, "y_dev": rng.integers(10, size=40)}


def verdict(
    exercise: str,
    check: str,
    files: Mapping[str, str],
    notebook: Mapping[str, object] = NOTEBOOK,
    seed: int = 231,
) -> Verdict:
    key = AnswerKey(seed, mistakes=dict(BANKS[exercise].mistakes))
    student = Student(files, notebook)
    judge = Judge.of_student(BANKS[exercise].exercise, key, student, notebook)
    return judge.verdict(check)


def with_edit(exercise: str, old: str, new: str) -> Mapping[str, str]:
    solution, region = BANKS[exercise].solution, f"{exercise}_naive"
    body = textwrap.dedent(solution.body(region).text)
    assert body.count(old) == 1, old
    return solution.with_region(region, body.replace(old, new)).files


VARIANTS = [
    pytest.param(name, variant.tree.files, id=str(variant))
    for name, bank in BANKS.items()
    for variant in bank.variants
    if variant.region == f"{name}_naive"
]


@pytest.mark.parametrize("check", NAMES)
@pytest.mark.parametrize(("exercise", "files"), VARIANTS)
def test_correct_code_passes(check: str, exercise: str, files: Mapping[str, str]) -> None:
    found = verdict(exercise, check, files)
    assert (found.status, found.text) == (Status.PASSED, "")


@pytest.mark.parametrize("exercise", BANKS)
@pytest.mark.parametrize("check", NAMES)
def test_the_solution_passes_for_every_seed_even_where_a_step_crosses_a_kink(
    exercise: str, check: str
) -> None:
    files = BANKS[exercise].solution.files
    notebook = {**NOTEBOOK, "X_dev": 10 * X_DEV}
    found = {seed: verdict(exercise, check, files, notebook, seed) for seed in range(10)}
    assert {seed: v for seed, v in found.items() if not v.passed} == {}


def test_a_loss_in_float32_has_a_gradient() -> None:
    files = with_edit(
        "softmax", "scores = X[i] @ W\n", "scores = np.float32(X[i]) @ np.float32(W)\n"
    )
    assert verdict("softmax", "gradient", files).passed


@pytest.mark.parametrize("check", NAMES)
def test_a_sanity_check_takes_a_second_since_it_computes_the_loss_of_few_images(check: str) -> None:
    body = textwrap.dedent(BANKS["softmax"].solution.body("softmax_naive").text)
    files = BANKS["softmax"].solution.with_region("softmax_naive", f"print(len(X))\n{body}").files
    notebook = {**NOTEBOOK, "X_dev": np.tile(X_DEV, (12, 1)), "y_dev": np.zeros(480, int)}
    check_ = load_exercise("softmax").check(check)
    printed = run_check_for(check_, Student(files, notebook), seed=0).printed
    counts = re.findall(r"^(\d+)(?: \((\d+) times\))?$", printed, re.MULTILINE)
    assert 0 < sum(int(images) * int(times or 1) for images, times in counts) < 2000


LOG = "loss += np.log(sum_exp) - scores[y[i]]"
MEAN = "loss = loss / num_train"
REG = " + 0.5 * reg * np.sum(W * W)"


DIVIDED = "dW = dW / num_train"
INITIAL_LOSSES = [
    ("softmax", MEAN, "loss = loss", "92.1, not 2.303", "take the mean"),
    ("softmax", MEAN, f"{MEAN}**2", "0.05756, not", "once too often"),
    ("softmax", LOG, LOG.replace("+=", "-="), "-2.303, not", "sign is wrong"),
    ("softmax", LOG, "loss += np.exp(scores[y[i]]) / sum_exp", "0.1, not", "minus its log"),
    ("softmax", "np.log(sum_exp)", "np.log2(sum_exp)", "3.322, not", "natural log"),
    ("softmax", "sum_exp += np", "sum_exp += (c > 0) * np", "2.197, not", "lacks a class"),
    ("softmax", LOG, "loss = np.nan", "nan, not", "near -log(1/10)"),
    ("softmax", REG, "", "wrong regularization", "yours by 0, 0 times"),
    ("softmax", REG, REG.replace("0.5 * ", ""), "wrong regularization", "2 times as much"),
    ("softmax", REG, REG.replace("reg * ", ""), "wrong regularization", "0 times as much"),
    ("svm", "c == y[i]:", "False:", "10, not 9", "counts itself"),
    ("svm", "- right_score + 1", "- right_score", ", not 9", "is the 1 added"),
    ("svm", MEAN, "loss = loss", "360, not 9", "take the mean"),
]
GRADIENTS = [
    ("softmax", DIVIDED, "dW = dW", "slope of your loss", "dW is 10 times (10 images"),
    ("softmax", DIVIDED, "dW = -dW / num_train", "slope of your loss", "-1 times the slope"),
    ("softmax", "(p - (c == y[i]))", "p", "slope of your loss", "With reg = 0 your loss"),
    ("softmax", "+ reg * W", "", "right only without", "reg adds to dW is 0 times"),
    ("softmax", "+ reg * W", "+ 2 * reg * W", "right only without", "reg adds to dW is 2 times"),
    ("softmax", "reg * W", "np.vstack([reg * W[:-1], 0 * W[:1]])", "right only without", "W[30, "),
    ("softmax", REG, "", "right only without", "With reg = 30000"),
    ("svm", "dW[:, y[i]] -= X[i]", "pass", "slope of your loss", "per unit of W["),
    ("softmax", "+ reg * W", "+ np.nan", "slope of your loss", "dW has +nan"),
]


@pytest.mark.parametrize(
    ("check", "exercise", "old", "new", "headline", "reason"),
    [
        *(("initial_loss", *case) for case in INITIAL_LOSSES),
        *(("gradient", *case) for case in GRADIENTS),
    ],
)
def test_a_wrong_loss_is_explained_by_its_value_and_a_wrong_gradient_at_a_place(
    check: str, exercise: str, old: str, new: str, headline: str, reason: str
) -> None:
    found = verdict(exercise, check, with_edit(exercise, old, new))
    assert found.status is Status.WRONG
    assert headline in found.headline
    assert reason in found.text


def test_a_loss_that_two_causes_explain_is_given_neither() -> None:
    """For 23 images log(10), divided once too often, is 0.1 as well."""
    notebook = {"X_dev": X_DEV[:23], "y_dev": NOTEBOOK["y_dev"][:23]}
    files = with_edit("softmax", LOG, "loss += np.exp(scores[y[i]]) / sum_exp")
    assert verdict("softmax", "initial_loss", files, notebook).text.endswith("-log(1/10) = 2.303. ")


def test_no_reference_is_known_to_a_sanity_check() -> None:
    """The same wrong factor in loss and gradient fits itself: only the reference shows it."""
    files = with_edit(
        "softmax",
        "0.5 * reg * np.sum(W * W)\ndW = dW / num_train + reg * W",
        "reg * np.sum(W * W)\ndW = dW / num_train + 2 * reg * W",
    )
    assert verdict("softmax", "gradient", files).passed
    assert not verdict("softmax", "initial_loss", files).passed


@pytest.mark.parametrize("check", NAMES)
@pytest.mark.parametrize(
    "body",
    ["pass", "raise NotImplementedError('softmax_naive')"],
)
def test_a_start_is_not_attempted(check: str, body: str) -> None:
    files = BANKS["softmax"].solution.with_region("softmax_naive", f"{body}\n").files
    assert verdict("softmax", check, files).status is Status.NOT_ATTEMPTED


def test_large_images_are_not_blamed_on_the_loss() -> None:
    notebook = {**NOTEBOOK, "X_dev": 255 * X_DEV}
    found = verdict("softmax", "initial_loss", BANKS["softmax"].solution.files, notebook)
    assert found.headline == "the scores are not small"


@pytest.mark.parametrize(
    ("returned", "reason"),
    [("loss, dW.T", "dW has shape (10, 31)"), ("np.array([loss, 1.0]), dW", "loss has shape (2,)")],
)
def test_results_of_another_shape_are_described(returned: str, reason: str) -> None:
    body = (
        textwrap.dedent(BANKS["softmax"].solution.body("softmax_naive").text)
        + f"return {returned}\n"
    )
    files = BANKS["softmax"].solution.with_region("softmax_naive", body).files
    assert reason in verdict("softmax", "gradient", files).text


def test_sanity_checks_give_no_points_and_come_before_those_with_a_reference() -> None:
    for bank in BANKS.values():
        exercise = bank.exercise
        assert [(check.name, check.points) for check in exercise.practice] == [
            (n, 0) for n in NAMES
        ]
        text = (PROJECT / exercise.notebook).read_text(encoding="utf-8")
        called = re.findall(r'check\(\\"(\w+)\\"\)"', text)
        order = ["initial_loss", "naive_loss", "gradient", "naive_gradient"]
        assert [name for name in called if name in order] == order
