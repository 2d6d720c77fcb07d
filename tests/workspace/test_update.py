"""An update brings a student's project to a newer starter and loses nothing of the student's."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assignment.__main__ import main
from assignment.workspace.helpers import put_back_helpers
from assignment.workspace.regions import extract_cells, read_notebook, region_of, source_of
from assignment.workspace.starter import STARTER_MANIFEST, pack_zip, read_zip, region_texts
from assignment.workspace.update import UpdateError, update
from tests.workspace.projects import (
    ANSWERS,
    CODE,
    DATA_README,
    LINEAR,
    NAME,
    NOTEBOOK,
    SCRIPT,
    SOFTMAX,
    VIS,
    Edit,
    backups,
    contents,
    edit,
    edit_cell,
    edit_cells,
    fill,
    find_cell,
    make_starter,
    pack,
    replace,
    snapshot,
    solve,
    text_cell,
    unpack,
    whole_starter,
)

HELPER, TASK, EXTRA = (f"assignment/{name}.py" for name in ("old_helper", "old_task", "extra"))


def swap_functions(text: str) -> str:
    head, first, second = text.split("\n\n\ndef ")
    return f"{head}\n\n\ndef {second.rstrip()}\n\n\ndef {first}\n"


def indent_naive(text: str) -> str:
    """Put the first region one level deeper, under an `if`."""
    start = text.index("    ### START OF YOUR CODE: softmax_naive")
    end = text.index("\n\n    return loss, dW", start)
    deeper = text[start:end].replace("\n    ", "\n        ")
    return f"{text[:start]}    if True:\n    {deeper}{text[end:]}"


NEWER: dict[str, Edit] = {
    "a TODO": replace(SOFTMAX, "# TODO: Compute the loss", "# TODO: Work out the loss"),
    "regions in another order": (SOFTMAX, swap_functions),
    "a region at another depth": (SOFTMAX, indent_naive),
    "a helper in a file of the course": (VIS, lambda text: text + "\n\nHELPER = 1\n"),
    "a new file": (EXTRA, lambda _: "EXTRA = 1\n"),
    "a cell more": edit_cells(lambda cells: cells.insert(3, text_cell("A new hint."))),
    "cells in another order": edit_cells(lambda cells: cells.append(cells.pop(12))),
    "another question": replace(NOTEBOOK, "Why does the error grow", "Why may it grow"),
    "a TODO in a cell": replace(NOTEBOOK, "# TODO: Train a Softmax", "# TODO: Now train a Softmax"),
    "another README": ("README.md", lambda text: text + "\nNew.\n"),
    "another text": (DATA_README, lambda text: text + "\nNew.\n"),
    "another script": (SCRIPT, lambda text: text + "\n# new\n"),
}
OLD_FILES: list[Edit] = [
    (HELPER, lambda _: "OLD = 1\n"),
    (TASK, lambda _: "### START OF YOUR CODE: old_task\nx = 0\n### END OF YOUR CODE\n"),
]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip file of the starter that students have."""
    return pack(tmp_path_factory.mktemp("older") / f"{NAME}.zip", make_starter(*OLD_FILES))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip file of a starter in which everything that can change has changed."""
    return pack(tmp_path_factory.mktemp("newer") / f"{NAME}.zip", make_starter(*NEWER.values()))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A project of the older starter, as unpacked."""
    return unpack(tmp_path / "student", make_starter(*OLD_FILES))


@pytest.fixture
def project(fresh: Path) -> Path:
    """A project of the older starter, with code and answers in it."""
    return solve(fresh)


@pytest.fixture
def edited(project: Path) -> Path:
    """A solved project with more of the student's outside the regions."""
    edit(
        project,
        replace(SOFTMAX, "import numpy as np\n", "import numpy as np\n\ndef mine(): ...\n"),
        edit_cells(lambda cells: cells.insert(5, text_cell("My notes."))),
        ("README.md", lambda _: "My own README"),
    )
    return project


