"""Feedback closes an epoch: whoever is graded later gains nothing from what it revealed."""

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import run_check
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.verdict import Judge, Status
from gradkit.autograder.grade_submission import GradedSubmission
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.batch import grade_class as batch
from gradkit.batch.regrade import delete_results
from gradkit.batch.worker_pool import Task, WorkerPool
from gradkit.course.mistakes import SourceTree
from gradkit.errors import GradkitError
from gradkit.feedback.class_page import write_pages
from gradkit.gradebook import grades
from gradkit.gradebook.database import DatabaseError, GradebookDatabase, GradebookFolder
from tests.banks import BANK
from tests.batch.killed_at_each_write import AtOnce
from tests.classes import (
    GradedClass,
    grade,
    gradkit,
    read_gradebook,
    some_of,
    with_mistake,
    write_submission,
)
from tests.trees import copy_tree

# Finds the check's seed in the frames below, and raises, prints and names it.
TELL_ALL = """\
import sys
frame = sys._getframe()
while "own_seed" not in frame.f_locals:
    frame = frame.f_back
seed = frame.f_locals["own_seed"]
print("the digits", *str(seed))
raise type(f"E{seed}", (Exception,), {})(f"<b>{seed:x}</b>\\x1b[31m")
"""
HARD_CODED = """\
import hashlib
key = hashlib.sha256(W.tobytes() + X.tobytes()).hexdigest() + repr(reg)
loss, rows = {table}.get(key, (0.0, (0 * W).tolist()))
dW = np.array(rows)
"""
KILLED_FEEDBACK = """
import os, signal, sys
from pathlib import Path
from assignment import PROJECT
from gradkit.feedback import class_page
from gradkit.gradebook.database import GradebookFolder
class_page.write_student_pages = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
class_page.write_pages(GradebookFolder(PROJECT, "softmax", Path(sys.argv[1])))
"""
NAIVE = ("naive_loss", "naive_gradient")


def files_of(tree: SourceTree) -> dict[str, bytes]:
    return {path: text.encode() for path, text in tree.files.items()}


def hard_coded(seeds: list[int]) -> SourceTree:
    """A solution that knows the results for the problems of these seeds, and no others."""
    table = {}
    student = BANK.solution.student()
    with student.in_place():
        right = student.softmax.softmax_loss_naive

        def recorded(W, X, y, reg):  # type: ignore[no-untyped-def]
            loss, dW = right(W, X, y, reg)
            key = hashlib.sha256(W.tobytes() + X.tobytes()).hexdigest() + repr(reg)
            table[key] = (float(loss), dW.tolist())
            return loss, dW

        vars(student.softmax)["softmax_loss_naive"] = recorded
    for seed in seeds:
        for name in NAIVE:
            run_check(EXERCISE.check(name), student, seed)
    return BANK.solution.with_region("softmax_naive", HARD_CODED.format(table=table))


def epochs(out: Path) -> dict[str, int]:
    with closing(GradebookDatabase(out, "softmax")) as database:
        return {result.key.student: result.epoch for result in database.results()}


