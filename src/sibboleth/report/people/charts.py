"""Charts of people beside models: dots with intervals, each named on the axis or in the legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from sibboleth.report import plots
from sibboleth.report.figures import INK, Chart

GAP = " "
"""An empty line, between people and models."""
WIDE, ROW = 210, 19
"""Width of the plotting area, and height of a line, in pixels."""


@dataclass(frozen=True)
class Dot:
    """One estimate with its interval."""

    line: str
    """Where it stands on the axis."""
    who: str
    """Which of several on the same line."""
    estimate: float | None
    low: float | None
    high: float | None
    colour: str = INK
    symbol: str = "circle"
    hollow: bool = False
    """What is simulated is not filled."""


def dots(
    marks: Sequence[Dot],
    lines: Sequence[str],
    *,
    metric: str,
    bounds: tuple[float, float],
    chance: float | None = None,
    log: bool = False,
) -> Chart:
    """Draw dots with intervals, several of a line below each other; `chance` is a dotted rule."""
    rows = pl.DataFrame(
        [
            (
                one.line,
                one.who,
                one.estimate,
                one.low,
                one.high,
                one.colour,
                one.symbol,
                "white" if one.hollow else one.colour,
            )
            for one in marks
        ],
        schema={
            **dict.fromkeys(("line", "who"), pl.String),
            **dict.fromkeys(("estimate", "low", "high"), pl.Float64),
            **dict.fromkeys(("colour", "symbol", "fill"), pl.String),
        },
        orient="row",
    ).with_columns(pl.col("estimate", "low", "high").fill_nan(None))
    order = list(dict.fromkeys(one.who for one in marks))
    several = any(rows.group_by("line").len()["len"] > 1)
    scale = alt.Scale(domain=list(bounds), type="log" if log else "linear", zero=False, nice=False, clamp=True)
    ticks = [one for one in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if bounds[0] <= one <= bounds[1]]
    axis = alt.Axis(values=ticks, format="~g", domain=False, ticks=False) if log else plots.number_axis()
    x = alt.X("estimate:Q", title=metric, scale=scale, axis=axis)
    labels = alt.Axis(domain=False, ticks=False, labelColor=INK, labelLimit=260, labelPadding=8)
    y = alt.Y("line:N", sort=list(lines), title=None, axis=labels, scale=alt.Scale(domain=list(lines)))
    place: dict[str, Any] = {"y": y}
    if several:
        place["yOffset"] = alt.YOffset("who:N", sort=order)
    colour = alt.Stroke("colour:N", scale=None, legend=None)
    base = alt.Chart(rows)
    drawn = [
        base.mark_rule(strokeWidth=1.7).encode(x=alt.X("low:Q", title=metric), x2="high:Q", stroke=colour, **place),
        base.mark_point(size=50, opacity=1, strokeWidth=1.6).encode(
            x=x,
            stroke=colour,
            fill=alt.Fill("fill:N", scale=None, legend=None),
            shape=alt.Shape("symbol:N", scale=None, legend=None),
            **place,
        ),
    ]
    if chance is not None:
        drawn.insert(0, plots.chance_rule(chance, "x"))
    most = max(len(order), 1) if several else 1
    height = len(lines) * (ROW if most == 1 else 12 * most + 8)
    return alt.layer(*drawn, width=WIDE, height=height)
