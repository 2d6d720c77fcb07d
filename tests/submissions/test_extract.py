"""Files, cells and written answers come out of a submission, or a sentence that says why not."""

import json
import re
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment import PROJECT
from assignment.workspace.regions import ANSWER_STUB, outline, region_of, source_of
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.course.starter import starter_files
from gradkit.submissions import archives, extract
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import find_submissions
from gradkit.submissions.extract import SubmissionContent, read_submission
from tests.submissions.fuzz import FUZZ, MUTATIONS, mutated
from tests.submissions.packing import (
    ANSWER,
    FILE,
    NOTEBOOK,
    OTHER_FILE,
    SOFTMAX,
    TUNING,
    Files,
    Pack,
    add_to_tar,
    code_cell,
    content_of,
    inside,
    memory_below,
    notebook,
    notes_of,
    rejection,
    tar_of,
    write_files,
    zip_of,
)

LONG = "a folder of a very long name, as deep as people have them " * 3


def flat_folder(files: Files, path: Path) -> Path:
    return write_files({Path(name).name: content for name, content in files.items()}, path)


def windows_zip(files: Files, path: Path) -> Path:
    return zip_of({name.replace("/", "\\"): content for name, content in files.items()}, path)


def macos_zip(files: Files, path: Path) -> Path:
    forks = {f"__MACOSX/{Path(n).parent}/._{Path(n).name}": b"\0\5" for n in files}
    return zip_of({**files, **forks, "starter/.DS_Store": b"\0\0\0\1Bud1"}, path)


def zip_in_a_folder(files: Files, path: Path) -> Path:
    return zip_of(files, write_files({"notes.txt": b""}, path) / "softmax.zip").parent


gnu_tar = partial(tar_of, form=tarfile.GNU_FORMAT)
old_tar = partial(tar_of, form=tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    ("pack", "name", "prefix"),
    [
        (write_files, "jane", ""),
        (write_files, "jane", "softmax/"),
        (write_files, "jane", "hw 1/softmax/"),
        (flat_folder, "jane", ""),
        (zip_of, "jane.zip", ""),
        (zip_of, "jane.zip", "softmax-starter/"),
        (zip_of, "jane.zip", "作业 Übung/"),
        (windows_zip, "jane.zip", "starter/"),
        (macos_zip, "jane.zip", "starter/"),
        (zip_in_a_folder, "jane", ""),
        (tar_of, "jane.tar.gz", ""),
        (gnu_tar, "jane.tgz", f"{LONG}/"),
        (tar_of, "jane.tar.gz", f"./{LONG} 作业/"),
        (old_tar, "jane.tar.gz", "softmax/"),
        (tar_of, "jane.tar", ""),  # as browsers unpack it
        (tar_of, "jane.zip", ""),
    ],
)
def test_content_is_the_same_in_every_packing(
    pack: Pack, name: str, prefix: str, wanted: Files, tmp_path: Path
) -> None:
    pack(inside(wanted, prefix), tmp_path / name)
    before = sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    [found] = find_submissions(tmp_path, SOFTMAX)
    content = read_submission(found, SOFTMAX)
    assert found.student == "jane"
    assert content.files == {FILE: wanted[FILE], OTHER_FILE: wanted[OTHER_FILE]}
    assert content.cells == {"tuning": TUNING}
    assert content.written_answers["answer_initial_loss"] == ANSWER
    assert len(content.written_answers) == 4
    assert content.written_answers["answer_step"] == ANSWER_STUB
    assert str(content.version).startswith("1.0+")
    assert [note for note in content.notes if not note.startswith(("Ignored", "Taken from"))] == []
    assert content.digest == content_of(write_files(wanted, tmp_path / "plain")).digest
    after = ((path, path.lstat().st_mtime_ns) for path, _ in before)
    assert [*after] == before, "something was written"


def test_the_rest_of_the_project_is_ignored(project: Files, tmp_path: Path) -> None:
    files = {
        **project,
        "conftest.py": b"raise SystemExit",
        "assignment/classifiers/mine.py": b"x = 1",
        "assignment/checks/verdict.py": b"# patched",
        ".venv/lib/python3.12/site-packages/torch/softmax.py": b"# another one",
        "assignment/__pycache__/softmax.cpython-312.pyc": b"\0",
        "notebooks/.ipynb_checkpoints/softmax-checkpoint.ipynb": b"{}",
        "backup-1/assignment/classifiers/softmax.py": b"# before",
    }
    content = content_of(zip_of(inside(files, "softmax-starter/"), tmp_path / "jane.zip"))
    assert content.files == {FILE: project[FILE], OTHER_FILE: project[OTHER_FILE]}
    assert content.notes == [
        "Ignored: softmax-starter/conftest.py, softmax-starter/assignment/classifiers/mine.py."
    ]


