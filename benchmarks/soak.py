"""Grade right submissions on a machine in trouble, and count the points that they lose.

    python -m benchmarks.soak [--submissions 200] [--busy 0 6 24] [--jobs 2]

The submissions are the solution and the variants of each exercise. `gradkit grade` runs twice,
beside so many processes that compute without end, and in a control group with half a processor.
Meanwhile one kernel in ten is killed from outside, at a random moment of its life. Goals: no point
lost, and nothing that could not be graded once the second command has ended. Submissions that lose
points are listed below their line.
"""

import contextlib
import csv
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil

from assignment import PROJECT
from assignment.checks.check import Exercise, load_exercise
from assignment.workspace import regions
from benchmarks.load import busy_processes, processor_share
from benchmarks.timing import parser
from gradkit.course.exercises import exercise_names
from gradkit.course.mistakes import read_bank
from gradkit.processes import descendants

KILLED = 0.1  # of all kernels
KERNEL_SECONDS = 2.0  # of processor time, from which the moment to kill one is drawn
PREPARED = "prepared"  # the student whose submission is graded before all others


def make_class(exercise: Exercise, folder: Path, count: int) -> None:
    """Hand in the solution and each variant in turn, `count` in all."""
    folder.mkdir()
    bank = read_bank(exercise, PROJECT)
    forms = [("solution", bank.solution), *((str(form), form.tree) for form in bank.variants)]
    nb = regions.read_notebook(regions.read_source(PROJECT / exercise.notebook), exercise.notebook)
    for number, (name, tree) in enumerate(itertools.islice(itertools.cycle(forms), count)):
        slug = "".join(char if char.isalnum() else "-" for char in Path(name).name)
        grafted = regions.graft_cells(nb, dict(tree.cells), exercise.notebook)
        with zipfile.ZipFile(folder / f"{number:04}-{slug}.zip", "w") as archive:
            archive.writestr(exercise.notebook, regions.write_notebook(grafted))
            for path, text in tree.files.items():
                archive.writestr(path, text)


class Killer(threading.Thread):
    """A thread that kills one kernel in ten of a grader, at a random moment of its life."""

    def __init__(self, grader: int, moments: random.Random) -> None:
        super().__init__(daemon=True)
        self.grader, self.moments, self.killed = grader, moments, 0
        self.ended = threading.Event()

    def run(self) -> None:
        fates: dict[int, float | None] = {}  # the processor time at which a kernel is killed
        while not self.ended.wait(0.05):
            for pid in descendants(self.grader):
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    process = psutil.Process(pid)
                    if pid not in fates and self._is_kernel(process):
                        dies = self.moments.random() < KILLED
                        fates[pid] = self.moments.uniform(0, KERNEL_SECONDS) if dies else None
                    fate = fates.get(pid)
                    if fate is not None and sum(process.cpu_times()[:2]) >= fate:
                        os.kill(pid, signal.SIGKILL)
                        fates[pid] = None
                        self.killed += 1

    @staticmethod
    def _is_kernel(process: psutil.Process) -> bool:
        # bubblewrap and the programs that set limits have the kernel's command in their own.
        return process.name().startswith("python") and "ipykernel" in " ".join(process.cmdline())


def grade(
    exercise: str,
    folder: Path,
    out: Path,
    jobs: int,
    moments: random.Random | None,
) -> int:
    """Run `gradkit grade`, and return the number of kernels that were killed meanwhile.

    `moments` draws which; None kills none.
    """
    command = [sys.executable, "-m", "gradkit", "grade", str(folder), "--out", str(out)]
    command += ["--exercise", exercise, "--jobs", str(jobs)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as grader:
        killer = Killer(grader.pid, moments or random.Random())
        if moments:
            killer.start()
        try:
            output, _ = grader.communicate()
        except BaseException:
            grader.terminate()
            raise
        finally:
            killer.ended.set()
    if grader.returncode not in (0, 1) or "The gradebook:" not in output:
        sys.exit(f"gradkit grade ended with status {grader.returncode}:\n{output}")
    return killer.killed


def read_rows(out: Path) -> list[dict[str, str]]:
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["student"] != PREPARED]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    help = "submissions to grade under each load (default: 200)"
    options.add_argument("--submissions", type=int, default=200, help=help)
    help = "processes that compute beside the grader, for each load (default: 0 6 24)"
    options.add_argument("--busy", type=int, nargs="*", default=[0, 6, 24], help=help)
    help = "submissions to grade in parallel (default: number of CPUs)"
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help=help)
    chosen = options.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is ended and removed
    exercises = [load_exercise(name) for name in exercise_names(PROJECT)]
    if chosen.quick:
        chosen.submissions, chosen.busy, exercises = 1, [0], exercises[:1]
    moments = random.Random(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, exercise in enumerate(exercises):
            name, share = exercise.name, len(range(number, chosen.submissions, len(exercises)))
            make_class(exercise, folder / name, share)
            first = folder / f"{name}-first"
            first.mkdir()
            shutil.copy(next((folder / name).iterdir()), first / f"{PREPARED}.zip")
            grade(name, first, folder / f"{name}-prepared", chosen.jobs, None)
        print("                         points    could not be graded after   kernels   wall time")
        print("load       submissions     lost    first and second command    killed   for each")
        loads = {f"{count} busy": partial(busy_processes, count) for count in chosen.busy}
        loads["half a CPU"] = partial(processor_share, 0.5)
        for name, load in loads.items():
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(load())
                except OSError as error:
                    print(f"{name:10} not tried: {error}")
                    continue
                soak(name, exercises, folder, chosen.jobs, moments)


def soak(
    load: str,
    exercises: list[Exercise],
    folder: Path,
    jobs: int,
    moments: random.Random,
) -> None:
    """Grade all classes twice under a load, and print its line."""
    submissions = lost = killed = 0
    ungraded, notes, start = [0, 0], [], time.perf_counter()
    for exercise in exercises:
        out = folder / f"{exercise.name}-{load}"
        shutil.copytree(folder / f"{exercise.name}-prepared", out)
        for command in range(2):
            killed += grade(exercise.name, folder / exercise.name, out, jobs, moments)
            rows = read_rows(out)
            ungraded[command] += sum(row["status"] != "graded" for row in rows)
        submissions += len(rows)
        points = sum(check.points for check in exercise.checks)
        for row in rows:
            if row["status"] != "graded":
                notes.append(f"{exercise.name} {row['student']}: {row['status']}, {row['notes']}")
            elif int(row["score"]) < points:
                lost += points - int(row["score"])
                less = [c.name for c in exercise.checks if row[c.name] != str(c.points)]
                notes.append(f"{exercise.name} {row['student']}: lost points in {', '.join(less)}")
    seconds = (time.perf_counter() - start) / submissions
    print(
        f"{load:10} {submissions:11} {lost:8} {ungraded[0]:14} {ungraded[1]:10} {killed:10} "
        f"{seconds:9.1f} s",
        flush=True,
    )
    for note in notes:
        print(f"    {note}")


if __name__ == "__main__":
    main()
