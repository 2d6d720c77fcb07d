"""The checks of the softmax exercise.

Both loss functions get the same checks, each on problems small enough to read (`ordinary`), so
that one takes a millisecond. The regularisation is 0 where the lesson is another one: a wrong
convention then fails the ordinary problems only.
"""

import tracemalloc
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.check import Arrays, Check, Context, Exercise, Finding
from assignment.checks.draws import Draws
from assignment.checks.loops import find_loop
from assignment.checks.student import Student, Unusable

if TYPE_CHECKING:  # matplotlib takes longer to import than all checks to run
    from matplotlib.figure import Figure

SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR_CLASSIFIER = "assignment/classifiers/linear_classifier.py"

# ---- problems ------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Weights (D, C), samples (N, D), right classes (N,), and a name that says what it is."""

    name: str
    W: FloatArray
    X: FloatArray
    y: IntArray
    reg: float


def draw_problem(seed: int, N: int, D: int, C: int, reg: float, used: int | None = None) -> Problem:
    """A problem with scores of ordinary size; only the first `used` classes are right ones."""
    classes = "" if used is None else f", y below {used}"
    name = f"N = {N}, D = {D}, C = {C}, reg = {reg:g}{classes}"
    draws = Draws(seed, name)
    W, X = draws.normal(D, C) / 2, draws.normal(N, D)
    return Problem(name, W, X, draws.integers(used or C, N), reg)


@lru_cache(maxsize=16)  # drawn once for all forms of a mistake
def ordinary(seed: int) -> list[Problem]:
    """Other sizes than the notebook's, and no two of a problem's sizes the same."""
    return [
        draw_problem(seed, N=6, D=3, C=4, reg=0.0),
        draw_problem(seed, N=5, D=4, C=12, reg=0.5),
        draw_problem(seed, N=9, D=2, C=5, reg=0.0, used=3),
        draw_problem(seed, N=7, D=5, C=3, reg=4.0),
    ]


@lru_cache(maxsize=16)  # drawn once for all forms of a mistake
def large_scores(seed: int) -> list[Problem]:
    """All scores of a row far from zero, their differences ordinary.

    The last feature carries the distance: its weight is 1000 for every class.
    """
    offsets = {
        "all scores are near 1000": np.ones(6),
        "all scores are near -1000": -np.ones(6),
        "rows have scores near 1000, 0, -1000": np.array([1.0, 0.0, -1.0, 0.5, -0.5, 1.0]),
    }
    problems = []
    for number, (where, offset) in enumerate(offsets.items()):
        drawn = draw_problem(seed + number, N=6, D=3, C=4, reg=0.0, used=3)
        W, X = drawn.W.copy(), drawn.X.copy()
        W[-1] = 1000.0
        X[:, -1] = offset
        problems.append(Problem(where, W, X, drawn.y, 0.0))
    return problems


@lru_cache(maxsize=16)  # drawn once for all forms of a mistake
def far_apart(seed: int) -> list[Problem]:
    """Scores of a row thousands apart: the right class's far below, then one other's."""
    problems = []
    for number, where in enumerate(["the right class", "a wrong class"]):
        drawn = draw_problem(seed + number, N=6, D=3, C=4, reg=0.0)
        y = np.array([2, 3, 2, 3, 2, 3])
        W, X = drawn.W.copy(), drawn.X.copy()
        W[-1] = [0, 0, -1000, -1000] if where == "the right class" else [-1000, 0, 0, 0]
        X[:, -1] = 3.0
        problems.append(Problem(f"{where} has scores near -3000", W, X, y, 0.0))
    return problems


# ---- the two losses ------------------------------------------------------------------------------


def loss_on(
    problems: Callable[[int], list[Problem]], function: str
) -> Callable[[Student, int], Arrays]:
    """A check's `run`: loss and gradient of the named function on each problem."""

    def run(student: Student, seed: int) -> Arrays:
        arrays = {}
        for problem in problems(seed):
            loss, dW = _loss(student, function, problem)
            arrays[f"loss where {problem.name}"] = np.asarray(loss)
            arrays[f"dW where {problem.name}"] = np.asarray(dW)
        return arrays

    return run