def test_missing_parts_stay_missing(wanted: Files, tmp_path: Path) -> None:
    anything = b"not ( Python \r\n"
    content = content_of(zip_of({"softmax.py": anything}, tmp_path / "jane.zip"))
    assert content.files == {FILE: anything}
    assert (content.cells, content.written_answers, content.version) == ({}, {}, None)
    other = content_of(zip_of({"softmax.py": b""}, tmp_path / "jane.zip"))
    assert content.digest != other.digest
    content = content_of(zip_of({NOTEBOOK: wanted[NOTEBOOK]}, tmp_path / "notebook.zip"))
    assert (content.files, content.cells) == ({}, {"tuning": TUNING})


def test_a_notebook_of_another_name_is_taken_with_a_note(wanted: Files, tmp_path: Path) -> None:
    files = {"Jane Doe HW1.ipynb": wanted[NOTEBOOK], "scratch.ipynb": notebook(code_cell("1 + 1"))}
    path = zip_of(files, tmp_path / "jane.zip")
    assert content_of(path).cells == {"tuning": TUNING}
    assert "Jane Doe HW1.ipynb was taken for the notebook." in notes_of(path)


RENAMED = [
    *("softmax.py.txt", "softmax.py.py", "softmax.py.bak", "softmax.py~", "softmax.py - Copy.txt"),
    *("softmax copy.py", "softmax copy 2.py", "softmax - Copy.py", "softmax - Copy (2).py"),
    *("softmax-Copy1.py", "softmax_final.py", "softmax_v2 (1).py", "softmax(1).py", "SOFTMAX.PY"),
    *("Kopie von softmax.py", "softmaxのコピー.py", "“softmax”的副本.py", "mysoftmax2.py"),
]


@pytest.mark.parametrize("name", RENAMED)
def test_a_renamed_file_is_taken_with_a_note_unless_one_has_the_right_name(
    name: str, wanted: Files, tmp_path: Path
) -> None:
    renamed = {FILE.replace("softmax.py", name): wanted[FILE], OTHER_FILE: wanted[OTHER_FILE]}
    content = content_of(zip_of(renamed, tmp_path / "renamed.zip"))
    assert content.files[FILE] == wanted[FILE]
    taken = f"assignment/classifiers/{name} was taken for softmax.py."
    assert content.notes == [taken, "Missing, so not attempted: softmax.ipynb."]
    for place in (FILE, "softmax.py"):
        right = {place: b"x = 1"}
        for number, files in enumerate(({**right, **renamed}, {**renamed, **right})):
            path = zip_of(files, tmp_path / f"{number}.zip")
            assert content_of(path).files[FILE] == b"x = 1"


@pytest.mark.parametrize("ending", [".txt", ".json", " (1).txt"])
def test_a_notebook_with_one_more_ending_is_taken_with_a_note(
    ending: str, wanted: Files, tmp_path: Path
) -> None:
    path = zip_of({f"{NOTEBOOK}{ending}": wanted[NOTEBOOK]}, tmp_path / "jane.zip")
    assert content_of(path).cells == {"tuning": TUNING}
    assert f"{NOTEBOOK}{ending} was taken for the notebook." in notes_of(path)
    assert "Missing, so not attempted: softmax.py, linear_classifier.py." in notes_of(path)


@pytest.mark.parametrize(
    "name",
    [
        *("assignment/classifiers/softmax_classifier copy.py", "softmax_classifier.py"),
        *("assignment/checks/softmax copy.py", "checks/softmax.py.txt", "linear_svm copy.py"),
        *("softmax_test.py", "test_softmax.py", "softmax.py.pdf", "softmax.pyc", "softmax.html"),
        *("svm.ipynb", "notebooks/svm-Copy1.ipynb", "softmax.ipynb.html"),
    ],
)
def test_other_files_of_the_course_are_never_taken(
    name: str, wanted: Files, tmp_path: Path
) -> None:
    files = {name: wanted[NOTEBOOK if "ipynb" in name else FILE]}
    assert "holds none of softmax.py" in rejection(zip_of(files, tmp_path / "jane.zip"))


