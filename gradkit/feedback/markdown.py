"""A student's Markdown as HTML: paragraphs, lists, tables and emphasis, nothing else.

The student's HTML is escaped, links and images become text: a page must neither reveal who reads
an answer nor lead the reader elsewhere. Formulas are shown as written.
"""

import contextlib
from typing import Any

import mistune
from markupsafe import Markup, escape
from mistune.plugins.math import math
from mistune.plugins.table import table

# The parser's time grows with the square of the number of some nested marks.
MAX_CHARACTERS = 20_000
MAX_MARKS = 2_000
MARKS = "[]()<>*_`!|#>-"


class _TextRenderer(mistune.HTMLRenderer):
    """A renderer that writes no links, images or headings."""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return f"{text} ({escape(url)})" if url not in text else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"(a picture: {escape(text)})" if text else "(a picture)"

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return f"<p><strong>{text}</strong></p>\n"  # only the page itself has headings


RENDERER = _TextRenderer(escape=True)
PARSER: Any = mistune.create_markdown(renderer=RENDERER, plugins=[math, table])
# The plugin writes formulas for a script that our pages do not have.
RENDERER.register("inline_math", lambda _, text: f"<code>{escape(text)}</code>")
RENDERER.register("block_math", lambda _, text: f"<pre>{escape(text)}</pre>\n")


def as_html(text: str) -> Markup:
    """Return Markdown as HTML; a text too long or too nested to parse is shown as written."""
    if len(text) <= MAX_CHARACTERS and sum(map(text.count, MARKS)) <= MAX_MARKS:
        with contextlib.suppress(Exception):  # faults of the parser, and recursion without end
            return Markup(PARSER(text))
    return Markup("<pre>{}</pre>").format(text)