def _loss(student: Student, function: str, problem: Problem) -> tuple[Any, Any]:
    """Call the student's function on copies, and see to it that two things come back."""
    _, W, X, y, reg = problem
    loss_function = student.function("softmax", function)
    try:
        returned = loss_function(W.copy(), X.copy(), y.copy(), reg)
    except (ValueError, IndexError) as error:  # mostly of shapes, which nobody knows but we
        error.add_note(f"It was called with W of shape {W.shape}, X {X.shape}, y {y.shape}.")
        raise
    if not isinstance(returned, tuple) or len(returned) != 2:
        what = "nothing (None)" if returned is None else f"a {type(returned).__name__}"
        if isinstance(returned, tuple):
            what = f"{len(returned)} things"
        raise Unusable(f"{function} returned {what}, but `loss, dW` is wanted.")
    loss, dW = returned
    for name, value in (("loss", loss), ("dW", dW)):
        if value is None or value is Ellipsis or isinstance(value, (str, dict, set)):
            raise Unusable(f"{function} returned {name} = {value!r:.40}, which is not a number.")
    if not isinstance(dW, np.ndarray):
        raise Unusable(f"{function} returned dW as a {type(dW).__name__}, not as an array.")
    return loss, dW


def inputs_and_dtypes(function: str) -> Callable[[Student, int], Arrays]:
    """A check's `run`: what W, X and y are after the call, and how large dW's numbers are."""

    def run(student: Student, seed: int) -> Arrays:
        problem = draw_problem(seed, N=6, D=3, C=4, reg=0.5)
        loss_function = student.function("softmax", function)
        _loss(student, function, problem)  # whether it returns two things at all
        arrays = {}
        for dtype in (np.float64, np.float32):
            W, X, y = problem.W.astype(dtype), problem.X.astype(dtype), problem.y.copy()
            dW = loss_function(W, X, y, problem.reg)[1]
            where = f"where all is {np.dtype(dtype).name}"
            arrays[f"W afterwards {where}"] = W
            arrays[f"X afterwards {where}"] = X
            arrays[f"y afterwards {where}"] = y
            arrays[f"bytes per number of dW {where}"] = np.asarray(np.asarray(dW).dtype.itemsize)
        return arrays

    return run


def inputs_rule(arrays: Arrays, context: Context) -> Finding | None:
    """Say which of the inputs was changed, or which precision was lost or blown up."""
    problem = draw_problem(context.seed, N=6, D=3, C=4, reg=0.5)
    if len(arrays) != 8:
        raise ValueError("not what the check returns")
    for name, array in arrays.items():
        if " afterwards " in name:
            before = getattr(problem, name[0])
            if array.shape != before.shape or not np.array_equal(array, before):
                return Finding("inputs_changed", f"{name[0]} is not what it was before the call.")
        else:
            dtype = np.dtype(name.rpartition(" ")[2])
            if array != dtype.itemsize:
                bits = 8 * int(array)
                return Finding("dtype_not_kept", f"From {dtype} input came a dW of {bits} bits.")
    return None


# One large thin problem. Correct code takes 0.04 to 0.12 s for it, a loop over the samples 5 s and
# more (measured on one core of 3 GHz): the limit leaves room for a machine seventeen times as slow.
THIN_SAMPLES = 500_000
THIN_SECONDS = 2.0

# An array with a row and a column for each sample would have 2 TB there, so it is looked for in a
# small one first. Correct code takes a tenth of a byte for each pair of samples there, or less.
FEW_SAMPLES = 2000


def draw_thin(seed: int, N: int) -> Problem:
    """A problem of two numbers a sample and two classes; all of the samples are drawn."""
    draws = Draws(seed, f"thin, N = {N}")
    X = (draws.integers(1 << 16, N, 2) - (1 << 15)) / (1 << 14)
    return Problem("", draws.normal(2, 2) / 2, X, draws.integers(2, N), 0.0)


def thin_problem(student: Student, seed: int) -> Arrays:
    """A check's `run`: the large thin problem, unless a loop or a small one's memory forbids."""
    if find_loop(student.sources[SOFTMAX], "softmax_loss_vectorized", ["softmax_loss_naive"]):
        return {}
    tracemalloc.start()
    try:
        _loss(student, "softmax_loss_vectorized", draw_thin(seed, FEW_SAMPLES))
        bytes_for_each_pair = tracemalloc.get_traced_memory()[1] // FEW_SAMPLES**2
    finally:
        tracemalloc.stop()
    arrays = {"bytes for each pair of samples": np.asarray(bytes_for_each_pair)}
    if bytes_for_each_pair == 0:
        thin = draw_thin(seed, THIN_SAMPLES)
        loss, dW = _loss(student, "softmax_loss_vectorized", thin)
        arrays[f"loss where N = {THIN_SAMPLES:,}"] = np.asarray(loss)
        arrays[f"dW where N = {THIN_SAMPLES:,}"] = np.asarray(dW)
    return arrays