@pytest.mark.parametrize("newline", [b"\n", b"\r"])
def test_of_renamed_files_one_that_defines_the_same_is_taken(
    newline: bytes, wanted: Files, tmp_path: Path
) -> None:
    mine = wanted[FILE].replace(b"\n", newline)
    files = {"softmax_a.py": b"print(1)", "softmax_b.py": mine, "softmax_c.py": b"# plots"}
    for name in (*files, *files):  # in any order
        files[name] = files.pop(name)
        path = zip_of(files, tmp_path / "jane.zip")
        assert content_of(path).files == {FILE: mine}
    assert "Ignored: softmax_a.py, softmax_c.py." in notes_of(path)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("starter", "mine"),
    [("starter/", ""), ("", "my work/"), ("a/", "b/"), ("b/", "a/"), ("", "x/y/z/1/2/3/")],
)
def test_edited_files_count_before_an_untouched_starter(
    starter: str, mine: str, order: int, wanted: Files, tmp_path: Path
) -> None:
    untouched = starter_files(PROJECT, ["softmax"])
    edited = {"softmax.py": wanted[FILE], "softmax.ipynb": wanted[NOTEBOOK]}
    files = {**inside(untouched, starter), **inside(edited, mine)}
    content = content_of(zip_of(dict([*files.items()][::order]), tmp_path / "jane.zip"))
    assert content.files == {FILE: wanted[FILE], OTHER_FILE: untouched[OTHER_FILE]}
    assert content.cells == {"tuning": TUNING}
    assert f"softmax.py was found 2 times; {mine}softmax.py was taken." in content.notes
    assert f"{mine}softmax.ipynb was taken for the notebook." in content.notes


def test_an_edited_archive_counts_before_an_untouched_starter_around_it(
    wanted: Files, tmp_path: Path
) -> None:
    folder = write_files(starter_files(PROJECT, ["softmax"]), tmp_path / "jane")
    zip_of({FILE: wanted[FILE]}, folder / "submission.zip")
    content = content_of(folder)
    assert content.files == {FILE: wanted[FILE], OTHER_FILE: wanted[OTHER_FILE]}
    assert "Taken from jane/submission.zip: softmax.py." in content.notes
    assert not any("submission.zip" in note for note in content.notes if "Ignored" in note)


@pytest.mark.parametrize(
    ("encoding", "letters"),
    [("gbk", "你好"), ("latin-1", "ß"), ("cp1252", "€"), ("shift_jis", "表"), ("utf-8-sig", "ß")],
)
def test_a_file_in_the_encoding_that_it_declares_is_graded_unchanged(
    encoding: str, letters: str, tmp_path: Path
) -> None:
    source = f"# coding: {encoding}\nname = 1  # {letters}\n".encode(encoding)
    content = content_of(zip_of({FILE: source}, tmp_path / "jane.zip"))
    assert (content.files, len(content.notes)) == ({FILE: source}, 1)


@pytest.mark.parametrize(
    ("source", "text", "encoding"),
    [
        (
            "\ufeff# coding: utf-16\nx = 'é'".encode("utf-16-le"),
            "# coding: utf-8\nx = 'é'",
            "UTF-16",
        ),
        ("x = '你'\n".encode("utf-16-be"), "x = '你'\n", "UTF-16-BE"),
        ("é = '你'  # é".encode() + b"\xe9", "é = '你'  # éé", "UTF-8 with bytes of Windows-1252"),
        (b"x = '\x80'\r", "x = '€'\r", "UTF-8 with bytes of Windows-1252"),
        (b"# coding: nope\nx = 1", "# coding: utf-8\nx = 1", "UTF-8"),
        (b"# coding: punycode\nx = 1", "# coding: utf-8\nx = 1", "UTF-8"),
        (b"x = 1\0\0", "x = 1", "UTF-8 without its zero bytes"),
    ],
    ids=str,
)
def test_a_file_that_python_cannot_decode_is_read_with_a_note(
    source: bytes, text: str, encoding: str, tmp_path: Path
) -> None:
    content = content_of(zip_of({FILE: source}, tmp_path / "jane.zip"))
    assert content.files[FILE].decode() == text
    note = f"{FILE} is not valid in its encoding, so it was read as {encoding}."
    assert note in content.notes
    compile(content.files[FILE], FILE, "exec")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_a_notebook_in_another_encoding_is_read(encoding: str, tmp_path: Path) -> None:
    cell = code_cell("x = 'é'", "tuning")
    text = json.dumps(json.loads(notebook(cell)), ensure_ascii=False)
    content = content_of(zip_of({NOTEBOOK: text.encode(encoding)}, tmp_path / "jane.zip"))
    assert content.cells == {"tuning": "x = 'é'"}
    assert ("not valid in its encoding" in " ".join(content.notes)) == (encoding != "utf-8-sig")


def test_all_files_are_taken_from_one_of_several_projects(tmp_path: Path) -> None:
    old = {FILE: b"# old", OTHER_FILE: b"# old"}
    files = {
        **inside({**old, NOTEBOOK: notebook(code_cell("mine", "tuning"))}, "final/"),
        **inside(old, "backup/"),
        "softmax.py": b"# a lone one",
    }
    files["final/" + FILE] = b"# final"
    content = content_of(zip_of(files, tmp_path / "jane.zip"))
    assert content.files == {FILE: b"# final", OTHER_FILE: b"# old"}
    assert f"softmax.py was found 3 times; final/{FILE} was taken." in content.notes


