"""HTML pages: one file each, complete without a network, every inserted text escaped.

    templates/page.html     the frame of every page: style, and a content security policy
    templates/NAME.html     one page
    templates/NAME.js       its script, for a page that has one
    templates/images.svg    images in rows, within a page

Should escaping ever fail, the policy still keeps the browser from running any other script and from
fetching anything.
"""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from gradkit.course.questions import is_answered
from gradkit.feedback.markdown import as_html

TEMPLATES = Path(__file__).parent / "templates"
INK = "#010203"  # replaced by the page's text colour, in light and dark


def render(name: str, /, **values: Any) -> str:
    """Return the page of a template, filled with the values."""
    script = _read_template(f"{name}.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = f"script-src 'sha256-{digest}'" if script else "script-src 'none'"
    page = (
        _environment()
        .get_template(f"{name}.html")
        .render(
            **values,
            policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; {sources}",
            style=Markup(_read_template("page.css")),
            script=Markup(script),
        )
    )
    # Control characters and lone surrogates, which browsers cannot show.
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", page)


def as_svg(figure: Figure, sentence: str) -> Markup:
    """Return a figure as inline SVG, with the sentence for readers who cannot see it.

    The result depends on nothing else. Its ids are distinct from those of a page's other figures.
    """
    buffer = io.StringIO()
    figure.dpi = 72
    settings: Any = {"svg.hashsalt": sentence, "svg.fonttype": "none", "font.family": "sans-serif"}
    with rc_context(settings):
        # `savefig` would draw the figure twice.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    mark = hashlib.sha256(sentence.encode()).hexdigest()[:8]
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>g{mark}-", svg)
    opening = Markup('<svg role="img" aria-label="{}"').format(sentence)
    return Markup(opening + Markup(svg.removeprefix("<svg")))


def images_as_svg(images: Mapping[str, NDArray[Any]], sentence: str) -> Markup:
    """Return named (32, 32, 3) images, from 0 to 1, as inline SVG with five in a row.

    A figure of matplotlib would look the same and take thirty times as long.
    """
    pngs = {name: _base64_png(image) for name, image in images.items()}
    svg = _environment().get_template("images.svg").render(images=pngs, sentence=sentence)
    return Markup(svg)


def _base64_png(image: NDArray[Any]) -> str:
    pixels = np.clip(np.nan_to_num(255 * image), 0, 255).round().astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png")
    return base64.b64encode(png.getvalue()).decode()


def format_points(number: float | None) -> str:
    """Return points as people write them, such as 3 or 2.5; a dash for None."""
    return "–" if number is None else f"{round(number, 2):g}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = format_points
    environment.filters["markdown"] = as_html
    environment.tests["answered"] = is_answered
    return environment


@cache
def _read_template(name: str) -> str:
    path = TEMPLATES / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""
