"""The checks of the k-nearest-neighbor exercise."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from assignment.array_types import FloatArray
from assignment.checks.calls import Call, Problem, agrees, keeps_inputs
from assignment.checks.check import Arrays, Check, Exercise, Finding, RuleContext
from assignment.checks.cifar10 import cifar10_data
from assignment.checks.draws import Draws
from assignment.checks.student import InvalidResult, Student
from assignment.checks.vectorized import Sizes, no_loops

MODULE = "k_nearest_neighbor"
TWO, ONE, NONE = (
    Call(MODULE, f"KNearestNeighbor.compute_distances_{loops}", ("dists",))
    for loops in ("two_loops", "one_loop", "no_loops")
)
LABELS = Call(MODULE, "KNearestNeighbor.predict_labels", ("y_pred",))


def samples(seed: int, train: int = 6, features: int = 3, tests: int = 4) -> Problem:
    """Draw samples, and training samples."""
    draws = Draws(seed, f"{tests}, {train}, {features}")
    X, X_train = draws.normal(tests, features), draws.normal(train, features)
    return Problem(f"N = {tests}, M = {train}, D = {features}", {"X": X}, {"X_train": X_train})


def baseline(seed: int) -> list[Problem]:
    return [samples(seed), samples(seed, 5, 2, 7), samples(seed, 8, 6, 3)]


@lru_cache(maxsize=16)  # drawn once for all mistakes
def votes(seed: int, k: int, tie: bool) -> Problem:
    """Draw five rows of distances whose k nearest labels tie, or elect one label."""
    draws = Draws(seed, f"votes, k = {k}")
    while True:
        dists, y_train = draws.integers(1 << 20, 5, 11) / 64.0, draws.integers(4, 11)
        nearest = y_train[np.argsort(dists)]
        counts = [np.bincount(row[:k], minlength=4) for row in nearest]
        # With 1, 2 or 4 votes the nearest label always wins or ties: elsewhere it loses in a row.
        loses = any(count[row[0]] < count.max() for count, row in zip(counts, nearest, strict=True))
        ties = {np.sum(count == count.max()) > 1 for count in counts}
        winners = [int(np.argmax(count)) for count in counts]
        # One neighbor more, or the mean of the labels, gives another label in a row.
        more = [int(np.argmax(np.bincount(row[: k + 1]))) for row in nearest]
        means = [int(np.mean(row[:k])) for row in nearest]
        shows = winners != more and (winners != means or k == 1)
        if ties == {tie} and (loses or k in (1, 2, 4)) and shows:
            return Problem(f"k = {k}", {"dists": dists, "k": k}, {"y_train": y_train})


@lru_cache(maxsize=2)  # drawn once for all mistakes
def many(seed: int) -> list[Problem]:
    return [samples(seed + number, 20, 500, 20) for number in range(5)]


def operations(problem: Problem) -> None:
    X, X_train = problem.arguments["X"], problem.state["X_train"]
    for _ in range(3):
        (X**2).sum(), (X_train**2).sum(), np.sqrt(np.abs(X @ X_train.T))


SIZES = Sizes(
    samples, {"train": 100, "features": 8, "tests": 100}, "train", many, operations,
    "three times squares, sums, X @ X_train.T and its root on arrays of the same sizes",
)  # fmt: skip

# ---- cross-validation, in the notebook -----------------------------------------------------------


def cross_validation(student: Student, seed: int) -> Arrays:
    """Return the accuracies (k, fold), best_k, and the accuracies of one fold measured again."""
    found, choices = student.variable("k_to_accuracies"), student.variable("K_CHOICES")
    X_folds, y_folds = student.variable("X_folds"), student.variable("y_folds")
    if not found:
        raise NotImplementedError("`k_to_accuracies` is still empty: fill it in the TODO cell.")
    try:
        table = np.array([found[k] for k in choices], np.float64)
    except (KeyError, TypeError, ValueError):
        table = np.empty(0)
    if table.shape != (len(choices), len(X_folds)):
        wanted = f"{len(X_folds)} accuracies for each k of K_CHOICES"
        raise InvalidResult(f"`k_to_accuracies` should hold a list of {wanted}.")
    fold = drawn_fold(seed, table)
    model = student.function(MODULE, "KNearestNeighbor")()
    others = [number for number in range(len(X_folds)) if number != fold]
    model.train(*(np.concatenate([folds[n] for n in others]) for folds in (X_folds, y_folds)))
    dists = model.compute_distances_no_loops(X_folds[fold])
    again = [np.mean(model.predict_labels(dists, k) == y_folds[fold]) for k in choices]
    best_k = np.asarray(student.variable("best_k"))
    return {"accuracies": table, "best_k": best_k, "of one fold again": np.asarray(again)}


def drawn_fold(seed: int, table: FloatArray) -> int:
    """Draw the fold whose accuracies are measured again."""
    return int(Draws(seed, "fold").integers(table.shape[1], 1).item())


def cross_validation_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find accuracies that the folds do not give, and a best_k that is not the best."""
    table, choices = arrays["accuracies"], list(context.data["K_CHOICES"])
    fold = drawn_fold(context.seed, table)
    found, again = table[:, fold], arrays["of one fold again"]
    row = int(np.argmax(np.abs(found - again)))
    if not abs(found[row] - again[row]) < 0.01:
        detail = (
            f"With k = {choices[row]}, fold {fold} has the accuracy {found[row]:.3f} in "
            f"k_to_accuracies, and {again[row]:.3f} when it is measured again."
        )
        if found[0] == 1:  # each sample is its own nearest neighbor
            return Finding("fold_in_training", detail)
        return Finding("", detail, "not the accuracy of the fold")
    means = dict(zip(choices, table.mean(axis=1).tolist(), strict=True))
    best_k, best = int(arrays["best_k"]), max(means, key=means.__getitem__)
    if not means.get(best_k, 0.0) > means[best] - 1e-9:
        return Finding("best_k_not_best", f"best_k is {best_k}, but k = {best} has the best mean.")
    return None


