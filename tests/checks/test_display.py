"""A verdict as text and as HTML."""

from assignment.checks.display import WIDTH, as_html, as_text, headline
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


def test_html_escapes_the_title() -> None:
    html = as_html(Verdict("x", "<script>alert(1)</script>", Status.PASSED, 1, 1))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "1 of 1 point)" in html
