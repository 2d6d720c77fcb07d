"""The commands of instructors, as far as they are there."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from assignment import PROJECT, __version__
from gradkit.authoring.demo import MIN_SUBMISSIONS, spread, write_submissions
from gradkit.cli import COMMANDS, cli, main


@pytest.fixture
def tree(tmp_path: Path, stand_in: Callable[[Path], None]) -> Path:
    """A copy of the instructor's tree, with the stand-in in it."""
    for name in ("assignment", "gradkit", "grading", "notebooks", "docs"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "datasets").mkdir()
    shutil.copy(PROJECT / "datasets" / "README.md", tmp_path / "datasets")
    stand_in(tmp_path / "datasets")
    return tmp_path


def gradkit(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(tree, "-m", "gradkit", *arguments)


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    env = os.environ | {"PYTHONPATH": ""}
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)


def test_the_demo_does_the_main_job(tree: Path) -> None:
    ran = gradkit(tree, "demo")
    assert ran.returncode == 0, ran.stderr
    for title, name in (("The linear SVM", "svm"), ("The softmax classifier", "softmax")):
        assert f"{title}: 14 graded; 1 refused." in ran.stdout
        assert f"grades/{name}/class.html" in ran.stdout
        out = tree / "demo" / "grades" / name
        assert (out / "class.html").is_file()
        assert (out / "feedback" / "s01.html").is_file()
        # The solution and every variant have all points of the checks; no mistake has.
        with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
            scores = {row["student"]: row["score"] for row in csv.DictReader(file)}
        assert [student for student, score in scores.items() if score == "100"] == [
            "s01", "s02", "s03", "s04"
        ]  # fmt: skip
        assert scores["s13"] == scores["s14"] == "0"  # nothing attempted
        assert scores["s15"] == ""  # damaged
    assert "s01    100  ✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓" in ran.stdout
    assert "Naive loss: not attempted yet" in ran.stdout
    assert (tree / "demo" / "linear-starter.zip").is_file()
    # Again, over what the last one has left.
    (tree / "demo" / "mine.txt").write_text("keep me", encoding="utf-8")
    ran = gradkit(tree, "demo")
    assert ran.returncode == 1
    assert "mine.txt, which is not from a demo" in ran.stderr


@pytest.mark.parametrize("count", [MIN_SUBMISSIONS, 10, 15, 30])
def test_a_class_of_any_size_has_something_of_each_kind(count: int, tmp_path: Path) -> None:
    write_submissions(PROJECT, "svm", tmp_path / "class", count)
    works = [path.read_bytes() for path in sorted((tmp_path / "class").iterdir())]
    assert len(works) == count
    assert works[-3] == works[-2]  # untouched
    assert works[-2].startswith(works[-1])  # damaged
    assert len(set(works)) >= min(count - 1, 5)
    assert spread([], 3) == []  # an exercise without variants


def test_a_demo_without_a_sandbox_says_so_in_a_line_and_goes_on(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin = tmp_path / "bin"
    bin.mkdir()
    for program in ("bash", "git", "nice", "ps"):  # but no bwrap
        if found := shutil.which(program):
            (bin / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(bin))
    # A smaller class than that of the command, which another test sees.
    smaller = "from gradkit.authoring import demo; demo.exercise_names = lambda _: ['svm']; "
    smaller += "demo.CLASS_SIZE = demo.MIN_SUBMISSIONS"
    call = "from assignment import PROJECT; demo.demo(PROJECT, 2, print)"
    ran = python(tree, "-c", f"{smaller}; {call}")
    assert ran.returncode == 0, ran.stderr
    [line] = [line for line in ran.stdout.splitlines() if "Without a sandbox" in line]
    assert "bubblewrap (the command bwrap) is not installed" in line
    assert ran.stdout.count("6 graded; 1 refused.") == 1


def test_a_demo_of_a_solution_that_is_wrong_says_so_and_fails(tree: Path) -> None:
    path = tree / "assignment" / "classifiers" / "softmax.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("/ num_train + 0.5 *", "+ 0.5 *"), encoding="utf-8")
    ran = gradkit(tree, "demo")
    assert ran.returncode == 1
    assert "error: " in ran.stderr
    assert "Traceback (most recent call last)" not in ran.stderr


def test_run_notebooks_leaves_a_notebook_alone_that_fails(tree: Path) -> None:
    notebook = tree / "notebooks" / "softmax.ipynb"
    before = notebook.read_bytes()
    (tree / "assignment" / "classifiers" / "softmax.py").write_text("raise SystemError('broken')\n")
    ran = gradkit(tree, "run-notebooks")
    assert ran.returncode == 1
    assert "broken" in ran.stderr
    assert notebook.read_bytes() == before


# --- the command line ----------------------------------------------------------------------------


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
        (["grade", "x", "--jobs", "2", "--scheduler", "tcp://h:1"], "exclude each other"),
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