def starter_with(folder: Path, *edits: Edit, release: str = "1.0") -> Path:
    """Pack the older starter with these edits."""
    return pack(folder / "new.zip", make_starter(*OLD_FILES, *edits, release=release))


def require_solved(project: Path) -> None:
    """Assert that the student's code and answers are in their regions."""
    for path, texts in (*CODE.items(), (NOTEBOOK, ANSWERS)):
        regions = region_texts(path, (project / path).read_text())
        assert {name: regions[name] for name in texts} == texts


def tuning_cell(project: Path) -> str:
    nb = read_notebook((project / NOTEBOOK).read_text(), NOTEBOOK)
    return extract_cells(nb, NOTEBOOK)["tuning"]


def require_up_to_date(archive: Path, project: Path) -> None:
    before = snapshot(project)
    assert update(archive, project).startswith("Already up to date: softmax-starter 1.0+")
    assert snapshot(project) == before


def require_refused(archive: Path, project: Path) -> str:
    before = snapshot(project)
    with pytest.raises(UpdateError) as caught:
        update(archive, project)
    assert snapshot(project) == before
    assert "Nothing was changed." in str(caught.value)
    return str(caught.value)


# --- code and answers ----------------------------------------------------------------------------


def test_helpers_that_code_in_regions_uses_stand_above_it(tmp_path: Path, fresh: Path) -> None:
    """Also what a helper uses; what no region uses stays in the backup alone."""
    helper = (
        "import math\n\nSCALE = 2.0\n\n\ndef unused(x):\n    return x\n\n\n"
        "def scaled(x):\n    return SCALE * x\n\n\n# The mean.\n@np.vectorize\ndef mean(x):\n"
        "    return scaled(x) / 2\n\n\n"
    )
    method = "    def _rows(self, X):\n        return X[:, 0]\n\n"
    edit(
        fresh,
        replace(SOFTMAX, "def softmax_loss_naive(", f"{helper}def softmax_loss_naive("),
        replace(LINEAR, "    def predict(", f"{method}    def predict("),
    )
    fill(fresh / SOFTMAX, {"softmax_naive": "loss = math.log(mean(1))\n"})
    fill(fresh / LINEAR, {"predict": "y_pred = self._rows(X)\n"})
    newer = starter_with(
        tmp_path,
        replace(SOFTMAX, "# TODO: Compute", "# TODO: Please compute"),
        (LINEAR, lambda text: text + "\n\nNEW = 1\n"),
    )
    report = update(newer, fresh)
    assert f"  {SOFTMAX} keeps what your code uses: math, SCALE, scaled, mean\n" in report
    assert f"  {LINEAR} keeps what your code uses: _rows\n" in report
    text = (fresh / SOFTMAX).read_text()
    assert (
        "import math\n\n\nSCALE = 2.0\n\n\ndef scaled(x):\n    return SCALE * x\n\n\n# The mean.\n"
        "@np.vectorize\ndef mean(x):\n    return scaled(x) / 2\n\n\ndef softmax_loss_naive(" in text
    )
    assert "# TODO: Please compute" in text
    assert "unused" not in text
    assert f"{method}    def predict(" in (fresh / LINEAR).read_text()
    for path in (SOFTMAX, LINEAR):
        compile((fresh / path).read_text(), path, "exec")
    assert "def unused" in (fresh / "backup-1" / SOFTMAX).read_text()
    require_up_to_date(newer, fresh)


@pytest.mark.parametrize(
    ("helper", "newer"),
    [
        ("def mean(x):\n    return x\n", "def mean(x):\n    return 2 * x\n"),  # the course's own
        ("def mean(x:\n    return x\n", ""),  # not valid Python
        ("if True:\n    def mean(x): ...\n", ""),  # not a definition by itself
    ],
)
def test_helper_that_cannot_be_put_back_is_in_the_backup(
    tmp_path: Path, fresh: Path, helper: str, newer: str
) -> None:
    before = "def softmax_loss_naive("
    edit(fresh, replace(SOFTMAX, before, f"{helper}\n\n{before}"))
    fill(fresh / SOFTMAX, {"softmax_naive": "loss = mean(1)\n"})
    archive = starter_with(tmp_path, replace(SOFTMAX, before, f"# New.\n{newer}\n\n{before}"))
    report = update(archive, fresh)
    assert "keeps what your code uses" not in report
    assert f"You may have changed the course's own lines of {SOFTMAX}" in report
    assert helper not in (fresh / SOFTMAX).read_text()
    assert helper in (fresh / "backup-1" / SOFTMAX).read_text()