def no_loops_rule(arrays: Arrays, context: Context) -> Finding | None:
    """Loops show in the source, or else in the time; a table of all pairs in the memory."""
    loop = find_loop(context.sources[SOFTMAX], "softmax_loss_vectorized", ["softmax_loss_naive"])
    if loop is not None:
        return Finding("calls_naive" if loop.calls_forbidden else "loop_in_vectorized", loop.text)
    bytes_for_each_pair = arrays["bytes for each pair of samples"]
    if bytes_for_each_pair != 0:
        took = (
            f"{int(bytes_for_each_pair) * FEW_SAMPLES**2 / 1e6:.0f} MB for {FEW_SAMPLES:,} samples"
        )
        return Finding("table_of_all_pairs", f"It took {took}, where less than 1 MB is enough.")
    if context.seconds > THIN_SECONDS:
        took = f"{context.seconds:.0f} s for {THIN_SAMPLES:,} samples"
        return Finding("slow_vectorized", f"It took {took}, where array operations take 0.1 s.")
    return None


# ---- training ------------------------------------------------------------------------------------

BATCH_SAMPLES, BATCH_SIZE, BATCH_STEPS = 50, 8, 30


def labelled_samples(seed: int) -> tuple[FloatArray, IntArray]:
    """Samples that can be told apart by their first number, which is their row's."""
    draws = Draws(seed, "samples that can be told apart")
    X = draws.normal(BATCH_SAMPLES, 3)
    X[:, 0] = np.arange(BATCH_SAMPLES)
    y = draws.integers(5, BATCH_SAMPLES)
    y[-1] = 4  # so that C is 5, whatever was drawn
    return X, y


def _classifier(student: Student) -> Any:
    found = student.function("linear_classifier", "LinearClassifier")
    if not isinstance(found, type):
        raise Unusable(f"LinearClassifier is a {type(found).__name__}, but a class is wanted.")
    return found


def batches(student: Student, seed: int) -> Arrays:
    """A check's `run`: the batches that training draws."""
    X, y = labelled_samples(seed)
    drawn = []

    class Watched(_classifier(student)):  # type: ignore[misc]
        def loss(self, X_batch: Any, y_batch: Any, reg: float) -> tuple[float, FloatArray]:
            drawn.append((np.array(X_batch), np.array(y_batch)))
            return 3.0, np.zeros((3, 5))

    Watched.__name__ = "LinearClassifier"  # as an AttributeError would call it
    Watched().train(X, y, num_iters=BATCH_STEPS, batch_size=BATCH_SIZE, verbose=False, seed=seed)
    arrays = {}
    for step, (X_batch, y_batch) in enumerate(drawn):
        arrays[f"X_batch where step = {step}"] = X_batch
        arrays[f"y_batch where step = {step}"] = y_batch
    return arrays


def batches_rule(arrays: Arrays, context: Context) -> Finding | None:
    """Samples of the training set, their own labels, as many as asked for, ever others."""
    X, y = labelled_samples(context.seed)
    steps = len(arrays) // 2
    if steps != BATCH_STEPS:
        return Finding(
            "", f"The loss was asked for {steps} times in {BATCH_STEPS} steps.", "steps missing"
        )
    rows = []
    for step in range(steps):
        X_batch = arrays[f"X_batch where step = {step}"]
        y_batch = arrays[f"y_batch where step = {step}"]
        if X_batch.shape == X.shape:
            return Finding("whole_set_as_batch", f"X_batch has shape {X_batch.shape}.")
        if not {X_batch.dtype.kind, y_batch.dtype.kind} <= set("fiu"):
            return Finding("", f"It holds {X_batch.dtype} and {y_batch.dtype}.", "not numbers")
        if X_batch.shape != (BATCH_SIZE, 3) or y_batch.shape != (BATCH_SIZE,):
            shapes = f"X_batch has shape {X_batch.shape}, y_batch {y_batch.shape}"
            return Finding("batch_shape", f"{shapes}, where batch_size is {BATCH_SIZE} and D is 3.")
        row = np.clip(np.nan_to_num(X_batch[:, 0]), 0, BATCH_SAMPLES - 1).astype(int)
        if not np.array_equal(X[row], X_batch):
            detail = "X_batch has rows that are not in X."
            return Finding("", detail, "not the training samples")
        if not np.array_equal(y[row], y_batch):
            return Finding("labels_not_matching", f"In step {step + 1} they do not fit.")
        rows.append(row)
    if all(np.array_equal(row, rows[0]) for row in rows):
        return Finding("same_batch_every_step")
    if all(np.array_equal(np.diff(row) % BATCH_SAMPLES, np.ones(BATCH_SIZE - 1)) for row in rows):
        return Finding("batches_in_order")
    # 240 draws of 50 miss a sample with probability 0.8%, and 15 of them never (below 1e-18).
    seen = len(np.unique(np.concatenate(rows)))
    if seen < 35:
        return Finding("part_of_the_set", f"In {steps} steps only {seen} of 50 samples came up.")
    return None


