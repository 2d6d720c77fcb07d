"""Reading batches, hostile ones too; the decoded copy; the splits."""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assignment import PROJECT, data_utils
from assignment.cifar10.archive import DataError
from assignment.cifar10.batches import LARGEST_BATCH_BYTES
from assignment.cifar10.synthetic import CLASS_NAMES
from assignment.classifiers.softmax_classifier import Softmax
from assignment.data_utils import (
    get_CIFAR10_data,
    load_CIFAR10,
    load_CIFAR_batch,
    load_meta,
)

CLASSES = list(CLASS_NAMES)


def read_batch(path: Path) -> dict[str, Any]:
    """The batch as Python's own unpickler reads it, to compare with."""
    return pickle.loads(path.read_bytes(), encoding="latin1")  # noqa: S301


def decoded_copies(root: Path) -> list[Path]:
    return sorted(root.glob("decoded-*"))


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_comes_as_pictures_of_rows_columns_and_colours(small_batches: Path) -> None:
    images, labels = load_CIFAR_batch(small_batches / "data_batch_1")
    stored = read_batch(small_batches / "data_batch_1")
    assert images.shape == (40, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.tolist() == stored["labels"]
    for colour in range(3):  # on disk: all reds, then all greens, then all blues
        plane = stored["data"][:, 1024 * colour : 1024 * (colour + 1)]
        np.testing.assert_array_equal(images[..., colour].reshape(40, 1024), plane)


def test_batches_that_python_3_pickled_again_are_read_too(small_batches: Path) -> None:
    path = small_batches / "data_batch_1"
    expected = load_CIFAR_batch(path)
    stored = pickle.loads(path.read_bytes(), encoding="bytes")  # noqa: S301
    path.write_bytes(pickle.dumps(stored, protocol=4))
    for ours, theirs in zip(load_CIFAR_batch(path), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Runs:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (Runs(os.system, ("touch it-ran",)), "posix.system|nt.system"),
        (Runs(eval, ("open('it-ran', 'w')",)), "builtins.eval|__builtin__.eval"),
        (Runs(Path.touch, (Path("it-ran"),)), r"pathlib.*touch|.*getattr"),
        (Runs(np.load, ("it-ran.npy",)), "numpy.*load"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_batch_that_wants_to_run_code_is_refused_by_name(
    small_batches: Path, monkeypatch: pytest.MonkeyPatch, payload: Any, name: str, protocol: int
) -> None:
    monkeypatch.chdir(small_batches)
    path = small_batches / "data_batch_3"
    path.write_bytes(pickle.dumps({"data": payload}, protocol=protocol))
    refused = rf"data_batch_3 is refused: it wants to run ({name}) while it is read"
    with pytest.raises(DataError, match=refused):
        load_CIFAR10(small_batches)
    assert not Path("it-ran").exists()
    assert not decoded_copies(small_batches)


@pytest.mark.parametrize(
    "array",
    [
        np.array([print], object),
        np.zeros((4, 3072), np.float64),
        np.zeros((4, 3072), np.int8),
        np.asfortranarray(np.zeros((4, 3072), np.uint8)),
        np.zeros((4, 3071), np.uint8),
        np.zeros(3072, np.uint8),
        "no array",
    ],
)
def test_an_array_that_is_not_rows_of_3072_bytes_is_refused(tmp_path: Path, array: Any) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": array, b"labels": [0, 1, 2, 3]}, protocol=2))
    with pytest.raises(DataError, match=r"data_batch_1 .*Repair it with \./get_datasets\.sh"):
        load_CIFAR_batch(path)


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], [0, 1, 2, 10], [0, 1, 2, -1], [0, 1, 2, "3"], [0.0] * 4, None, [[0]] * 4]
)
def test_labels_that_do_not_fit_the_pictures_are_refused(tmp_path: Path, labels: Any) -> None:
    path = tmp_path / "data_batch_1"
    rows = np.zeros((4, 3072), np.uint8)
    path.write_bytes(pickle.dumps({b"data": rows, b"labels": labels}, protocol=4))
    with pytest.raises(DataError, match=r"data_batch_1 (has|holds) .*Repair it"):
        load_CIFAR_batch(path)


