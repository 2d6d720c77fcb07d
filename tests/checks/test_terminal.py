"""python -m assignment check: where one is, what is wrong, what to do next."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.terminal import PATIENCE
from gradkit.course.starter import starter_files
from tests.banks import BANK

STARTER = starter_files(PROJECT, ["softmax"])
CODE_CHECKS = [check for check in EXERCISE.checks if not check.in_notebook]


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """A project as students are handed it."""
    for path, content in STARTER.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assignment", "check", *arguments]
    env = {**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, check=False
    )


def solve(project: Path, *paths: str) -> None:
    for path in paths:
        shutil.copy(PROJECT / path, project / path)


def test_a_fresh_starter_is_told_where_to_begin(student: Path) -> None:
    ran = check(student)
    assert ran.returncode == 1
    assert ran.stderr == ""
    assert "··············  0 of 14 checks, 0 of 85 points" in ran.stdout
    assert ran.stdout.count("not attempted yet") == len(CODE_CHECKS) + 1
    line = (
        STARTER[SOFTMAX]
        .decode()
        .splitlines()
        .index('    raise NotImplementedError("softmax_naive")')
    )
    assert ran.stdout.endswith(f"Write `softmax_naive` in {SOFTMAX}, at line {line + 1}.\n")


def test_the_solution_is_sent_on_to_the_notebook(student: Path) -> None:
    solve(student, SOFTMAX, LINEAR_CLASSIFIER)
    ran = check(student, "softmax")
    assert ran.returncode == 0
    assert "14 of 14 checks, 85 of 85 points" in ran.stdout
    assert "Next: notebooks/softmax.ipynb" in ran.stdout


def test_half_of_the_work_shows_half_of_the_marks(student: Path) -> None:
    solve(student, LINEAR_CLASSIFIER)
    assert "···········✓✓✓  3 of 14 checks, 15 of 85 points" in check(student).stdout


def test_the_first_mistake_is_explained_and_the_others_are_named(student: Path) -> None:
    solve(student, LINEAR_CLASSIFIER)
    [mistake] = [p for p in BANK.mutants if (p.id, p.number) == ("other_convention", 0)][:1]
    (student / SOFTMAX).write_text(mistake.tree.files[SOFTMAX], encoding="utf-8")
    ran = check(student)
    name = BANK.mistakes["other_convention"].name
    assert ran.returncode == 1
    assert f"✗ Naive gradient: {name} (0 of 12 points)" in ran.stdout
    _, _, after = ran.stdout.partition("Next:\n")
    assert after.startswith(f"✗ Naive loss: {name} (0 of 8 points)")
    assert "This course uses 0.5 * reg * sum(W * W)" in " ".join(after.split())
    assert after.count("points)") == 1


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (SOFTMAX, "def softmax_loss_naive(W, X, y, reg:\n", "SyntaxError: '(' was never closed"),
        (SOFTMAX, "softmax_loss_vectorized = 1\n", "has no softmax_loss_naive any more"),
        (SOFTMAX, "import sys\nsys.exit('bye')\n", "SystemExit: bye"),
        (LINEAR_CLASSIFIER, "import nonsense\n", "No module named 'nonsense'"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    student: Path, path: str, text: str, said: str
) -> None:
    solve(student, SOFTMAX, LINEAR_CLASSIFIER)
    (student / path).write_text(text, encoding="utf-8")
    ran = check(student)
    assert ran.returncode == 1
    assert ran.stderr == ""
    assert said in ran.stdout


def test_a_broken_file_is_told_once_and_not_for_every_check(student: Path) -> None:
    (student / SOFTMAX).write_text("import numpy as np\nprint 'x'\n", encoding="utf-8")
    stdout = check(student).stdout
    assert stdout.count("a print statement") == 1
    assert "The 14 checks wait until this file can be loaded." in stdout


def test_an_endless_loop_is_suspected_and_found(student: Path) -> None:
    solve(student, LINEAR_CLASSIFIER)
    path = student / SOFTMAX
    source = path.read_text(encoding="utf-8")
    stub = '    raise NotImplementedError("softmax_naive")'
    path.write_text(source.replace(stub, "    while reg < 9: W = W"), encoding="utf-8")
    command = [sys.executable, "-m", "assignment", "check"]
    env = {**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, cwd=student, env=env, stdout=subprocess.PIPE, text=True) as ran:
        time.sleep(PATIENCE + 5)
        ran.send_signal(2)  # Ctrl-C
        stdout, _ = ran.communicate(timeout=30)
    assert ran.returncode == 130
    assert "still running. An endless loop?" in stdout
    assert f"It was here: {SOFTMAX}, line " in stdout
    assert "while reg < 9: W = W" in stdout


def test_a_file_that_is_gone_says_where_to_get_it(student: Path) -> None:
    (student / SOFTMAX).unlink()
    ran = check(student)
    assert ran.returncode == 1
    assert f"There is no {SOFTMAX}" in ran.stdout
    assert ran.stderr == ""


def test_a_helper_module_of_the_students_own_works_and_is_quoted(student: Path) -> None:
    solve(student, SOFTMAX, LINEAR_CLASSIFIER)
    path = student / SOFTMAX
    source = path.read_text(encoding="utf-8")
    helped = source.replace("import numpy as np\n", "import numpy as np\n\nfrom .mine import top\n")
    helped = helped.replace("scores - np.max(scores)", "scores - top(scores)")
    path.write_text(helped, encoding="utf-8")
    helper = path.with_name("mine.py")
    helper.write_text("def top(scores):\n    return max(scores)\n", encoding="utf-8")
    assert "14 of 14 checks" in check(student).stdout
    helper.write_text("def top(scores):\n    return max(score)\n", encoding="utf-8")
    stdout = check(student).stdout
    assert "return max(score)" in stdout
    assert "name 'score' is not defined" in stdout


def test_an_unknown_exercise_is_refused(student: Path) -> None:
    ran = check(student, "svm")
    assert ran.returncode == 2
    assert "there is no exercise 'svm'; there are: softmax" in ran.stderr


@pytest.fixture
def watched(student: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-u", "-m", "assignment", "check", "--watch"]
    env = {**os.environ, "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        command, cwd=student, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield student, process
    process.kill()
    process.communicate()


def report(process: "subprocess.Popen[str]") -> str:
    """What is printed up to the end of the next report."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if "Ctrl-C ends it" in line:
            return text
    raise AssertionError(f"It ended: {text}{process.stderr and process.stderr.read()}")


