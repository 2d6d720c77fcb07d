"""get_datasets.sh finds a Python and its own project, and passes everything through."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trees import copy_tree

BASH = str(shutil.which("bash"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of an awkward name."""
    return copy_tree(tmp_path / "my project's copy", ["assignment"])


def stub(path: Path) -> str:
    """Write a Python that prints its name and its arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{path.parent.name}/{path.name}:" "$@"\nexit 7\n')
    path.chmod(0o755)
    return str(path)


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the folder in that folder."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        [BASH, str(folder / "get_datasets.sh"), *arguments],
        check=False,
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def path_with(tmp_path: Path, *names: str) -> str:
    """Return a PATH with dirname and stubs of the named commands only."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dirname").symlink_to(str(shutil.which("dirname")))
    for name in names:
        stub(folder / name)
    return str(folder)


def test_a_link_in_another_project_runs_the_package_beside_the_script(
    project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    (other / "assignment").mkdir(parents=True)
    (other / "assignment" / "__init__.py").touch()
    (other / "assignment" / "__main__.py").write_text("print('the wrong project')")
    (other / "hop").symlink_to(project / "get_datasets.sh")
    (other / "get_datasets.sh").symlink_to("hop")
    ran = call(other, "--from", "none.tar.gz", PYTHON=sys.executable)
    assert ran.stderr == (
        "none.tar.gz cannot be read (No such file or directory). "
        "Give --from the path of cifar-10-python.tar.gz.\n"
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert (project / "datasets" / ".lock").exists(), "the data would go beside the script"


@pytest.mark.parametrize(("arguments", "shown"), [(["--from", "a  b"], " --from a  b"), ([], "")])
def test_arguments_and_status_pass_through(arguments: list[str], shown: str, project: Path) -> None:
    ran = call(project, *arguments, PYTHON=stub(project / "some where" / "py"))
    assert (ran.returncode, ran.stdout) == (7, f"some where/py: -m assignment data{shown}\n")


def test_the_project_environment_comes_before_other_pythons(project: Path, tmp_path: Path) -> None:
    stub(project / ".venv" / "bin" / "python")
    other = stub(tmp_path / "other" / "python")
    path = path_with(tmp_path, "python3", "python")
    assert call(project, PYTHON=other, PATH=path).stdout.startswith("bin/python:")
    shutil.rmtree(project / ".venv")
    assert call(project, PYTHON=other, PATH=path).stdout.startswith("other/python:")
    assert call(project, PATH=path).stdout.startswith("bin/python3:")
    (tmp_path / "bin" / "python3").unlink()
    assert call(project, PATH=path).stdout.startswith("bin/python:")


def test_a_missing_python_is_reported(project: Path, tmp_path: Path) -> None:
    missing = call(project, PATH=path_with(tmp_path))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no Python here" in missing.stderr
