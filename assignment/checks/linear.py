"""The checks that exercises on linear classifiers share.

An exercise names its loss functions and its classifier in `Losses`; the checks of these, of
training and of prediction are the same for all. Problems for one loss, and the hints, are in the
exercise's own module.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.calls import Call, Problem
from assignment.checks.check import Arrays, Check, Finding, RuleContext, with_noun
from assignment.checks.draws import Draws
from assignment.checks.student import InvalidResult, Student
from assignment.checks.vectorized import Sizes, no_loops

Run = Callable[[Student, int], Arrays]

LINEAR_CLASSIFIER = "assignment/classifiers/linear_classifier.py"
TRAIN = ("train_batch", "train_update")
PREDICT = Call("linear_classifier", "LinearClassifier.predict", ("y_pred",))


@dataclass(frozen=True)
class Losses:
    """A file with two functions of the same loss.

    `naive` and `vectorized` are the functions' names, and `regions` those of their bodies.
    """

    path: str
    naive: str
    vectorized: str
    regions: tuple[str, str]

    @property
    def naive_call(self) -> Call:
        return Call(PurePosixPath(self.path).stem, self.naive, ("loss", "dW"))

    @property
    def vectorized_call(self) -> Call:
        return replace(self.naive_call, name=self.vectorized)

    def no_loops(self) -> Check:
        """Make the check of the vectorized loss for loops."""
        return no_loops(
            self.vectorized_call, SIZES, naive=(self.naive,),
            name="vectorized_no_loops", title="Vectorized, no loops", points=10,
            regions=self.regions[1:], requires=("vectorized_loss", "vectorized_gradient"),
        )  # fmt: skip


# ---- problems ------------------------------------------------------------------------------------


@lru_cache(maxsize=64)  # a check and its rule, and all mistakes, draw the same ones
def draw_problem(seed: int, N: int, D: int, C: int, reg: float, used: int | None = None) -> Problem:
    """Draw W (D, C), X (N, D) and y (N,), below `used`, with scores of ordinary size."""
    classes = "" if used is None else f", y below {used}"
    name = f"N = {N}, D = {D}, C = {C}, reg = {reg:g}{classes}"
    draws = Draws(seed, name)
    W, X = draws.normal(D, C) / 2, draws.normal(N, D)
    y = draws.integers(used or C, N)
    # With every seed, too few columns for the classes show, and the labels that occur are as many.
    y[-1] = C - 1
    if used is not None:
        y[-used:] = np.arange(used)
    return Problem(name, {"W": W, "X": X, "y": y, "reg": reg})


def with_reg(problem: Problem, reg: float) -> Problem:
    """Return a problem that was drawn with reg = 0, with another strength of regularization."""
    name = problem.name.replace("reg = 0", f"reg = {reg:g}")
    return problem._replace(name=name, arguments={**problem.arguments, "reg": reg})


@lru_cache(maxsize=2)  # drawn once for all mistakes
def many_problems(seed: int) -> list[Problem]:
    """Draw 60 problems that differ from each other; all their arrays fit into the cache."""
    calls, N, D, C = 60, 10_000, 2, 6
    draws = Draws(seed, "many calls")
    W, X = draws.normal(calls, D, C) / 2, draws.normal(N + calls, D)
    y = draws.integers(C, N + calls)
    return [
        Problem(f"N = {N:,}", {"W": W[k], "X": X[k : k + N], "y": y[k : k + N], "reg": 0.5})
        for k in range(calls)
    ]


def array_operations(problem: Problem) -> None:
    """Run the operations of SIZES three times."""
    W, X = problem.arguments["W"], problem.arguments["X"]
    for _ in range(3):
        table = np.exp(X @ W)
        table.sum(), X.T @ table


SIZES = Sizes(
    lambda seed, samples, features, classes: draw_problem(seed, samples, features, classes, 0.5),
    {"samples": 100, "features": 8, "classes": 8},
    "samples",
    many_problems,
    array_operations,
    "three times X @ W, exp(), sum() and X.T @ on arrays of the same sizes",
)

# Ids of mistakes by the last line of a traceback and the line of code that it quotes. The first
# problem of each check has N = 6, D = 3, C = 4, and an exception ends the check there.
_NOT_ALIGNED = r"(?s:.*)(not aligned|mismatch in its core dimension)"
_NOT_BROADCAST = r"(?s:.*)could not be broadcast together with shapes"
_OUTSIDE = r"(?s:.*)out of bounds for axis 0 with size"
_OF_A_ROW = rf"{_NOT_BROADCAST} \(4,\) \(3,\)|(?s:.*)from shape \(3,\) into shape \(4,\)"
SHAPES = {
    # No problem has ten samples, features or classes.
    r"\bwith size 10\b|shapes? .*[(,]10[,)]": "ten_classes",
    r"(?<!\bX)(?<!\bW)\[[\w.()]+, ?y\](?s:.*)out of bounds for axis 1": "too_few_columns",
    rf"\bdW\[\w+(\[\w+\])?(, :)?\] ?[-+]?=({_OF_A_ROW}|(?s:.*)for axis 0 with size 3\b)": (
        "row_and_column_mixed"
    ),
    rf"\bX\[:, ?\w+\]({_NOT_BROADCAST}|(?s:.*)out of bounds for axis 1)": "row_and_column_mixed",
    rf"\b\w+\[y\]{_OUTSIDE}": "rows_of_the_labels",
    rf"\[:, ?y\]{_NOT_BROADCAST} \(6,4\) \(6,(1,)?6\)": "every_right_class_for_every_row",
    rf"{_NOT_BROADCAST} \(6,4\) (\(6,(1,)?6\)|\(1,6\))": "table_of_samples",
    rf"(\bW(\.T)?( @ |\.dot\()|\b(dot|matmul)\(W(\.T)?, ?)W\b{_NOT_ALIGNED}": "matrix_product_of_W",
    rf"\bW(\.T)?( @ |\.dot\()X\b{_NOT_ALIGNED}": "transposed_layout",
    rf"\b(dot|matmul)\(W(\.T)?, ?X\b{_NOT_ALIGNED}": "transposed_layout",
    rf"\bX(\.T( @ |\.dot\()W\b|( @ |\.dot\()W\.T){_NOT_ALIGNED}": "transposed_layout",
    rf"\b(dot|matmul)\(X(\.T, ?W\b|, ?W\.T){_NOT_ALIGNED}": "transposed_layout",
    rf"-=? ?y\b{_NOT_BROADCAST} \(6,4\) \(6,\)": "labels_subtracted",
    rf"{_NOT_BROADCAST} \(6,4\) \(6,\)": "row_without_keepdims",
    r"indexing arrays could not be broadcast together with shapes \([34],\) \(6,\)": (
        "counted_by_the_wrong_axis"
    ),
    rf"\bdW\b(?!.*\bW\.T){_NOT_BROADCAST} (\(4,3\) \(3,4\)|\(3,4\) \(4,3\))": (
        "gradient_transposed"
    ),
}


# ---- training ------------------------------------------------------------------------------------


def without(region: str, body: str, run: Run) -> Run:
    """Make a run that, where the student's code raises, tries it with other code in a region.

    So an exception in one region of `train` costs no other one its points.
    """

    def run_without(student: Student, seed: int) -> Arrays:
        try:
            return run(student, seed)
        except Exception:
            changed = student.with_region(region, body)
            with changed.in_place():
                return run(changed, seed)

    return run_without


BATCH_SAMPLES, BATCH_SIZE, BATCH_STEPS = 50, 8, 30
# 60 batches of one of two samples never miss one by chance (below 1e-17).
TWO_SAMPLES_STEPS = 60


def labelled_samples(seed: int) -> tuple[FloatArray, IntArray]:
    """Draw samples whose first feature is the number of their row."""
    draws = Draws(seed, "samples that can be told apart")
    X = draws.normal(BATCH_SAMPLES, 3)
    X[:, 0] = np.arange(BATCH_SAMPLES)
    y = draws.integers(5, BATCH_SAMPLES)
    y[-1] = 4  # so that C is 5 for every seed
    return X, y


def batches(student: Student, seed: int) -> Arrays:
    """Return the batches that training draws, from many samples, and from two one by one."""
    X, y = labelled_samples(seed)
    drawn: list[tuple[Any, Any]] = []

    class Watched(PREDICT.owner(student)):  # type: ignore[misc]
        def loss(self, X_batch: Any, y_batch: Any, reg: float) -> tuple[float, FloatArray]:
            drawn.append((np.array(X_batch), np.array(y_batch)))
            return 3.0, np.zeros((3, 5))

    Watched.__name__ = "LinearClassifier"  # the name that an AttributeError shows
    before = _global_random_states()
    Watched().train(X, y, num_iters=BATCH_STEPS, batch_size=BATCH_SIZE, verbose=False, seed=seed)
    arrays = {"global random state used": np.array(_global_random_states() != before)}
    for step, (X_batch, y_batch) in enumerate(drawn):
        arrays[f"X_batch where step = {step}"] = X_batch
        arrays[f"y_batch where step = {step}"] = y_batch
    drawn.clear()
    Watched().train(
        X[:2], y[[0, -1]], num_iters=TWO_SAMPLES_STEPS, batch_size=1, verbose=False, seed=seed
    )
    arrays["drawn of two samples"] = np.concatenate([X_batch.ravel()[:1] for X_batch, _ in drawn])
    return arrays


def _global_random_states() -> tuple[Any, str]:
    return random.getstate(), str(np.random.get_state())  # noqa: NPY002  # student code may use it


def batches_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find batches with other samples, labels or sizes than asked for, or without variation."""
    X, y = labelled_samples(context.seed)
    steps = sum(name.startswith("X_batch") for name in arrays)
    if steps != BATCH_STEPS:
        return Finding(
            "",
            f"train called the loss {with_noun(steps, 'time')} in {BATCH_STEPS} steps.",
            "steps missing",
        )
    rows = []
    for step in range(steps):
        X_batch = arrays[f"X_batch where step = {step}"]
        y_batch = arrays[f"y_batch where step = {step}"]
        if X_batch.shape == X.shape:
            return Finding("whole_set_as_batch", f"X_batch has shape {X_batch.shape}.")
        if not {X_batch.dtype.kind, y_batch.dtype.kind} <= set("fiu"):
            detail = f"X_batch holds {X_batch.dtype}, y_batch {y_batch.dtype}."
            return Finding("", detail, "not numbers")
        if X_batch.shape != (BATCH_SIZE, 3) or y_batch.shape != (BATCH_SIZE,):
            shapes = f"X_batch has shape {X_batch.shape}, y_batch {y_batch.shape}"
            return Finding("batch_shape", f"{shapes}, where batch_size is {BATCH_SIZE} and D is 3.")
        row = np.clip(np.nan_to_num(X_batch[:, 0]), 0, BATCH_SAMPLES - 1).astype(int)
        if not np.array_equal(X[row], X_batch):
            detail = "X_batch has rows that are not in X."
            return Finding("", detail, "not the training samples")
        if not np.array_equal(y[row], y_batch):
            return Finding("labels_not_matching", f"Step {step + 1} is the first wrong one.")
        rows.append(row)
    if all(np.array_equal(row, rows[0]) for row in rows):
        return Finding("same_batch_every_step")
    if all(np.array_equal(np.diff(row) % BATCH_SAMPLES, np.ones(BATCH_SIZE - 1)) for row in rows):
        return Finding("batches_in_order")
    # 240 draws of 50 miss a sample with probability 0.8%, and 15 of them never (below 1e-18).
    seen = len(np.unique(np.concatenate(rows)))
    if seen < 35:
        return Finding("part_of_the_set", f"{steps} steps drew only {seen} of 50 samples.")
    if not {0.0, 1.0} <= set(arrays["drawn of two samples"].tolist()):
        detail = f"{TWO_SAMPLES_STEPS} batches of one sample drew only one of two samples."
        return Finding("sample_never_drawn", detail, passes=True)
    if arrays["global random state used"]:
        detail = (
            "The same `seed` gives other batches in the next run. Draw them from `rng`, which "
            "gives the same ones."
        )
        return Finding("", detail, "from a global random state", passes=True)
    return None


