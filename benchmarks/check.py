"""Measure how long a student waits for a verdict after saving a file.

    python -m benchmarks.check [--rounds 15]

Runs `python -m assignment check softmax --watch` on a solved project, saves `softmax.py` again and
again, and takes the time until the report is complete. Beside it runs `python -m assignment check`
from its start. The unit of both is `python -c "import numpy"`, run in the same round; ratios are
medians over rounds. Goal: half a second after saving.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from assignment import PROJECT
from assignment.checks.softmax import SOFTMAX
from assignment.checks.terminal import END_OF_REPORT
from benchmarks.timing import parser

CHECK = [sys.executable, "-u", "-m", "assignment", "check", "softmax"]


def one_round(project: Path, source: str, reports: IO[str], number: int) -> dict[str, float]:
    """Return the seconds of each of the three, taken one after the other."""
    seconds = {
        "import numpy": _seconds_of([sys.executable, "-c", "import numpy"], project),
        "check": _seconds_of(CHECK, project),
    }
    time.sleep(0.1 * (number % 10) / 10)  # a save falls anywhere within the watch's interval
    start = time.perf_counter()
    (project / SOFTMAX).write_text(f"{source}\n# {number}\n", encoding="utf-8")
    _read_report(reports)
    return {**seconds, "save to verdict": time.perf_counter() - start}


def _seconds_of(command: list[str], project: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=project, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def _read_report(lines: IO[str]) -> None:
    for line in lines:
        if END_OF_REPORT in line:
            return
    raise RuntimeError("The watch ended before its report was complete.")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=15, help="number of rounds (default: 15)")
    chosen = options.parse_args(arguments)
    os.environ["PYTHONPATH"] = ""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "assignment", project / "assignment", ignore=ignored)
        source = (project / SOFTMAX).read_text(encoding="utf-8")
        with subprocess.Popen(
            [*CHECK, "--watch"], cwd=project, stdout=subprocess.PIPE, text=True
        ) as watch:
            assert watch.stdout is not None
            try:
                _read_report(watch.stdout)
                rounds = [
                    one_round(project, source, watch.stdout, number)
                    for number in range(1 if chosen.quick else chosen.rounds)
                ]
            finally:
                watch.kill()
    print(f"{'':16}  median    largest   of importing numpy")
    for name in rounds[0]:
        seconds = [taken[name] for taken in rounds]
        ratio = statistics.median(taken[name] / taken["import numpy"] for taken in rounds)
        print(f"{name:16} {statistics.median(seconds):6.3f} s  {max(seconds):6.3f} s  {ratio:6.2f}")


if __name__ == "__main__":
    main()
