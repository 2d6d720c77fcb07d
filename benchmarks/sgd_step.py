"""One step of SGD against gathering the batch plus the two products, and against PyTorch.

    python -m benchmarks.sgd_step

Batches of 200 out of 49,000 x 3,073 float32. Goal: within 1.25 times gathering and products, and
faster than the same loop in PyTorch.
"""

import argparse
from typing import Any

import numpy as np

from assignment.classifiers.softmax_classifier import Softmax
from benchmarks.timing import medians, torch_or_none

NUM_TRAIN, DIM, CLASSES, BATCH = 49_000, 3_073, 10, 200
LEARNING_RATE, REG = 1e-7, 1e3
STEPS = 100  # a timed call; divides out, and hides what train() does once


def torch_training(torch: Any, X: Any, y: Any) -> Any:
    """The same loop as `LinearClassifier.train`, written with PyTorch's autograd."""
    X_t, y_t = torch.from_numpy(X), torch.from_numpy(y)
    W_t = (1e-4 * torch.randn(DIM, CLASSES)).requires_grad_()

    def steps() -> None:
        for _ in range(STEPS):
            drawn = torch.randint(NUM_TRAIN, (BATCH,))
            W_t.grad = None
            loss = torch.nn.functional.cross_entropy(X_t[drawn] @ W_t, y_t[drawn])
            loss = loss + 0.5 * REG * torch.sum(W_t * W_t)
            loss.backward()
            loss.item()  # the loss history
            with torch.no_grad():
                W_t.sub_(LEARNING_RATE * W_t.grad)

    return steps


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    rng = np.random.default_rng(0)
    X = 60 * rng.standard_normal((NUM_TRAIN, DIM), np.float32)
    y = rng.integers(CLASSES, size=NUM_TRAIN)
    model = Softmax()
    W = (1e-4 * rng.standard_normal((DIM, CLASSES))).astype(np.float32)
    S = rng.standard_normal((BATCH, CLASSES), np.float32)

    def bare() -> None:
        for _ in range(STEPS):
            batch = X[rng.integers(NUM_TRAIN, size=BATCH)]
            batch @ W
            batch.T @ S

    calls: dict[str, Any] = {
        "step": lambda: model.train(X, y, LEARNING_RATE, REG, STEPS, BATCH, verbose=False),
        "bare": bare,
    }
    torch = torch_or_none()
    if torch is not None:
        calls["torch"] = torch_training(torch, X, y)
    taken = medians(calls)
    print(f"gathering and products   {1000 * taken['bare'] / STEPS:.2f} ms a step")
    print(f"step / (gathering and products)   {taken['step'] / taken['bare']:.2f}")
    if torch is not None:
        print(f"torch / step   {taken['torch'] / taken['step']:.2f}")


if __name__ == "__main__":
    main()
