"""The manual grading page: points typed in a browser come back as a CSV and are imported."""

import csv
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from gradkit.feedback.manual_grading_page import write_manual_page
from gradkit.feedback.student_page import student_page
from gradkit.gradebook.database import GradebookDatabase
from gradkit.gradebook.grades import ClassGrades, StudentGrade, open_grades
from gradkit.gradebook.manual_grades import import_manual
from tests.feedback.pages import SCRIPT, STUB_STUDENT, FeedbackClass, text_of


@pytest.fixture
def page(feedback_class: FeedbackClass, open_page: Callable[..., Page]) -> Page:
    page = open_page(accept_downloads=True)
    page.goto((feedback_class.grades.out / "manual-page.html").as_uri())
    return page


def card_of(page: Page, student: str) -> Locator:
    return page.locator(f'article[data-student="{student}"]:visible')


def enter_grade(page: Page, student: str, points: str, comment: str = "") -> None:
    card_of(page, student).get_by_label("Points").fill(points)
    page.keyboard.press("Tab")
    page.keyboard.type(comment)


def export(page: Page, to: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    download.value.save_as(to)
    return to


def test_a_question_is_graded_exported_and_imported(
    feedback_class: FeedbackClass, page: Page, tmp_path: Path
) -> None:
    question = page.get_by_label("Question", exact=True)
    question.select_option("answer_templates")
    heading = page.get_by_role("heading", level=2).locator("visible=true")
    expect(heading).to_have_text("Inline question 3 (5 points)")
    enter_grade(page, "bob", "3.5", 'He said "blurred", and\nmeans it: =1+1')
    enter_grade(page, "cleo", "0")
    page.reload()
    question.select_option("answer_templates")
    expect(card_of(page, "bob").get_by_label("Points")).to_have_value("3.5")
    expect(page.get_by_role("status")).to_contain_text("2 of")
    path = export(page, tmp_path / "grades.csv")
    with path.open(encoding="utf-8", newline="") as file:
        table = {(row["student"], row["item"]): row for row in csv.DictReader(file)}
    assert table["bob", "answer_templates"]["comment"] == 'He said "blurred", and\nmeans it: =1+1'
    assert table["ada", "answer_step"]["points"] == "4.5"  # from an earlier import
    grades = feedback_class.copy(tmp_path)
    assert str(import_manual(grades, path)) == "3 answers graded."
    with open_grades(grades) as (_, class_grades):
        points = {
            grade.student: {item.name: item.points for item in grade.questions}["answer_templates"]
            for grade in class_grades.student_grades
        }
    not_answered = points[STUB_STUDENT]
    assert (points["bob"], points["cleo"], not_answered, points["ada"]) == (3.5, 0, 0, None)


def test_an_answer_in_another_cell_stays_open_until_a_person_gives_points(
    feedback_class: FeedbackClass, tmp_path: Path
) -> None:
    grades = feedback_class.copy(tmp_path)
    with closing(GradebookDatabase(grades.out, "softmax")) as database:
        [stub] = [r for r in database.results() if r.key.student == STUB_STUDENT]
        unassigned = {"answer_step": ["Rounding.", SCRIPT]}
        database.save_result(replace(stub, handed_in={**stub.handed_in, "unassigned": unassigned}))

    def stub_grade() -> tuple[ClassGrades, StudentGrade]:
        with open_grades(grades) as (_, class_grades):
            found = [g for g in class_grades.student_grades if g.student == STUB_STUDENT]
            return class_grades, found[0]

    class_grades, grade = stub_grade()
    assert [item.name for item in grade.open] == ["answer_step"]
    assert grade.result is not None
    grade = replace(grade, result=replace(grade.result, outcomes={}))
    student = text_of(student_page(class_grades, grade, None))
    assert "Not answered in its cell. Graders read the other cells of your notebook." in student
    page = write_manual_page(grades, hide_names=False).read_text(encoding="utf-8")
    assert SCRIPT not in page
    [card] = [x for x in page.split("<article") if "Rounding." in x]
    assert "Not answered there. These other cells" in card
    digest = card.split('data-answer="')[1].partition('"')[0]
    rows = f'student,item,points,comment,answer\n"{STUB_STUDENT}",answer_step,3,,%s\n'
    for answer, points in ((digest, 3), ("0" * 16, None)):
        (tmp_path / "grades.csv").write_text(rows % answer)
        import_manual(grades, tmp_path / "grades.csv")
        questions = {item.name: item.points for item in stub_grade()[1].questions}
        assert questions["answer_step"] == points
    assert questions["answer_templates"] == 0


def test_invalid_points_are_not_exported_and_graded_answers_can_be_hidden(page: Page) -> None:
    enter_grade(page, "bob", "7")
    page.get_by_role("button", name="Export CSV").click()
    field = card_of(page, "bob").get_by_label("Points")
    assert field.evaluate("(field) => !field.checkValidity() && document.activeElement === field")
    expect(page.get_by_role("status")).to_contain_text("0 of")
    enter_grade(page, "bob", "1")
    before = page.locator("article:visible").count()
    page.get_by_label("Show").select_option("open")
    assert page.locator("article:visible").count() == before - 1


def test_hidden_names_are_resolved_by_the_import(
    feedback_class: FeedbackClass, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    grades = feedback_class.copy(tmp_path)
    path = write_manual_page(grades, hide_names=True)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(ada|bob|cleo|dan|gus)\b", re.sub(r"<style>.*?</style>", "", text))
    page = open_page(accept_downloads=True)
    page.goto(path.as_uri())
    card = page.locator("article:visible").first
    pseudonym = card.get_attribute("data-student")
    card.get_by_label("Points").fill("2")
    import_manual(grades, export(page, tmp_path / "hidden.csv"))
    with open_grades(grades) as (_, class_grades):
        [graded] = [s.student for s in class_grades.student_grades if s.questions[0].points == 2]
    assert graded != pseudonym
