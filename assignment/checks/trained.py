"""The checks of the notebook's own results: a classifier trained, tuned and saved."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.check import Arrays, Check, Finding, RuleContext
from assignment.checks.draws import Draws
from assignment.checks.student import InvalidResult, Student
from assignment.checks.unseen import accuracy, too_low, unseen_inputs, unseen_labels

if TYPE_CHECKING:  # matplotlib takes longer to import than all checks to run
    from matplotlib.figure import Figure


def predict_by_scores(model: Any, X: FloatArray) -> IntArray:
    """Return the labels that a linear classifier predicts, whatever its `predict` does."""
    W = np.asarray(model.W)
    if W.ndim != 2 or W.dtype.kind != "f" or len(W) != X.shape[1]:
        raise InvalidResult(
            f"The classifier's W is {W.dtype} of shape {W.shape}, but floats of shape "
            f"({X.shape[1]}, C) are expected."
        )
    return np.argmax(X @ W, axis=1)


@dataclass(frozen=True)
class Trained:
    """A classifier that the notebook trains, tunes and saves.

    The class `name` is defined in the course's module at the path `module`. It has `load(path)`,
    `hyperparameters`, and `train(X, y, learning_rate, reg, num_iters, batch_size, verbose, seed)`;
    `predict(model, X)` returns its labels. `best` is the notebook's variable for the best one. The
    exercise has the bounds LAST_LOSSES, TRAINED_ACCURACY, TUNED_ACCURACY, TEST_ACCURACY and
    RETRAINED_DIFFERENCE.
    """

    module: str
    name: str
    best: str
    predict: Callable[[Any, FloatArray], IntArray] = predict_by_scores

    def checks(self, regions: tuple[str, ...], requires: tuple[str, ...]) -> tuple[Check, ...]:
        """Make the checks of the notebook's results.

        `regions` are those that training uses. Without the checks in `requires` no results are
        earned.
        """
        with_tuning = (*regions, "tuning")
        return (
            Check(
                "training", "Training", 5, regions, partial(trained_model, self),
                requires=requires, rule=training_rule, in_notebook=True, plots=training_plots,
            ),
            Check(
                "tuning", "Tuning", 5, with_tuning, partial(tuned_model, self),
                requires=requires, rule=tuning_rule, in_notebook=True, plots=tuning_plots,
            ),
            Check(
                "saved_model", "The saved classifier", 5, with_tuning, partial(saved_model, self),
                requires=requires, rule=saved_rule, in_notebook=True,
            ),
        )  # fmt: skip

    def load_class(self) -> Any:
        """Return the class, with the student's code as it is now."""
        module = import_module(self.module.removesuffix(".py").replace("/", "."))
        return getattr(module, self.name)


def trained_model(trained: Trained, student: Student, seed: int) -> Arrays:
    """Return the loss history, and the trained classifier's predictions."""
    model = student.variable("model")
    if getattr(model, "W", ...) is None:
        raise NotImplementedError("`model` has no weights yet: run the cell that trains it.")
    return {
        "loss_history": np.asarray(student.variable("loss_history")),
        "y_pred": np.asarray(trained.predict(model, unseen_inputs(student, "val"))),
        **_for_plots(model, student),
    }


MAX_PLOTTED = 250_000  # bytes of weights: twice those for CIFAR-10


def _for_plots(model: Any, student: Student) -> Arrays:
    """Return the weights, and the places of their classes in CLASS_NAMES, if they can be plotted.

    Graded images renumber the classes.
    """
    from assignment.cifar10.synthetic import CLASS_NAMES

    W, names = np.asarray(getattr(model, "W", None)), (student.notebook or {}).get("class_names")
    if W.ndim != 2 or W.nbytes > MAX_PLOTTED or not names:
        return {}
    places = [CLASS_NAMES.index(name) for name in names if name in CLASS_NAMES]
    return {"W": W, "classes": np.array(places, np.int64)}


def training_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find training that stopped early, a loss that does not fall, or a low accuracy."""
    history, steps = arrays["loss_history"], context.data["NUM_ITERS"]
    if history.dtype.kind != "f" or history.shape != (steps,) or not np.isfinite(history).all():
        good = int(np.isfinite(history).sum()) if history.dtype.kind == "f" else 0
        detail = f"loss_history should hold {steps} finite numbers. It holds {good}."
        return Finding("", detail, "training stopped early")
    last = float(np.mean(history[-100:]))
    if not context.meets("LAST_LOSSES", last, "below", guess=float(history[0])):
        expected = context.expected("LAST_LOSSES")
        detail = f"The mean of the last 100 losses is {last:.2f}; {expected}."
        return Finding("", detail, "the loss does not fall")
    headline = "hardly better than guessing"
    return too_low(arrays["y_pred"], "val", "TRAINED_ACCURACY", headline, context)


def training_plots(arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Draw the loss curve and the templates."""
    from assignment.vis_utils import plot_loss_curve

    curve = plot_loss_curve(arrays["loss_history"].tolist())
    yield "The loss at each step of your training.", _with_fixed_layout(curve, right=0.15)
    yield from _templates(arrays, "Templates after training")


