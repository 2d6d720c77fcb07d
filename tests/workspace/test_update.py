"""A student's project is brought to a newer starter, and nothing of the student's is ever lost."""

import contextlib
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from assignment import PROJECT
from assignment.workspace.regions import (
    extract,
    extract_cells,
    graft,
    graft_cells,
    read_notebook,
    region_of,
    source_of,
    write_notebook,
)
from assignment.workspace.starter import STARTER_MANIFEST, StarterError, read_manifest, read_zip
from assignment.workspace.update import UpdateError, update
from gradkit.course.starter import starter_files
from gradkit.release.build import zipped

NAME = "softmax-starter"
NOTEBOOK = "notebooks/softmax.ipynb"
SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR = "assignment/classifiers/linear_classifier.py"
VIS = "assignment/vis_utils.py"

Change = Callable[[Path], object]


# --- starters ------------------------------------------------------------------------------------


def make_starter(folder: Path, *changes: Change) -> Path:
    """The zip file of a starter, built from a copy of the tree with these changes.

    It is not proved as `release` proves one: a changed tree need not fit the bank of mistakes.
    """
    tree = folder / "tree"
    litter = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", "*.npz")
    for name in ("assignment", "grading", "notebooks", "docs", "datasets"):
        shutil.copytree(PROJECT / name, tree / name, ignore=litter)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, tree)
    for change in changes:
        change(tree)
    archive = folder / f"{NAME}.zip"
    archive.write_bytes(zipped(starter_files(tree, ["softmax"])))
    return archive


def edit(name: str, change: Callable[[str], str]) -> Change:
    def apply(tree: Path) -> None:
        before = (tree / name).read_text()
        after = change(before)
        assert after != before
        (tree / name).write_text(after)

    return apply


def replace(name: str, old: str, new: str) -> Change:
    return edit(name, lambda text: text.replace(old, new))


def edit_notebook(change: Callable[[list[Any]], object], name: str = NOTEBOOK) -> Change:
    """Change a notebook's list of cells."""

    def apply(tree: Path) -> None:
        nb = read_notebook((tree / name).read_text(), name)
        change(nb["cells"])
        (tree / name).write_text(write_notebook(nb))

    return apply


def text_cell(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "added", "metadata": {}, "source": text}


def swap_functions(text: str) -> str:
    head, first, second = text.split("\n\n\ndef ")
    return f"{head}\n\n\ndef {second.rstrip()}\n\n\ndef {first}\n"


def indent_naive(text: str) -> str:
    """Put the first region one level deeper, under an `if`."""
    start = text.index("    ### BEGIN SOLUTION softmax_naive")
    end = text.index("\n\n    return loss, dW", start)
    deeper = text[start:end].replace("\n    ", "\n        ")
    return f"{text[:start]}    if True:\n    {deeper}{text[end:]}"


NEWER: dict[str, Change] = {
    "a TODO is worded anew": replace(
        SOFTMAX, "# TODO: Compute the loss", "# TODO: Work out the loss"
    ),
    "regions in another order": edit(SOFTMAX, swap_functions),
    "a region at another depth": edit(SOFTMAX, indent_naive),
    "a helper in a file of the course": edit(VIS, lambda text: text + "\n\nHELPER = 1\n"),
    "a new file": lambda tree: (tree / "assignment/extra.py").write_text("EXTRA = 1\n"),
    "a cell is added": edit_notebook(lambda cells: cells.insert(3, text_cell("A new hint."))),
    "cells in another order": edit_notebook(lambda cells: cells.append(cells.pop(12))),
    "a text is changed": replace(NOTEBOOK, "## 1. The data", "## 1. The pictures"),
    "a question is worded anew": replace(NOTEBOOK, "Why does the error grow", "Why may it grow"),
    "a TODO in a cell": replace(NOTEBOOK, "# TODO: Train a Softmax", "# TODO: Now train a Softmax"),
    "another README": edit("docs/README-students.md", lambda text: text + "\nNew.\n"),
    "another script": edit("get_datasets.sh", lambda text: text + "\n# new\n"),
}


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gone = {"assignment/old_helper.py": "OLD = 1\n"}
    gone["assignment/old_task.py"] = (
        "### BEGIN SOLUTION old_task\nx = secret(1)\n### END SOLUTION\n"
    )

    def add(tree: Path) -> None:
        for name, text in gone.items():
            (tree / name).write_text(text)

    return make_starter(tmp_path_factory.mktemp("older"), add)


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starter in which everything has changed that can."""
    return make_starter(tmp_path_factory.mktemp("newer"), *NEWER.values())


# --- students ------------------------------------------------------------------------------------

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


def student(folder: Path, archive: Path, *, solved: bool = True) -> Path:
    """A student's project: the unpacked starter, with their code and answers in it."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    (folder / "get_datasets.sh").chmod(0o755)
    if solved:
        for name, texts in CODE.items():
            solve(folder / name, texts)
        nb = read_notebook((folder / NOTEBOOK).read_text(), NOTEBOOK)
        (folder / NOTEBOOK).write_text(write_notebook(graft_cells(nb, ANSWERS, NOTEBOOK)))
    return folder


def solve(path: Path, texts: Mapping[str, str]) -> None:
    source = path.read_text()
    bodies = extract(source, path.name)
    for name, text in texts.items():
        indent = bodies[name].indent
        body = "".join(f"{indent}{line}\n" if line else "\n" for line in text.splitlines())
        bodies[name] = type(bodies[name])(body, indent, "\n")
    path.write_text(graft(source, bodies, path.name))


def require_solved(project: Path) -> None:
    """Assert that the student's code and answers stand in their regions."""
    for name, texts in CODE.items():
        bodies = extract((project / name).read_text(), name)
        for region, text in texts.items():
            lines = [
                line.removeprefix(bodies[region].indent) for line in bodies[region].text.split("\n")
            ]
            assert "\n".join(lines) == text
    cells = extract_cells(read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK), NOTEBOOK)
    assert {name: cells[name] for name in ANSWERS} == ANSWERS


