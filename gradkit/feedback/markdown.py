"""A student's Markdown as HTML: paragraphs, lists, tables and emphasis, nothing else.

The student's HTML is escaped, links and images become text: a page must neither reveal who reads
an answer nor lead the reader elsewhere. Formulas become MathML without any attribute that could
hold the student's text; what cannot be read as a formula is shown as written.
"""

import contextlib
import re
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element

import mistune
from latex2mathml.converter import convert_to_element
from markupsafe import Markup, escape
from mistune.plugins.math import math
from mistune.plugins.table import table

# The parser's time grows with the square of the number of some nested marks.
MAX_CHARACTERS = 20_000
MAX_MARKS = 2_000
MARKS = "[]()<>*_`!|#>-"
MAX_FORMULA = 1_000  # characters in one formula
MAX_FORMULAS = 5_000  # and in all of a text: the library takes a second for them
MAX_NESTING = 50  # of a formula's elements
# A function whose argument has no bracket, such as "log S"; TeX sets a thin space after it.
FUNCTION = re.compile(r"\\(?:log|ln|exp)(?=\s+\w|\s*\\(?!left|[bB]ig)[a-zA-Z])")


class _TextRenderer(mistune.HTMLRenderer):
    """A renderer that writes no links, images or headings."""

    formulas = 0  # characters of the text's formulas until now

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return f"{text} ({escape(url)})" if url not in text else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"(a picture: {escape(text)})" if text else "(a picture)"

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return f"<p><strong>{text}</strong></p>\n"  # only the page itself has headings


def _formula(text: str, is_block: bool) -> str:
    """Return a formula in LaTeX as MathML, or as written if it cannot be read."""
    RENDERER.formulas += len(text)
    if len(text) <= MAX_FORMULA and RENDERER.formulas <= MAX_FORMULAS:
        with contextlib.suppress(Exception):  # the library raises many kinds
            display = "block" if is_block else "inline"
            root = convert_to_element(FUNCTION.sub(r"\g<0>\\,", text))
            return f'<math display="{display}">{_children(root, 0)}</math>'
    return f"<pre>{escape(text)}</pre>\n" if is_block else f"<code>{escape(text)}</code>"


def _children(element: Element, depth: int) -> str:
    """Write the content of an element, with its text escaped, which the library does not do."""
    text = unescape(element.text or "")
    if depth > MAX_NESTING or "\\" in text:  # a command that the library does not know
        raise ValueError("The formula cannot be read.")
    return str(escape(text)) + "".join(_element(child, depth + 1) for child in element)


def _element(element: Element, depth: int) -> str:
    if not re.fullmatch("m[a-z]+", element.tag) or len(element) < PARTS.get(element.tag, 0):
        raise ValueError("The element is incomplete, or does not belong to MathML.")
    kept = [f' {name}="{value}"' for name, value in element.items() if (name, value) in ATTRIBUTES]
    return f"<{element.tag}{''.join(kept)}>{_children(element, depth)}</{element.tag}>"


PARTS = dict.fromkeys(("mfrac", "mroot", "msub", "msup", "mover", "munder"), 2)
SPACES = {("width", f"{size}em") for size in ("0.167", "0.222", "0.278", "1", "2")}
# All others hold lengths, colors and addresses of the student's.
ATTRIBUTES = {("stretchy", "false"), ("linethickness", "0"), ("accent", "true"), *SPACES}

RENDERER = _TextRenderer(escape=True)
PARSER: Any = mistune.create_markdown(renderer=RENDERER, plugins=[math, table])
RENDERER.register("inline_math", lambda _, text: _formula(text, is_block=False))
RENDERER.register("block_math", lambda _, text: _formula(text, is_block=True))


def _parse_parentheses(parser: Any, match: re.Match[str], state: Any) -> int:
    state.append_token({"type": "inline_math", "raw": match["formula"]})
    return match.end()


# Jupyter also reads two backslashes as one.
PARENTHESES = rf"\\{{1,2}}\((?P<formula>[^\n]{{1,{MAX_FORMULA}}}?)\\{{1,2}}\)"
PARSER.inline.register("parentheses", PARENTHESES, _parse_parentheses, before="escape")


def as_html(text: str) -> Markup:
    """Return Markdown as HTML; a text too long or too nested to parse is shown as written."""
    if len(text) <= MAX_CHARACTERS and sum(map(text.count, MARKS)) <= MAX_MARKS:
        RENDERER.formulas = 0
        with contextlib.suppress(Exception):  # faults of the parser, and recursion without end
            return Markup(PARSER(text))
    return Markup("<pre>{}</pre>").format(text)