def updates(student: Student, seed: int) -> Arrays:
    """A check's `run`: the weights before each step and after the last, for given gradients."""
    draws = Draws(seed, "updates")
    W, gradients = draws.normal(3, 5), draws.normal(3, 3, 5)
    X, y = labelled_samples(seed)
    weights: list[Any] = []

    class Watched(_classifier(student)):  # type: ignore[misc]
        def loss(self, X_batch: Any, y_batch: Any, reg: float) -> tuple[float, FloatArray]:
            if len(weights) == 3:
                raise Unusable("train asked for the loss more often than num_iters says.")
            weights.append(np.array(self.W))
            return 3.0, gradients[len(weights) - 1].copy()

    Watched.__name__ = "LinearClassifier"
    model = Watched()
    model.W = W.copy()
    model.train(X, y, 0.25, reg=0.5, num_iters=3, batch_size=BATCH_SIZE, verbose=False, seed=seed)
    if len(weights) != 3:
        raise Unusable(f"train asked for the loss {len(weights)} times in 3 steps.")
    weights.append(np.array(model.W))
    return {f"W where steps = {steps}": array for steps, array in enumerate(weights)}


def predictions(student: Student, seed: int) -> Arrays:
    """A check's `run`: the labels predicted with given weights, for fewer and more than ten."""
    arrays = {}
    for N, D, C in ((9, 4, 6), (14, 5, 13)):
        problem = draw_problem(seed, N, D, C, reg=0.0)
        model = _classifier(student)()
        model.W = problem.W.copy()
        y_pred = model.predict(problem.X.copy())
        if not isinstance(y_pred, np.ndarray | np.integer):
            what = "nothing (None)" if y_pred is None else f"a {type(y_pred).__name__}"
            raise Unusable(f"predict returned {what}, but an array is wanted.")
        arrays[f"y_pred where N = {N}, D = {D}, C = {C}"] = np.asarray(y_pred)
    return arrays


# ---- the notebook's own results ------------------------------------------------------------------

# The bounds hold for the parameters that the notebook comes with. Each lies at least 5.2 standard
# deviations from the mean, on either data set, so that a correct solution misses it less than once
# in 10,000 runs (mean ± standard deviation; 200 stand-ins, and 20 seeds on CIFAR-10; measured by
# benchmarks/thresholds.py):
BOUNDS = {
    "LAST_LOSSES": 2.1,  # mean of the last 100 losses: 2.027 ± 0.008; 2.024 ± 0.004
    "TRAINED_ACCURACY": 0.27,  # validation: 0.362 ± 0.016; 0.341 ± 0.004
    "TUNED_ACCURACY": 0.33,  # best validation: 0.417 ± 0.015; 0.378 ± 0.005
    "TEST_ACCURACY": 0.32,  # of the best on the test set: 0.414 ± 0.016; 0.395 ± 0.009
}


def _bound(name: str, context: Context) -> float:
    """A bound; with the parameters of a graded run it is another one."""
    return float(context.data.get(name, BOUNDS[name]))


def _unseen(W: Any, split: str, context: Context) -> float:
    """The accuracy on pictures that the classifier was not chosen by.

    Those of a graded run have never been where the student's code was. In a notebook there are only
    its own splits.
    """
    data = context.data
    named = {
        name: data[f"{name}_unseen" if "X_unseen" in data else f"{name}_{split}"] for name in "Xy"
    }
    return accuracy(W, named["X"], named["y"])