def snapshot(project: Path) -> dict[str, tuple[bytes, float]]:
    return {
        path.relative_to(project).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


def backups(project: Path) -> list[str]:
    return [
        path.relative_to(project).as_posix()
        for path in sorted(project.glob("backup-*/**/*"))
        if path.is_file()
    ]


def require_up_to_date(archive: Path, project: Path) -> None:
    before = snapshot(project)
    assert update(archive, project).startswith("Already up to date: softmax-starter 1.0+")
    assert snapshot(project) == before


def require_refused(archive: Path, project: Path) -> str:
    before = snapshot(project)
    with pytest.raises(UpdateError) as caught:
        update(archive, project)
    assert snapshot(project) == before
    return str(caught.value)


# --- the work survives ---------------------------------------------------------------------------


def test_the_same_starter_changes_nothing(tmp_path: Path, older: Path) -> None:
    project = student(tmp_path, older)
    require_up_to_date(older, project)
    assert backups(project) == []


@pytest.mark.parametrize("change", NEWER.values(), ids=NEWER)
def test_work_survives_a_change(tmp_path: Path, change: Change) -> None:
    project = student(tmp_path / "student", make_starter(tmp_path / "old"))
    archive = make_starter(tmp_path / "new", change)
    told = update(archive, project)
    require_solved(project)
    assert backups(project) == []
    assert " → " in told.splitlines()[0]
    require_up_to_date(archive, project)
    # What is not the student's is the new starter's.
    fresh = student(tmp_path / "fresh", archive)
    assert {name: text for name, (text, _) in snapshot(project).items()} == {
        name: text for name, (text, _) in snapshot(fresh).items()
    }


def test_work_survives_all_changes_at_once(tmp_path: Path, older: Path, newer: Path) -> None:
    project = student(tmp_path / "student", older)
    versions = [
        read_manifest(zipfile.ZipFile(x).read(STARTER_MANIFEST).decode()).version
        for x in (older, newer)
    ]
    told = update(newer, project)
    require_solved(project)
    require_up_to_date(newer, project)
    assert backups(project) == []
    assert told.startswith(f"{NAME}: {versions[0]} → {versions[1]}\n")
    assert f"updated, with your softmax_naive, softmax_vectorized in it: {SOFTMAX}" in told
    assert "new: assignment/extra.py" in told
    assert "removed, since the new starter does not have it: assignment/old_helper.py" in told
    assert "close it without saving and open it again" in told
    fresh = student(tmp_path / "fresh", newer)
    for name in ("README.md", "get_datasets.sh", VIS, SOFTMAX, NOTEBOOK, STARTER_MANIFEST):
        assert (project / name).read_bytes() == (fresh / name).read_bytes()
    assert (project / "get_datasets.sh").stat().st_mode & 0o777 == 0o755


def test_the_command_says_what_it_did(tmp_path: Path, older: Path, newer: Path) -> None:
    project = student(tmp_path, older)
    command = [sys.executable, "-m", "assignment", "update"]
    run = {"cwd": project, "env": os.environ | {"PYTHONPATH": ""}, "capture_output": True}
    for archive, status, words in (
        (newer, 0, "softmax-starter: 1.0+"),
        (newer, 0, "Already up to date"),
        (project / "README.md", 1, "is no zip file, or a damaged one"),
    ):
        ran = subprocess.run([*command, str(archive)], **run, encoding="utf-8", check=False)  # type: ignore[call-overload]
        assert ran.returncode == status
        assert words in (ran.stderr if status else ran.stdout)
        assert "Traceback" not in ran.stderr
    assert subprocess.run(command, **run, check=False).returncode == 2  # type: ignore[call-overload]
    require_solved(project)


def test_a_file_with_nothing_new_stays_as_it_is_in_every_byte(tmp_path: Path, older: Path) -> None:
    project = student(tmp_path / "student", older)
    nb = json.loads((project / NOTEBOOK).read_text())
    nb["cells"][1] |= {"execution_count": 7, "outputs": [{"output_type": "stream", "text": "a"}]}
    nb["metadata"]["language_info"] = {"name": "python", "version": "3.12.1"}
    (project / NOTEBOOK).write_text(json.dumps(nb, indent=3))
    (project / SOFTMAX).write_bytes((project / SOFTMAX).read_bytes().replace(b"\n", b"\r\n"))
    before = {name: (project / name).read_bytes() for name in (NOTEBOOK, SOFTMAX)}
    told = update(make_starter(tmp_path, NEWER["a helper in a file of the course"]), project)
    assert f"updated: {VIS}" in told
    assert {name: (project / name).read_bytes() for name in before} == before


def test_a_stub_that_nobody_touched_takes_the_new_wording(tmp_path: Path, older: Path) -> None:
    archive = make_starter(tmp_path, NEWER["a TODO in a cell"])
    project = student(tmp_path / "student", older, solved=False)
    nb = json.loads((project / NOTEBOOK).read_text())
    nb["cells"][1] |= {"execution_count": 7, "outputs": []}
    (project / NOTEBOOK).write_text(json.dumps(nb))
    update(archive, project)
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    assert "# TODO: Now train a Softmax" in extract_cells(nb, NOTEBOOK)["tuning"]
    assert nb["cells"][1]["execution_count"] == 7  # and the rest stays as it was
    assert backups(project) == []
    require_up_to_date(archive, project)


def test_windows_line_endings_are_no_change(tmp_path: Path, older: Path, newer: Path) -> None:
    project = student(tmp_path, older)
    for name in (*CODE, "README.md", VIS):
        (project / name).write_bytes((project / name).read_bytes().replace(b"\n", b"\r\n"))
    update(newer, project)
    require_solved(project)
    assert backups(project) == []


def test_a_notebook_with_a_byte_order_mark_is_updated(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    project = student(tmp_path, older)
    (project / NOTEBOOK).write_bytes(b"\xef\xbb\xbf" + (project / NOTEBOOK).read_bytes())
    update(newer, project)
    require_solved(project)
    assert backups(project) == []
    json.loads((project / NOTEBOOK).read_text())  # it has none any more, so Jupyter opens it


def test_split_cells_and_pasted_pictures_come_along(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    def change(cells: list[Any]) -> None:
        at = next(
            i
            for i, c in enumerate(cells)
            if "gradkit" in c["metadata"] and "region" in c["metadata"]["gradkit"]
        )
        second = json.loads(json.dumps(cells[at])) | {"id": "second", "source": "![](a.png)"}
        second["attachments"] = {"a.png": {"image/png": "aaaa"}}
        cells.insert(at + 1, second)

    project = student(tmp_path, older)
    edit_notebook(change)(project)
    update(newer, project)
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    answer = ANSWERS["answer_initial_loss"] + "\n![](a.png)"
    [cell] = [cell for cell in nb["cells"] if source_of(cell) == answer]
    assert cell["attachments"] == {"a.png": {"image/png": "aaaa"}}
    assert backups(project) == []


@pytest.mark.parametrize(
    ("name", "other", "link", "form"),
    [
        ("image.png", "image-2.png", "![](attachment:{})", str),
        ("my é.png", "my é-2.png", "![](attachment:{})", quote),
        ("my é.png", "my é-2.png", "![](<attachment:{}>)", str),
        ("image", "image-2", '<img src="attachment:{}">', str),
    ],
)
def test_pictures_of_one_name_in_the_cells_of_an_answer_all_come_along(
    tmp_path: Path, older: Path, name: str, other: str, link: str, form: Callable[[str], str]
) -> None:
    first, second = ({"image/png": letter} for letter in "ab")

    def split(cells: list[Any]) -> None:
        [at] = [i for i, cell in enumerate(cells) if region_of(cell) == "answer_step"]
        for picture in (second, second, first):  # the second half was copied once more
            text = f"Not attachment:{name}.bak, but {link.format(form(name))}"
            half = {**cells[at], "source": text, "attachments": {name: picture}}
            cells.insert(at + 1, half)
        cells.pop(at)

    project = student(tmp_path / "student", older)
    edit_notebook(split)(project)
    update(make_starter(tmp_path, NEWER["a text is changed"]), project)
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    [cell] = [cell for cell in nb["cells"] if region_of(cell) == "answer_step"]
    assert source_of(cell).split("\n") == [
        f"Not attachment:{name}.bak, but {link.format(form(x))}" for x in (name, other, other)
    ]
    assert cell["attachments"] == {name: first, other: second}
    assert backups(project) == []


def test_a_picture_is_an_answer_without_a_word_to_it(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    pictures = {"image.png": {"image/png": "aaaa"}}

    def paste(cells: list[Any]) -> None:
        [cell] = [cell for cell in cells if region_of(cell) == "answer_step"]
        cell["attachments"] = pictures

    project = student(tmp_path, older, solved=False)
    edit_notebook(paste)(project)
    update(newer, project)
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    assert [c["attachments"] for c in nb["cells"] if region_of(c) == "answer_step"] == [pictures]


def test_what_the_student_changed_and_the_course_did_not_stays(tmp_path: Path, older: Path) -> None:
    archive = make_starter(tmp_path, NEWER["a new file"], NEWER["a TODO in a cell"])
    project = student(tmp_path / "student", older, solved=False)
    replace(SOFTMAX, "import numpy as np\n", "import numpy as np\n\ndef mine(): ...\n")(project)
    edit_notebook(lambda cells: cells.insert(5, text_cell("My notes.")))(project)
    (project / "README.md").write_bytes(b"caf\xe9")
    before = {name: (project / name).read_bytes() for name in (SOFTMAX, "README.md")}
    told = update(archive, project)
    assert {name: (project / name).read_bytes() for name in before} == before
    notebook = (project / NOTEBOOK).read_text()
    assert "My notes." in notebook
    assert "# TODO: Now train a Softmax" in notebook  # a stub that nobody had touched
    assert backups(project) == []
    left = f"Changed by you, not by the course, and left so: README.md, {SOFTMAX}, {NOTEBOOK}"
    assert left in told
    assert left in update(archive, project)


# --- the course's lines in a cell of the student's code ------------------------------------------

FIX = replace(NOTEBOOK, "best_val = -1.0", "best_val = -np.inf")
MINE = "for mine in range(3):\n    best_val = mine"


def edit_tuning(change: Callable[[str], str]) -> Change:
    """Change the text of the cell `tuning`."""

    def apply(cells: list[Any]) -> None:
        [cell] = [cell for cell in cells if region_of(cell) == "tuning"]
        before = source_of(cell)
        cell["source"] = change(before)
        assert cell["source"] != before

    return edit_notebook(apply)


def tuned(folder: Path, archive: Path) -> Path:
    """A student's project with their code between the markers of the cell `tuning`."""
    project = student(folder, archive, solved=False)
    edit_tuning(lambda text: text.replace('raise NotImplementedError("tuning")', MINE))(project)
    return project


def tuning(project: Path) -> str:
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    return extract_cells(nb, NOTEBOOK)["tuning"]


@pytest.mark.parametrize("besides", ["nothing", "a text is changed"])
def test_a_fix_above_the_markers_of_a_cell_arrives(
    tmp_path: Path, older: Path, besides: str
) -> None:
    changes = [FIX] if besides == "nothing" else [FIX, NEWER[besides]]
    archive = make_starter(tmp_path, *changes)
    project = tuned(tmp_path / "student", older)
    before = tuning(project)
    told = update(archive, project)
    assert tuning(project) == before.replace("best_val = -1.0", "best_val = -np.inf")
    assert MINE in tuning(project)
    assert f"updated, with your tuning in it: {NOTEBOOK}" in told
    assert backups(project) == []
    require_up_to_date(archive, project)


def test_a_fix_arrives_in_a_cell_that_was_split(tmp_path: Path, older: Path) -> None:
    def split(cells: list[Any]) -> None:
        [at] = [i for i, cell in enumerate(cells) if region_of(cell) == "tuning"]
        head, tail = source_of(cells[at]).split("\n    best_val = mine", 1)
        cells.insert(at + 1, {**cells[at], "source": "    best_val = mine" + tail})
        cells[at]["source"] = head

    project = tuned(tmp_path / "student", older)
    before = tuning(project)
    edit_notebook(split)(project)
    assert tuning(project) == before
    update(make_starter(tmp_path, FIX), project)
    assert tuning(project) == before.replace("best_val = -1.0", "best_val = -np.inf")
    assert backups(project) == []


def test_outputs_that_a_fix_takes_away_are_kept(tmp_path: Path, older: Path) -> None:
    project = tuned(tmp_path / "student", older)
    edit_notebook(lambda cells: [c.update(outputs=["x"]) for c in cells if "outputs" in c])(project)
    told = update(make_starter(tmp_path, FIX), project)
    assert "best_val = -np.inf" in tuning(project)
    assert backups(project) == [f"backup-1/{NOTEBOOK}"]
    assert f"  {NOTEBOOK}: it has outputs, and the new one has to be run first" in told


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "mine = 1\n" + text,
        lambda text: text + "\nmine = 1",
        lambda text: text.replace("best_val = -1.0", "best_val = -2.0; mine = 1"),
    ],
)
def test_a_change_outside_the_markers_of_a_cell_is_kept_as_a_copy(
    tmp_path: Path, older: Path, change: Callable[[str], str]
) -> None:
    project = tuned(tmp_path / "student", older)
    before = tuning(project)
    edit_tuning(change)(project)
    told = update(make_starter(tmp_path, FIX), project)
    assert tuning(project) == before.replace("best_val = -1.0", "best_val = -np.inf")
    assert backups(project) == [f"backup-1/{NOTEBOOK}"]
    assert "mine = 1" in tuning(project / "backup-1")
    assert f"  {NOTEBOOK}: you had changed the lines outside the markers of tuning" in told


def test_a_change_outside_the_markers_stays_if_the_course_has_not_changed_that_cell(
    tmp_path: Path, older: Path
) -> None:
    project = tuned(tmp_path / "student", older)
    edit_tuning(lambda text: "mine = 1\n" + text)(project)
    before = tuning(project)
    update(make_starter(tmp_path, NEWER["a text is changed"]), project)
    assert tuning(project) == before
    assert backups(project) == []


def test_a_fix_that_the_student_has_made_already_changes_nothing(
    tmp_path: Path, older: Path
) -> None:
    project = tuned(tmp_path / "student", older)
    FIX(project)
    before = (project / NOTEBOOK).read_bytes()
    update(make_starter(tmp_path, FIX), project)
    assert (project / NOTEBOOK).read_bytes() == before
    assert backups(project) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("### END OF YOUR CODE", ""),
        lambda text: text.replace("### START", "## START"),
        lambda text: text.replace("YOUR CODE: tuning", "YOUR CODE: mine"),
        lambda text: f"{text}\n{text}",
        lambda text: MINE,
    ],
    ids=["no end", "damaged", "renamed", "copied", "none"],
)
@pytest.mark.parametrize("besides", ["nothing", "a text is changed"])
def test_a_cell_without_its_markers_is_left_whole_and_the_fix_is_told(
    tmp_path: Path, older: Path, change: Callable[[str], str], besides: str
) -> None:
    changes = [FIX] if besides == "nothing" else [FIX, NEWER[besides]]
    archive = make_starter(tmp_path, *changes)
    project = tuned(tmp_path / "student", older)
    edit_tuning(change)(project)
    before = tuning(project)
    told = update(archive, project)
    assert tuning(project) == before
    assert f"{NOTEBOOK}: the course has changed its own lines in the cell tuning" in told
    assert backups(project) == []
    assert "its own lines" not in update(archive, project)  # once is enough
    require_up_to_date(archive, project)


