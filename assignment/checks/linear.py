"""The checks that exercises on linear classifiers share.

An exercise names its loss functions and its classifier in `Losses`; the checks of these, of
training, of prediction and of the notebook's results are the same for all. Problems for one loss,
and the hints, are in the exercise's own module.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from itertools import product
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.check import Arrays, Check, Finding, RuleContext
from assignment.checks.draws import Draws
from assignment.checks.student import InvalidResult, Student

if TYPE_CHECKING:  # matplotlib takes longer to import than all checks to run
    from matplotlib.figure import Figure

LINEAR_CLASSIFIER = "assignment/classifiers/linear_classifier.py"
TRAIN = ("train_batch", "train_update")


@dataclass(frozen=True)
class Losses:
    """A file with two functions of the same loss, and the classifier that uses it.

    `naive` and `vectorized` are the functions' names, and `regions` those of their bodies. The
    class `classifier` is defined in the course's module at the path `in_module`. `best` is the
    notebook's variable for the best classifier. `bounds` on training are LAST_LOSSES,
    TRAINED_ACCURACY, TUNED_ACCURACY, TEST_ACCURACY and RETRAINED_DIFFERENCE.
    """

    path: str
    naive: str
    vectorized: str
    regions: tuple[str, str]
    classifier: str
    in_module: str
    best: str
    bounds: Mapping[str, float]

    @property
    def module(self) -> str:
        return PurePosixPath(self.path).stem

    def of_the_notebook(self) -> tuple[Check, ...]:
        """Make the checks of the notebook's results with the whole classifier.

        They wait for the vectorized loss, which training uses: without it no results are earned.
        """
        loss = ("vectorized_loss", "vectorized_gradient")
        training, tuning, saved = (
            partial(rule, self) for rule in (training_rule, tuning_rule, saved_rule)
        )
        tuned = partial(tuned_model, self)
        model = partial(saved_model, self)
        regions = (*self.regions[1:], *TRAIN, "predict")
        with_tuning = (*regions, "tuning")
        return (
            Check(
                "training", "Training", 5, regions, trained_model,
                requires=loss, rule=training, in_notebook=True, plots=training_plots,
            ),
            Check(
                "tuning", "Tuning", 5, with_tuning, tuned,
                requires=loss, rule=tuning, in_notebook=True, plots=tuning_plots,
            ),
            Check(
                "saved_model", "The saved classifier", 5, with_tuning, model,
                requires=loss, rule=saved, in_notebook=True,
            ),
        )  # fmt: skip


# ---- problems ------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Weights (D, C), samples (N, D), correct classes (N,), and a name that describes them."""

    name: str
    W: FloatArray
    X: FloatArray
    y: IntArray
    reg: float


@lru_cache(maxsize=64)  # a check and its rule, and all mistakes, draw the same ones
def draw_problem(seed: int, N: int, D: int, C: int, reg: float, used: int | None = None) -> Problem:
    """Draw a problem with scores of ordinary size; `y` uses only the first `used` classes."""
    classes = "" if used is None else f", y below {used}"
    name = f"N = {N}, D = {D}, C = {C}, reg = {reg:g}{classes}"
    draws = Draws(seed, name)
    W, X = draws.normal(D, C) / 2, draws.normal(N, D)
    return Problem(name, W, X, draws.integers(used or C, N), reg)


# Ids of mistakes by the last line of a traceback and the line of code that it quotes. The first
# problem of each check has N = 6, D = 3, C = 4, and an exception ends the check there.
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


# ---- the two losses ------------------------------------------------------------------------------


def loss_on(
    module: str, function: str, problems: Callable[[int], list[Problem]]
) -> Callable[[Student, int], Arrays]:
    """Make a check's `run`: loss and gradient of the named function on each problem."""

    def run(student: Student, seed: int) -> Arrays:
        arrays = {}
        for problem in problems(seed):
            loss, dW = call_loss(student, module, function, problem)
            arrays[f"loss where {problem.name}"] = np.asarray(loss)
            arrays[f"dW where {problem.name}"] = np.asarray(dW)
        return arrays

    return run