def test_helpers_are_put_back_with_the_line_ends_of_their_place() -> None:
    lines = "def helper():\n    return 1\n\n\n", "def f():\n    ### START OF YOUR CODE: f\n"
    end = "    x = helper()\n    ### END OF YOUR CODE\n    return x\n"
    old, new = "".join([*lines, end]), (lines[1] + end).replace("\n", "\r\n")
    assert put_back_helpers(old, new, ["f"], "f.py") == (old.replace("\n", "\r\n"), ["helper"])
    assert put_back_helpers(old, new, [], "f.py") == (new, [])
    inner = [
        f"class A:\n{text}" for text in ("\tdef helper(): ...\n\tdef f(): ...\n", "    x = 1\n")
    ]
    new = inner[1] + "    " + (lines[1] + end).replace("\n", "\n    ") + "\n"
    assert put_back_helpers(inner[0], new, ["f"], "f.py") == (new, [])  # tabs and blanks


def test_update_grafts_code_and_answers_into_the_newer_starter(
    tmp_path: Path, project: Path, older: Path, newer: Path
) -> None:
    require_up_to_date(older, project)
    assert backups(project) == []
    (project / SCRIPT).chmod(0o640)
    before = contents(project)
    versions = [read_zip(archive)[0].version for archive in (older, newer)]
    assert update(newer, project).splitlines() == [
        f"{NAME}: {versions[0]} → {versions[1]}",
        "  updated: README.md",
        f"  updated: {SOFTMAX}, and yours kept in it: `softmax_loss_naive` (line 80), "
        "`softmax_loss_vectorized` (line 38)",
        f"  new: {EXTRA}",
        f"  updated: {VIS}",
        f"  updated: {DATA_README}",
        f"  updated: {SCRIPT}",
        f"  updated: {NOTEBOOK}, and yours kept in it: “Inline question 1”, “7. Tuning”",
        f"  {NOTEBOOK}: the course's own lines in the cell of “7. Tuning” may have changed, but "
        "your cell has lost the lines that mark your code, so it stays unchanged: compare it with "
        "the one in the new zip file",
        f"  removed, since the new starter does not have it: {HELPER}",
        f"  removed, since the new starter does not have it: {TASK}",
        "If the notebook is open in Jupyter, close it without saving, reopen it and restart "
        "its kernel.",
        "The old files are in backup-1.",
    ]
    require_solved(project)
    require_up_to_date(newer, project)
    # All that is not the student's is the newer starter's.
    after = contents(solve(unpack(tmp_path / "fresh", make_starter(*NEWER.values()))))
    assert contents(project) == after
    replaced = [p for p in before if before[p] != after.get(p) and p != STARTER_MANIFEST]
    assert backups(project) == [f"backup-1/{path}" for path in replaced]
    assert all((project / "backup-1" / path).read_bytes() == before[path] for path in replaced)
    assert stat.S_IMODE((project / SCRIPT).stat().st_mode) == 0o750  # for all who may read it


def test_command_mends_a_whole_starter(tmp_path: Path) -> None:
    project = solve(unpack(tmp_path / "student", whole_starter()))
    archive = tmp_path / "same.zip"
    archive.write_bytes(pack_zip(whole_starter()))
    (project / VIS).unlink()
    shutil.rmtree(project / "assignment/cifar10")
    command = [sys.executable, "-m", "assignment", "update", str(archive)]
    ran = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8", check=True)
    assert "new: assignment/cifar10/archive.py" in ran.stdout
    require_solved(project)
    assert (project / VIS).is_file()


