"""Small starters and students' projects made from them, for the tests of this room.

A starter is a mapping from paths to texts. These hold a few files of the softmax starter: enough
for a zip file that is accepted, and quick to pack and to read. An edit is a path and a function of
the old text (empty for a file that is not there), for starters and for students' folders alike.
"""

import functools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assignment import PROJECT
from assignment.workspace.regions import (
    Body,
    graft,
    graft_cells,
    read_notebook,
    region_of,
    source_of,
    write_notebook,
)
from assignment.workspace.starter import SCRIPTS, STARTER_MANIFEST, pack_zip, write_manifest
from gradkit.course.starter import starter_files

NAME = "softmax-starter"
SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR = "assignment/classifiers/linear_classifier.py"
VIS = "assignment/vis_utils.py"
NOTEBOOK = "notebooks/softmax.ipynb"
SCRIPT = "get_datasets.sh"
DATA_README = "datasets/README.md"

Edit = tuple[str, Callable[[str], str]]

CODE = {
    SOFTMAX: {
        "softmax_naive": "loss = 1.0 + min(1, 2)\n",
        "softmax_vectorized": "# mine\nloss = 2\n",
    },
    LINEAR: {"train_batch": "\nX_batch, y_batch = X[:9], y[:9]\n", "predict": "y_pred = X[:, 0]\n"},
}
ANSWERS = {
    "answer_initial_loss": "**Your answer:** Because of chance: é, 10%.",
    "tuning": "# My own way, without the markers\nresults = {}\nbest_val = 1.0",
}


@functools.cache
def whole_starter() -> Mapping[str, bytes]:
    """Return the softmax starter of this tree, manifest included, by path."""
    return starter_files(PROJECT, ["softmax"])


def make_starter(*edits: Edit, release: str = "1.0", name: str = NAME) -> dict[str, str]:
    """Return a small starter with these edits, manifest included, by path."""
    kept = (SOFTMAX, LINEAR, VIS, NOTEBOOK, "README.md", SCRIPT, DATA_README)
    texts = {path: whole_starter()[path].decode() for path in kept}
    for path, change in edits:
        texts[path] = changed(texts.get(path, ""), change)
    version = f"{release}+{zlib.crc32(str(texts).encode()):010x}"
    texts[STARTER_MANIFEST] = write_manifest(name, ["softmax"], version, texts)
    return texts


def pack(place: Path, starter: Mapping[str, str]) -> Path:
    """Write the zip file of a starter to `place`, and return its path."""
    place.write_bytes(pack_zip({path: text.encode() for path, text in starter.items()}))
    return place


def changed(text: str, change: Callable[[str], str]) -> str:
    after = change(text)
    assert after != text
    return after


def edit(project: Path, *edits: Edit) -> None:
    """Apply edits to files of a student's project; a lone surrogate writes a byte."""
    for path, change in edits:
        before = (project / path).read_text() if (project / path).exists() else ""
        after = changed(before, change).encode(errors="surrogateescape")
        (project / path).write_bytes(after)


def replace(path: str, old: str, new: str) -> Edit:
    return path, lambda text: text.replace(old, new)


def edit_cells(change: Callable[[list[Any]], object]) -> Edit:
    """Return an edit of the notebook's list of cells, which `change` changes in place."""

    def apply(text: str) -> str:
        nb = read_notebook(text, NOTEBOOK)
        change(nb["cells"])
        return write_notebook(nb)

    return NOTEBOOK, apply


def edit_cell(region: str, **fields: Any) -> Edit:
    """Return an edit of the cell of a region: these fields of it, or functions of its source."""

    def apply(cells: list[Any]) -> None:
        cell = cells[find_cell(cells, region)]
        for key, value in fields.items():
            cell[key] = value(source_of(cell)) if callable(value) else value

    return edit_cells(apply)


def find_cell(cells: list[Any], region: str) -> int:
    [number] = [number for number, cell in enumerate(cells) if region_of(cell) == region]
    return number


def text_cell(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "added", "metadata": {}, "source": text}


def unpack(folder: Path, starter: Mapping[str, str | bytes]) -> Path:
    """Write the files of a starter into `folder`, as unpacking its zip file does."""
    for path, content in starter.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
        if path in SCRIPTS:
            (folder / path).chmod(0o755)
    return folder


def solve(project: Path) -> Path:
    """Put CODE and ANSWERS into the regions of a project."""
    for path, texts in CODE.items():
        fill(project / path, texts)
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    (project / NOTEBOOK).write_text(write_notebook(graft_cells(nb, ANSWERS, NOTEBOOK)))
    return project


def fill(path: Path, texts: Mapping[str, str]) -> None:
    """Put lines of code into regions of a file, by name, at the indentation of the region."""
    bodies = {name: Body(text, "", "\n") for name, text in texts.items()}
    path.write_text(graft(path.read_text(), bodies, path.name))


def snapshot(project: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and modification time of all files of a project, by path."""
    return {
        path.relative_to(project).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


def contents(project: Path) -> dict[str, bytes]:
    """Return the contents of all files of a project, except its backups, by path."""
    return {
        path: content
        for path, (content, _) in snapshot(project).items()
        if not path.startswith("backup-")
    }


def backups(project: Path) -> list[str]:
    """Return the paths of all files in backup folders."""
    return [path for path in snapshot(project) if path.startswith("backup-")]


def code_cell(source: str, **gradkit: str) -> dict[str, Any]:
    """Return a cell of code with these metadata, such as its region or its role."""
    metadata = {"gradkit": gradkit} if gradkit else {}
    cell = {"cell_type": "code", "id": "added", "metadata": metadata, "source": source}
    return {**cell, "outputs": [], "execution_count": None}


def tune(body: str) -> Edit:
    """Return an edit that puts code between the markers of the cell `tuning`."""
    lines = ["results = {}", "### START OF YOUR CODE: tuning", body, "### END OF YOUR CODE", ""]
    return edit_cell("tuning", source="\n".join(lines))
