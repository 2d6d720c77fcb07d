"""Load CIFAR-10 as arrays.

    batches on disk -> load_CIFAR10: images as bytes -> get_CIFAR10_data: splits ready to train on

The first load writes the content of the batches beside them as plain `.npy` files. Later loads map
these into memory instead of reading the batches again.
"""

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.array_types import FloatArray
from assignment.cifar10.archive import CIFAR10_FOLDER, DataError
from assignment.cifar10.batches import REPAIR, ByteArray, read_pickle
from assignment.cifar10.install import DATASETS, install_synthetic

TRAIN_BATCHES = tuple(f"data_batch_{k}" for k in range(1, 6))
TEST_BATCH = "test_batch"
META = "batches.meta"
IMAGE_SHAPE = (32, 32, 3)
NUM_CLASSES = 10

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class CIFAR10Data:
    """Four splits, flattened, with the mean subtracted and the bias appended.

    Each X is (N, 3073): 32 * 32 * 3 numbers per image, in the order row, column, color, minus the
    mean image of the training split, and a last column of ones for the bias. X_train, X_val and
    X_test are float32; X_dev, drawn from the training split, is float64 for gradient checks.
    Each y is (N,) int64.
    """

    X_train: NDArray[np.float32]
    y_train: Labels
    X_val: NDArray[np.float32]
    y_val: Labels
    X_test: NDArray[np.float32]
    y_test: Labels
    X_dev: NDArray[np.float64]
    y_dev: Labels
    mean_image: NDArray[np.float64]  # (32, 32, 3), 0 to 255
    class_names: tuple[str, ...]
    source: str  # "CIFAR-10", or the name of the stand-in with its seed

    def __repr__(self) -> str:
        lines = [self.source]
        for split in ("train", "val", "test", "dev"):
            X, y = getattr(self, f"X_{split}"), getattr(self, f"y_{split}")
            lines.append(f"  X_{split:5s} {X.shape!s:14s} {X.dtype!s:8s}  y_{split:5s} {y.shape}")
        return "\n".join(lines)


def cifar10_root(datasets: Path = DATASETS) -> Path:
    """Return the folder of the downloaded CIFAR-10 or, without a download, of the stand-in.

    Draws the stand-in on first use, which takes seconds and needs no network.

    Raises
    ------
    DataError
        The stand-in could not be written.
    """
    real = datasets / CIFAR10_FOLDER
    return real if real.exists() else install_synthetic(datasets)


def load_CIFAR10(
    root: str | PathLike[str],
) -> tuple[Images, Labels, Images, Labels]:
    """Load all images and labels of a CIFAR-10 folder.

    Parameters
    ----------
    root : path
        The folder with ``data_batch_1`` to ``5``, ``test_batch`` and ``batches.meta``.

    Returns
    -------
    X_train, y_train, X_test, y_test
        Images (N, 32, 32, 3) uint8, read-only, mapped from disk where possible; labels (N,)
        int64. The published set has 50,000 for training and 10,000 for testing. To compute with
        the images, take ``X.astype(np.float32)``; bytes wrap around.

    Raises
    ------
    DataError
        A file is missing, damaged, or holds other things than CIFAR-10's arrays.
    """
    root = Path(root)
    _require_complete(root)
    decoded = root / f"decoded-{_fingerprint(root)}"
    try:
        return _open_decoded(decoded)
    except (OSError, ValueError, EOFError):
        pass  # not there yet, or damaged: read the batches

    train = [load_CIFAR_batch(root / name) for name in TRAIN_BATCHES]
    X_train = np.concatenate([X for X, _ in train])
    y_train = np.concatenate([y for _, y in train])
    X_test, y_test = load_CIFAR_batch(root / TEST_BATCH)
    del train
    arrays = {"X_train": X_train, "y_train": y_train, "X_test": X_test, "y_test": y_test}
    try:
        _write_decoded(decoded, arrays)
        return _open_decoded(decoded)
    except (OSError, ValueError, EOFError):  # a read-only folder or a full disk: do without it
        for array in arrays.values():
            array.flags.writeable = False
        return X_train, y_train, X_test, y_test


