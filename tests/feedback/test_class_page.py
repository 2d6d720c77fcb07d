"""The page of a class: numbers, mistakes and stuck students, and a table to filter and sort."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.feedback.pages import STUB_STUDENT, FeedbackClass


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
    assert re.search(r"students\s+9", text)
    assert re.search(r"graded\s+8", text)
    assert re.search(r"late\s+2", text)  # and "=fay+1", by the time of its file
    assert "eve.zip is a damaged zip file" in text
    mistakes = page.locator("#mistakes tbody tr")
    expect(mistakes.filter(has_text="N times the mean")).to_contain_text("2")
    stuck = page.locator("article.card").filter(has_text="Training (2)")
    expect(stuck).to_contain_text("gus: raised ValueError (not passed before: Vectorized loss)")
    expect(page.locator("article.card.open")).to_contain_text(STUB_STUDENT)
    plots = page.locator("svg[role=img]")
    assert plots.count() == 2
    assert "100 to" in (plots.first.get_attribute("aria-label") or "")


def test_students_are_filtered_by_name_status_check_and_mistake(page: Page) -> None:
    assert len(students_on(page)) == 9
    page.get_by_label("Filter").fill("KEEPDIMS")
    assert students_on(page) == ["gus"]
    expect(page.get_by_role("status")).to_have_text("1 of 9 students")
    page.get_by_label("Status").select_option("refused")
    assert students_on(page) == []
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Has not passed").select_option(label="Naive loss")
    assert set(students_on(page)) == {"cleo", "hal", STUB_STUDENT, "=fay+1"}
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("link", name="N times the mean").click()
    assert set(students_on(page)) == {"cleo", "hal"}


def test_students_are_sorted_by_the_keyboard(page: Page) -> None:
    heading = page.get_by_role("columnheader", name="points")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert students_on(page)[0] == "ada"
    assert students_on(page)[-1] == "eve"
    page.keyboard.press("Space")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert students_on(page)[-1] == "ada"
    assert page.locator("th[aria-sort]").count() == 1


def test_every_link_leads_to_the_students_page(page: Page) -> None:
    links = page.locator("#class tbody a")
    for number in range(links.count()):
        student = links.nth(number).inner_text()
        links.nth(number).click()
        expect(page.locator("p.quiet").first).to_contain_text(student)
        page.go_back()


def test_every_control_has_a_name_for_a_screen_reader(page: Page) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, svg, a")]
            .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
