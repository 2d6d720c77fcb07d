"""How long a student waits for a verdict, from saving a file.

    python -m benchmarks.check [--rounds 15]

Runs `python -m assignment check --watch` on a solved project, saves `softmax.py` again and again,
and takes the time until the report is complete; beside it `python -m assignment check` from the
start, and, as the unit of both, `python -c "import numpy"`. Goal: half a second from the save.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from assignment import PROJECT
from assignment.checks.softmax import SOFTMAX

END = "Ctrl-C ends it."


def seconds_from_save(project: Path, rounds: int) -> list[float]:
    """Save the file `rounds` times under a watching check; the seconds to each report's end."""
    command = [sys.executable, "-u", "-m", "assignment", "check", "--watch"]
    source = (project / SOFTMAX).read_text(encoding="utf-8")
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        _read_report(process.stdout)
        seconds = []
        for number in range(rounds):
            time.sleep(0.3 + 0.1 * number / rounds)  # so that saves fall anywhere between looks
            start = time.perf_counter()
            (project / SOFTMAX).write_text(f"{source}\n# {number}\n", encoding="utf-8")
            _read_report(process.stdout)
            seconds.append(time.perf_counter() - start)
        process.kill()
    return seconds


def _read_report(lines: IO[str]) -> None:
    for line in lines:
        if END in line:
            return


def seconds_of(command: list[str], project: Path, rounds: int) -> list[float]:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, cwd=project, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="how many times each (15)")
    rounds = parser.parse_args().rounds
    os.environ["PYTHONPATH"] = ""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / "assignment", project / "assignment", ignore=ignored)
        measured = {
            "import numpy": seconds_of([sys.executable, "-c", "import numpy"], project, rounds),
            "check": seconds_of([sys.executable, "-m", "assignment", "check"], project, rounds),
            "save to verdict": seconds_from_save(project, rounds),
        }
    unit = statistics.median(measured["import numpy"])
    print(f"{'':16}  median    largest   of importing numpy")
    for name, seconds in measured.items():
        median = statistics.median(seconds)
        print(f"{name:16} {median:6.3f} s  {max(seconds):6.3f} s  {median / unit:6.2f}")


if __name__ == "__main__":
    main()