@pytest.mark.parametrize("kept", [0, 1, 1000, -1])
def test_a_batch_that_is_cut_off_is_damaged(small_batches: Path, kept: int) -> None:
    path = small_batches / "test_batch"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"test_batch is damaged \(.*\)\. Repair it with"):
        load_CIFAR10(small_batches)


def test_a_web_page_in_place_of_a_batch_is_damaged(small_batches: Path) -> None:
    (small_batches / "data_batch_2").write_text("<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(DataError, match="data_batch_2 is damaged"):
        load_CIFAR10(small_batches)


def test_a_file_far_larger_than_a_batch_is_not_even_opened(small_batches: Path) -> None:
    with (small_batches / "data_batch_1").open("r+b") as file:
        file.truncate(LARGEST_BATCH_BYTES + 1)
    with pytest.raises(DataError, match="data_batch_1 is larger than any CIFAR-10 batch"):
        load_CIFAR10(small_batches)


def test_missing_batches_are_named(small_batches: Path) -> None:
    (small_batches / "data_batch_4").unlink()
    (small_batches / "batches.meta").unlink()
    with pytest.raises(DataError, match=r"data_batch_4, batches.meta is missing\. Repair it"):
        load_CIFAR10(small_batches)


def test_a_missing_folder_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere.*get_datasets\.sh --synthetic"):
        load_CIFAR10(tmp_path / "nowhere")


def test_a_folder_of_other_things_says_which_one_to_name(small_batches: Path) -> None:
    with pytest.raises(DataError, match=r"holds none of CIFAR-10's files\. Name the folder that"):
        load_CIFAR10(small_batches.parent)


def test_class_names_and_the_stand_in_are_recognised(small_batches: Path) -> None:
    names, source = load_meta(small_batches)
    assert list(names) == CLASSES
    assert source == "synthetic stand-in, not CIFAR-10 (drawn from seed 1)"


@pytest.mark.parametrize("names", [CLASSES[:9], ["a\x1b[2J"] * 10, None, [1] * 10])
def test_meta_without_ten_printable_names_is_refused(small_batches: Path, names: Any) -> None:
    encoded = [n.encode() if isinstance(n, str) else n for n in names] if names else names
    meta = pickle.dumps({b"label_names": encoded}, protocol=4)
    (small_batches / "batches.meta").write_bytes(meta)
    with pytest.raises(DataError, match=r"batches.meta does not hold 10 class names"):
        load_meta(small_batches)


@pytest.mark.parametrize("seed", [b"\x1b[2J", -1, 1 << 200, 1.5, [1]])
def test_a_stand_in_of_a_strange_seed_is_refused(small_batches: Path, seed: Any) -> None:
    names = [name.encode() for name in CLASSES]
    meta = pickle.dumps({b"label_names": names, b"synthetic": seed}, protocol=4)
    (small_batches / "batches.meta").write_bytes(meta)
    with pytest.raises(DataError, match="names no seed"):
        load_meta(small_batches)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x02]r\x00\x00\x00\x7f.",  # a place in the memo for which 16 GB are made ready
        b"\x80\x02" + b"]" * 600_000 + b".",
    ],
)
def test_a_small_file_that_asks_for_much_memory_is_refused_before_it_is_loaded(
    small_batches: Path, bomb: bytes
) -> None:
    (small_batches / "data_batch_1").write_bytes(bomb)
    with pytest.raises(DataError, match=r"data_batch_1 is damaged .*far more objects"):
        load_CIFAR10(small_batches)


def test_an_array_that_is_never_filled_is_no_batch(small_batches: Path) -> None:
    empty = b"\x8c\x05numpy\x8c\x07ndarray\x93)\x81"
    batch = b"\x80\x02}(C\x04data" + empty + b"C\x06labels]u."
    (small_batches / "data_batch_1").write_bytes(batch)
    with pytest.raises(DataError, match=r"data_batch_1 holds no \(N, 3072\) bytes"):
        load_CIFAR10(small_batches)