def call_loss(student: Student, module: str, function: str, problem: Problem) -> tuple[Any, Any]:
    """Call the student's function on copies; raise InvalidResult unless it returns loss and dW."""
    _, W, X, y, reg = problem
    loss_function = student.function(module, function)
    try:
        returned = loss_function(W.copy(), X.copy(), y.copy(), reg)
    except (ValueError, IndexError) as error:  # mostly due to shapes, which only the check knows
        error.add_note(f"It was called with W of shape {W.shape}, X {X.shape}, y {y.shape}.")
        raise
    if not isinstance(returned, tuple) or len(returned) != 2:
        what = "nothing (None)" if returned is None else f"a {type(returned).__name__}"
        if isinstance(returned, tuple):
            what = f"{len(returned)} values"
        raise InvalidResult(f"{function} returned {what}, but `loss, dW` is expected.")
    loss, dW = returned
    for name, value in (("loss", loss), ("dW", dW)):
        if value is None or value is Ellipsis or isinstance(value, (str, dict, set)):
            raise InvalidResult(
                f"{function} returned {name} = {value!r:.40}, which is not a number."
            )
    if not isinstance(dW, np.ndarray):
        raise InvalidResult(f"{function} returned dW as a {type(dW).__name__}, not as an array.")
    return loss, dW


def inputs_and_dtypes(module: str, function: str) -> Callable[[Student, int], Arrays]:
    """Make a check's `run`: W, X and y after the call, and the bytes of a number of dW."""

    def run(student: Student, seed: int) -> Arrays:
        problem = draw_problem(seed, N=6, D=3, C=4, reg=0.5)
        loss_function = student.function(module, function)
        call_loss(student, module, function, problem)  # raises unless it returns two values
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