def test_without_a_record_the_lines_outside_the_markers_are_kept_as_a_copy(
    tmp_path: Path, older: Path
) -> None:
    project = tuned(tmp_path / "student", older)
    (project / STARTER_MANIFEST).unlink()
    told = update(make_starter(tmp_path, FIX), project)
    assert "best_val = -np.inf" in tuning(project)
    assert backups(project) == [f"backup-1/{NOTEBOOK}"]
    assert f"  {NOTEBOOK}: it differs from the new one, and nothing tells which of the two" in told


# --- what has no place in the new files ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (
            SOFTMAX,
            replace(SOFTMAX, "import numpy as np\n", "import numpy as np\n\ndef mine(): ...\n"),
            "you had changed it outside your regions",
        ),
        (
            NOTEBOOK,
            edit_notebook(lambda cells: cells.insert(5, text_cell("My notes."))),
            "you had changed it outside your cells",
        ),
        (
            NOTEBOOK,
            edit_notebook(lambda cells: cells[1].update(outputs=[{"output_type": "stream"}])),
            "it has outputs, and the new one has to be run first",
        ),
        ("README.md", replace("README.md", "# The", "# My notes on the"), "you had changed it"),
        (VIS, replace(VIS, "import", "import io\nimport"), "you had changed it"),
        (
            "assignment/extra.py",
            lambda project: (project / "assignment/extra.py").write_text("MINE = 1\n"),
            "it differs from the new one, and nothing tells which of the two changed",
        ),
    ],
)
def test_what_was_changed_outside_is_kept_as_a_copy(
    tmp_path: Path, older: Path, newer: Path, name: str, change: Change, reason: str
) -> None:
    project = student(tmp_path, older)
    change(project)
    before = (project / name).read_bytes()
    told = update(newer, project)
    require_solved(project)
    assert backups(project) == [f"backup-1/{name}"]
    assert (project / "backup-1" / name).read_bytes() == before
    assert f"kept in backup-1:\n  {name}: {reason}" in told
    require_up_to_date(newer, project)


