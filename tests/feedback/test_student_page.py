"""A student's page: it explains every point, and holds nothing that is not the student's."""

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from gradkit.feedback.class_page import write_pages
from gradkit.feedback.student_page import FeedbackError, page_names
from gradkit.gradebook.database import GradebookDatabase, GradebookFolder
from tests.classes import SEED
from tests.feedback.pages import STUB_STUDENT, FeedbackClass, tags_of, text_of

EXPLANATIONS = {
    "cleo": """
        88 of 120 points so far
        4 of your answers are not graded yet, for up to 20 points more
        ✗ Naive, large scores: loss N times too large
        0 of 6 points
        Your result and the expected one
        loss where N = 6, D = 3, C = 4, reg = 0 one number, float64 one number, float64
        6 of 8 points
        Changed by a grader: The sum was asked for in the lecture.
        </div></main>{{ 7 * 191 }}""",
    "ada": """
        4.5 of 5 points
        Comment: Right; but why <16> digits?
        Validation accuracy of the pairs that you tried.""",
    # 24 hours and 31 minutes late: two days have begun.
    "bob": """
        Submitted 1 d 31 min after the due date
        Of 100 points earned, 24 are deducted.
        76 of 120 points
        Only one of two samples was drawn.""",
    "gus": """
        File "assignment/classifiers/softmax.py", line
        raise ValueError(repr(W.tolist())
        (The rest is left out.)
        It printed: (What was printed before this is left out.) line
        onerror="document.title='owned'"> \\x1b[2J \\u202eesrever
        could not be broadcast together with shapes (6,4) (6,)
        row-wise result without keepdims=True
        The same problem as in “Vectorized loss”.""",
    "eve": """
        Not graded.
        damaged
        not a score of zero""",
    STUB_STUDENT: "",
}
NEVER = {
    "ada": "after the due date",
    "cleo": "1337",
    "eve": "0 of",
    STUB_STUDENT: "What your classifier did",
}


@pytest.mark.parametrize("student", EXPLANATIONS)
def test_a_page_explains_the_points(feedback_class: FeedbackClass, student: str) -> None:
    shown = text_of(feedback_class.page(student))
    texts = [line.strip() for line in EXPLANATIONS[student].splitlines()]
    [grade] = [g for g in feedback_class.class_grades.student_grades if g.student == student]
    for verdict in (item.verdict for item in grade.checks if item.verdict):
        texts += [verdict.title, verdict.headline, verdict.hint]
    assert [text for text in texts if text not in shown] == []
    assert not re.search(NEVER.get(student, "^$"), shown)
    assert "of 1 points" not in shown
    assert not re.search(r'\w<span class="quiet">', feedback_class.page(student))  # words apart


def test_the_table_of_differences_is_folded(feedback_class: FeedbackClass) -> None:
    page = feedback_class.page("cleo")
    assert "<table" in page
    assert "<table" not in re.sub("<details>.*?</details>", "", page, flags=re.DOTALL)


def digits_of(array: NDArray[Any]) -> Iterator[str]:
    """Yield the numbers of an array as one might see them, to four digits."""
    for number in np.ravel(array).astype(float):
        if np.isfinite(number) and number != round(number, 2):
            yield f"{abs(number):.4f}"[:6]


def test_no_page_holds_the_seed_an_expected_number_or_another_students_name(
    feedback_class: FeedbackClass,
) -> None:
    """Except for what the student's own code wrote, whose epoch is closed."""
    with closing(GradebookDatabase(feedback_class.grades.out, "softmax")) as database:
        result = next(iter(database.results()))
        answer_key = database.answer_key(result.key.spec, result.epoch)
    assert answer_key is not None
    reference = answer_key.reference.values()
    expected = {digits for arrays in reference for a in arrays.values() for digits in digits_of(a)}
    assert len(expected) > 200
    for student in page_names(feedback_class.class_grades):
        page = feedback_class.page(student)
        assert not [seed for seed in (f"{SEED}", f"{SEED:x}") if seed in page]
        text = text_of(re.sub(r"<pre .*?</pre>", "", page, flags=re.DOTALL))
        # The exercise's own texts contain -log(0.1) and the like.
        assert not expected & {number[:6] for number in re.findall(r"\d+\.\d{3,}", text)}
        others = {"ada", "bob", "cleo", "dan", "eve", "gus"} - {student}
        assert not others & set(re.findall(r"\w+", text))


def test_plots_are_drawn_for_a_notebook_that_ran(feedback_class: FeedbackClass) -> None:
    page = feedback_class.page("ada")
    assert page.count('<svg role="img"') == 4
    assert page.count("<image ") >= 20  # a template for each class, twice


def test_every_page_runs_no_students_code_fits_a_phone_and_is_dark_in_the_dark(
    feedback_class: FeedbackClass, open_page: Callable[..., Page]
) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    for path in feedback_class.grades.out.rglob("*.html"):
        page.goto(path.as_uri())
        assert "owned" not in page.title()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path.name
        colors = page.evaluate(
            "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
        )
        ground, ink = (np.mean([float(c) for c in re.findall(r"[\d.]+", x)[:3]]) for x in colors)
        assert ground < 60 < 200 < ink
        tags = tags_of(path.read_text(encoding="utf-8"))
        names = [name for name, _ in tags]
        assert "img" not in names
        assert names.count("script") == (path.parent.name != "feedback")
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path.name


def test_no_two_students_share_a_file_name(feedback_class: FeedbackClass) -> None:
    students = ["a/b", "a_b", "A_b", "..", "con.", "x" * 80, "é", "Ä", "ใจดี สมชาย", "𠮷" * 80]
    grade = feedback_class.class_grades.student_grades[0]
    twins = [replace(grade, record=replace(grade.record, student=name)) for name in students]
    pages = page_names(replace(feedback_class.class_grades, student_grades=tuple(twins)))
    names = pages.values()
    assert len({name.casefold() for name in names}) == len(students)
    assert not any(re.search(r'^\.|[<>:"/\\|?*]', name) for name in names)
    assert pages["ใจดี สมชาย"] == "ใจดี สมชาย.html"
    assert len(pages["𠮷" * 80].encode()) <= 255


def test_pages_are_packed_under_the_names_for_upload(feedback_class: FeedbackClass) -> None:
    with zipfile.ZipFile(feedback_class.grades.out / "feedback.zip") as archive:
        names = page_names(feedback_class.class_grades).values()
        assert sorted(archive.namelist()) == sorted(names)
        assert b"The softmax classifier" in archive.read("ada.html")


def test_a_folder_with_other_files_is_not_replaced(
    feedback_class: FeedbackClass, tmp_path: Path
) -> None:
    notes = tmp_path / "feedback" / "my notes.txt"
    notes.parent.mkdir()
    notes.write_text("keep me")
    with pytest.raises(FeedbackError, match=r"my notes\.txt is not a page"):
        write_pages(GradebookFolder(feedback_class.grades.project, "softmax", tmp_path))
    assert notes.read_text() == "keep me"


def test_a_comment_shows_its_formula(
    feedback_class: FeedbackClass,
) -> None:
    page = feedback_class.page("ada")
    assert "<msup><mi>h</mi><mn>2</mn></msup>" in page.split("Comment:")[1].split("</article>")[0]


def test_the_name_of_a_function_to_write_is_code(feedback_class: FeedbackClass) -> None:
    assert "Write <code>softmax_loss_naive</code> in" in feedback_class.page(STUB_STUDENT)
