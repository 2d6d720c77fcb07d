"""A student's page: it explains every point, and holds nothing that is not the student's."""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from assignment.checks.softmax import EXERCISE
from gradkit.feedback import student_page
from gradkit.feedback.class_page import write_pages
from gradkit.feedback.redact import LEFT_OUT
from gradkit.feedback.student_page import FeedbackError, page_names
from gradkit.gradebook.database import GradebookDatabase, GradebookFolder
from tests.banks import BANK
from tests.classes import SEED
from tests.feedback.pages import STUB_STUDENT, FeedbackClass, PageText, text_of
from tests.trees import contents


def test_a_page_explains_the_points_of_every_check(feedback_class: FeedbackClass) -> None:
    text = text_of(feedback_class.page("cleo"))
    assert "88 of 120 points so far" in text
    assert "4 of your answers are not graded yet, for up to 20 more points" in text
    assert "✗ Naive, large scores: N times the mean" in text
    assert "0 of 6 points" in text
    assert BANK.mistakes["sum_not_mean"].hint in text
    for check in EXERCISE.checks:
        assert check.title in text


def test_a_page_compares_results_by_shape_and_norm_only(feedback_class: FeedbackClass) -> None:
    text = text_of(feedback_class.page("cleo"))
    assert "Your result and the expected one" in text
    assert "loss where N = 6, D = 3, C = 4, reg = 0 one number, float64 one number, float64" in text
    assert re.search(r"\d(\.\d)? × loss where", text)


