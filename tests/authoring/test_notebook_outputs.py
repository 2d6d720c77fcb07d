"""Notebooks that are run: one that fails keeps its stored outputs."""

from pathlib import Path

from tests.authoring.conftest import RunGradkit


def test_notebook_that_fails_is_left_unchanged(course: Path, gradkit: RunGradkit) -> None:
    notebook = course / "notebooks" / "softmax.ipynb"
    before = notebook.read_bytes()
    path = course / "assignment" / "classifiers" / "softmax.py"
    path.write_text("raise SystemError('broken')\n", encoding="utf-8")
    ran = gradkit("run-notebooks", "--exercise", "softmax")
    assert ran.returncode == 1
    assert "broken" in ran.stderr
    assert notebook.read_bytes() == before
