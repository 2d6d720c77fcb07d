"""Time the vectorized loss and gradient against the two matrix products they cannot do without.

    python -m benchmarks.loss

Goal at N = 200 and 500: within 1.15 times the products, and faster than PyTorch's cross entropy
with autograd on the CPU, all with one thread. A ratio is the median over rounds in which all
rivals take turns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assignment.classifiers.softmax import softmax_loss_vectorized
from benchmarks.timing import compare, parser, torch_or_none

REG = 1e3


def rivals(N: int, dtype: type, torch: Any) -> dict[str, Any]:
    """Return the bare products, the loss, and PyTorch's loss, on one problem of CIFAR-10's size."""
    rng = np.random.default_rng(0)
    X: Any = (60 * rng.standard_normal((N, 3073), np.float32)).astype(dtype)
    W: Any = (1e-4 * rng.standard_normal((3073, 10))).astype(dtype)
    y = rng.integers(10, size=N)
    S = X @ W
    calls: dict[str, Any] = {
        "products": lambda: (X @ W, X.T @ S),
        "loss": lambda: softmax_loss_vectorized(W, X, y, REG),
    }
    if torch is not None:
        X_t, W_t, y_t = (torch.from_numpy(array) for array in (X, W, y))
        W_t.requires_grad_()

        def torch_loss() -> Any:
            W_t.grad = None
            loss = torch.nn.functional.cross_entropy(X_t @ W_t, y_t)
            loss = loss + 0.5 * REG * torch.sum(W_t * W_t)
            loss.backward()
            return loss.item(), W_t.grad

        calls["torch"] = torch_loss
    return calls


def main(arguments: Sequence[str] | None = None) -> None:
    quick = parser(__doc__).parse_args(arguments).quick
    torch = torch_or_none()
    print("dtype        N   products (ms)   loss / products   torch / products")
    for dtype in (np.float32, np.float64):
        for N in (200, 500) if quick else (200, 500, 10_000, 49_000):
            taken = compare(rivals(N, dtype, torch), quick)
            torch_ratio = f"{taken['torch'].ratio:.2f}" if torch else "-"
            print(
                f"{dtype.__name__} {N:7d} {1000 * taken['products'].seconds:15.2f} "
                f"{taken['loss'].ratio:17.2f} {torch_ratio:>18s}"
            )


if __name__ == "__main__":
    main()
