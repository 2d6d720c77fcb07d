"""The student, and the student's own file name, in the name of an entry."""

import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradkit.lms.tables import student_id
from gradkit.submissions.names import parse_name
from tests.lms.scores import SCRIPTS, canvas_name
from tests.submissions.packing import SOFTMAX


@pytest.mark.parametrize(
    ("name", "student"),
    {
        "doejane_12345_678901_softmax.zip": "doejane_12345",
        "doejane_LATE_12345_678901_softmax-1.zip": "doejane_12345",
        "anon_a1B2c_678901_softmax.zip": "anon_a1B2c",
        "LATE_anon_a1B2c_678901_12_softmax.zip": "anon_a1B2c",
        "王伟_12_345678_softmax.py": "王伟_12",
        "_12_345678_softmax.py": "_12",  # a name of which Canvas keeps nothing
        "Jane Doe_123456_assignsubmission_file_": "Jane Doe_123456",
        "Jane Doe_123456_assignsubmission_file": "Jane Doe_123456",
        "Zoë van der Á_123456_assignsubmission_file_joe.zip": "Zoë van der Á_123456",
        "submission_123456789": "submission_123456789",
        "submission_123456789.zip": "submission_123456789",
        "jane.zip": "jane",
        "jane.tar.gz": "jane",
        "jane_softmax.py": "jane",
        "softmax-jane.tgz": "jane",
        "jane-softmax-submission (2).zip": "jane",
        "softmax-submission_jane 2026-03-01 23-59-10.tar.gz": "jane",
        "jane+softmax+2026-03-01 23:59:10.123456 UTC.zip": "jane",
        "jane_20260301_235910_softmax.py": "jane",
        "2026_03_01_jane.zip": "jane",
        "20231205.zip": "20231205",
        "student-1.zip": "student-1",
        "Copy of Jane Doe - softmax.ipynb": "Jane Doe",
        "Jane Doe - Copy of softmax.ipynb": "Jane Doe",
        "Kopie von Jane Doe - softmax.ipynb": "Jane Doe",
        "softmax.py의 사본": "softmax의 사본",
        "softmax.py_jane.txt": "jane",
        "student (2).zip": "student (2)",
        "softmax-submission.zip": "softmax-submission",
        "2026-03-01_23-59-10.zip": "2026-03-01_23-59-10",
        "John O'Neil, Jr..zip": "John O'Neil, Jr",
    }.items(),
)
def test_parse_name_finds_the_student(name: str, student: str) -> None:
    assert parse_name(name, SOFTMAX).student == student


@pytest.mark.parametrize("names", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_canvas_are_recognized_in_any_script(
    names: tuple[str, str, str], form: Literal["NFC", "NFD"]
) -> None:
    name = unicodedata.normalize(form, canvas_name(f"{names[1]}, {names[2]}"))
    parsed = parse_name(f"{name}_LATE_12345_678901_softmax-1.zip", SOFTMAX)
    assert parsed.student == unicodedata.normalize("NFC", f"{name}_12345")
    assert (parsed.user, parsed.file, parsed.is_late) == ("12345", 678901, True)
    assert parsed.original_filename == "softmax-1.zip"
    moodle = parse_name(f"{names[2]} {names[1]}_77_assignsubmission_file_a.zip", SOFTMAX)
    assert (moodle.user, moodle.original_filename) == ("77", "a.zip")


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=255))
def test_ids_are_printable_and_short(name: str) -> None:
    student = parse_name(name, SOFTMAX).student
    assert student
    assert student.isprintable()
    assert len(student) <= 80


@given(st.text(max_size=200), st.text(max_size=200))
def test_two_texts_have_two_ids(one: str, other: str) -> None:
    if unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other):
        assert student_id(one) != student_id(other)