# The notebook has neither a validation nor a development set.
WITHOUT_SETS = {"NUM_VALIDATION": 1, "NUM_DEV": 1}

# ---- the exercise --------------------------------------------------------------------------------

_BROADCAST = r"(?s:.*)could not (be )?broadcast"
RAISES = {
    r"\bdists\[j(, |\]\[)i\](?s:.*)is out of bounds for axis": "rows_and_columns",
    rf"axis=0{_BROADCAST}": "sums_over_the_samples",
    rf"{_BROADCAST}.* together with shapes \(4,\) \(6,\)": "squares_without_keepdims",
    r"@ self\.X_train\n(?s:.*)mismatch in its core dimension": "product_not_transposed",
}


def _distances(call: Call, name: str, title: str) -> Check:
    title = f"Distances, {title}"
    return agrees(call, baseline, raises=RAISES, name=name, title=title, points=15, regions=(name,))


EXERCISE = Exercise(
    name="knn",
    title="The k-nearest-neighbor classifier",
    about="You classify images by the labels of the most similar training images: distances with "
    "two loops, with one and with none, votes, and the choice of k by cross-validation.",
    notebook="notebooks/knn.ipynb",
    files=(f"assignment/classifiers/{MODULE}.py",),
    seed=230,
    data=lambda parameters, seed: cifar10_data({**parameters, **WITHOUT_SETS}, seed),
    checks=(
        _distances(TWO, "two_loops", "two loops"),
        agrees(
            LABELS, lambda seed: [votes(seed, k, tie=False) for k in (1, 3, 5)], tolerance=0.0,
            name="labels", title="Labels", points=15, regions=("labels",),
        ),
        agrees(
            LABELS, lambda seed: [votes(seed, k, tie=True) for k in (2, 4, 7)], tolerance=0.0,
            requires=("labels",),
            name="ties", title="Labels, ties", points=5, regions=("labels",),
        ),
        _distances(ONE, "one_loop", "one loop"),
        no_loops(
            ONE, replace(SIZES, few={"train": 100, "features": 8}), naive=(TWO.name,),
            requires=("one_loop",),
            name="one_loop_only", title="One loop only", points=5, regions=("one_loop",),
        ),
        _distances(NONE, "no_loops", "no loops"),
        no_loops(
            NONE, SIZES, naive=(TWO.name, ONE.name), requires=("no_loops",),
            name="no_loops_at_all", title="No loops at all", points=10, regions=("no_loops",),
        ),
        keeps_inputs(
            NONE, samples, requires=("no_loops",),
            name="inputs", title="Inputs and dtypes kept", points=5, regions=("no_loops",),
        ),
        Check(
            "cross_validation", "Cross-validation", 15, ("no_loops", "labels", "cross_validation"),
            cross_validation, requires=("no_loops", "labels", "ties"), rule=cross_validation_rule,
            in_notebook=True,
        ),
    ),
)  # fmt: skip
