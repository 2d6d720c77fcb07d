"""Pages hold their own defence: even markup that was not escaped runs and fetches nothing."""

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from playwright.sync_api import Browser

from assignment.checks.softmax import EXERCISE
from gradkit.feedback.html import as_svg, format_points, images_as_svg, render
from tests.feedback.pages import SCRIPT


def test_a_page_runs_only_its_own_script(tmp_path: Path, chromium: Browser) -> None:
    page = render(
        "manual_grading_page", exercise=EXERCISE, questions=[], answers={}, graded=0, store="x"
    )
    path = tmp_path / "page.html"
    path.write_text(page.replace("<main>", f"<main>{SCRIPT}"), encoding="utf-8")
    problems: list[str] = []
    with chromium.new_context() as context:
        opened = context.new_page()
        opened.on("console", lambda message: problems.append(message.text))
        opened.goto(path.as_uri())
        assert opened.title() == f"{EXERCISE.title}: written answers"
    assert any("Content Security Policy" in problem for problem in problems)


def test_a_figure_is_the_same_svg_each_time_with_ids_of_its_own() -> None:
    def draw(sentence: str) -> str:
        figure = Figure()
        figure.subplots().plot([1, 2])
        return as_svg(figure, sentence)

    svg, other = draw("A <line>."), draw("Another.")
    assert svg == draw("A <line>.")
    assert 'aria-label="A &lt;line&gt;."' in svg
    assert not set(re.findall(' id="(.*?)"', svg)) & set(re.findall(' id="(.*?)"', other))


def test_images_may_hold_any_number() -> None:
    odd = np.full((32, 32, 3), np.nan)
    odd[0], odd[1], odd[2] = np.inf, -5, 7
    svg = images_as_svg({f"<{number}>": odd for number in range(7)}, "Seven.")
    assert svg.count("<image ") == 7
    assert "&lt;6&gt;" in svg
    assert 'viewBox="0 0 170 77"' in svg  # two rows


def test_points_are_written_as_people_write_them() -> None:
    assert list(map(format_points, (3.0, 2.5, 1 / 3, None))) == ["3", "2.5", "0.33", "–"]