def test_the_last_of_two_members_of_one_name_counts(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "jane.tar.gz", "w:gz") as tar:
        add_to_tar(tar, "softmax.py", b"first")
        add_to_tar(tar, "softmax.py", b"last")
    assert content_of(tmp_path / "jane.tar.gz").files == {FILE: b"last"}


def test_an_archive_beside_the_files_adds_missing_ones(
    wanted: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files({"softmax.py": b"# mine"}, tmp_path / "jane")
    zip_of({**wanted, "x": b""}, folder / "softmax-starter.zip")
    content = content_of(folder)
    assert content.files == {FILE: b"# mine", OTHER_FILE: wanted[OTHER_FILE]}
    note = "Taken from jane/softmax-starter.zip: linear_classifier.py, softmax.ipynb."
    assert note in content.notes
    (folder / "softmax-starter.zip").unlink()
    parts = [
        zip_of({path: wanted[path]}, folder / f"{number}.zip")
        for number, path in enumerate((OTHER_FILE, NOTEBOOK))
    ]
    assert content_of(folder).files[OTHER_FILE] == wanted[OTHER_FILE]
    assert content_of(folder).cells == {"tuning": TUNING}
    for part in parts:
        part.unlink()
    monkeypatch.setattr(archives, "MAX_UNPACKED", 10_000)
    tar_of({"data": bytes(100_000)}, folder / "data.tar.gz")
    (folder / "damaged.zip").write_bytes(b"PK\3\4")
    assert content_of(folder).files == {FILE: b"# mine"}


# --- cells ---------------------------------------------------------------------------------------

LOST = "Because of rounding."
WHOLE = "results = {}\n### START OF YOUR CODE: tuning\n%s\n### END OF YOUR CODE"
RIGHT, OLD = WHOLE % "results[1] = best(2)", WHOLE % "raise ValueError"
STUB = WHOLE % 'raise NotImplementedError("tuning")'

Cells = list[dict[str, Any]]


def prose_cell(text: str, region: str | None = None, kind: str = "markdown") -> dict[str, Any]:
    return {**code_cell(text, region), "cell_type": kind}


def with_cells(project: Files, change: Callable[[Cells], object], path: Path) -> SubmissionContent:
    """Return the content of a project after a change of its notebook's cells."""
    nb = json.loads(project[NOTEBOOK])
    change(nb["cells"])
    return content_of(zip_of({**project, NOTEBOOK: json.dumps(nb).encode()}, path / "jane.zip"))


def cell_of(cells: Cells, region: str) -> int:
    return next(n for n, cell in enumerate(cells) if region_of(cell) == region)


def in_place_of(region: str, *new: dict[str, Any]) -> Callable[[Cells], None]:
    def change(cells: Cells) -> None:
        number = cell_of(cells, region)
        cells[number : number + 1] = new

    return change


def below(region: str, *new: dict[str, Any]) -> Callable[[Cells], None]:
    return lambda cells: cells.__setitem__(slice(i := cell_of(cells, region) + 1, i), new)


def merge_into_question(cells: Cells) -> None:
    number = cell_of(cells, "answer_step")
    cells[number - 1]["source"] = f"{source_of(cells[number - 1])}\n\n{LOST}"
    del cells[number]


def write_below_another_answer(cells: Cells) -> None:
    other = cells[cell_of(cells, "answer_initial_loss")]
    other["source"] = f"{source_of(other)}\n\n**Your answer:** {LOST}"
    in_place_of("answer_step", prose_cell(ANSWER_STUB, "answer_step"))(cells)


@pytest.mark.parametrize(
    "cells",
    [
        [code_cell(LOST, "answer_step")],
        [code_cell(f"# {LOST}", "answer_step")],
        [prose_cell(LOST, "answer_step", "raw")],
        [prose_cell("Because", "answer_step"), code_cell("of rounding.", "answer_step")],
        [prose_cell(ANSWER_STUB, "answer_step"), prose_cell(LOST, "answer_step")],
    ],
)
def test_an_answer_is_prose_whatever_the_type_of_its_cells(
    cells: Cells, project: Files, tmp_path: Path
) -> None:
    content = with_cells(project, in_place_of("answer_step", *cells), tmp_path)
    answer = content.written_answers["answer_step"]
    assert answer.removeprefix("# ").replace("\n", " ") == LOST
    assert set(content.cells) == {"tuning"}
    assert (content.unassigned, content.notes) == ({}, [])


@pytest.mark.parametrize(
    "change",
    [
        in_place_of("answer_step", prose_cell(LOST)),
        in_place_of("answer_step", prose_cell(LOST, "my_answer")),
        merge_into_question,
        write_below_another_answer,
        below("answer_step", prose_cell(LOST)),
        below("answer_step", prose_cell(LOST, kind="raw")),
        below("answer_step", code_cell(LOST)),
        below("answer_step", code_cell(f"x = 1  # {LOST}")),
        below("answer_step", prose_cell(LOST, "answer_initial_loss")),  # a copied cell
        lambda cells: cells.extend([prose_cell(f"# {LOST}"), *[prose_cell("")] * 30]),
        lambda cells: cells.append(code_cell(f"# {LOST}")),
    ],
)
def test_an_answer_in_a_cell_of_nobodys_is_kept_for_a_person(
    change: Callable[[Cells], object], project: Files, tmp_path: Path
) -> None:
    before = with_cells(project, lambda cells: None, tmp_path)
    content = with_cells(project, change, tmp_path)
    assert LOST in content.unassigned["answer_step"][0]
    assert "answer_initial_loss" not in content.unassigned
    assert "Not answered in their cells: “Inline question 2”" in " ".join(content.notes)
    assert (before.unassigned, before.notes) == ({}, []), "code of one's own is not an answer"
    assert content.digest != before.digest


@pytest.mark.parametrize(
    "change",
    [
        below("answer_initial_loss", prose_cell(LOST)),
        below("answer_initial_loss", prose_cell(""), code_cell(f"# {LOST}")),
        lambda cells: cells.insert(
            cell_of(cells, "answer_initial_loss"), prose_cell(LOST, kind="raw")
        ),
        lambda cells: cells[cell_of(cells, "answer_initial_loss") - 1].update(source=LOST),
    ],
)
def test_what_stands_beside_an_answer_is_kept_for_a_person(
    change: Callable[[Cells], object], project: Files, tmp_path: Path
) -> None:
    content = with_cells(project, change, tmp_path)
    assert content.written_answers["answer_initial_loss"] == ANSWER
    assert len(content.unassigned["answer_initial_loss"]) == 1
    assert LOST in content.unassigned["answer_initial_loss"][0]
    assert "Cells are beside answers to: “Inline question 1”. A person" in " ".join(content.notes)


def test_code_and_cells_elsewhere_do_not_belong_to_an_answer(
    project: Files, tmp_path: Path
) -> None:
    def change(cells: Cells) -> None:
        below("answer_initial_loss", code_cell("x = 1"))(cells)
        cells[0:0] = [prose_cell("My notebook")]

    assert "answer_initial_loss" not in with_cells(project, change, tmp_path).unassigned


def test_a_picture_in_the_text_of_an_answer_does_not_make_it_too_long(
    project: Files, tmp_path: Path
) -> None:
    text = f"{LOST} ![image.png](data:image/png;base64,%s) So it is."
    content = with_cells(
        project,
        in_place_of("answer_step", prose_cell(text % ("A" * 999_999), "answer_step")),
        tmp_path,
    )
    assert content.written_answers["answer_step"] == text % "…"
    assert content.notes == []


def test_cells_of_nobodys_are_limited_and_the_nearest_come_first(
    project: Files, tmp_path: Path
) -> None:
    def change(cells: Cells) -> None:
        cells[:0] = [prose_cell(f"far {number} " + "x" * 100_000) for number in range(99)]
        below("answer_templates", prose_cell("near"))(cells)

    unassigned = with_cells(project, change, tmp_path).unassigned
    assert unassigned["answer_templates"][0] == "near"
    assert "near" in unassigned["answer_step"]
    assert unassigned["answer_templates"][1].startswith("far 98 ")
    assert {len(texts) for texts in unassigned.values()} == {20}
    assert max(len(text) for text in unassigned["answer_step"]) == 10_000


def test_cells_of_an_older_starter_are_not_the_students(wanted: Files, tmp_path: Path) -> None:
    manifest = json.loads(wanted[STARTER_MANIFEST])
    older = outline({"cells": [prose_cell("Read this first.")]})
    manifest["outlines"][NOTEBOOK] += older
    for known, count in ((b"{}", 3), (json.dumps(manifest).encode(), 0)):
        files = {**wanted, STARTER_MANIFEST: known}
        content = with_cells(
            files, lambda cells: cells.append(prose_cell("Read  this first.\n")), tmp_path
        )
        assert len(content.unassigned) == count


def numbered(note: str, project: Files) -> str:
    """Put the numbers of the cell `tuning` and of those below it into a note."""
    first = cell_of(json.loads(project[NOTEBOOK])["cells"], "tuning") + 1
    return note.format(*range(first, first + 4))


@pytest.mark.parametrize(
    ("cells", "expected", "note"),
    [
        ([RIGHT, STUB], RIGHT, "2 different cells of “7. Tuning”, numbers {0}, {1}; {0} counts"),
        ([STUB, RIGHT], RIGHT, "{1} counts"),
        ([STUB.replace("\n", "  \n"), RIGHT, STUB], RIGHT, "{1} counts"),
        ([RIGHT, RIGHT + "\n"], RIGHT + "\n", ""),
        (
            ["raise ValueError", RIGHT],
            RIGHT,
            "2 different cells of “7. Tuning”, numbers {0}, {1}; {1} counts",
        ),
        (["if x", RIGHT], RIGHT, "{1} counts"),
        ([OLD, RIGHT], RIGHT, "{1} counts"),
        (
            [OLD, STUB, "x", RIGHT],
            RIGHT,
            "4 different cells of “7. Tuning”, numbers {0}, {1}, {2}, {3}; {3}",
        ),
        ([(RIGHT, 7), (OLD, 6)], RIGHT, "{0} counts"),  # that one was run last
        ([(RIGHT, None), (OLD, True)], OLD, "{1} counts"),
        (["def best(x):\n    return x", RIGHT], f"def best(x):\n    return x\n{RIGHT}", ""),
        (["from best import *", RIGHT], f"from best import *\n{RIGHT}", ""),
        (["import a", "best = a.b", RIGHT], f"import a\nbest = a.b\n{RIGHT}", ""),
        ([RIGHT, "%time best_val = 1"], f"{RIGHT}\n%time best_val = 1", ""),
        ([RIGHT, "best val"], RIGHT, "{0} counts"),
        (["for x in y:", "    results = x"], "for x in y:\n    results = x", ""),
        ([STUB, "results = 1"], "results = 1", "{1} counts"),
        ([STUB, STUB, ""], STUB, ""),
    ],
)
def test_of_copied_code_cells_one_counts_and_of_split_ones_all(
    cells: list[Any], expected: str, note: str, project: Files, tmp_path: Path
) -> None:
    made = [
        {**code_cell(text, "tuning"), "execution_count": run}
        for text, run in (each if isinstance(each, tuple) else (each, None) for each in cells)
    ]
    content = with_cells(project, in_place_of("tuning", *made), tmp_path)
    assert content.cells == {"tuning": expected}
    assert numbered(note, project) in " ".join(content.notes)
    assert bool(note) == bool(content.notes)


# As Visual Studio Code splits a cell.
HALVES = [code_cell(text) for text in re.split("\n(?=results.1)", RIGHT)]


@pytest.mark.parametrize(
    ("cells", "expected", "note"),
    [
        ([code_cell(RIGHT)], RIGHT, "Cell {0} counts as your code, by its line"),
        ([code_cell(STUB, "tuning"), code_cell(RIGHT)], RIGHT, "Cell {1} counts"),
        ([code_cell(RIGHT, "tuning"), code_cell(OLD)], RIGHT, "different cells of “7. Tuning”"),
        ([prose_cell(RIGHT, "tuning")], RIGHT, ""),
        (HALVES, RIGHT, "Cell {0} counts as your code"),
        ([code_cell(HALVES[0]["source"], "tuning"), HALVES[1]], RIGHT, ""),
        ([HALVES[0], prose_cell("now"), *HALVES[1:]], RIGHT, "Cell {0} counts"),
        ([code_cell(RIGHT, "tuning"), HALVES[1]], RIGHT, ""),
        ([prose_cell(RIGHT)], None, "The notebook has no cell of: “7. Tuning”."),
        ([code_cell("results = {}")], None, "The notebook has no cell of: “7. Tuning”."),
        (
            [code_cell(STUB, "tuning"), code_cell("results = {}")],
            STUB,
            "“7. Tuning” is unfilled, and code beside it does not count: cell {1}.",
        ),
    ],
)
def test_a_code_cell_is_found_by_its_metadata_or_its_markers(
    cells: Cells, expected: str | None, note: str, project: Files, tmp_path: Path
) -> None:
    content = with_cells(project, in_place_of("tuning", *cells), tmp_path)
    assert content.cells.get("tuning") == expected
    assert numbered(note, project) in " ".join(content.notes)


@pytest.mark.parametrize("has_markers", [True, False])
def test_a_notebook_without_metadata_is_read(
    has_markers: bool, project: Files, tmp_path: Path
) -> None:
    def change(cells: Cells) -> None:
        if has_markers:
            in_place_of("tuning", code_cell(RIGHT))(cells)
        for cell in cells:
            cell["metadata"] = {}

    content = with_cells(project, change, tmp_path)
    assert content.cells == ({"tuning": RIGHT} if has_markers else {})
    assert content.unassigned["answer_initial_loss"][0] == ANSWER
    assert "has no cell of: " in " ".join(content.notes)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"source": None}, "its source is neither text nor a list of lines"),
        ({"source": 7}, "its source is neither text nor a list of lines"),
        ({"source": "\ud83d"}, ""),
        ({"metadata": None}, "its metadata are not an object"),
        ({"metadata": ["tags"]}, "its metadata are not an object"),
        ({"metadata": {"gradkit": "tuning"}}, "its metadata `gradkit` are not an object"),
        ({"metadata": {"gradkit": {"region": ["x"]}}}, "\"['x']\" is not a region's name"),
        ({"cell_type": None}, "is not a cell: it has no cell_type"),
        ({"attachments": 3}, "its attachments are not an object"),
        ({"outputs": [{"text": "\ud83d"}]}, ""),
        ("x = 1", "is not a cell"),
        (None, "is not a cell"),
    ],
)
def test_a_damaged_cell_costs_only_itself(
    damage: Any, problem: str, project: Files, tmp_path: Path
) -> None:
    odd = {**code_cell("x = 1"), **damage} if isinstance(damage, dict) else damage
    content = with_cells(project, lambda cells: cells.insert(5, odd), tmp_path)
    assert content.cells == {"tuning": TUNING}
    assert content.written_answers["answer_initial_loss"] == ANSWER
    assert (f"cell 6: {problem}" if problem else "") in " ".join(content.notes)
    assert all(note.isprintable() for note in content.notes)


