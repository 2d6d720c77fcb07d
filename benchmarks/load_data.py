"""Time `get_CIFAR10_data` against a plain load: unpickle, convert to float64, concatenate.

    python -m benchmarks.load_data [FOLDER]

Without FOLDER, it loads the downloaded CIFAR-10, or the synthetic images. Each load runs in a
process of its own, since peak memory belongs to a process. Goal on the full set, from the second
load on: at most a third of the time and 40% of the peak memory. The ratios are medians over rounds.
"""

import contextlib
import io
import pickle
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from assignment.data_utils import TEST_BATCH, TRAIN_BATCHES, cifar10_root, get_CIFAR10_data
from benchmarks.memory import peak_rss_mib
from benchmarks.timing import parser

ROUNDS = 15  # a load of gigabytes varies by a factor of two with how the system hands out memory


def plain_load(root: Path) -> Any:
    """Load as most course code does: unpickle every batch as float64, then concatenate."""

    def batch(name: str) -> tuple[Any, Any]:
        with (root / name).open("rb") as file:
            content = pickle.load(file, encoding="latin1")  # noqa: S301 - a folder of one's own
        rows = content["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype("float")
        return rows, np.array(content["labels"])

    train = [batch(name) for name in TRAIN_BATCHES]
    X = np.concatenate([rows for rows, _ in train])
    y = np.concatenate([labels for _, labels in train])
    return X, y, *batch(TEST_BATCH)


def measure_here(which: str, root: Path) -> tuple[float, float]:
    """Return the seconds of one load in this process, and the MiB by which its peak memory rose."""
    before = peak_rss_mib()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        data = plain_load(root) if which == "plain" else get_CIFAR10_data(root)
    taken = time.perf_counter() - start, peak_rss_mib() - before
    del data  # not earlier: it is part of the peak
    return taken


def measure(which: str, root: Path) -> tuple[float, float]:
    """Measure in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure_here, which, root).result()


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("folder", nargs="?", type=Path, help="folder of CIFAR-10's batches")
    chosen = options.parse_args(arguments)
    root = chosen.folder or cifar10_root()
    first = measure("ours", root)
    rounds = np.array(
        [
            (measure("plain", root), measure("ours", root))
            for _ in range(1 if chosen.quick else ROUNDS)
        ]
    )
    plain, ours = np.median(rounds, axis=0)
    time_ratio, memory_ratio = np.median(rounds[:, 1] / rounds[:, 0], axis=0)
    print(
        f"first load here (decodes, unless decoded before)   {first[0]:.2f} s, {first[1]:.0f} MiB"
    )
    print(f"plain load                    {plain[0]:.2f} s, {plain[1]:.0f} MiB")
    print(f"get_CIFAR10_data, later on    {ours[0]:.2f} s, {ours[1]:.0f} MiB")
    print(f"ratios   time {time_ratio:.2f}, peak memory {memory_ratio:.2f}")


if __name__ == "__main__":
    main()
