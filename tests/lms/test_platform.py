"""Every platform keeps the promises of the interface."""

from pathlib import Path

import pytest

from gradkit.lms import feedback_name
from tests.lms.scores import NAMES, PLATFORM, cells_of, exported, final, write


def test_every_platform_is_tested() -> None:
    assert set(NAMES) == set(PLATFORM)


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
    for cell in cells_of(texts):
        assert not cell.lstrip().startswith(tuple("=+@|%"))
        assert not cell.startswith("-") or cell == "-"


@pytest.mark.parametrize("submission", ["", "a.zip", "submission_7", "jane_20260301_235910_x.py"])
def test_a_page_keeps_its_name_on_other_platforms(submission: str) -> None:
    assert feedback_name(submission, "jane.html") == "jane.html"