def test_a_region_that_the_new_starter_has_not_is_kept(tmp_path: Path, older: Path) -> None:
    archive = make_starter(tmp_path, replace(SOFTMAX, "SOLUTION softmax_naive", "SOLUTION loops"))
    project = student(tmp_path / "student", older)
    told = update(archive, project)
    assert f"  {SOFTMAX}: the new one has no place for softmax_naive" in told
    kept = (project / "backup-1" / SOFTMAX).read_text()
    assert CODE[SOFTMAX]["softmax_naive"].strip() in kept
    bodies = extract((project / SOFTMAX).read_text(), SOFTMAX)
    assert bodies["loops"].text.strip() == 'raise NotImplementedError("loops")'
    assert "# mine" in bodies["softmax_vectorized"].text
    require_up_to_date(archive, project)


def test_each_run_has_a_folder_of_its_own(tmp_path: Path, older: Path, newer: Path) -> None:
    project = student(tmp_path, older)
    (project / "backup-1").write_text("a file of that name")
    (project / "README.md").write_text("first")
    update(newer, project)
    (project / "README.md").write_text("second")
    update(older, project)
    assert backups(project) == ["backup-2/README.md", "backup-3/README.md"]
    assert (project / "backup-2/README.md").read_text() == "first"
    assert (project / "backup-3/README.md").read_text() == "second"


LIST = '{"starter": "softmax-starter", "exercises": [], "version": "1", "skeletons": [[1, 2]]}'


