"""Charts of fine-tuning: scores by trained parameters and by shots, losses by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from sibboleth.report import plots
from sibboleth.report.figures import INK, QUIET, Chart
from sibboleth.report.systems import System

APART = 1.6
"""Steps of the axis of shots between the regimes behind its end."""
FEW_LINES = 2
"""Up to so many systems, lines lead from the regimes at the end through the panel."""


def by_parameters(
    rows: pl.DataFrame,
    systems: Sequence[System],
    *,
    metric: str,
    bounds: tuple[float, float],
    chance: float | None,
    extent: tuple[float, float],
) -> Chart:
    """Draw a metric over trained parameters `system, parameters, estimate, low, high`, each system a dot.

    What has no number of parameters is a horizontal line; `extent` are the fewest and the most parameters.
    """
    known = plots.styles(systems)
    scale = alt.Scale(type="log", domain=[extent[0] / 1.6, extent[1] * 1.6], nice=False)
    axis = alt.Axis(values=_decades(*extent), format=".2~s", grid=False, labelOverlap=True)
    x = alt.X("parameters:Q", title="trained parameters", scale=scale, axis=axis)
    y, low = _y(metric, bounds), alt.Y("low:Q", title=metric)
    colour = plots.colour_of(known)
    there, flat = rows.filter(pl.col("parameters").is_not_null()), rows.filter(pl.col("parameters").is_null())
    layers: list[Any] = []
    if flat.height:
        ends = flat.with_columns(left=pl.lit(extent[0] / 1.6), right=pl.lit(extent[1] * 1.6))
        left = alt.X("left:Q", title="trained parameters", scale=scale, axis=axis)
        base = alt.Chart(ends).encode(x=left, x2="right:Q", color=colour)
        layers.append(base.mark_rect(opacity=0.07).encode(y=low, y2="high:Q"))
        layers.append(base.mark_rule(strokeWidth=1.5).encode(y=y, strokeDash=plots.dash_of(known)))
    base = alt.Chart(there).encode(x=x, color=colour)
    layers.append(base.mark_rule(strokeWidth=1.6).encode(y=low, y2="high:Q"))
    layers.append(base.mark_point(filled=True, size=52, opacity=1).encode(y=y, shape=plots.shape_of(known)))
    if chance is not None:
        layers.append(plots.chance_rule(chance, "y"))
    return alt.layer(*layers, width=plots.PANEL, height=150)


def _decades(fewest: float, most: float) -> list[float]:
    """Round numbers between two, powers of ten where there are two of them."""
    first, last = math.floor(math.log10(fewest)), math.ceil(math.log10(most))
    tens = [10.0**k for k in range(first, last + 1)]
    finer = [step * ten for ten in tens for step in (1, 2, 5)]
    inside = [v for v in tens if fewest / 1.6 <= v <= most * 1.6]
    return inside if len(inside) > 1 else [v for v in finer if fewest / 1.6 <= v <= most * 1.6]


def _y(metric: str, bounds: tuple[float, float]) -> alt.Y:
    scale = alt.Scale(domain=list(bounds), zero=False, clamp=True)
    return alt.Y("estimate:Q", title=metric, scale=scale, axis=plots.number_axis())


def by_shots(
    rows: pl.DataFrame,
    systems: Sequence[System],
    *,
    metric: str,
    bounds: tuple[float, float],
    chance: float | None,
    shots: Sequence[int],
    ends: Sequence[str],
) -> Chart:
    """Draw a metric over shots per class `system, shots, regime, estimate, low, high` with bands, on a log2 axis.

    Zero-shot stands at 0; the regimes `ends` (rows without shots) are dots behind the axis.
    """
    known = plots.styles(systems)
    places: dict[int | str, float] = {0: 0.0, **{k: math.log2(k) + 1 for k in shots}}
    last = max(places.values())
    places |= {name: last + APART * (i + 1) for i, name in enumerate(ends)}
    there = [name for name in known if name in set(rows["system"])]
    apart = {name: 0.22 * (i - (len(there) - 1) / 2) for i, name in enumerate(there)}
    place = pl.struct("shots", "regime", "system").map_elements(
        lambda r: places[r["shots"]] if r["shots"] is not None else places[r["regime"]] + apart[r["system"]],
        return_dtype=pl.Float64,
    )
    rows = rows.with_columns(place.alias("place"))
    scale = alt.Scale(domain=[-0.35, max(places.values()) + 0.6], nice=False)
    title = "labelled utterances per class of the target"
    x = alt.X("place:Q", title=title, scale=scale, axis=_shot_axis(places))
    y, low, colour = _y(metric, bounds), alt.Y("low:Q", title=metric), plots.colour_of(known)
    curve, behind = rows.filter(pl.col("shots").is_not_null()), rows.filter(pl.col("shots").is_null())
    base = alt.Chart(curve).encode(x=x, color=colour)
    layers: list[Any] = [
        base.mark_area(opacity=0.13).encode(y=low, y2="high:Q"),
        base.mark_line(strokeWidth=1.8).encode(y=y),
        base.mark_point(filled=True, size=30, opacity=1).encode(y=y, shape=plots.shape_of(known)),
    ]
    if behind.height:
        if len(there) <= FEW_LINES:
            start = alt.Chart(behind.with_columns(left=pl.lit(0.0))).mark_rule(opacity=0.35, strokeWidth=1)
            left = alt.X("left:Q", title=title, scale=scale, axis=_shot_axis(places))
            layers.append(start.encode(x=left, x2="place:Q", y=y, color=colour))
        dots = alt.Chart(behind).encode(x=x, color=colour)
        layers.append(dots.mark_rule(strokeWidth=1.6).encode(y=low, y2="high:Q"))
        layers.append(dots.mark_point(filled=True, size=42, opacity=1).encode(y=y, shape=plots.shape_of(known)))
    if chance is not None:
        layers.append(plots.chance_rule(chance, "y"))
    return alt.layer(*layers, width=plots.PANEL + 42, height=168)


def _shot_axis(places: Mapping[int | str, float]) -> alt.Axis:
    """Label each place with its number of shots or its regime, which is broken at its dash."""
    labels = [f"'{place:g}': {str(name).split('-')}" for name, place in places.items()]
    text = f"({{{', '.join(labels)}}})[format(datum.value, '~r')]"
    return alt.Axis(values=list(places.values()), labelExpr=text, grid=False, labelOverlap=False)


def losses(rows: pl.DataFrame) -> Chart:
    """Draw losses by epoch `what (dev, train), epoch, loss, low, high`, and the share of fits that dev stopped there.

    The share is in column `chosen` of the rows of dev. The axis ends above the lines, and cuts bands that go on.
    """
    most = 1.15 * float(rows["loss"].max() or 1.0)  # type: ignore[arg-type]
    last = int(rows["epoch"].max() or 1)  # type: ignore[arg-type]
    names, colours, dashes = ["dev", "train"], [INK, QUIET], [[1, 0], [3, 2]]
    x = alt.X("epoch:Q", scale=alt.Scale(domain=[1, max(last, 2)], nice=False), axis=_epochs(last))
    scale = alt.Scale(domain=[0, most], clamp=True)
    y = alt.Y("loss:Q", title="loss", scale=scale, axis=plots.number_axis())
    colour = alt.Color("what:N", scale=alt.Scale(domain=names, range=colours), legend=None)
    dash = alt.StrokeDash("what:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    dev = rows.filter(pl.col("what") == "dev").with_columns(pl.col("low", "high").clip(upper_bound=most))
    band = alt.Chart(dev).mark_area(opacity=0.12).encode(x=x, y=alt.Y("low:Q", title="loss"), y2="high:Q", color=colour)
    line = alt.Chart(rows).mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour, strokeDash=dash)
    size = alt.Size("chosen:Q", scale=alt.Scale(domain=[0, 1], range=[12, 110]), legend=None)
    kept = alt.Chart(dev.filter(pl.col("chosen") > 0)).mark_point(shape="diamond", filled=True, opacity=1)
    chart: Chart = alt.layer(band, line, kept.encode(x=x, y=y, color=colour, size=size), width=plots.PANEL, height=120)
    return chart


def _epochs(last: int) -> alt.Axis:
    step = max(1, math.ceil(last / 8))
    return alt.Axis(values=list(range(1, last + 1, step)), format="d", grid=False)
