"""Random numbers that a seed fixes for ever: the same with every numpy, on every machine.

They come from PCG64's raw stream, which numpy promises not to change, by integer arithmetic. They
have few enough digits to be exact in float32, so that a problem is the same in both precisions.
"""

import hashlib
import zlib

import numpy as np
from numpy.typing import NDArray


def derive_seed(seed: int, purpose: str) -> int:
    """Return a seed for one purpose, from which neither `seed` nor seeds for others follow."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:8], "big")


class Draws:
    """A stream of random numbers for one seed and one purpose, which `label` names."""

    def __init__(self, seed: int, label: str) -> None:
        self._raw = np.random.PCG64([seed, zlib.crc32(label.encode())])

    def integers(self, high: int, *shape: int) -> NDArray[np.int64]:
        """Draw integers 0 <= n < high, of the given shape (bias below high / 2^64)."""
        raw = self._raw.random_raw(int(np.prod(shape, dtype=int)))
        return (np.asarray(raw) % np.uint64(high)).astype(np.int64).reshape(shape)

    def normal(self, *shape: int) -> NDArray[np.float64]:
        """Draw nearly normal numbers, mean 0 and variance 1: multiples of 2^-16, from -6 to 6.

        Each is the sum of twelve uniform numbers, less 6 (the Irwin-Hall distribution).
        """
        raw = np.asarray(self._raw.random_raw(3 * int(np.prod(shape, dtype=int))))
        shifts = np.arange(0, 64, 16, dtype=np.uint64)
        pieces = (raw[:, np.newaxis] >> shifts) & np.uint64(0xFFFF)
        sums = pieces.astype(np.int64).reshape(-1, 12).sum(axis=1) + 6  # each piece lacks 1/2
        return (sums - 6 * 2**16).reshape(shape) / 2**16
