"""Loading CIFAR-10: batches, the decoded copy, the splits. Hostile pickles: test_batches.py."""

import errno
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assignment import data_utils
from assignment.cifar10.archive import DataError
from assignment.cifar10.synthetic import CLASS_NAMES
from assignment.classifiers.softmax_classifier import Softmax
from assignment.data_utils import (
    get_CIFAR10_data,
    load_CIFAR10,
    load_CIFAR_batch,
    load_meta,
)

CLASSES = list(CLASS_NAMES)
CLASSES_IN_BYTES = [name.encode() for name in CLASSES]


def decoded_copies(root: Path) -> list[Path]:
    return sorted(root.glob("decoded-*"))


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_gives_images_of_rows_columns_and_colors(small_batches: Path) -> None:
    images, labels = load_CIFAR_batch(small_batches / "data_batch_1")
    content = (small_batches / "data_batch_1").read_bytes()
    stored = pickle.loads(content, encoding="latin1")  # noqa: S301  # by Python itself
    assert images.shape == (40, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.tolist() == stored["labels"]
    for color in range(3):  # on disk: all reds, then all greens, then all blues
        plane = stored["data"][:, 1024 * color : 1024 * (color + 1)]
        np.testing.assert_array_equal(images[..., color].reshape(40, 1024), plane)


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], [0, 1, 2, 10], [0, 1, 2, -1], [0, 1, 2, "3"], [0.0] * 4, None, [[0]] * 4]
)
def test_labels_that_do_not_fit_the_images_are_refused(tmp_path: Path, labels: Any) -> None:
    path = tmp_path / "data_batch_1"
    rows = np.zeros((4, 3072), np.uint8)
    path.write_bytes(pickle.dumps({b"data": rows, b"labels": labels}, protocol=4))
    with pytest.raises(DataError, match=r"data_batch_1 (is empty,|does not have an) .*Repair it"):
        load_CIFAR_batch(path)


def test_a_folder_without_the_batches_is_refused_with_what_to_do(small_batches: Path) -> None:
    (small_batches / "data_batch_4").unlink()
    (small_batches / "batches.meta").unlink()
    for root, sentence in (
        (small_batches, r"lacks data_batch_4, batches.meta\. Repair it"),
        (small_batches / "nowhere", r"no folder .*nowhere.*with --synthetic"),
        (small_batches.parent, r"holds none of CIFAR-10's files\. Name the folder that"),
    ):
        with pytest.raises(DataError, match=sentence):
            load_CIFAR10(root)


def test_meta_gives_class_names_and_the_seed_of_the_stand_in(small_batches: Path) -> None:
    names, source = load_meta(small_batches)
    assert list(names) == CLASSES
    assert source == "synthetic stand-in, not CIFAR-10 (drawn from seed 1)"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        *[
            (b"label_names", names, r"batches.meta does not hold 10 class names")
            for names in (CLASSES_IN_BYTES[:9], [b"a\x1b[2J"] * 10, None, [1] * 10)
        ],
        *[
            (b"synthetic", seed, "batches.meta does not name a seed")
            for seed in (b"\x1b[2J", -1, 1 << 200, 1.5, [1])
        ],
    ],
)
def test_strange_meta_is_refused(key: bytes, value: Any, sentence: str, tmp_path: Path) -> None:
    meta = {b"label_names": CLASSES_IN_BYTES, b"synthetic": 1} | {key: value}
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(meta, protocol=4))
    with pytest.raises(DataError, match=sentence):
        load_meta(tmp_path)


# --- the decoded copy -----------------------------------------------------------------------------


