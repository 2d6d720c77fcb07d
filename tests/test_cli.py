"""The command line: its help, and what it answers to wrong usage."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from assignment import PROJECT, __version__
from gradkit.cli import COMMANDS, cli, main


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
        == "error: Name one of the exercises with --exercise: softmax, svm.\n"
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


def test_the_installed_command_is_this_one() -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("gradkit"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"gradkit {__version__}\n"
