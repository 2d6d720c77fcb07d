"""The plots: readable, and true to the numbers that they show."""

import io
import re
from collections.abc import Callable
from functools import cache
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

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
SOURCE = "synthetic stand-in, not CIFAR-10 (drawn from seed 231)"
STEPS = 10.0 ** np.arange(-9, 0)
FOLDS = {5: [0.2, 0.3, 0.4], 1: [0.1, 0.2, 0.3]}


def disagreement(first: IntArray, second: IntArray, source: str = "") -> Figure:
    """Two classifiers with these predictions, on images whose gray value is their number."""
    grays = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1)
    images = np.broadcast_to(grays, (200, 32, 32, 3))
    predictions = {"A": first, "B": second}
    return vis_utils.plot_disagreement(images, LABELS, predictions, NAMES, source=source)


PLOTS: dict[str, Callable[[], Figure]] = {
    "samples": lambda: vis_utils.plot_samples(
        rng.integers(256, size=(200, 32, 32, 3), dtype=np.uint8), LABELS, NAMES, 2, source=SOURCE
    ),
    "mean image": lambda: vis_utils.plot_mean_image(rng.uniform(0, 255, (32, 32, 3))),
    "loss curve": lambda: vis_utils.plot_loss_curve([2.3 / (1 + i) for i in range(300)]),
    "tuning": lambda: vis_utils.plot_tuning(TUNING, SOURCE),
    "cross-validation": lambda: vis_utils.plot_cross_validation(FOLDS, SOURCE),
    "templates": lambda: vis_utils.plot_templates(
        rng.standard_normal((3073, 10)), NAMES, source=SOURCE
    ),
    "confusion": lambda: vis_utils.plot_confusion(LABELS, rng.permutation(LABELS), NAMES, SOURCE),
    "disagreement": lambda: disagreement(LABELS, rng.permutation(LABELS), SOURCE),
    "gradient error": lambda: vis_utils.plot_gradient_error(STEPS, STEPS**2 + 1e-14 / STEPS),
}
WITHOUT_AXES = ("samples", "templates", "disagreement")
WITHOUT_SOURCE = ("mean image", "loss curve", "gradient error")


@cache
def figure_of(name: str) -> Figure:
    """A plot, made once for all tests that only read it."""
    return PLOTS[name]()


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PLOTS)
def test_each_plot_is_a_figure_outside_pyplot_with_title_labels_and_source(name: str) -> None:
    before = plt.get_fignums()
    figure = figure_of(name)
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == before
    figure.savefig(io.BytesIO(), format="png", dpi=30)  # without a warning
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    assert any(len(title) > 10 for title in titles)
    assert any(SOURCE in text for text in words(figure)) == (name not in WITHOUT_SOURCE)
    if name not in WITHOUT_AXES:
        for axes in figure.axes:
            assert axes.get_ylabel()
            assert axes.get_xlabel() or axes.get_label() == "<colorbar>"


@pytest.mark.parametrize("name", PLOTS)
def test_texts_do_not_overlap_and_stand_on_white_on_a_dark_page_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: dict[Text, Any] = {}
    draw = Text.draw

    def note(text: Text, renderer: Any) -> None:
        if text.get_visible() and text.get_text() and text.get_rotation() % 90 == 0:
            boxes[text] = text.get_window_extent(renderer)
        draw(text, renderer)

    monkeypatch.setattr(Text, "draw", note)
    figure = figure_of(name)
    figure.savefig(io.BytesIO(), format="png")
    assert to_rgba(figure.get_facecolor()) == (1, 1, 1, 1)
    assert len(boxes) > 5
    over = [(a, b) for a, b in combinations(boxes, 2) if boxes[a].overlaps(boxes[b])]
    assert over == []


def test_samples_are_in_the_column_of_their_class() -> None:
    labels, names = LABELS % 3, NAMES[:3]
    images = np.zeros((200, 32, 32, 3), np.uint8)
    images[np.arange(200), 0, 0, 0] = labels
    figure = vis_utils.plot_samples(images, labels, names, per_class=2)
    for panel_number, axes in enumerate(figure.axes):
        shown: Any = axes.images[0].get_array()
        assert shown[0, 0, 0] == panel_number % 3
    assert words(figure) >= set(names)


def test_a_class_with_few_images_leaves_panels_empty() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    figure = vis_utils.plot_samples(images, np.array([0, 2]), NAMES[:3], per_class=2)
    assert sum(len(axes.images) for axes in figure.axes) == 2


def test_the_loss_curve_shows_every_step_even_a_single_one_and_a_mean_that_does_not_lag() -> None:
    axes = vis_utils.plot_loss_curve([5.0, 4.0, 3.0]).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [5.0, 4.0, 3.0])
    assert len(vis_utils.plot_loss_curve([5.0]).axes[0].lines) == 1
    # The running mean of a straight line is the line itself.
    smooth: Any = vis_utils.plot_loss_curve([float(i) for i in range(300)]).axes[0].lines[1]
    np.testing.assert_allclose(smooth.get_xdata(), smooth.get_ydata())


