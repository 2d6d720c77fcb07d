"""The plots of the notebooks. Each function returns a Figure, which the notebook displays.

Figures are made without pyplot's global state: it would show them twice, and keep them in memory.
Colors come from viridis and cividis, whose lightness rises evenly, so that color-blind readers
can read them, also in gray; important numbers are written as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from assignment.array_types import FloatArray, IntArray

IMAGE_SHAPE = (32, 32, 3)
LINE, FAINT, ACCENT = "#0072B2", "#9ecae1", "#D55E00"  # blue and vermilion: Okabe and Ito's palette


def plot_samples(
    images: NDArray[np.uint8],
    y: IntArray,
    class_names: Sequence[str],
    per_class: int = 6,
    seed: int = 0,
    source: str = "",
) -> Figure:
    """Plot a grid of random images, one column per class.

    Parameters
    ----------
    images : (N, 32, 32, 3) uint8 array
    y : (N,) integer array
        Correct classes, 0 <= y < C.
    class_names : sequence of C str
    per_class : int
        Number of rows; a class with fewer images fills fewer.
    seed : int
        Selects the images.
    source : str
        Name of the data set, for the title.
    """
    rng = np.random.default_rng(seed)
    columns = len(class_names)
    figure, axes = _grid(per_class, columns, width=0.95 * columns, height=0.95 * per_class + 0.7)
    for c, name in enumerate(class_names):
        axes[0, c].set_title(name, fontsize=9)
        members = np.flatnonzero(y == c)
        drawn = rng.permutation(members)[:per_class]
        for row, i in enumerate(drawn):
            axes[row, c].imshow(images[i], interpolation="nearest")
    figure.suptitle(_titled("Training images by class (32 × 32 pixels)", source))
    return figure


def plot_mean_image(mean_image: FloatArray) -> Figure:
    """Plot the mean image, (32, 32, 3) from 0 to 255, in color and as brightness with a scale."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    color, brightness = figure.subplots(1, 2)
    color.imshow(mean_image.round().astype(np.uint8))
    color.set_title("in color")
    shown = brightness.imshow(mean_image.mean(axis=2), cmap="viridis")
    brightness.set_title("brightness")
    figure.colorbar(shown, ax=brightness, label="mean of the colors")
    for axes in (color, brightness):
        axes.set_xlabel("column (pixels)")
        axes.set_ylabel("row (pixels)")
    figure.suptitle("Mean training image")
    return figure


def plot_loss_curve(loss_history: Sequence[float], equal_scores: float | None = None) -> Figure:
    """Plot the loss on each step's batch, and its running mean over a 30th of the steps.

    A dashed line marks the loss at equal scores, if it is given.
    """
    losses = np.asarray(loss_history, np.float64)
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(losses, color=FAINT, linewidth=0.8, label="each batch")
    window = max(1, len(losses) // 30)
    if window > 1:
        smooth = np.convolve(losses, np.full(window, 1 / window), mode="valid")
        steps = np.arange(len(smooth)) + (window - 1) / 2
        axes.plot(steps, smooth, color=LINE, linewidth=1.8, label=f"mean of {window} steps")
    if equal_scores is not None:
        label = f"equal scores: {equal_scores:.3f}"
        axes.axhline(equal_scores, color=ACCENT, linestyle="--", linewidth=1.2, label=label)
    axes.set_xlabel("step of SGD")
    axes.set_ylabel("loss on the batch, with regularization")
    axes.set_title("Training loss")
    axes.grid(alpha=0.3)
    axes.legend(framealpha=1)  # so that no line crosses its text
    return figure


def plot_tuning(val_accuracy: Mapping[tuple[float, float], float], source: str = "") -> Figure:
    """Plot a heat map of validation accuracy over learning rate × regularization.

    The best accuracy has a frame.

    Parameters
    ----------
    val_accuracy : mapping
        From (learning rate, regularization strength) to accuracy, 0 to 1. A missing pair stays
        white.
    source : str
        Name of the data set, for the title.

    Raises
    ------
    ValueError
        The mapping is empty.
    """
    if not val_accuracy:
        raise ValueError("There are no tuning results to plot: fill in the tuning cell first.")
    learning_rates = sorted({lr for lr, _ in val_accuracy})
    regs = sorted({reg for _, reg in val_accuracy})
    table = np.full((len(regs), len(learning_rates)), np.nan)
    for (lr, reg), accuracy in val_accuracy.items():
        table[regs.index(reg), learning_rates.index(lr)] = 100 * accuracy

    size = (2.4 + 0.95 * len(learning_rates), 1.6 + 0.6 * len(regs))
    figure = Figure(figsize=(max(5.0, size[0]), max(3.4, size[1])), layout="constrained")
    axes = figure.subplots()
    # Whole percents, so that the colors of the first pairs do not magnify tiny differences.
    low, high = np.floor(np.nanmin(table)), np.ceil(np.nanmax(table))
    norm = Normalize(low, max(high, low + 1))
    shown = axes.imshow(table, cmap="viridis", norm=norm, aspect="auto", origin="lower")
    _write_numbers(shown, table, "{:.1f}")
    best_row, best_column = np.unravel_index(np.nanargmax(table), table.shape)
    corner = (float(best_column) - 0.5, float(best_row) - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=ACCENT, linewidth=3))
    axes.set_xticks(range(len(learning_rates)), [f"{lr:g}" for lr in learning_rates])
    axes.set_yticks(range(len(regs)), [f"{reg:g}" for reg in regs])
    axes.set_xlabel("learning rate")
    axes.set_ylabel("regularization strength")
    axes.set_title(_titled("Validation accuracy (%), the best framed", source), fontsize=11)
    figure.colorbar(shown, ax=axes, label="accuracy (%)")
    return figure