def test_file_that_the_course_has_not_changed_stays_in_every_byte(
    tmp_path: Path, project: Path
) -> None:
    nb = json.loads((project / NOTEBOOK).read_text())
    nb["cells"][1] |= {"execution_count": 7, "outputs": [{"output_type": "stream", "text": "a"}]}
    nb["cells"].insert(5, text_cell("My notes."))
    (project / NOTEBOOK).write_text(json.dumps(nb, indent=3))
    edit(
        project,
        replace(SOFTMAX, "import numpy as np\n", "import numpy as np\r\nmine = 1\n"),
        ("README.md", lambda _: "caf\udce9"),
    )
    before = {name: (project / name).read_bytes() for name in (NOTEBOOK, SOFTMAX, "README.md")}
    update(starter_with(tmp_path, NEWER["a helper in a file of the course"]), project)
    assert {name: (project / name).read_bytes() for name in before} == before
    assert backups(project) == [f"backup-1/{VIS}"]


def test_windows_line_endings_and_byte_order_marks_are_not_changes(
    project: Path, newer: Path
) -> None:
    for name in (*CODE, "README.md", VIS):
        (project / name).write_bytes((project / name).read_bytes().replace(b"\n", b"\r\n"))
    edit(project, (NOTEBOOK, lambda text: "\ufeff" + text))
    assert "more than your regions" not in update(newer, project)
    json.loads((project / NOTEBOOK).read_text())  # without a mark: Jupyter opens it
    require_solved(project)


def test_pictures_are_answers_and_stay_in_their_cells(fresh: Path, newer: Path) -> None:
    one, two, three = ({"image.png": {"image/png": letter}} for letter in "abc")

    def split(cells: list[Any]) -> None:
        at = find_cell(cells, "answer_step")
        cells[at]["attachments"] = one
        cells.insert(at + 1, {**cells[at], "id": "half", "source": "2", "attachments": two})

    edit(fresh, edit_cells(split), edit_cell("answer_templates", attachments=three))
    update(newer, fresh)
    cells = read_notebook((fresh / NOTEBOOK).read_text(), NOTEBOOK)["cells"]
    pictured = [(region_of(cell), cell["attachments"]) for cell in cells if "attachments" in cell]
    assert pictured == [("answer_step", one), ("answer_step", two), ("answer_templates", three)]
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert "# TODO: Now train a Softmax" in tuning_cell(fresh)  # where there is only the stub


# --- the course's lines in a cell of the student's code ------------------------------------------

FIX = replace(NOTEBOOK, "best_val = -1.0", "best_val = -np.inf")
MINE = "for mine in range(3):\n    best_val = mine"


@pytest.fixture
def tuned(fresh: Path) -> Path:
    """A project with the student's code between the markers of the cell `tuning`."""
    stub = 'raise NotImplementedError("tuning")'
    edit(fresh, edit_cell("tuning", source=lambda text: text.replace(stub, MINE)))
    return fresh


def split_tuning(cells: list[Any]) -> None:
    at = find_cell(cells, "tuning")
    head, tail = source_of(cells[at]).split("\n    best_val = mine", 1)
    cells.insert(at + 1, {**cells[at], "id": "tail", "source": "    best_val = mine" + tail})
    cells[at]["source"] = head


@pytest.mark.parametrize(
    "own",
    [
        edit_cell("tuning", source=lambda text: f"mine = 1\n{text}\nmine = 1"),
        replace(NOTEBOOK, "best_val = -1.0", "best_val = -2.0; mine = 1"),
        edit_cells(split_tuning),
        (STARTER_MANIFEST, lambda _: "{}"),
        FIX,
        (SOFTMAX, lambda text: text + "\n"),
    ],
    ids=["above and below", "the same line", "split", "no manifest", "fixed already", "nothing"],
)
def test_fix_outside_the_markers_of_a_cell_arrives(tmp_path: Path, tuned: Path, own: Edit) -> None:
    archive = starter_with(tmp_path, FIX)
    expected = tuning_cell(tuned).replace("best_val = -1.0", "best_val = -np.inf")
    assert MINE in expected
    edit(tuned, own)
    before = (tuned / NOTEBOOK).read_text()
    report = update(archive, tuned)
    assert tuning_cell(tuned) == expected
    if own == FIX:
        assert backups(tuned) == []
    else:
        assert any("updated" in line and "7. Tuning" in line for line in report.splitlines())
        assert (tuned / "backup-1" / NOTEBOOK).read_text() == before
    require_up_to_date(archive, tuned)