@pytest.mark.parametrize("record", [None, "", "{}", '{"starter": 1}', LIST, "[" * 10**5, "\udcff"])
def test_without_a_record_all_that_differs_is_kept(
    tmp_path: Path, older: Path, newer: Path, record: str | None
) -> None:
    project = student(tmp_path, older)
    if record is None:
        (project / STARTER_MANIFEST).unlink()
    else:
        (project / STARTER_MANIFEST).write_bytes(record.encode(errors="surrogateescape"))
    told = update(newer, project)
    require_solved(project)
    assert told.startswith(f"{NAME}: an unknown version → 1.0+")
    kept = {name.removeprefix("backup-1/") for name in backups(project)}
    assert {SOFTMAX, NOTEBOOK, VIS, "README.md"} <= kept
    assert "assignment/install.py" not in kept
    require_up_to_date(newer, project)


def test_a_record_that_names_files_elsewhere_is_not_believed(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    project = student(tmp_path / "student", older)
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    record = json.loads((project / STARTER_MANIFEST).read_text())
    record["skeletons"]["../mine.txt"] = (
        "7ad5ed74a10a3b3e0d6a1c2d5cbd2c2a3a2a1b8d4bd1bd4a3a8a2c5b9ad1ce5d"
    )
    (project / STARTER_MANIFEST).write_text(json.dumps(record))
    assert "an unknown version" in update(newer, project)
    assert mine.read_text() == "mine"


def test_old_files_go_unless_there_is_work_in_them(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    untouched, changed = (student(tmp_path / name, older) for name in ("untouched", "changed"))
    (changed / "assignment/old_helper.py").write_text("OLD = 2\n")
    solve(changed / "assignment/old_task.py", {"old_task": "x = 1\n"})
    update(newer, untouched)
    told = update(newer, changed)
    for name in ("assignment/old_helper.py", "assignment/old_task.py"):
        assert not (untouched / name).exists()
        assert (changed / name).exists()
        assert f"{name} is no part of the new starter. It stays: you changed it." in told
    require_up_to_date(newer, changed)


def test_what_belongs_to_no_starter_is_left_alone(tmp_path: Path, older: Path, newer: Path) -> None:
    project = student(tmp_path, older)
    for name in (
        "datasets/cifar-10-batches-py/test_batch",
        "notebooks/best_softmax.npz",
        "notebooks/.ipynb_checkpoints/softmax-checkpoint.ipynb",
        ".venv/pyvenv.cfg",
        "assignment/my_helpers.py",
        "my notes.txt",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine")
    before = {name: now for name, now in snapshot(project).items() if now[0] == b"mine"}
    update(newer, project)
    after = snapshot(project)
    assert {name: after[name] for name in before} == before


def test_a_file_that_is_missing_comes_back(tmp_path: Path, older: Path) -> None:
    project = student(tmp_path, older)
    shutil.rmtree(project / "assignment/checks")
    (project / VIS).unlink()
    update(older, project)
    assert (project / VIS).is_file()
    assert (project / "assignment/checks/softmax.json").is_file()


# --- what stops it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            replace(SOFTMAX, "### END OF YOUR CODE", "### END OF MY CODE"),
            f"{SOFTMAX}, line 78: region 'softmax_vectorized' begins inside region",
        ),
        (replace(LINEAR, "### START OF", "### STRAT OF"), f"{LINEAR}, line "),
        (replace(NOTEBOOK, '"cells": [', '"cells": '), f"{NOTEBOOK} is not a notebook"),
        (
            lambda project: (project / SOFTMAX).write_bytes(b"\n# caf\xe9"),
            f"{SOFTMAX}, line 2: the byte 0xe9 is not UTF-8",
        ),
    ],
)
def test_a_file_that_cannot_be_made_out_stops_it(
    tmp_path: Path, older: Path, newer: Path, change: Change, words: str
) -> None:
    project = student(tmp_path, older)
    change(project)
    told = require_refused(newer, project)
    assert words in told
    assert told.endswith("Nothing was changed. Run the update again after that.")