@pytest.mark.parametrize("form", [2, 3, "4", "3", 5, None])
def test_a_notebook_of_another_format_is_read(form: Any, project: Files, tmp_path: Path) -> None:
    nb = nbformat.reads(project[NOTEBOOK].decode(), 4)
    nb = json.loads(json.dumps(nbformat.convert(nb, 3) if str(form) in "23" else nb))
    content = content_of(
        zip_of(
            {**project, NOTEBOOK: json.dumps({**nb, "nbformat": form}).encode()},
            tmp_path / "jane.zip",
        )
    )
    assert content.cells == {"tuning": TUNING}
    assert content.written_answers["answer_initial_loss"] == ANSWER
    assert len(content.written_answers) == 4
    assert (content.unassigned, content.notes) == ({}, [])


# --- problems ------------------------------------------------------------------------------------


def test_a_submission_without_wanted_files_is_rejected_with_its_files(tmp_path: Path) -> None:
    path = zip_of({"report.pdf": b"%PDF", "svm.py": b""}, tmp_path / "jane.zip")
    assert rejection(path) == (
        "It holds none of softmax.py, linear_classifier.py and softmax.ipynb; there is "
        "report.pdf, svm.py."
    )
    (tmp_path / "empty").mkdir()
    assert "holds none of softmax.py" in rejection(tmp_path / "empty")


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"", b"{", b"[]", b'{"cells": [', b"\xff", b'{"nbformat": 3}', b"[" * 100_000),
        b'{"cells": [{"metadata": {"gradkit": {"region": ' + b"[" * 500 + b"]" * 500 + b"}}}]}",
        notebook(code_cell("best_softmax = 1")),  # of no region
    ],
    ids=len,
)
def test_a_damaged_notebook_costs_only_its_cells(
    damaged: bytes, wanted: Files, tmp_path: Path
) -> None:
    content = content_of(zip_of({**wanted, NOTEBOOK: damaged}, tmp_path / "jane.zip"))
    assert (len(content.files), content.cells, content.written_answers) == (2, {}, {})
    problem = "The notebook's cells count as not attempted: notebooks/softmax"
    assert problem in " ".join(content.notes)


