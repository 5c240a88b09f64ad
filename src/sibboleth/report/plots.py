"""Chart specifications: rows in, chart out."""

import itertools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import altair as alt
import polars as pl

from sibboleth.report.figures import BLUE, CONTROL_PALETTE, DASHES, INK, ORANGE, PALETTE, QUIET, SYMBOLS, Chart, Entry
from sibboleth.report.systems import System

PANEL = 188
"""Width of the plotting area of a small panel: four stand side by side, one fills a phone."""


class Style(NamedTuple):
    """How a system is drawn in every figure."""

    colour: str
    dash: list[int]
    symbol: str


def styles(systems: Sequence[System]) -> dict[str, Style]:
    """Colour, dash and symbol of each system by its short name; controls are grey and dashed.

    An encoder has a colour, which its methods share: these have dashes and symbols of their own. The methods of the
    only encoder have colours of their own, too.
    """
    models = [e for e in systems if not e.control]
    controls = [e for e in systems if e.control]
    encoders = list(dict.fromkeys(e.encoder for e in models))
    methods = list(dict.fromkeys(e.method for e in systems))
    symbols = list(SYMBOLS)
    found: dict[str, Style] = {}
    for i, system in enumerate(models):
        method = methods.index(system.method)
        hue = encoders.index(system.encoder) if len(encoders) > 1 else method
        dash = DASHES[(method + hue // len(PALETTE)) % len(DASHES)]
        symbol = symbols[(method if len(methods) > 1 else i) % len(symbols)]
        found[system.short] = Style(PALETTE[hue % len(PALETTE)], dash, symbol)
    for i, system in enumerate(controls):
        dash = DASHES[1 + i % (len(DASHES) - 1)]
        symbol = symbols[-1 - i % len(symbols)] if len(methods) > 1 else symbols[(len(models) + i) % len(symbols)]
        found[system.short] = Style(CONTROL_PALETTE[i % len(CONTROL_PALETTE)], dash, symbol)
    return found


def legend(
    systems: Sequence[System], chance: float | None, *, shown: Collection[str] | None = None, dots: bool = False
) -> tuple[Entry, ...]:
    """Legend of the colours, in the page's own text: of all systems, or of those with a name in `shown`."""
    known = styles(systems)
    entries = []
    for system in systems:
        if shown is None or system.name in shown:
            style = known[system.short]
            dash = "" if dots or style.dash == DASHES[0] else ",".join(map(str, style.dash))
            entries.append(Entry(system.title, style.colour, dash, style.symbol if dots else "line"))
    if chance is not None:
        entries.append(Entry(f"chance ({chance:.2f})", ORANGE, "1,3", "line"))
    return tuple(entries)


def curves(
    rows: pl.DataFrame,
    systems: Sequence[System],
    *,
    metric: str,
    bounds: tuple[float, float],
    chance: float | None,
) -> Chart:
    """Draw a metric over layers `system, layer, estimate, low, high, chosen` with bands.

    An encoder of one layer is a horizontal line, `chosen` the share of folds for which dev chose the layer.
    """
    known = styles(systems)
    deep = rows.filter(pl.col("layer").n_unique().over("system") > 1)
    flat = rows.filter(pl.col("layer").n_unique().over("system") == 1)
    last = max(int(rows["layer"].max() or 0), 1)  # type: ignore[arg-type]
    scale = alt.Scale(domain=[0, last], nice=False, padding=7)
    x = alt.X("layer:Q", title="layer", scale=scale, axis=_layer_axis(last))
    y = alt.Y(
        "estimate:Q", title=metric, scale=alt.Scale(domain=list(bounds), zero=False, clamp=True), axis=number_axis()
    )
    colour, dash = colour_of(known), dash_of(known)
    layers: list[Any] = []
    if deep.height:
        base = alt.Chart(deep)
        band = base.mark_area(opacity=0.15 if deep["system"].n_unique() < 4 else 0.08).encode(
            x=x, y=alt.Y("low:Q", title=metric), y2="high:Q", color=colour
        )
        line = base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour, strokeDash=dash)
        chosen = alt.Chart(deep.filter(pl.col("chosen") > 0)).mark_point(shape="diamond", filled=True, opacity=1)
        size = alt.Size("chosen:Q", scale=alt.Scale(domain=[0, 1], range=[12, 110]), legend=None)
        layers += [band, line, chosen.encode(x=x, y=y, color=colour, size=size)]
    if flat.height:
        flat = flat.with_columns(pl.lit(0).alias("left"), pl.lit(last).alias("right"))
        base = alt.Chart(flat).encode(
            x=alt.X("left:Q", title="layer", scale=scale, axis=_layer_axis(last)), x2="right:Q"
        )
        layers.append(base.mark_rect(opacity=0.10).encode(y=alt.Y("low:Q", title=metric), y2="high:Q", color=colour))
        layers.append(base.mark_rule(strokeWidth=1.5).encode(y=y, color=colour, strokeDash=dash))
    if chance is not None:
        layers.append(chance_rule(chance, "y"))
    return alt.layer(*layers, width=PANEL, height=138)


def _layer_axis(last: int) -> alt.Axis:
    step = 1 if last <= 6 else 2 if last <= 13 else 4 if last <= 26 else 8
    return alt.Axis(values=list(range(0, last + 1, step)), format="d", grid=False)


def number_axis() -> alt.Axis:
    """Axis of a metric."""
    return alt.Axis(format=".2~f", tickCount=5, domain=False, ticks=False, labelFlush=False)


def colour_of(known: dict[str, Style]) -> alt.Color:
    """Colour by system."""
    scale = alt.Scale(domain=list(known), range=[style.colour for style in known.values()])
    return alt.Color("system:N", scale=scale, legend=None)


def dash_of(known: dict[str, Style]) -> alt.StrokeDash:
    """Dash by system."""
    scale = alt.Scale(domain=list(known), range=[style.dash for style in known.values()])
    return alt.StrokeDash("system:N", scale=scale, legend=None)


def chance_rule(chance: float, channel: str) -> Any:
    """Dotted line at chance, across (`y`) or upright (`x`)."""
    rule = alt.Chart(pl.DataFrame({"chance": [chance]})).mark_rule(color=ORANGE, strokeDash=[1, 3], strokeWidth=1.6)
    return rule.encode(y=alt.Y("chance:Q")) if channel == "y" else rule.encode(x=alt.X("chance:Q"))


def matrix(
    rows: pl.DataFrame,
    sources: Sequence[str],
    domains: Sequence[str],
    *,
    chance: float | None,
    extent: tuple[float, float],
    better: int,
) -> Chart:
    """Draw source by target `source, domain, text, interval, estimate`: blue above chance, orange below."""
    x = alt.X("domain:N", sort=list(domains), title="tested on", axis=_label_axis("top", domains))
    y = alt.Y("source:N", sort=list(sources), title="trained on", axis=_label_axis("left", sources))
    lowest, highest = extent
    middle = chance if chance is not None and better > 0 else lowest
    pale, full = ("#ffffff", BLUE) if better > 0 else (BLUE, "#ffffff")
    if middle <= lowest:
        scale = alt.Scale(domain=[lowest, highest], range=[pale, full], clamp=True, interpolate="rgb")
    else:
        scale = alt.Scale(
            domain=[lowest, middle, max(highest, middle + 0.01)],
            range=[ORANGE, "#ffffff", BLUE],
            clamp=True,
            interpolate="rgb",
        )
    return _grid(
        rows,
        x,
        y,
        alt.Color("estimate:Q", scale=scale, legend=None),
        (66, 44) if len(domains) < 6 else (57, 40),
        (len(domains), len(sources)),
    )


def confusion(rows: pl.DataFrame, labels: Sequence[str], answers: Sequence[str], *, title: str | None = None) -> Chart:
    """Draw reference by answer `label, answer, estimate, text, interval`."""
    x = alt.X("answer:N", sort=list(answers), title="answer", axis=_label_axis("top", answers))
    y = alt.Y("label:N", sort=list(labels), title="reference", axis=_label_axis("left", labels))
    colour = alt.Color(
        "estimate:Q",
        scale=alt.Scale(domain=[0, 1], range=["#ffffff", BLUE], clamp=True, interpolate="rgb"),
        legend=None,
    )
    return _grid(rows, x, y, colour, (48 if len(labels) < 6 else 38, 34), (len(answers), len(labels)))


def _label_axis(orient: Any, values: Sequence[str]) -> alt.Axis:
    steep = orient == "top" and max(map(len, values), default=0) * 6 > 44
    angle = {"labelAngle": -40, "labelAlign": "left", "labelBaseline": "bottom"} if steep else {"labelAngle": 0}
    return alt.Axis(orient=orient, domain=False, ticks=False, labelColor=INK, labelLimit=92, labelPadding=5, **angle)


def _grid(
    rows: pl.DataFrame,
    x: alt.X,
    y: alt.Y,
    colour: alt.Color,
    cell: tuple[int, int],
    shape: tuple[int, int],
) -> Chart:
    base = alt.Chart(rows).encode(x=x, y=y)
    ink = alt.Color("ink:N", scale=None, legend=None)
    field = base.mark_rect(stroke="#c9d0d8", strokeWidth=0.5).encode(color=colour)
    value = base.mark_text(fontSize=12.5, fontWeight=600, dy=-5).encode(text="text:N", color=ink)
    below = base.mark_text(fontSize=9.5, dy=10).encode(text="interval:N", color=ink)
    size = {"width": cell[0] * shape[0], "height": cell[1] * shape[1]}
    chart: Chart = alt.layer(field, value, below, **size).resolve_scale(color="independent")
    return chart


def intervals(
    rows: pl.DataFrame,
    systems: Sequence[System],
    values: Sequence[str],
    *,
    metric: str,
    bounds: tuple[float, float],
    chance: float | None,
) -> Chart:
    """Draw `system, value, estimate, low, high` as dots with intervals, one band of lines per value."""
    known = {name: style for name, style in styles(systems).items() if name in set(rows["system"])}
    x = alt.X(
        "estimate:Q", title=metric, scale=alt.Scale(domain=list(bounds), zero=False, clamp=True), axis=number_axis()
    )
    y = alt.Y("value:N", sort=list(values), title=None, axis=_label_axis("left", values))
    offset = alt.YOffset("system:N", sort=list(known))
    colour = colour_of(known)
    base = alt.Chart(rows)
    line = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", title=metric), x2="high:Q", y=y, yOffset=offset, color=colour
    )
    dot = base.mark_point(filled=True, size=42, opacity=1).encode(
        x=x, y=y, yOffset=offset, color=colour, shape=shape_of(known)
    )
    layers: list[Any] = [line, dot]
    if chance is not None:
        layers.append(chance_rule(chance, "x"))
    height = max(len(values), 1) * max(12 * len(known) + 6, 22)
    return alt.layer(*layers, width=PANEL - 28, height=height)


