"""A class is graded: whatever was handed in has its row, and nothing that was graded is lost."""

import contextlib
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.check import Outcome
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.verdict import Status, Verdict
from assignment.workspace import regions
from gradkit.autograder.version import DECIDING
from gradkit.course.config import read_config
from gradkit.course.starter import starter_files
from gradkit.gradebook.database import DatabaseError, GradebookDatabase, GradingResult, ResultKey
from tests.banks import BANK

POINTS = read_config(PROJECT, "softmax").questions
SEED = "271828182845904523536"
# 5 kills take half a minute; the 50 that a release is to survive are asked for by this variable.
KILLS = int(os.environ.get("GRADKIT_KILLS", "5"))


# --- a class -------------------------------------------------------------------------------------


def submission(path: Path, files: dict[str, bytes], cells: dict[str, str] | None = None) -> None:
    """A zip file as `python -m assignment submit` makes it."""
    nb = regions.read_notebook(
        starter_files(PROJECT, ["softmax"])[EXERCISE.notebook].decode(), "it"
    )
    notebook = regions.write_notebook(regions.graft_cells(nb, cells or {}, "it"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(EXERCISE.notebook, notebook)
        for name, content in files.items():
            archive.writestr(name, content)


def solved_files() -> dict[str, bytes]:
    return {path: (PROJECT / path).read_bytes() for path in EXERCISE.files}


def solved_cells() -> dict[str, str]:
    nb = regions.read_notebook((PROJECT / EXERCISE.notebook).read_text(encoding="utf-8"), "it")
    return regions.extract_cells(nb, "it")


def with_mistake(id: str, region: str) -> dict[str, bytes]:
    [mutant] = [p for p in BANK.mutants if (p.id, p.region, p.number) == (id, region, 0)]
    return {path: text.encode() for path, text in mutant.tree.files.items()}


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small class: all that can be right and wrong with a submission, once."""
    folder = tmp_path_factory.mktemp("class")
    submission(folder / "ada.zip", solved_files(), solved_cells())
    submission(folder / "bob.zip", {})
    submission(folder / "cleo.zip", with_mistake("sum_not_mean", "softmax_naive"), solved_cells())
    predict = "while len(X) == 9: pass\n" + BANK.solution.body("predict").text.strip() + "\n"
    endless = BANK.solution.with_region("predict", predict).files[LINEAR_CLASSIFIER]
    submission(
        folder / "dan.zip", solved_files() | {LINEAR_CLASSIFIER: endless.encode()}, solved_cells()
    )
    (folder / "eve.zip").write_bytes(b"PK\x03\x04 damaged")
    submission(folder / "=fay+1.zip", {SOFTMAX: "# Größe\n".encode("latin-1")})
    return folder


def gradkit(*arguments: object, tree: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradkit", *map(str, arguments)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def grade(
    classroom: Path, out: Path, *more: object, tree: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    asked = ("--out", out, "--exercise", "softmax", "--seed", SEED)
    return gradkit("grade", classroom, *asked, *more, tree=tree)


def gradebook(out: Path) -> dict[str, dict[str, str]]:
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def graded(classroom: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: None) -> Path:
    """The folder with the class's ledger and gradebook."""
    out = tmp_path_factory.mktemp("grades")
    ran = grade(classroom, out)
    assert ran.returncode == 0, ran.stderr
    assert "5 graded" in ran.stdout
    assert "1 refused" in ran.stdout
    return out


def test_every_module_that_grades_counts_for_the_kits_version() -> None:
    code = "import sys, gradkit.grade; print(*(m for m in sys.modules if m.startswith('gradkit.')))"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("gradkit.") for name in ran.stdout.split()}
    # What the starter and the manifest are is told by the exam's own digest.
    of_the_exam = {"release", "leaks", "build", "classroom", "manifest", "declared", "late"}
    assert loaded - of_the_exam == set(DECIDING)


def test_what_was_handed_in_again_under_another_name_counts_alone(
    tmp_path: Path, sandbox: None
) -> None:
    folder, out = tmp_path / "class", tmp_path / "grades"
    folder.mkdir()
    roster = tmp_path / "roster.csv"
    roster.write_text("student\ndoejane_12345\nmia\n")
    submission(folder / "doejane_12345_1_softmax.zip", {})
    assert grade(folder, out, "--roster", roster).returncode == 0
    (folder / "doejane_12345_1_softmax.zip").unlink()
    submission(folder / "doejane_12345_2_softmax-1.zip", {SOFTMAX: b"# nothing\n"})
    submission(folder / "mia.zip", {})
    assert grade(folder, out, "--roster", roster).returncode == 0
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        statuses = {(r["student"], r["submission"]): r["status"] for r in csv.DictReader(file)}
    assert statuses == {
        ("doejane_12345", "doejane_12345_1_softmax.zip"): "superseded",
        ("doejane_12345", "doejane_12345_2_softmax-1.zip"): "graded",
        ("mia", ""): "superseded",
        ("mia", "mia.zip"): "graded",
    }


def test_every_submission_has_a_row_with_what_it_is_worth(graded: Path) -> None:
    book = gradebook(graded)
    assert len(book) == 6
    assert book["ada"]["score"] == "100"
    assert book["ada"]["maximum"] == str(100 + sum(POINTS.values()))
    assert book["bob"]["score"] == "0"
    assert 60 < int(book["cleo"]["score"]) < 95
    assert book["cleo"]["naive_loss"] == "0"
    assert book["cleo"]["vectorized_loss"] == "8"
    assert book["dan"]["predict"] == "0"
    assert book["dan"]["train_update"] == "5"
    assert {row["status"] for row in book.values()} == {"graded", "refused"}


def test_what_could_not_be_graded_is_empty_and_never_0(graded: Path) -> None:
    eve = gradebook(graded)["eve"]
    assert (eve["status"], eve["score"], eve["naive_loss"]) == ("refused", "", "")
    assert "damaged" in eve["notes"]


def test_no_cell_of_the_gradebook_is_a_formula(graded: Path) -> None:
    [row] = [row for student, row in gradebook(graded).items() if "fay" in student]
    assert all(not cell.startswith(("=", "+", "@")) for cell in row.values())


def test_a_second_run_grades_nothing_twice(classroom: Path, graded: Path) -> None:
    before = gradebook(graded)
    ran = grade(classroom, graded)
    assert ran.returncode == 0
    assert "0 graded; 5 had been graded before; 1 refused." in ran.stdout
    assert gradebook(graded) == before


def test_a_student_can_be_graded_again_and_an_unknown_one_cannot(
    classroom: Path, graded: Path
) -> None:
    ran = grade(classroom, graded, "--regrade", "bob")
    assert "1 graded; 4 had been graded before" in ran.stdout
    unknown = grade(classroom, graded, "--regrade", "nobody")
    assert unknown.returncode == 1
    assert "knows no student 'nobody', so nothing was done" in unknown.stderr


def test_another_seed_on_the_same_ledger_is_refused(classroom: Path, graded: Path) -> None:
    ran = gradkit("grade", classroom, "--out", graded, "--seed", 2**65)
    assert ran.returncode == 1
    assert "was begun with another seed" in ran.stderr
    assert len(gradebook(graded)) == 6


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--seed", "x"], ["--seed", str(2**128)], []])
def test_wrong_usage_ends_with_status_2(tmp_path: Path, wrong: list[str]) -> None:
    ran = gradkit("grade", *([tmp_path, *wrong] if wrong else []), "--out", tmp_path)
    assert ran.returncode == 2
    assert "usage:" in ran.stderr


def test_the_gradebook_can_be_had_as_json(graded: Path) -> None:
    table = json.loads(gradkit("export", "--out", graded, "--format", "json").stdout)
    [ada] = [row for row in table if row["student"] == "ada"]
    assert ada["score"] == 100
    assert [row["score"] for row in table if row["student"] == "eve"] == [None]


def test_who_is_left_out_of_an_export_is_told_beside_it(graded: Path) -> None:
    ran = gradkit("export", "--out", graded, "--format", "moodle")
    assert ran.returncode == 0
    assert ran.stdout.splitlines() == [
        "Identifier,Full name,Grade,Maximum Grade,Last modified (grade),Feedback comments"
    ]
    told = {line.split()[0]: line for line in ran.stderr.splitlines()}
    assert set(told) == {student.lstrip("'") for student in gradebook(graded)}
    assert "eve.zip could not be graded" in told["eve"]
    assert "nothing tells their number in Moodle" in told["bob"]
    unfit = gradkit("export", "--out", graded, "--roster", graded / "gradebook.csv")
    assert unfit.returncode == 1
    assert "error: A roster says who is who on a platform" in unfit.stderr


def test_the_ledger_keeps_the_secret_to_its_owner(graded: Path) -> None:
    assert (graded / "gradebook.sqlite").stat().st_mode & 0o077 == 0


def test_a_submission_can_be_looked_into_by_hand(
    classroom: Path, graded: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "desk"
    laid = gradkit("look", classroom / "cleo.zip", workdir, "--out", graded)
    assert laid.returncode == 0, laid.stderr
    command = laid.stdout.splitlines()[1].split()
    ran = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider"],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "softmax.ipynb::naive_loss" in ran.stdout
    assert "✗ Naive loss: N times the mean (0 of 8 points)" in ran.stdout
    assert "_ softmax.ipynb::naive_loss _" in ran.stdout
    assert "vectorized_loss" not in ran.stdout
    assert "error" not in ran.stdout.splitlines()[-1]
    assert "3 failed" in ran.stdout or "4 failed" in ran.stdout
    again = gradkit("look", classroom / "cleo.zip", workdir, "--out", graded)
    assert "is there already" in again.stderr


# --- killed, and two at once ---------------------------------------------------------------------


def test_a_grader_killed_at_any_moment_goes_on_where_it_was(
    classroom: Path, graded: Path, tmp_path: Path
) -> None:
    out, moments = tmp_path / "grades", random.Random(4)
    command = [sys.executable, "-m", "gradkit", "grade", classroom, "--out", out, "--seed", SEED]
    command += ["--exercise", "softmax"]
    killed = []
    for _ in range(KILLS):
        with subprocess.Popen(
            list(map(str, command)), cwd=PROJECT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            time.sleep(moments.uniform(0.5, 12))
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)
    assert grade(classroom, out).returncode == 0
    assert gradebook(out) == gradebook(graded)
    deadline = time.monotonic() + 10
    while sandboxes(killed) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not sandboxes(killed)


def sandboxes(graders: list[int]) -> list[str]:
    """Those that were started by these processes; others may run beside this test."""
    listed = subprocess.run(
        ["ps", "axo", "args"], capture_output=True, text=True, check=True
    ).stdout
    mine = tuple(f"/gradkit-run-{pid}-" for pid in graders)
    return [line for line in listed.splitlines() if "bwrap" in line and any(map(line.count, mine))]


def test_two_graders_on_one_ledger_do_not_hurt_each_other(
    classroom: Path, graded: Path, tmp_path: Path
) -> None:
    out = tmp_path / "grades"
    command = [sys.executable, "-m", "gradkit", "grade", classroom, "--out", out, "--seed", SEED]
    command += ["--exercise", "softmax"]
    both = [
        subprocess.Popen(
            [*map(str, command), "--jobs", "1"], cwd=PROJECT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in both]
    counts = [int(text.split(" graded;")[0].splitlines()[-1]) for text in said]
    assert sum(counts) == 5
    assert grade(classroom, out).returncode == 0
    assert gradebook(out) == gradebook(graded)


# --- judged again --------------------------------------------------------------------------------


def test_a_class_is_judged_again_without_running_anything(
    classroom: Path, tmp_path: Path, sandbox: None
) -> None:
    tree = tmp_path / "tree"
    litter = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", "*.npz")
    for name in ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets"):
        shutil.copytree(PROJECT / name, tree / name, ignore=litter)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, tree)
    few = tmp_path / "class"
    few.mkdir()
    for name in ("bob.zip", "cleo.zip"):
        shutil.copy(classroom / name, few)
    out = tmp_path / "grades"
    assert grade(few, out, tree=tree).returncode == 0
    assert gradebook(out)["cleo"]["naive_gradient"] == "12"
    checks = tree / "assignment" / "checks" / "softmax.py"
    text = checks.read_text(encoding="utf-8")
    assert '"naive_loss"' not in text
    checks.write_text(text.replace('gradient", 12,', 'gradient", 11,'), encoding="utf-8")
    start = time.monotonic()
    ran = gradkit("reverdict", "--out", out, tree=tree)
    assert time.monotonic() - start < 60
    assert ran.returncode == 0, ran.stderr
    assert "naive_gradient: 12 points before, 11 now" in ran.stdout
    assert gradebook(out)["cleo"]["naive_gradient"] == "11"
    again = grade(few, out, tree=tree)
    assert "0 graded; 2 had been graded before" in again.stdout


# --- the ledger ----------------------------------------------------------------------------------

KEY = ResultKey("ada", "w" * 64, "e" * 16, "k" * 16)


def result(key: ResultKey = KEY, points: int = 8, **more: bool) -> GradingResult:
    verdict = Verdict("naive_loss", "Naive loss", Status.PASSED, points, 8)
    return GradingResult(
        key, {"naive_loss": verdict}, {"naive_loss": Outcome()}, {"files": {}}, **more
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[GradebookDatabase]:
    with contextlib.closing(GradebookDatabase(tmp_path / "grades", "softmax")) as made:
        yield made


def test_what_was_written_is_read_again(database: GradebookDatabase) -> None:
    assert database.result(KEY) is None
    assert database.claim(KEY, 60)
    database.save_result(KEY, result())
    assert database.result(KEY) == result()
    assert not database.claim(KEY, 60)
    database.save_result(KEY, result(points=3))
    assert database.result(KEY) == result(points=3)
    assert len(list(database.results())) == 1


def test_a_claim_keeps_others_away_until_its_owner_is_gone(database: GradebookDatabase) -> None:
    assert database.claim(KEY, 60)
    assert database.claim(KEY, 60)  # its own
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\nfrom gradkit.gradebook.database import *\n"
        f"ledger = Ledger(Path({str(database.path.parent)!r}), 'softmax')\n"
        f"print(ledger.claim(Key(*{tuple(KEY)!r}), 60))"
    )

    def elsewhere() -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout

    assert elsewhere() == "False\n"
    database.save_result(KEY)
    assert elsewhere() == "True\n"
    assert database.claim(KEY, 60)  # that process has ended


def test_a_seed_is_drawn_once(database: GradebookDatabase) -> None:
    seed = database.secret(None)
    assert 0 <= seed < 2**128
    assert database.secret(None) == seed == database.secret(seed)
    with pytest.raises(DatabaseError, match="begun with another seed"):
        database.secret(seed + 1)


def test_a_ledger_of_another_exercise_or_none_is_refused(
    database: GradebookDatabase, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseError, match="is of exercise 'softmax', but 'svm' is asked for"):
        GradebookDatabase(database.path.parent, "svm")
    other = tmp_path / "other"
    other.mkdir()
    (other / "gradebook.sqlite").write_bytes(b"not a database, but long enough to be one" * 9)
    with pytest.raises(DatabaseError, match="cannot be used"):
        GradebookDatabase(other, "softmax")


def test_a_result_that_could_not_be_written_whole_is_not_written(
    database: GradebookDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.save_result(KEY, result(points=3))
    broken = result()
    monkeypatch.setattr("gradkit.gradebook.database.write_outcome", lambda outcome: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        database.save_result(KEY, broken)
    assert database.result(KEY) == result(points=3)


def test_a_result_of_another_exam_or_kit_is_another_result(database: GradebookDatabase) -> None:
    database.save_result(KEY, result())
    for other in (KEY._replace(spec="f" * 16), KEY._replace(kit="l" * 16)):
        assert database.result(other) is None
    assert database.claim(KEY._replace(spec="f" * 16), 60)


def test_the_ledger_is_written_in_wal_mode(database: GradebookDatabase) -> None:
    with contextlib.closing(sqlite3.connect(database.path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