@pytest.mark.parametrize("manifest", [b"", b"{}", b"\xff", b"[" * 9999], ids=len)
def test_a_damaged_starter_manifest_is_noted(
    manifest: bytes, wanted: Files, tmp_path: Path
) -> None:
    content = content_of(zip_of({**wanted, STARTER_MANIFEST: manifest}, tmp_path / "jane.zip"))
    assert content.version is None
    assert f"Its {STARTER_MANIFEST} is damaged" in " ".join(content.notes)


def test_another_exercises_starter_is_noted(wanted: Files, tmp_path: Path) -> None:
    manifest = {**json.loads(wanted[STARTER_MANIFEST]), "version": "0.9+abc", "exercises": ["svm"]}
    files = {**wanted, STARTER_MANIFEST: json.dumps(manifest).encode()}
    content = content_of(zip_of(files, tmp_path / "jane.zip"))
    assert content.version == "0.9+abc"
    assert content.notes == ["It was made from another exercise's starter, softmax-starter."]


@pytest.mark.parametrize("pack", [write_files, zip_of, tar_of])
def test_a_large_file_costs_only_itself(pack: Pack, tmp_path: Path) -> None:
    long = notebook(code_cell("x" * 100_001, "tuning"), code_cell("short", "answer_step"))
    files = {FILE: b"#" * 1_000_001, OTHER_FILE: b"# mine", NOTEBOOK: long}
    content = content_of(pack(files, tmp_path / "jane.tgz"))
    assert set(content.files) == {OTHER_FILE}
    assert f"{FILE} has more than 1 MB, so it counts as not attempted." in content.notes
    assert (content.cells, content.written_answers) == ({}, {"answer_step": "short"})
    assert "More than 0.1 MB, so it counts as not attempted: “7. Tuning”." in content.notes