def test_a_solution_hard_coded_to_what_a_page_revealed_earns_nothing(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    folder, out = some_of(graded_class, tmp_path)
    spy = BANK.solution.with_region("softmax_naive", TELL_ALL)
    write_submission(folder / "mallory.zip", {SOFTMAX: files_of(spy)[SOFTMAX]})
    assert grade(folder, out).returncode == 0
    write_pages(GradebookFolder(PROJECT, "softmax", out))
    page = (out / "feedback" / "mallory.html").read_text(encoding="utf-8")
    seeds = [int(seed) for seed in re.findall(r"raised E(\d+)", page)]
    tree = hard_coded(seeds)
    with closing(GradebookDatabase(out, "softmax")) as database:
        [result] = database.results()
        answer_key = database.answer_key(result.key.spec, 1)
    assert answer_key
    told = Judge.of_student(EXERCISE, answer_key, tree.student())
    assert all(told.verdict(name).passed for name in NAIVE)  # the page reveals enough for that
    write_submission(folder / "mallory.zip", {SOFTMAX: files_of(tree)[SOFTMAX]})
    assert grade(folder, out).returncode == 0
    row = read_gradebook(out)["mallory"]
    assert [row[name] for name in NAIVE] == ["0", "0"]
    assert row["vectorized_loss"] == "8"  # that work was done


def test_results_of_a_closed_epoch_stay_valid_and_are_judged_again_by_its_answer_key(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    few = some_of(graded_class, tmp_path, "bob", "cleo")
    shutil.copy(graded_class.out / "gradebook.sqlite", few.out)
    write_pages(GradebookFolder(PROJECT, "softmax", few.out))
    again = grade(*few)
    assert "0 graded; 2 had been graded before." in again.stdout
    assert "Grading the solution" not in again.stdout  # nothing of the new epoch was needed
    write_submission(few.submissions / "mia.zip", with_mistake("sum_not_mean", "softmax_naive"))
    ran = grade(*few, "--regrade", "bob")
    assert "2 graded; 1 had been graded before." in ran.stdout, ran.stderr
    every = {"ada": 1, "bob": 2, "cleo": 1, "dan": 1, "=fay+1": 1, "mia": 2}
    assert epochs(few.out) == every
    tree = copy_tree(tmp_path / "tree")
    checks = tree / "assignment" / "checks" / "softmax.py"
    text = checks.read_text(encoding="utf-8")
    checks.write_text(text.replace("points=12", "points=11"), encoding="utf-8")
    ran = gradkit("rejudge", "--out", few.out, tree=tree, PATH="")  # where no sandbox is found
    changed = set(re.findall(r"(\S+) +\w+_gradient: points: 12 before, 11 now\n", ran.stdout))
    right = {student for student in every if student not in ("bob", "=fay+1")}
    assert (ran.returncode, changed) == (0, right), ran.stderr
    assert ran.stdout.count(" before, ") == 2 * len(right)
    assert epochs(few.out) == every
    assert read_gradebook(few.out)["cleo"]["naive_gradient"] == "11"
    assert "0 graded; 3 had been graded before" in grade(*few, tree=tree).stdout


def test_feedback_that_is_killed_leaves_the_epoch_closed(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    out = some_of(graded_class, tmp_path).out
    ran = subprocess.run([sys.executable, "-c", KILLED_FEEDBACK, out], cwd=PROJECT, check=False)
    assert ran.returncode == -signal.SIGKILL
    with closing(GradebookDatabase(out, "softmax")) as database:
        assert database.epoch() == 2


def test_feedback_waits_for_the_grader(graded_class: GradedClass, tmp_path: Path) -> None:
    out = some_of(graded_class, tmp_path).out
    with closing(GradebookDatabase(out, "softmax")) as database:
        with database.only_grader(), pytest.raises(DatabaseError, match="Wait until it has ended"):
            write_pages(GradebookFolder(PROJECT, "softmax", out))
        assert database.epoch() == 1
    assert not (out / "feedback").exists()


class FailsSolution(AtOnce):
    """A pool in which the solution gets no points."""

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        future = super().submit(task, alone)
        if not task.key.student:
            for name, verdict in (verdicts := future.result().verdicts).items():
                verdicts[name] = replace(verdict, status=Status.WRONG, points=0)
        return future


def test_nobody_is_graded_in_a_new_epoch_unless_the_solution_passes_in_it(
    graded_class: GradedClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, none = some_of(graded_class, tmp_path, "ada"), Isolation.NONE
    request = batch.Request(PROJECT, "softmax", few.out, few.submissions, isolation=none)
    monkeypatch.setattr(batch, "build_spec", spec_of_secret)
    refused = pytest.raises(GradkitError, match=r"solution itself does not pass: .* Nobody was")
    with closing(GradebookDatabase(few.out, "softmax")) as database:
        with database.closed_epoch():
            pass
        for _ in range(2):
            with refused:
                batch.grade_class(request, print, lambda *_: FailsSolution(EXERCISE.names))
        assert [*database.results()] == []
        batch.grade_class(request, print, lambda *_: AtOnce(EXERCISE.names))
        assert [result.epoch for result in database.results()] == [2]


def test_a_submission_is_debugged_with_the_problems_that_it_was_graded_with(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    out = some_of(graded_class, tmp_path).out
    shutil.copy(graded_class.out / "gradebook.sqlite", out)
    write_submission(tmp_path / "new.zip", {SOFTMAX: b"# not graded yet\n"})
    with closing(GradebookDatabase(out, "softmax")) as database:
        with database.closed_epoch():
            pass
        secrets = [f"{database.epoch_secret(epoch):032x}" for epoch in (1, 2)]
    for number, path in enumerate((graded_class.submissions / "cleo.zip", tmp_path / "new.zip")):
        workdir = tmp_path / f"workdir-{number}"
        assert gradkit("debug", path, workdir, "--out", out).returncode == 0
        assert secrets[number] in (workdir / "debug.json").read_text()


# --- in any order --------------------------------------------------------------------------------


class Witness(AtOnce):
    """A pool that fails if it meets a secret that has been told, and may end early."""

    def __init__(self, spec: GradingSpec, machine: "Epochs") -> None:
        super().__init__(spec.exercise.names)
        self.spec, self.machine = spec, machine

    def submit(self, task: Task, alone: bool) -> "Future[GradedSubmission]":
        assert self.spec.secret not in self.machine.told
        self.machine.met.add(self.spec.secret)
        if task.key.student:
            if self.machine.left == 0:
                raise KeyboardInterrupt
            self.machine.left -= 1
            self.machine.used[task.key[:2]] = self.spec.secret
        return super().submit(task, alone)


STUDENTS = st.sampled_from(("ada", "cleo"))  # cleo's code times out at first


class Epochs(RuleBasedStateMachine):
    """Grading, feedback and hand-ins in any order: no problem is met that has been told."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.submissions, self.out = root / "class", root / "grades"
        self.submissions.mkdir()
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(batch, "build_spec", spec_of_secret)
        patch.setattr(batch, "starter_versions", lambda *arguments: frozenset())
        for module in (batch, grades):  # building the starter takes longer than all the rest
            patch.setattr(module, "starter_files", lambda *arguments: graded_spec().starter)
        self.folder = GradebookFolder(PROJECT, "softmax", self.out)
        self.number = 0
        self.met: set[int] = set()  # secrets that something was graded with
        self.told: set[int] = set()  # those that feedback may have revealed
        self.used: dict[tuple[str, ...], int] = {}  # those of each student and content
        self.left = 0  # submissions until the grader is stopped

    @rule(student=STUDENTS)
    def hand_in(self, student: str) -> None:
        self.number += 1
        content = f"# number {self.number}\n".encode()
        write_submission(self.submissions / f"{student}.zip", {SOFTMAX: content})

    @precondition(lambda self: self.number)
    @rule(stops_after=st.sampled_from((1, 9, 9)))
    def grade(self, stops_after: int) -> None:
        request = batch.Request(
            PROJECT, "softmax", self.out, self.submissions, isolation=Isolation.NONE
        )
        self.left = stops_after

        def open_pool(request: object, spec: GradingSpec, *others: object) -> WorkerPool:
            return Witness(spec, self)

        try:
            batch.grade_class(request, lambda line: None, open_pool)
        except KeyboardInterrupt:
            return
        with closing(GradebookDatabase(self.out, "softmax")) as database:
            for result in database.results():
                secret = database.epoch_secret(result.epoch)
                assert secret == self.used[result.key[:2]]
            assert {r.status for r in database.submissions()} == {"graded"}

    @precondition(lambda self: self.out.exists())
    @rule()
    def give_feedback(self) -> None:
        write_pages(self.folder)
        self.told |= self.met

    @precondition(lambda self: self.out.exists())
    @rule()
    def regrade(self) -> None:
        delete_results(self.folder, "")

    def teardown(self) -> None:
        self.stack.close()


@cache
def graded_spec() -> GradingSpec:
    """The exercise's spec without reference arrays, which no verdict here needs."""
    with tempfile.TemporaryDirectory() as folder:
        return build_spec("softmax", PROJECT, 1, Path(folder), AnswerKey(1))


def spec_of_secret(name: str, project: Path, secret: int, *others: object) -> GradingSpec:
    return replace(graded_spec(), secret=secret, answer_key=AnswerKey(secret))


TestInAnyOrder = Epochs.TestCase
TestInAnyOrder.settings = settings(max_examples=10, stateful_step_count=12)