def load_CIFAR_batch(path: str | PathLike[str]) -> tuple[Images, Labels]:
    """Load one batch file: images (N, 32, 32, 3) uint8 and labels (N,) int64.

    Raises
    ------
    DataError
        The file cannot be read as a batch, or tries to run code.
    """
    path = Path(path)
    batch = read_pickle(path)
    try:
        rows, labels = batch[b"data"], np.array(batch[b"labels"])
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{path} does not hold data and labels, as a CIFAR-10 batch does. {REPAIR}"
        ) from None
    if not isinstance(rows, ByteArray) or rows.array.ndim != 2 or rows.array.shape[1] != 3072:
        raise DataError(f"{path} does not hold its images as (N, 3072) bytes. {REPAIR}")
    rows = rows.array
    if labels.shape != (len(rows),) or labels.dtype.kind != "i":
        raise DataError(f"{path} does not have an integer label for each image. {REPAIR}")
    if len(rows) == 0 or labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise DataError(f"{path} is empty, or has labels outside 0 to {NUM_CLASSES - 1}. {REPAIR}")
    # On disk a row is 1024 reds, then the greens, then the blues.
    images = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, labels.astype(np.int64)


def load_meta(root: str | PathLike[str]) -> tuple[tuple[str, ...], str]:
    """Return the ten class names of a CIFAR-10 folder, and the name of the data set.

    That is "CIFAR-10", or the name of the stand-in with the seed that it was drawn from.

    Raises
    ------
    DataError
        ``batches.meta`` is missing or does not hold ten names.
    """
    path = Path(root) / META
    meta = read_pickle(path)
    try:
        names = tuple(name.decode("ascii") for name in meta[b"label_names"])
        seed = meta.get(b"synthetic")
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        names, seed = (), None
    if len(names) != NUM_CLASSES or not all(name.isprintable() for name in names):
        raise DataError(f"{path} does not hold {NUM_CLASSES} class names. {REPAIR}")
    if seed is None:
        return names, "CIFAR-10"
    if not isinstance(seed, int) or not 0 <= seed < 1 << 128:
        raise DataError(
            f"{path} does not name a seed that the stand-in can be drawn from. {REPAIR}"
        )
    return names, f"synthetic stand-in, not CIFAR-10 (drawn from seed {seed})"


class CIFAR10Images(NamedTuple):
    """The images and labels of a data set in memory, with the names of a CIFAR-10 folder."""

    X_train: Images
    y_train: Labels
    X_test: Images
    y_test: Labels
    class_names: tuple[str, ...]
    source: str


def get_CIFAR10_data(
    root: str | PathLike[str] | CIFAR10Images | None = None,
    num_training: int | None = None,
    num_validation: int = 1000,
    num_test: int = 1000,
    num_dev: int = 500,
    seed: int = 0,
) -> CIFAR10Data:
    """Split CIFAR-10, subtract the mean image and append the bias column.

    Prints which data set it loaded, and from where.

    Parameters
    ----------
    root : path or CIFAR10Images, optional
        A CIFAR-10 folder. Default: the downloaded set or, without a download, the stand-in.
    num_training : int, optional
        Size of the training split, the first training images. Default: all except
        num_validation, which are 49,000 of the full set.
    num_validation : int
        Size of the validation split, the training images that follow.
    num_test : int
        Size of the test split, the first test images.
    num_dev : int
        Size of the development split, drawn from the training split without replacement.
    seed : int
        Seed for drawing the development split.

    Raises
    ------
    DataError
        The data are missing or damaged, or have fewer images than the splits need.
    """
    if isinstance(root, CIFAR10Images):
        loaded, place = root, "memory"
    else:
        folder = cifar10_root() if root is None else Path(root)
        loaded, place = CIFAR10Images(*load_CIFAR10(folder), *load_meta(folder)), str(folder)
    X, y, X_test, y_test, class_names, source = loaded
    if num_training is None:
        num_training = len(X) - num_validation
    _require_enough(place, len(X), len(X_test), num_training, num_validation, num_test, num_dev)

    last = num_training + num_validation
    dev = np.sort(np.random.default_rng(seed).choice(num_training, num_dev, replace=False))
    mean = _mean_image(X[:num_training])

    def ready(images: Images, dtype: type[np.floating[Any]] = np.float32) -> Any:
        return to_rows(images, mean, dtype)

    data = CIFAR10Data(
        X_train=ready(X[:num_training]),
        y_train=np.array(y[:num_training]),
        X_val=ready(X[num_training:last]),
        y_val=np.array(y[num_training:last]),
        X_test=ready(X_test[:num_test]),
        y_test=np.array(y_test[:num_test]),
        X_dev=ready(X[dev], np.float64),
        y_dev=np.array(y[dev]),
        mean_image=mean.reshape(IMAGE_SHAPE),
        class_names=class_names,
        source=source,
    )
    print(f"Loaded {source}, from {place}")
    return data


