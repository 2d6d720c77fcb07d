"""Results of the notebook that no training gave earn nothing, judged as in grading."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from assignment.array_types import FloatArray, IntArray
from assignment.checks.check import Arrays, Outcome, RuleContext, run_check_for
from assignment.checks.graded import load_variables
from assignment.checks.softmax import EXERCISE
from assignment.checks.student import Student
from assignment.checks.trained import Trained, draw_pair, tuned_model, tuning_rule
from assignment.checks.unseen import UNSEEN_INPUTS, UNSEEN_LABELS, accuracy
from assignment.checks.verdict import Status, Verdict
from assignment.cifar10.synthetic import Disguise, draw_images
from assignment.classifiers.softmax_classifier import Softmax
from assignment.data_utils import CIFAR10Data, get_CIFAR10_data, to_rows
from gradkit.autograder.runner import judge
from gradkit.autograder.spec import VARIABLES, GradingSpec
from tests.banks import BANK

RESULTS = ("training", "tuning", "saved_model")
TUNING = EXERCISE.check("tuning")


@pytest.fixture(scope="module")
def graded(spec: GradingSpec) -> CIFAR10Data:
    """The graded stand-in, as the student's code gets it."""
    return load_variables(str(spec.data_folder / VARIABLES))["data"]


@pytest.fixture(scope="module")
def prefit(stand_in_folder: Path) -> FloatArray:
    """Weights fitted to the public stand-in, on which they are better than any bound."""
    public = get_CIFAR10_data(stand_in_folder)
    model = train(public.X_train, public.y_train, (1e-6, 1e4), 500)
    assert model.W is not None
    assert share(model.W, public.X_val, public.y_val) > 0.35
    return model.W


def share(W: FloatArray, X: FloatArray, y: IntArray) -> float:
    return accuracy(np.argmax(X @ W, axis=1), y)


def train(X: FloatArray, y: IntArray, pair: tuple[float, float], steps: int) -> Softmax:
    model = Softmax()
    model.train(X, y, *pair, steps, batch_size=100, verbose=False, seed=231)
    return model


def relabelled(W: FloatArray, X: FloatArray, y: IntArray) -> FloatArray:
    """Return the weights with columns exchanged for as long as that helps on these samples."""
    predicted, order = np.argmax(X @ W, axis=1), np.arange(10)
    hits = np.array([[np.sum((predicted == column) & (y == c)) for c in order] for column in order])
    better = True
    while better:
        better = False
        for a, b in product(order.tolist(), repeat=2):
            now, then = hits[order[a], a] + hits[order[b], b], hits[order[b], a] + hits[order[a], b]
            if then > now:
                order[[a, b]] = order[[b, a]]
                better = True
    return W[:, order]


def verdicts(
    spec: GradingSpec, files: Mapping[str, str], forged: Mapping[str, Arrays]
) -> dict[str, Verdict]:
    """Judge the results of the notebook beside files whose vectorized loss is checked."""
    outcomes = {name: Outcome(arrays=dict(arrays)) for name, arrays in forged.items()}
    student = Student(files)
    for name in ("vectorized_loss", "vectorized_gradient"):
        check = EXERCISE.check(name)
        outcomes[name] = run_check_for(check, student, spec.answer_key.seed)
    judge_ = judge(spec, {path: text.encode() for path, text in files.items()}, outcomes)
    return {name: judge_.verdict(name) for name in RESULTS}


def forged_results(spec: GradingSpec, graded: CIFAR10Data, W: FloatArray) -> dict[str, Arrays]:
    """Results with these weights, and all else made up so that it fits them."""
    best_val = share(W, graded.X_val, graded.y_val)
    pairs = product(spec.data["TUNING_LEARNING_RATES"], spec.data["TUNING_REGS"])
    table = np.array([[*pair, 0.4, best_val] for pair in pairs])
    val, test, y_pred = (
        np.argmax(X @ W, axis=1) for X in (graded.X_val, graded.X_test, spec.data[UNSEEN_INPUTS])
    )
    steps = spec.data["NUM_ITERS"]
    return {
        "training": {"loss_history": np.linspace(2.3, 1.6, steps), "y_pred": y_pred},
        "tuning": {
            "results": table,
            "best_val": np.array(best_val),
            "y_pred of val": val,
            "y_pred of test": test,
            "y_pred": y_pred,
            "y_pred trained again": y_pred,
        },
        "saved_model": {"y_test_pred": test, "y_pred of test": test, "y_pred": y_pred},
    }


def test_weights_fitted_to_the_public_stand_in_fail(
    spec: GradingSpec, graded: CIFAR10Data, prefit: FloatArray
) -> None:
    for W in (prefit, relabelled(prefit, graded.X_train, graded.y_train)):
        forged = forged_results(spec, graded, W)
        for verdict in verdicts(spec, BANK.solution.files, forged).values():
            assert (verdict.status, verdict.points) == (Status.WRONG, 0)
            assert "Its accuracy is 0." in verdict.text