def updates(student: Student, seed: int) -> Arrays:
    """Return the weights before each step and after the last, for given gradients."""
    draws = Draws(seed, "updates")
    W, gradients = draws.normal(3, 5), draws.normal(3, 3, 5)
    X, y = labelled_samples(seed)
    weights: list[Any] = []

    class Watched(PREDICT.owner(student)):  # type: ignore[misc]
        def loss(self, X_batch: Any, y_batch: Any, reg: float) -> tuple[float, FloatArray]:
            if len(weights) == 3:
                raise InvalidResult("train called the loss more often than num_iters.")
            weights.append(np.array(self.W))
            return 3.0, gradients[len(weights) - 1].copy()

    Watched.__name__ = "LinearClassifier"
    model = Watched()
    model.W = W.copy()
    model.train(X, y, 0.25, reg=0.5, num_iters=3, batch_size=BATCH_SIZE, verbose=False, seed=seed)
    if len(weights) != 3:
        raise InvalidResult(f"train called the loss {with_noun(len(weights), 'time')} in 3 steps.")
    weights.append(np.array(model.W))
    return {f"W where steps = {steps}": array for steps, array in enumerate(weights)}


def unlabelled_problems(seed: int) -> list[Problem]:
    """Draw weights and samples for 6 and for 13 classes."""
    problems = []
    for N, D, C in ((9, 4, 6), (14, 5, 13)):
        drawn = draw_problem(seed, N, D, C, reg=0.0).arguments
        problems.append(Problem(f"N = {N}, D = {D}, C = {C}", {"X": drawn["X"]}, {"W": drawn["W"]}))
    return problems


