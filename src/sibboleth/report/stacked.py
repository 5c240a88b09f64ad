"""Charts of parts that add up: a bar for each name, part behind part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import polars as pl

from sibboleth.report import plots
from sibboleth.report.figures import INK, ORANGE, PALETTE, Chart

COLOURS = {"missed": PALETTE[0], "false_alarm": ORANGE, "confused": PALETTE[3], "overlap": PALETTE[4]}
"""Of the parts of the errors."""
BAND = 24
"""Height of a bar with its space."""
LABELS = 200
"""Widest a name may be."""


class Bar(NamedTuple):
    """One part of a bar, from start to end."""

    name: str
    part: str
    start: float
    end: float


class Line(NamedTuple):
    """The interval of a whole bar."""

    name: str
    low: float
    high: float


def behind(name: str, sizes: Sequence[tuple[str, float]]) -> list[Bar]:
    """Put parts behind one another, from 0."""
    bars, at = [], 0.0
    for part, size in sizes:
        bars.append(Bar(name, part, at, at + size))
        at += size
    return bars


def parts(
    bars: Sequence[Bar],
    lines: Sequence[Line],
    names: Sequence[str],
    title: str,
    most: float,
    ceiling: float | None = None,
) -> Chart:
    """Draw bars, and over them the intervals, on an axis from 0 to `most`; a dotted line across all at the ceiling."""
    shown = pl.DataFrame(list(bars), schema=list(Bar._fields), orient="row")
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    y = alt.Y(
        "name:N",
        sort=list(names),
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelColor=INK, labelLimit=LABELS, labelPadding=5),
    )
    x = alt.X("start:Q", title=title, axis=plots.number_axis(), scale=alt.Scale(domain=[0, most], clamp=True))
    colour = alt.Color("part:N", scale=scale, legend=None)
    chart: list[Any] = [
        alt.Chart(shown).mark_bar(size=13, stroke="white", strokeWidth=0.6).encode(x=x, x2="end:Q", y=y, color=colour)
    ]
    if lines:
        schema = {"name": pl.String, "low": pl.Float64, "high": pl.Float64}
        known = pl.DataFrame(list(lines), schema=schema, orient="row").fill_nan(None).drop_nulls()
        rule = alt.Chart(known).mark_rule(strokeWidth=1.6, color=INK)
        chart.append(rule.encode(x=alt.X("low:Q", title=title), x2="high:Q", y=y))
    if ceiling is not None:
        at = alt.Chart(pl.DataFrame({"start": [ceiling]}))
        chart.append(at.mark_rule(strokeDash=[1, 3], strokeWidth=1.6, color=INK).encode(x=x))
    return alt.layer(*chart, width=plots.PANEL, height=BAND * len(names))
