"""A class is graded: every submission gets its row, and no result is lost.

`GRADKIT_KILLS=50` kills the grader so many times at any moment, in a few minutes; without it, once.
"""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE, SOFTMAX
from gradkit.autograder.grade_submission import GradedSubmission
from gradkit.autograder.sandbox import Isolation
from gradkit.batch.grade_class import Request, grade_class
from gradkit.batch.worker_pool import Task
from gradkit.cli import main
from gradkit.course.exercise_config import read_config
from gradkit.gradebook.database import DatabaseError, GradebookDatabase
from tests.batch.killed_at_each_write import AtOnce
from tests.classes import (
    GradedClass,
    grade,
    grade_command,
    gradkit,
    read_gradebook,
    some_of,
    start_grading,
    wait_for,
    write_submission,
)

KILLS = int(os.environ.get("GRADKIT_KILLS", "1"))


def test_every_submission_has_a_row_with_its_points(graded_class: GradedClass) -> None:
    book = read_gradebook(graded_class.out)
    maximum = 100 + sum(read_config(PROJECT, "softmax").questions.values())
    assert len(book) == 6
    assert (book["ada"]["score"], book["ada"]["maximum"]) == ("100", str(maximum))
    assert book["bob"]["score"] == "0"
    cleo = book["cleo"]
    assert (cleo["score"], cleo["naive_loss"], cleo["vectorized_loss"]) == ("82", "0", "8")
    assert (book["dan"]["predict"], book["dan"]["train_update"]) == ("0", "5")
    assert {row["status"] for row in book.values()} == {"graded", "refused"}
    eve = book["eve"]  # that could not be graded is not a 0
    assert (eve["status"], eve["score"], eve["naive_loss"]) == ("refused", "", "")
    assert "damaged" in eve["notes"]


def test_no_cell_of_the_gradebook_is_a_formula(graded_class: GradedClass) -> None:
    [row] = [row for name, row in read_gradebook(graded_class.out).items() if "fay" in name]
    assert all(not cell.startswith(("=", "+", "@")) for cell in row.values())


def test_the_database_is_closed_to_other_users(graded_class: GradedClass) -> None:
    assert (graded_class.out / "gradebook.sqlite").stat().st_mode & 0o077 == 0


def test_a_second_run_grades_nothing_and_another_seed_is_refused(graded_class: GradedClass) -> None:
    before = read_gradebook(graded_class.out)
    again = grade(*graded_class)
    assert again.returncode == 0, again.stderr
    assert "0 graded; 5 had been graded before; 1 refused." in again.stdout
    other = gradkit("grade", graded_class.submissions, "--out", graded_class.out, "--seed", 2**65)
    assert other.returncode == 1
    assert "was begun with another seed" in other.stderr
    assert read_gradebook(graded_class.out) == before