def test_student_cell_stays_whole_if_the_course_has_not_changed_its_lines(
    tmp_path: Path, tuned: Path
) -> None:
    edit(tuned, edit_cell("tuning", source=lambda text: "mine = 1\n" + text))
    before = tuning_cell(tuned)
    update(starter_with(tmp_path, NEWER["a cell more"]), tuned)
    assert tuning_cell(tuned) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("### END OF YOUR CODE", ""),
        lambda text: text.replace("### START", "## START"),
        lambda text: text.replace("YOUR CODE: tuning", "YOUR CODE: mine"),
        lambda text: f"{text}\n{text}",
    ],
    ids=["no end", "damaged", "renamed", "copied"],
)
def test_cell_without_its_markers_stays_whole_and_the_report_names_it(
    tmp_path: Path, tuned: Path, change: Callable[[str], str]
) -> None:
    edit(tuned, edit_cell("tuning", source=change))
    before = tuning_cell(tuned)
    report = update(starter_with(tmp_path, FIX), tuned)
    assert tuning_cell(tuned) == before
    assert "the course's own lines in the cell of “7. Tuning” may have changed" in report


# --- what has no place in the newer files --------------------------------------------------------


def test_files_edited_outside_regions_are_named_and_in_the_backup(
    edited: Path, newer: Path
) -> None:
    (edited / EXTRA).write_text("MINE = 1\n")
    names = ("README.md", SOFTMAX, EXTRA, NOTEBOOK)
    before = [(edited / name).read_bytes() for name in names]
    report = update(newer, edited)
    require_solved(edited)
    assert [(edited / "backup-1" / name).read_bytes() for name in names] == before
    assert f"the course's own lines of {', '.join(names)}: copy what you still need" in report
    require_up_to_date(newer, edited)


def test_region_without_a_place_is_named_and_in_the_backup(tmp_path: Path, project: Path) -> None:
    archive = starter_with(tmp_path, replace(SOFTMAX, "CODE: softmax_naive", "CODE: loops"))
    report = update(archive, project)
    assert f"{SOFTMAX} has no place for your `softmax_loss_naive` (line " in report
    kept = (project / "backup-1" / SOFTMAX).read_text()
    assert CODE[SOFTMAX]["softmax_naive"].strip() in kept
    regions = region_texts(SOFTMAX, (project / SOFTMAX).read_text())
    assert regions["loops"].strip() == 'raise NotImplementedError("softmax_naive")'
    assert regions["softmax_vectorized"] == CODE[SOFTMAX]["softmax_vectorized"]
    require_up_to_date(archive, project)


def test_each_update_has_its_own_backup(project: Path, older: Path, newer: Path) -> None:
    (project / "backup-1").write_text("a file of that name")
    (project / "README.md").write_text("first")
    update(newer, project)
    (project / "README.md").write_text("second")
    assert "The old files are in backup-2, backup-3." in update(older, project)
    assert (project / "backup-2/README.md").read_text() == "first"
    assert (project / "backup-3/README.md").read_text() == "second"


@pytest.mark.parametrize("is_hostile", [False, True])
def test_update_without_a_manifest_backs_up_all_that_differs(
    tmp_path: Path, project: Path, newer: Path, is_hostile: bool
) -> None:
    stored = json.loads((project / STARTER_MANIFEST).read_text())
    stored["skeletons"]["../mine.txt"] = "0" * 64  # to be removed
    (project / STARTER_MANIFEST).write_text(json.dumps(stored) if is_hostile else "")
    (tmp_path / "mine.txt").write_text("mine")
    assert update(newer, project).startswith(f"{NAME}: an unknown version → 1.0+")
    require_solved(project)
    kept = {name.removeprefix("backup-1/") for name in backups(project)}
    assert kept == {SOFTMAX, NOTEBOOK, VIS, "README.md", DATA_README, SCRIPT}
    assert (tmp_path / "mine.txt").read_text() == "mine"
    require_up_to_date(newer, project)


