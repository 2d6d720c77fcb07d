"""The notebook's results: a classifier trained, tuned and saved."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from assignment.checks.softmax import EXERCISE
from assignment.checks.student import Student
from assignment.checks.trained import draw_pair, training_plots
from assignment.checks.verdict import Judge, Status, Verdict
from assignment.cifar10.synthetic import CLASS_NAMES
from assignment.classifiers.softmax_classifier import Softmax
from tests.banks import BANK
from tests.checks.solution import ANSWER_KEY

# A notebook whose search tries a learning rate that is right, and one that is far too low.

WEIGHTS = np.random.default_rng(0).standard_normal((8, 4))
X = np.random.default_rng(1).standard_normal((400, 8))
Y = np.argmax(X @ WEIGHTS, axis=1)
RATES = {"TUNING_LEARNING_RATES": [3e-7, 0.1], "TUNING_REGS": [0.01]}
PAIRS = [(0.1, 0.01), (3e-7, 0.01)]
STEPS = 40


def trained(pair: tuple[float, float], num_iters: int = STEPS, seed: int | None = 5) -> Softmax:
    model = Softmax()
    model.train(X, Y, *pair, num_iters, batch_size=50, verbose=False, seed=seed)
    return model


def search(**settings: Any) -> dict[str, Any]:
    """Return the variables that a search with these settings fills."""
    models = [trained(pair, **settings) for pair in PAIRS]
    found = [float(np.mean(model.predict(X) == Y)) for model in models]
    results = {pair: (0.9, val) for pair, val in zip(PAIRS, found, strict=True)}
    return {"results": results, "best_val": found[0], "best_softmax": models[0]}


SEARCH = search()
(_, BEST), (_, LAST) = SEARCH["results"].values()
LAST_MODEL = trained(PAIRS[1])
EXCHANGED = {pair: (val, train) for pair, (train, val) in SEARCH["results"].items()}
NAN_RESULTS = dict.fromkeys(PAIRS, (np.nan, np.nan))


def model_of(W: Any) -> Any:
    model = Softmax()
    model.W = W
    return model


def notebook_verdict(
    name: str, files: Mapping[str, str] = BANK.solution.files, **variables: Any
) -> Verdict:
    notebook = {
        "NUM_ITERS": 200,
        **RATES,
        "TUNING_ITERS": STEPS,
        "BATCH_SIZE": 50,
        "SEED": 5,
        "model": model_of(WEIGHTS),
        "loss_history": np.linspace(2.3, 1.5, 200).tolist(),
        **SEARCH,
        "X_train": X,
        "y_train": Y,
        "X_val": X,
        "y_val": Y,
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
        ("tuning", {"best_val": LAST}, "last classifier kept, not the best"),
        ("tuning", {"best_val": 0.9}, "best classifier chosen by training accuracy"),
        ("tuning", {"best_val": 0.2}, "best_val is not the best"),
        ("tuning", {"best_softmax": model_of(-WEIGHTS)}, "best_val of another classifier"),
        ("tuning", {"best_softmax": LAST_MODEL}, "classifier of the last pair"),
        ("tuning", {"results": EXCHANGED}, "training and validation accuracy exchanged"),
        (
            "tuning",
            {"results": EXCHANGED, "best_val": 0.9},
            "training and validation accuracy exchanged",
        ),
        ("tuning", {"results": {PAIRS[0]: (0.9, BEST)}}, "pairs missing from the search"),
        ("tuning", {"results": {PAIRS[0]: BEST}}, "cannot be checked"),
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


# ---- the pair that is trained again --------------------------------------------------------------


def test_any_pair_of_the_notebook_may_be_drawn() -> None:
    pairs = {draw_pair(seed, {**RATES, "TUNING_REGS": [1, 2, 3]}) for seed in range(60)}
    assert pairs == {(rate, reg) for rate in (3e-7, 0.1) for reg in (1, 2, 3)}


def test_a_table_that_training_does_not_give_earns_no_points() -> None:
    drawn = draw_pair(EXERCISE.check("tuning").seed_from(EXERCISE.seed), RATES)
    assert drawn == PAIRS[1]
    results = {PAIRS[0]: (0.9, BEST), drawn: (0.9, LAST + 0.3)}
    verdict = notebook_verdict("tuning", results=results)
    assert (verdict.points, verdict.headline) == (0, "results does not match training")
    assert f"has the validation accuracy {LAST + 0.3:.3f}" in verdict.text
    assert re.search(r"Trained again with another seed, it reaches 0\.[23]", verdict.text)


def test_a_search_with_its_own_steps_and_seed_passes() -> None:
    found = search(num_iters=10 * STEPS, seed=11)
    assert found["results"][PAIRS[1]][1] > LAST + 0.3
    assert notebook_verdict("tuning", **found).passed


def test_pairs_beyond_those_of_the_notebook_are_never_trained_again() -> None:
    results = {(rate, 7.0): (0.0, 0.0) for rate in (0.5, 3e-7, 0.1)} | SEARCH["results"]
    assert notebook_verdict("tuning", results=results).passed


OTHER_RATES: dict[str, Any] = {"TUNING_LEARNING_RATES": [1e-9, 1e-8]}


def test_a_search_over_as_many_other_pairs_is_judged_by_its_best_pair() -> None:
    assert notebook_verdict("tuning", **OTHER_RATES).passed
    made_up = {pair: (0.9, 0.9 if pair == PAIRS[1] else 0.1) for pair in PAIRS}
    verdict = notebook_verdict("tuning", **OTHER_RATES, results=made_up, best_val=BEST)
    assert not verdict.passed
    results = {PAIRS[1]: (0.9, BEST), (1e-6, 1.0): (0.9, 0.1)}
    verdict = notebook_verdict("tuning", **OTHER_RATES, results=results)
    assert verdict.headline == "results does not match training"


def test_a_search_over_fewer_other_pairs_lacks_pairs() -> None:
    rates: dict[str, Any] = {"TUNING_LEARNING_RATES": [1e-9, 1e-8, 1e-7]}
    assert notebook_verdict("tuning", **rates).mistake == "pairs_missing"


def random_state() -> list[int]:
    """Return the state of numpy's global generator."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    return list(state["state"]["key"])


