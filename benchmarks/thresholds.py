"""The spread that the bounds in `assignment/checks/EXERCISE.py` come from.

    python -m benchmarks.thresholds EXERCISE [--seeds 200] [--processes 2] [--graded | FOLDER]

Runs the notebook of an exercise once a seed, without its plots, and takes down the numbers that its
checks judge. Without a folder a stand-in is drawn from each seed; with one, the seed changes only
the development set, the first weights and the batches. With --graded the parameters are those of
grading, and classifiers are judged on unseen pictures, as for the bounds in
`grading/EXERCISE/exercise.toml`.

A bound at 5.2 sample standard deviations from the mean is passed by 9,999 of 10,000 correct runs,
with 95% confidence from 20 runs (one-sided normal tolerance bound, Natrella, Experimental
Statistics, section 2-5.2); from 200 runs 4.1 would do, and 5.2 leaves room for tails that are not
normal. Errors of gradients spread over orders of magnitude: theirs is the spread of the logarithm.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path

import nbformat
import numpy as np

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import load_exercise
from assignment.checks.linear import Losses, accuracy
from assignment.cifar10.synthetic import write_batches
from gradkit.authoring.notebook_outputs import printed, role, run, set_parameters
from gradkit.authoring.verify import run_notebook
from gradkit.autograder.spec import build_spec
from gradkit.course.mistakes import read_bank

DEVIATIONS = 5.2

# After which cell of a notebook which number is taken down.
PROBES = {
    "loss-naive": {"initial loss": "loss_naive"},
    "gradient-check": {"log10 gradient error": "np.log10(max(errors.values()))"},
    "check-training": {
        "last losses": "np.mean(loss_history[-100:])",
        "default validation accuracy": "model_val_accuracy",
    },
    "check-tuning": {"tuned validation accuracy": "best_val"},
    "check-saved-model": {"tuned test accuracy": "test_accuracy"},
}


def measure(seed: int, name: str, folder: Path | None) -> dict[str, float]:
    """Run an exercise's notebook for one seed, and return the numbers of `PROBES`."""
    path = PROJECT / load_exercise(name).notebook
    nb = nbformat.read(path, as_version=4)
    nb.cells = [cell for cell in nb.cells if role(cell) != "display" or cell.id in PROBES]
    for cell in nb.cells:
        for name, expression in PROBES.get(cell.id, {}).items():
            cell.source += f"\nprint('PROBE', {name!r}, float({expression}), sep='|')"
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary) / "stand-in"
            folder.mkdir()
            write_batches(folder, seed=seed)
        set_parameters(nb, SEED=seed, DATA=str(folder), BEST_MODEL=f"{temporary}/best.npz")
        run(nb, path.name)
    lines = [line.split("|") for cell in nb.cells for line in printed(cell)]
    return {line[1]: float(line[2]) for line in lines if line[0] == "PROBE"}


def measure_graded(seed: int, name: str) -> dict[str, float]:
    """Run the solution as it is graded with this secret seed, and return what its bounds judge."""
    exercise = load_exercise(name)
    losses: Losses = import_module(f"assignment.checks.{name}").LOSSES
    bank = read_bank(exercise, PROJECT)
    with tempfile.TemporaryDirectory() as folder:
        spec = build_spec(name, PROJECT, seed, Path(folder), AnswerKey(seed))
        parameters = {
            **spec.config.parameters,
            "DATA": str(spec.data_folder),
            "BEST_MODEL": Path(folder) / "best.npz",
        }
        ran = run_notebook(bank.solution, PROJECT / exercise.notebook, parameters)
        X, y = spec.data["X_unseen"], spec.data["y_unseen"]
    return {
        "LAST_LOSSES": float(np.mean(ran["loss_history"][-100:])),
        "TRAINED_ACCURACY": accuracy(ran["model"].W, X, y),
        "TUNED_ACCURACY": accuracy(ran[losses.best].W, X, y),
    }


def summary(runs: list[dict[str, float]]) -> Iterator[str]:
    """Mean, spread and the bounds on either side, a line for each number."""
    yield f"{'':28s}    mean       sd     lowest   highest    mean-5.2sd mean+5.2sd"
    for name in runs[0]:
        values = np.array([run[name] for run in runs])
        mean, sd = values.mean(), values.std(ddof=1)
        low, high = mean - DEVIATIONS * sd, mean + DEVIATIONS * sd
        yield (
            f"{name:28s} {mean:8.4f} {sd:8.4f}  {values.min():8.4f}  {values.max():8.4f}"
            f"    {low:8.4f}   {high:8.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("exercise", help="its name, as in softmax")
    parser.add_argument("folder", nargs="?", type=Path, help="CIFAR-10's batches")
    parser.add_argument("--seeds", type=int, default=200, help="how many runs (200)")
    parser.add_argument("--processes", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--graded", action="store_true", help="with the parameters of grading")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # kernels side by side would fight over the cores
    folder = options.folder and options.folder.resolve()
    work = partial(measure, name=options.exercise, folder=folder)
    if options.graded:
        work = partial(measure_graded, name=options.exercise)
    with ProcessPoolExecutor(options.processes) as pool:
        runs = []
        for result in pool.map(work, range(options.seeds)):
            runs.append(result)
            print(json.dumps(result), flush=True)
    print("\n".join(summary(runs)))


if __name__ == "__main__":
    main()
