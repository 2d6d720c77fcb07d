"""Markdown of students: no markup except that of plain text, whatever they write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradkit.feedback.markdown import SPACES, as_html
from tests.feedback.pages import tags_of

ALLOWED = {
    *("p", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br"),
    *("table", "thead", "tbody", "tr", "th", "td", "del"),
    *("math", "mrow", "mi", "mo", "mn", "msub", "msup", "msubsup", "mfrac", "msqrt", "mtext"),
    *("mover", "munder", "mspace", "mstyle", "mtable", "mtr", "mtd", "mpadded"),
}
HOSTILE_LATEX = (
    *(r"\href{javascript:b}{x}", r"\text{<img src=x onerror=y>}", r"\style{color:red}{x}"),
    *(r"\,", r"\quad", r"\log"),
    *(r"\class{a}{x}", r"\color{red}x", r"\hspace{9999em}", r"\rule{1em}{9999em}", r"\frac{", "}"),
    *("_", "^", "{", r"\left(", r"\sqrt", r"\begin{matrix}", "&", r"\\", r"\operatorname{<b>}"),
    *("x", "$", "$$", r"\(", r"\)"),
)
PARTS = (
    *("<script>", "</div>", "<img src=x onerror=y>", "[a](javascript:b)", "![a](b)", "$x$"),
    *("**", "_", "`", "\n", "\n\n", "# ", "> ", "- ", "1. ", "|", "|-|", "$$", "<!--", "]]>"),
    *("http://a.b", "<http://a.b>", "[r]: x", "[r]", "&lt;", "\\", '"', "'", "a", "\x00"),
)


@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_markdown_becomes_only_markup_of_plain_text(text: str) -> None:
    for tag, attributes in tags_of(as_html(text)):
        assert tag in ALLOWED
        assert set(attributes) <= {"class", "style", "display", "stretchy", "width"}, attributes


@given(st.lists(st.sampled_from(HOSTILE_LATEX), max_size=20).map("".join))
def test_a_formula_holds_no_link_style_or_size_of_the_students(latex: str) -> None:
    for tag, attributes in tags_of(as_html(f"${latex}$ and $${latex}$$")):
        assert tag in ALLOWED
        assert attributes.items() <= {
            *(("display", "inline"), ("display", "block"), ("stretchy", "false"), *SPACES),
        }


def test_emphasis_is_marked() -> None:
    assert as_html("and **bold**") == "<p>and <strong>bold</strong></p>\n"


P_Y = "<mrow><msub><mi>p</mi><mi>y</mi></msub></mrow></math>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("and $p_y$.", f'<p>and <math display="inline">{P_Y}.</p>'),
        (r"and \(p_y\).", f'<p>and <math display="inline">{P_Y}.</p>'),
        (r"and \\(p_y\\).", f'<p>and <math display="inline">{P_Y}.</p>'),
        ("$$\np_y\n$$", f'<math display="block">{P_Y}'),
        ("$$p_y$$", f'<math display="block">{P_Y}'),
        (r"$\log S$", '<mi>log</mi><mspace width="0.167em"></mspace><mi>S</mi>'),
        (r"$\log\frac{1}{x}$", '<mi>log</mi><mspace width="0.167em"></mspace><mfrac>'),
        (r"$\log\left(x\right)$", "<mi>log</mi><mrow><mo>("),
        (r"$a\quad b$", '<mi>a</mi><mspace width="1em"></mspace><mi>b</mi>'),
        (r"$a\hspace{9em}b$", "<mi>a</mi><mspace></mspace><mi>b</mi>"),
        (r"$\text{<b>}$", "<mtext>&lt;b&gt;</mtext>"),
        (r"$\unknown x$", r"<code>\unknown x</code>"),
        (r"$\frac{1}$", r"<code>\frac{1}</code>"),
        ("$" + "{" * 400 + "x" + "}" * 400 + "$", "<code>{{{"),
        ("$" + "x" * 1001 + "$", "<code>xxx"),
        ("It costs $5, or \\$6 (or more).", "It costs $5, or $6 (or more)."),
    ],
)
def test_a_formula_is_mathml_or_stays_text(text: str, html: str) -> None:
    assert html in as_html(text)


def test_many_formulas_stay_text() -> None:
    page = as_html(" ".join(["$" + "x" * 990 + "$"] * 19))
    assert (page.count("<math"), page.count("<code>")) == (5, 14)
    assert "<math" in as_html("$x$")


@pytest.mark.parametrize("text", ["[" * 50_000, "> " * 40_000, "a" * 100_000, "*_" * 30_000])
def test_a_text_too_expensive_to_parse_is_shown_as_written(text: str) -> None:
    assert str(as_html(text)).startswith("<pre>")