def test_a_submission_handed_in_again_under_another_name_counts_alone(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    folder, out = some_of(graded_class, tmp_path)
    roster = tmp_path / "roster.csv"
    roster.write_text("student\ndoejane_12345\nmia\n")
    write_submission(folder / "doejane_12345_1_softmax.zip", {})
    assert grade(folder, out, "--roster", roster).returncode == 0
    (folder / "doejane_12345_1_softmax.zip").unlink()
    write_submission(folder / "doejane_12345_2_softmax-1.zip", {SOFTMAX: b"# nothing\n"})
    write_submission(folder / "mia.zip", {})
    assert grade(folder, out, "--roster", roster).returncode == 0
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        statuses = {(r["student"], r["submission"]): r["status"] for r in csv.DictReader(file)}
    assert statuses == {
        ("doejane_12345", "doejane_12345_1_softmax.zip"): "superseded",
        ("doejane_12345", "doejane_12345_2_softmax-1.zip"): "graded",
        ("mia", ""): "superseded",
        ("mia", "mia.zip"): "graded",
    }


class Unlucky(AtOnce):
    """A pool that loses a student's kernels, as long as it has no luck."""

    luck = False

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        if task.name == "cleo.zip":
            alone = self.luck
        return super().submit(task, alone)


def test_a_submission_that_could_not_be_graded_has_no_score_until_the_same_command_grades_it(
    graded_class: GradedClass,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = some_of(graded_class, tmp_path, "ada", "cleo")
    pool = Unlucky(EXERCISE.names)
    monkeypatch.setattr("gradkit.batch.grade_class.ProcessPool", lambda *arguments: pool)
    command = grade_command(*few, "--no-sandbox")
    assert main(command) == 1
    assert "1 graded; 1 could not be graded." in capsys.readouterr().out
    row = read_gradebook(few.out)["cleo"]
    assert (row["status"], row["score"], row["naive_loss"]) == ("failed", "", "")
    assert "It could not be graded; the same command tries it again. Its kernel" in row["notes"]
    pool.luck = True
    assert main(command) == 0
    assert "1 graded; 1 had been graded before." in capsys.readouterr().out
    row = read_gradebook(few.out)["cleo"]
    assert row["status"] == "graded"
    assert "could not be graded" not in row["notes"]


# --- graders that are killed, and two at once ----------------------------------------------------


def sandboxes(graders: list[int]) -> list[int]:
    """Return the processes of sandboxes, or of kernels without one, of these graders."""
    folders = [f"/gradkit-run-{pid}-" for pid in graders]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if any(map(command.count, folders)):
            found.append(process.pid)
    return found


def test_a_grader_that_is_killed_loses_nothing_and_leaves_no_sandbox(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    few, moments = some_of(graded_class, tmp_path, "ada", "bob", "cleo"), random.Random(4)
    killed = []
    for number in range(KILLS):
        with start_grading(*few, "--jobs", 1) as process:
            killed.append(process.pid)
            if number:
                time.sleep(moments.uniform(0.5, 12))
            else:
                wait_for(lambda: sandboxes(killed[-1:]), process)
            assert process.poll() is None, process.communicate()[1]
            os.kill(process.pid, signal.SIGKILL)
    assert grade(*few).returncode == 0
    before = read_gradebook(graded_class.out)
    assert read_gradebook(few.out) == {name: before[name] for name in ("ada", "bob", "cleo")}
    wait_for(lambda: not sandboxes(killed))


@pytest.mark.parametrize(
    ("number", "to_all", "more"),
    [
        (signal.SIGINT, True, []),  # Ctrl-C, which a terminal sends to all processes
        (signal.SIGTERM, False, []),
        (signal.SIGHUP, True, ["--no-sandbox"]),  # where nothing ends kernels with their grader
    ],
)
def test_a_grader_that_is_stopped_cleans_up_and_keeps_what_was_graded(
    graded_class: GradedClass, tmp_path: Path, number: signal.Signals, to_all: bool, more: list[str]
) -> None:
    few = some_of(graded_class, tmp_path, "bob", "cleo")
    shutil.copy2(few.submissions / "bob.zip", few.submissions / "zoe.zip")
    temporary = tmp_path / ("long" * 30)
    temporary.mkdir()
    own = temporary if not more else Path("/tmp")  # its own folder, short enough for sockets
    with start_grading(*few, "--jobs", 1, *more, TMPDIR=str(temporary)) as process:
        assert process.stdout and process.stderr
        assert "bob.zip" in process.stdout.readline() + process.stdout.readline()
        wait_for(lambda: sandboxes([process.pid]), process)
        assert [*own.glob(f"gradkit-run-{process.pid}-*")]
        for _ in range(2):  # the second one while it is cleaning up
            (os.killpg if to_all else os.kill)(process.pid, number)
        errors = process.stderr.read()
    assert process.returncode == 128 + number
    assert errors.endswith("Stopped.\n")
    assert "Traceback" not in errors
    assert not [*temporary.iterdir(), *own.glob(f"gradkit-run-{process.pid}-*")]
    assert not sandboxes([process.pid])
    assert read_gradebook(few.out)["bob"]["status"] == "graded"


def test_a_second_grader_at_the_same_time_is_refused(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    few = some_of(graded_class, tmp_path, "bob")
    request = Request(PROJECT, "softmax", few.out, few.submissions, isolation=Isolation.NONE)
    refused = pytest.raises(DatabaseError, match=r"at work on .* Wait until it has ended\.")
    with closing(GradebookDatabase(few.out, "softmax")) as database:
        with database.only_grader(), refused:
            grade_class(request, print)
        assert database.submissions() == []


def test_a_grader_killed_at_any_write_goes_on_where_it_was(tmp_path: Path) -> None:
    driver = Path(__file__).parent / "killed_at_each_write.py"
    command = [sys.executable, str(driver), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 25  # writes at which it was killed