def test_no_disguise_is_near_the_public_stand_in(prefit: FloatArray) -> None:
    images, labels = draw_images(2000, seed=1)
    disguises = {(d.channels, d.quarter_turns, d.mirrored): d for d in map(Disguise, range(100))}
    assert len(disguises) == 12
    reached = []
    for disguise in disguises.values():
        turned, y = disguise.apply(images, labels)
        X = to_rows(turned, turned.reshape(len(turned), -1).mean(axis=0), np.float32)
        W = relabelled(prefit, X[:1000], y[:1000])
        reached.append(share(W, X[1000:], y[1000:]))
    assert max(reached) < 0.26, reached  # the lowest bound of any exercise; 0.19 ± 0.02 is usual


@pytest.mark.parametrize(
    ("body", "status"),
    [("raise NotImplementedError", Status.NOT_ATTEMPTED), ("return 1.0, W", Status.WAITING)],
)
def test_least_squares_earns_nothing_without_a_loss(
    spec: GradingSpec, graded: CIFAR10Data, body: str, status: Status
) -> None:
    X, one_hot = graded.X_train, np.eye(10, dtype=np.float32)[graded.y_train]
    dual = X @ X.T + 1e7 * np.eye(len(X), dtype=np.float32)
    W = X.T @ np.linalg.solve(dual, one_hot)
    assert share(W, spec.data[UNSEEN_INPUTS], spec.data[UNSEEN_LABELS]) > 0.3
    files = BANK.solution.with_region("softmax_vectorized", f"{body}\n").files
    for verdict in verdicts(spec, files, forged_results(spec, graded, W)).values():
        assert (verdict.status, verdict.points) == (status, 0)


@pytest.fixture(scope="module")
def searched(spec: GradingSpec, graded: CIFAR10Data) -> dict[tuple[float, float], FloatArray]:
    """The weights of each pair of the search."""
    pairs = product(spec.data["TUNING_LEARNING_RATES"], spec.data["TUNING_REGS"])
    steps, found = spec.data["TUNING_ITERS"], {}
    for pair in pairs:
        W = train(graded.X_train, graded.y_train, pair, steps).W
        assert W is not None
        found[pair] = W
    return found


def test_a_table_with_the_same_accuracy_for_all_pairs_fails_where_a_low_rate_is_drawn(
    spec: GradingSpec, graded: CIFAR10Data, searched: dict[tuple[float, float], FloatArray]
) -> None:
    found = {pair: share(W, graded.X_val, graded.y_val) for pair, W in searched.items()}
    best = max(found, key=lambda pair: found[pair])
    assert {pair[0] for pair in found if found[pair] > found[best] - 0.05} == {best[0]}
    made_up = forged_results(spec, graded, searched[best])["tuning"]
    table = np.array([[*pair, 0.4, val] for pair, val in found.items()])
    seeds = {draw_pair(seed, spec.data): seed for seed in range(100)}
    assert seeds.keys() == found.keys()
    assert TUNING.rule is not None
    for pair, seed in seeds.items():
        bounds = spec.config.bounds
        context = RuleContext(seed, BANK.solution.files, 0.0, spec.data, bounds)
        y_pred = np.argmax(spec.data[UNSEEN_INPUTS] @ searched[pair], axis=1)
        again = {"y_pred trained again": y_pred}
        assert TUNING.rule({**made_up, **again, "results": table}, context) is None
        finding = TUNING.rule({**made_up, **again}, context)
        assert (finding is None) == (pair[0] == best[0]), (pair, finding)


def test_labels_that_are_looked_up_earn_nothing(graded: CIFAR10Data, spec: GradingSpec) -> None:
    """`predict` knows the labels of the validation set, and the table says so for each pair."""
    known = {row.tobytes(): y for row, y in zip(graded.X_val, graded.y_val, strict=True)}

    class Softmax:
        hyperparameters: ClassVar[dict[str, Any]] = {}

        def train(self, *arguments: Any, **settings: Any) -> list[float]:
            return []

        def predict(self, X: FloatArray) -> IntArray:
            return np.array([known.get(row.tobytes(), 0) for row in X])

    trained = Trained("", "Softmax", "best_softmax", predict=Softmax.predict)
    pairs = product(spec.data["TUNING_LEARNING_RATES"], spec.data["TUNING_REGS"])
    notebook = {
        **spec.data,
        "results": dict.fromkeys(pairs, (1.0, 1.0)),
        "best_val": 1.0,
        "best_softmax": Softmax(),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trained, "load_class", lambda self: Softmax)
        arrays = tuned_model(trained, Student({}, notebook), 5)
    assert accuracy(arrays["y_pred of val"], graded.y_val) == 1.0
    finding = tuning_rule(arrays, RuleContext(5, {}, 0.0, spec.data, spec.config.bounds))
    assert finding is not None
    assert finding.headline == "results does not match training"


def test_what_judges_a_model_is_not_in_the_data_folder(spec: GradingSpec) -> None:
    [file] = spec.data_folder.iterdir()
    variables = load_variables(str(file))
    assert {"X_train", "y_val", "data", "class_names"} <= variables.keys()
    assert not {UNSEEN_INPUTS, UNSEEN_LABELS} & variables.keys()
    content = file.read_bytes()
    for name in (UNSEEN_INPUTS, UNSEEN_LABELS):
        assert spec.data[name][100:200].tobytes() not in content