def inputs_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find an input that was changed, or a precision that was lost or raised."""
    problem = draw_problem(context.seed, N=6, D=3, C=4, reg=0.5)
    if len(arrays) != 8:
        raise ValueError(f"The check returns 8 arrays, not {len(arrays)}.")
    for name, array in arrays.items():
        if " afterwards " in name:
            before = getattr(problem, name[0])
            if array.shape != before.shape or not np.array_equal(array, before):
                return Finding("inputs_changed", f"{name[0]} has changed during the call.")
        else:
            dtype = np.dtype(name.rpartition(" ")[2])
            if array != dtype.itemsize:
                bits = 8 * int(array)
                return Finding("dtype_not_kept", f"For {dtype} input dW has {bits} bits a number.")
    return None


# ---- training ------------------------------------------------------------------------------------

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


def _classifier(student: Student) -> Any:
    value = student.function("linear_classifier", "LinearClassifier")
    if not isinstance(value, type):
        raise InvalidResult(f"LinearClassifier is a {type(value).__name__}, not a class.")
    return value


def batches(student: Student, seed: int) -> Arrays:
    """Return the batches that training draws, from many samples, and from two one by one."""
    X, y = labelled_samples(seed)
    drawn: list[tuple[Any, Any]] = []

    class Watched(_classifier(student)):  # type: ignore[misc]
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
            "", f"train called the loss {steps} times in {BATCH_STEPS} steps.", "steps missing"
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
        return Finding("sample_never_drawn", detail)
    if arrays["global random state used"]:
        detail = (
            "The batches come from a global random state, so the same `seed` gives other batches "
            "in the next run. `rng` gives the same ones."
        )
        return Finding(detail=detail)
    return None


def updates(student: Student, seed: int) -> Arrays:
    """Return the weights before each step and after the last, for given gradients."""
    draws = Draws(seed, "updates")
    W, gradients = draws.normal(3, 5), draws.normal(3, 3, 5)
    X, y = labelled_samples(seed)
    weights: list[Any] = []

    class Watched(_classifier(student)):  # type: ignore[misc]
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
        raise InvalidResult(f"train called the loss {len(weights)} times in 3 steps.")
    weights.append(np.array(model.W))
    return {f"W where steps = {steps}": array for steps, array in enumerate(weights)}


def predictions(student: Student, seed: int) -> Arrays:
    """Return the labels predicted with given weights, for 6 and for 13 classes."""
    arrays = {}
    for N, D, C in ((9, 4, 6), (14, 5, 13)):
        problem = draw_problem(seed, N, D, C, reg=0.0)
        model = _classifier(student)()
        model.W = problem.W.copy()
        y_pred = model.predict(problem.X.copy())
        if not isinstance(y_pred, np.ndarray | np.integer):
            what = "nothing (None)" if y_pred is None else f"a {type(y_pred).__name__}"
            raise InvalidResult(f"predict returned {what}, but an array is expected.")
        arrays[f"y_pred where N = {N}, D = {D}, C = {C}"] = np.asarray(y_pred)
    return arrays


# The checks of training and prediction, for every loss.
OF_TRAINING = (
    Check("train_batch", "A batch is drawn", 5, TRAIN, batches, rule=batches_rule),
    Check("train_update", "The weights are updated", 5, TRAIN, updates, ("W",)),
    Check("predict", "Prediction", 5, ("predict",), predictions, ("y_pred",), tolerance=0.0),
)


# ---- the notebook's own results ------------------------------------------------------------------


def _bound(losses: "Losses", name: str, context: RuleContext) -> float:
    """Return a bound; a graded run has bounds for its own parameters."""
    return float(context.data.get(name, losses.bounds[name]))


def _unseen_accuracy(W: Any, split: str, context: RuleContext) -> float:
    """Return the accuracy on images that did not serve to choose the classifier.

    In a graded run the student's code never had access to them. A notebook has only its own splits.
    """
    data = context.data
    named = {
        name: data[f"{name}_unseen" if "X_unseen" in data else f"{name}_{split}"] for name in "Xy"
    }
    return accuracy(W, named["X"], named["y"])


def trained_model(student: Student, seed: int) -> Arrays:
    """Return the loss history, the trained weights and the classes of their columns."""
    W = student.variable("model").W
    if W is None:
        raise NotImplementedError("`model` has no weights yet: run the cell that trains it.")
    return {
        "loss_history": np.asarray(student.variable("loss_history")),
        "W": np.asarray(W),
        "classes": _classes(student),
    }


def _classes(student: Student) -> IntArray:
    """Return the places of the labels' classes in CLASS_NAMES; graded images renumber them."""
    from assignment.cifar10.synthetic import CLASS_NAMES

    names = (student.notebook or {}).get("class_names", ())  # only plots use it
    return np.array([CLASS_NAMES.index(name) for name in names if name in CLASS_NAMES], np.int64)


