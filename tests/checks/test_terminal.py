"""`python -m assignment check`: progress, the first problem, and the next step."""

import _thread
import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from assignment import PROJECT, __main__
from assignment.checks import check as check_module
from assignment.checks import terminal
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import SOFTMAX
from tests.banks import BANK

MISTAKE = BANK.mistakes["other_convention"].name


@pytest.fixture
def student(tmp_path: Path, starter: Callable[[str], Path]) -> Path:
    """A starter of the student's own."""
    return Path(shutil.copytree(starter("softmax-starter"), tmp_path / "我的 homework"))


def start_command(project: Path, *options: str) -> "subprocess.Popen[str]":
    """Start `python -m assignment check` in a project, for a user without a home folder."""
    unset = ("HOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "assignment", "check", *options],
        cwd=project,
        env={**env, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check(project: Path, *names: str) -> tuple[bool, str]:
    """Run checks in this process; return whether they pass, and the printed text."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        passed = terminal.check("softmax", names, project)
    return passed, printed.getvalue()


def make_mistake(project: Path) -> None:
    """Put the first form of a known mistake into the naive loss."""
    first = next(mutant for mutant in BANK.mutants if mutant.id == "other_convention")
    (project / SOFTMAX).write_text(first.tree.files[SOFTMAX], encoding="utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp932", "ascii"])
def test_marks_are_plain_where_the_terminal_has_no_others(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert __main__.main([]) == 2
    print("✓ Naive loss\n✗ \N{SNOWMAN}")
    assert written.getvalue().split() == [b"+", b"Naive", b"loss", b"x", rb"\u2603"]


# --- the command ----------------------------------------------------------------------------------


def test_a_fresh_starter_gets_the_place_to_begin_and_exit_status_1(student: Path) -> None:
    command = start_command(student)
    stdout, stderr = command.communicate()
    assert (command.returncode, stderr) == (1, "")
    assert "··············  0 of 14 checks, 0 of 85 points" in stdout
    assert stdout.count("not attempted yet") == 15  # and once more as the next step
    lines = (student / SOFTMAX).read_text(encoding="utf-8").splitlines()
    number = lines.index('    raise NotImplementedError("softmax_naive")') + 1
    assert stdout.endswith(f"Write `softmax_loss_naive` in {SOFTMAX}, at line {number}.\n")


def test_the_solution_gets_the_way_to_the_notebook_and_exit_status_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["check", "softmax"]) == 0
    printed = capsys.readouterr().out
    assert "14 of 14 checks, 85 of 85 points" in printed
    assert "Next: notebooks/softmax.ipynb" in printed


@pytest.mark.parametrize("options", [[], ["--watch"]])
def test_a_report_that_nobody_reads_to_the_end_ends_quietly(
    options: list[str], student: Path
) -> None:
    with start_command(student, *options) as command:
        assert command.stdout
        command.stdout.close()
        assert command.wait() == 1
        assert command.stderr
        assert command.stderr.read() == ""


def test_a_helper_module_of_the_student_is_loaded_and_quoted(student: Path) -> None:
    source = (PROJECT / SOFTMAX).read_text(encoding="utf-8")
    helped = source.replace("import numpy as np\n", "import numpy as np\n\nfrom .mine import top\n")
    helped = helped.replace("scores - np.max(scores)", "scores - top(scores)")
    (student / SOFTMAX).write_text(helped, encoding="utf-8")
    helper = (student / SOFTMAX).with_name("mine.py")
    helper.write_text("def top(scores):\n    return max(score)\n", encoding="utf-8")
    stdout, _ = start_command(student).communicate()
    assert "return max(score)" in stdout
    assert "name 'score' is not defined" in stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["svm"], "there is no exercise 'svm'; there are: softmax"),
        (["naive_loss", "naive_los"], "a check of softmax, which has: naive_loss, naive_gradient"),
        (["naive_loss", "training"], "run notebooks/softmax"),
    ],
)
def test_an_unknown_name_and_a_check_of_the_notebook_are_refused(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(check_module, "exercises", lambda: ["softmax"])
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["check", *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.split())


# --- the report -----------------------------------------------------------------------------------


def test_the_first_mistake_is_explained_and_the_others_are_named(student: Path) -> None:
    shutil.copy(PROJECT / LINEAR_CLASSIFIER, student / LINEAR_CLASSIFIER)
    assert "···········✓✓✓  3 of 14 checks, 15 of 85 points" in check(student)[1]
    make_mistake(student)
    passed, printed = check(student)
    assert not passed
    assert f"✗ Naive gradient: {MISTAKE} (0 of 12 points)" in printed
    _, _, after = printed.partition("Next:\n")
    assert after.startswith(f"✗ Naive loss: {MISTAKE} (0 of 8 points)")
    assert "This course uses 0.5 * reg * sum(W * W)" in " ".join(after.split())
    assert after.count("points)") == 1


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (SOFTMAX, "import sys\nsys.exit('bye')\n", "SystemExit: bye"),
        (LINEAR_CLASSIFIER, "import nonsense\n", "No module named 'nonsense'"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_explained(
    student: Path, path: str, text: str, message: str
) -> None:
    (student / path).write_text(text, encoding="utf-8")
    passed, printed = check(student)
    assert not passed
    assert message in printed


def test_a_broken_file_is_reported_once_and_not_for_every_check(student: Path) -> None:
    (student / SOFTMAX).write_text("import numpy as np\nprint 'x'\n", encoding="utf-8")
    for names, waiting in (((), "The 14 checks wait"), (("naive_loss",), "The 1 check waits")):
        passed, printed = check(student, *names)
        assert not passed
        assert printed.count("a print statement") == 1
        assert f"{waiting} until this file can be loaded." in printed


class InterruptAtNote(io.StringIO):
    """A terminal at which someone presses Ctrl-C when the note on slow code appears."""

    def write(self, text: str) -> int:
        if "still running" in text:
            _thread.interrupt_main()
        return super().write(text)


def test_an_endless_loop_is_suspected_and_its_line_shown_at_an_interrupt(
    student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(PROJECT / LINEAR_CLASSIFIER, student / LINEAR_CLASSIFIER)
    with (student / SOFTMAX).open("a", encoding="utf-8") as file:
        file.write("\n\ndef softmax_loss_naive(W, X, y, reg):\n    while reg < 9: W = W\n")
    monkeypatch.setattr(terminal, "SLOW_TIMEOUT", 0.1)
    with (
        contextlib.redirect_stdout(InterruptAtNote()) as printed,
        pytest.raises(KeyboardInterrupt),
    ):
        terminal.check("softmax", project=student)
    place = rf"{SOFTMAX}, line \d+: while reg < 9: W = W\n"
    assert re.search(rf"still running, now at {place}An endless loop\? Ctrl-C", printed.getvalue())
    assert re.search(f"Stopped at {place}", printed.getvalue())


def test_named_checks_are_printed_in_full_without_the_others(student: Path) -> None:
    shutil.copy(PROJECT / LINEAR_CLASSIFIER, student / LINEAR_CLASSIFIER)
    passed, printed = check(student, "vectorized_no_loops")
    assert not passed
    assert "not attempted yet" in printed
    passed, printed = check(student, "predict", "train_batch")
    assert passed
    assert printed.count("(5 of 5 points)") == printed.count("points)") == 2
    make_mistake(student)
    passed, printed = check(student, "predict", "naive_loss")
    assert not passed
    assert printed.startswith(f"✗ Naive loss: {MISTAKE} (0 of 8 points)\n")
    assert "This course uses 0.5 * reg * sum(W * W)" in " ".join(printed.split())
    assert printed.count("points)") == 2


# --- watching -------------------------------------------------------------------------------------


def read_report(process: "subprocess.Popen[str]", end: str = "Ctrl-C ends the watch") -> str:
    """Read the printed text up to the end of the next report."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if end in line:
            return text
    raise AssertionError(f"It ended: {text}{process.stderr and process.stderr.read()}")


def save(text: str, path: Path) -> None:
    """Replace a file at once, so that it is never seen half written."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.utime(unfinished, (1e9, 1e9))  # as if all saves were within a second
    unfinished.replace(path)


@pytest.fixture
def watching(student: Path) -> Iterator["subprocess.Popen[str]"]:
    """A watch of the student's starter, with its first report still to be read."""
    with start_command(student, "--watch") as process:
        yield process
        process.kill()


def test_watching_runs_again_after_every_save_and_ends_quietly(
    student: Path, watching: "subprocess.Popen[str]"
) -> None:
    path = student / SOFTMAX
    solution = (PROJECT / SOFTMAX).read_text(encoding="utf-8")
    assert "0 of 14 checks" in read_report(watching)
    save(solution, path)
    assert "✓ Naive loss (8 of 8 points)" in read_report(watching)
    for text in ("x = 1 / 0", "x = 1 / 1"):  # a module of their own, changed while watched
        save(text, path.with_name("mine.py"))
        read_report(watching)
        save(f"{solution}\nfrom .mine import x  # {text}\n", path)
        assert ("ZeroDivisionError" in read_report(watching)) == ("1 / 0" in text)
    save("def half_saved(", path)
    assert "was never closed" in read_report(watching)
    path.unlink()
    assert f"has no file {SOFTMAX}" in read_report(watching)
    watching.send_signal(signal.SIGINT)
    stdout, stderr = watching.communicate(timeout=30)
    assert (watching.returncode, stdout, stderr.strip()) == (130, "", "Stopped.")


ENDLESS = """

def softmax_loss_naive(W, X, y, reg):
    while True:
        try:
            print("looping")
        except BaseException:
            pass
"""


def test_a_saved_repair_of_an_endless_loop_is_checked_and_leaves_no_process(
    student: Path, watching: "subprocess.Popen[str]"
) -> None:
    path = student / SOFTMAX
    solution = (PROJECT / SOFTMAX).read_text(encoding="utf-8")
    read_report(watching)
    save(solution + ENDLESS, path)
    note = read_report(watching, end="Ctrl-C ends the watch")
    assert f"still running, now at {SOFTMAX}, line" in note
    [looping] = psutil.Process(watching.pid).children()
    save(solution, path)
    assert "✓ Naive loss (8 of 8 points)" in read_report(watching)
    assert not looping.is_running()
    save(solution + "\nimport os\nos._exit(7)\n", path)
    assert "Your code ended the checks: exit status 7." in read_report(watching)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_watch_that_ends_in_an_endless_loop_leaves_no_process(
    student: Path, watching: "subprocess.Popen[str]", how: signal.Signals
) -> None:
    read_report(watching)
    save((PROJECT / SOFTMAX).read_text(encoding="utf-8") + ENDLESS, student / SOFTMAX)
    read_report(watching, end="Ctrl-C ends the watch")
    children = psutil.Process(watching.pid).children()
    assert len(children) == 1
    assert os.getpgid(children[0].pid) != os.getpgid(watching.pid)  # Ctrl-C reaches the watch alone
    watching.send_signal(how)
    watching.wait(timeout=60)
    assert psutil.wait_procs(children, timeout=60)[1] == []
