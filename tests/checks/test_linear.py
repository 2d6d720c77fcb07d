"""The checks that linear classifiers share: batches and updates."""

import re

import pytest

from assignment import PROJECT
from assignment.checks.display import as_text
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status
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
        ("X[drawn].T", "batch of the wrong shape"),
        ("None", "not numbers"),
    ],
)
def test_a_batch_of_anything_but_samples_fails(batch: str, headline: str) -> None:
    edit = ("X_batch = X[drawn]", f"X_batch = {batch}")
    assert judge("train_batch", edit).verdict("train_batch").headline == headline


TRAIN = {
    "train_batch": "drawn = rng.integers(num_train, size=batch_size)\n"
    "X_batch, y_batch = X[drawn], y[drawn]\n",
    "train_update": "self.W -= learning_rate * dW\n",
}


@pytest.mark.parametrize("region", TRAIN)
@pytest.mark.parametrize("body", ["pass\n", "# later\n...\n", "X_batch = None\ny_batch = None\n"])
def test_a_region_that_does_nothing_is_not_attempted_and_costs_no_other_one(
    region: str, body: str
) -> None:
    verdicts = judge(region, body=body)
    [other] = TRAIN.keys() - {region}
    assert verdicts.verdict(other).passed
    verdict = verdicts.verdict(region)
    assert verdict.status is Status.NOT_ATTEMPTED
    assert verdict.text.startswith("Write `train` (line ")


@pytest.mark.parametrize("region", TRAIN)
def test_an_exception_in_one_region_costs_no_other_one(region: str) -> None:
    verdicts = judge(region, body=f"1 / 0\n{TRAIN[region]}")
    [other] = TRAIN.keys() - {region}
    assert verdicts.verdict(other).passed
    assert verdicts.verdict(region).headline == "raised ZeroDivisionError"
    before = verdicts.sources[LINEAR_CLASSIFIER].partition("1 / 0")[0]
    assert f"line {before.count(chr(10)) + 1}" in verdicts.verdict(region).quoted


def test_code_below_its_region_passes() -> None:
    tree = BANK.solution.with_region("train_update", "pass\n")
    source = tree.files[LINEAR_CLASSIFIER]
    head, marker, rest = source.partition("pass\n            ### END SOLUTION\n")
    assert marker
    moved = f"{head}{marker}            {TRAIN['train_update']}{rest}"
    student = Student({**tree.files, LINEAR_CLASSIFIER: moved})
    assert Judge.of_student(EXERCISE, ANSWER_KEY, student).verdict("train_update").passed


def test_an_update_may_use_what_the_batch_has_set() -> None:
    batch = f"rate = learning_rate\n{TRAIN['train_batch']}"
    tree = BANK.solution.with_region("train_batch", batch)
    student = tree.with_region("train_update", "self.W -= rate * dW\n").student()
    assert Judge.of_student(EXERCISE, ANSWER_KEY, student).verdict("train_update").passed


def test_samples_in_columns_are_named_in_the_batch() -> None:
    edit = ("X_batch = X[drawn]", "X_batch = X[:, drawn]")
    assert judge("train_batch", edit).verdict("train_batch").mistake == "transposed_layout"


def test_labels_that_come_as_floats_pass_with_a_remark() -> None:
    floats = judge("predict", body="y_pred = np.argmax(X @ self.W, axis=1) * 1.0\n")
    assert floats.verdict("predict").passed
    assert "floats" in floats.verdict("predict").text
    wrong = judge("predict", body="y_pred = np.argmax(X @ self.W, axis=1) + 0.5\n")
    assert wrong.verdict("predict").headline == "wrong dtype"


@pytest.mark.parametrize("bounds", ["0, num_train - 1", "1, num_train"])
def test_a_sample_that_is_never_drawn_is_named_and_costs_no_points(bounds: str) -> None:
    edit = ("rng.integers(num_train, ", f"rng.integers({bounds}, ")
    verdict = judge("train_batch", edit).verdict("train_batch")
    assert (verdict.mistake, verdict.points) == ("sample_never_drawn", 5)
    assert "sample that is never drawn (5 of 5 points)" in as_text(verdict)


@pytest.mark.parametrize(
    "call",
    ["np.random.choice(num_train, batch_size)", "random.choices(range(num_train), k=batch_size)"],
)
def test_a_global_random_state_passes_with_a_remark(call: str) -> None:
    body = f"import random\ndrawn = {call}\nX_batch, y_batch = X[drawn], y[drawn]\n"
    verdict = judge("train_batch", body=body).verdict("train_batch")
    assert verdict.passed
    assert "A batch is drawn: from a global random state (5 of" in as_text(verdict)
    assert judge("train_batch").verdict("train_batch").text == ""


def test_a_rule_names_a_mistake_of_the_answer_key() -> None:
    verdict = judge("train_batch", ("y_batch = y[drawn]", "y_batch = y[drawn - 1]"))
    assert verdict.verdict("train_batch").mistake == "labels_not_matching"


def test_every_mistake_that_the_checks_name_is_in_the_answer_key() -> None:
    modules = ("linear", "trained", "vectorized", "softmax")
    source = "".join(
        (PROJECT / "assignment" / "checks" / f"{name}.py").read_text(encoding="utf-8")
        for name in modules
    )
    named = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    named |= {id for check in EXERCISE.checks for id in check.raises.values()}
    named |= set(re.findall(r'^ +"(\w+)": same\(', source, re.MULTILINE))
    named |= set(re.findall(r'"(\w+)" if exchanged else "(\w+)"', source)[0])
    assert len(named) > 18
    assert named <= set(ANSWER_KEY.mistakes)
