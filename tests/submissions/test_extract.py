"""Whatever students hand in, their files and cells come out, or a sentence that says why not."""

import contextlib
import gzip
import io
import json
import os
import re
import struct
import tarfile
import time
import tracemalloc
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.workspace.regions import (
    ANSWER_STUB,
    read_notebook,
    region_of,
    source_of,
    write_notebook,
)
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.submissions import archives
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import Submission, find_submissions, single_submission
from gradkit.submissions.extract import SubmissionContent, read_submission
from gradkit.submissions.roster import label, student_id

SOFTMAX = load_exercise("softmax")
FILE, OTHER_FILE = SOFTMAX.files
NOTEBOOK = SOFTMAX.notebook
TUNING = "# mine\nresults, best_val, best_softmax = {}, 0.5, Softmax()\n"
ANSWER = "**Your answer:** because of the logarithm — 対数."

# How a student's files are put into the class's folder; the path of what has come of it.
Pack = Callable[[Mapping[str, bytes], Path], Path]


@pytest.fixture(scope="session")
def project() -> dict[str, bytes]:
    """The files of a student who has begun."""
    files = starter_files(PROJECT, ["softmax"])
    files[FILE] = files[FILE].replace(b'raise NotImplementedError("softmax_naive")', b"loss = 1.5")
    nb = read_notebook(files[NOTEBOOK].decode(), NOTEBOOK)
    mine = {"tuning": TUNING, "answer_initial_loss": ANSWER}
    for cell in nb["cells"]:
        cell["source"] = mine.get(region_of(cell) or "", source_of(cell))
    nb["cells"].insert(3, code_cell("import os; os.abort()  # mine, outside my region"))
    return {**files, NOTEBOOK: write_notebook(nb).encode()}