def test_files_of_the_students_own_stay(project: Path, newer: Path) -> None:
    (project / HELPER).write_text("mine")
    fill(project / TASK, {"old_task": "mine"})
    others = (
        "datasets/cifar-10-batches-py/test_batch",
        "notebooks/.ipynb_checkpoints/softmax-checkpoint.ipynb",
        "assignment/my_helpers.py",
        "my notes.txt",
    )
    for name in others:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine")
    before = {name: snapshot(project)[name] for name in (HELPER, TASK, *others)}
    report = update(newer, project)
    for name in (HELPER, TASK):
        assert f"kept, since you changed it, though no longer used: {name}" in report
    after = snapshot(project)
    assert {name: after[name] for name in before} == before
    require_up_to_date(newer, project)


def test_links_stay_links_and_only_datasets_on_another_disk_are_left_out(
    tmp_path: Path, project: Path, newer: Path
) -> None:
    before = (project / SOFTMAX).read_bytes()
    for name, outside in ((SOFTMAX, "softmax.py"), ("notebooks", "notes"), ("datasets", "disk")):
        (project / name).rename(tmp_path / outside)
        (project / name).symlink_to(tmp_path / outside)
    (tmp_path / "mine").write_text("mine")
    (project / "assignment/.extra.py.update").symlink_to(tmp_path / "mine")
    disk = snapshot(tmp_path / "disk")
    update(newer, project)
    require_solved(project)
    assert all((project / name).is_symlink() for name in (SOFTMAX, "notebooks", "datasets"))
    assert (project / "backup-1" / SOFTMAX).read_bytes() == before
    assert snapshot(tmp_path / "disk") == disk
    assert (tmp_path / "mine").read_text() == "mine"
    require_up_to_date(newer, project)


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace(SOFTMAX, "### END OF YOUR CODE", "### END OF MY CODE"), f"{SOFTMAX}, line 78: "),
        (replace(SOFTMAX, "### START OF", "### STRAT OF"), f"{SOFTMAX}, line "),
        (replace(NOTEBOOK, '"cells": [', '"cells": '), f"{NOTEBOOK} is not a notebook"),
        (("README.md", lambda _: "caf\udce9"), "README.md, line 1: the byte 0xe9 is not UTF-8"),
    ],
)
def test_update_refuses_a_file_that_cannot_be_read(
    project: Path, newer: Path, change: Edit, words: str
) -> None:
    edit(project, change)
    refusal = require_refused(newer, project)
    assert words in refusal
    assert refusal.endswith("Run the update again after that.")


def test_what_is_in_the_way_is_named(project: Path, newer: Path) -> None:
    for path in (VIS, EXTRA):
        (project / path).unlink(missing_ok=True)
        (project / path).mkdir()
        assert f"{path}: Is a directory. Make sure that" in require_refused(newer, project)
        (project / path).rmdir()
    folder = (project / "assignment/classifiers").rename(project / "moved")
    (project / "assignment/classifiers").touch()
    with pytest.raises(UpdateError, match=r"classifiers: File exists.*run the update again"):
        update(newer, project)
    (project / "assignment/classifiers").unlink()
    folder.rename(project / "assignment/classifiers")
    update(newer, project)
    require_solved(project)
    require_up_to_date(newer, project)


