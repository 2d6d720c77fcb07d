"""Every platform keeps the promises of the interface."""

from pathlib import Path

import pytest

from gradkit.lms import PLATFORMS, feedback_name
from tests.lms.scores import NAMES, exported, final, rows_of, write


def test_every_platform_is_tested() -> None:
    assert {*NAMES, "brightspace"} == set(PLATFORMS)  # whose names tell no id


@pytest.mark.parametrize("form", NAMES)
def test_a_student_unknown_to_the_platform_is_left_out_with_a_note(form: str) -> None:
    text, notes = exported(form, final("jane", NAMES[form]), final("mail", "mail.zip"))
    assert "12345" in text
    assert "mail.zip" not in text
    [note] = notes
    assert note.startswith("mail is left out: ")
    assert "Give --roster" in note


@pytest.mark.parametrize("form", NAMES)
def test_students_who_are_one_on_the_platform_get_no_score(form: str) -> None:
    scores = final("jane", NAMES[form], 28.25), final("joe", NAMES[form], 13.75)
    text, notes = exported(form, *scores)
    assert "28.25" not in text
    assert "13.75" not in text
    assert notes[0].startswith("jane and joe are left out: ")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "%x", "|x"])
def test_no_cell_of_a_table_is_a_formula(name: str, tmp_path: Path) -> None:
    score = final(name, f"{name}_12345_678_softmax.zip")
    gradebook = write(tmp_path, f'Student,ID,SIS Login ID,Section\n"{name}",12345,x,"=A"\n')
    texts = [exported("canvas", score).text, exported("canvas", score, roster=gradebook).text]
    texts.append(exported("moodle", final(name, f"{name}_12345_assignsubmission_file_")).text)
    for cell in (cell for text in texts for row in rows_of(text) for cell in row):
        assert not cell.lstrip().startswith(tuple("=+@|%"))
        assert not cell.startswith("-") or cell == "-"


@pytest.mark.parametrize(
    ("submission", "start"),
    {
        "doejane_12345_678901_softmax.zip": "doejane_12345_678901",
        "doejane_LATE_12345_678901_softmax-1.zip": "doejane_LATE_12345_678901",
        "doejane_12345_678901_7_8_link.html and 2 more": "doejane_12345_678901",
        "anon_a1B2c_678901_softmax.zip": "anon_a1B2c_678901",
        "müllerzoë_5_6_ü.py": "müllerzoë_5_6",
        "ใจดีสมชาย_LATE_5_6_x.zip": "ใจดีสมชาย_LATE_5_6",
        "Jane Doe_12345_assignsubmission_file_": "Jane Doe_12345_assignsubmission_file",
        "Jane Doe_12345_assignsubmission_file": "Jane Doe_12345_assignsubmission_file",
        "Zoë O'N-Ö_12_assignsubmission_file_a/b_1.zip": "Zoë O'N-Ö_12_assignsubmission_file",
    }.items(),
)
def test_a_page_is_named_by_all_that_its_platform_reads(submission: str, start: str) -> None:
    assert feedback_name(submission, "jane.html") == f"{start}_feedback.html"


@pytest.mark.parametrize("submission", ["", "a.zip", "submission_7", "jane_20260301_235910_x.py"])
def test_a_page_keeps_its_name_on_other_platforms(submission: str) -> None:
    assert feedback_name(submission, "jane.html") == "jane.html"