def _with_fixed_layout(figure: "Figure", right: float) -> "Figure":
    """Put axes, title and labels at fixed places, in inches: to find them costs half of a plot.

    `right` is the right margin, in which a second pair of axes, a color bar, is put.
    """
    figure.set_layout_engine("none")
    axes, *color_bars = figure.axes
    (width, height), (left, bottom, top) = figure.get_size_inches(), (0.95, 0.55, 0.4)
    across, up = width - left - right, height - bottom - top
    axes.set_position((left / width, bottom / height, across / width, up / height))
    axes.xaxis.set_label_coords(0.5, -0.27 / up)
    axes.yaxis.set_label_coords(-0.67 / across, 0.5)
    axes.set_title(axes.get_title(), y=1.0, fontsize=axes.title.get_fontsize())
    for bar in color_bars:
        bar.set_position((1 - 0.95 / width, bottom / height, 0.15 / width, up / height))
        bar.yaxis.set_label_coords(4.6, 0.5)
    return figure


def _templates(arrays: Arrays, title: str) -> Iterator[tuple[str, dict[str, FloatArray]]]:
    if "W" not in arrays:
        return
    from assignment.cifar10.synthetic import CLASS_NAMES
    from assignment.vis_utils import class_templates

    sentence = (
        f"{title}: the weights of each class as an image; gray means no weight. The images used in "
        "grading are turned and have other colors than yours."
    )
    names = [CLASS_NAMES[place] for place in arrays["classes"].tolist()]
    yield sentence, class_templates(arrays["W"], names)


def tuned_model(trained: Trained, student: Student, seed: int) -> Arrays:
    """Return the accuracies of all pairs that were tried, and predictions of the best classifier.

    `results` becomes rows of learning rate, reg, training accuracy and validation accuracy. One
    pair is trained again.
    """
    results, best = student.variable("results"), student.variable(trained.best)
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
    kinds = {kind.__name__ for kind in type(best).__mro__}  # a reloaded class is another object
    if trained.name not in kinds or getattr(best, "W", ...) is None:
        raise InvalidResult(
            f"`{trained.best}` should be the trained {trained.name} that reached `best_val`."
        )
    X = {split: student.variable(f"X_{split}") for split in ("val", "test")}
    return {
        "results": table,
        "best_val": best_val,
        "y_pred of val": np.asarray(trained.predict(best, X["val"])),
        "y_pred of test": np.asarray(trained.predict(best, X["test"])),
        "y_pred": np.asarray(trained.predict(best, unseen_inputs(student, "val"))),
        "y_pred trained again": _train_again(trained, student, seed, best, table),
        **_for_plots(best, student),
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
    trained: Trained, student: Student, seed: int, best: Any, table: FloatArray
) -> IntArray:
    """Return the predictions of the drawn pair, trained with another seed.

    Steps and batches are recorded in the best classifier, since a search may use other ones than
    the notebook asks for. The notebook's arrays and the global random states stay unchanged.
    """
    names = {"num_iters": "TUNING_ITERS", "batch_size": "BATCH_SIZE"}
    asked = {setting: student.variable(name) for setting, name in names.items()}
    settings = {**asked, **_numbers(getattr(best, "hyperparameters", None), asked)}
    settings["num_iters"] = min(settings["num_iters"], MAX_TIMES * asked["num_iters"])
    pair = pair_to_train(seed, student.notebook or {}, table)
    if pair is None:  # the rule reports it
        return np.empty(0, np.int64)
    X, y = (np.asarray(student.variable(name)).view() for name in ("X_train", "y_train"))
    X.flags.writeable = y.flags.writeable = False
    model = trained.load_class()()
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # a student may use it
    try:
        model.train(X, y, *pair, verbose=False, seed=seed, **settings)
        return np.asarray(trained.predict(model, unseen_inputs(student, "val")))
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _numbers(recorded: Any, names: Collection[str]) -> dict[str, int]:
    """Return the recorded settings of these names that are whole numbers."""
    if not isinstance(recorded, dict):
        return {}
    return {name: int(n) for name in names if isinstance(n := recorded.get(name), int | np.integer)}