# --- notebooks that take memory or time ----------------------------------------------------------


@pytest.mark.parametrize("value", ["[],", '{"a":0},', "0,", '"é",', "[[],{}],"])
def test_a_notebook_of_many_values_is_not_parsed(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "MAX_TOKENS", 20_000)
    text = f'{{"nbformat": 4, "cells": [], "metadata": {{"x": [{value * 20_000}0]}}}}'
    path = zip_of({FILE: b"", NOTEBOOK: text.encode()}, tmp_path / "jane.zip")
    with memory_below(2_000_000):
        assert "takes too much memory to be read. Clear its outputs." in notes_of(path)


def test_a_notebook_of_wide_characters_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "MAX_TEXT_MEMORY", 4_000)
    for letter, is_wide in (("x", False), ("𝕏", True)):
        nb = notebook(code_cell("x" * 1_000, "tuning")).replace(b"x", letter.encode(), 1)
        notes = notes_of(zip_of({FILE: b"", NOTEBOOK: nb}, tmp_path / "jane.zip"))
        assert ("takes too much memory" in notes) == is_wide


def test_a_notebook_full_of_images_and_prints_is_read(tmp_path: Path) -> None:
    image = {"output_type": "display_data", "data": {"image/png": "iVBOR" * 600_000}}
    prints = {"output_type": "stream", "text": [f"loss {n} [{n}, {n}]\n" for n in range(200_000)]}
    cell = {**code_cell(TUNING, "tuning"), "outputs": [image, image, image, prints]}
    content = content_of(zip_of({NOTEBOOK: notebook(cell)}, tmp_path / "jane.zip"))
    assert content.cells == {"tuning": TUNING}


