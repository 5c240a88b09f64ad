"""The sections of dots with intervals: scores by slice, and recall by class."""

from collections.abc import Sequence

import polars as pl

from sibboleth.report import plots, sections, wording
from sibboleth.report.figures import Chart, Group
from sibboleth.report.results import Results
from sibboleth.report.sections import MOST_PANELS, OPEN_PANELS, Panel, Section


def by_column(results: Results) -> Section:
    """Main metric by the values of each slice column that differs inside a tested domain."""
    rows = _rows(results, results.metric)
    made: list[Group] = []
    same = []
    for column in sorted(set(rows["column"])):
        part = rows.filter(pl.col("column") == column)
        part = part.filter(pl.col("value").n_unique().over("system", "regime", "source", "domain") > 1)
        if part.is_empty():
            same.append(column)
        else:
            made += _groups(results, part, column, results.metric, f"by {column}", results.chance)
    note = ""
    if same:
        which = wording.listing([f"{c}" for c in same])
        note = f"Each tested domain has a single value of {which}, so slicing by it says what the matrix says."
    if not made and not same:
        note = "The run has no slices."
    return Section(tuple(made), note)


def by_class(results: Results) -> Section:
    """Recall of each class."""
    rows = _rows(results, "recall").filter(pl.col("column") == "label")
    if rows.is_empty():
        return Section(note="The run has no scores by class.")
    return Section(tuple(_groups(results, rows, "label", "recall", "by class", None)))


def _rows(results: Results, metric: str) -> pl.DataFrame:
    """Scores of slices `column=value` by the rater that leads."""
    rows = results.scores.filter(
        (pl.col("metric") == metric)
        & pl.col("leads")
        & pl.col("slice").str.contains("=")
        & pl.col("system").is_not_null()
    )
    named = pl.col("slice").str.splitn("=", 2).struct.rename_fields(["column", "value"])
    return rows.with_columns(named.struct.unnest(), pl.col("estimate", "low", "high").fill_nan(None))


def _groups(
    results: Results, rows: pl.DataFrame, column: str, metric: str, title: str, chance: float | None
) -> list[Group]:
    made = []
    bounds = sections.bounds(rows, chance)
    for regime in [r for r in results.regimes if r != "target-selected" or "zero-shot" not in results.regimes]:
        part = rows.filter(pl.col("regime") == regime)
        pairs = [p for p in results.pairs(regime) if part.filter(_is(p)).height]
        if not pairs or len(pairs) > MOST_PANELS:
            continue
        values = _values(results, part, column)
        panels = [
            panel(results, part.filter(_is(p)), sections.pair_title(*p), metric, values, bounds, chance) for p in pairs
        ]
        shown = set(part["system"])
        what = f"{'recall' if metric == 'recall' else wording.metric(metric)} {title}"
        made.append(
            sections.drawn(
                panels,
                wording.slug("classes" if column == "label" else f"slices-{column}", regime),
                f"{regime.capitalize()}: {what}",
                f"Dots are estimates, lines {results.confidence:.0%} intervals over speakers.",
                f"scores.parquet: metric {metric}, slices {column}=*, runs */{regime}/*",
                plots.legend(results.systems, chance, shown=shown, dots=True),
                fold=max(len(panels), len(shown)) > OPEN_PANELS,
            )
        )
    return made


def _is(pair: tuple[str, str]) -> pl.Expr:
    return (pl.col("source") == pair[0]) & (pl.col("domain") == pair[1])


def _values(results: Results, part: pl.DataFrame, column: str) -> list[str]:
    seen = set(part["value"])
    first = [v for v in (results.labels if column == "label" else results.domains) if v in seen]
    return first + sorted(seen - set(first))


def panel(
    results: Results,
    rows: pl.DataFrame,
    title: str,
    metric: str,
    values: Sequence[str],
    bounds: tuple[float, float],
    chance: float | None,
) -> Panel:
    """Draw scores `system, value, estimate, low, high` by value."""
    short = {e.name: e.short for e in results.systems}
    shown = rows.select(pl.col("system").replace_strict(short), "value", "estimate", "low", "high").sort(
        "system", "value"
    )
    present = [v for v in values if v in set(shown["value"])]
    parts = [
        f"{r['system']} {r['value']} {wording.estimate(r['estimate'], r['low'], r['high'])}"
        for r in shown.head(24).to_dicts()
    ]

    def draw() -> Chart:
        name = wording.metric(metric)
        return plots.intervals(shown, results.systems, present, metric=name, bounds=bounds, chance=chance)

    return Panel(title, f"{wording.metric(metric)}, {title}: {'; '.join(parts)}.", draw)