def training_rule(losses: "Losses", arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find training that stopped early, a loss that does not fall, or a low accuracy."""
    history, steps = arrays["loss_history"], context.data["NUM_ITERS"]
    if history.dtype.kind != "f" or history.shape != (steps,) or not np.isfinite(history).all():
        good = int(np.isfinite(history).sum()) if history.dtype.kind == "f" else 0
        detail = f"loss_history has {good} finite losses, not {steps}."
        return Finding("", detail, "training stopped early")
    last, bound = float(np.mean(history[-100:])), _bound(losses, "LAST_LOSSES", context)
    if not last < bound:
        detail = f"Its mean over the last 100 steps is {last:.2f}; below {bound} is expected."
        return Finding("", detail, "the loss does not fall")
    reached = _unseen_accuracy(arrays["W"], "val", context)
    bound = _bound(losses, "TRAINED_ACCURACY", context)
    if not reached > bound:
        return Finding("", _too_low(reached, bound), "hardly better than guessing")
    return None


def training_plots(arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Draw the loss curve and the templates."""
    from assignment.vis_utils import plot_loss_curve

    curve = plot_loss_curve(arrays["loss_history"].tolist())
    yield "The loss at each step of your training.", _with_fixed_layout(curve, right=0.15)
    yield _templates(arrays, "Templates after training")


def _with_fixed_layout(figure: "Figure", right: float) -> "Figure":
    """Put axes, title and labels at fixed places, in inches: to find them costs half of a plot.

    `right` is the right margin, in which a second pair of axes, a colour bar, is put.
    """
    figure.set_layout_engine("none")
    axes, *colour_bars = figure.axes
    (width, height), (left, bottom, top) = figure.get_size_inches(), (0.95, 0.55, 0.4)
    across, up = width - left - right, height - bottom - top
    axes.set_position((left / width, bottom / height, across / width, up / height))
    axes.xaxis.set_label_coords(0.5, -0.27 / up)
    axes.yaxis.set_label_coords(-0.67 / across, 0.5)
    axes.set_title(axes.get_title(), y=1.0, fontsize=axes.title.get_fontsize())
    for bar in colour_bars:
        bar.set_position((1 - 0.95 / width, bottom / height, 0.15 / width, up / height))
        bar.yaxis.set_label_coords(4.6, 0.5)
    return figure


def _templates(arrays: Arrays, title: str) -> tuple[str, dict[str, FloatArray]]:
    from assignment.cifar10.synthetic import CLASS_NAMES
    from assignment.vis_utils import class_templates

    sentence = (
        f"{title}: the weights of each class as an image; grey means no weight. The images used in "
        "grading are turned and have other colours than yours."
    )
    names = [CLASS_NAMES[place] for place in arrays["classes"].tolist()]
    return sentence, class_templates(arrays["W"], names)


def tuned_model(losses: "Losses", student: Student, seed: int) -> Arrays:
    """Return the accuracies of all pairs that were tried, the best weights, and retrained ones.

    `results` becomes rows of learning rate, reg, training accuracy and validation accuracy.
    """
    results, best = student.variable("results"), student.variable(losses.best)
    if not isinstance(results, dict) or not results:
        raise NotImplementedError("`results` is still empty: fill it in the TODO cell above.")
    try:
        rows = [[*pair, *accuracies] for pair, accuracies in results.items()]
        table = np.array(rows, dtype=np.float64)
        best_val = np.array(student.variable("best_val"), dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 4:
        raise InvalidResult(
            "`results` should map (learning rate, reg) to (training accuracy, validation "
            "accuracy), and `best_val` should be a number."
        )
    if getattr(best, "W", None) is None:
        raise InvalidResult(
            f"`{losses.best}` should be the trained {losses.classifier} that reached `best_val`."
        )
    return {
        "results": table,
        "best_val": best_val,
        "W": np.asarray(best.W),
        "classes": _classes(student),
        "W trained again": _train_again(losses, student, seed, best, table),
    }


def draw_pair(seed: int, variables: Mapping[str, Any]) -> tuple[float, float]:
    """Draw one of the pairs of learning rate and reg that the notebook asks for."""
    pairs = list(product(variables["TUNING_LEARNING_RATES"], variables["TUNING_REGS"]))
    return pairs[Draws(seed, "the pair that is trained again").integers(len(pairs), 1).item()]


def pair_to_train(
    seed: int, variables: Mapping[str, Any], table: FloatArray
) -> tuple[float, float] | None:
    """Return the drawn pair or, for a search over other pairs, the best one in `table`.

    A search may try other pairs than the notebook asks for, if they are as many. The result is None
    if pairs are missing. `table` has the columns of `tuned_model`.
    """
    wanted = {*product(variables["TUNING_LEARNING_RATES"], variables["TUNING_REGS"])}
    tried = {(row[0], row[1]) for row in table.tolist()}
    if wanted <= tried:
        return draw_pair(seed, variables)
    if tried <= wanted or len(tried) < len(wanted):
        return None
    learning_rate, reg = table[np.argmax(table[:, 3]), :2].tolist()
    return learning_rate, reg


MAX_TIMES = 10  # as many steps as the notebook asks for; more change no accuracy any longer


def _train_again(
    losses: "Losses", student: Student, seed: int, best: Any, table: FloatArray
) -> FloatArray:
    """Return the weights of the drawn pair, trained with the steps, batches and seed of the search.

    These are recorded in the best classifier, since a search may use other ones than the notebook
    asks for. The notebook's arrays and the global random states stay as they are.
    """
    notebook = {
        "num_iters": student.variable("TUNING_ITERS"),
        "batch_size": student.variable("BATCH_SIZE"),
        "seed": student.variable("SEED"),
    }
    settings = {**notebook, **_numbers(getattr(best, "hyperparameters", None), notebook)}
    settings["num_iters"] = min(settings["num_iters"], MAX_TIMES * notebook["num_iters"])
    pair = pair_to_train(seed, student.notebook or {}, table)
    if pair is None:  # the rule reports it
        return np.empty((0, 0))
    X, y = (np.asarray(student.variable(name)).view() for name in ("X_train", "y_train"))
    X.flags.writeable = y.flags.writeable = False
    model = _classifier_of(losses)()
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # a student may use it
    try:
        model.train(X, y, *pair, verbose=False, **settings)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    return np.asarray(model.W)


def _numbers(recorded: Any, names: Collection[str]) -> dict[str, int]:
    """Return the recorded settings of these names that are whole numbers."""
    if not isinstance(recorded, dict):
        return {}
    return {name: int(n) for name in names if isinstance(n := recorded.get(name), int | np.integer)}


def _classifier_of(losses: "Losses") -> Any:
    """Return the exercise's classifier, with the student's code as it is now."""
    module = import_module(losses.in_module.removesuffix(".py").replace("/", "."))
    return getattr(module, losses.classifier)


def tuning_rule(losses: "Losses", arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find pairs that were not tried, a model other than the best, or a table that no search gave.

    The table is compared with a pair that is drawn only when the check runs. So a table that was
    made up has to foretell what each pair reaches, to RETRAINED_DIFFERENCE, and code that forges
    the check's answer needs weights that reach it: it has to train.
    """
    data, results, best_val = context.data, arrays["results"], float(arrays["best_val"])
    if not np.isfinite(results).all() or not np.isfinite(best_val):
        return Finding("", "results or best_val hold nan or inf.", "not numbers")
    pair = pair_to_train(context.seed, data, results)
    if pair is None:
        wanted = {*product(data["TUNING_LEARNING_RATES"], data["TUNING_REGS"])}
        missing = wanted - {(row[0], row[1]) for row in results.tolist()}
        return Finding("pairs_missing", f"{len(missing)} of {len(wanted)} are missing.")
    train_accuracies, val_accuracies = results[:, 2], results[:, 3]
    reached = accuracy(arrays["W"], data["X_val"], data["y_val"])
    one_image = 1.5 / len(data["y_val"])  # a score may round to a tie elsewhere

    def same(first: float, second: float) -> bool:
        return abs(first - second) <= one_image

    if not same(best_val, max(val_accuracies)):
        if same(best_val, max(train_accuracies)):
            exchanged = same(best_val, reached)
            return Finding("results_exchanged" if exchanged else "chosen_by_training_accuracy")
        if same(best_val, val_accuracies[-1]):
            return Finding("last_model_kept")
        detail = f"It is {best_val:.3f}, the best in results is {max(val_accuracies):.3f}."
        return Finding("", detail, "best_val is not the best")
    if not same(best_val, reached):
        detail = f"It reaches {reached:.3f} on the validation set, and best_val is {best_val:.3f}."
        on_test = accuracy(arrays["W"], data["X_test"], data["y_test"])
        fitting = {
            "chosen_by_test_set": same(best_val, on_test),
            "results_exchanged": same(reached, train_accuracies[np.argmax(val_accuracies)]),
            "classifier_of_the_last_pair": same(reached, val_accuracies[-1]),
        }
        causes = [mistake for mistake, fits in fitting.items() if fits]
        if len(causes) == 1:
            return Finding(causes[0], detail)
        return Finding("", detail, "the best classifier is another one")
    learning_rate, reg = pair
    in_table = {(row[0], row[1]): row[3] for row in results.tolist()}[pair]
    scores = data["X_val"] @ arrays["W trained again"]
    again = float(np.mean(np.argmax(scores, axis=1) == data["y_val"]))
    if not abs(again - in_table) < _bound(losses, "RETRAINED_DIFFERENCE", context):
        detail = (
            f"In results, learning rate {learning_rate:g} with reg {reg:g} has the validation "
            f"accuracy {in_table:.3f}. Trained again, it reaches {again:.3f}. Run the search again."
        )
        return Finding("", detail, "results is not what training gives")
    unseen = _unseen_accuracy(arrays["W"], "val", context)
    bound = _bound(losses, "TUNED_ACCURACY", context)
    if not unseen > bound:
        return Finding("", _too_low(unseen, bound), "no good classifier was found")
    return None


MAX_PAIRS = 200  # in a plot


def tuning_plots(arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Draw validation accuracy by learning rate and reg, and the best templates."""
    from assignment.vis_utils import plot_tuning

    rows = arrays["results"][:MAX_PAIRS].tolist()
    accuracies = {(lr, reg): val_accuracy for lr, reg, _, val_accuracy in rows}
    heat_map = _with_fixed_layout(plot_tuning(accuracies), right=1.1)
    yield "Validation accuracy of the pairs that you tried.", heat_map
    yield _templates(arrays, "Templates of the best classifier")


def saved_model(losses: "Losses", student: Student, seed: int) -> Arrays:
    """Return the weights in the saved file, and the notebook's predictions before saving."""
    path = Path(student.variable("BEST_MODEL"))
    y_test_pred = student.variable("y_test_pred")
    if not path.exists():
        raise NotImplementedError(f"{path.name} does not exist yet: run the cell that saves it.")
    saved = _classifier_of(losses).load(path)
    return {"W": np.asarray(saved.W), "y_pred": np.asarray(y_test_pred)}


def saved_rule(losses: "Losses", arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find weights that predict something else than the notebook did, or badly."""
    if accuracy(arrays["W"], context.data["X_test"], arrays["y_pred"]) < 0.99:
        detail = "The saved classifier's predictions for the test set are not y_test_pred."
        return Finding("", detail, "another classifier was saved")
    unseen = _unseen_accuracy(arrays["W"], "test", context)
    bound = _bound(losses, "TEST_ACCURACY", context)
    if not unseen > bound:
        return Finding("", _too_low(unseen, bound), "not as good on the test set")
    return None


def accuracy(W: Any, X: FloatArray, y: Any) -> float:
    """Return the share of samples whose correct class alone has the highest score.

    It is 0 where the shapes or dtypes of weights or labels do not fit these samples.
    """
    fits = W.ndim == 2 and W.dtype.kind == "f" and W.shape[0] == X.shape[1]
    labels = y.shape == (len(X),) and y.dtype.kind in "iu"
    if not fits or not labels or y.min() < 0 or y.max() >= W.shape[1]:
        return 0.0
    scores = X @ W
    correct = np.take_along_axis(scores, y[:, np.newaxis], axis=1)
    return float(np.mean(np.sum(scores >= correct, axis=1) == 1))


def _too_low(reached: float, bound: float) -> str:
    return f"Its accuracy is {reached:.3f}; above {bound} is expected, and guessing gives 0.1."