def test_update_refuses_another_starter_and_the_instructors_tree(
    tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = pack(tmp_path / "other.zip", make_starter(name="svm-starter"))
    refusal = require_refused(other, project)
    assert "is svm-starter, but this project is softmax-starter" in refusal
    assert main(["update", str(other)]) == 1
    assert "is the instructor's tree, with the solutions in it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("current", "release", "is_older"),
    [("1.10", "1.9.2", True), ("1.9", "1.10", False), ("1.0.0", "1", False), ("dev", "1", False)],
)
def test_update_refuses_an_older_release(
    tmp_path: Path, fresh: Path, current: str, release: str, is_older: bool
) -> None:
    unpack(fresh, make_starter(*OLD_FILES, release=current))
    archive = starter_with(tmp_path, NEWER["a cell more"], release=release)
    if is_older:
        refusal = require_refused(archive, fresh)
        assert f"older than this project, which is {current}+" in refusal
    else:
        assert f": {current}+" in update(archive, fresh)


# --- interrupted ---------------------------------------------------------------------------------


def require_nothing_lost(project: Path, report: str = "") -> None:
    """Assert that all of the student's is in the project, and `report`, if any, names its place."""
    texts = [
        content.decode(errors="replace")  # a killed update may leave half a character
        for path, (content, _) in snapshot(project).items()
        if not report or not path.startswith("backup-") or path.split("/")[0] in report
    ]
    for words in (
        *("loss = 1.0 + min(1, 2)", "# mine", "X[:9], y[:9]", "y_pred = X[:, 0]"),
        *("Because of chance", "without the markers", "My notes.", "def mine()", "My own README"),
    ):
        assert any(words in text for text in texts), words


def run_killed_at(number: int, archive: Path, project: Path) -> bool:
    """Update in a process that ends at its write of this number; return whether there was one.

    A write is a file that is written, renamed or removed. Of the file that is being written, only
    half reaches the disk.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def dying(name: str) -> Callable[..., Any]:
            function = getattr(os, name)

            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += name != "unlink" or os.path.lexists(arguments[0])
                if count == number:
                    if name == "fsync":
                        os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                    os._exit(9)
                return function(*arguments, **options)

            return call

        for name in ("fsync", "replace", "rename", "unlink"):
            setattr(os, name, dying(name))
        try:
            update(archive, project)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_update_killed_at_any_write_is_completed_by_the_next(
    tmp_path: Path, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a killed process loses no written file
    kinds = ("a TODO", "a new file", "a cell more", "another README")
    newer = pack(tmp_path / "newer.zip", make_starter(*(NEWER[kind] for kind in kinds)))
    whole = shutil.copytree(edited, tmp_path / "whole")
    update(newer, whole)
    expected = contents(whole)
    number, project = 1, shutil.copytree(edited, tmp_path / "1")
    while run_killed_at(number, newer, project):
        require_nothing_lost(project)
        first = {path: (project / path).read_bytes() for path in backups(project)}
        report = update(newer, project)
        require_nothing_lost(project, report)
        assert contents(project) == expected
        assert all((project / path).read_bytes() == first[path] for path in first)
        number += 1
        project = shutil.copytree(edited, tmp_path / str(number))
    assert number > 16
    assert snapshot(project).keys() == snapshot(whole).keys()


@pytest.mark.parametrize("written", [0, 3, 10])
def test_update_on_a_full_disk_is_completed_by_the_next(
    edited: Path, newer: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    fsync, left = os.fsync, iter(range(written))

    def fail_when_full(file: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_when_full)
        with pytest.raises(UpdateError) as caught:
            update(newer, edited)
    message = str(caught.value)
    assert message.startswith(f"{edited}: No space left on device. Make sure that no other")
    assert "Nothing is lost, but some files are not up to date yet: run the update" in message
    assert all(folder.name in message for folder in edited.glob("backup-*"))
    require_nothing_lost(edited)
    require_nothing_lost(edited, update(newer, edited))
    require_up_to_date(newer, edited)


def test_backup_is_on_the_disk_before_any_file_is_replaced(
    edited: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, replace_file = os.fsync, os.replace
    synced: set[int] = set()
    missing: list[str] = []

    def note(file: int) -> None:
        fsync(file)
        synced.add(os.fstat(file).st_ino)

    def look(*places: Path) -> None:
        assert len(backups(edited)) > 5
        missing.extend(p for p in backups(edited) if (edited / p).stat().st_ino not in synced)
        replace_file(*places)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", look)
    update(newer, edited)
    assert missing == []
