"""Pages hold their own defense: even markup that was not escaped runs and fetches nothing."""

from pathlib import Path

import numpy as np
from playwright.sync_api import Browser

from gradkit.feedback.html import images_as_svg
from tests.feedback.pages import SCRIPT, FeedbackClass


def test_a_page_runs_only_its_own_script(
    feedback_class: FeedbackClass, tmp_path: Path, chromium: Browser
) -> None:
    page = (feedback_class.grades.out / "manual-page.html").read_text(encoding="utf-8")
    path = tmp_path / "page.html"
    path.write_text(page.replace("<main>", f"<main>{SCRIPT}"), encoding="utf-8")
    problems: list[str] = []
    with chromium.new_context() as context:
        opened = context.new_page()
        opened.on("console", lambda message: problems.append(message.text))
        opened.goto(path.as_uri())
        assert opened.title() == "The softmax classifier: written answers"
    assert any("Content Security Policy" in problem for problem in problems)


def test_images_may_hold_any_number() -> None:
    odd = np.full((32, 32, 3), np.nan)
    odd[0], odd[1], odd[2] = np.inf, -5, 7
    svg = images_as_svg({f"<{number}>": odd for number in range(7)}, "Seven.")
    assert svg.count("<image ") == 7
    assert "&lt;6&gt;" in svg
    assert 'viewBox="0 0 170 77"' in svg  # two rows
