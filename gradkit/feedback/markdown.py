"""What a student wrote in Markdown, as HTML: its paragraphs, lists and emphasis, and nothing else.

No HTML of the student's gets through, no link can be followed and no picture is fetched: whoever
reads an answer shall not be seen to, nor led anywhere. Formulas stay as they were written.
"""

from typing import Any

import mistune
from markupsafe import Markup, escape
from mistune.plugins.math import math
from mistune.plugins.table import table

# Some nested marks take the parser a time that grows with the square of their number.
MAX_CHARACTERS = 20_000
MAX_MARKS = 2_000
_MARKS = "[]()<>*_`!|#>-"


class _Plain(mistune.HTMLRenderer):
    def link(self, text: str, url: str, title: str | None = None) -> str:
        return f"{text} ({escape(url)})" if url not in text else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"(a picture: {escape(text)})" if text else "(a picture)"

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return f"<p><strong>{text}</strong></p>\n"  # the page has headings of its own

    def inline_math(self, text: str) -> str:
        return f"<code>{escape(text)}</code>"

    def block_math(self, text: str) -> str:
        return f"<pre>{escape(text)}</pre>\n"


def as_html(text: str) -> Markup:
    """A text in Markdown as HTML for a page; as it was written where it is too long."""
    if len(text) > MAX_CHARACTERS or sum(map(text.count, _MARKS)) > MAX_MARKS:
        return _as_written(text)
    try:
        return Markup(_markdown()(text))
    except Exception:  # the parser's own faults, and recursion without an end
        return _as_written(text)


def _as_written(text: str) -> Markup:
    return Markup("<pre>{}</pre>").format(text)


def _markdown() -> Any:
    renderer = _Plain(escape=True)
    markdown = mistune.create_markdown(renderer=renderer, plugins=[math, table])
    # The plugin's own way to write formulas is for a script that pages do not have.
    renderer.register("inline_math", lambda _, text: renderer.inline_math(text))
    renderer.register("block_math", lambda _, text: renderer.block_math(text))
    return markdown