def test_what_a_hostile_file_says_of_itself_is_not_sent_to_the_terminal(
    small_batches: Path,
) -> None:
    for hostile in (b"cos\n\x1b[31m\n.", b"F\x1b[31m\n.", b"\x1b[31m"):
        (small_batches / "data_batch_1").write_bytes(hostile)
        with pytest.raises(DataError) as caught:
            load_CIFAR10(small_batches)
        assert str(caught.value).isprintable()


# --- the decoded copy -----------------------------------------------------------------------------


def test_later_loads_read_the_decoded_copy_and_not_the_batches(
    small_batches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_CIFAR10(small_batches)
    assert len(decoded_copies(small_batches)) == 1

    def unwanted(path: Path) -> Any:
        raise AssertionError(f"{path} was unpickled again")

    monkeypatch.setattr(data_utils, "load_CIFAR_batch", unwanted)
    for again, before in zip(load_CIFAR10(small_batches), first, strict=True):
        np.testing.assert_array_equal(again, before)


def test_pictures_are_mapped_from_disk_and_cannot_be_written_to(small_batches: Path) -> None:
    X_train, _, X_test, _ = load_CIFAR10(small_batches)
    assert X_train.shape == (200, 32, 32, 3)
    assert X_test.shape == (40, 32, 32, 3)
    assert isinstance(X_train, np.memmap)
    assert not X_train.flags.writeable


def test_changed_batches_make_the_decoded_copy_stale(small_batches: Path) -> None:
    load_CIFAR10(small_batches)
    old = decoded_copies(small_batches)
    (small_batches / "test_batch").replace(small_batches / "data_batch_5")
    (small_batches / "test_batch").write_bytes((small_batches / "data_batch_1").read_bytes())
    X_train, _, X_test, _ = load_CIFAR10(small_batches)
    np.testing.assert_array_equal(X_test, X_train[:40])
    assert len(decoded_copies(small_batches)) == 1
    assert decoded_copies(small_batches) != old


@pytest.mark.parametrize("name", ["X_train.npy", "y_train.npy", "X_test.npy", "y_test.npy"])
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"half", None])
def test_a_damaged_decoded_copy_is_made_anew(
    small_batches: Path, name: str, damage: bytes | None
) -> None:
    first = [np.array(array) for array in load_CIFAR10(small_batches)]
    [copy] = decoded_copies(small_batches)
    file = copy / name
    if damage is None:
        file.unlink()
    elif damage == b"half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_bytes(damage)
    for again, before in zip(load_CIFAR10(small_batches), first, strict=True):
        np.testing.assert_array_equal(again, before)
    assert file.stat().st_size > 100


def test_a_decoded_copy_with_impossible_labels_is_made_anew(small_batches: Path) -> None:
    first = load_CIFAR10(small_batches)[1]
    [copy] = decoded_copies(small_batches)
    np.save(copy / "y_train.npy", np.full(200, 10_000_000))
    np.testing.assert_array_equal(load_CIFAR10(small_batches)[1], first)


def test_what_a_killed_run_left_is_cleared_away(small_batches: Path) -> None:
    left, in_use = small_batches / "decoded-old.tmp", small_batches / "decoded-new.tmp"
    for folder in (left, in_use):
        folder.mkdir()
        (folder / "X_train.npy").touch()
    os.utime(left, (0, 0))
    load_CIFAR10(small_batches)
    assert not left.exists()
    assert in_use.exists()  # another process may be writing it at this moment


