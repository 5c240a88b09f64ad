"""The sections of layer curves and transfer matrices, and how any section draws its panels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from sibboleth.report import figures, plots, wording
from sibboleth.report.figures import Chart, Entry, Group
from sibboleth.report.results import Results
from sibboleth.report.systems import Score, System

MOST_PANELS = 12
"""More pairs than this are summarised by the tested domain; every number stays in the tables."""
OPEN_PANELS = 6
"""More panels than this are folded away."""


@dataclass(frozen=True)
class Section:
    """Figures of one section, and what is to be said where there are none."""

    groups: tuple[Group, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """What a picture is drawn from."""

    title: str
    alt: str
    draw: Callable[[], Chart]


def drawn(
    panels: Sequence[Panel],
    name: str,
    title: str,
    caption: str,
    source: str,
    legend: tuple[Entry, ...] = (),
    fold: bool = False,
) -> Group:
    """Draw each panel of a group."""
    name = wording.slug(name)
    pictures = tuple(figures.panel(p.draw, p.title, p.alt, f"{name}-{i}") for i, p in enumerate(panels))
    return Group(name, title, caption, source, pictures, legend, fold)


def layers(results: Results) -> Section:
    """Curves of the main metric over layers, a panel for each domain or pair of domains."""
    rows = _layer_rows(results)
    if rows.is_empty() or all(n <= 1 for n in rows.group_by("system").agg(pl.col("layer").n_unique())["layer"]):
        return Section(note="No encoder here has more than one layer with a score, so there is no curve to draw.")
    axis = bounds(rows, results.chance)
    entries = (
        *plots.legend(results.systems, results.chance, shown=set(rows["system"])),
        Entry("layer that dev chose (larger: in more folds)", figures.QUIET, "", "diamond", size=True),
    )
    made = []
    for regime in results.regimes:
        part = rows.filter(pl.col("regime") == regime)
        if part.is_empty():
            continue
        panels = _curve_panels(results, part, axis)
        aggregated = _many(part)
        band = (
            f"lines are the median over source {wording.plural(results.domain)}, bands run from the lowest to the "
            "highest of them: a spread, not an interval"
            if aggregated
            else f"bands are {results.confidence:.0%} intervals over speakers"
        )
        if panels:
            made.append(
                drawn(
                    panels,
                    f"layers-{regime}",
                    f"{wording.capital(regime)}: {wording.metric(results.metric)} by layer",
                    f"{wording.capital(results.explained(regime) or regime)}. In the panels {band}. "
                    "An encoder of one layer is a horizontal line.",
                    f"scores.parquet: metric {results.metric}, slice all, raters layer-*, runs */{regime}/*; "
                    "chosen layers from selection.parquet",
                    entries,
                    fold=(regime == "target-selected" and "zero-shot" in results.regimes) or len(panels) > MOST_PANELS,
                )
            )
    return Section(tuple(made))


def _layer_rows(results: Results) -> pl.DataFrame:
    """Scores of single layers of probes `system, regime, source, domain, layer, estimate, low, high, chosen`."""
    wanted = (
        (pl.col("metric") == results.metric)
        & (pl.col("slice") == "all")
        & pl.col("rater").str.starts_with("layer")
        & pl.col("layer").is_not_null()
        & ~pl.col("tuned").fill_null(False)
        & pl.col("system").is_not_null()
    )
    rows = results.scores.filter(wanted).with_columns(
        pl.col("estimate", "low", "high").fill_nan(None), pl.col("layer").cast(pl.Int64)
    )
    return rows.join(_chosen(results), on=["run", "layer"], how="left").with_columns(pl.col("chosen").fill_null(0.0))


def _chosen(results: Results) -> pl.DataFrame:
    """Share of folds and trials for which dev chose each layer, `run, layer, chosen`."""
    share = pl.col("folds") / pl.col("folds").sum().over("run")
    return results.chosen.select("run", "layer", share.alias("chosen"))


def bounds(rows: pl.DataFrame, chance: float | None) -> tuple[float, float]:
    """Find the common axis of all panels: what occurs, and chance, in whole tenths."""
    values = [v for c in ("estimate", "low", "high") for v in rows[c].fill_nan(None).drop_nulls()]
    if chance is not None:
        values.append(chance)
    if not values:
        return 0.0, 1.0
    low, high = math.floor(min(values) * 10 - 0.01) / 10, math.ceil(max(values) * 10 + 0.01) / 10
    return (max(low, 0.0), min(high, 1.0)) if min(values) >= 0 and max(values) <= 1 else (low, high)


def spread(results: Results, many: bool) -> str:
    """Say what lines and bands are, of pairs or of medians over many sources."""
    if not many:
        return f"Lines and bands are {results.confidence:.0%} intervals over speakers."
    return (
        f"Dots are medians over source {wording.plural(results.domain)}, lines and bands run from the lowest to the "
        "highest of them: a spread, not an interval."
    )


def over_sources(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Sum up rows `panel, domain, estimate, low, high` of many pairs by the tested domain, for each `key`."""
    numbers = (
        pl.col("estimate").median(),
        pl.col("estimate").min().alias("low"),
        pl.col("estimate").max().alias("high"),
    )
    found = rows.group_by("domain", *key, maintain_order=True).agg(*numbers)
    return found.with_columns(panel=pl.col("domain") + ", all sources").sort("domain", maintain_order=True)


