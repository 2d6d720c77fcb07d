"""Time one step of SGD against gathering its batch and the two products, and against PyTorch.

    python -m benchmarks.sgd_step

Batches of 200 out of 49,000 x 3,073 float32. Goal: within 1.25 times gathering and products, and
faster than the same loop in PyTorch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assignment.classifiers.softmax_classifier import Softmax
from benchmarks.timing import compare, parser, torch_or_none

NUM_TRAIN, DIM, CLASSES, BATCH = 49_000, 3_073, 10, 200
LEARNING_RATE, REG = 1e-7, 1e3
STEPS = 100  # of one timed call, so that what train() does once hardly counts


def torch_training(torch: Any, X: Any, y: Any) -> Any:
    """Return the loop of `LinearClassifier.train`, written with PyTorch's autograd."""
    X_t, y_t = torch.from_numpy(X), torch.from_numpy(y)
    W_t = (1e-4 * torch.randn(DIM, CLASSES)).requires_grad_()

    def steps() -> None:
        for _ in range(STEPS):
            drawn = torch.randint(len(X_t), (BATCH,))
            W_t.grad = None
            loss = torch.nn.functional.cross_entropy(X_t[drawn] @ W_t, y_t[drawn])
            loss = loss + 0.5 * REG * torch.sum(W_t * W_t)
            loss.backward()
            loss.item()  # the loss history
            with torch.no_grad():
                W_t.sub_(LEARNING_RATE * W_t.grad)

    return steps


def main(arguments: Sequence[str] | None = None) -> None:
    quick = parser(__doc__).parse_args(arguments).quick
    rng = np.random.default_rng(0)
    num_train = BATCH if quick else NUM_TRAIN
    X = 60 * rng.standard_normal((num_train, DIM), np.float32)
    y = rng.integers(CLASSES, size=num_train)
    model = Softmax()
    W = (1e-4 * rng.standard_normal((DIM, CLASSES))).astype(np.float32)
    S = rng.standard_normal((BATCH, CLASSES), np.float32)

    def bare() -> None:
        for _ in range(STEPS):
            batch = X[rng.integers(num_train, size=BATCH)]
            batch @ W
            batch.T @ S

    calls: dict[str, Any] = {
        "bare": bare,
        "step": lambda: model.train(X, y, LEARNING_RATE, REG, STEPS, BATCH, verbose=False),
    }
    torch = torch_or_none()
    if torch is not None:
        calls["torch"] = torch_training(torch, X, y)
    taken = compare(calls, quick)
    print(f"gathering and products   {1000 * taken['bare'].seconds / STEPS:.2f} ms a step")
    print(f"step / (gathering and products)   {taken['step'].ratio:.2f}")
    if torch is not None:
        print(f"torch / (gathering and products)   {taken['torch'].ratio:.2f}")


if __name__ == "__main__":
    main()
