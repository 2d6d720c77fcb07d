"""Classes of submissions for tests, and the commands that grade them."""

import contextlib
import csv
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from assignment import PROJECT
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.workspace import regions
from gradkit.cli import main
from gradkit.course.starter import starter_files

SEED = 271828182845904523536


class GradedClass(NamedTuple):
    """A class's folder of submissions, and the folder of its gradebook."""

    submissions: Path
    out: Path


def solved_files() -> dict[str, bytes]:
    return {path: (PROJECT / path).read_bytes() for path in EXERCISE.files}


def solved_cells() -> dict[str, str]:
    nb = regions.read_notebook((PROJECT / EXERCISE.notebook).read_text(encoding="utf-8"), "it")
    return regions.extract_cells(nb, "it")


@cache
def starter_notebook() -> str:
    return starter_files(PROJECT, ["softmax"])[EXERCISE.notebook].decode()


def with_mistake(id: str, region: str) -> dict[str, bytes]:
    """Return the solution's files with a known mistake in one region."""
    from tests.banks import BANK  # which takes a while to read

    [mutant] = [m for m in BANK.mutants if (m.id, m.region, m.number) == (id, region, 0)]
    return {path: text.encode() for path, text in mutant.tree.files.items()}


def write_submission(
    path: Path, files: dict[str, bytes], cells: dict[str, str] | None = None
) -> None:
    """Write a zip file as `python -m assignment submit` does."""
    nb = regions.graft_cells(regions.read_notebook(starter_notebook(), "it"), cells or {}, "it")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(EXERCISE.notebook, regions.write_notebook(nb))
        for name, content in files.items():
            archive.writestr(name, content)


def write_class(folder: Path) -> None:
    """Write a small class: everything that can be right and wrong with a submission, once."""
    from tests.banks import BANK

    folder.mkdir()
    cells = solved_cells()
    write_submission(folder / "ada.zip", solved_files(), cells)
    write_submission(folder / "bob.zip", {})
    write_submission(folder / "cleo.zip", with_mistake("sum_not_mean", "softmax_naive"), cells)
    endless = "import time\nwhile len(X) == 9: time.sleep(1)\n"
    predict = endless + BANK.solution.body("predict").text.strip() + "\n"
    classifier = BANK.solution.with_region("predict", predict).files[LINEAR_CLASSIFIER]
    files = solved_files() | {LINEAR_CLASSIFIER: classifier.encode()}
    write_submission(folder / "dan.zip", files, cells)
    (folder / "eve.zip").write_bytes(b"PK\x03\x04 damaged")
    write_submission(folder / "=fay+1.zip", {SOFTMAX: "# Größe\n".encode("latin-1")})


def gradkit(
    *arguments: object, tree: Path = PROJECT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of gradkit, in this process unless it needs another tree or environment."""
    command = [*map(str, arguments)]
    if tree == PROJECT and not environment:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(command)
        return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())
    return subprocess.run(
        [sys.executable, "-m", "gradkit", *command],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def grade_command(submissions: Path, out: Path, *more: object) -> list[str]:
    options = ("--out", out, "--exercise", "softmax", "--seed", SEED, *more)
    return list(map(str, ("grade", submissions, *options)))


def grade(
    submissions: Path, out: Path, *more: object, tree: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    return gradkit(*grade_command(submissions, out, *more), tree=tree)


def start_grading(
    submissions: Path, out: Path, *more: object, **environment: str
) -> "subprocess.Popen[str]":
    """Start a grader in a session of its own, so that it can be killed."""
    command = ["env", "--default-signal"]  # under nohup, tests may ignore some
    command += [sys.executable, "-m", "gradkit", *grade_command(submissions, out, *more)]
    return subprocess.Popen(
        command, cwd=PROJECT, text=True, start_new_session=True,
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(
    condition: Callable[[], object], process: "subprocess.Popen[Any] | None" = None
) -> None:
    """Wait for a condition, unless the process ends before."""
    deadline = time.monotonic() + 1800
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def read_gradebook(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows of gradebook.csv by student."""
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def some_of(graded: GradedClass, folder: Path, *students: str) -> GradedClass:
    """Copy some submissions of a class, and its database without them.

    The solution is verified in there, so that grading begins with the submissions.
    """
    few = GradedClass(folder / "class", folder / "grades")
    few.submissions.mkdir()
    for student in students:
        shutil.copy2(graded.submissions / f"{student}.zip", few.submissions)
    few.out.mkdir()
    path = Path(shutil.copy(graded.out / "gradebook.sqlite", few.out))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        for table in ("submissions", "results"):
            db.execute(f"DELETE FROM {table}")
    return few
