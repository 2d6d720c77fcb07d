"""The page of a class: numbers, mistakes and stuck students, and a table to filter and sort."""

import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, expect

from tests.feedback.pages import STUB_STUDENT, FeedbackClass, text_of


@pytest.fixture
def page(feedback_class: FeedbackClass, open_page: Callable[..., Page]) -> Page:
    page = open_page()
    page.goto((feedback_class.grades.out / "class.html").as_uri())
    return page


def students_on(page: Page) -> list[str]:
    shown = page.locator("#class tbody tr:not([hidden]) th")
    return [text.strip() for text in shown.all_inner_texts()]


def test_the_page_summarises_the_class(page: Page) -> None:
    text = page.inner_text("main")
    assert re.search(r"students\s+8", text)
    assert re.search(r"graded\s+7", text)
    assert re.search(r"late\s+1", text)
    assert "eve.zip is a damaged zip file" in text
    mistakes = page.locator("#mistakes tbody tr")
    expect(mistakes.filter(has_text="loss N times too large")).to_contain_text("1")
    stuck = page.locator("article.card").filter(has_text="Training (1)")
    expect(stuck).to_contain_text("gus: raised ValueError (not passed before: Naive loss)")
    expect(page.locator("article.card.open")).to_contain_text(STUB_STUDENT)
    histogram = page.locator(".histogram").get_attribute("aria-label")
    assert histogram == "2 from 0, 1 from 10, 1 from 70, 1 from 80, 1 from 90, 1 from 100"
    naive_loss = page.get_by_role("row").filter(has_text="Naive loss").first
    assert naive_loss.inner_text().split() == ["Naive", "loss", "3", "2", "1", "1", "57%"]


def test_students_are_filtered_by_name_status_check_and_mistake(page: Page) -> None:
    assert len(students_on(page)) == 8
    page.get_by_label("Filter").fill("KEEPDIMS")
    assert students_on(page) == ["gus"]
    expect(page.get_by_role("status")).to_have_text("1 of 8 students")
    page.get_by_label("Status").select_option("refused")
    assert students_on(page) == []
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Has not passed").select_option(label="Naive loss")
    assert set(students_on(page)) == {"cleo", "gus", STUB_STUDENT, "=fay+1"}
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("link", name="loss N times too large").click()
    assert set(students_on(page)) == {"cleo"}


def test_students_are_sorted_by_the_keyboard(page: Page) -> None:
    heading = page.get_by_role("columnheader", name="points")
    heading.get_by_role("button").focus()
    for key, order, first, last in (
        ("Enter", "descending", "ada", "eve"),
        ("Space", "ascending", "eve", "ada"),
    ):
        page.keyboard.press(key)
        expect(heading).to_have_attribute("aria-sort", order)
        assert (students_on(page)[0], students_on(page)[-1]) == (first, last)
    assert page.locator("th[aria-sort]").count() == 1


def test_links_lead_to_the_students_and_controls_have_names(
    page: Page, feedback_class: FeedbackClass
) -> None:
    links = page.locator("#class tbody a").evaluate_all(
        "(links) => links.map((a) => [a.textContent, a.getAttribute('href')])"
    )
    assert len(links) == 8
    for student, link in links:
        path = feedback_class.grades.out / unquote(link)
        assert student in text_of(path.read_text(encoding="utf-8"))
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, svg, a")]
            .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
