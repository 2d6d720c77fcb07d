"""Format a verdict: plain text in a terminal, a coloured line in a notebook."""

import textwrap
from html import escape

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


def headline(verdict: Verdict) -> str:
    """Write one line: mark, check, headline and points."""
    finding = f": {verdict.headline}" if verdict.headline else ""
    return f"{MARKS[verdict.status]} {verdict.title}{finding}{_points(verdict)}"


def as_text(verdict: Verdict) -> str:
    """Write the headline, and below it the finding, the hint, and the student's traceback."""
    paragraphs = [
        textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
        for text in (verdict.text, verdict.hint)
        if text
    ]
    if verdict.quoted:
        paragraphs.append(textwrap.indent(verdict.quoted, "    "))
    return "\n".join([headline(verdict), *paragraphs])


def as_html(verdict: Verdict) -> str:
    """Write a passed check as HTML, in the colours of the page around it, light or dark."""
    return (
        '<div style="border-left: 4px solid #2e9e4f; padding-left: 0.6em">'
        f"{MARKS[verdict.status]} <b>{escape(verdict.title)}</b>{_points(verdict)}</div>"
    )


def _points(verdict: Verdict) -> str:
    if not verdict.out_of:
        return ""
    points = "point" if verdict.out_of == 1 else "points"
    return f" ({verdict.points} of {verdict.out_of} {points})"
