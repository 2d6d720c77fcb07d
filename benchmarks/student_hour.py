"""Time the parts of a solved notebook, with one BLAS thread and with as many as processors.

    python -m benchmarks.student_hour [--busy 0 2] [--rounds 3]

Runs the notebook in a copy of the project, on the stand-in, in a kernel as Jupyter starts it. The
two numbers of threads take turns, with busy processes beside them; ratios are taken within a round.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from assignment.cifar10.install import install_synthetic
from benchmarks.load import busy_processes
from benchmarks.timing import parser
from gradkit.authoring.notebook_outputs import set_parameters

SHORT = {"NUM_TRAINING": 500, "NUM_ITERS": 5, "TUNING_ITERS": 5, "TUNING_REGS": [1e2]}


def one_run(project: Path, threads: int, quick: bool) -> dict[str, float]:
    """Run the notebook with so many BLAS threads, and return the seconds of its parts."""
    nb = nbformat.read(project / EXERCISE.notebook, as_version=4)
    if quick:
        set_parameters(nb, **SHORT)
    client = NotebookClient(
        nb,
        kernel_name="python3",
        allow_errors=quick,  # the checks of the results fail after so few steps
        resources={"metadata": {"path": str(project / "notebooks")}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    start = time.perf_counter()
    client.execute(env={**os.environ, "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": str(threads)})
    whole = time.perf_counter() - start
    seconds = {cell.id: _seconds_of(cell) for cell in nb.cells if cell.cell_type == "code"}
    checks = [seconds[cell.id] for cell in nb.cells if cell.source.startswith('check("')]
    return {
        "setup cell": seconds["setup"],
        "first check": checks[0],
        "all checks": sum(checks),
        "training": seconds["train"],
        "tuning": seconds["tuning"],
        "whole notebook": whole,
    }


def _seconds_of(cell: Any) -> float:
    """Return the seconds from a cell's start in the kernel to its reply, from its metadata."""
    times = cell.metadata.execution
    start, end = (
        datetime.fromisoformat(times[name]) for name in ("iopub.status.busy", "shell.execute_reply")
    )
    return (end - start).total_seconds()


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--busy", type=int, nargs="*", default=[0, 2])
    options.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    chosen = options.parse_args(arguments)
    processors = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("assignment", "notebooks"):
            shutil.copytree(PROJECT / part, project / part, ignore=ignored)
        install_synthetic(project / "datasets")
        for count in [0] if chosen.quick else chosen.busy:
            with busy_processes(count):
                rounds = [
                    [one_run(project, threads, chosen.quick) for threads in (1, processors)]
                    for _ in range(1 if chosen.quick else chosen.rounds)
                ]
            print(f"{count} busy processes beside it   1 thread  {processors} threads  ratio")
            for part in rounds[0][0]:
                pairs = [(one[part], many[part]) for one, many in rounds]
                one, many = (statistics.median(taken) for taken in zip(*pairs, strict=True))
                ratio = statistics.median(many / one for one, many in pairs)
                print(f"{part:26}  {one:8.2f} s  {many:7.2f} s  {ratio:5.2f}")
            print(f"load average at the end: {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
