"""Google Colab, with a stand-in for its module: the first cell."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assignment.checks.check import load_exercise
from assignment.workspace.regions import read_notebook, source_of

Starter = Callable[[str], Path]
EXERCISE = load_exercise("softmax")


def cell_source(starter: Path, exercise: str, id: str) -> str:
    path = starter / load_exercise(exercise).notebook
    [cell] = [c for c in read_notebook(path.read_text("utf-8"), "")["cells"] if c["id"] == id]
    return source_of(cell)


class Colab:
    """A stand-in for google.colab, whose folder /content is `content`; it counts the uploads."""

    def __init__(self, content: Path, starter: Path) -> None:
        self.content, self.starter = content, starter
        self.archives = [starter.parent / "dist" / f"{starter.name}.zip"]  # chosen for the upload
        self.uploads = 0
        content.mkdir()

    def mount(self, place: str) -> None:
        assert place == str(self.content / "drive")
        (self.content / "drive" / "MyDrive").mkdir(parents=True, exist_ok=True)

    def upload(self) -> dict[str, bytes]:
        self.uploads += 1
        files = {f"{path.stem} (1).zip": path.read_bytes() for path in self.archives}
        for name, content in files.items():
            Path(name).write_bytes(content)
        return files

    def run(self, exercise: str) -> None:
        """Run the first cell of a notebook as in a new kernel."""
        source = cell_source(self.starter, exercise, "colab")
        exec(source.replace("/content", str(self.content)), {})


@pytest.fixture
def colab(tmp_path: Path, starter: Starter, monkeypatch: pytest.MonkeyPatch) -> Colab:
    stand_in = Colab(tmp_path / "content", starter("assignment1-starter"))
    package, module = types.ModuleType("google"), types.ModuleType("google.colab")
    module.__dict__.update(drive=stand_in, files=stand_in)
    package.__dict__["colab"] = module
    monkeypatch.setitem(sys.modules, "google", package)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.chdir(stand_in.content)
    return stand_in


@pytest.mark.parametrize("exercise", ["knn", "softmax", "svm"])
def test_the_first_cell_does_nothing_outside_colab(exercise: str, starter: Starter) -> None:
    names: dict[str, Any] = {"__builtins__": {"__import__": __import__}}
    exec(cell_source(starter("assignment1-starter"), exercise, "colab"), names)
    assert names.keys() - {"__builtins__"} == {"sys"}


@pytest.mark.parametrize("exercise", ["knn", "softmax", "svm"])
def test_the_first_cell_unpacks_the_starter_once_and_the_setup_cell_finds_it(
    exercise: str, colab: Colab, monkeypatch: pytest.MonkeyPatch
) -> None:
    colab.run(exercise)
    monkeypatch.chdir(colab.content)  # a new kernel
    colab.run(exercise)
    assert colab.uploads == 1
    folder = colab.content / "drive" / "MyDrive" / "assignment1-starter (1)"
    assert Path.cwd() == folder / "notebooks"
    finding, _, _ = cell_source(colab.starter, exercise, "setup").partition("sys.path.insert")
    names: dict[str, Any] = {}
    exec(finding, names)
    assert names["project"] == folder


def test_the_first_cell_asks_for_one_folder_where_there_are_several_or_no_zip_was_chosen(
    colab: Colab,
) -> None:
    chosen, colab.archives = colab.archives, []
    with pytest.raises(FileNotFoundError, match=r"^0 folders at the top .* Keep exactly one"):
        colab.run("softmax")
    colab.archives = chosen
    colab.run("softmax")
    drive = colab.content / "drive" / "MyDrive"
    (drive / "older" / "notebooks").mkdir(parents=True)
    (drive / "older" / EXERCISE.notebook).touch()
    with pytest.raises(FileNotFoundError, match=r"^2 folders at the top .*: \[.*'older'"):
        colab.run("softmax")
    assert colab.uploads == 2