def trained_model(student: Student, seed: int) -> Arrays:
    """A check's `run`: the loss history, and the weights it led to."""
    W = student.variable("model").W
    if W is None:
        raise NotImplementedError("`model` has no weights yet: run the cell that trains it.")
    return {"loss_history": np.asarray(student.variable("loss_history")), "W": np.asarray(W)}


def training_rule(arrays: Arrays, context: Context) -> Finding | None:
    """The loss falls over all steps, and the weights predict."""
    losses, steps = arrays["loss_history"], context.data["NUM_ITERS"]
    if losses.dtype.kind != "f" or losses.shape != (steps,) or not np.isfinite(losses).all():
        good = int(np.isfinite(losses).sum()) if losses.dtype.kind == "f" else 0
        detail = f"loss_history has {good} numbers that are losses, not {steps}."
        return Finding("", detail, "training stopped early")
    last, bound = float(np.mean(losses[-100:])), _bound("LAST_LOSSES", context)
    if not last < bound:
        detail = f"Its mean over the last 100 steps is {last:.2f}; below {bound} is expected."
        return Finding("", detail, "the loss does not fall")
    found, bound = _unseen(arrays["W"], "val", context), _bound("TRAINED_ACCURACY", context)
    if not found > bound:
        return Finding("", _too_low(found, bound), "hardly better than guessing")
    return None


def training_plots(arrays: Arrays) -> Iterator[tuple[str, "Figure"]]:
    """A check's `plots`: the loss curve, and the templates."""
    from assignment.vis_utils import plot_loss_curve

    yield (
        "The loss at each step of your training.",
        plot_loss_curve(arrays["loss_history"].tolist()),
    )
    yield from _templates(arrays["W"], "Templates after training")


def _templates(W: Any, title: str) -> Iterator[tuple[str, "Figure"]]:
    from assignment.synthetic import CLASS_NAMES
    from assignment.vis_utils import plot_templates

    yield f"{title}: the weights of each class as a picture.", plot_templates(W, CLASS_NAMES, title)


