"""get_datasets.sh: which Python it finds, from wherever it is called, and that it stays a door."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assignment import PROJECT

BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or BASH is None, reason="needs bash and a POSIX system"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the script and the package, in a folder whose name is awkward on purpose."""
    folder = tmp_path / "my project's copy"
    shutil.copytree(
        PROJECT / "assignment", folder / "assignment", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(PROJECT / "get_datasets.sh", folder)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working directory with a package `assignment` of its own, which must not be run."""
    folder = tmp_path / "elsewhere"
    (folder / "assignment").mkdir(parents=True)
    (folder / "assignment" / "__init__.py").touch()
    (folder / "assignment" / "__main__.py").write_text("print('the wrong project')")
    return folder


def stub(path: Path, *, version_is_fine: bool = True) -> Path:
    """An executable that answers the question for its version, and else says who was called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = f'[ "$1" = -c ] && exit {0 if version_is_fine else 1}'
    path.write_text(f'#!/bin/sh\n{asked}\necho "{path.parent.name}/{path.name}:" "$@"\nexit 7\n')
    path.chmod(0o755)
    return path


def call(
    project: Path, *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    # An address on which nothing listens: should a download start, it must not leave the computer.
    closed = {"CIFAR10_MIRRORS": "http://127.0.0.1:9/", "no_proxy": "*"}
    assert BASH is not None
    return subprocess.run(
        [BASH, str(project / "get_datasets.sh"), *arguments],
        check=False,
        cwd=cwd or project,
        env=inherited | closed | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def with_path(tmp_path: Path, *names: str) -> str:
    """A PATH with dirname and stubs of the named commands on it, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dirname").symlink_to(str(shutil.which("dirname")))
    for name in names:
        stub(folder / name)
    return str(folder)


def test_it_runs_its_own_project_from_another_working_directory(
    project: Path, elsewhere: Path
) -> None:
    found = call(project, "--from", "none.tar.gz", cwd=elsewhere, PYTHON=sys.executable)
    assert found.stderr == (
        "none.tar.gz is not there. Give --from the path of cifar-10-python.tar.gz itself.\n"
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert (project / "datasets").is_dir(), "the data would go beside the script"
    assert not (elsewhere / "datasets").exists()


def test_a_relative_path_is_meant_from_the_working_directory(
    project: Path, elsewhere: Path
) -> None:
    (elsewhere / "page.tar.gz").write_text("<html>")
    found = call(project, "--from", "page.tar.gz", cwd=elsewhere, PYTHON=sys.executable)
    assert "page.tar.gz is a web page" in found.stderr


def test_wrong_usage_and_help_pass_through(project: Path) -> None:
    wrong = call(project, "--from", PYTHON=sys.executable)
    assert wrong.returncode == 2
    assert "expected one argument" in wrong.stderr
    helped = call(project, "--help", PYTHON=sys.executable)
    assert helped.returncode == 0
    assert "--accept-checksum" in helped.stdout


def test_arguments_and_status_pass_through_unchanged(project: Path) -> None:
    python = stub(project / "some where" / "py")
    found = call(project, "--from", "a  b", PYTHON=str(python))
    assert found.stdout == "some where/py: -m assignment data --from a  b\n"
    assert found.returncode == 7


def test_without_arguments_it_is_just_the_command(project: Path) -> None:
    python = stub(project / "bin" / "py")
    assert call(project, PYTHON=str(python)).stdout == "bin/py: -m assignment data\n"


def test_the_environment_of_the_project_comes_first(project: Path, tmp_path: Path) -> None:
    stub(project / ".venv" / "bin" / "python")
    other = stub(tmp_path / "other" / "python")
    path = with_path(tmp_path, "python3", "python")
    assert call(project, PYTHON=str(other), PATH=path).stdout.startswith("bin/python:")
    shutil.rmtree(project / ".venv")
    assert call(project, PYTHON=str(other), PATH=path).stdout.startswith("other/python:")
    assert call(project, PATH=path).stdout.startswith("bin/python3:")
    (tmp_path / "bin" / "python3").unlink()
    assert call(project, PATH=path).stdout.startswith("bin/python:")


def test_no_python_at_all_is_said(project: Path, tmp_path: Path) -> None:
    found = call(project, PATH=with_path(tmp_path))
    assert found.returncode == 1
    assert "There is no Python here" in found.stderr


def test_a_python_that_is_too_old_is_said(project: Path, tmp_path: Path) -> None:
    old = stub(tmp_path / "old" / "python", version_is_fine=False)
    found = call(project, PYTHON=str(old))
    assert (found.returncode, found.stdout) == (1, "")
    assert "is older than Python 3.11" in found.stderr


def test_a_link_to_the_script_leads_to_its_project(project: Path, elsewhere: Path) -> None:
    link = elsewhere / "get_datasets.sh"
    (elsewhere / "hop").symlink_to(project / "get_datasets.sh")
    link.symlink_to("hop")
    python = stub(project / ".venv" / "bin" / "python")
    assert BASH is not None
    command = [BASH, str(link), "--synthetic"]
    ran = subprocess.run(command, check=False, cwd=elsewhere, capture_output=True, text=True)
    assert ran.stdout == f"bin/{python.name}: -m assignment data --synthetic\n"