def shape_of(known: dict[str, Style]) -> alt.Shape:
    """Symbol by system."""
    scale = alt.Scale(domain=list(known), range=[style.symbol for style in known.values()])
    return alt.Shape("system:N", scale=scale, legend=None)


def ink(estimate: float | None, extent: tuple[float, float], middle: float | None = None) -> str:
    """Pick the text colour that reads on a cell's background."""
    if estimate is None or estimate != estimate:
        return QUIET
    lowest, highest = extent
    centre = lowest if middle is None else middle
    reach = (highest - centre) if estimate >= centre else (centre - lowest)
    return "#ffffff" if reach > 0 and abs(estimate - centre) / reach > 0.55 else INK


def amounts(
    rows: pl.DataFrame,
    systems: Sequence[System],
    *,
    metric: str,
    bounds: tuple[float, float],
    chance: float | None,
) -> Chart:
    """Draw a metric over hours of speech `system, hours, estimate, low, high` with bands.

    What has no hours is a horizontal line; one amount alone is a dot with its interval.
    """
    known = styles(systems)
    grown, flat = rows.filter(pl.col("hours").is_not_null()), rows.filter(pl.col("hours").is_null())
    there = grown["hours"].unique().sort().to_list() or [1.0]
    ends = (there[0] / 1.15, there[-1] * 1.15)
    scale = alt.Scale(type="log", domain=list(ends), nice=False)
    axis = alt.Axis(values=there, format="~g", grid=False, labelOverlap=False)
    x = alt.X("hours:Q", title="hours of speech", scale=scale, axis=axis)
    y = alt.Y(
        "estimate:Q", title=metric, scale=alt.Scale(domain=list(bounds), zero=False, clamp=True), axis=number_axis()
    )
    low, colour = alt.Y("low:Q", title=metric), colour_of(known)
    names = [name for name in known if name in set(grown["system"])]
    shapes = list(itertools.islice(itertools.cycle(SYMBOLS), len(names)))
    shape = alt.Shape("system:N", scale=alt.Scale(domain=names, range=shapes), legend=None)
    base = alt.Chart(grown)
    layers: list[Any] = []
    if flat.height:
        wide = flat.with_columns(pl.lit(ends[0]).alias("left"), pl.lit(ends[1]).alias("right"))
        across = alt.Chart(wide).encode(
            x=alt.X("left:Q", title="hours of speech", scale=scale, axis=axis), x2="right:Q"
        )
        layers.append(across.mark_rect(opacity=0.05).encode(y=low, y2="high:Q", color=colour))
        layers.append(across.mark_rule(strokeWidth=1.5).encode(y=y, color=colour, strokeDash=dash_of(known)))
    if len(there) > 1:
        layers.append(base.mark_area(opacity=0.13).encode(x=x, y=low, y2="high:Q", color=colour))
        layers.append(base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour))
    else:
        layers.append(base.mark_rule(strokeWidth=1.6).encode(x=x, y=low, y2="high:Q", color=colour))
    layers.append(base.mark_point(filled=True, size=42, opacity=1).encode(x=x, y=y, color=colour, shape=shape))
    if chance is not None:
        layers.append(chance_rule(chance, "y"))
    return alt.layer(*layers, width=PANEL, height=168)