def predictions(student: Student, seed: int) -> Arrays:
    """Return the predicted labels; whole numbers that come as floats become integers."""
    arrays: Arrays = {}
    for problem in unlabelled_problems(seed):
        y_pred = PREDICT(student, problem)["y_pred"]
        whole = y_pred.dtype.kind == "f" and bool(np.all(np.isin(y_pred, np.arange(y_pred.size))))
        arrays[f"y_pred where {problem.name}"] = y_pred.astype(int) if whole else y_pred
        if whole:
            arrays["labels as floats"] = np.array(True)
    return arrays


def labels_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Note labels that come as floats."""
    if "labels as floats" not in arrays:
        return None
    return Finding(detail="The labels are floats, such as 3.0; labels are integers.", passes=True)


small_problem = partial(draw_problem, N=6, D=3, C=4, reg=0.5)  # for inputs and dtypes

# The checks of training and prediction, for every loss.
OF_TRAINING = (
    Check(
        "train_batch", "A batch is drawn", 5, TRAIN[:1],
        without("train_update", "pass", batches), rule=batches_rule,
        raises={r"\bX\[:, ?\w+\](?s:.*)out of bounds for axis 1": "transposed_layout"},
    ),
    Check(
        "train_update", "The weights are updated", 5, TRAIN[1:],
        without("train_batch", "X_batch, y_batch = X, y", updates), ("W",),
    ),
    Check(
        "predict", "Prediction", 5, ("predict",), predictions, ("y_pred",), tolerance=0.0,
        rule=labels_rule, raises=SHAPES,
    ),
)  # fmt: skip
