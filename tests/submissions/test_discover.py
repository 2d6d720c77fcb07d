"""In a class's folder, every submission is found, with its student, its time, and which counts."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gradkit.errors import GradkitError
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import Submission, find_submissions, single_submission
from gradkit.submissions.extract import SubmissionContent, read_submission
from tests.submissions.packing import (
    FILE,
    NOTEBOOK,
    OTHER_FILE,
    SOFTMAX,
    TUNING,
    Files,
    inside,
    write_files,
    zip_of,
)


def find(folder: Path) -> list[Submission]:
    return find_submissions(folder, SOFTMAX)


def read(submission: Submission) -> SubmissionContent:
    return read_submission(submission, SOFTMAX)


def zip_at(path: Path, content: bytes = b"", time: float = 1e9) -> Path:
    """Write a zip with one file of the exercise, last changed at a time."""
    zip_of({FILE: content}, path)
    os.utime(path, (time, time))
    return path


# --- whose it is ---------------------------------------------------------------------------------


def test_unprintable_and_long_names_stay_distinct(tmp_path: Path) -> None:
    for name in ("a" * 100 + "x", "a" * 100 + "y", "b\x07", "b\\x07", "b\x1b"):
        (tmp_path / name).mkdir()
    os.mkdir(os.fsencode(tmp_path) + b"/c\xff")  # noqa: PTH102
    os.mkdir(os.fsencode(tmp_path) + b"/c\xfe")  # noqa: PTH102
    found = find(tmp_path)
    assert len({each.student for each in found}) == 7
    assert len({each.name for each in found}) == 7
    assert all(each.student.isprintable() and each.name.isprintable() for each in found)


def test_single_files_of_a_student_are_one_submission(wanted: Files, tmp_path: Path) -> None:
    files = {
        "jane_softmax.py": wanted[FILE],
        "jane_linear_classifier.py": wanted[OTHER_FILE],
        "jane_softmax (1).ipynb": wanted[NOTEBOOK],
        "joe-softmax copy.py": b"# joe's",
        "joe_softmax.ipynb.txt": wanted[NOTEBOOK],
    }
    jane, joe = find(write_files(files, tmp_path))
    assert (jane.student, joe.student, jane.superseded) == ("jane", "joe", False)
    assert len(read(jane).files) == 2
    assert read(jane).cells == {"tuning": TUNING}
    assert (read(joe).files, read(joe).cells) == ({FILE: b"# joe's"}, {"tuning": TUNING})


def test_canvas_gives_one_attempt_in_several_files(wanted: Files, tmp_path: Path) -> None:
    files = {
        "doejane_LATE_12345_678901_softmax-1.py": wanted[FILE],
        "doejane_LATE_12345_678902_jane_linear_classifier.py": wanted[OTHER_FILE],
        "doejane_LATE_12345_678903_report.pdf": b"%PDF",
        "roejoe_12346_678904_notebook.ipynb": wanted[NOTEBOOK],
        "poejim_12347_678906_report.pdf": b"%PDF",
        "poejim_12347_678907_softmax.ipynb": wanted[NOTEBOOK],
    }
    write_files(files, tmp_path)
    zip_of({FILE: b"# joe's"}, tmp_path / "roejoe_12346_678905_work.zip")
    zip_of({FILE: b"# jim's"}, tmp_path / "poejim_12347_678905_work.zip")
    jane, jim, joe = find(tmp_path)
    assert [jane.student, jim.student] == ["doejane_12345", "poejim_12347"]
    assert set(read(jane).files) == {FILE, OTHER_FILE}
    for each, comment in ((jim, b"# jim's"), (joe, b"# joe's")):
        assert (read(each).files, read(each).cells) == ({FILE: comment}, {"tuning": TUNING})


@pytest.mark.parametrize("start", ["doejane_1_{}_", "Jane Doe_1_assignsubmission_file_"])
def test_archives_of_other_names_are_parts_of_the_last_attempt(
    start: str, wanted: Files, tmp_path: Path
) -> None:
    parts = {"a.zip": FILE, "b.zip": OTHER_FILE, "c (1).zip": NOTEBOOK}
    for number, (name, path) in enumerate(parts.items()):
        place = zip_of({path: wanted[path]}, tmp_path / (start.format(number) + name))
        os.utime(place, (number, number))
    zip_at(tmp_path / f"{start.format(0)}c.zip", b"# superseded", 0)
    old, jane = find(tmp_path)
    assert (old.superseded, len(jane.paths)) == (True, 3)
    assert read(jane).files == {path: wanted[path] for path in (FILE, OTHER_FILE)}
    assert read(jane).cells == {"tuning": TUNING}


def test_canvas_marks_lateness(tmp_path: Path) -> None:
    for name in ("doejane_LATE_5_6_x.zip", "LATE_anon_x_7_x.zip", "late_8_9_x.zip"):
        zip_at(tmp_path / name)  # whose time is that of the download
    late = ("late mark", None, ("Canvas marks it as late.",))
    found = {each.student: (each.time_source, each.received, each.notes) for each in find(tmp_path)}
    assert found == {"doejane_5": late, "anon_x": late, "late_8": ("no late mark", None, ())}


def test_a_text_typed_into_canvas_is_its_students(tmp_path: Path) -> None:
    names = ("doejane_LATE_5_text.html", "anon_x_link.html", "roejoe_6_text.html")
    write_files(dict.fromkeys(names, b"<p>"), tmp_path)
    found = find(tmp_path)
    assert [(each.student, each.time_source) for each in found] == [
        *(("anon_x", "no late mark"), ("doejane_5", "late mark"), ("roejoe_6", "no late mark")),
    ]
    with pytest.raises(SubmissionRejected, match=r"there is text\.html\."):
        read(found[1])


def test_moodle_gives_a_folder_or_a_file(wanted: Files, tmp_path: Path) -> None:
    write_files(wanted, tmp_path / "Jane Doe_1_assignsubmission_file_")
    joes = tmp_path / "Joe Roe_2_assignsubmission_file_"
    joes.mkdir()
    zip_of(wanted, joes / "my work.zip")
    write_files({"Jim Poe_3_assignsubmission_file_softmax.py": wanted[FILE]}, tmp_path)
    for name in ("Jane Doe_1", "Jo Coe_4"):
        folder = tmp_path / f"{name}_assignsubmission_onlinetext_"
        write_files({"onlinetext.html": b"<p>Hi"}, folder)
    jane, jim, jo, joe = find(tmp_path)
    assert [len(read(each).files) for each in (jane, jim, joe)] == [2, 1, 2]
    taken = "Taken from Joe Roe_2_assignsubmission_file_/my work.zip"
    assert any(note.startswith(taken) for note in read(joe).notes)
    assert jo.student == "Jo Coe_4"
    with pytest.raises(SubmissionRejected, match="holds none of"):
        read(jo)


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


@pytest.mark.parametrize("around", ["", "assignment_123_export"])
def test_gradescope_names_people_beside_the_folders(
    around: str, wanted: Files, tmp_path: Path
) -> None:
    place = tmp_path / around
    write_files({"submission_metadata.yml": METADATA.encode()}, place)
    write_files(wanted, place / "submission_1")
    write_files({"softmax.py": b"# ours"}, place / "submission_2")
    write_files({"softmax.py": b"# whose?"}, place / "submission_3")
    found = {each.student: each for each in find(tmp_path)}
    assert set(found) == {"0123", "0999", "zoe@example.edu", "submission_3"}
    assert found["0123"].received == datetime(2026, 4, 26, 17, 34, tzinfo=UTC)
    assert [found[each].time_source for each in ("0123", "submission_3")] == ["platform", "files"]
    assert found["0999"].received == datetime(2026, 4, 26, 23, 0, tzinfo=UTC)
    assert read(found["0123"]).version
    assert "The student is unknown" in found["submission_3"].notes[0]
    for student in ("0999", "zoe@example.edu"):
        assert read(found[student]).files == {FILE: b"# ours"}


def test_a_student_cannot_submit_for_others(tmp_path: Path) -> None:
    write_files({"submission_metadata.yml": METADATA.encode()}, tmp_path / "mallory")
    write_files({"softmax.py": b"# planted"}, tmp_path / "mallory/submission_1")
    write_files({"mallorym_7_8_jane.zip": b"", "jane.zip": b""}, tmp_path)
    assert [each.student for each in find(tmp_path)] == ["jane", "mallory", "mallorym_7"]
    roster = tmp_path / "roster.csv"
    roster.write_text("student,canvas\njane,\nmallory,7\n")
    found = {(each.student, each.name) for each in find_submissions(tmp_path, SOFTMAX, roster)}
    assert found == {
        *(("jane", "jane.zip"), ("mallory", "mallory"), ("mallory", "mallorym_7_8_jane.zip")),
    }


# --- which of several counts, and its time -------------------------------------------------------


def test_the_last_file_number_of_canvas_counts(tmp_path: Path) -> None:
    for number, time in ((9, 3000), (10, 2000), (11, 1000)):  # the times of the download
        zip_at(tmp_path / f"doejane_1_{number}_softmax.zip", str(number).encode(), time)
    found = find(tmp_path)
    assert [each.superseded for each in found] == [True, True, False]
    assert read(found[-1]).files == {FILE: b"11"}
    assert found[-1].notes == (
        "The last of 3 submissions; superseded: doejane_1_9_softmax.zip, doejane_1_10_softmax.zip.",
    )


def test_the_last_time_in_a_name_counts(tmp_path: Path) -> None:
    names = [
        "jane_20260301_235910.zip",
        "jane-softmax-2026-03-02T10:00:00+03:00.zip",
        "jane 2026-03-02 08-00-00.zip",
    ]
    for number, name in enumerate(names):
        zip_at(tmp_path / name, time=2e9 - number)
    found = find(tmp_path)
    assert [(each.name, each.superseded, each.time_source) for each in found] == [
        *((names[0], True, "name"), (names[1], True, "name"), (names[2], False, "name")),
    ]
    assert found[1].received == datetime(2026, 3, 2, 7, tzinfo=UTC)


def test_the_last_time_of_files_counts(tmp_path: Path) -> None:
    old = write_files({"softmax.py": b"", ".DS_Store": b""}, tmp_path / "jane")
    for path, time in (("softmax.py", 1e9), (".DS_Store", 1.9e9), ("", 1.9e9)):
        os.utime(old / path, (time, time))
    zip_at(tmp_path / "jane.zip", time=1.1e9)
    found = find(tmp_path)
    assert [(each.name, each.superseded) for each in found] == [("jane", True), ("jane.zip", False)]
    assert found[0].received == datetime.fromtimestamp(1e9, UTC)
    assert found[0].time_source == "files"


def test_a_pdf_replaces_no_submission(tmp_path: Path) -> None:
    zip_at(tmp_path / "jane.zip", b"# mine")
    write_files({"jane.pdf": b"%PDF", "joe.pdf": b"%PDF"}, tmp_path)
    jane, joe = find(tmp_path)
    assert read(jane).files == {FILE: b"# mine"}
    assert "Ignored: jane.pdf." in read(jane).notes
    with pytest.raises(SubmissionRejected, match="holds none of"):
        read(joe)


def test_submissions_are_sorted_by_student_and_time(tmp_path: Path) -> None:
    for name in ("bob", "Alice", "alice", "Émile", "bob 2026-01-01", "bob 2025-01-01"):
        (tmp_path / name).mkdir()
    found = find(tmp_path)
    assert [each.student for each in found] == ["Alice", "alice", "bob", "bob", "bob", "Émile"]
    assert [each.received is None for each in found[2:5]] == [True, False, False]
    assert found[4].name == "bob 2026-01-01"


# --- the folder ----------------------------------------------------------------------------------


def test_litter_is_not_a_submission(tmp_path: Path) -> None:
    names = (".DS_Store", "Thumbs.db", "._jane.zip", ".git/x", "__MACOSX/._jane.zip", "desktop.ini")
    marks = ("joe.zip:Zone.Identifier", "joe_softmax.py:Zone.Identifier", "Icon\r")
    write_files({**dict.fromkeys((*names, *marks), b""), "jane/softmax.py": b""}, tmp_path)
    assert [each.student for each in find(tmp_path)] == ["jane"]


def test_a_file_that_nobody_hands_in_is_not_a_student(tmp_path: Path) -> None:
    names = ("README.txt", "Read me.md", "~$jane.docx", "index.html", "grades.csv")
    write_files({**dict.fromkeys(names, b""), "readme/softmax.py": b"", "joe.zip": b""}, tmp_path)
    assert [each.student for each in find(tmp_path)] == ["joe", "readme"]


@pytest.mark.parametrize(
    ("names", "students"),
    [
        (("kim.zip", "kim (1).zip"), ["kim", "kim"]),
        (("kim.zip", "kim(2).zip", "kim - Copy.zip", "kim copy 2.zip"), ["kim"] * 4),
        (("kim.zip", "kim - Kopie.zip", "kim – Copie (2).zip", "kim 副本.zip"), ["kim"] * 4),
        (("kim_softmax.py", "kim_softmax.py의 사본", "kim_softmaxのコピー.ipynb"), ["kim"]),
        (("kim (1).zip", "kim-Copy1"), ["kim (1)", "kim-Copy1"]),
        (("kim (1).zip", "Copy of kim softmax.ipynb"), ["kim", "kim"]),
        (("kim (1).zip", "kim (1).pdf"), ["kim"]),
        (("student (1).zip", "student (2).zip"), ["student (1)", "student (2)"]),
        (("student-1.zip", "student.zip"), ["student", "student-1"]),
        (("softmax.zip", "softmax (1).zip"), ["softmax", "softmax (1)"]),
        (("Copy of softmax.ipynb", "Copy of softmax (1).ipynb"), None),
    ],
)
def test_a_copy_belongs_to_the_student_of_the_original(
    names: tuple[str, ...], students: list[str] | None, tmp_path: Path
) -> None:
    for number, name in enumerate(names):
        zip_at(tmp_path / name, time=1e9 - number)  # of unpacking
    found = find(tmp_path)
    if names == ("kim.zip", "kim (1).zip"):
        assert [each.name for each in found] == [*names]
    assert sorted(each.student for each in found) == (students or sorted(s.student for s in found))
    assert sum(not each.superseded for each in found) == len({*(students or names)})


def test_a_roster_tells_copies_from_students(tmp_path: Path) -> None:
    for name in ("kim.zip", "kim (1).zip", "lee.zip", "lee (1).zip"):
        zip_at(tmp_path / name)
    roster = tmp_path / "roster.csv"
    roster.write_text("student\nkim\nkim (1)\nlee\n")
    found = find_submissions(tmp_path, SOFTMAX, roster)
    assert [each.student for each in found] == ["kim", "kim (1)", "lee", "lee"]


def test_an_unusable_folder_is_refused(wanted: Files, tmp_path: Path) -> None:
    with pytest.raises(GradkitError, match="No such file or directory"):
        find(tmp_path / "none")
    with pytest.raises(GradkitError, match="holds no submissions"):
        find(tmp_path)
    with pytest.raises(GradkitError, match="is a single submission"):
        find(write_files(wanted, tmp_path / "jane"))
    with pytest.raises(GradkitError, match=r"is a file\. Unpack it, and name the folder that it"):
        find(zip_of(wanted, tmp_path / "jane.zip"))
    with pytest.raises(GradkitError, match="does not exist"):
        single_submission(tmp_path / "none")


CLASSES = {
    "archives": ("jane.zip", "joe.tar.gz"),
    "folders": ("jane/softmax.py", "joe/assignment/classifiers/softmax.py"),
    "archives in folders": ("jane/a.zip", "joe/a.zip"),
    "one of Canvas": ("doejane_1_2_softmax.zip",),
    "two of Canvas": ("doejane_1_2_softmax.py", "roejoe_LATE_3_4_hw.zip"),
    "one of Moodle": ("Jane Doe_1_assignsubmission_file_/hw.zip",),
    "Gradescope": ("submission_1/softmax.py", "submission_2/softmax.py"),
}


@pytest.mark.parametrize("names", CLASSES.values(), ids=CLASSES)
def test_a_class_one_folder_deeper_is_refused_with_the_folder_to_name(
    names: tuple[str, ...], wanted: Files, tmp_path: Path
) -> None:
    files = dict.fromkeys(names, wanted[FILE])
    litter = {
        "__MACOSX/submissions/._jane.zip": b"",
        ".DS_Store": b"",
        "submissions/.DS_Store": b"",
    }
    outer = write_files({**inside(files, "submissions/"), **litter}, tmp_path / "class")
    with pytest.raises(GradkitError, match=rf"\. Name {outer}/submissions; or, if it is one"):
        find(outer)
    assert "submissions" not in [each.student for each in find(outer / "submissions")]
    zip_of(files, outer / "submissions.zip")  # that it was unpacked from
    with pytest.raises(GradkitError, match=r"\. Name "):
        find(outer)
    if "/softmax.py" in names[0] and "submission_" not in names[0]:
        return  # an archive of these may be one student's
    for packed in (files, inside(files, "submissions/")):
        zip_of(packed, write_files({}, tmp_path / "b") / "submissions.zip")
        with pytest.raises(
            GradkitError, match=r"b/submissions\.zip looks like .*\. Unpack it, and"
        ):
            find(tmp_path / "b")


def test_a_download_beside_what_was_unpacked_from_it_is_not_a_student(
    wanted: Files, tmp_path: Path
) -> None:
    files = {"doejane_1_2_softmax.py": wanted[FILE], "roejoe_LATE_3_4_hw.zip": b""}
    write_files(files, tmp_path)
    zip_of(inside(files, "submissions/"), tmp_path / "submissions.zip")
    assert [each.student for each in find(tmp_path)] == ["doejane_1", "roejoe_3"]
    (tmp_path / "doejane_1_2_softmax.py").unlink()  # then the archive holds more, and is kept
    assert "submissions" in [each.student for each in find(tmp_path)]


def test_a_class_beside_other_files_or_in_sections_is_refused(tmp_path: Path) -> None:
    sections = {"A/jane.zip": b"", "A/joe.zip": b"", "B/jim.zip": b"", "B/jo.zip": b""}
    beside = {"A/jane.zip": b"", "A/joe.zip": b"", "roster.csv": b"", "solution.pdf": b""}
    for name, files in (("sections", sections), ("beside", beside)):
        folder = write_files(files, tmp_path / name)
        with pytest.raises(GradkitError, match=rf"jane\.zip, joe\.zip\. Name {folder}/A; or"):
            find(folder)
    versions = ("jane/v1.zip", "jane/v2.zip", "joe/v1.zip", "joe/v2.zip")
    found = find(write_files(dict.fromkeys(versions, b""), tmp_path / "versions"))
    assert [each.student for each in found] == ["jane", "joe"]


@pytest.mark.parametrize(
    "names",
    [
        ("assignment/classifiers/softmax.py", "notebooks/softmax.ipynb", "datasets/cifar.tar.gz"),
        ("hw/softmax-starter/softmax.py", "hw/mine/softmax.py"),
        ("softmax.py", "old_softmax.py", "hw.zip"),
        ("code/softmax.py", "notebook/softmax.ipynb", "report.pdf"),
        ("hw.zip",),
        ("notes.txt", "more/notes.txt"),
    ],
)
def test_a_class_of_one_is_found(names: tuple[str, ...], tmp_path: Path) -> None:
    files = dict.fromkeys(names, b"x")
    write_files(files, tmp_path / "a" / "jane")
    zip_of(files, write_files({}, tmp_path / "b") / "jane.zip")
    versions = {"old/softmax.py": b"", "new/softmax.py": b""}
    zip_of(versions, write_files({}, tmp_path / "c") / "jane.zip")
    for folder in ("a", "b", "c"):
        assert [each.student for each in find(tmp_path / folder)] == ["jane"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_submission_is_rejected(tmp_path: Path) -> None:
    zip_at(tmp_path / "jane.zip").chmod(0)
    write_files({"a/b": b""}, tmp_path / "joe").chmod(0)
    try:
        for found in find(tmp_path):
            with pytest.raises(SubmissionRejected, match="cannot be read: Permission denied"):
                read(found)
    finally:
        (tmp_path / "joe").chmod(0o700)
