"""Markdown of students: no markup except that of plain text, whatever they write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradkit.feedback.markdown import as_html
from tests.feedback.pages import tags_of

ALLOWED = {
    *("p", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br"),
    *("table", "thead", "tbody", "tr", "th", "td", "del"),
}
PARTS = (
    *("<script>", "</div>", "<img src=x onerror=y>", "[a](javascript:b)", "![a](b)", "$x$"),
    *("**", "_", "`", "\n", "\n\n", "# ", "> ", "- ", "1. ", "|", "|-|", "$$", "<!--", "]]>"),
    *("http://a.b", "<http://a.b>", "[r]: x", "[r]", "&lt;", "\\", '"', "'", "a", "\x00"),
)


@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_markdown_becomes_only_markup_of_plain_text(text: str) -> None:
    for tag, attributes in tags_of(as_html(text)):
        assert tag in ALLOWED
        assert set(attributes) <= {"class", "style"}, attributes


def test_emphasis_and_formulas_are_marked() -> None:
    assert as_html("and $p_y$ **bold**") == "<p>and <code>p_y</code> <strong>bold</strong></p>\n"


@pytest.mark.parametrize("text", ["[" * 50_000, "> " * 40_000, "a" * 100_000, "*_" * 30_000])
def test_a_text_too_expensive_to_parse_is_shown_as_written(text: str) -> None:
    assert str(as_html(text)).startswith("<pre>")