def plot_cross_validation(
    k_to_accuracies: Mapping[int, Sequence[float]], source: str = ""
) -> Figure:
    """Plot the accuracy of each fold, and their mean ± standard deviation, over k.

    Parameters
    ----------
    k_to_accuracies : mapping
        From the number of neighbors to the accuracies of the folds, 0 to 1.
    source : str
        Name of the data set, for the title.

    Raises
    ------
    ValueError
        The mapping is empty.
    """
    if not k_to_accuracies:
        raise ValueError("There are no accuracies to plot: fill in the cross-validation first.")
    ks = sorted(k_to_accuracies)
    table = 100 * np.array([k_to_accuracies[k] for k in ks], np.float64)
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.repeat(ks, table.shape[1]), table.ravel(), "o", color=FAINT, label="each fold")
    mean, spread = table.mean(axis=1), table.std(axis=1)
    axes.errorbar(ks, mean, spread, color=LINE, label="mean ± standard deviation")
    axes.set_xlabel("number of neighbors k")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(_titled("Cross-validation", source))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def class_templates(W: FloatArray | None, class_names: Sequence[str]) -> dict[str, FloatArray]:
    """Return the weights of each class as an image, by the class's name.

    Each is a (32, 32, 3) float array from 0 to 1 on its own scale, with 0.5, gray, for no weight.
    `plot_templates` describes the parameters.
    """
    pixels = int(np.prod(IMAGE_SHAPE))
    if W is None:
        raise ValueError("There are no weights to show yet: train a classifier first.")
    if W.ndim != 2 or W.shape[0] not in (pixels, pixels + 1) or W.shape[1] != len(class_names):
        raise ValueError(
            f"W has shape {W.shape}, but templates of {len(class_names)} classes need "
            f"({pixels}, {len(class_names)}), or one row more for the bias."
        )
    templates = np.moveaxis(W[:pixels].reshape(*IMAGE_SHAPE, -1), -1, 0)
    return {
        name: 0.5 + 0.5 * template / (np.abs(template).max() or 1.0)
        for name, template in zip(class_names, templates, strict=True)
    }