def test_an_endless_text_in_a_notebook_is_scanned_once(tmp_path: Path) -> None:
    path = zip_of({FILE: b"", NOTEBOOK: b'"' + b'\\"' * 3_000_000}, tmp_path / "jane.zip")
    assert "is not a notebook, or a damaged one" in notes_of(path)


# --- random and mutated --------------------------------------------------------------------------


@FUZZ
@given(
    mutations=MUTATIONS,
    pack=st.sampled_from([zip_of, tar_of, gnu_tar]),
    name=st.sampled_from(["jane.zip", "jane.tar"]),  # of which the first one is compressed
)
def test_mutated_archives_are_read_or_rejected(
    mutations: list[tuple[float, bytes | int]], pack: Pack, name: str, tmp_path: Path
) -> None:
    small = {FILE: b"x = 1\n" * 40, NOTEBOOK: notebook(code_cell("a", "tuning"))}
    path = pack(inside(small, f"{LONG} 作业/"), tmp_path / name)
    path.write_bytes(mutated(path.read_bytes()[:6000], mutations))
    try:
        content = content_of(path)
    except SubmissionRejected as error:
        assert str(error).isprintable()
    else:
        assert set(content.files) <= set(SOFTMAX.files)
        assert all(note.isprintable() for note in content.notes)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["cell_type", "source", "metadata", "gradkit", "region", "outputs"]),
            inner,
        ),
    ),
)
CELLS = code_cell("a", "tuning"), code_cell("b"), code_cell("c", "other")


@FUZZ
@given(
    content=st.one_of(
        MUTATIONS.map(lambda mutations: mutated(notebook(*CELLS), mutations)),
        st.fixed_dictionaries({"nbformat": st.just(4), "metadata": JSON, "cells": JSON}).map(
            lambda nb: json.dumps(nb).encode()
        ),
    )
)
def test_any_notebook_costs_only_its_cells(content: bytes, tmp_path: Path) -> None:
    write_files({FILE: b"x = 1", NOTEBOOK: content}, tmp_path / "jane")
    read = content_of(tmp_path / "jane")
    assert read.files == {FILE: b"x = 1"}
    assert all(note.isprintable() for note in read.notes)
