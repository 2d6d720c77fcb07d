"""get_datasets.sh finds a Python and its own project, and passes everything through."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cifar10.conftest import NO_SERVER
from tests.trees import copy_tree

BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or BASH is None, reason="needs bash and a POSIX system"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the script and the package, in a folder of an awkward name."""
    return copy_tree(tmp_path / "my project's copy", ["assignment", "datasets"])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working directory with its own package `assignment`, which must not be run."""
    folder = tmp_path / "elsewhere"
    (folder / "assignment").mkdir(parents=True)
    (folder / "assignment" / "__init__.py").touch()
    (folder / "assignment" / "__main__.py").write_text("print('the wrong project')")
    return folder


def stub(path: Path, *, version_is_fine: bool = True) -> Path:
    """Write a Python that answers the check of its version, and else prints its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = f'[ "$1" = -c ] && exit {0 if version_is_fine else 1}'
    path.write_text(f'#!/bin/sh\n{asked}\necho "{path.parent.name}/{path.name}:" "$@"\nexit 7\n')
    path.chmod(0o755)
    return path


def call(
    project: Path, *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    # Should a download start, it must not leave this computer.
    closed = {"CIFAR10_MIRRORS": NO_SERVER, "no_proxy": "*"}
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
    """Return a PATH with dirname and stubs of the named commands only."""
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
        "none.tar.gz cannot be read (No such file or directory). "
        "Give --from the path of cifar-10-python.tar.gz.\n"
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert (project / "datasets" / ".lock").exists(), "the data would go beside the script"
    assert not (elsewhere / "datasets").exists()


def test_wrong_usage_passes_through(project: Path) -> None:
    wrong = call(project, "--from", PYTHON=sys.executable)
    assert wrong.returncode == 2
    assert "expected one argument" in wrong.stderr


@pytest.mark.parametrize(("arguments", "shown"), [(["--from", "a  b"], " --from a  b"), ([], "")])
def test_arguments_and_status_pass_through(arguments: list[str], shown: str, project: Path) -> None:
    python = stub(project / "some where" / "py")
    found = call(project, *arguments, PYTHON=str(python))
    assert found.stdout == f"some where/py: -m assignment data{shown}\n"
    assert found.returncode == 7


def test_the_project_environment_comes_before_other_pythons(project: Path, tmp_path: Path) -> None:
    stub(project / ".venv" / "bin" / "python")
    other = stub(tmp_path / "other" / "python")
    path = with_path(tmp_path, "python3", "python")
    assert call(project, PYTHON=str(other), PATH=path).stdout.startswith("bin/python:")
    shutil.rmtree(project / ".venv")
    assert call(project, PYTHON=str(other), PATH=path).stdout.startswith("other/python:")
    assert call(project, PATH=path).stdout.startswith("bin/python3:")
    (tmp_path / "bin" / "python3").unlink()
    assert call(project, PATH=path).stdout.startswith("bin/python:")


def test_a_missing_python_is_reported(project: Path, tmp_path: Path) -> None:
    found = call(project, PATH=with_path(tmp_path))
    assert found.returncode == 1
    assert "There is no Python here" in found.stderr


def test_an_old_python_is_reported(project: Path, tmp_path: Path) -> None:
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
