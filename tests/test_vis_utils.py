"""The plots: that they can be read, and that they say what they are given."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from assignment import vis_utils
from assignment.array_types import IntArray
from assignment.cifar10.synthetic import CLASS_NAMES

NAMES = list(CLASS_NAMES)
rng = np.random.default_rng(0)
LABELS = rng.integers(10, size=200)
TUNING = {
    (1e-7, 1e3): 0.20,
    (1e-7, 1e4): 0.25,
    (1e-6, 1e3): 0.38,
}
STEPS = 10.0 ** np.arange(-9, 0)


def disagreement(first: IntArray, second: IntArray, source: str = "") -> Figure:
    """Of two classifiers that predict this of pictures whose grey is their number."""
    greys = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1)
    images = np.broadcast_to(greys, (200, 32, 32, 3))
    predictions = {"A": first, "B": second}
    return vis_utils.plot_disagreement(images, LABELS, predictions, NAMES, source=source)


PLOTS: dict[str, Callable[[], Figure]] = {
    "samples": lambda: vis_utils.plot_samples(
        rng.integers(256, size=(200, 32, 32, 3), dtype=np.uint8), LABELS, NAMES
    ),
    "mean image": lambda: vis_utils.plot_mean_image(rng.uniform(0, 255, (32, 32, 3))),
    "loss curve": lambda: vis_utils.plot_loss_curve([2.3 / (1 + i) for i in range(300)]),
    "tuning": lambda: vis_utils.plot_tuning(TUNING),
    "templates": lambda: vis_utils.plot_templates(rng.standard_normal((3073, 10)), NAMES),
    "confusion": lambda: vis_utils.plot_confusion(LABELS, rng.permutation(LABELS), NAMES),
    "disagreement": lambda: disagreement(LABELS, rng.permutation(LABELS)),
    "gradient error": lambda: vis_utils.plot_gradient_error(STEPS, STEPS**2 + 1e-14 / STEPS),
}
with_axes = [name for name in PLOTS if name not in ("samples", "templates", "disagreement")]


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PLOTS)
def test_each_plot_is_a_figure_with_a_title_that_draws_without_a_warning(name: str) -> None:
    figure = PLOTS[name]()
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png")
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    assert any(len(title) > 10 for title in titles)


@pytest.mark.parametrize("name", PLOTS)
def test_no_plot_is_left_in_pyplots_hands(name: str) -> None:
    before = plt.get_fignums()
    PLOTS[name]()
    assert plt.get_fignums() == before


@pytest.mark.parametrize("name", with_axes)
def test_both_axes_say_what_they_measure(name: str) -> None:
    figure = PLOTS[name]()
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels
    for axes in panels:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            assert axes.get_ylabel()


def test_samples_stand_in_the_column_of_their_class() -> None:
    images = np.zeros((200, 32, 32, 3), np.uint8)
    images[np.arange(200), 0, 0, 0] = LABELS
    figure = vis_utils.plot_samples(images, LABELS, NAMES, per_class=3)
    for panel_number, axes in enumerate(figure.axes):
        shown: Any = axes.images[0].get_array()
        assert shown[0, 0, 0] == panel_number % 10
    assert words(figure) >= set(NAMES)


def test_a_class_with_few_pictures_leaves_its_panels_empty() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    figure = vis_utils.plot_samples(images, np.array([0, 3]), NAMES, per_class=2)
    assert sum(len(axes.images) for axes in figure.axes) == 2


def test_the_loss_curve_shows_every_step_and_survives_a_single_one() -> None:
    axes = vis_utils.plot_loss_curve([5.0, 4.0, 3.0]).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [5.0, 4.0, 3.0])
    assert len(vis_utils.plot_loss_curve([5.0]).axes[0].lines) == 1


def test_the_running_mean_lags_behind_nothing() -> None:
    # Of a straight line the running mean is the line itself.
    axes = vis_utils.plot_loss_curve([float(i) for i in range(300)]).axes[0]
    smooth: Any = axes.lines[1]
    np.testing.assert_allclose(smooth.get_xdata(), smooth.get_ydata())


def test_the_heat_map_writes_each_accuracy_and_frames_the_best() -> None:
    axes = vis_utils.plot_tuning(TUNING).axes[0]
    assert {"20.0", "25.0", "38.0"} <= {text.get_text() for text in axes.texts}
    assert len(axes.texts) == 3  # the pair that was not tried stays empty
    frame: Any = axes.patches[0]
    assert frame.get_xy() == (0.5, -0.5)  # the second learning rate, the first regularisation
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-07", "1e-06"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1000", "10000"]


def test_an_empty_heat_map_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="fill in the tuning cell first"):
        vis_utils.plot_tuning({})


def test_templates_show_zero_as_grey_and_leave_the_bias_out() -> None:
    W = np.zeros((3073, 10))
    W[0, 0], W[-1, 0] = -2.0, 100.0
    figure = vis_utils.plot_templates(W, NAMES)
    shown: Any = figure.axes[0].images[0].get_array()
    assert shown[0, 0, 0] == 0.0
    assert np.all(shown.ravel()[1:] == 0.5)
    with_bias, without = vis_utils.plot_templates(W, NAMES), vis_utils.plot_templates(W[:-1], NAMES)
    for a, b in zip(with_bias.axes, without.axes, strict=True):
        np.testing.assert_array_equal(a.images[0].get_array(), b.images[0].get_array())


@pytest.mark.parametrize("shape", [(3074, 10), (3073, 9), (30730,)])
def test_weights_that_are_no_pictures_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"templates of 10 classes need \(3072, 10\)"):
        vis_utils.plot_templates(np.zeros(shape), NAMES)


def test_weights_that_are_not_there_yet_are_asked_for() -> None:
    with pytest.raises(ValueError, match="train a classifier first"):
        vis_utils.plot_templates(None, NAMES)


def test_errors_that_are_no_numbers_are_left_out_and_only_such_are_refused() -> None:
    figure = vis_utils.plot_gradient_error([1e-6, 1e-5, 1e-4], [0.0, 1e-9, np.nan])
    assert "best: h = 1e-05" in words(figure)
    with pytest.raises(ValueError, match="is the loss nan"):
        vis_utils.plot_gradient_error([1e-6, 1e-5], [np.nan, np.nan])


@pytest.mark.parametrize("name", ["samples", "tuning", "templates", "confusion", "disagreement"])
def test_plots_made_from_the_stand_in_say_so(name: str) -> None:
    source = "synthetic stand-in, not CIFAR-10 (drawn from seed 231)"
    figure = {
        "samples": lambda: vis_utils.plot_samples(
            np.zeros((10, 32, 32, 3), np.uint8), np.arange(10), NAMES, source=source
        ),
        "tuning": lambda: vis_utils.plot_tuning(TUNING, source),
        "templates": lambda: vis_utils.plot_templates(np.ones((3073, 10)), NAMES, source=source),
        "confusion": lambda: vis_utils.plot_confusion(LABELS, LABELS, NAMES, source),
        "disagreement": lambda: disagreement(LABELS, LABELS, source),
    }[name]()
    assert any(source in text for text in words(figure))


def test_each_row_of_the_confusion_matrix_adds_up_to_100_percent() -> None:
    figure = vis_utils.plot_confusion(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), NAMES)
    shown: Any = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[0, :2], [100 / 3, 200 / 3])
    np.testing.assert_allclose(shown.sum(axis=1), [100, 0, 100, 0, 0, 0, 0, 0, 0, 0])


def test_the_best_step_of_the_gradient_is_named() -> None:
    figure = PLOTS["gradient error"]()
    assert "best: h = 1e-05" in words(figure)


@pytest.mark.parametrize("name", ["mean image", "tuning", "confusion"])
def test_colours_that_stand_for_numbers_can_be_read_in_grey(name: str) -> None:
    coloured: list[Any] = [image for axes in PLOTS[name]().axes for image in axes.images]
    scales = [image.cmap for image in coloured if np.ndim(image.get_array()) == 2]
    assert scales
    for scale in scales:
        lightness = scale(np.linspace(0, 1, 64))[:, :3] @ [0.2126, 0.7152, 0.0722]
        assert np.all(np.diff(lightness) > 0)


def test_a_picture_stands_in_the_row_of_those_who_get_it_wrong() -> None:
    first, second = LABELS.copy(), LABELS.copy()
    first[:3] = (LABELS[:3] + 1) % 10  # so that only B is right
    second[3:5] = (LABELS[3:5] + 1) % 10
    first[5:9], second[5:9] = (LABELS[5:9] + 1) % 10, (LABELS[5:9] + 2) % 10
    figure = disagreement(first, second)
    assert words(figure) >= {
        "Only A is right: 2 of 200",
        "Only B is right: 3 of 200",
        "Both are wrong: 4 of 200",
    }
    rows = [
        [int(np.asarray(image.get_array())[0, 0, 0]) for axes in row.axes for image in axes.images]
        for row in figure.subfigs
    ]
    assert [sorted(row) for row in rows] == [[3, 4], [0, 1, 2], [5, 6, 7, 8]]
    for i, wrong in ((0, [first[0]]), (5, [first[5], second[5]])):
        caption = "\n→ ".join(NAMES[c] for c in (LABELS[i], *wrong))
        assert caption in words(figure)


def test_classifiers_that_never_differ_leave_their_rows_empty() -> None:
    figure = disagreement(LABELS, LABELS)
    assert "Only A is right: 0 of 200" in words(figure)
    assert not [image for row in figure.subfigs for axes in row.axes for image in axes.images]
    figure.savefig(io.BytesIO(), format="png")
