"""Measure the spread from which the bounds in `assignment/checks/EXERCISE.py` come.

    python -m benchmarks.thresholds EXERCISE [--seeds 200] [--processes 2] [--graded | FOLDER]

Runs an exercise's notebook once for each seed, without its plots, and records the numbers that its
checks judge. Without FOLDER, synthetic images are drawn from each seed; with it, the seed changes
only the development set, the first weights and the batches. With --graded, and with --quick, it
uses the parameters of grading and judges classifiers on unseen images, as for the bounds in
`grading/EXERCISE/exercise.toml`.

A bound at 5.2 sample standard deviations from the mean is passed by 9,999 of 10,000 correct runs,
with 95% confidence from 20 runs (one-sided normal tolerance bound, Natrella, Experimental
Statistics, section 2-5.2); from 200 runs 4.1 would do, and 5.2 leaves room for tails that are not
normal. Errors of gradients spread over orders of magnitude: theirs is the spread of the logarithm.
RETRAINED_DIFFERENCE is for the change in a pair's validation accuracy with another seed: of one
pair of the search a run, or of each with --graded.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import load_exercise
from assignment.checks.linear import Losses
from assignment.checks.trained import accuracy
from assignment.cifar10.synthetic import write_batches
from benchmarks.timing import parser
from gradkit.authoring.notebook_outputs import printed, role, run, set_parameters
from gradkit.authoring.verify import run_notebook
from gradkit.autograder.spec import build_spec
from gradkit.course.mistakes import read_bank

DEVIATIONS = 5.2

# The number that is recorded after each of these cells of a notebook.
PROBES = {
    "loss-naive": {"initial loss": "loss_naive"},
    "gradient-check": {"log10 gradient error": "np.log10(max(errors.values()))"},
    "check-training": {
        "last losses": "np.mean(loss_history[-100:])",
        "default validation accuracy": "model_val_accuracy",
    },
    "check-tuning": {
        "tuned validation accuracy": "best_val",
        "retrained difference": "retrain(globals(), [*results][SEED % len(results)])",
    },
    "check-saved-model": {"tuned test accuracy": "test_accuracy"},
}


def retrain(notebook: Mapping[str, Any], pair: tuple[float, float]) -> float:
    """Train a pair of the search with another seed; return the change in validation accuracy."""
    names = ("X_train", "y_train", "X_val", "y_val", "TUNING_ITERS", "BATCH_SIZE", "SEED")
    X, y, X_val, y_val, steps, batch_size, seed = (notebook[name] for name in names)
    again = type(notebook["model"])()
    again.train(X, y, *pair, steps, batch_size, verbose=False, seed=seed + 1)
    return float(np.mean(again.predict(X_val) == y_val) - notebook["results"][pair][1])


def measure(seed: int, name: str, folder: Path | None) -> dict[str, float]:
    """Run an exercise's notebook with one seed and return the numbers of `PROBES`."""
    path = PROJECT / load_exercise(name).notebook
    nb = nbformat.read(path, as_version=4)
    nb.cells = [cell for cell in nb.cells if role(cell) != "display" or cell.id in PROBES]
    for cell in nb.cells:
        for name, expression in PROBES.get(cell.id, {}).items():
            cell.source += "\nfrom benchmarks.thresholds import retrain"
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
    """Run the solution as in grading with this secret seed and return the numbers under bounds."""
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
    retrained = {f"retrained difference {pair}": retrain(ran, pair) for pair in ran["results"]}
    return {
        "LAST_LOSSES": float(np.mean(ran["loss_history"][-100:])),
        "TRAINED_ACCURACY": accuracy(ran["model"].W, X, y),
        "TUNED_ACCURACY": accuracy(ran[losses.best].W, X, y),
        **retrained,
    }


def summary(runs: list[dict[str, float]]) -> Iterator[str]:
    """Yield a table: mean, deviation, range and both bounds of each number."""
    yield f"{'':36s}    mean       sd     lowest   highest    mean-5.2sd mean+5.2sd"
    for name in runs[0]:
        values = np.array([run[name] for run in runs])
        mean, sd = values.mean(), values.std(ddof=1)
        low, high = mean - DEVIATIONS * sd, mean + DEVIATIONS * sd
        yield (
            f"{name:36s} {mean:8.4f} {sd:8.4f}  {values.min():8.4f}  {values.max():8.4f}"
            f"    {low:8.4f}   {high:8.4f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("exercise", help="name of an exercise, such as softmax")
    options.add_argument("folder", nargs="?", type=Path, help="folder of CIFAR-10's batches")
    options.add_argument("--seeds", type=int, default=200, help="number of runs (default: 200)")
    options.add_argument("--processes", type=int, default=2, help="runs in parallel (default: 2)")
    options.add_argument("--graded", action="store_true", help="use the parameters of grading")
    chosen = options.parse_args(arguments)
    run_one = partial(
        measure, name=chosen.exercise, folder=chosen.folder and chosen.folder.resolve()
    )
    if chosen.graded or chosen.quick:
        run_one = partial(measure_graded, name=chosen.exercise)
    with ProcessPoolExecutor(1 if chosen.quick else chosen.processes) as pool:
        runs = []
        for result in pool.map(run_one, range(2 if chosen.quick else chosen.seeds)):
            runs.append(result)
            print(json.dumps(result), flush=True)
    print("\n".join(summary(runs)))


if __name__ == "__main__":
    main()