def digits_of(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Iterator[str]:
    """Yield the numbers of an array as one might see them, to four digits."""
    for number in np.ravel(array).astype(float):
        if np.isfinite(number) and number != round(number, 2):
            yield f"{abs(number):.4f}"[:6]


def test_no_page_holds_the_seed_or_an_expected_number(feedback_class: FeedbackClass) -> None:
    with closing(GradebookDatabase(feedback_class.grades.out, "softmax")) as database:
        answer_key = database.answer_key(next(iter(database.results())).key.spec)
    assert answer_key is not None
    reference = answer_key.reference.values()
    expected = {digits for arrays in reference for a in arrays.values() for digits in digits_of(a)}
    seeds = [SEED, *(check.seed_from(SEED) for check in EXERCISE.checks)]
    assert len(expected) > 200
    for student in page_names(feedback_class.class_grades):
        page = feedback_class.page(student)
        for seed in seeds:
            assert str(seed) not in page
            assert f"{seed:x}" not in page
        # The exercise's own texts contain -log(0.1) and the like.
        seen = {number[:6] for number in re.findall(r"\d+\.\d{3,}", text_of(page))}
        assert not seen & expected


def test_no_page_names_another_student(feedback_class: FeedbackClass) -> None:
    for student in page_names(feedback_class.class_grades):
        text = text_of(feedback_class.page(student))
        others = {"ada", "bob", "cleo", "dan", "eve", "gus", "hal"} - {student}
        assert not [name for name in others if re.search(rf"\b{name}\b", text)]


def test_a_page_quotes_the_line_that_raised_and_numpys_message(
    feedback_class: FeedbackClass,
) -> None:
    text = text_of(feedback_class.page("gus"))
    assert 'File "assignment/classifiers/softmax.py", line' in text
    assert "could not be broadcast together with shapes (6,4) (6,)" in text
    assert "a row's number without keepdims" in text
    assert "The same problem as in “Vectorized loss”." in text


def test_a_page_omits_what_code_wrote_into_an_exception(feedback_class: FeedbackClass) -> None:
    text = text_of(feedback_class.page("dan"))
    assert "raise ValueError(repr(W.tolist())" in text  # a line of the student's own file
    assert LEFT_OUT in text
    assert "[[" not in text
    assert not re.search(r"dead[0-9a-f]", text)


def test_a_damaged_submission_has_a_reason_and_no_score(feedback_class: FeedbackClass) -> None:
    text = text_of(feedback_class.page("eve"))
    assert "Not graded." in text
    assert "damaged" in text
    assert "not a score of zero" in text
    assert "0 of" not in text


def test_a_late_submission_names_its_deduction(feedback_class: FeedbackClass) -> None:
    # 24 hours and 31 minutes: two days have begun.
    text = text_of(feedback_class.page("bob"))
    assert "Submitted 1 d 31 min after the due date" in text
    assert "Of 100 points earned, 24 are deducted." in text
    assert "76 of 120 points" in text
    assert "after the due date" not in text_of(feedback_class.page("ada"))


def test_manual_grades_are_shown_with_their_comments(feedback_class: FeedbackClass) -> None:
    text = text_of(feedback_class.page("ada"))
    assert "4.5 of 5 points" in text
    assert "Comment: Right; but why <16> digits?" in text
    changed = text_of(feedback_class.page("cleo"))
    assert "6 of 8 points" in changed
    assert "Changed by a grader: The sum was asked for in the lecture." in changed


def test_plots_are_drawn_for_a_notebook_that_ran(feedback_class: FeedbackClass) -> None:
    page = feedback_class.page("ada")
    plots = [attributes for tag, attributes in PageText(page).tags if tag == "svg"]
    assert [attributes["role"] for attributes in plots] == ["img"] * 4
    assert page.count("<image ") >= 20  # a template for each class, twice
    assert "Validation accuracy of the pairs that you tried." in text_of(page)
    assert "What your classifier did" not in feedback_class.page(STUB_STUDENT)


def test_ids_in_a_page_are_distinct(feedback_class: FeedbackClass) -> None:
    for path in feedback_class.grades.out.rglob("*.html"):
        tags = PageText(path.read_text(encoding="utf-8")).tags
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path.name


@pytest.mark.parametrize("student", ["cleo", STUB_STUDENT])
def test_markup_of_a_student_is_shown_as_text(
    feedback_class: FeedbackClass, open_page: Callable[..., Page], student: str
) -> None:
    tags = [tag for tag, _ in PageText(feedback_class.page(student)).tags]
    assert "script" not in tags
    assert "img" not in tags
    page = open_page()
    page.goto(feedback_class.path(student).as_uri())
    assert "owned" not in page.title()
    body = page.inner_text("body")
    assert ("{{ 7 * 191 }}" in body) == (student == "cleo")
    assert "1337" not in body


def test_every_page_fits_a_phone_and_is_dark_in_the_dark(
    feedback_class: FeedbackClass, open_page: Callable[..., Page]
) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    for path in feedback_class.grades.out.rglob("*.html"):
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path.name
        colours = page.evaluate(
            "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
        )
        ground, ink = (np.mean([float(c) for c in re.findall(r"[\d.]+", x)[:3]]) for x in colours)
        assert ground < 60 < 200 < ink


def test_no_two_students_share_a_file_name(feedback_class: FeedbackClass) -> None:
    students = ["a/b", "a_b", "A_b", "..", "con.", "x" * 80, "é", "Ä"]
    grade = feedback_class.class_grades.student_grades[0]
    twins = [replace(grade, record=replace(grade.record, student=name)) for name in students]
    names = page_names(replace(feedback_class.class_grades, student_grades=tuple(twins)))
    assert len({name.casefold() for name in names.values()}) == len(students)
    assert all(re.fullmatch(r"[\w .,@+()=~-]+\.html", name) for name in names.values())
    assert not any(name.startswith(".") for name in names.values())


def test_pages_are_packed_under_the_names_for_upload(feedback_class: FeedbackClass) -> None:
    with zipfile.ZipFile(feedback_class.grades.out / "feedback.zip") as archive:
        names = page_names(feedback_class.class_grades).values()
        assert sorted(archive.namelist()) == sorted(names)
        assert b"The softmax classifier" in archive.read("ada.html")


def test_processes_side_by_side_write_the_same_pages(
    feedback_class: FeedbackClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student_page, "MIN_PAGES", 1)
    grades = feedback_class.copy(tmp_path)
    shutil.rmtree(grades.out / "feedback")
    write_pages(grades, jobs=2)
    written = contents(grades.out / "feedback")
    assert written == contents(feedback_class.grades.out / "feedback")


def test_a_folder_with_other_files_is_not_replaced(
    feedback_class: FeedbackClass, tmp_path: Path
) -> None:
    notes = tmp_path / "feedback" / "my notes.txt"
    notes.parent.mkdir()
    notes.write_text("keep me")
    with pytest.raises(FeedbackError, match=r"my notes\.txt, which is not a page"):
        write_pages(GradebookFolder(feedback_class.grades.project, "softmax", tmp_path))
    assert notes.read_text() == "keep me"
