"""The checks of the notebook's own results: a classifier trained, tuned and saved."""

import random
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assignment.array_types import FloatArray, IntArray
from assignment.checks.check import Arrays, Check, Finding, RuleContext
from assignment.checks.draws import Draws
from assignment.checks.linear import TRAIN, Losses
from assignment.checks.student import InvalidResult, Student

if TYPE_CHECKING:  # matplotlib takes longer to import than all checks to run
    from matplotlib.figure import Figure


def checks_of_results(losses: Losses) -> tuple[Check, ...]:
    """Make the checks of the notebook's results with the whole classifier.

    They wait for the vectorized loss, which training uses: without it no results are earned.
    """
    loss = ("vectorized_loss", "vectorized_gradient")
    training, tuning, saved = (
        partial(rule, losses) for rule in (training_rule, tuning_rule, saved_rule)
    )
    tuned = partial(tuned_model, losses)
    model = partial(saved_model, losses)
    regions = (*losses.regions[1:], *TRAIN, "predict")
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


def _bound(losses: Losses, name: str, context: RuleContext) -> float:
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


def training_rule(losses: Losses, arrays: Arrays, context: RuleContext) -> Finding | None:
    """Find training that stopped early, a loss that does not fall, or a low accuracy."""
    history, steps = arrays["loss_history"], context.data["NUM_ITERS"]
    if history.dtype.kind != "f" or history.shape != (steps,) or not np.isfinite(history).all():
        good = int(np.isfinite(history).sum()) if history.dtype.kind == "f" else 0
        detail = f"loss_history should hold {steps} finite numbers. It holds {good}."
        return Finding("", detail, "training stopped early")
    last, bound = float(np.mean(history[-100:])), _bound(losses, "LAST_LOSSES", context)
    if not last < bound:
        detail = f"The mean of the last 100 losses is {last:.2f}; below {bound} is expected."
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


def tuned_model(losses: Losses, student: Student, seed: int) -> Arrays:
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
    losses: Losses, student: Student, seed: int, best: Any, table: FloatArray
) -> FloatArray:
    """Return the weights of the drawn pair, trained with the steps, batches and seed of the search.

    These are recorded in the best classifier, since a search may use other ones than the notebook
    asks for. The notebook's arrays and the global random states stay unchanged.
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


def _classifier_of(losses: Losses) -> Any:
    """Return the exercise's classifier, with the student's code as it is now."""
    module = import_module(losses.in_module.removesuffix(".py").replace("/", "."))
    return getattr(module, losses.classifier)


def tuning_rule(losses: Losses, arrays: Arrays, context: RuleContext) -> Finding | None:
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
        return Finding("pairs_missing", f"Missing in results: {len(missing)} of {len(wanted)}.")
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
        detail = f"best_val is {best_val:.3f}, the best in results is {max(val_accuracies):.3f}."
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


def saved_model(losses: Losses, student: Student, seed: int) -> Arrays:
    """Return the weights in the saved file, and the notebook's predictions before saving."""
    path = Path(student.variable("BEST_MODEL"))
    y_test_pred = student.variable("y_test_pred")
    if not path.exists():
        raise NotImplementedError(f"{path.name} does not exist yet: run the cell that saves it.")
    saved = _classifier_of(losses).load(path)
    return {"W": np.asarray(saved.W), "y_pred": np.asarray(y_test_pred)}


def saved_rule(losses: Losses, arrays: Arrays, context: RuleContext) -> Finding | None:
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
