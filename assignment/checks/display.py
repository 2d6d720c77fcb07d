"""Format a verdict: plain text in a terminal, a colored bar in a notebook."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from html import escape

from assignment.checks.check import Check, with_noun
from assignment.checks.verdict import Status, Verdict

WIDTH = 88
MARKS = {
    Status.PASSED: "✓",
    Status.NOT_ATTEMPTED: "·",
    Status.WAITING: "·",
    Status.RAISED: "✗",
    Status.TIMED_OUT: "✗",
    Status.CRASHED: "✗",
    Status.WRONG: "✗",
}
COLORS = {"✓": "#2e9e4f", "·": "#e0a000", "✗": "#d1403a"}


def headline(verdict: Verdict) -> str:
    """Write one line: mark, check, headline and points."""
    finding = f": {verdict.headline}" if verdict.headline else ""
    return f"{MARKS[verdict.status]} {verdict.title}{finding}{_points(verdict)}"


def as_text(verdict: Verdict) -> str:
    """Write the headline, below it the finding, the hint, the details, and the traceback."""
    paragraphs = [
        textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
        for text in (verdict.text, verdict.hint, verdict.details)
        if text
    ]
    if verdict.quoted:
        paragraphs.append(textwrap.indent(verdict.quoted, "    "))
    return "\n".join([headline(verdict), *paragraphs])


def as_html(verdict: Verdict) -> str:
    """Write a verdict as HTML: a bar in its color, on the page's own background, light or dark.

    The details are folded.
    """
    color = COLORS[MARKS[verdict.status]]
    finding = f": {inline_html(verdict.headline)}" if verdict.headline else ""
    paragraphs = [
        f"<div>{inline_html(text)}</div>" for text in (verdict.text, verdict.hint) if text
    ]
    if verdict.details:
        details = inline_html(verdict.details)
        paragraphs.append(f"<details><summary>On other inputs</summary>{details}</details>")
    if verdict.quoted:
        style = "margin: 0.4em 0 0; background: none; white-space: pre-wrap"
        paragraphs.append(f'<pre style="{style}">{escape(verdict.quoted)}</pre>')
    head = f"{MARKS[verdict.status]} <b>{inline_html(verdict.title)}</b>{finding}{_points(verdict)}"
    style = f"border-left: 4px solid {color}; padding-left: 0.6em"
    return f'<div style="{style}">{head}{"".join(paragraphs)}</div>'


def overview_text(verdicts: Sequence[Verdict], in_notebook: Sequence[Check]) -> str:
    """Write the progress, and a line for each check; some run only in the notebook."""
    lines = [headline(verdict) for verdict in (*verdicts, *map(_in_its_cell, in_notebook))]
    marks = "".join(MARKS[verdict.status] for verdict in verdicts)
    return "\n".join([f"{marks}  {_progress(verdicts)}", "", *lines])


def overview_html(verdicts: Sequence[Verdict], in_notebook: Sequence[Check]) -> str:
    """Write the same as HTML."""
    short = [replace(verdict, text="", hint="", details="", quoted="") for verdict in verdicts]
    bars = map(as_html, (*short, *map(_in_its_cell, in_notebook)))
    return f"<div><b>{_progress(verdicts)}</b></div>{''.join(bars)}"


def _progress(verdicts: Sequence[Verdict]) -> str:
    passed = sum(verdict.passed for verdict in verdicts)
    points, out_of = sum(v.points for v in verdicts), sum(v.out_of for v in verdicts)
    return (
        f"{passed} of {with_noun(len(verdicts), 'check')}, {points} of {with_noun(out_of, 'point')}"
    )


def _in_its_cell(check: Check) -> Verdict:
    headline = f"runs in its cell of the notebook, {with_noun(check.points, 'point')}"
    return Verdict(check.name, check.title, Status.WAITING, 0, 0, headline)


def inline_html(text: str) -> str:
    """Write a text as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _points(verdict: Verdict) -> str:
    if not verdict.out_of:
        return ""
    return f" ({verdict.points} of {with_noun(verdict.out_of, 'point')})"
