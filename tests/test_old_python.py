"""A Python that is too old is reported in a sentence, wherever a student meets it first."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assignment import PROJECT

SENTENCE = "This is Python 3.10, but the assignment needs Python 3.11 or newer. Install one"


@pytest.fixture
def old_python(tmp_path: Path) -> dict[str, str]:
    """An environment in which this Python gives its version as 3.10."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = 3, 10, 4\n")
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    return os.environ | {"PYTHONPATH": path, "PYTHON": sys.executable}


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "assignment", "check"],
        [str(shutil.which("bash")), "get_datasets.sh", "--synthetic"],
    ],
)
def test_a_command_prints_the_sentence_and_no_traceback(
    command: list[str], old_python: dict[str, str], tmp_path: Path
) -> None:
    shutil.copy(PROJECT / "get_datasets.sh", tmp_path)
    (tmp_path / "assignment").symlink_to(PROJECT / "assignment")
    ran = subprocess.run(
        command, check=False, cwd=tmp_path, env=old_python, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(SENTENCE)
    assert ran.stderr.count("\n") == 1


def test_an_import_in_a_notebook_raises_the_sentence(old_python: dict[str, str]) -> None:
    program = "try:\n import assignment.data_utils\nexcept ImportError as error:\n print(error)"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, check=True, env=old_python, capture_output=True, text=True)
    assert ran.stdout.startswith(SENTENCE)


def test_an_older_python_can_read_the_file_that_all_imports_meet_first() -> None:
    ast.parse((PROJECT / "assignment/__init__.py").read_text(encoding="utf-8"), feature_version=8)


def test_the_oldest_python_is_the_same_everywhere() -> None:
    texts = {
        path: (PROJECT / path).read_text(encoding="utf-8")
        for path in ("pyproject.toml", "assignment/__init__.py", "get_datasets.sh")
    }
    oldest = {path: {*re.findall(r"3[., ]+1\d\b", text)} for path, text in texts.items()}
    assert "3.11" in oldest["pyproject.toml"]
    assert oldest["assignment/__init__.py"] == {"3.11", "3, 11"}
    assert oldest["get_datasets.sh"] == {"3.11"}
