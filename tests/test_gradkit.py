"""The commands of instructors, as far as they are there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assignment import PROJECT


@pytest.fixture
def tree(tmp_path: Path, stand_in: Callable[[Path], None]) -> Path:
    """A copy of the instructor's tree, with the stand-in in it."""
    for name in ("assignment", "gradkit", "notebooks"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    (tmp_path / "datasets").mkdir()
    stand_in(tmp_path / "datasets")
    return tmp_path


def gradkit(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gradkit", *arguments]
    env = os.environ | {"PYTHONPATH": ""}
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)


def test_the_demo_tells_the_whole_story_and_writes_its_page(tree: Path) -> None:
    ran = gradkit(tree, "demo")
    assert ran.returncode == 0, ran.stderr
    story = [
        "1. The data",
        "synthetic stand-in, not CIFAR-10",
        "✓ Naive loss (8 of 8 points)",
        "and -log(0.1) is 2.3026",
        "all 10 together: relative error",
        "times as fast",
        "accuracy: training 0.",
        "lr 1e-06, reg 1.0e+03: training 0.",
        "test accuracy 0.",
        "Everything passed. The whole notebook with its plots:",
    ]
    places = [ran.stdout.find(text) for text in story]
    assert -1 not in places
    assert places == sorted(places)
    page = (tree / "demo" / "softmax.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png') == 8


def test_a_demo_that_goes_wrong_says_so_and_fails(tree: Path) -> None:
    path = tree / "assignment" / "classifiers" / "softmax.py"
    source = path.read_text(encoding="utf-8")
    stub = source.replace("    num_classes = W.shape[1]\n", "    raise NotImplementedError\n")
    path.write_text(stub, encoding="utf-8")
    ran = gradkit(tree, "demo")
    assert ran.returncode == 1
    assert "error: softmax.ipynb did not run to its end" in ran.stderr
    assert "Naive loss: not attempted yet (0 of 8 points)" in ran.stderr
    assert "Traceback (most recent call last)" not in ran.stderr


def test_storing_outputs_leaves_the_notebook_alone_when_it_fails(tree: Path) -> None:
    notebook = tree / "notebooks" / "softmax.ipynb"
    before = notebook.read_bytes()
    (tree / "assignment" / "classifiers" / "softmax.py").write_text("raise SystemError('broken')\n")
    ran = gradkit(tree, "store-outputs")
    assert ran.returncode == 1
    assert "broken" in ran.stderr
    assert notebook.read_bytes() == before


@pytest.mark.parametrize("arguments", [(), ("unknown",), ("demo", "--fast")])
def test_wrong_usage_exits_2(tree: Path, arguments: tuple[str, ...]) -> None:
    ran = gradkit(tree, *arguments)
    assert ran.returncode == 2
    assert "usage: python -m gradkit" in ran.stderr
