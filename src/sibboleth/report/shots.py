"""The section of learning curves: the main metric by labelled utterances of the target."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import polars as pl

from sibboleth.report import contrasts, plots, sections, significance, tuning, wording
from sibboleth.report.figures import Chart, Group
from sibboleth.report.ladder import NUMBERS, pairs
from sibboleth.report.results import Results
from sibboleth.report.sections import MOST_PANELS, Panel, Section
from sibboleth.report.systems import Score, System
from sibboleth.report.tables import Table, table

ENDS = ("two-stage", "within")
"""Regimes that stand behind the end of a curve: all labels of the target, after the source's and alone."""


def curves(results: Results) -> Section:
    """Draw the curve of each pair, for each encoder with its methods, zero-shot at no shots."""
    groups: list[Group] = []
    for encoder in dict.fromkeys(one.encoder for one in results.tuned if results.few_shot):
        systems = [one for one in results.systems if one.encoder == encoder]
        rows = _rows(results, systems)
        if rows["shots"].is_not_null().any():
            groups.append(
                _group(results, systems, rows, fold=bool(groups) and len(pairs(results)) > sections.OPEN_PANELS)
            )
    return Section(tuple(groups))


def _curve(results: Results, system: System, pair: tuple[str, str]) -> list[tuple[int | None, Score]]:
    """Scores of a system on a pair with their shots: 0 of zero-shot, none of the regimes behind the end."""
    wanted: dict[str, int | None] = {"zero-shot": 0, **results.few_shot, **dict.fromkeys(ENDS)}
    found = []
    for regime, shots in wanted.items():
        at = (pair[1], pair[1]) if regime == "within" else pair
        found += [(shots, score) for score in results.where(system.name, regime) if score.pair == at]
    return found


def _rows(results: Results, systems: Sequence[System]) -> pl.DataFrame:
    """List `panel, system, name, regime, shots, estimate, low, high`; many pairs are a median over sources."""
    there = pairs(results)
    rows = [
        (sections.pair_title(*pair), pair[1], one.short, one.name, s.regime, shots, s.estimate, s.low, s.high)
        for pair in there
        for one in systems
        if one.method
        for shots, s in _curve(results, one, pair)
    ]
    head = dict.fromkeys(("panel", "domain", "system", "name", "regime"), pl.String)
    schema = {**head, "shots": pl.Int64, **NUMBERS}
    found = pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(*NUMBERS).fill_nan(None))
    key = ["system", "name", "regime", "shots"]
    return sections.over_sources(found, key) if len(there) > MOST_PANELS else found


def _group(results: Results, systems: Sequence[System], rows: pl.DataFrame, *, fold: bool) -> Group:
    encoder = systems[0].encoder
    short = results.short(encoder)
    axis = sections.bounds(rows, results.chance)
    titles = rows["panel"].unique(maintain_order=True).to_list()
    return sections.drawn(
        [_panel(results, systems, title, rows.filter(panel=title), axis) for title in titles],
        f"shots-{short}",
        f"{short}: {wording.metric(results.metric)} by shots",
        "Zero-shot stands at 0, few-shot at its shots on a scale of doublings; behind them what all labels of the "
        f"target give. {sections.spread(results, len(pairs(results)) > MOST_PANELS)}",
        f"scores.parquet: metric {results.metric}, slice all, runs {encoder}/*",
        plots.legend(systems, results.chance, shown=set(rows["name"]), dots=True),
        fold=fold,
    )


def _panel(
    results: Results, systems: Sequence[System], title: str, rows: pl.DataFrame, axis: tuple[float, float]
) -> Panel:
    metric = wording.metric(results.metric)
    ends = [regime for regime in ENDS if regime in set(rows["regime"])]

    def draw() -> Chart:
        return tuning.by_shots(
            rows,
            systems,
            metric=metric,
            bounds=axis,
            chance=results.chance,
            shots=list(results.few_shot.values()),
            ends=ends,
        )

    told = "; ".join(f"{r['system']}, {r['regime']} {wording.number(r['estimate'])}" for r in rows.head(24).to_dicts())
    return Panel(title, f"{metric} by shots, {title}: {told}.", draw)


def gains(results: Results) -> Table:
    """List what so many shots add to none, by paired differences over all pairs."""
    rows = []
    for one in results.tuned:
        zero = {s.pair: s for s in results.where(one.name, "zero-shot")}
        cells = []
        for regime in results.few_shot:
            both = [(s, zero[s.pair]) for s in results.where(one.name, regime) if s.pair in zero]
            cells.append(_gain(results, [row for a, b in both if (row := results.compared(a, b)) is not None]))
        rows.append((one.short, *cells))
    family = pl.col("family").str.starts_with("few-shot(") & (pl.col("metric") == results.metric)
    frame = results.comparisons.filter(family & (pl.col("slice") == "all"))
    return table(
        "shots",
        f"{wording.metric(results.metric)} with so many labelled utterances per class minus zero-shot: the median of "
        f"the paired differences, and in how many pairs it is better after Holm's correction ({contrasts.CLEAR}; mute: "
        "in none could that be shown)",
        "comparisons.parquet: families few-shot(*) against zero-shot",
        ("System", *map(str, results.few_shot.values())),
        rows if frame.height else (),
        numeric=range(1, 1 + len(results.few_shot)),
        numbers=frame.drop("flips", "p_floor", "p_holm_floor", "family_size"),
    )


def _gain(results: Results, rows: list[dict[str, Any]]) -> str:
    if not rows:
        return wording.MISSING
    heard = [row for row in rows if not significance.mute(row)]
    clear = sum(significance.significant(row) and results.better * row["difference"] > 0 for row in heard)
    middle = wording.number(median(row["difference"] for row in rows))
    return f"{middle} ({clear} of {len(heard)})" if heard else f"{middle} (mute)"
