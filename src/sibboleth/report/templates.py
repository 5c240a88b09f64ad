"""Templates of the pages, and what they draw with."""

import math
import re
from importlib import resources

import jinja2
from markupsafe import Markup, escape

from sibboleth.report import figures, wording


def environment() -> jinja2.Environment:
    """Return where templates come from, with the style and the functions that they use."""
    found = jinja2.Environment(
        loader=jinja2.FunctionLoader(resource),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters |= {"number": wording.number, "listing": wording.listing, "kept": _kept}
    found.globals |= {
        "style": Markup(resource("style.css")),
        "svg": _svg,
        "bar": _bar,
        "sample": _sample,
        "count": wording.count,
    }
    return found


_NUMBER = re.compile(r"\N{MINUS SIGN}?\d+\.\d+ \[[^\[\]]{3,20}\]")


def _kept(text: str) -> Markup:
    """Escape text and keep every number on one line with its interval."""
    return Markup(_NUMBER.sub(lambda m: f'<span class="n">{m[0]}</span>', str(escape(text))))


def resource(name: str) -> str:
    """Read a file that lies beside this one."""
    return resources.files("sibboleth.report").joinpath(name).read_text(encoding="utf-8")


def _svg(figure: figures.Figure) -> Markup:
    """Put a drawing into the page; vl-convert has escaped its text, the text alternative is escaped here."""
    most = figure.width * (1.4 if figure.width < 340 else 1.08)
    opening = Markup('<svg role="img" aria-label="{}" viewBox="0 0 {:g} {:g}" style="--own:{:g}px;--most:{:g}px">')
    return opening.format(figure.alt, figure.width, figure.height, figure.width, most) + Markup(
        figure.inside + "</svg>"
    )


def _sample(entry: figures.Entry) -> Markup:
    return Markup(figures.sample(entry))


def _bar(numbers: tuple[float, float, float], reach: float) -> Markup:
    """Draw a difference and its interval on an axis from -reach to reach."""
    difference, low, high = numbers
    if not math.isfinite(difference):
        return Markup("")
    x, left, right = (80 + 75 * (v if math.isfinite(v) else difference) / reach for v in (difference, low, high))
    clear = "clear" if math.isfinite(low) and (low > 0 or high < 0) else "open"
    return Markup(
        '<svg class="bar {}" viewBox="0 0 160 12" width="160" height="12" aria-hidden="true">'
        '<path class="zero" d="M80 0V12"/><path d="M{:.1f} 6H{:.1f}"/><circle cx="{:.1f}" cy="6" r="3"/></svg>'
    ).format(clear, left, right, x)
