"""The checks of k-nearest neighbors: the results of cross-validation in the notebook."""

from typing import Any

import numpy as np
import pytest

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.knn import EXERCISE
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Verdict
from assignment.classifiers.k_nearest_neighbor import KNearestNeighbor

FILES = {path: (PROJECT / path).read_text(encoding="utf-8") for path in EXERCISE.files}
KEY = load_answer_key("knn")
rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
Y = (X[:, 0] > 0).astype(int)
FOLDS: dict[str, Any] = {
    "X_folds": np.array_split(X, 3),
    "y_folds": np.array_split(Y, 3),
    "K_CHOICES": [1, 3, 9],
}


def accuracies(with_the_fold: bool = False) -> dict[int, list[float]]:
    """Cross-validation on random samples."""
    found: dict[int, list[float]] = {k: [] for k in FOLDS["K_CHOICES"]}
    for fold in range(3):
        rest = [other for other in range(3) if with_the_fold or other != fold]
        model = KNearestNeighbor()
        model.train(*(np.concatenate([FOLDS[n][i] for i in rest]) for n in ("X_folds", "y_folds")))
        for k in FOLDS["K_CHOICES"]:
            y_pred = model.predict(FOLDS["X_folds"][fold], k)
            found[k].append(float(np.mean(y_pred == FOLDS["y_folds"][fold])))
    return found


RIGHT = accuracies()
MEANS = {k: np.mean(found) for k, found in RIGHT.items()}
BEST, WORST = max(MEANS, key=MEANS.__getitem__), min(MEANS, key=MEANS.__getitem__)
RESULTS = {**FOLDS, "k_to_accuracies": RIGHT, "best_k": BEST}


def verdict(**variables: Any) -> Verdict:
    notebook = {**RESULTS, **variables}
    student = Student(FILES, notebook)
    return Judge.of_student(EXERCISE, KEY, student, notebook).verdict("cross_validation")


def test_a_right_cross_validation_passes_in_lists_arrays_and_tuples() -> None:
    for make in (list, tuple, np.array):
        assert verdict(k_to_accuracies={k: make(found) for k, found in RIGHT.items()}).passed


@pytest.mark.parametrize(
    ("variables", "headline"),
    [
        ({"k_to_accuracies": accuracies(True)}, "validation fold in the training set"),
        ({"k_to_accuracies": dict.fromkeys(RIGHT, [0.5] * 3)}, "not the accuracy of the fold"),
        ({"k_to_accuracies": dict.fromkeys(RIGHT, [np.nan] * 3)}, "not the accuracy of the fold"),
        ({"best_k": WORST}, "best_k is not the best"),
        ({"best_k": 7}, "best_k is not the best"),
        ({"best_k": "one"}, "cannot be checked"),
        ({"k_to_accuracies": {1: [0.5] * 3}}, "cannot be checked"),
        ({"k_to_accuracies": {1: [0.5], 3: [0.5], 9: [0.5]}}, "cannot be checked"),
        ({"k_to_accuracies": 0.5}, "cannot be checked"),
        ({"k_to_accuracies": {}}, "not attempted yet"),
        ({"best_k": None}, "not attempted yet"),
    ],
)
def test_a_wrong_cross_validation_is_described(variables: dict[str, Any], headline: str) -> None:
    found = verdict(**variables)
    assert (found.passed, found.headline) == (False, headline)