def _many(part: pl.DataFrame) -> bool:
    return part.select("source", "domain").unique().height > MOST_PANELS


def _curve_panels(results: Results, part: pl.DataFrame, axis: tuple[float, float]) -> list[Panel]:
    short = {e.name: e.short for e in results.systems}
    columns = ["layer", "estimate", "low", "high", "chosen"]
    if _many(part):
        spread = part.group_by("system", "domain", "layer").agg(
            pl.col("estimate").median().alias("estimate"),
            pl.col("estimate").min().alias("low"),
            pl.col("estimate").max().alias("high"),
            pl.col("chosen").mean().alias("chosen"),
        )
        pieces = [(f"{d}, all sources", spread.filter(pl.col("domain") == d)) for d in results.domains]
    else:
        pairs = [(s, d) for s in results.domains for d in results.domains]
        pieces = [(pair_title(s, d), part.filter((pl.col("source") == s) & (pl.col("domain") == d))) for s, d in pairs]
    panels = []
    for title, piece in pieces:
        if piece.is_empty():
            continue
        shown = piece.select(pl.col("system").replace_strict(short), *columns).sort("system", "layer")
        panels.append(Panel(title, _curve_text(title, shown, results), _curve(shown, results, axis)))
    return panels


def _curve(shown: pl.DataFrame, results: Results, axis: tuple[float, float]) -> Callable[[], Chart]:
    return lambda: plots.curves(
        shown, results.systems, metric=wording.metric(results.metric), bounds=axis, chance=results.chance
    )


def _curve_text(title: str, shown: pl.DataFrame, results: Results) -> str:
    best = (
        shown.drop_nulls("estimate").sort(pl.col("estimate") * -results.better, "layer").unique("system", keep="first")
    )
    parts = [
        f"{row['system']} is best at layer {row['layer']} with {wording.number(row['estimate'])}"
        for row in best.sort("system").to_dicts()
    ]
    return f"{wording.metric(results.metric)} by layer, {title}: {'; '.join(parts) or 'no score'}."


def pair_title(source: str, domain: str) -> str:
    """Name a pair of domains."""
    return domain if source == domain else f"{source} \N{RIGHTWARDS ARROW} {domain}"


def transfer(results: Results) -> Section:
    """Source by target matrices of each system and regime, within on the diagonal."""
    regimes = [r for r in results.regimes if r != "within"]
    if len(results.domains) < 2 or not regimes:
        return Section(note=f"The study compares no two {wording.plural(results.domain)}, so there is no transfer.")
    made = []
    extent = _extent(results)
    for regime in regimes:
        panels = []
        for system in results.systems:
            scores = [*results.where(system.name, "within"), *results.where(system.name, regime)]
            if any(s.regime == regime for s in scores):
                panels.append(_matrix_panel(results, system, scores, regime, extent))
        if panels:
            made.append(
                drawn(
                    panels,
                    f"transfer-{regime}",
                    f"{wording.capital(regime)}, with within on the diagonal",
                    f"{wording.metric(results.metric)} with its {results.confidence:.0%} interval over speakers. "
                    f"Rows: {results.domain} that trained; columns: {results.domain} tested. {_colours(results)}",
                    f"scores.parquet: metric {results.metric}, slice all, runs */{regime}/*; diagonal from */within/*",
                    fold=(regime == "target-selected" and "zero-shot" in regimes) or len(panels) > MOST_PANELS,
                )
            )
    return Section(tuple(made))


def _colours(results: Results) -> str:
    if results.better < 0:
        return "Darker is better (lower)."
    if results.chance is None:
        return "Darker is better."
    return f"Blue lies above chance ({wording.number(results.chance)}), orange below, white at it."


def _extent(results: Results) -> tuple[float, float]:
    values = [s.estimate for s in results.main if math.isfinite(s.estimate)] or [0.0, 1.0]
    lowest, highest = min(values), max(values)
    if results.chance is not None and results.better > 0:
        # The two sides of chance share one step of colour, so that a small loss never looks like a large one.
        reach = max(highest - results.chance, results.chance - lowest, 0.05)
        return results.chance - reach, results.chance + reach
    return lowest, max(highest, lowest + 0.05)


def _matrix_panel(
    results: Results, system: System, scores: Sequence[Score], regime: str, extent: tuple[float, float]
) -> Panel:
    middle = results.chance if results.better > 0 else None
    rows = pl.DataFrame(
        [
            {
                "source": s.source,
                "domain": s.domain,
                "estimate": s.estimate,
                "text": wording.number(s.estimate),
                "interval": wording.interval(s.low, s.high),
                "ink": plots.ink(results.better * s.estimate, _turned(extent, results.better), middle),
            }
            for s in scores
        ]
    ).with_columns(pl.col("estimate").fill_nan(None))
    sources, domains = ([d for d in results.domains if d in set(rows[column])] for column in ("source", "domain"))
    cells = "; ".join(f"{pair_title(s.source, s.domain)} {s}" for s in scores[:20])
    return Panel(
        system.title,
        f"Transfer matrix of {system.title}, {regime}: {cells}{'; and more' if len(scores) > 20 else ''}.",
        lambda: plots.matrix(rows, sources, domains, chance=results.chance, extent=extent, better=results.better),
    )


def _turned(extent: tuple[float, float], better: int) -> tuple[float, float]:
    return extent if better > 0 else (-extent[1], -extent[0])
