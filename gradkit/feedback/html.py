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

from assignment.checks.display import inline_html
from assignment.workspace.regions import is_answered
from gradkit.feedback.markdown import as_html

# Control characters and lone surrogates, which browsers cannot show, and characters that turn the
# direction of the text after them.
UNSHOWABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
TEMPLATES = Path(__file__).parent / "templates"


def render(name: str, /, **values: Any) -> str:
    """Return the page of a template, filled with the values."""
    file = TEMPLATES / f"{name}.js"
    script = file.read_text(encoding="utf-8") if file.is_file() else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = ENVIRONMENT.get_template(f"{name}.html").render(
        values, script=Markup(script), script_source=f"'sha256-{digest}'" if script else "'none'"
    )
    return UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", page)


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
    svg = buffer.getvalue().partition("<svg")[2]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    mark = hashlib.sha256(sentence.encode()).hexdigest()[:8]
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>g{mark}-", svg)
    return Markup('<svg role="img" aria-label="{}"{}').format(sentence, Markup(svg))


def images_as_svg(images: Mapping[str, NDArray[Any]], sentence: str) -> Markup:
    """Return named (32, 32, 3) images, from 0 to 1, as inline SVG with five in a row.

    A figure of matplotlib would look the same and take thirty times as long.
    """
    pngs = {name: _base64_png(image) for name, image in images.items()}
    svg = ENVIRONMENT.get_template("images.svg").render(images=pngs, sentence=sentence)
    return Markup(svg)


def _base64_png(image: NDArray[Any]) -> str:
    pixels = np.clip(np.nan_to_num(255 * image), 0, 255).round().astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png")
    return base64.b64encode(png.getvalue()).decode()


def format_points(number: float | None) -> str:
    """Return points as people write them, such as 3 or 2.5; a dash for None."""
    return "–" if number is None else f"{round(number, 2):g}"


def with_unit(number: float | None) -> str:
    """Return points with their unit, such as "1 point"."""
    return f"{format_points(number)} point{'' if number == 1 else 's'}"


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(points=format_points, with_unit=with_unit, markdown=as_html)
ENVIRONMENT.filters["inline"] = lambda text: Markup(inline_html(text))
ENVIRONMENT.tests["answered"] = is_answered
