"""Figures: a chart becomes SVG for the page and SVG and PDF files for a paper."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from altair.utils import schemapi

from sibboleth import runs

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is inside vl-convert, so text is measured alike everywhere; the others have the same widths."""
INK = "#1d2733"
QUIET = "#5b6673"
RULE = "#dfe4ea"
BLUE = "#0b5394"
ORANGE = "#c9590b"
PALETTE = ("#0b66b5", "#d1570b", "#08836a", "#b0508a", "#8a6d00", "#3f9bd1")
"""Told apart with every common colour blindness (after Okabe and Ito, darkened for thin lines on white)."""
CONTROL_PALETTE = ("#4a5058", "#8d949c", "#b08968")
DASHES: tuple[list[int], ...] = ([1, 0], [6, 2], [2, 2], [8, 2, 2, 2])

SYMBOLS = {
    "circle": "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z",
    "square": "M-3.6-3.6H3.6V3.6H-3.6Z",
    "triangle-up": "M0-4.4L4.4 3.6H-4.4Z",
    "diamond": "M0-5L5 0L0 5L-5 0Z",
    "triangle-down": "M0 4.4L4.4-3.6H-4.4Z",
    "cross": "M-1.5-4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
}
"""Shape of the dots of each encoder, for those who cannot tell the colours; drawn so in the page's legends."""

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "padding": 2,
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelColor": QUIET,
        "titleColor": INK,
        "labelFontSize": 10.5,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 6,
        "gridColor": RULE,
        "domainColor": "#aab2bb",
        "tickColor": "#aab2bb",
        "labelLimit": 130,
    },
}

Chart = alt.LayerChart | alt.FacetChart


@dataclass(frozen=True)
class Figure:
    """One picture in the page."""

    title: str
    alt: str
    """What a reader who cannot see it should know."""
    inside: str
    """What is in its SVG element."""
    width: float
    height: float


@dataclass(frozen=True)
class Group:
    """Small pictures that belong together, and the one file that has them all."""

    name: str
    """Stem of the files in figures/."""
    title: str
    caption: str
    source: str
    """The run directory's file and rows that it shows."""
    panels: tuple[Figure, ...]
    legend: tuple["Entry", ...] = ()
    fold: bool = False
    """Whether the page shows it only when opened."""


@dataclass(frozen=True)
class Entry:
    """One line of a legend."""

    text: str
    colour: str
    dash: str = ""
    mark: str = "line"
    """A line, or a line with one of `SYMBOLS`."""
    size: bool = False
    """Whether it explains the sizes of a symbol."""


def panel(draw: Callable[[], Chart], title: str, alternative: str, name: str) -> Figure:
    """Draw a chart without reaching for anything outside; its ids begin with `name`."""
    # Checking a chart against the schema of Vega-Lite costs more than drawing it; the tests do that instead.
    with schemapi.debug_mode(False):
        spec = _drawable(draw().configure(**CONFIG).to_dict(validate=False))
    text: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    size = _SIZE.search(text)
    width, height = (float(size[1]), float(size[2])) if size else (300.0, 200.0)
    inside = text[text.index(">") + 1 : text.rindex("</svg>")]
    inside = re.sub(r'\bid="|url\(#|href="#', lambda m: f"{m[0]}{name}-", inside)
    # Places need no more than two decimals; what is written may.
    inside = re.sub(r"<[^>]+>", lambda m: re.sub(r"(\d\.\d{2})\d+", r"\1", m[0]), inside)
    return Figure(title, alternative, inside, width, height)


def _drawable(part: Any) -> Any:
    """Replace what no SVG may hold: a control character in a label ends the process that draws it."""
    if isinstance(part, dict):
        return {key: _drawable(one) for key, one in part.items()}
    if isinstance(part, list):
        return [_drawable(one) for one in part]
    return _UNDRAWABLE.sub("\N{REPLACEMENT CHARACTER}", part) if isinstance(part, str) else part


_UNDRAWABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
_GAP, _TITLE, _LINE = 22, 20, 18


def sheet(group: Group, columns: int) -> str:
    """Lay the panels of a group out as one SVG, with their titles and the legend."""
    across = max(figure.width for figure in group.panels) + _GAP
    parts, top = [], 0.0
    for start in range(0, len(group.panels), columns):
        row = group.panels[start : start + columns]
        for i, figure in enumerate(row):
            parts.append(_text(i * across, top + 13, figure.title, bold=True))
            parts.append(
                f'<svg x="{i * across:g}" y="{top + _TITLE:g}" width="{figure.width:g}" height="{figure.height:g}" '
                f'viewBox="0 0 {figure.width:g} {figure.height:g}">{figure.inside}</svg>'
            )
        top += _TITLE + max(figure.height for figure in row) + _GAP
    for i, entry in enumerate(group.legend):
        parts.append(_sample(entry, top + i * _LINE) + _text(36, top + i * _LINE + 9, entry.text))
    width, height = across * min(columns, len(group.panels)), top + _LINE * len(group.legend)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width + 8:g}" '
        f'height="{height + 8:g}" viewBox="-4 -4 {width + 8:g} {height + 8:g}">'
        f'<rect x="-4" y="-4" width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    where = f'x="{x:g}" y="{y:g}" font-family="{FONT}" font-size="12"{weight} fill="{INK}"'
    return f"<text {where}>{escape(_drawable(text))}</text>"


def _sample(entry: Entry, y: float) -> str:
    return f'<svg x="0" y="{y:g}" width="28" height="10" viewBox="0 0 28 10">{sample(entry)}</svg>'


def sample(entry: Entry) -> str:
    """Draw the line or dot of a legend's entry, in a box of 28 by 10."""
    line = f'<path d="M1 5H27" stroke="{entry.colour}" stroke-width="2.2"'
    if entry.mark == "line":
        return f'{line} stroke-dasharray="{entry.dash or "none"}"/>'
    dot = f'<path d="{SYMBOLS[entry.mark]}" fill="{entry.colour}" transform="translate(%d 5) scale(%s)"/>'
    return dot % (9, 0.9) + dot % (21, 0.5) if entry.size else f"{line}/>" + dot % (14, 1)


def write(group: Group, folder: Path, columns: int = 3) -> None:
    """Write a group as NAME.svg and NAME.pdf."""
    text = sheet(group, columns)
    runs.write_text(folder / f"{group.name}.svg", text)
    with runs.atomic(folder / f"{group.name}.pdf") as temporary:
        temporary.write_bytes(vl_convert.svg_to_pdf(text))
