"""The checks that linear classifiers share: batches, updates, and the notebook's results."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status, Verdict
from tests.banks import BANK
from tests.checks.solution import ANSWER_KEY, judge


def test_a_skipped_step_and_a_step_scaled_by_the_loss_fail() -> None:
    scaled = judge("train_update", ("learning_rate * dW", "learning_rate * dW * loss"))
    assert not scaled.verdict("train_update").passed
    skipped = judge("train_update", body="if it == 1:\n    break\nself.W -= learning_rate * dW\n")
    assert "train called the loss 2 times in 3 steps" in skipped.verdict("train_update").text


@pytest.mark.parametrize(
    ("batch", "headline"),
    [
        ("X[drawn] * 2", "not the training samples"),
        ("X[drawn].astype(object)", "not numbers"),
        ("X[drawn].T", "the batch has the wrong shape"),
        ("None", "not numbers"),
    ],
)
def test_a_batch_of_anything_but_samples_fails(batch: str, headline: str) -> None:
    edit = ("X_batch = X[drawn]", f"X_batch = {batch}")
    assert judge("train_batch", edit).verdict("train_batch").headline == headline


def test_a_rule_names_a_mistake_of_the_answer_key() -> None:
    verdict = judge("train_batch", ("y_batch = y[drawn]", "y_batch = y[drawn - 1]"))
    assert verdict.verdict("train_batch").mistake == "labels_not_matching"


def test_every_mistake_that_the_checks_name_is_in_the_answer_key() -> None:
    modules = [PROJECT / "assignment" / "checks" / name for name in ("linear.py", "softmax.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in modules)
    named = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    named |= {id for check in EXERCISE.checks for id in check.raises.values()}
    assert len(named) > 15
    assert named <= set(ANSWER_KEY.mistakes)


WEIGHTS = np.random.default_rng(0).standard_normal((8, 4))
NAN_RESULTS = {(0.1, 1.0): (np.nan, np.nan), (0.1, 2.0): (np.nan, np.nan)}


def model_of(W: Any) -> Any:
    return type("Model", (), {"W": W})()


def notebook_verdict(
    name: str, files: Mapping[str, str] = BANK.solution.files, **variables: Any
) -> Verdict:
    X = np.random.default_rng(1).standard_normal((400, 8))
    y = np.argmax(X @ WEIGHTS, axis=1)
    model = model_of(WEIGHTS)
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
    student = Student(files, notebook)
    return Judge.of_student(EXERCISE, ANSWER_KEY, student, notebook).verdict(name)


@pytest.mark.parametrize(
    ("check", "variables", "headline"),
    [
        ("training", {"loss_history": [2.3] * 200}, "the loss does not fall"),
        ("training", {"loss_history": [2.3, np.nan]}, "training stopped early"),
        ("training", {"loss_history": [np.nan] * 200}, "training stopped early"),
        ("tuning", {"best_val": 0.7}, "the last classifier kept, not the best"),
        ("tuning", {"best_val": 0.9}, "chosen by the training accuracy"),
        ("tuning", {"best_val": 0.2}, "best_val is not the best"),
        ("tuning", {"best_softmax": model_of(-WEIGHTS)}, "one classifier for all pairs"),
        ("tuning", {"results": {(0.1, 1.0): (0.9, 1.0)}}, "not every pair was tried"),
        ("tuning", {"results": {(0.1, 1.0): 1.0}}, "cannot be checked"),
        ("tuning", {"results": {0.1: "good"}}, "cannot be checked"),
        ("tuning", {"best_val": "high"}, "cannot be checked"),
        ("tuning", {"results": NAN_RESULTS, "best_val": np.nan}, "not numbers"),
        ("tuning", {"best_softmax": "a model"}, "cannot be checked"),
        ("tuning", {"results": {}}, "not attempted yet"),
        ("tuning", {"best_softmax": None}, "not attempted yet"),
        ("training", {"loss_history": [None] * 200}, "training stopped early"),
        ("training", {"model": None}, "not attempted yet"),
        ("saved_model", {}, "not attempted yet"),
    ],
)
def test_a_wrong_result_of_the_notebook_is_described(
    check: str, variables: dict[str, Any], headline: str
) -> None:
    verdict = notebook_verdict(check, **variables)
    assert not verdict.passed
    assert verdict.headline == headline


@pytest.mark.parametrize("W", [-WEIGHTS, WEIGHTS[:3], WEIGHTS[0], WEIGHTS.astype(int)])
def test_weights_that_do_not_fit_or_predict_fail(W: Any) -> None:
    assert not notebook_verdict("training", model=model_of(W)).passed


def test_a_trained_and_tuned_model_passes() -> None:
    assert notebook_verdict("training").passed
    assert notebook_verdict("tuning").passed


@pytest.mark.parametrize("name", ["training", "tuning", "saved_model"])
def test_results_of_the_notebook_wait_for_the_vectorized_loss(name: str) -> None:
    for body, status in (
        ("return 1.0, np.ones_like(W)", Status.WAITING),
        ("raise NotImplementedError('softmax_vectorized')", Status.NOT_ATTEMPTED),
    ):
        wrong = BANK.solution.with_region("softmax_vectorized", f"{body}\n")
        verdict = notebook_verdict(name, wrong.files)
        assert (verdict.status, verdict.points) == (status, 0)