def test_the_loss_of_equal_scores_is_a_line_with_its_value() -> None:
    axes = vis_utils.plot_loss_curve([2.5, 2.2], equal_scores=np.log(10)).axes[0]
    np.testing.assert_array_equal(axes.lines[-1].get_ydata(), np.log(10))
    assert axes.lines[-1].get_label() == "equal scores: 2.303"
    legend: Any = axes.get_legend()
    assert legend.get_frame().get_alpha() == 1  # no line crosses its text


def test_no_word_in_the_plot_of_step_sizes_answers_the_question_about_it() -> None:
    said = " ".join(words(figure_of("gradient error")))
    assert not {"rounding", "truncation", "digits"} & set(re.findall(r"\w+", said))


def test_the_heat_map_writes_each_accuracy_and_frames_the_best() -> None:
    axes = vis_utils.plot_tuning(TUNING).axes[0]
    assert {"20.0", "25.0", "38.0"} <= {text.get_text() for text in axes.texts}
    assert len(axes.texts) == 3  # the pair that was not tried stays empty
    frame: Any = axes.patches[0]
    assert frame.get_xy() == (0.5, -0.5)  # the second learning rate, the first regularization
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-07", "1e-06"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1000", "10000"]


def test_a_heat_map_that_fills_has_whole_percents_as_limits_and_dark_numbers_on_light() -> None:
    axes = vis_utils.plot_tuning({(1e-7, 1e3): 0.38, (1e-7, 1e4): 0.382, (1e-6, 1e3): np.nan}).axes
    [shown] = axes[0].images
    assert shown.get_clim() == (38, 39)
    assert {text.get_color() for text in axes[0].texts} == {"w"}  # both are in the dark fifth


def test_cross_validation_shows_each_fold_and_the_mean_by_k() -> None:
    axes = figure_of("cross-validation").axes[0]
    folds, mean = (np.array(line.get_xydata()).round().tolist() for line in axes.lines[:2])
    assert folds == [[1, 10], [1, 20], [1, 30], [5, 20], [5, 30], [5, 40]]
    assert mean == [[1, 20], [5, 30]]


def test_templates_show_zero_as_grey_without_the_bias() -> None:
    W = np.zeros((3073, 10))
    W[0, 0], W[-1, 0] = -2.0, 100.0
    with_bias, without = (vis_utils.class_templates(weights, NAMES) for weights in (W, W[:-1]))
    template = with_bias[NAMES[0]]
    assert template[0, 0, 0] == 0.0
    assert np.all(template.ravel()[1:] == 0.5)
    np.testing.assert_equal(with_bias, without)
    for axes, shown in zip(figure_of("templates").axes, NAMES, strict=True):
        assert axes.get_title() == shown
        assert len(axes.images) == 1


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda: vis_utils.plot_tuning({}), "fill in the tuning cell first"),
        (lambda: vis_utils.plot_cross_validation({}), "fill in the cross-validation first"),
        (lambda: vis_utils.plot_templates(None, NAMES), "train a classifier first"),
        (lambda: vis_utils.plot_gradient_error([1e-6], [np.nan]), "is the loss nan"),
        *(
            (
                lambda shape=shape: vis_utils.plot_templates(np.zeros(shape), NAMES),
                r"templates of 10 classes need \(3072, 10\)",
            )
            for shape in ((3074, 10), (3073, 9), (30730,))
        ),
    ],
)
def test_results_that_cannot_be_plotted_are_refused_with_advice(
    plot: Callable[[], Figure], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot()


def test_the_best_step_size_is_named_and_errors_that_are_not_numbers_are_left_out() -> None:
    figure = vis_utils.plot_gradient_error([1e-6, 1e-5, 1e-4], [0.0, 1e-9, np.nan])
    assert "best: h = 1e-05" in words(figure)


def test_each_row_of_the_confusion_matrix_adds_up_to_100_percent() -> None:
    figure = vis_utils.plot_confusion(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), NAMES)
    shown: Any = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[0, :2], [100 / 3, 200 / 3])
    np.testing.assert_allclose(shown.sum(axis=1), [100, 0, 100, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("name", ["mean image", "tuning", "confusion"])
def test_color_scales_can_be_read_in_grey(name: str) -> None:
    colored: list[Any] = [image for axes in figure_of(name).axes for image in axes.images]
    scales = [image.cmap for image in colored if np.ndim(image.get_array()) == 2]
    assert scales
    for scale in scales:
        lightness = scale(np.linspace(0, 1, 64))[:, :3] @ [0.2126, 0.7152, 0.0722]
        assert np.all(np.diff(lightness) > 0)


def test_an_image_is_in_the_row_of_the_classifiers_that_get_it_wrong() -> None:
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


def test_classifiers_that_never_differ_leave_the_rows_empty() -> None:
    figure = disagreement(LABELS, LABELS)
    assert "Only A is right: 0 of 200" in words(figure)
    assert not [image for row in figure.subfigs for axes in row.axes for image in axes.images]
    figure.savefig(io.BytesIO(), format="png", dpi=30)