def plot_templates(
    W: FloatArray | None, class_names: Sequence[str], title: str = "Templates", source: str = ""
) -> Figure:
    """Plot the weights of each class as an image: the template that the classifier looks for.

    Parameters
    ----------
    W : (3072, C) or (3073, C) float array
        Weights; row 3072, the bias, is left out.
    class_names : sequence of C str
    title : str
    source : str
        Name of the data set that the weights were trained on, for the title.

    Raises
    ------
    ValueError
        W is None, or has another shape.
    """
    templates = class_templates(W, class_names)
    rows = -(-len(class_names) // 5)
    figure, axes = _grid(rows, 5, width=9, height=2.0 * rows + 0.8)
    for panel, (name, template) in zip(axes.flat, templates.items(), strict=False):
        panel.imshow(template, interpolation="nearest")
        panel.set_title(name, fontsize=10)
    figure.suptitle(_titled(f"{title}: the weights of each class (gray: no weight)", source))
    return figure


def plot_confusion(
    y_true: IntArray, y_pred: IntArray, class_names: Sequence[str], source: str = ""
) -> Figure:
    """Plot the confusion matrix: each row is a true class, and its percentages sum to 100.

    Parameters
    ----------
    y_true, y_pred : (N,) integer arrays
        True and predicted classes, 0 <= y < C.
    class_names : sequence of C str
    source : str
        Name of the data set, for the title.
    """
    num_classes = len(class_names)
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (y_true, y_pred), 1)
    per_class = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(per_class, 1)

    figure = Figure(figsize=(7.4, 6.2), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(percent, cmap="cividis", vmin=0)
    _write_numbers(shown, percent, "{:.0f}")
    axes.set_xticks(range(num_classes), class_names, rotation=45, ha="right")
    axes.set_yticks(range(num_classes), class_names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    title = f"Confusion matrix: % of each row's images ({len(y_true)} in all)"
    axes.set_title(_titled(title, source), fontsize=11)
    figure.colorbar(shown, ax=axes, label="% of the true class's images")
    return figure


def plot_disagreement(
    images: NDArray[np.uint8],
    y: IntArray,
    predictions: Mapping[str, IntArray],
    class_names: Sequence[str],
    per_row: int = 6,
    seed: int = 0,
    source: str = "",
) -> Figure:
    """Plot images that only one of two classifiers gets right, and images that both get wrong.

    Parameters
    ----------
    images : (N, 32, 32, 3) uint8 array
    y : (N,) integer array
        Correct classes, 0 <= y < C.
    predictions : mapping
        From the names of two classifiers to the classes they predict, (N,) integer arrays.
    class_names : sequence of C str
    per_row : int
        Maximum number of images in each of the three rows.
    seed : int
        Selects the images.
    source : str
        Name of the data set, for the title.
    """
    (first, y_first), (second, y_second) = predictions.items()
    right, other = y_first == y, y_second == y
    kinds = {
        f"Only {first} is right": right & ~other,
        f"Only {second} is right": ~right & other,
        "Both are wrong": ~right & ~other,
    }
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(1.15 * per_row, 6.4), layout="constrained")
    rows: NDArray[Any] = figure.subfigures(len(kinds), 1, squeeze=False)
    for row, (kind, members) in zip(rows[:, 0], kinds.items(), strict=True):
        row.suptitle(f"{kind}: {members.sum()} of {len(y)}", x=0.01, ha="left", fontsize=10)
        axes = row.subplots(1, per_row, squeeze=False)[0]
        for panel in axes:
            panel.set_axis_off()
            panel.set(xticks=[], yticks=[])
        for panel, i in zip(axes, rng.permutation(np.flatnonzero(members)), strict=False):
            panel.imshow(images[i], interpolation="nearest")
            wrong = dict.fromkeys(c for c in (y_first[i], y_second[i]) if c != y[i])
            mistaken_for = "".join(f"\n→ {class_names[c]}" for c in wrong)
            panel.set_title(f"{class_names[y[i]]}{mistaken_for}", fontsize=8)
    title = "Where the two differ: the correct class, and the predicted one (→)"
    figure.suptitle(_titled(title, source))
    return figure


def plot_gradient_error(step_sizes: ArrayLike, errors: ArrayLike) -> Figure:
    """Plot the error of the numerical gradient against the step size, on logarithmic axes.

    Parameters
    ----------
    step_sizes, errors : sequences of the same length
        Positive step sizes h, and the relative error of the numerical gradient for each. Errors
        that are 0 or not finite are left out.

    Raises
    ------
    ValueError
        No error is a positive number.
    """
    h, error = np.asarray(step_sizes, np.float64), np.asarray(errors, np.float64)
    drawable = np.isfinite(error) & (error > 0)
    if not drawable.any():
        raise ValueError("No error is a positive number: is the loss nan, or the gradient 0?")
    h, error = h[drawable], error[drawable]
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.loglog(h, error, "o-", color=LINE, label="measured")
    best = int(np.argmin(error))
    axes.annotate(
        f"best: h = {h[best]:.0e}",
        (h[best], error[best]),
        textcoords="offset points",
        xytext=(-24, -16),
        ha="right",
        color=ACCENT,
    )
    # Right of the best step truncation dominates; the median ignores the ends, where it does not.
    law = np.median(error[best:] / h[best:] ** 2) * h**2
    axes.loglog(h, law, ":", color="0.5", label="proportional to h²")
    axes.set_ylim(bottom=error.min() / 30, top=max(error.max() * 3, 1e-3))
    axes.set_xlabel("step size h")
    axes.set_ylabel("relative error")
    axes.set_title("Error of the numerical gradient by step size")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _titled(title: str, source: str) -> str:
    """Add the data set below a title: the stand-in must not pass for CIFAR-10."""
    return f"{title}\n{source}" if source else title


def _grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """Make a figure of panels for images, without ticks and frames."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: NDArray[Any] = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
        panel.set(xticks=[], yticks=[])  # invisible, but the layout would measure them
    return figure, axes


def _write_numbers(shown: AxesImage, table: FloatArray, form: str) -> None:
    """Write each cell's number into a heat map, dark on light and light on dark."""
    norm: Any = shown.norm
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            color = "k" if norm(value) > 0.6 else "w"
            text = form.format(value)
            shown.axes.text(column, row, text, ha="center", va="center", color=color)