def _require_complete(root: Path) -> None:
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root.absolute()}. Get CIFAR-10 with `python -m assignment data`; "
            "with --synthetic it draws the stand-in."
        )
    needed = (*TRAIN_BATCHES, TEST_BATCH, META)
    missing = [name for name in needed if not (root / name).is_file()]
    if len(missing) == len(needed):
        raise DataError(
            f"{root.absolute()} holds none of CIFAR-10's files. Name the folder that holds "
            f"{TRAIN_BATCHES[0]}, or get CIFAR-10 with `python -m assignment data`."
        )
    if missing:
        raise DataError(f"{root} is incomplete: it lacks {', '.join(missing)}. {REPAIR}")


def _require_enough(
    place: str, num_train_all: int, num_test_all: int, train: int, val: int, test: int, dev: int
) -> None:
    if min(train, dev) < 1 or min(val, test) < 0:
        raise DataError("num_training and num_dev must be at least 1, the other sizes at least 0.")
    if train + val > num_train_all or test > num_test_all or dev > train:
        raise DataError(
            f"{place} has {num_train_all} training and {num_test_all} test images. That is not "
            f"enough for num_training={train} + num_validation={val}, num_test={test}, "
            f"num_dev={dev} (drawn from the training split)."
        )


# --- the decoded copy beside the batches ---------------------------------------------------------


def _fingerprint(root: Path) -> str:
    """Hash sizes and times of the batch files, so that a copy of other batches is ignored."""
    stats = [(root / name).stat() for name in (*TRAIN_BATCHES, TEST_BATCH)]
    text = repr([(stat.st_size, stat.st_mtime_ns) for stat in stats])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _open_decoded(folder: Path) -> tuple[Images, Labels, Images, Labels]:
    """Map the decoded copy. Raises OSError, ValueError or EOFError if missing or damaged."""
    X_train, X_test = (
        np.load(folder / f"X_{split}.npy", mmap_mode="r", allow_pickle=False)
        for split in ("train", "test")
    )
    y_train, y_test = (
        np.load(folder / f"y_{split}.npy", mmap_mode="r", allow_pickle=False)
        for split in ("train", "test")
    )
    for X, y in ((X_train, y_train), (X_test, y_test)):
        if X.dtype != np.uint8 or y.dtype != np.int64 or X.shape != (len(y), *IMAGE_SHAPE):
            raise ValueError(f"{folder} does not hold images and labels")
        if y.min() < 0 or y.max() >= NUM_CLASSES:
            raise ValueError(f"{folder} holds labels outside 0 to {NUM_CLASSES - 1}")
    return X_train, np.array(y_train), X_test, np.array(y_test)


def _write_decoded(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Put the decoded copy in its place by one rename, and remove copies of other batches."""
    for other in folder.parent.glob("decoded-*"):
        being_written = other.suffix == ".tmp" and time.time() - other.stat().st_mtime < 3600
        if not being_written:
            shutil.rmtree(other, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix="decoded-", suffix=".tmp", dir=folder.parent))
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        temporary.chmod(0o755)  # mkdtemp's 0700 would exclude the other users of a shared folder
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same copy
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# --- from images to rows -------------------------------------------------------------------------

# Images per step: 6 MB as float32 rows, which fit a processor's cache, and few enough that float32
# adds their bytes without rounding (500 * 255 < 2**24).
_BLOCK = 500


def _mean_image(images: Images) -> NDArray[np.float64]:
    """Return the mean of (N, 32, 32, 3) images, flattened to (3072,)."""
    rows = images.reshape(len(images), -1)
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].astype(np.float32)
        total += np.ones(len(block), np.float32) @ block
    return total / len(rows)


def to_rows(images: Images, mean: FloatArray, dtype: type[np.floating[Any]]) -> FloatArray:
    """Turn images (N, 32, 32, 3) uint8 into rows (N, 3073), minus `mean`, with a bias column."""
    rows = images.reshape(len(images), -1)
    X = np.empty((len(rows), rows.shape[1] + 1), dtype)
    mean = mean.astype(dtype)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        np.subtract(rows[part], mean, out=X[part, :-1])
    X[:, -1] = 1
    return X
