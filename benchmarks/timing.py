"""Ratios of times taken in one run."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def medians(rivals: Mapping[str, Callable[[], Any]], seconds: float = 2.0) -> dict[str, float]:
    """Median seconds of a call of each, called in turn, so that what disturbs one disturbs all.

    Calls go on for about `seconds` a rival, at least 5 times; the first round is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for call in rivals.values():
        call()
    end = time.perf_counter() + seconds * len(rivals)
    while time.perf_counter() < end or len(next(iter(taken.values()))) < 5:
        for name, call in rivals.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def torch_or_none() -> Any:
    """PyTorch, where it is installed; otherwise a line that says that it is left out."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: its column is left out.")
        return None
    return torch