def tuning_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find pairs that were not tried, a model other than the best, or a table that no search gave.

    The table is compared with a pair that is drawn only when the check runs. So a table that was
    made up has to foretell what each pair reaches, to RETRAINED_DIFFERENCE, and code that forges
    the check's answer needs predictions that reach it: it has to train.
    """
    data, results, best_val = context.data, arrays["results"], float(arrays["best_val"])
    if not np.isfinite(results).all() or not np.isfinite(best_val):
        return Finding("", "results or best_val hold nan or inf.", "not numbers")
    pair = pair_to_train(context.seed, data, results)
    if pair is None:
        wanted = {*product(data["TUNING_LEARNING_RATES"], data["TUNING_REGS"])}
        missing = wanted - {(row[0], row[1]) for row in results.tolist()}
        return Finding("pairs_missing", f"Missing in results: {len(missing)} of {len(wanted)}.")
    train_accuracies, val_accuracies = results[:, 2], results[:, 3]
    reached = accuracy(arrays["y_pred of val"], data["y_val"])
    one_image = 1.5 / len(data["y_val"])  # a score may round to a tie elsewhere

    def same(first: float, second: float) -> bool:
        return abs(first - second) <= one_image

    if not same(best_val, max(val_accuracies)):
        if same(best_val, max(train_accuracies)):
            exchanged = same(best_val, reached)
            return Finding("results_exchanged" if exchanged else "chosen_by_training_accuracy")
        if same(best_val, val_accuracies[-1]):
            return Finding("last_model_kept")
        detail = (
            f"best_val is {best_val:.3f}, but the best in results is {max(val_accuracies):.3f}."
        )
        return Finding("", detail, "best_val is not the best")
    if not same(best_val, reached):
        detail = (
            f"The best classifier reaches {reached:.3f} on the validation set, but best_val is "
            f"{best_val:.3f}."
        )
        on_test = accuracy(arrays["y_pred of test"], data["y_test"])
        fitting = {
            "chosen_by_test_set": same(best_val, on_test),
            "results_exchanged": same(reached, train_accuracies[np.argmax(val_accuracies)]),
            "classifier_of_the_last_pair": same(reached, val_accuracies[-1]),
        }
        causes = [mistake for mistake, fits in fitting.items() if fits]
        if len(causes) == 1:
            return Finding(causes[0], detail)
        return Finding("", detail, "best_val of another classifier")
    learning_rate, reg = pair
    in_table = {(row[0], row[1]): row[3] for row in results.tolist()}[pair]
    again = accuracy(arrays["y_pred trained again"], unseen_labels(context, "val"))
    gap = float(val_accuracies.max() - val_accuracies.min())  # of a table with one value
    if not context.meets("RETRAINED_DIFFERENCE", again - in_table, "within", guess=gap):
        detail = (
            f"In results, learning rate {learning_rate:g} with reg {reg:g} has the validation "
            f"accuracy {in_table:.3f}. Trained again with another seed, it reaches {again:.3f}. "
            "Run the search again."
        )
        return Finding("", detail, "results does not match training")
    headline = "no good classifier was found"
    return too_low(arrays["y_pred"], "val", "TUNED_ACCURACY", headline, context)


MAX_PAIRS = 200  # in a plot


def tuning_plots(arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Draw validation accuracy by learning rate and reg, and the best templates."""
    from assignment.vis_utils import plot_tuning

    rows = arrays["results"][:MAX_PAIRS].tolist()
    accuracies = {(lr, reg): val_accuracy for lr, reg, _, val_accuracy in rows}
    heat_map = _with_fixed_layout(plot_tuning(accuracies), right=1.1)
    yield "Validation accuracy of the pairs that you tried.", heat_map
    yield from _templates(arrays, "Templates of the best classifier")


def saved_model(trained: Trained, student: Student, seed: int) -> Arrays:
    """Return predictions of the classifier in the saved file, and the notebook's before saving."""
    path = Path(student.variable("BEST_MODEL"))
    y_test_pred = student.variable("y_test_pred")
    if not path.exists():
        raise NotImplementedError(f"{path.name} does not exist yet: run the cell that saves it.")
    saved = trained.load_class().load(path)
    return {
        "y_test_pred": np.asarray(y_test_pred),
        "y_pred of test": np.asarray(trained.predict(saved, student.variable("X_test"))),
        "y_pred": np.asarray(trained.predict(saved, unseen_inputs(student, "test"))),
    }


def saved_rule(arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find a classifier that predicts something else than the notebook did, or badly."""
    if not accuracy(arrays["y_test_pred"], arrays["y_pred of test"]) >= 0.99:
        detail = "The saved classifier's predictions for the test set are not y_test_pred."
        return Finding("", detail, "another classifier was saved")
    headline = "not as good on the test set"
    return too_low(arrays["y_pred"], "test", "TEST_ACCURACY", headline, context)