def test_training_again_changes_nothing_in_the_notebook() -> None:
    drawn = "drawn = np.random.randint(num_train, size=batch_size)"
    body = f"{drawn}\nX_batch, y_batch = X[drawn], y[drawn]\n"
    files = BANK.solution.with_region("train_batch", f"np.random.seed(3)\n{body}").files
    state = random_state()
    arrays = X.copy(), Y.copy(), SEARCH["best_softmax"].W.copy()
    notebook_verdict("tuning", files)
    assert random_state() == state
    files = BANK.solution.with_region("train_batch", f"X -= 1\n{body}").files
    assert notebook_verdict("tuning", files).status is Status.WAITING  # X is read-only
    for before, after in zip(arrays, (X, Y, SEARCH["best_softmax"].W), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(arrays[0], X)


# ---- plots ---------------------------------------------------------------------------------------


def test_a_plot_names_each_template_by_the_class_of_its_label() -> None:
    names = CLASS_NAMES[3:] + CLASS_NAMES[:3]
    W = np.arange(10) / 9 * np.ones((3073, 1))
    notebook = {"model": model_of(W), "loss_history": [1.0], "class_names": names}
    run = EXERCISE.check("training").run
    arrays = run(Student(BANK.solution.files, {**notebook, "X_val": np.ones((2, 3073))}), 0)
    *_, (_, templates) = training_plots(arrays)
    assert list(templates) == list(names)
    large = {**notebook, "model": model_of(np.ones((3073, 50))), "X_val": np.ones((2, 3073))}
    assert len([*training_plots(run(Student(BANK.solution.files, large), 0))]) == 1


# ---- what the notebook's results wait for --------------------------------------------------------


@pytest.mark.parametrize("name", ["training", "tuning", "saved_model"])
def test_results_of_the_notebook_wait_for_the_vectorized_loss(name: str) -> None:
    for body, status in (
        ("return 1.0, np.ones_like(W)", Status.WAITING),
        ("raise NotImplementedError('softmax_vectorized')", Status.NOT_ATTEMPTED),
    ):
        wrong = BANK.solution.with_region("softmax_vectorized", f"{body}\n")
        verdict = notebook_verdict(name, wrong.files)
        assert (verdict.status, verdict.points) == (status, 0)


@pytest.mark.parametrize("name", ["training", "tuning", "saved_model"])
@pytest.mark.parametrize(
    ("region", "body", "status", "text"),
    [
        ("train_update", "pass\n", Status.NOT_ATTEMPTED, "Write `train` (line "),
        ("train_batch", "1 / 0\n", Status.WAITING, "“A batch is drawn”"),
    ],
)
def test_results_of_the_notebook_wait_for_code_that_is_missing_or_raises(
    name: str, region: str, body: str, status: Status, text: str
) -> None:
    files = BANK.solution.with_region(region, body).files
    verdict = notebook_verdict(name, files, loss_history=[1502.3], results={}, y_test_pred=None)
    assert verdict.status is status
    assert text in verdict.text


def test_results_that_raise_wait_for_wrong_code() -> None:
    files = BANK.solution.with_region("train_batch", "X_batch, y_batch = X[:1], y[:1]\n").files
    raised = notebook_verdict("training", files, model=object())
    assert raised.status is Status.WAITING
    assert "“A batch is drawn”" in raised.text
    assert notebook_verdict("training", files, loss_history=[1502.3]).status is Status.WRONG
