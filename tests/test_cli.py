"""The command line: its help, and what it answers to wrong usage."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import click
import pytest

from assignment import PROJECT, __version__
from gradkit.cli import COMMANDS, cli, main
from gradkit.errors import describe
from tests.classes import GradedClass, grade, gradkit, some_of


def test_help_lists_every_command_under_its_users(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(cli.commands) == sorted(name for names in COMMANDS.values() for name in names)
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for title, names in COMMANDS.items():
        below = printed.partition(f"{title}:")[2].split("\n\n")[0]
        assert all(f"\n  {name} " in below for name in names), title


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_command_describes_itself_and_each_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    command = cli.commands[name]
    assert " ".join(str(command.help).split()) in printed
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help and " ".join(option.help.split()) in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage: gradkit [OPTIONS] COMMAND"),
        (["gradde"], "Did you mean one of: 'grade'"),
        (["demo", "--jobs", "0"], "'--jobs': 0 is not in the range x>=1"),
        (["grade"], "Missing argument 'SUBMISSIONS'"),
        (["grade", "x", "--seed", "12"], "'12' is not a whole number from 2^64 to 2^128"),
        (
            ["grade", "x", "--exercise", "svm", "--jobs", "2", "--scheduler", "tcp://h:1"],
            "exclude each other",
        ),
        (["export", "--format", "excel"], "'excel' is not one of"),
    ],
)
def test_wrong_usage_is_explained_with_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out


def test_an_unknown_exercise_is_an_error_that_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--exercise", "knm"]) == 1
    assert (
        capsys.readouterr().err
        == "error: There is no exercise knm. Name one of the exercises with --exercise: knn, "
        "softmax, svm.\n"
    )


def test_a_reader_that_closes_its_pipe_gets_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gradkit", "--help"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()  # as `head` does, only earlier
        assert process.stderr.read() == ""


# --- what the machine refuses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "", "/x/page.html"), "/x/page.html: No space left on device. Make "),
        (OSError(errno.EMFILE, ""), "Too many open files. Allow more of them (ulimit -n 1024)."),
        (OSError(errno.EXDEV, "", "/from", None, b"/to"), "/to: Invalid cross-device link."),
        (MemoryError(), "There is not enough memory. Free or allow more memory (ulimit -v)"),
        (RuntimeError("can't start new thread"), "No more threads can be started. Allow more "),
        (BrokenProcessPool(), "A process was ended from outside. Free or allow more memory"),
        (sqlite3.OperationalError("database is locked"), "database is locked"),
    ],
)
def test_an_error_of_the_machine_is_one_sentence(error: Exception, sentence: str) -> None:
    assert str(describe(error)).startswith(sentence)


def test_an_error_of_the_program_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda *arguments, **options: int("one"))
    with pytest.raises(ValueError, match="one"):
        main(["verify"])


def test_a_folder_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, graded_class: GradedClass
) -> None:
    export = ("export", "--exercise", "softmax", "--out")
    (tmp_path / "file").touch()
    ran = gradkit(*export, tmp_path / "file")
    assert (ran.returncode, ran.stderr) == (1, f"error: {tmp_path}/file: File exists.\n")
    ran = gradkit(*export, tmp_path / "file" / "grades")
    assert (ran.returncode, ran.stderr) == (1, f"error: {tmp_path}/file/grades: Not a directory.\n")
    few = some_of(graded_class, tmp_path, "eve")
    (few.submissions / "Łucja.zip").write_bytes(b"damaged")
    (few.out / "gradebook.csv").mkdir()
    ran = grade(*few)
    assert ran.returncode == 1
    assert f"error: {few.out}/gradebook.csv: Is a directory. All grades are in " in ran.stderr
    assert "2 refused" in ran.stdout
    assert "\nŁucja," in gradkit(*export, few.out, PYTHONIOENCODING="latin-1").stdout


def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "gradkit", "--help"]
        ran = subprocess.run(
            command, cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: No space left on device. Make room there")
    assert ran.stderr.count("\n") == 1


def test_a_file_never_takes_the_place_of_a_closed_standard_stream(tmp_path: Path) -> None:
    program = (
        "import os, sys, gradkit.cli\n"
        "status = gradkit.cli.main(['--version'])\n"
        "print('lost', file=sys.stdout)\n"
        "print('lost', file=sys.stderr)\n"
        "opened = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
        "os.write(opened, f'{status} {opened > 2}'.encode())"
    )
    command = 'exec "$0" -c "$1" "$2" <&- >&- 2>&-'
    ran = subprocess.run(
        ["sh", "-c", command, sys.executable, program, tmp_path / "file"], cwd=PROJECT, check=False
    )
    assert (ran.returncode, (tmp_path / "file").read_text()) == (0, "0 True")


def test_settings_of_other_programs_do_not_stop_a_command(tmp_path: Path) -> None:
    """matplotlib, which draws pages, raises ValueError for a backend that it does not know."""
    command = ("feedback", "--out", tmp_path / "✓", "--exercise", "softmax")
    ran = gradkit(
        *command, MPLBACKEND="nonsense", PYTHONWARNINGS="error", PYTHONIOENCODING="latin-1"
    )
    assert ran.returncode == 0, ran.stderr
    assert r"/\u2713/class.html" in ran.stdout


def test_settings_of_other_programs_reach_neither_a_command_nor_what_it_starts() -> None:
    names = ("IPYTHONDIR", "MPLBACKEND", "PYTHONSTARTUP", "PYTHONWARNINGS")
    program = (
        "import gradkit.cli, os, subprocess, warnings\n"
        "gradkit.cli.main(['--version'])\n"
        "warnings.warn('look here')\n"
        "print(*os.environ, *subprocess._args_from_interpreter_flags())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **dict.fromkeys(names, "error")},
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not {*names, "-Werror"} & {*ran.stdout.split()}


# Sends itself signals in a command, in its cleaning up, and after it.
SIGNALLED = """
import os, signal, sys, time
from gradkit import cli
def send(*names):
    for name in names:
        os.kill(os.getpid(), signal.Signals[name])
def command(*arguments, **options):
    send("SIGHUP")
    print("went on")
    try:
        send(sys.argv[1])
        time.sleep(60)
    finally:
        send("SIGINT", "SIGTERM", sys.argv[1])
        print("cleaned up")
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
cli.cli.main = command
status = cli.main([])
send("SIGINT", "SIGTERM")
sys.exit(status)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_first_signal_that_is_not_ignored_ends_a_command_and_later_ones_do_nothing(
    name: str,
) -> None:
    command = ["env", "--default-signal", sys.executable, "-c", SIGNALLED, name]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("went on\ncleaned up\n", "Stopped.\n")
    assert ran.returncode == 128 + signal.Signals[name]


def test_the_installed_command_is_this_one() -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("gradkit"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"gradkit {__version__}\n"