@pytest.fixture(scope="session")
def wanted(project: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the command `submit` packs."""
    return {path: project[path] for path in (FILE, OTHER_FILE, NOTEBOOK, STARTER_MANIFEST)}


def code_cell(text: str, region: str | None = None) -> dict[str, Any]:
    metadata = {"gradkit": {"region": region}} if region else {}
    return {
        **{"cell_type": "code", "id": "x", "metadata": metadata, "source": text},
        **{"outputs": [], "execution_count": None},
    }


def notebook(*cells: dict[str, Any]) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def lay(files: Mapping[str, bytes], folder: Path) -> Path:
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def zip_of(files: Mapping[str, bytes], path: Path) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 12, 0, 0)), content)
    return path


def tar_of(files: Mapping[str, bytes], path: Path, form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w", format=form) as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mtime = len(content), 1_000_000_000
            archive.addfile(about, io.BytesIO(content))
    return path


def inside(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    return {f"{folder}{name}": content for name, content in files.items()}


def work_of(path: Path) -> SubmissionContent:
    return read_submission(single_submission(path), SOFTMAX)


def refusal(path: Path) -> str:
    with pytest.raises(SubmissionRejected) as refused:
        work_of(path)
    return str(refused.value)


def notes_of(path: Path) -> str:
    return " ".join(work_of(path).notes)


# --- as students hand it in ----------------------------------------------------------------------

LONG = "a folder of a very long name, as deep as people have them " * 3

PACKS: dict[str, Pack] = {
    "a folder": lambda files, place: lay(files, place / "jane"),
    "a folder in a folder": lambda files, place: (
        lay(inside(files, "softmax/"), place / "jane") and place / "jane"
    ),
    "two folders deep": lambda files, place: lay(inside(files, "hw 1/softmax/"), place / "jane"),
    "a zip": lambda files, place: zip_of(files, place / "jane.zip"),
    "a zip of a folder": lambda files, place: zip_of(
        inside(files, "softmax-starter/"), place / "jane.zip"
    ),
    "a zip from Windows": lambda files, place: zip_of(
        {f"starter\\{name}".replace("/", "\\"): text for name, text in files.items()},
        place / "jane.zip",
    ),
    "a zip from macOS": lambda files, place: zip_of(
        {
            **inside(files, "starter/"),
            **{f"__MACOSX/starter/{Path(n).parent}/._{Path(n).name}": b"\0\5" for n in files},
            "starter/.DS_Store": b"\0\0\0\1Bud1",
        },
        place / "jane.zip",
    ),
    "a zip of a folder in any script": lambda files, place: zip_of(
        inside(files, "作业 Übung/"), place / "jane.zip"
    ),
    "a tar.gz": lambda files, place: tar_of(files, place / "jane.tar.gz"),
    "a tgz of GNU": lambda files, place: tar_of(
        inside(files, f"{LONG}/"), place / "jane.tgz", tarfile.GNU_FORMAT
    ),
    "a tar.gz of POSIX": lambda files, place: tar_of(
        inside(files, f"./{LONG} 作业/"), place / "jane.tar.gz"
    ),
    "an old tar.gz": lambda files, place: tar_of(
        inside(files, "softmax/"), place / "jane.tar.gz", tarfile.USTAR_FORMAT
    ),
    "a tar.gz that the browser has unpacked": lambda files, place: tar_of(
        files, place / "jane.tar"
    ),
    "files without their folders": lambda files, place: lay(
        {Path(name).name: content for name, content in files.items()}, place / "jane"
    ),
    "a zip of files without their folders": lambda files, place: zip_of(
        {Path(name).name: content for name, content in files.items()}, place / "jane.zip"
    ),
    "a folder round an archive": lambda files, place: (
        zip_of(files, lay({"notes.txt": b""}, place / "jane") / "softmax.zip").parent
    ),
    "a tar.gz that is called zip": lambda files, place: tar_of(files, place / "jane.tgz").rename(
        place / "jane.zip"
    ),
}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_files_cells_and_answers_come_out_however_they_are_packed(
    pack: Pack, wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    pack(wanted, tmp_path)
    [found] = find_submissions(tmp_path, SOFTMAX)
    work = read_submission(found, SOFTMAX)
    assert found.student == "jane"
    assert work.files == {FILE: wanted[FILE], OTHER_FILE: wanted[OTHER_FILE]}
    assert work.cells == {"tuning": TUNING}
    assert work.written_answers["answer_initial_loss"] == ANSWER
    assert len(work.written_answers) == 4
    assert work.written_answers["answer_step"] == ANSWER_STUB
    assert str(work.version).startswith("1.0+")
    assert [note for note in work.notes if not note.startswith(("Ignored", "Taken from"))] == []


def test_the_same_work_has_the_same_digest_however_it_is_packed(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    works = []
    for number, pack in enumerate(PACKS.values()):
        place = tmp_path / str(number)
        place.mkdir()
        works.append(work_of(pack(wanted, place)))
    assert len({work.digest for work in works}) == 1
    other = {**wanted, FILE: wanted[FILE] + b"\n"}
    assert work_of(zip_of(other, tmp_path / "other.zip")).digest != works[0].digest


def test_all_of_the_project_may_be_handed_in_and_the_rest_is_ignored(
    project: Mapping[str, bytes], tmp_path: Path
) -> None:
    files = {
        **project,
        "conftest.py": b"raise SystemExit",
        "assignment/classifiers/mine.py": b"x = 1",
        "assignment/checks/verdict.py": b"# patched",
        ".venv/lib/python3.12/site-packages/torch/softmax.py": b"# another one",
        "assignment/__pycache__/softmax.cpython-312.pyc": b"\0",
        "notebooks/.ipynb_checkpoints/softmax-checkpoint.ipynb": b"{}",
        "backup-1/assignment/classifiers/softmax.py": b"# as it was",
    }
    work = work_of(zip_of(inside(files, "softmax-starter/"), tmp_path / "jane.zip"))
    assert work.files[FILE] == project[FILE]
    assert set(work.files) == {FILE, OTHER_FILE}
    [note] = work.notes
    assert note == (
        "Ignored: softmax-starter/conftest.py, softmax-starter/assignment/classifiers/mine.py."
    )


def test_a_data_set_handed_in_by_accident_is_not_read(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    folder = lay(wanted, tmp_path / "jane")
    zeros = bytes(1_000_000)
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("datasets/cifar-10-batches-py/data_batch_1", "w") as file:
            for _ in range(100):
                file.write(zeros)
        for name, content in wanted.items():
            archive.writestr(name, content)
    with tarfile.open(tmp_path / "tarred.tar.gz", "w:gz", compresslevel=1) as tar:
        about = tarfile.TarInfo("datasets/cifar-10-batches-py/data_batch_1")
        about.size = 100_000_000
        tar.addfile(about, _Zeros(about.size))
        for name, content in wanted.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    lay({"datasets/data_batch_1": b""}, folder)
    os.truncate(folder / "datasets/data_batch_1", 100_000_000_000)
    for path in (folder, tmp_path / "zipped.zip", tmp_path / "tarred.tar.gz"):
        tracemalloc.start()
        work = work_of(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(work.files) == 2
        assert work.cells
        assert work.notes == []
        assert peak < 10_000_000


class _Zeros(io.RawIOBase):
    """So many zeros, that nobody has to hold."""

    def __init__(self, left: int) -> None:
        self.left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self.left)
        buffer[:size] = bytes(size)
        self.left -= size
        return size


def test_what_is_missing_is_not_there(wanted: Mapping[str, bytes], tmp_path: Path) -> None:
    work = work_of(zip_of({FILE: wanted[FILE]}, tmp_path / "jane.zip"))
    assert (set(work.files), work.cells, work.written_answers, work.version) == (
        {FILE},
        {},
        {},
        None,
    )
    work = work_of(zip_of({NOTEBOOK: wanted[NOTEBOOK]}, tmp_path / "notebook.zip"))
    assert (work.files, work.cells) == ({}, {"tuning": TUNING})


def test_single_files_of_one_student_go_together(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    lay(
        {
            "jane_softmax.py": wanted[FILE],
            "jane_linear_classifier.py": wanted[OTHER_FILE],
            "jane_softmax (1).ipynb": wanted[NOTEBOOK],
            "joe-softmax.py": b"# joe's",
        },
        tmp_path,
    )
    jane, joe = find_submissions(tmp_path, SOFTMAX)
    assert (jane.student, joe.student, jane.superseded) == ("jane", "joe", False)
    assert len(read_submission(jane, SOFTMAX).files) == 2
    assert read_submission(jane, SOFTMAX).cells == {"tuning": TUNING}
    assert read_submission(joe, SOFTMAX).files == {FILE: b"# joe's"}


def test_a_notebook_of_another_name_is_taken_and_that_is_said(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    files = {"Jane Doe HW1.ipynb": wanted[NOTEBOOK], "scratch.ipynb": notebook(code_cell("1 + 1"))}
    path = zip_of(files, tmp_path / "jane.zip")
    assert work_of(path).cells == {"tuning": TUNING}
    assert "Jane Doe HW1.ipynb was taken for the notebook." in notes_of(path)


def test_of_several_projects_all_files_are_taken_from_one(tmp_path: Path) -> None:
    old = {FILE: b"# old", OTHER_FILE: b"# old"}
    files = {
        **inside({**old, NOTEBOOK: notebook(code_cell("mine", "tuning"))}, "final/"),
        **inside(old, "backup/"),
        "softmax.py": b"# a lone one",
    }
    files["final/" + FILE] = b"# final"
    work = work_of(zip_of(files, tmp_path / "jane.zip"))
    assert work.files == {FILE: b"# final", OTHER_FILE: b"# old"}
    assert f"softmax.py was found 3 times; final/{FILE} was taken." in work.notes


def test_the_last_of_two_members_of_one_name_counts_and_that_is_said(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "jane.zip", "w") as archive:
            archive.writestr("softmax.py", "first")
            archive.writestr("softmax.py", "last")
    with tarfile.open(tmp_path / "jane.tar.gz", "w:gz") as tar:
        for content in (b"first", b"last"):
            about = tarfile.TarInfo("softmax.py")
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    for name in ("jane.zip", "jane.tar.gz"):
        work = work_of(tmp_path / name)
        assert work.files == {FILE: b"last"}
        assert "Twice in " + name in work.notes[0]


def test_cells_of_one_region_are_joined_and_nothing_else_is_taken(tmp_path: Path) -> None:
    prose = {"cell_type": "markdown", "metadata": {"gradkit": {"region": "tuning"}}, "source": "c"}
    nb = notebook(code_cell("a", "tuning"), code_cell("x = 1"), code_cell("b", "tuning"), prose)
    work = work_of(zip_of({NOTEBOOK: nb}, tmp_path / "jane.zip"))
    assert (work.cells, work.written_answers) == ({"tuning": "a\nb\nc"}, {})


def test_a_cell_of_code_that_was_turned_into_prose_is_still_one_of_code(tmp_path: Path) -> None:
    cell = {"cell_type": "markdown", "metadata": {"gradkit": {"region": "tuning"}}, "source": "a"}
    work = work_of(zip_of({NOTEBOOK: notebook(cell)}, tmp_path / "jane.zip"))
    assert (work.cells, work.written_answers) == ({"tuning": "a"}, {})


def test_a_python_file_is_taken_as_it_is(tmp_path: Path) -> None:
    content = b"\xff\xfe\0 not UTF-8 \r\n"
    assert work_of(zip_of({"softmax.py": content}, tmp_path / "j.zip")).files == {FILE: content}


# --- what is wrong with it -----------------------------------------------------------------------


def test_what_holds_nothing_of_the_exercise_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    path = zip_of({"report.pdf": b"%PDF", "svm.py": b""}, tmp_path / "jane.zip")
    assert refusal(path) == (
        "It holds none of softmax.py, linear_classifier.py and softmax.ipynb; there is "
        "report.pdf, svm.py."
    )
    (tmp_path / "empty").mkdir()
    assert "holds none of softmax.py" in refusal(tmp_path / "empty")


def test_an_archive_in_an_archive_is_not_opened(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    zip_of(wanted, tmp_path / "inner.zip")
    outer = {"jane/inner.zip": (tmp_path / "inner.zip").read_bytes()}
    for path in (zip_of(outer, tmp_path / "a.zip"), tar_of(outer, tmp_path / "a.tar.gz")):
        assert refusal(path) == (
            "It holds another archive, jane/inner.zip, and archives in archives are not opened. "
            "Unpack the outer one once."
        )


def test_an_archive_beside_the_files_gives_what_is_missing_at_most(
    wanted: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay({"softmax.py": b"# mine"}, tmp_path / "jane")
    zip_of({**wanted, "x": b""}, folder / "softmax-starter.zip")
    work = work_of(folder)
    assert work.files == {FILE: b"# mine", OTHER_FILE: wanted[OTHER_FILE]}
    note = "Taken from jane/softmax-starter.zip: linear_classifier.py, softmax.ipynb."
    assert note in work.notes
    (folder / "softmax-starter.zip").unlink()
    monkeypatch.setattr(archives, "MOST_UNPACKED", 10_000)
    tar_of({"data": bytes(100_000)}, folder / "data.tar.gz")
    (folder / "damaged.zip").write_bytes(b"PK\3\4")
    assert work_of(folder).files == {FILE: b"# mine"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("jane.zip", b"", "jane.zip is empty."),
        ("jane.zip", b"hello", "jane.zip is neither a .zip nor a .tar.gz archive, or damaged."),
        ("jane.rar", b"Rar!\x1a\7\0", "jane.rar is a .rar archive."),
        ("jane.7z", b"7z\xbc\xaf\x27\x1c", "jane.7z is a .7z archive."),
        ("jane.zip", b"<!DOCTYPE html>", "jane.zip is a web page."),
        ("jane.zip", b"PK\3\4" + bytes(100), "jane.zip is a damaged zip file"),
        ("jane.tar.gz", gzip.compress(b"hello", mtime=0), "jane.tar.gz is no tar file, or damaged"),
        ("jane.tar.gz", b"\x1f\x8b\x08\0" + bytes(90), "jane.tar.gz is no tar file, or damaged"),
        ("jane.pdf", b"%PDF", "It holds none of softmax.py"),
    ],
)
def test_what_is_no_archive_is_refused_with_what_it_is(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(said)
    [found] = find_submissions(tmp_path, SOFTMAX)
    assert found.student == "jane"


def test_an_archive_that_was_cut_off_is_refused(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    for path in (zip_of(wanted, tmp_path / "a.zip"), tar_of(wanted, tmp_path / "a.tar.gz")):
        path.write_bytes(path.read_bytes()[:-40])
        assert "damaged" in refusal(path)


def test_a_damaged_notebook_costs_only_its_cells(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    for number, damaged in enumerate(
        (b"", b"{", b"[]", wanted[NOTEBOOK][:-9], b"\xff", b'{"nbformat": 3}', b"[" * 100_000)
    ):
        path = zip_of({**wanted, NOTEBOOK: damaged}, tmp_path / f"{number}.zip")
        work = work_of(path)
        assert (len(work.files), work.cells, work.written_answers) == (2, {}, {})
        assert "The notebook's cells count as not attempted: notebooks/softmax" in notes_of(path)


def test_a_notebook_without_the_marks_of_its_cells_costs_only_its_cells(tmp_path: Path) -> None:
    path = zip_of(
        {FILE: b"", NOTEBOOK: notebook(code_cell("best_softmax = 1"))}, tmp_path / "j.zip"
    )
    assert "has no cell that is marked as one of the exercise" in notes_of(path)
    lone = zip_of({NOTEBOOK: notebook(code_cell("best_softmax = 1"))}, tmp_path / "k.zip")
    assert "has no cell that is marked as one of the exercise" in refusal(lone)


def test_a_damaged_record_of_the_starter_is_said(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    for number, record in enumerate((b"", b"{}", b"\xff", b"[" * 9999)):
        path = zip_of({**wanted, STARTER_MANIFEST: record}, tmp_path / f"{number}.zip")
        assert work_of(path).version is None
        assert f"Its {STARTER_MANIFEST} is damaged" in notes_of(path)


def test_work_on_another_starter_is_taken_with_its_version(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    record = {**json.loads(wanted[STARTER_MANIFEST]), "version": "0.9+abc", "exercises": ["svm"]}
    files = {**wanted, STARTER_MANIFEST: json.dumps(record).encode()}
    work = work_of(zip_of(files, tmp_path / "jane.zip"))
    assert work.version == "0.9+abc"
    assert work.notes == ["It was made from another exercise's starter, softmax-starter."]


# --- what is hostile -----------------------------------------------------------------------------

OUTSIDE = {
    "../assignment/classifiers/softmax.py": "has a path that leads out of its folder",
    "/assignment/classifiers/softmax.py": "has a path that leads out of its folder",
    "a/../../softmax.py": "has a path that leads out of its folder",
    "C:\\work\\softmax.py": "has a path that leads out of its folder",
    "..\\softmax.py": "has a path that leads out of its folder",
    "a\x00/softmax.py": "has control characters in its name",
    "a\n\x1b[2J/softmax.py": "has control characters in its name",
    "../../etc/cron.d/x": "has a path that leads out of its folder",
    f"{'long/' * 1000}softmax.py": "has a path that is longer than systems take",
}


@pytest.mark.parametrize(("name", "fault"), OUTSIDE.items())
def test_paths_that_nobodys_archiver_makes_are_not_taken_and_told(
    name: str, fault: str, tmp_path: Path
) -> None:
    files = {"other.py": b"", name: b"# planted", OTHER_FILE: b"# mine"}
    _zip_with_raw_names(files, tmp_path / "jane.zip")
    paths = [tmp_path / "jane.zip"]
    if "\0" not in name:
        paths.append(tar_of(files, tmp_path / "jane.tar.gz"))
    for path in paths:
        work = work_of(path)
        assert work.files == {OTHER_FILE: b"# mine"}
        assert fault in work.notes[0]
        assert all(note.isprintable() for note in work.notes)


def _zip_with_raw_names(files: Mapping[str, bytes], path: Path) -> None:
    """A zip file with names that zipfile would not write."""
    stand_ins = {letter * len(name): name for letter, name in zip("QXZ", files, strict=True)}
    names = {name: stand_in for stand_in, name in stand_ins.items()}
    zip_of({names[name]: content for name, content in files.items()}, path)
    content = path.read_bytes()
    for stand_in, name in stand_ins.items():
        content = content.replace(stand_in.encode(), name.encode())
    path.write_bytes(content)


def test_links_and_devices_in_archives_are_not_taken(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("softmax.py")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "jane.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(OTHER_FILE, "# mine")
    with tarfile.open(tmp_path / "jane.tar.gz", "w:gz") as tar:
        for number, kind in enumerate(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
        ):
            about = tarfile.TarInfo(f"{number}/softmax.py")
            about.type, about.linkname, about.size = kind, "/etc/passwd", 0
            tar.addfile(about)
        about = tarfile.TarInfo(OTHER_FILE)
        about.size = 6
        tar.addfile(about, io.BytesIO(b"# mine"))
    for name in ("jane.zip", "jane.tar.gz"):
        work = work_of(tmp_path / name)
        assert work.files == {OTHER_FILE: b"# mine"}
        assert "is a link, a device or the like" in work.notes[0]


def test_no_link_in_a_folder_is_followed(tmp_path: Path) -> None:
    lay({"secret/softmax.py": b"# secret", "secret/linear_classifier.py": b""}, tmp_path)
    folder = lay({"notes.txt": b""}, tmp_path / "jane")
    (folder / "assignment").symlink_to(tmp_path / "secret")
    (folder / "softmax.py").symlink_to(tmp_path / "secret/softmax.py")
    (folder / "loop").symlink_to(folder)
    assert refusal(folder) == (
        "Nothing in it can be graded. Not taken from jane: softmax.py is a link."
    )
    for name, target in {"joe": "secret", "jim.zip": "secret", "jack_softmax.py": "x"}.items():
        (tmp_path / name).symlink_to(tmp_path / target)
        assert "link" in refusal(tmp_path / name) or "cannot be read" in refusal(tmp_path / name)


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    folder = lay({OTHER_FILE: b"# mine"}, tmp_path / "jane")
    os.mkfifo(folder / "softmax.py")
    work = work_of(folder)
    assert work.files == {OTHER_FILE: b"# mine"}
    assert "softmax.py is no file, but a pipe, a device or the like" in work.notes[0]
    for name in ("joe.zip", "joe_softmax.py", "joe"):
        os.mkfifo(tmp_path / name)
        assert "no file, but a pipe" in refusal(tmp_path / name) or "none of" in refusal(
            tmp_path / name
        )
    assert len(find_submissions(tmp_path, SOFTMAX)) == 3


def test_what_is_encrypted_or_packed_unusually_is_not_taken(tmp_path: Path) -> None:
    path = zip_of({"softmax.py": b"x" * 99, OTHER_FILE: b"# mine"}, tmp_path / "jane.zip")
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(header) + flags] |= 1
    path.write_bytes(content)
    assert set(work_of(path).files) == {OTHER_FILE}
    assert "softmax.py is encrypted" in notes_of(path)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", method) as archive:
            archive.writestr("softmax.py", bytes(50_000_000))
        assert "softmax.py is compressed in a way that only some" in refusal(tmp_path / "bomb.zip")


def test_what_is_too_large_costs_only_itself(wanted: Mapping[str, bytes], tmp_path: Path) -> None:
    long = notebook(code_cell("x" * 100_001, "tuning"), code_cell("short", "other"))
    for size, nb in ((1_000_001, wanted[NOTEBOOK]), (10_000_000_000, long)):
        files = {FILE: b"#" * min(size, 1_000_001), OTHER_FILE: b"# mine", NOTEBOOK: nb}
        folder = lay(files, tmp_path / str(size))
        os.truncate(folder / FILE, size)
        for path in (folder, zip_of(files, tmp_path / "a.zip"), tar_of(files, tmp_path / "a.tgz")):
            work = work_of(path)
            assert set(work.files) == {OTHER_FILE}
            assert f"{FILE} has more than 1 MB, so it counts as not attempted." in work.notes
    assert work.cells == {"other": "short"}
    assert "More than 0.1 MB, so it counts as not attempted: tuning." in work.notes
    files = {FILE: b"", NOTEBOOK: notebook(code_cell("a" * 20_000_000, "tuning"))}
    assert "softmax.ipynb has more than 20 MB" in notes_of(zip_of(files, tmp_path / "b.zip"))


def test_bombs_in_wanted_files_are_not_unpacked(tmp_path: Path) -> None:
    zeros = bytes(300_000_000)
    path = zip_of({"softmax.py": zeros, "softmax.ipynb": zeros}, tmp_path / "jane.zip")
    del zeros
    tracemalloc.start()
    said = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "softmax.py has more than 1 MB" in said
    assert "softmax.ipynb has more than 20 MB" in said
    assert peak < 60_000_000


def test_a_zip_of_a_million_entries_is_refused_at_once(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 16)
    size = 1_000_000 * len(entry)
    with (tmp_path / "jane.zip").open("wb") as file:
        file.write(b"PK\3\4" + bytes(26) + entry * 1_000_000)
        # What it says of their number is not true.
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 30, 0))
    start = time.perf_counter()
    assert refusal(tmp_path / "jane.zip") == "jane.zip has far more than 200,000 entries."
    assert time.perf_counter() - start < 2


def test_too_many_entries_are_refused_unless_all_was_found_before(
    wanted: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_ENTRIES", 30)
    many = {f"data/{number}": b"" for number in range(40)}
    files = {**many, **wanted}
    for path in (tar_of(files, tmp_path / "a.tgz"), lay(files, tmp_path / "a")):
        assert "has more than 30 entries, and what was looked at of it has no " in refusal(path)
    path = tar_of({**wanted, **many}, tmp_path / "b.tgz")
    assert len(work_of(path).files) == 2
    assert "b.tgz has more than 30 entries: the rest was not looked at." in notes_of(path)


def test_gigabytes_in_a_tar_file_are_refused_in_seconds(tmp_path: Path) -> None:
    about = tarfile.TarInfo("big")
    about.size = 1_100_000_000
    pack = zlib.compressobj(1, wbits=31)
    with (tmp_path / "jane.tar.gz").open("wb") as file:
        file.write(pack.compress(about.tobuf()))
        megabyte = bytes(1_000_000)
        for _ in range(1_100):
            file.write(pack.compress(megabyte))
        file.write(pack.flush())
    start = time.perf_counter()
    assert refusal(tmp_path / "jane.tar.gz").startswith("jane.tar.gz unpacks to more than 1.0 GB")
    assert time.perf_counter() - start < 20


def test_headers_of_tar_files_are_no_bombs_either(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        about = tarfile.TarInfo("x")
        about.type, about.size = kind, 500_000_000
        with gzip.open(tmp_path / "jane.tar.gz", "wb", 1) as file:
            file.write(about.tobuf(tarfile.GNU_FORMAT))
            for _ in range(500):
                file.write(b"20 path=softmax.py1\n" * 50_000)
        tracemalloc.start()
        refusal(tmp_path / "jane.tar.gz")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000


def test_headers_of_tar_files_that_make_no_sense_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_HEADERS", 10_000)
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        about = tarfile.TarInfo("x")
        about.type, about.size = kind, 0
        with gzip.open(tmp_path / "jane.tar.gz", "wb", 1) as file:
            file.write(about.tobuf(tarfile.GNU_FORMAT) * 20_000)
        assert "its headers make no sense" in refusal(tmp_path / "jane.tar.gz")
    about = tarfile.TarInfo("softmax.py")
    about.size = 1
    block = bytearray(about.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 12  # -1
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * 32)
    (tmp_path / "jane.tar").write_bytes(bytes(block) + bytes(1024))
    assert "its headers make no sense" in refusal(tmp_path / "jane.tar")


@pytest.mark.parametrize("value", ["[],", '{"a":0},', "0,", '"é",', "[[],{}],"])
def test_notebooks_are_no_bombs_either(value: str, tmp_path: Path) -> None:
    text = f'{{"nbformat": 4, "cells": [], "metadata": {{"x": [{value * 2_000_000}0]}}}}'
    path = zip_of({FILE: b"", NOTEBOOK: text.encode()}, tmp_path / "jane.zip")
    tracemalloc.start()
    said = notes_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "takes too much memory to be read. Clear its outputs." in said
    assert peak < 150_000_000


def test_a_notebook_full_of_pictures_and_prints_is_read(tmp_path: Path) -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR" * 600_000}}
    prints = {"output_type": "stream", "text": [f"loss {n} [{n}, {n}]\n" for n in range(200_000)]}
    cell = {**code_cell(TUNING, "tuning"), "outputs": [picture, picture, picture, prints]}
    work = work_of(zip_of({NOTEBOOK: notebook(cell)}, tmp_path / "jane.zip"))
    assert work.cells == {"tuning": TUNING}


def test_a_text_in_a_notebook_that_never_ends_takes_no_time(tmp_path: Path) -> None:
    path = zip_of({FILE: b"", NOTEBOOK: b'"' + b'\\"' * 9_000_000}, tmp_path / "jane.zip")
    start = time.perf_counter()
    assert "is not a notebook, or a damaged one" in notes_of(path)
    assert time.perf_counter() - start < 20


def test_nothing_is_ever_written(wanted: Mapping[str, bytes], tmp_path: Path) -> None:
    paths = [lay(wanted, tmp_path / "jane"), zip_of(wanted, tmp_path / "a.zip")]
    paths.append(tar_of(wanted, tmp_path / "a.tgz"))
    before = sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    for path in paths:
        work_of(path)
    assert sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


# --- random and mutated --------------------------------------------------------------------------

# The long run: FUZZ_EXAMPLES=3000 pytest tests/test_submission.py
FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1), st.one_of(st.binary(max_size=4), st.integers(1, 300))), max_size=6
)


def mutated(content: bytes, mutations: list[tuple[float, bytes | int]]) -> bytes:
    """Bytes put in the place of others, or as many as are said taken out."""
    for where, what in mutations:
        place = int(where * len(content))
        if isinstance(what, bytes):
            content = content[:place] + what + content[place + len(what) :]
        else:
            content = content[:place] + content[place + what :]
    return content


def outcome(path: Path) -> SubmissionContent | str:
    try:
        work = work_of(path)
    except SubmissionRejected as error:
        assert str(error).isprintable()
        return str(error)
    assert set(work.files) <= set(SOFTMAX.files)
    assert all(note.isprintable() for note in work.notes)
    return work


@FUZZ
@given(content=st.binary(max_size=2000), name=st.sampled_from([".zip", ".tar.gz", ".py", ".ipynb"]))
def test_random_bytes_give_work_or_a_refusal(content: bytes, name: str, tmp_path: Path) -> None:
    heads = (b"", b"PK\3\4", b"\x1f\x8b\x08\0")
    for head in heads:
        path = tmp_path / f"softmax{name}"
        path.write_bytes(head + content)
        outcome(path)


@FUZZ
@given(mutations=MUTATIONS, kind=st.sampled_from(["zip", "stored", "tgz", "tar", "pax"]))
def test_mutated_archives_give_work_or_a_refusal(
    mutations: list[tuple[float, bytes | int]],
    kind: str,
    wanted: Mapping[str, bytes],
    tmp_path: Path,
) -> None:
    small = {FILE: b"x = 1\n" * 40, NOTEBOOK: notebook(code_cell("a", "tuning"))}
    path = tmp_path / "jane.zip"
    if kind == "zip":
        zip_of(inside(small, "作业/"), path)
    elif kind == "stored":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in small.items():
                archive.writestr(name, content)
    else:
        packed = tar_of(small, tmp_path / "jane.tar", tarfile.GNU_FORMAT)
        if kind == "pax":
            packed = tar_of(inside(small, f"{LONG} 作业/"), tmp_path / "jane.tar")
        content = packed.read_bytes()[:6000]
        path.write_bytes(gzip.compress(content) if kind == "tgz" else content)
    path.write_bytes(mutated(path.read_bytes(), mutations))
    outcome(path)


PATHS = st.text(
    st.characters(exclude_characters="/\\\0", exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=60,
).filter(lambda name: name not in (".", "..") and name[1:2] != ":")


@FUZZ
@given(
    files=st.dictionaries(
        st.lists(PATHS, min_size=1, max_size=6).map("/".join), st.binary(max_size=1500), max_size=4
    ),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_tar_files_are_read_as_they_were_written(
    files: dict[str, bytes], form: int, tmp_path: Path
) -> None:
    source = archives.opened(tar_of(files, tmp_path / "jane.tar.gz", form), "jane.tar.gz")
    members = list(source.members())
    assert [(member.name, member.fault) for member in members] == [(name, "") for name in files]
    contents = source.read(dict.fromkeys(members, 2000))
    assert [contents[member] for member in members] == list(files.values())


@FUZZ
@given(mutations=MUTATIONS)
def test_mutated_notebooks_give_work_with_all_else(
    mutations: list[tuple[float, bytes | int]], tmp_path: Path
) -> None:
    nb = notebook(code_cell("a", "tuning"), code_cell("b"), code_cell("c", "other"))
    lay({FILE: b"x = 1", NOTEBOOK: mutated(nb, mutations)}, tmp_path / "jane")
    work = outcome(tmp_path / "jane")
    assert isinstance(work, SubmissionContent)
    assert work.files == {FILE: b"x = 1"}


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


@FUZZ
@given(cells=JSON, metadata=JSON)
def test_notebooks_of_any_json_give_work_with_all_else(
    cells: Any, metadata: Any, tmp_path: Path
) -> None:
    nb = {"nbformat": 4, "metadata": metadata, "cells": cells}
    lay({FILE: b"x = 1", NOTEBOOK: json.dumps(nb).encode()}, tmp_path / "jane")
    assert isinstance(outcome(tmp_path / "jane"), SubmissionContent)


# --- whose it is ---------------------------------------------------------------------------------

NAMES = {
    "doejane_12345_678901_softmax.zip": "doejane_12345",
    "doejane_LATE_12345_678901_softmax-1.zip": "doejane_12345",
    "anon_a1B2c_678901_softmax.zip": "anon_a1B2c",
    "LATE_anon_a1B2c_678901_12_softmax.zip": "anon_a1B2c",
    "王伟_12_345678_softmax.py": "王伟_12",
    "Jane Doe_123456_assignsubmission_file_": "Jane Doe_123456",
    "Jane Doe_123456_assignsubmission_file": "Jane Doe_123456",
    "Zoë van der Á_123456_assignsubmission_file_joe.zip": "Zoë van der Á_123456",
    "submission_123456789": "submission_123456789",
    "jane.zip": "jane",
    "jane.tar.gz": "jane",
    "jane_softmax.py": "jane",
    "softmax-jane.tgz": "jane",
    "jane-softmax-submission (2).zip": "jane",
    "softmax-submission_jane 2026-03-01 23-59-10.tar.gz": "jane",
    "jane+softmax+2026-03-01 23:59:10.123456 UTC.zip": "jane",
    "jane_20260301_235910_softmax.py": "jane",
    "20231205.zip": "20231205",
    "student-1.zip": "student-1",
    "student (2).zip": "student (2)",
    "softmax-submission.zip": "softmax-submission",
    "2026-03-01_23-59-10.zip": "2026-03-01_23-59-10",
    "John O'Neil, Jr..zip": "John O'Neil, Jr",
}


@pytest.mark.parametrize(("name", "student"), NAMES.items())
def test_the_student_is_read_from_the_name(name: str, student: str) -> None:
    assert label(name, SOFTMAX).student == student


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=255))
def test_ids_can_be_printed_and_are_short(name: str) -> None:
    student = label(name, SOFTMAX).student
    assert student
    assert student.isprintable()
    assert len(student) <= 80


@given(st.text(max_size=200), st.text(max_size=200))
def test_two_texts_have_two_ids(one: str, other: str) -> None:
    if unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other):
        assert student_id(one) != student_id(other)


def test_names_that_cannot_be_printed_or_are_long_do_not_fall_together(tmp_path: Path) -> None:
    for name in ("a" * 100 + "x", "a" * 100 + "y", "b\x07", "b\\x07", "b\x1b"):
        (tmp_path / name).mkdir()
    os.mkdir(os.fsencode(tmp_path) + b"/c\xff")  # noqa: PTH102
    os.mkdir(os.fsencode(tmp_path) + b"/c\xfe")  # noqa: PTH102
    found = find_submissions(tmp_path, SOFTMAX)
    assert len({each.student for each in found}) == 7
    assert len({each.name for each in found}) == 7
    assert all(each.student.isprintable() and each.name.isprintable() for each in found)


def test_canvas_gives_one_attempt_in_several_files(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    lay(
        {
            "doejane_LATE_12345_678901_softmax-1.py": wanted[FILE],
            "doejane_LATE_12345_678902_jane_linear_classifier.py": wanted[OTHER_FILE],
            "doejane_LATE_12345_678903_report.pdf": b"%PDF",
            "roejoe_12346_678904_notebook.ipynb": wanted[NOTEBOOK],
            "poejim_12347_678906_report.pdf": b"%PDF",
            "poejim_12347_678907_softmax.ipynb": wanted[NOTEBOOK],
        },
        tmp_path,
    )
    zip_of({FILE: b"# joe's"}, tmp_path / "roejoe_12346_678905_work.zip")
    zip_of({FILE: b"# jim's"}, tmp_path / "poejim_12347_678905_work.zip")
    jane, jim, joe = find_submissions(tmp_path, SOFTMAX)
    assert (jane.student, jim.student, joe.student) == (
        *("doejane_12345", "poejim_12347", "roejoe_12346"),
    )
    assert set(read_submission(jane, SOFTMAX).files) == {FILE, OTHER_FILE}
    for each, comment in ((jim, b"# jim's"), (joe, b"# joe's")):
        work = read_submission(each, SOFTMAX)
        assert (work.files, work.cells) == ({FILE: comment}, {"tuning": TUNING})


def test_of_a_canvas_students_archives_the_one_with_the_last_number_counts(tmp_path: Path) -> None:
    # Their times are those of the download.
    for number, at in ((9, 3000), (10, 2000), (11, 1000)):
        path = zip_of({FILE: str(number).encode()}, tmp_path / f"doejane_1_{number}_softmax.zip")
        os.utime(path, (at, at))
    found = find_submissions(tmp_path, SOFTMAX)
    assert [each.superseded for each in found] == [True, True, False]
    assert read_submission(found[-1], SOFTMAX).files == {FILE: b"11"}
    assert found[-1].notes == (
        "The last of 3 submissions; before it came doejane_1_9_softmax.zip, "
        "doejane_1_10_softmax.zip.",
    )


def test_moodle_gives_a_folder_for_each_student_or_a_file(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    lay(wanted, tmp_path / "Jane Doe_1_assignsubmission_file_")
    lay({"onlinetext.html": b"<p>Hi"}, tmp_path / "Jane Doe_1_assignsubmission_onlinetext_")
    joes = tmp_path / "Joe Roe_2_assignsubmission_file_"
    joes.mkdir()
    zip_of(wanted, joes / "my work.zip")
    lay({"Jim Poe_3_assignsubmission_file_softmax.py": wanted[FILE]}, tmp_path)
    lay({"onlinetext.html": b"<p>Hi"}, tmp_path / "Jo Coe_4_assignsubmission_onlinetext_")
    jane, jim, jo, joe = find_submissions(tmp_path, SOFTMAX)
    assert len(read_submission(jane, SOFTMAX).files) == 2
    assert len(read_submission(jim, SOFTMAX).files) == 1
    assert len(read_submission(joe, SOFTMAX).files) == 2
    assert "Taken from Joe Roe_2_assignsubmission_file_/my work.zip" in " ".join(
        read_submission(joe, SOFTMAX).notes
    )
    assert jo.student == "Jo Coe_4"
    with pytest.raises(SubmissionRejected, match="holds none of"):
        read_submission(jo, SOFTMAX)


METADATA = """\
submission_1:
  :submitters:
  - :name: Jane Doe
    :sid: '0123'
    :email: jane@example.edu
  :created_at: 2026-04-26 17:34:00.861687000 Z
  :score: 2.0
  :results:
    output: |-
      submission_2:
        :submitters:
        - :name: Jane Doe
          :sid: '0123'
submission_2:
  :submitters:
  - :name: "Zo\\u00eb O''Roe"
    :sid: ''
    :email: zoe@example.edu
  - :name: Jim Poe
    :sid: '0999'
  :created_at: 2026-04-27 01:00:00.5 +02:00
"""


def test_gradescope_says_beside_the_folders_whose_they_are(
    wanted: Mapping[str, bytes], tmp_path: Path
) -> None:
    for place in (tmp_path / "class", tmp_path / "around/assignment_123_export"):
        lay({"submission_metadata.yml": METADATA.encode()}, place)
        lay(wanted, place / "submission_1")
        lay({"softmax.py": b"# ours"}, place / "submission_2")
        lay({"softmax.py": b"# whose?"}, place / "submission_3")
    for folder in (tmp_path / "class", tmp_path / "around"):
        found = {each.student: each for each in find_submissions(folder, SOFTMAX)}
        assert set(found) == {"0123", "0999", "zoe@example.edu", "submission_3"}
        assert found["0123"].when == datetime(2026, 4, 26, 17, 34, tzinfo=UTC)
        assert found["0999"].when == datetime(2026, 4, 26, 23, 0, tzinfo=UTC)
        assert read_submission(found["0123"], SOFTMAX).version
        assert "Nothing tells whose it is" in found["submission_3"].notes[0]
        for student in ("0999", "zoe@example.edu"):
            assert read_submission(found[student], SOFTMAX).files == {FILE: b"# ours"}


def test_a_student_cannot_hand_in_for_others_by_files_of_their_own(tmp_path: Path) -> None:
    lay({"submission_metadata.yml": METADATA.encode()}, tmp_path / "mallory")
    lay({"softmax.py": b"# planted"}, tmp_path / "mallory/submission_1")
    lay({"mallorym_7_8_jane.zip": b"", "jane.zip": b""}, tmp_path)
    assert [each.student for each in find_submissions(tmp_path, SOFTMAX)] == [
        "jane",
        "mallory",
        "mallorym_7",
    ]
    roster = tmp_path / "roster.csv"
    roster.write_text("student,canvas\njane,\nmallory,7\n")
    found = {(each.student, each.name) for each in find_submissions(tmp_path, SOFTMAX, roster)}
    assert found == {
        *(("jane", "jane.zip"), ("mallory", "mallory"), ("mallory", "mallorym_7_8_jane.zip")),
    }


# --- a roster ------------------------------------------------------------------------------------


def rostered(folder: Path, roster: str, *names: str) -> list[Submission]:
    for name in names:
        (folder / name).mkdir(parents=True)
    path = folder / "roster.csv"
    path.write_text(roster, encoding="utf-8")
    return find_submissions(folder, SOFTMAX, path)


ROSTER = """\
student,name,email,canvas
u1,Jane Doe,jane.doe@example.edu,"Doe, Jane"
u2,Jane,j@example.edu,
u3,Zoë Roe,zoe@example.edu,12345
u4,王伟,wang@example.edu,
"""


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("u1", "u1"),
        ("Jane Doe_77_assignsubmission_file_", "u1"),
        ("jane_doe.zip", "u1"),
        ("JANE-DOE softmax", "u1"),
        ("jane.doe@example.edu_softmax.zip", "u1"),
        ("doejane_5_6_x.zip", "u1"),
        ("Jane_hw.zip", "u2"),
        ("ZOE\u0308 ROE", "u3"),
        ("xy_12345_6_softmax.zip", "u3"),
        ("王伟_7_8_softmax.zip", "u4"),
        ("softmax-王伟.zip", "u4"),
    ],
)
def test_the_longest_value_of_the_roster_that_is_in_the_name_tells_the_student(
    name: str, student: str, tmp_path: Path
) -> None:
    found = [each for each in rostered(tmp_path, ROSTER, name) if each.name]
    assert [(each.student, each.notes) for each in found] == [(student, ())]


def test_students_of_the_roster_without_a_submission_are_listed(tmp_path: Path) -> None:
    found = rostered(tmp_path, ROSTER, "u2", "u4")
    assert [(each.student, each.name) for each in found] == [
        *(("u1", ""), ("u2", "u2"), ("u3", ""), ("u4", "u4")),
    ]
    with pytest.raises(SubmissionRejected, match="Nothing was handed in"):
        read_submission(found[0], SOFTMAX)


def test_who_is_not_in_the_roster_keeps_the_id_of_the_name_with_a_note(tmp_path: Path) -> None:
    found = rostered(tmp_path, ROSTER, "mallory.zip", "janedoelike.zip")
    notes = {each.student: each.notes for each in found if each.name}
    note = "Its name names no student of the roster, so the id was made from the name."
    assert notes == {"mallory": (note,), "janedoelike": (note,)}


def test_whom_the_roster_cannot_tell_apart_keep_the_id_of_the_name_with_a_note(
    tmp_path: Path,
) -> None:
    roster = "student,name\nu1,Wei Wang\nu2,Wei Wang\nwei,Wei\nWEI,Wei\n"
    found = rostered(tmp_path, roster, "Wei Wang_77_assignsubmission_file_", "wei.zip")
    notes = {each.student: each.notes for each in found if each.name}
    assert notes == {
        "Wei Wang_77": ("By the roster it may be u1 or u2's, so the id is from its name.",),
        "wei?": ("By the roster it may be WEI or wei's, so the id is from its name.",),
    }


def test_a_name_that_names_two_students_is_told(tmp_path: Path) -> None:
    roster = "student,section\nalice,A\nbob,A\ncarol,A\n"
    found = [each for each in rostered(tmp_path, roster, "bob_and_alice_A") if each.name]
    assert [(each.student, each.notes) for each in found] == [
        ("alice", ("Its name also names bob of the roster.",))
    ]


@pytest.mark.parametrize(
    ("roster", "said"),
    [
        ("", "has no column `student` in its first row"),
        ("id,name\n1,Jane\n", "has no column `student` in its first row, which is 'id,name'"),
        ("student\n", "lists no students"),
        ("student\nu1\nu1\n", "row 3: there already is a student 'u1'"),
        ("student,name\n,Jane\n", "row 2: '' is no student's id"),
        ("student\n" + "x" * 81, "is no student's id"),
        ("student\nu\x071\n", "is no student's id"),
    ],
)
def test_a_roster_that_cannot_be_used_is_refused(roster: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(GradkitError, match=re.escape(said)):
        rostered(tmp_path, roster, "jane")


def test_a_roster_may_come_from_any_spreadsheet(tmp_path: Path) -> None:
    for number, text in enumerate(
        ("\ufeffStudent;Name\r\nu1;Jane\r\n\r\n", "name\tstudent\nJane\tu1")
    ):
        assert [each.student for each in rostered(tmp_path / str(number), text, "Jane")] == ["u1"]
    (tmp_path / "latin.csv").write_bytes(b"student\n\xe4\n")
    with pytest.raises(GradkitError, match="is not UTF-8"):
        find_submissions(tmp_path, SOFTMAX, tmp_path / "latin.csv")
    with pytest.raises(GradkitError, match="cannot be read: No such file"):
        find_submissions(tmp_path, SOFTMAX, tmp_path / "none.csv")


TIMED = """\
student,name,submitted
u1,Jane,2026-03-01T23:59:00+01:00
u2,Zoë,2026-03-01 22:58:30
u3,Jim,
u4,Joe,2026-03-01T00:00:00Z
"""


def test_a_roster_may_tell_when_something_was_handed_in(tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("Jane", "Zoë", "Jim"):
        zip_of({FILE: b""}, folder / f"{name}.zip")
        os.utime(folder / f"{name}.zip", (1e9, 1e9))
    roster = tmp_path / "roster.csv"
    roster.write_text(TIMED, encoding="utf-8")
    jane, zoe, jim, joe = find_submissions(folder, SOFTMAX, roster)
    assert (jane.when, jane.dated) == (datetime(2026, 3, 1, 22, 59, tzinfo=UTC), "told")
    assert (zoe.when, zoe.dated) == (datetime(2026, 3, 1, 22, 58, 30, tzinfo=UTC), "told")
    assert (jim.when, jim.dated) == (datetime.fromtimestamp(1e9, UTC), "files")
    assert (joe.when, joe.dated, joe.name) == (None, "", "")


def test_the_time_of_the_roster_is_that_of_the_submission_that_counts(tmp_path: Path) -> None:
    for name in ("u1 2026-03-02.zip", "u1 2026-03-01.zip"):
        zip_of({FILE: b""}, tmp_path / name)
    rows = "student,submitted\nu1,2026-01-01T00:00Z\n"
    old, new = rostered(tmp_path, rows)
    assert (old.superseded, old.when, old.dated) == (
        *(True, datetime(2026, 3, 1, tzinfo=UTC), "told"),
    )
    assert (new.superseded, new.when) == (False, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("time", ["yesterday", "2026-03-01", "1/3/2026 8:00", "2026-13-01T00:00"])
def test_a_time_that_is_none_is_refused_with_its_row(time: str, tmp_path: Path) -> None:
    said = f"row 3: {time!r} in the column `submitted` is no time"
    with pytest.raises(GradkitError, match=re.escape(said)):
        rostered(tmp_path, f"student,submitted\nu1,\nu2,{time}\n", "u1")


def test_two_of_one_name_are_told_apart_by_what_else_is_found(tmp_path: Path) -> None:
    roster = "student,name,canvas\nu1,Wei Wang,71\nu2,Wei Wang,72\n"
    found = [each for each in rostered(tmp_path, roster, "weiwang_72_5_softmax.zip") if each.name]
    assert [(each.student, each.notes) for each in found] == [("u2", ())]


def test_what_a_time_is_known_by_is_kept(tmp_path: Path) -> None:
    lay({"submission_metadata.yml": METADATA.encode(), "submission_1/softmax.py": b""}, tmp_path)
    zip_of({FILE: b""}, tmp_path / "ada 2026-03-01T10:00.zip")
    zip_of({FILE: b""}, tmp_path / "bob.zip")
    (tmp_path / "eve").mkdir()
    dated = {each.student: each.dated for each in find_submissions(tmp_path, SOFTMAX)}
    assert dated == {"0123": "told", "ada": "told", "bob": "files", "eve": ""}


def test_what_canvas_says_of_lateness_is_noted(tmp_path: Path) -> None:
    names = ("doejane_LATE_5_6_softmax.zip", "LATE_anon_x_7_softmax.zip", "late_8_9_softmax.zip")
    for name in names:
        zip_of({FILE: b""}, tmp_path / name)
    notes = {each.student: each.notes for each in find_submissions(tmp_path, SOFTMAX)}
    late = ("Canvas marks it as late.",)
    assert notes == {"doejane_5": late, "anon_x": late, "late_8": ()}


# --- which of several counts ---------------------------------------------------------------------


def test_of_several_submissions_the_last_counts_by_the_time_in_its_name(tmp_path: Path) -> None:
    names = [
        "jane 2026-03-02 08-00-00.zip",
        "jane_20260301_235910.zip",
        "jane-softmax-2026-03-02T10:00:00+03:00.zip",
    ]
    for at, name in enumerate(names):
        path = zip_of({FILE: name.encode()}, tmp_path / name)
        os.utime(path, (2e9 - at, 2e9 - at))
    found = find_submissions(tmp_path, SOFTMAX)
    assert [each.name for each in found] == [names[1], names[2], names[0]]
    assert [each.superseded for each in found] == [True, True, False]
    assert found[1].when == datetime(2026, 3, 2, 7, tzinfo=UTC)


def test_of_several_submissions_the_last_counts_by_the_time_of_its_files(tmp_path: Path) -> None:
    old = lay({"softmax.py": b"", ".DS_Store": b""}, tmp_path / "jane")
    for path, at in (("softmax.py", 1e9), (".DS_Store", 1.9e9), ("", 1.9e9)):
        os.utime(old / path, (at, at))
    os.utime(zip_of({FILE: b""}, tmp_path / "jane.zip"), (1.1e9, 1.1e9))
    found = find_submissions(tmp_path, SOFTMAX)
    assert [(each.name, each.superseded) for each in found] == [("jane", True), ("jane.zip", False)]
    assert found[0].when == datetime.fromtimestamp(1e9, UTC)


def test_a_pdf_does_not_take_the_place_of_the_work(tmp_path: Path) -> None:
    zip_of({FILE: b"# mine"}, tmp_path / "jane.zip")
    lay({"jane.pdf": b"%PDF", "joe.pdf": b"%PDF"}, tmp_path)
    os.utime(tmp_path / "jane.zip", (1e9, 1e9))
    jane, joe = find_submissions(tmp_path, SOFTMAX)
    assert read_submission(jane, SOFTMAX).files == {FILE: b"# mine"}
    assert "Ignored: jane.pdf." in read_submission(jane, SOFTMAX).notes
    with pytest.raises(SubmissionRejected, match="holds none of"):
        read_submission(joe, SOFTMAX)


def test_a_refusal_tells_of_what_the_student_handed_in_before(tmp_path: Path) -> None:
    zip_of({FILE: b"# mine"}, tmp_path / "jane 2026-03-01.zip")
    zip_of({"report.pdf": b"%PDF"}, tmp_path / "jane 2026-03-02.zip")
    with pytest.raises(
        SubmissionRejected, match=r"there is report.pdf. .* before it came jane 2026-03-01.z"
    ):
        read_submission(find_submissions(tmp_path, SOFTMAX)[-1], SOFTMAX)


def test_submissions_come_by_student_then_time(tmp_path: Path) -> None:
    for name in ("bob", "Alice", "alice", "Émile", "bob 2026-01-01", "bob 2025-01-01"):
        (tmp_path / name).mkdir()
    found = find_submissions(tmp_path, SOFTMAX)
    assert [each.student for each in found] == ["Alice", "alice", "bob", "bob", "bob", "Émile"]
    assert [each.when is None for each in found[2:5]] == [True, False, False]
    assert found[4].name == "bob 2026-01-01"


def test_litter_of_the_class_folder_is_no_submission(tmp_path: Path) -> None:
    lay({".DS_Store": b"", "Thumbs.db": b"", "._jane.zip": b"", ".git/x": b""}, tmp_path)
    lay({"__MACOSX/._jane.zip": b"", "desktop.ini": b"", "jane/softmax.py": b""}, tmp_path)
    assert [each.student for each in find_submissions(tmp_path, SOFTMAX)] == ["jane"]


def test_a_folder_that_is_no_classs_is_refused(wanted: Mapping[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(GradkitError, match="is not there"):
        find_submissions(tmp_path / "none", SOFTMAX)
    with pytest.raises(GradkitError, match="holds no submissions"):
        find_submissions(tmp_path, SOFTMAX)
    with pytest.raises(GradkitError, match="is a single submission"):
        find_submissions(lay(wanted, tmp_path / "jane"), SOFTMAX)
    with pytest.raises(GradkitError, match="is no folder"):
        find_submissions(zip_of(wanted, tmp_path / "jane.zip"), SOFTMAX)
    with pytest.raises(GradkitError, match="is not there"):
        single_submission(tmp_path / "none")


def test_an_unreadable_submission_is_refused(tmp_path: Path) -> None:
    zip_of({FILE: b""}, tmp_path / "jane.zip").chmod(0)
    (tmp_path / "joe").mkdir(mode=0)
    with contextlib.ExitStack() as stack:
        stack.callback((tmp_path / "joe").chmod, 0o700)
        found = find_submissions(tmp_path, SOFTMAX)
        assert len(found) == 2
        if os.geteuid():
            for each in found:
                with pytest.raises(SubmissionRejected, match="cannot be read: Permission denied"):
                    read_submission(each, SOFTMAX)
