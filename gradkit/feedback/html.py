"""Pages: HTML that is one file each, works without a network, and shows texts as texts.

    templates/page.html     what all pages have: style, and a policy for the browser
    templates/NAME.html     one page
    templates/NAME.js       its script, where it has one

Everything that is put into a template is escaped. Should that ever fail, the policy in the page's
head still lets the browser run no script but ours, and fetch nothing from anywhere.
"""

import base64
import hashlib
import io
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from gradkit.feedback.markdown import as_html

TEMPLATES = Path(__file__).parent / "templates"
INK = "#010203"  # what is drawn in it gets the colour of the text around, in light and dark


def render(name: str, /, **values: Any) -> str:
    """The page that a template makes of these values."""
    script = _read(f"{name}.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = f"script-src 'sha256-{digest}'" if script else "script-src 'none'"
    page = (
        _environment()
        .get_template(f"{name}.html")
        .render(
            **values,
            policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; {sources}",
            style=Markup(_read("page.css")),
            script=Markup(script),
        )
    )
    # What no browser can show, and no other file should hold, wherever it came from.
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", page)


def write(path: Path, page: str) -> None:
    """Write a page in the place of an older one, all of it or nothing."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(path)


def as_svg(figure: Figure, sentence: str) -> Markup:
    """A figure as SVG to stand in a page; the sentence is for those who cannot see it.

    The same figure gives the same text, and no two pictures of a page share the names in them.
    """
    buffer = io.StringIO()
    settings: Any = {"svg.hashsalt": sentence, "svg.fonttype": "none", "font.family": "sans-serif"}
    with rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=72)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    mark = hashlib.sha256(sentence.encode()).hexdigest()[:8]
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>g{mark}-", svg)
    opening = Markup('<svg role="img" aria-label="{}"').format(sentence)
    return Markup(opening + Markup(svg.removeprefix("<svg")))


def points(number: float | None) -> str:
    """Points as people write them: 3, 2.5; a dash where there are none."""
    return "–" if number is None else f"{round(number, 2):g}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = points
    environment.filters["prose"] = as_html
    return environment


def _read(name: str) -> str:
    path = TEMPLATES / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""
