"""A verdict as text and as HTML."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from assignment.checks.check import Check
from assignment.checks.display import (
    COLORS,
    WIDTH,
    as_html,
    as_text,
    headline,
    overview_html,
    overview_text,
)
from assignment.checks.verdict import Status, Verdict

FAILED = Verdict(
    "naive_loss",
    "Naive loss",
    Status.WRONG,
    0,
    8,
    headline="sum instead of mean",
    text="loss is <b>off</b> by 50%. " * 5,
    hint="Divide.",
    quoted='  File "a.py", line 3\n    x = y',
)


def test_a_verdict_is_short_and_begins_with_its_headline() -> None:
    lines = as_text(FAILED).splitlines()
    assert lines[0] == headline(FAILED) == "✗ Naive loss: sum instead of mean (0 of 8 points)"
    assert lines[-2:] == ['      File "a.py", line 3', "        x = y"]
    assert max(map(len, lines)) <= WIDTH


def test_details_are_folded_in_a_notebook_and_follow_the_hint_in_a_terminal() -> None:
    verdict = replace(FAILED, details="loss is <0> where N = 5.")
    folds = re.findall("<details><summary>.*?</summary>(.*?)</details>", as_html(verdict))
    assert folds == ["loss is &lt;0&gt; where N = 5."]
    assert as_html(verdict).count("N = 5") == 1
    text = as_text(verdict)
    assert text.index("Divide.") < text.index("loss is <0> where N = 5.") < text.index("File")
    assert "<details>" not in as_html(FAILED)


@pytest.mark.parametrize("write", [as_html, lambda verdict: overview_html([verdict], [])])
def test_html_escapes_what_it_quotes(write: Callable[[Verdict], str]) -> None:
    odd = "<script>alert(1)</script>"
    html = write(Verdict("x", odd, Status.WRONG, 0, 1, odd, odd, odd, odd, details=odd))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "0 of 1 point)" in html


def test_html_sets_what_stands_between_backticks_as_code() -> None:
    html = as_html(replace(FAILED, text="Write `<f>` in a.py.", hint="One ` stays."))
    assert "Write <code>&lt;f&gt;</code> in a.py." in html
    assert "One ` stays." in html
    assert "Write `<f>` in a.py." in as_text(replace(FAILED, text="Write `<f>` in a.py."))


@pytest.mark.parametrize("status", Status)
def test_what_is_still_to_be_written_is_amber_and_only_mistakes_are_red(status: Status) -> None:
    color = as_html(replace(FAILED, status=status)).split("solid ")[1].split(";")[0]
    to_do = {Status.NOT_ATTEMPTED, Status.WAITING}
    expected = "✓" if status is Status.PASSED else "·" if status in to_do else "✗"
    assert color == COLORS[expected]


def test_one_point_is_not_called_points() -> None:
    one = replace(FAILED, out_of=1)
    rest = Check("tuning", "Tuning", 1, (), lambda student, seed: {}, in_notebook=True)
    text = overview_text([one], [rest])
    assert "0 of 1 check, 0 of 1 point\n" in text
    assert text.endswith("runs in its cell of the notebook, 1 point")


def test_a_bar_has_the_pages_own_text_and_background_in_light_and_dark() -> None:
    for html in (as_html(FAILED), overview_html([FAILED], [])):
        assert set(re.findall(r"(?:color|background)[\w-]*: ([^;\"]+)", html)) <= {"none"}


def test_an_overview_counts_what_ran_and_names_the_rest() -> None:
    passed = replace(FAILED, status=Status.PASSED, points=8, headline="")
    rest = Check("tuning", "Tuning", 5, (), lambda student, seed: {}, in_notebook=True)
    lines = overview_text([passed, FAILED], [rest]).splitlines()
    assert lines[0] == "✓✗  1 of 2 checks, 8 of 16 points"
    assert lines[2:4] == [headline(passed), headline(FAILED)]
    assert lines[4].startswith("· Tuning: runs in its cell")
    html = overview_html([passed, FAILED], [rest])
    assert "1 of 2 checks, 8 of 16 points" in html
    assert FAILED.text not in html
