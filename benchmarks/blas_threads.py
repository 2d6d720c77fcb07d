"""Time steps of training with as many BLAS threads as processors, against one thread.

    python -m benchmarks.blas_threads [--busy 0 2 6] [--steps 150]

Both train on the same images and take turns, each in a process of its own: numpy reads the number
of threads when it is imported. Beside them run busy processes.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

from assignment import PROJECT
from benchmarks.load import busy_processes
from benchmarks.timing import parser

ROUNDS = 5
TRAIN = """
import sys, time
import numpy as np
from assignment.classifiers.softmax_classifier import Softmax
steps, num_train = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
X, y = 60 * rng.standard_normal((num_train, 3073), np.float32), rng.integers(10, size=num_train)
model = Softmax()
model.train(X, y, 1e-7, 1e3, 10, verbose=False)
start = time.perf_counter()
model.train(X, y, 1e-7, 1e3, steps, verbose=False)
print(time.perf_counter() - start)
"""


def seconds_of(threads: int, steps: int, num_train: int) -> float:
    """Return the seconds of some steps of training with so many threads."""
    command = [sys.executable, "-c", TRAIN, str(steps), str(num_train)]
    env = {**os.environ, "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": str(threads)}
    ran = subprocess.run(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, check=True)
    return float(ran.stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--busy", type=int, nargs="*", default=[0, 2, 6])
    options.add_argument("--steps", type=int, default=150)
    chosen = options.parse_args(arguments)
    steps, num_train, rounds = (5, 500, 1) if chosen.quick else (chosen.steps, 10_000, ROUNDS)
    processors = os.cpu_count() or 1
    print(f"{steps} steps of training           1 thread  {processors} threads  ratio")
    for count in chosen.busy:
        with busy_processes(count):
            pairs = [
                (seconds_of(1, steps, num_train), seconds_of(processors, steps, num_train))
                for _ in range(rounds)
            ]
        one, many = (statistics.median(taken) for taken in zip(*pairs, strict=True))
        ratio = statistics.median(many / one for one, many in pairs)
        print(f"{count:2} busy processes beside it  {one:8.2f} s  {many:7.2f} s  {ratio:5.2f}")


if __name__ == "__main__":
    main()