def test_a_folder_in_the_place_of_a_file_and_the_other_way_round(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    project = student(tmp_path, older)
    (project / VIS).unlink()
    (project / VIS).mkdir()
    assert "vis_utils.py is not a file" in require_refused(newer, project)
    (project / VIS).rmdir()
    shutil.rmtree(project / "assignment/checks")
    (project / "assignment/checks").touch()
    assert "checks is a file, but the starter has a folder" in require_refused(newer, project)
    (project / "assignment/checks").unlink()
    (project / STARTER_MANIFEST).unlink()
    (project / STARTER_MANIFEST).mkdir()
    assert "starter.json is not a file" in require_refused(newer, project)


@pytest.mark.parametrize(
    "name", ["assignment", "notebooks", SOFTMAX, NOTEBOOK, STARTER_MANIFEST, "README.md"]
)
def test_nothing_is_written_through_a_link(
    tmp_path: Path, older: Path, newer: Path, name: str
) -> None:
    project = student(tmp_path / "student", older)
    outside = tmp_path / "outside"
    (project / name).rename(outside)
    (project / name).symlink_to(outside)
    assert f"{project / name} is a link" in require_refused(newer, project)


def test_a_link_at_the_place_of_a_new_file_is_not_followed(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    project = student(tmp_path / "student", older)
    (project / "assignment/extra.py").symlink_to(tmp_path / "outside.py")  # leads nowhere yet
    with pytest.raises(UpdateError, match=r"extra\.py is not a file"):
        update(newer, project)
    assert not (tmp_path / "outside.py").exists()
    (project / "assignment/extra.py").unlink()
    (tmp_path / "outside.py").write_text("mine")
    (project / "assignment/.extra.py.update").symlink_to(tmp_path / "outside.py")
    update(newer, project)
    assert (tmp_path / "outside.py").read_text() == "mine"


def test_the_data_may_lie_behind_a_link(tmp_path: Path, older: Path) -> None:
    archive = make_starter(tmp_path, edit("datasets/README.md", lambda text: text + "\nNew.\n"))
    project = student(tmp_path / "student", older)
    (project / "datasets").rename(tmp_path / "disk")
    (project / "datasets").symlink_to(tmp_path / "disk")
    before = (tmp_path / "disk/README.md").read_bytes()
    told = update(archive, project)
    assert "datasets/README.md was left alone, since datasets is a link." in told
    assert (tmp_path / "disk/README.md").read_bytes() == before
    require_up_to_date(archive, project)


def test_another_starter_and_the_instructors_tree_are_refused(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    project = student(tmp_path / "student", older)
    record = json.loads((project / STARTER_MANIFEST).read_text()) | {"starter": "svm-starter"}
    (project / STARTER_MANIFEST).write_text(json.dumps(record))
    assert "is softmax-starter, but this project is svm-starter" in require_refused(newer, project)
    (project / "gradkit").mkdir()
    assert "is the instructor's tree" in require_refused(newer, project)


def version(number: str) -> Change:
    return replace("assignment/__init__.py", '__version__ = "1.0"', f'__version__ = "{number}"')


def test_an_older_starter_is_refused(tmp_path: Path, older: Path) -> None:
    project = student(tmp_path / "student", make_starter(tmp_path, version("1.10")))
    for archive in (older, make_starter(tmp_path / "9", version("1.9.2"))):
        told = require_refused(archive, project)
        assert "older than this project, which is 1.10+" in told
        assert "Download the newest zip file from your course" in told
    (project / STARTER_MANIFEST).unlink()  # then nobody knows
    update(older, project)


@pytest.mark.parametrize("numbers", [("1.0.0", "1"), ("1.9", "1.10"), ("1.1", "dev"), ("dev", "1")])
def test_what_is_not_older_is_accepted(
    tmp_path: Path, older: Path, numbers: tuple[str, str]
) -> None:
    project = student(tmp_path / "student", older)
    archive = make_starter(tmp_path, version(numbers[1]))
    record = json.loads((project / STARTER_MANIFEST).read_text()) | {
        "version": f"{numbers[0]}+0123456789"
    }
    (project / STARTER_MANIFEST).write_text(json.dumps(record))
    assert f"{numbers[0]}+0123456789 → {numbers[1]}+" in update(archive, project)


# --- a run that does not come to its end ---------------------------------------------------------


class Killed(BaseException):
    """Stands for a process that ends at once: no code of ours catches it."""


def failing(function: Callable[..., Any], at: int, error: BaseException) -> Callable[..., Any]:
    """`function`, but its call number `at` raises."""
    calls = iter(range(1, 10**6))

    def call(*arguments: Any, **options: Any) -> Any:
        if next(calls) == at:
            raise error
        return function(*arguments, **options)

    return call


def require_nothing_lost(project: Path) -> None:
    everything = "\n".join(
        path.read_text() for path in project.rglob("*") if path.suffix in (".py", ".ipynb", ".md")
    )
    for words in (
        "loss = 1.0 + min(1, 2)",
        "# mine",
        "X[:9], y[:9]",
        "y_pred = X[:, 0]",
        "Because of chance",
        "without the markers",
        "My notes.",
        "def mine()",
        "My own README",
    ):
        assert words in everything, words


def with_more_of_their_own(project: Path) -> Path:
    replace(SOFTMAX, "import numpy as np\n", "import numpy as np\n\ndef mine(): ...\n")(project)
    edit_notebook(lambda cells: cells.insert(5, text_cell("My notes.")))(project)
    (project / "README.md").write_text("My own README")
    return project


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("replace", Killed()),
        ("copystat", Killed()),
        ("fsync", FULL),
    ],
)
def test_a_run_that_is_cut_off_anywhere_loses_nothing_and_is_completed_by_the_next(
    tmp_path: Path,
    older: Path,
    newer: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    error: BaseException,
) -> None:
    holder: Any = shutil if kind == "copystat" else os
    pristine = with_more_of_their_own(student(tmp_path / "pristine", older))
    whole = shutil.copytree(pristine, tmp_path / "whole")
    update(newer, whole)
    expected = {name: text for name, (text, _) in snapshot(whole).items() if "backup" not in name}
    for at in range(1, 100):
        project, told = shutil.copytree(pristine, tmp_path / f"cut-{at}"), ""
        with monkeypatch.context() as patch:
            patch.setattr(holder, kind, failing(getattr(holder, kind), at, error))
            try:
                update(newer, project)
            except Killed:
                pass
            except UpdateError as failure:
                told = str(failure)
                assert "Nothing is lost" in told
                assert "run the same update again" in told
                assert all(folder.name in told for folder in project.glob("backup-*"))
            else:
                break
        require_nothing_lost(project)
        told = update(newer, project)
        require_nothing_lost(project)
        # The student is told where all of it is.
        for folder in [folder for folder in project.glob("backup-*") if folder.name not in told]:
            shutil.rmtree(folder)
        require_nothing_lost(project)
        require_solved(project)
        now = {name: text for name, (text, _) in snapshot(project).items() if "backup" not in name}
        assert now == expected
        require_up_to_date(newer, project)
        shutil.rmtree(project)
    assert at > 1


@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_process_that_is_killed_is_completed_by_the_next(
    tmp_path: Path, older: Path, newer: Path, at: int
) -> None:
    project = with_more_of_their_own(student(tmp_path / "student", older))
    whole = shutil.copytree(project, tmp_path / "whole")
    update(newer, whole)
    program = f"""
import os
from assignment.__main__ import main
calls = iter(range(1, 100))
replace = os.replace
os.replace = lambda *paths: os._exit(9) if next(calls) == {at} else replace(*paths)
main(["update", {str(newer)!r}])
"""
    ran = subprocess.run([sys.executable, "-B", "-c", program], cwd=project, check=False)
    assert ran.returncode == 9
    require_nothing_lost(project)
    told = update(newer, project)
    require_nothing_lost(project)
    assert (
        "An earlier update did not come to its end. The files as they were before it are kept in "
        "backup-1:\n  README.md: you had changed it\n"
        f"  {SOFTMAX}: you had changed it outside your regions\n"
    ) in told
    require_up_to_date(newer, project)
    assert not list(project.glob("backup-*/unfinished.txt"))
    trees = [
        {name: text for name, (text, _) in snapshot(x).items() if "backup" not in name}
        for x in (project, whole)
    ]
    assert trees[0] == trees[1]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (28, "no room left"),
        (13, "may not be read or changed"),
        (30, "may not be"),
        (5, "input/output"),
    ],
)
def test_what_the_system_refuses_is_told(
    tmp_path: Path,
    older: Path,
    newer: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    words: str,
) -> None:
    project = student(tmp_path, older)
    monkeypatch.setattr(os, "replace", failing(os.replace, 1, OSError(number, os.strerror(number))))
    with pytest.raises(UpdateError) as caught:
        update(newer, project)
    assert words.lower() in str(caught.value).lower()
    assert "run the same update again" in str(caught.value)


