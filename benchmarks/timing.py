"""Ratios of times taken in one run, and the options that all benchmarks share."""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

ROUNDS = 20
BURST = 0.1  # seconds


class Timing(NamedTuple):
    """Median seconds of a call, and the median over all rounds of its ratio to the first rival."""

    seconds: float
    ratio: float


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option `--quick`, described by the first line of a module."""
    made = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    made.add_argument("--quick", action="store_true", help="run each part once, as a trial")
    return made


def compare(rivals: Mapping[str, Callable[[], Any]], quick: bool = False) -> dict[str, Timing]:
    """Time rivals in bursts that take turns, and relate each to the first rival.

    A ratio is taken within one round, whose bursts follow each other within a second, so that other
    work on the machine slows both sides of it. The first call of a burst is not timed: the caches
    still hold the data of the rival before.
    """
    rounds = [
        {name: _burst(call, 0.0 if quick else BURST) for name, call in rivals.items()}
        for _ in range(1 if quick else ROUNDS)
    ]
    first = next(iter(rivals))
    return {
        name: Timing(
            float(np.median([taken[name] for taken in rounds])),
            float(np.median([taken[name] / taken[first] for taken in rounds])),
        )
        for name in rivals
    }


def _burst(call: Callable[[], Any], seconds: float) -> float:
    """Return the median seconds of the calls within some seconds, at least one."""
    call()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def torch_or_none() -> Any:
    """Return PyTorch, limited to one thread; None, with a printed line, where it is missing."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: its column is left out.")
        return None
    torch.set_num_threads(1)
    return torch