def test_watching_runs_again_on_every_save_and_ends_quietly(
    watched: tuple[Path, "subprocess.Popen[str]"],
) -> None:
    project, process = watched
    assert "0 of 14 checks" in report(process)
    solve(project, SOFTMAX)
    assert "11 of 14 checks" in report(process)
    helper = (project / SOFTMAX).with_name("mine.py")
    for text in ("x = 1 / 0", "x = 1"):  # a module of their own, changed while watched
        source = (PROJECT / SOFTMAX).read_text(encoding="utf-8")
        helper.write_text(text, encoding="utf-8")
        report(process)
        (project / SOFTMAX).write_text(f"{source}\nfrom .mine import x\n", encoding="utf-8")
        said = report(process)
        assert ("ZeroDivisionError" in said) == ("1 / 0" in text)
    (project / SOFTMAX).write_text("def half_saved(", encoding="utf-8")
    assert "was never closed" in report(process)
    (project / SOFTMAX).unlink()
    assert f"There is no {SOFTMAX}" in report(process)
    solve(project, SOFTMAX, LINEAR_CLASSIFIER)
    text = report(process)
    if "14 of 14 checks" not in text:  # it looked between the two files
        text = report(process)
    assert "14 of 14 checks" in text
    time.sleep(0.5)
    process.send_signal(2)  # Ctrl-C
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.strip() == "Stopped."


# --- some checks only ----------------------------------------------------------------------------


def test_named_checks_are_told_in_full_and_no_others(student: Path) -> None:
    solve(student, LINEAR_CLASSIFIER)
    [mistake] = [p for p in BANK.mutants if (p.id, p.number) == ("other_convention", 0)][:1]
    (student / SOFTMAX).write_text(mistake.tree.files[SOFTMAX], encoding="utf-8")
    ran = check(student, "naive_loss")
    assert ran.returncode == 1
    name = BANK.mistakes["other_convention"].name
    assert ran.stdout.startswith(f"✗ Naive loss: {name} (0 of 8 points)\n")
    assert "This course uses 0.5 * reg * sum(W * W)" in " ".join(ran.stdout.split())
    assert ran.stdout.count("points)") == 1
    ran = check(student, "softmax", "predict", "train_batch")
    assert ran.returncode == 0
    assert [line.partition("(")[2] for line in ran.stdout.splitlines() if line] == [
        "5 of 5 points)",
        "5 of 5 points)",
    ]
    assert check(student, "predict", "naive_loss").returncode == 1


def test_what_a_named_check_waits_for_counts_as_well(student: Path) -> None:
    solve(student, LINEAR_CLASSIFIER)
    ran = check(student, "vectorized_no_loops")
    assert ran.returncode == 1
    assert "not attempted yet" in ran.stdout


def test_a_named_check_of_a_file_that_cannot_be_loaded_says_why(student: Path) -> None:
    (student / SOFTMAX).write_text("def softmax_loss_naive(W:\n", encoding="utf-8")
    ran = check(student, "naive_loss")
    assert ran.returncode == 1
    assert "was never closed" in ran.stdout
    assert "The 1 check waits until this file can be loaded." in ran.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("naive_los", "Nor is that a check of softmax, which has: naive_loss, naive_gradient"),
        ("training", "training looks at what the notebook has computed: run notebooks/softmax"),
    ],
)
def test_a_check_that_cannot_be_run_here_is_wrong_usage(
    student: Path, name: str, said: str
) -> None:
    ran = check(student, "naive_loss", name)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
