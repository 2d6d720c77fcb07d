"""Ratios of times taken in one run."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

BURST = 0.1  # seconds


def medians(rivals: Mapping[str, Callable[[], Any]], bursts: int = 20) -> dict[str, float]:
    """Median seconds of a call of each rival, in bursts that take turns.

    What disturbs the machine for a while then disturbs all of them. A burst's first call is not
    counted: the threads of the rival before may still be spinning, and the caches are its.
    """
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(bursts):
        for name, call in rivals.items():
            call()
            end = time.perf_counter() + BURST
            while (start := time.perf_counter()) < end:
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