def test_later_loads_map_the_decoded_copy_read_only_instead_of_reading_the_batches(
    small_batches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_CIFAR10(small_batches)
    assert len(decoded_copies(small_batches)) == 1

    def unwanted(path: Path) -> Any:
        raise AssertionError(f"{path} was unpickled again")

    monkeypatch.setattr(data_utils, "load_CIFAR_batch", unwanted)
    again = load_CIFAR10(small_batches)
    for array, before in zip(again, first, strict=True):
        np.testing.assert_array_equal(array, before)
    for images, num in ((again[0], 200), (again[2], 40)):
        assert images.shape == (num, 32, 32, 3)
        assert isinstance(images, np.memmap)
        assert not images.flags.writeable


def test_changed_batches_make_the_decoded_copy_stale(small_batches: Path) -> None:
    load_CIFAR10(small_batches)
    old = decoded_copies(small_batches)
    (small_batches / "test_batch").replace(small_batches / "data_batch_5")
    (small_batches / "test_batch").write_bytes((small_batches / "data_batch_1").read_bytes())
    X_train, _, X_test, _ = load_CIFAR10(small_batches)
    np.testing.assert_array_equal(X_test, X_train[:40])
    assert len(decoded_copies(small_batches)) == 1
    assert decoded_copies(small_batches) != old


LABELS_OUT_OF_RANGE = io.BytesIO()
np.save(LABELS_OUT_OF_RANGE, np.full(200, 10_000_000))


@pytest.mark.parametrize("name", ["X_train.npy", "y_train.npy", "X_test.npy", "y_test.npy"])
@pytest.mark.parametrize(
    "damage",
    [b"", b"\x93NUMPY", b"half", None, LABELS_OUT_OF_RANGE.getvalue()],
    ids=["empty", "header", "half", "missing", "labels out of range"],
)
def test_a_damaged_decoded_copy_is_replaced(
    small_batches: Path, name: str, damage: bytes | None
) -> None:
    first = [np.array(array) for array in load_CIFAR10(small_batches)]
    [copy] = decoded_copies(small_batches)
    good = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage is not None:
        (copy / name).write_bytes(good[: len(good) // 2] if damage == b"half" else damage)
    for again, before in zip(load_CIFAR10(small_batches), first, strict=True):
        np.testing.assert_array_equal(again, before)
    assert (copy / name).read_bytes() == good


def test_leftovers_of_killed_runs_are_removed(small_batches: Path) -> None:
    left, in_use = small_batches / "decoded-old.tmp", small_batches / "decoded-new.tmp"
    for folder in (left, in_use):
        folder.mkdir()
        (folder / "X_train.npy").touch()
    os.utime(left, (0, 0))
    load_CIFAR10(small_batches)
    assert not left.exists()
    assert in_use.exists(), "another process may be writing it at this moment"


def test_a_full_disk_costs_only_the_decoded_copy(
    small_batches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*args: Any, **keywords: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", save)
        arrays = load_CIFAR10(small_batches)
    assert not decoded_copies(small_batches)
    assert not arrays[0].flags.writeable
    for array, again in zip(arrays, load_CIFAR10(small_batches), strict=True):
        np.testing.assert_array_equal(array, again)


# --- splits ---------------------------------------------------------------------------------------


def small_splits(root: Path, **sizes: int) -> data_utils.CIFAR10Data:
    return get_CIFAR10_data(root, **({"num_validation": 20, "num_test": 30, "num_dev": 10} | sizes))


def test_splits_follow_one_another_with_their_labels(
    small_batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels, test_images, test_labels = load_CIFAR10(small_batches)
    data = small_splits(small_batches)
    assert "Loaded synthetic stand-in, not CIFAR-10" in capsys.readouterr().out
    assert "not CIFAR-10" in repr(data)
    mean = images[:180].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(data.mean_image, mean, atol=1e-9)
    for X, y, source, source_labels in (
        (data.X_train, data.y_train, images[:180], labels[:180]),
        (data.X_val, data.y_val, images[180:], labels[180:]),
        (data.X_test, data.y_test, test_images[:30], test_labels[:30]),
    ):
        np.testing.assert_array_equal(y, source_labels)
        restored = X[:, :-1].reshape(-1, 32, 32, 3) + mean
        np.testing.assert_allclose(restored, source, atol=1e-3)
        np.testing.assert_array_equal(X[:, -1], 1)
        assert [X.dtype, y.dtype] == [np.float32, np.int64]
        assert X.flags.c_contiguous


def test_the_mean_is_exact_for_more_images_than_one_block() -> None:
    images = np.random.default_rng(0).integers(256, size=(2345, 32, 32, 3), dtype=np.uint8)
    mean = data_utils._mean_image(images)
    np.testing.assert_array_equal(mean, images.reshape(2345, -1).sum(axis=0) / 2345)


def test_the_development_split_is_float64_and_drawn_from_training_by_the_seed(
    small_batches: Path,
) -> None:
    data = small_splits(small_batches, seed=3)
    assert data.X_dev.dtype == np.float64
    distances = np.abs(data.X_dev[:, None] - data.X_train[None]).max(axis=2)
    sources = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-4  # float32's rounding of pixels
    assert len(set(sources)) == 10
    np.testing.assert_array_equal(data.y_dev, data.y_train[sources])
    np.testing.assert_array_equal(data.X_dev, small_splits(small_batches, seed=3).X_dev)
    assert not np.array_equal(data.X_dev, small_splits(small_batches, seed=4).X_dev)


@pytest.mark.parametrize(
    "sizes", [{"num_training": 181}, {"num_test": 41}, {"num_dev": 181}, {"num_validation": 200}]
)
def test_splits_larger_than_the_data_are_refused_with_both_numbers(
    small_batches: Path, sizes: dict[str, int]
) -> None:
    with pytest.raises(DataError, match=r"200 training and 40 test|at least 1"):
        small_splits(small_batches, **sizes)


def test_the_downloaded_set_is_preferred_to_the_stand_in_even_when_damaged(
    tmp_path: Path, small_batches: Path
) -> None:
    assert data_utils.cifar10_root(small_batches.parent) == small_batches
    (small_batches / "test_batch").unlink()
    with pytest.raises(DataError, match="it lacks test_batch"):
        load_CIFAR10(data_utils.cifar10_root(small_batches.parent))


def test_a_softmax_reaches_the_known_accuracy_on_the_splits_of_the_real_images(
    real_cifar10: Path,
) -> None:
    data = get_CIFAR10_data(real_cifar10, num_test=10_000)
    assert data.source == "CIFAR-10"
    assert list(data.class_names) == CLASSES
    shapes = [X.shape for X in (data.X_train, data.X_val, data.X_test, data.X_dev)]
    assert shapes == [(49_000, 3073), (1000, 3073), (10_000, 3073), (500, 3073)]
    assert 115 < data.mean_image.mean() < 126  # 120.7 for the published training images
    model = Softmax()
    model.train(data.X_train, data.y_train, 1e-6, 1e4, 1500, verbose=False, seed=0)
    accuracy = np.mean(model.predict(data.X_test) == data.y_test)
    assert 0.34 < accuracy < 0.39  # 0.366 +- 0.004 over seeds