def tuned_model(student: Student, seed: int) -> Arrays:
    """A check's `run`: the accuracies of all pairs that were tried, and the best model's weights.

    `results` comes as rows of learning rate, reg, training and validation accuracy.
    """
    results, best = student.variable("results"), student.variable("best_softmax")
    if not isinstance(results, dict) or not results:
        raise NotImplementedError("`results` is still empty: fill it in the TODO cell above.")
    try:
        rows = [[*pair, *accuracies] for pair, accuracies in results.items()]
        table = np.array(rows, dtype=np.float64)
        best_val = np.array(student.variable("best_val"), dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 4:
        raise Unusable(
            "`results` should lead from (learning rate, reg) to (training accuracy, validation "
            "accuracy), and `best_val` should be a number."
        )
    if getattr(best, "W", None) is None:
        raise Unusable("`best_softmax` should be the trained Softmax that reached `best_val`.")
    return {"results": table, "best_val": best_val, "W": np.asarray(best.W)}


def tuning_rule(arrays: Arrays, context: Context) -> Finding | None:
    """Every pair was tried, and the model that is best on the validation set was kept."""
    data, results, best_val = context.data, arrays["results"], float(arrays["best_val"])
    if not np.isfinite(results).all() or not np.isfinite(best_val):
        return Finding("", "results or best_val hold nan or inf.", "not numbers")
    wanted = {(lr, reg) for lr in data["TUNING_LEARNING_RATES"] for reg in data["TUNING_REGS"]}
    tried = {(row[0], row[1]) for row in results.tolist()}
    if not wanted <= tried:
        return Finding("pairs_missing", f"{len(wanted - tried)} of {len(wanted)} are not there.")
    train_accuracies, val_accuracies = results[:, 2], results[:, 3]
    reached = accuracy(arrays["W"], data["X_val"], data["y_val"])
    on_test = accuracy(arrays["W"], data["X_test"], data["y_test"])
    one_picture = 1.5 / len(data["y_val"])  # a score may round to a tie elsewhere
    if abs(best_val - max(val_accuracies)) > one_picture:
        if abs(best_val - max(train_accuracies)) <= one_picture:
            return Finding("chosen_by_training_accuracy")
        if abs(best_val - val_accuracies[-1]) <= one_picture:
            return Finding("last_model_kept")
        detail = f"It is {best_val:.3f}, the best in results is {max(val_accuracies):.3f}."
        return Finding("", detail, "best_val is not the best")
    if abs(best_val - reached) > one_picture:
        if abs(best_val - on_test) <= one_picture:
            return Finding("chosen_by_test_set")
        detail = f"It reaches {reached:.3f} on the validation set, and best_val is {best_val:.3f}."
        return Finding("one_model_for_all_pairs", detail)
    found, bound = _unseen(arrays["W"], "val", context), _bound("TUNED_ACCURACY", context)
    if not found > bound:
        return Finding("", _too_low(found, bound), "no good classifier was found")
    return None


MOST_PAIRS = 200  # in a plot


def tuning_plots(arrays: Arrays) -> Iterator[tuple[str, "Figure"]]:
    """A check's `plots`: validation accuracy by learning rate and reg, and the best templates."""
    from assignment.vis_utils import plot_tuning

    rows = arrays["results"][:MOST_PAIRS].tolist()
    accuracies = {(lr, reg): val_accuracy for lr, reg, _, val_accuracy in rows}
    yield "Validation accuracy of the pairs that you tried.", plot_tuning(accuracies)
    yield from _templates(arrays["W"], "Templates of the best classifier")


def saved_model(student: Student, seed: int) -> Arrays:
    """A check's `run`: the weights in the file, and what the notebook predicted before saving."""
    path = Path(student.variable("BEST_MODEL"))
    y_test_pred = student.variable("y_test_pred")
    if not path.exists():
        raise NotImplementedError(f"There is no {path.name} yet: run the cell that saves it.")
    saved = student.function("linear_classifier", "Softmax").load(path)
    return {"W": np.asarray(saved.W), "y_pred": np.asarray(y_test_pred)}


def saved_rule(arrays: Arrays, context: Context) -> Finding | None:
    """The saved weights predict what the kept classifier did, and well."""
    if accuracy(arrays["W"], context.data["X_test"], arrays["y_pred"]) < 0.99:
        detail = "Its predictions for the test set are not y_test_pred."
        return Finding("", detail, "another classifier was saved")
    found, bound = _unseen(arrays["W"], "test", context), _bound("TEST_ACCURACY", context)
    if not found > bound:
        return Finding("", _too_low(found, bound), "not as good on the test set")
    return None


def accuracy(W: Any, X: FloatArray, y: Any) -> float:
    """The share of samples whose class has the highest score, and no other class has it too.

    It is 0 where the weights or the labels are not for these samples.
    """
    fits = W.ndim == 2 and W.dtype.kind == "f" and W.shape[0] == X.shape[1]
    labels = y.shape == (len(X),) and y.dtype.kind in "iu"
    if not fits or not labels or y.min() < 0 or y.max() >= W.shape[1]:
        return 0.0
    scores = X @ W
    right = np.take_along_axis(scores, y[:, np.newaxis], axis=1)
    return float(np.mean(np.sum(scores >= right, axis=1) == 1))


def _too_low(found: float, bound: float) -> str:
    return f"Its accuracy is {found:.3f}; above {bound} is expected, and guessing gives 0.1."


# ---- the exercise --------------------------------------------------------------------------------

NAN = (
    "log() of a negative number is nan. Is 1 subtracted from the probabilities before the loss "
    "takes their log? After `a = b` both names mean the same array. Or is it the log of "
    "a score?"
)
OVERFLOW = (
    "nan or inf came out where the scores of a row are large. Look for what can overflow there: "
    "exp() above 709, or a division of 0 by 0."
)
UNDERFLOW = (
    "A probability that is too small for a float is exactly 0 here, and log(0) is -inf. "
    "log p_y = s_y - log(sum of exp(s)) never takes the log of a probability."
)
NO_FLOOR = (
    "The right class is 3000 below the top, so the loss of each row is about 3000. Something holds "
    "the probability away from 0 (a small number added, or a clip) and so holds the loss down. "
    "log p_y = s_y - log(sum of exp(s)) needs no such floor."
)


# What the last line of a traceback says, and the line of code that it quotes. The first problem of
# each check has N = 6, D = 3, C = 4, and only it is reached.
_NOT_ALIGNED = r"(?s:.*)(not aligned|mismatch in its core dimension)"
_NOT_BROADCAST = r"(?s:.*)could not be broadcast together with shapes"
SHAPES = {
    rf"(\bW(\.T)?( @ |\.dot\()|\b(dot|matmul)\(W(\.T)?, ?)W\b{_NOT_ALIGNED}": "matrix_product_of_W",
    rf"\bW(\.T)?( @ |\.dot\()X\b{_NOT_ALIGNED}": "transposed_layout",
    rf"\b(dot|matmul)\(W(\.T)?, ?X\b{_NOT_ALIGNED}": "transposed_layout",
    rf"\bX(\.T( @ |\.dot\()W\b|( @ |\.dot\()W\.T){_NOT_ALIGNED}": "transposed_layout",
    rf"\b(dot|matmul)\(X(\.T, ?W\b|, ?W\.T){_NOT_ALIGNED}": "transposed_layout",
    rf"-=? ?y\b{_NOT_BROADCAST} \(6,4\) \(6,\)": "labels_subtracted",
    rf"{_NOT_BROADCAST} \(6,4\) \(6,\)": "row_without_keepdims",
    rf"\bdW\b{_NOT_BROADCAST} \(4,3\) \(3,4\)": "gradient_transposed",
}


def _checks_of(function: str, short: str, region: str) -> list[Check]:
    """The checks that both loss functions get; `short` begins their names."""
    name = short.capitalize()
    values = (f"{short}_loss", f"{short}_gradient")
    run = loss_on(ordinary, function)
    return [
        Check(
            f"{short}_loss",
            f"{name} loss",
            8,
            (region,),
            run,
            ("loss",),
            hints={"nan": NAN},
            raises=SHAPES,
        ),
        Check(f"{short}_gradient", f"{name} gradient", 12, (region,), run, ("dW",), raises=SHAPES),
        Check(
            f"{short}_large_scores",
            f"{name}, large scores",
            6,
            (region,),
            loss_on(large_scores, function),
            ("loss", "dW"),
            tolerance=1e-3,  # float32 has scores near 1000 to 6e-5
            ordinary=values,
            hints={"nan": OVERFLOW},
            raises=SHAPES,
        ),
        Check(
            f"{short}_underflow",
            f"{name}, a probability of 0",
            1,
            (region,),
            loss_on(far_apart, function),
            ("loss",),
            ordinary=values,
            hints={"nan": UNDERFLOW, "wrong": NO_FLOOR},
            raises=SHAPES,
        ),
        Check(
            f"{short}_inputs",
            f"{name}, inputs and dtypes kept",
            3,
            (region,),
            inputs_and_dtypes(function),
            requires=values,
            rule=inputs_rule,
        ),
    ]


_TRAIN = ("train_batch", "train_update")


def _of_notebook(
    name: str,
    title: str,
    run: Callable[[Student, int], Arrays],
    rule: Callable[[Arrays, Context], Finding | None],
    *regions: str,
    plots: Callable[[Arrays], Iterator[tuple[str, "Figure"]]] | None = None,
) -> Check:
    """A check of what the notebook computes with the whole classifier, and in these cells."""
    regions = ("softmax_vectorized", *_TRAIN, "predict", *regions)
    return Check(name, title, 5, regions, run, rule=rule, in_notebook=True, plots=plots)


EXERCISE = Exercise(
    name="softmax",
    title="The softmax classifier",
    notebook="notebooks/softmax.ipynb",
    files=(SOFTMAX, LINEAR_CLASSIFIER),
    seed=231,
    checks=(
        *_checks_of("softmax_loss_naive", "naive", "softmax_naive"),
        *_checks_of("softmax_loss_vectorized", "vectorized", "softmax_vectorized"),
        Check(
            "vectorized_no_loops",
            "Vectorized, no loops",
            10,
            ("softmax_vectorized",),
            thin_problem,
            ("loss", "dW"),
            tolerance=1e-3,  # sums of 500,000 numbers, perhaps in float32
            requires=("vectorized_loss", "vectorized_gradient"),
            rule=no_loops_rule,
            slow=True,
        ),
        Check("train_batch", "A batch is drawn", 5, _TRAIN, batches, rule=batches_rule),
        Check("train_update", "The weights are updated", 5, _TRAIN, updates, ("W",)),
        Check("predict", "Prediction", 5, ("predict",), predictions, ("y_pred",), tolerance=0.0),
        _of_notebook("training", "Training", trained_model, training_rule, plots=training_plots),
        _of_notebook("tuning", "Tuning", tuned_model, tuning_rule, "tuning", plots=tuning_plots),
        _of_notebook("saved_model", "The saved classifier", saved_model, saved_rule, "tuning"),
    ),
)