def test_a_folder_that_may_not_be_written_to_is_named_and_so_are_the_copies(
    tmp_path: Path, older: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_more_of_their_own(student(tmp_path, older))
    opened = Path.open

    def refusing(path: Path, mode: str = "r", *arguments: Any) -> Any:
        if "x" in mode and path.parent == project / "notebooks":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refusing)
        with pytest.raises(UpdateError) as caught:
            update(newer, project)
    assert str(caught.value) == (
        f"{project}/notebooks may not be read or changed (Permission denied). Make it yours to "
        "write. Nothing is lost, but some files are not up to date yet: run the same update again. "
        "The files as they were before are kept in backup-1."
    )
    told = update(newer, project)
    assert f"kept in backup-1:\n  README.md: you had changed it\n  {SOFTMAX}: " in told
    require_up_to_date(newer, project)


def test_what_an_update_has_copied_is_told_also_when_all_is_up_to_date(
    tmp_path: Path, older: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_more_of_their_own(student(tmp_path, older))
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "unfinished.txt":  # all is done but the last thing
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "unlink", killed)
        update(newer, project)
    assert "are kept in backup-1:\n  README.md: you had changed it" in update(newer, project)
    require_up_to_date(newer, project)


def test_the_copies_are_on_the_disk_before_anything_is_replaced(
    tmp_path: Path, older: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_more_of_their_own(student(tmp_path, older))
    fsync, replacing = os.fsync, os.replace
    synced: set[int] = set()
    missing: list[Path] = []

    def note(file: int) -> None:
        fsync(file)
        synced.add(os.fstat(file).st_ino)

    def look(*places: Path) -> None:
        copies = [project / name for name in backups(project)]
        missing.extend(copy for copy in copies if copy.stat().st_ino not in synced)
        assert len(copies) > 3
        replacing(*places)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", look)
    update(newer, project)
    assert missing == []


# --- the zip file --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory, older: Path) -> Path:
    """A student's project for updates that are refused, so that it stays as it is."""
    return student(tmp_path_factory.mktemp("student"), older)


def repacked(
    archive: Path, place: Path, extra: Mapping[str, str], name: Callable[[str], str] = str
) -> Path:
    """The same starter, packed again with other names and with more files."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(name(member), old.read(member))
        for member, text in extra.items():
            new.writestr(member, text)
    return place


def test_a_starter_that_was_packed_again_is_accepted(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    litter = {
        "__MACOSX/softmax-starter/._README.md": "x",
        "softmax-starter (1)/.DS_Store": "x",
        "softmax-starter (1)/assignment/__pycache__/x.pyc": "x",
        "softmax-starter (1)/assignment/": "",
    }
    archive = repacked(
        newer, tmp_path / "x.zip", litter, lambda name: f"softmax-starter (1)/{name}"
    )
    project = student(tmp_path / "student", older)
    update(archive, project)
    require_solved(project)
    require_up_to_date(newer, project)


HOSTILE_NAMES = {
    "../evil.py": "leads out of the project's folder",
    "assignment/../../evil.py": "leads out of the project's folder",
    "/tmp/evil.py": "leads out of the project's folder",
    "C:/evil.py": "leads out of the project's folder",
    "C:evil.py": "leads out of the project's folder",
    "assignment\\..\\..\\evil.py": "leads out of the project's folder",
    "assignment/evil\x1b[2J.py": "cannot be printed",
    "assignment/evil.py\x00.txt": "cannot be printed",
    "assignment/./evil.py": "is not a name",
    "assignment//evil.py": "is not a name",
    "assignment/evil.py.": "is not a name",
    "assignment/évil.py": "is not a name",
    ".git/hooks/post-checkout": "is not a name",
    "gradkit/evil.py": "is not part of a starter",
    "evil.py": "is not part of a starter",
    "ASSIGNMENT/vis_utils.py": "is not part of a starter",
    "assignment/VIS_utils.py": "want the same place",
    "assignment/vis_utils.py/evil.py": "want the same place",
    "assignment/evil.py": "does not list",
    "datasets/cifar-10-batches-py/test_batch": "does not list",
    "README.md": "is there twice",
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_zip_with_a_hostile_name_is_refused(
    tmp_path: Path, handed: Path, newer: Path, name: str
) -> None:
    plain = name.replace("\x00", "?").replace("\\", "|")  # zipfile would not write them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is there twice
        archive = repacked(newer, tmp_path / "x.zip", {plain: "evil"})
    archive.write_bytes(archive.read_bytes().replace(plain.encode(), name.encode()))
    told = require_refused(archive, handed)
    assert HOSTILE_NAMES[name] in told
    assert "Nothing was changed." in told
    assert not list(tmp_path.rglob("evil*"))


def special(archive: Path, place: Path, **about: Any) -> Path:
    """The starter with a first member that is special: its ZipInfo has these attributes."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(place, "w") as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(name)
            if name == "README.md":
                for key, value in about.items():
                    setattr(member, key, value)
            new.writestr(member, old.read(name), member.compress_type)
    return place


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"external_attr": (stat.S_IFLNK | 0o777) << 16}, "is a link, a device or the like"),
        ({"external_attr": (stat.S_IFCHR | 0o666) << 16}, "is a link, a device or the like"),
        ({"external_attr": (stat.S_IFIFO | 0o666) << 16}, "is a link, a device or the like"),
        ({"external_attr": (stat.S_IFDIR | 0o777) << 16}, "is a link, a device or the like"),
        ({"compress_type": zipfile.ZIP_LZMA}, "is compressed in a way"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "is compressed in a way"),
    ],
)
def test_a_zip_with_a_special_member_is_refused(
    tmp_path: Path, handed: Path, newer: Path, about: dict[str, Any], words: str
) -> None:
    assert words in require_refused(special(newer, tmp_path / "x.zip", **about), handed)


