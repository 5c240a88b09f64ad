"""Figures of segments: parts of the errors of everybody, and those of each label."""

import math
from collections.abc import Iterator, Sequence

import polars as pl

from sibboleth.report import sections, stacked, wording
from sibboleth.report.figures import INK, Entry, Group
from sibboleth.report.results import Results
from sibboleth.report.sections import Panel, Section
from sibboleth.report.segmentation import LABEL_PARTS, PARTS, Said, everybody, listeners_called, read
from sibboleth.report.stacked import Bar, Line


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
                + (f" {more} more pairs are in the table." if more else "")
                + _of_people(results, said),
                f"scores.parquet, baselines.parquet, listeners-scores.parquet: slice all, runs */{regime}/*; "
                "people-ceiling.parquet",
                (*_legend(PARTS), *_ceiling_entry(said)),
                fold=len(panels) > sections.OPEN_PANELS,
            )
        )
    groups += _label_groups(results, [one for one in said if one.kind == "people"])
    return Section(tuple(groups))


def _of_people(results: Results, said: Sequence[Said]) -> str:
    if not any(one.kind == "ceiling" for one in said):
        return ""
    one, many = listeners_called(results)
    return (
        f" {wording.capital(many)} are shown on what they heard. The dotted line is their ceiling: each {one}'s "
        "segments against those of each of the others."
    )


def _ceiling_entry(said: Sequence[Said]) -> tuple[Entry, ...]:
    return (Entry("ceiling", INK, "1,3"),) if any(one.kind == "ceiling" for one in said) else ()


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
    ceiling = next(
        (one.scores.get(("eder", "all"), {}).get("estimate") for one in shown if one.kind == "ceiling"), None
    )
    text = "; ".join(f"{one.name} {one.cell('eder')}" for one in shown)
    return Panel(
        title, f"Parts of EDER, {title}: {text}.", lambda: stacked.parts(bars, lines, names, "EDER", most, ceiling)
    )


def _label_groups(results: Results, people: Sequence[Said]) -> Iterator[Group]:
    """Errors of each label, added over the runs of a system and regime, and those of people."""
    rows = read(results, "label-seconds")
    if rows.is_empty():
        return
    leads = results.scores.filter(pl.col("leads")).select("run", "rater", "system", "regime").unique()
    numbers = [pl.col(name).sum() for name in ("seconds", *LABEL_PARTS)]
    rows = rows.filter(pl.col("label").is_in(results.labels))
    pooled = rows.join(leads, on=["run", "rater"]).group_by("system", "regime", "label").agg(numbers)
    named = pl.DataFrame([(one.run, one.rater) for one in people], schema=["run", "rater"], orient="row")
    heard = rows.join(named, on=["run", "rater"]).group_by("label").agg(numbers) if people else rows.clear()
    errors = pl.sum_horizontal(LABEL_PARTS) / pl.col("seconds")
    both = pl.concat([pooled, heard], how="diagonal").filter(pl.col("seconds") > 0)
    most = _most(both.select(errors.alias("errors"))["errors"].to_list())
    who = wording.capital(listeners_called(results)[1])
    for regime in [r for r in results.regimes if r != "target-selected" or "zero-shot" not in results.regimes]:
        panels = []
        for system in results.systems:
            mine = pooled.filter((pl.col("system") == system.name) & (pl.col("regime") == regime))
            if len(mine):
                panels.append(_label_panel(mine, (system.title, f"{system.short}, {regime}"), results.labels, most))
        if panels and len(heard):
            panels.append(_label_panel(heard, (who, who.lower()), results.labels, most))
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


def _label_panel(rows: pl.DataFrame, names: tuple[str, str], labels: Sequence[str], most: float) -> Panel:
    """Draw one panel of errors by label; `names` are those above it and in its description."""
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
        names[0],
        f"Errors of each label, {names[1]}: {'; '.join(texts)}.",
        lambda: stacked.parts(bars, [], labels, title, most),
    )