def test_no_room_for_the_decoded_copy_costs_only_time(small_batches: Path) -> None:
    # RLIMIT_FSIZE makes writing fail as a full disk does, for root as well.
    code = """
        import resource, sys
        from assignment.data_utils import load_CIFAR10
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        X_train, y_train, X_test, y_test = load_CIFAR10(sys.argv[1])
        print(X_train.shape, int(X_train.sum()), X_train.flags.writeable)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(small_batches)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not decoded_copies(small_batches)
    X_train = load_CIFAR10(small_batches)[0]
    assert ran.stdout.split("\n")[0] == f"(200, 32, 32, 3) {int(X_train.sum())} False"


# --- splits ---------------------------------------------------------------------------------------


def small_splits(root: Path, **sizes: int) -> data_utils.CIFAR10Data:
    return get_CIFAR10_data(root, **({"num_validation": 20, "num_test": 30, "num_dev": 10} | sizes))


def test_splits_follow_one_another_and_keep_their_labels(small_batches: Path) -> None:
    images, labels, test_pictures, test_labels = load_CIFAR10(small_batches)
    data = small_splits(small_batches)
    mean = images[:180].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(data.mean_image, mean, atol=1e-9)
    for X, y, source, source_labels in (
        (data.X_train, data.y_train, images[:180], labels[:180]),
        (data.X_val, data.y_val, images[180:], labels[180:]),
        (data.X_test, data.y_test, test_pictures[:30], test_labels[:30]),
    ):
        np.testing.assert_array_equal(y, source_labels)
        restored = X[:, :-1].reshape(-1, 32, 32, 3) + mean
        np.testing.assert_allclose(restored, source, atol=1e-3)
        np.testing.assert_array_equal(X[:, -1], 1)
        assert X.dtype == np.float32
        assert y.dtype == np.int64
        assert X.flags.c_contiguous


def test_the_training_split_has_mean_zero(small_batches: Path) -> None:
    data = small_splits(small_batches)
    assert np.abs(data.X_train[:, :-1].mean(axis=0, dtype=np.float64)).max() < 1e-4


def test_the_mean_is_exact_for_more_pictures_than_one_block(tmp_path: Path) -> None:
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


def test_the_stand_in_announces_itself_wherever_it_is_loaded(
    small_batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = small_splits(small_batches)
    assert "Loaded synthetic stand-in, not CIFAR-10" in capsys.readouterr().out
    assert "not CIFAR-10" in repr(data)


@pytest.mark.parametrize(
    "sizes", [{"num_training": 181}, {"num_test": 41}, {"num_dev": 181}, {"num_validation": 200}]
)
def test_more_pictures_than_there_are_is_an_error_with_both_numbers(
    small_batches: Path, sizes: dict[str, int]
) -> None:
    with pytest.raises(DataError, match=r"200 training and 40 test|at least 1"):
        small_splits(small_batches, **sizes)


def test_without_a_folder_the_downloaded_set_is_preferred_and_a_broken_one_is_not_passed_over(
    tmp_path: Path, small_batches: Path
) -> None:
    assert data_utils.cifar10_root(small_batches.parent) == small_batches
    (small_batches / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch is missing"):
        load_CIFAR10(data_utils.cifar10_root(small_batches.parent))


# --- the real pictures ----------------------------------------------------------------------------


def test_the_full_set_has_the_splits_of_the_field(real_cifar10: Path) -> None:
    data = get_CIFAR10_data(real_cifar10)
    assert data.source == "CIFAR-10"
    assert list(data.class_names) == CLASSES
    shapes = [X.shape for X in (data.X_train, data.X_val, data.X_test, data.X_dev)]
    assert shapes == [(49000, 3073), (1000, 3073), (1000, 3073), (500, 3073)]
    assert 115 < data.mean_image.mean() < 126  # 120.7 for the published training pictures


def test_a_softmax_learns_the_real_pictures_as_well_as_it_should(real_cifar10: Path) -> None:
    data = get_CIFAR10_data(real_cifar10, num_test=10000)
    model = Softmax()
    model.train(data.X_train, data.y_train, 1e-6, 1e4, 1500, verbose=False, seed=0)
    accuracy = np.mean(model.predict(data.X_test) == data.y_test)
    assert 0.34 < accuracy < 0.39  # 0.366 +- 0.004 over seeds
