"""`get_CIFAR10_data` against a plain load: unpickle, float64, concatenate.

    python -m benchmarks.load_data [FOLDER]

Without a folder: the downloaded CIFAR-10, or the stand-in. Each load runs in a process of its own,
since peak memory is a process's. Goal on the full set, from the second load on: at most a third of
the time, and at most 40% of the peak memory.
"""

import argparse
import contextlib
import io
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from assignment.data_utils import TEST_BATCH, TRAIN_BATCHES, cifar10_root, get_CIFAR10_data
from benchmarks.memory import peak_rss_mib

ROUNDS = 15  # a load of gigabytes varies by a factor of two, as the system hands out memory


def plain_load(root: Path) -> Any:
    """The load of most course code: every batch unpickled, as float64, then put together."""

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
    """Seconds of one load in this process, and by how many MiB it raised its peak memory."""
    before = peak_rss_mib()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        data = plain_load(root) if which == "plain" else get_CIFAR10_data(root)
    taken = time.perf_counter() - start, peak_rss_mib() - before
    del data  # only now: it is part of the peak
    return taken


def measure(which: str, root: Path) -> tuple[float, float]:
    """The same in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure_here, which, root).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="CIFAR-10's batches")
    root = parser.parse_args().folder or cifar10_root()
    first = measure("ours", root)
    rounds = [(measure("plain", root), measure("ours", root)) for _ in range(ROUNDS)]
    plain, ours = (np.median([pair[i] for pair in rounds], axis=0) for i in (0, 1))
    print(f"first load here (decoded then, unless it was)   {first[0]:.2f} s, {first[1]:.0f} MiB")
    print(f"plain load                    {plain[0]:.2f} s, {plain[1]:.0f} MiB")
    print(f"get_CIFAR10_data, later on    {ours[0]:.2f} s, {ours[1]:.0f} MiB")
    print(f"ratios   time {ours[0] / plain[0]:.2f}, peak memory {ours[1] / plain[1]:.2f}")


if __name__ == "__main__":
    main()