def test_an_encrypted_zip_is_refused(tmp_path: Path, handed: Path, newer: Path) -> None:
    data = bytearray(newer.read_bytes())
    at = data.index(b"PK\x01\x02") + 8  # the flags of the first member, in the directory
    data[at] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert "is encrypted" in require_refused(tmp_path / "x.zip", handed)


@pytest.mark.parametrize("lie", [False, True])
def test_a_bomb_is_refused(
    tmp_path: Path, handed: Path, newer: Path, monkeypatch: pytest.MonkeyPatch, lie: bool
) -> None:
    monkeypatch.setattr("assignment.workspace.starter.MAX_BYTES", 2_000_000)
    big = b"x" * 3_000_000
    archive = repacked(newer, tmp_path / "x.zip", {"datasets/big.md": big.decode()})
    if lie:  # its directory says that the member has 10 bytes
        data = archive.read_bytes().replace(struct.pack("<L", len(big)), struct.pack("<L", 10))
        archive.write_bytes(data)
    told = require_refused(archive, handed)
    assert "unpacks to more than 2,000,000 bytes" in told or (lie and "damaged" in told)


def test_more_members_or_bytes_than_a_starter_has_are_refused(
    tmp_path: Path, handed: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assignment.workspace.starter.MAX_FILES", 20)
    assert "members, far more than a starter" in require_refused(newer, handed)
    monkeypatch.setattr("assignment.workspace.starter.MAX_BYTES", 20)
    assert "it has more than 20 bytes" in require_refused(newer, handed)


def without(archive: Path, *names: str) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if name not in names}


def packed(files: Mapping[str, bytes]) -> bytes:
    return zipped(files)


def not_a_starter(newer: Path) -> dict[str, tuple[bytes, str]]:
    files = without(newer)
    record = json.loads(files[STARTER_MANIFEST])

    def with_record(**changes: Any) -> bytes:
        return packed(files | {STARTER_MANIFEST: json.dumps(record | changes).encode()})

    return {
        "empty": (b"", "is no zip file"),
        "text": (b"<html>Please log in</html>", "is no zip file"),
        "cut off": (newer.read_bytes()[:-2000], "is no zip file"),
        "an empty zip": (packed({}), "it has no assignment/starter.json"),
        "no record": (
            packed(without(newer, STARTER_MANIFEST)),
            "it has no assignment/starter.json",
        ),
        "a broken record": (packed(files | {STARTER_MANIFEST: b"{"}), "starter.json is damaged"),
        "a deep record": (
            packed(files | {STARTER_MANIFEST: b"[" * 10**5}),
            "starter.json is damaged",
        ),
        "changed by hand": (packed(files | {VIS: files[VIS] + b"x = 1\n"}), f"its {VIS} is not"),
        "a stub changed by hand": (
            packed(files | {SOFTMAX: files[SOFTMAX].replace(b"raise NotImpl", b"x = 1  # ")}),
            f"its {SOFTMAX} is not what its {STARTER_MANIFEST} says: it was changed after it was built",
        ),
        "a list for a digest": (
            with_record(skeletons=record["skeletons"] | {VIS: ["x"]}),
            f"its {VIS} is not what its {STARTER_MANIFEST} says: it was changed after it was built",
        ),
        "a list for a stub": (
            with_record(stubs=record["stubs"] | {SOFTMAX: {"softmax_naive": []}}),
            f"its {SOFTMAX} is not what its {STARTER_MANIFEST} says",
        ),
        "a list of skeletons": (with_record(skeletons=[[1, ""]]), "starter.json is damaged"),
        "itself in the record": (
            with_record(skeletons=record["skeletons"] | {STARTER_MANIFEST: ""}),
            f"it does not hold {STARTER_MANIFEST}, which",
        ),
        "not a record": (packed(files | {STARTER_MANIFEST: b"[]"}), "starter.json is damaged"),
        "no name": (with_record(starter=1), "is not a name"),
        "a bad name": (with_record(version="\x1b[2J"), "is not a name"),
        "a path": (with_record(skeletons={"../x.md": ""}), "leads out of the project's folder"),
        "incomplete": (packed(without(newer, VIS)), f"it does not hold {VIS}"),
        "not UTF-8": (packed(files | {"README.md": b"\n\xff"}), "README.md, line 2: the byte 0xff"),
        "markers": (packed(files | {VIS: b"### END SOLUTION\n"}), f"{VIS}, line 1: "),
        "notebook": (packed(files | {NOTEBOOK: b"[]"}), f"{NOTEBOOK} is not a notebook"),
        "two folders": (
            packed({f"a/{name}": text for name, text in files.items()} | {"b/x.md": b""}),
            "lies beside the folder 'a'",
        ),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "text",
        "cut off",
        "an empty zip",
        "no record",
        "a broken record",
        "a deep record",
        "changed by hand",
        "a stub changed by hand",
        "a list for a digest",
        "a list for a stub",
        "a list of skeletons",
        "itself in the record",
        "not a record",
        "no name",
        "a bad name",
        "a path",
        "incomplete",
        "not UTF-8",
        "markers",
        "notebook",
        "two folders",
    ],
)
def test_what_is_no_starter_is_refused(
    tmp_path: Path, handed: Path, newer: Path, kind: str
) -> None:
    content, words = not_a_starter(newer)[kind]
    (tmp_path / "x.zip").write_bytes(content)
    told = require_refused(tmp_path / "x.zip", handed)
    assert words in told
    assert "Nothing was changed." in told


def test_a_damaged_byte_is_noticed_or_does_no_harm(tmp_path: Path, newer: Path) -> None:
    data = newer.read_bytes()
    _, texts = read_zip(newer)
    directory = data.index(b"PK\x01\x02")
    last = len(data)
    for at in [*range(100), *range(directory, directory + 100), *range(last - 22, last)]:
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        (tmp_path / "x.zip").write_bytes(damaged)
        with contextlib.suppress(StarterError):
            assert read_zip(tmp_path / "x.zip")[1] == texts


def test_a_path_that_is_no_file_is_told(tmp_path: Path, handed: Path) -> None:
    assert "none.zip is not there" in require_refused(tmp_path / "none.zip", handed)
    assert "is a folder" in require_refused(tmp_path, handed)
    os.mkfifo(tmp_path / "pipe.zip")
    assert "is not there" in require_refused(tmp_path / "pipe.zip", handed)
