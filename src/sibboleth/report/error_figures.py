"""Figures of segments: parts of the errors of everybody, and those of each label."""

import math
from collections.abc import Iterator, Sequence

import polars as pl

from sibboleth.report import sections, stacked, wording
from sibboleth.report.figures import Entry, Group
from sibboleth.report.results import Results
from sibboleth.report.sections import Panel, Section
from sibboleth.report.segmentation import LABEL_PARTS, PARTS, Said, everybody, read
from sibboleth.report.stacked import Bar, Line
from sibboleth.report.systems import System


def of_segments(results: Results) -> Section:
    """Stacked parts of the errors of everybody, a panel for each pair, and those of each label."""
    said = everybody(results)
    if not said:
        return Section()
    groups = []
    most = _most(
        [float(one.scores.get(("eder", "all"), {}).get(k) or 0.0) for one in said for k in ("estimate", "high")]
    )
    for regime in [r for r in results.regimes if r != "target-selected" or "zero-shot" not in results.regimes]:
        pairs = results.pairs(regime)
        panels = [_panel(said, regime, pair, most) for pair in pairs[: sections.MOST_PANELS]]
        more = len(pairs) - len(panels)
        groups.append(
            sections.drawn(
                panels,
                f"error-parts-{regime}",
                f"{wording.capital(regime)}: what the errors are",
                f"Each bar is EDER in its parts, the line its {results.confidence:.0%} interval over speakers."
                + (f" {more} more pairs are in the table." if more else ""),
                f"scores.parquet and baselines.parquet: slice all, runs */{regime}/*",
                _legend(PARTS),
                fold=len(panels) > sections.OPEN_PANELS,
            )
        )
    groups += _label_groups(results)
    return Section(tuple(groups))


def _most(values: Sequence[float]) -> float:
    """Find the end of the axis: the highest number that is one, in whole tenths."""
    return math.ceil(max([value for value in values if math.isfinite(value)], default=1.0) * 10 + 0.01) / 10


def _legend(names: Sequence[str]) -> tuple[Entry, ...]:
    return tuple(Entry(wording.metric(name), stacked.COLOURS[name], mark="square") for name in names)


def _panel(said: Sequence[Said], regime: str, pair: tuple[str, str], most: float) -> Panel:
    title = sections.pair_title(*pair)
    shown = [s for s in said if (s.regime == regime and s.pair == title) or (not s.model and s.domain == pair[1])]
    bars: list[Bar] = []
    lines = []
    for one in shown:
        sizes = [(part, float(one.scores.get((part, "all"), {}).get("estimate") or 0.0)) for part in PARTS]
        bars += stacked.behind(one.name, sizes)
        row = one.scores.get(("eder", "all"), {})
        lines.append(Line(one.name, row.get("low") or math.nan, row.get("high") or math.nan))
    names = [one.name for one in shown]
    text = "; ".join(f"{one.name} {one.cell('eder')}" for one in shown)
    return Panel(title, f"Parts of EDER, {title}: {text}.", lambda: stacked.parts(bars, lines, names, "EDER", most))


def _label_groups(results: Results) -> Iterator[Group]:
    """Errors of each label, added over the runs of a system and regime."""
    rows = read(results, "label-seconds")
    if rows.is_empty():
        return
    leads = results.scores.filter(pl.col("leads")).select("run", "rater", "system", "regime").unique()
    numbers = [pl.col(name).sum() for name in ("seconds", *LABEL_PARTS)]
    pooled = rows.join(leads, on=["run", "rater"]).group_by("system", "regime", "label").agg(numbers)
    pooled = pooled.filter(pl.col("label").is_in(results.labels))
    errors = pl.sum_horizontal(LABEL_PARTS) / pl.col("seconds")
    most = _most(pooled.filter(pl.col("seconds") > 0).select(errors.alias("errors"))["errors"].to_list())
    for regime in [r for r in results.regimes if r != "target-selected" or "zero-shot" not in results.regimes]:
        panels = []
        for system in results.systems:
            mine = pooled.filter((pl.col("system") == system.name) & (pl.col("regime") == regime))
            if len(mine):
                panels.append(_label_panel(mine, system, regime, results.labels, most))
        if panels:
            yield sections.drawn(
                panels,
                f"label-errors-{regime}",
                f"{wording.capital(regime)}: errors of each label",
                "Seconds of error for each second of the label in the reference, added over runs. Missed and confused "
                "are of the true label, false alarm and overlap of the label that was answered.",
                f"label-seconds.parquet: runs */{regime}/*",
                _legend(LABEL_PARTS),
                fold=len(panels) > sections.OPEN_PANELS,
            )


def _label_panel(rows: pl.DataFrame, system: System, regime: str, labels: Sequence[str], most: float) -> Panel:
    known = {row["label"]: row for row in rows.to_dicts()}
    bars: list[Bar] = []
    texts = []
    for label in labels:
        row = known.get(label, {})
        whole = row.get("seconds") or math.inf
        sizes = [(part, row.get(part, 0.0) / whole) for part in LABEL_PARTS]
        bars += stacked.behind(label, sizes)
        texts.append(f"{label} " + ", ".join(f"{wording.metric(part).lower()} {size:.2f}" for part, size in sizes))
    title = "seconds of error per second"
    return Panel(
        system.title,
        f"Errors of each label, {system.short}, {regime}: {'; '.join(texts)}.",
        lambda: stacked.parts(bars, [], labels, title, most),
    )
