"""The section of the regime ladder: what each step towards the target's labels gains, pair by pair."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import polars as pl

from sibboleth.report import contrasts, plots, sections, wording
from sibboleth.report.figures import Chart, Group
from sibboleth.report.results import Results
from sibboleth.report.sections import MOST_PANELS, Panel, Section
from sibboleth.report.systems import Score, System
from sibboleth.report.tables import Table, table

NUMBERS = dict.fromkeys(("estimate", "low", "high"), pl.Float64)
PAIR = "Trained \N{RIGHTWARDS ARROW} tested"


def rungs(results: Results, system: System, pair: tuple[str, str]) -> dict[str, Score]:
    """Scores of a system on the second domain, by regime: trained on the first and, last, on the second itself."""
    found = {}
    for regime in results.rungs:
        at = (pair[1], pair[1]) if regime == "within" else pair
        score = next((s for s in results.where(system.name, regime) if s.pair == at), None)
        if score is not None:
            found[regime] = score
    return found


def pairs(results: Results) -> list[tuple[str, str]]:
    """Ordered pairs of two domains that any fine-tuned system has a score for."""
    tuned = {one.name for one in results.tuned}
    seen = {s.pair for s in results.main if s.system in tuned and s.source != s.domain}
    return sorted(seen, key=lambda pair: (results.domains.index(pair[0]), results.domains.index(pair[1])))


def steps(results: Results) -> Section:
    """Draw the regimes of each pair one above the other, for each encoder with its methods."""
    there = pairs(results)
    if not there or len(results.rungs) < 2:
        return Section()
    groups: list[Group] = []
    for encoder in dict.fromkeys(one.encoder for one in results.tuned):
        systems = [one for one in results.systems if one.encoder == encoder]
        rows = _rows(results, systems, there)
        if rows.height:
            groups.append(
                _group(
                    results,
                    systems,
                    rows,
                    fold=systems[0].control or (bool(groups) and len(there) > sections.OPEN_PANELS),
                )
            )
    return Section(tuple(groups))


def _rows(results: Results, systems: Sequence[System], there: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """List `panel, system, name, value (the regime), estimate, low, high`; many pairs are a median over sources."""
    rows = [
        (sections.pair_title(*pair), pair[1], one.short, one.name, regime, s.estimate, s.low, s.high)
        for pair in there
        for one in systems
        for regime, s in rungs(results, one, pair).items()
    ]
    head = dict.fromkeys(("panel", "domain", "system", "name", "value"), pl.String)
    found = pl.DataFrame(rows, schema={**head, **NUMBERS}, orient="row").with_columns(pl.col(*NUMBERS).fill_nan(None))
    return sections.over_sources(found, ["system", "name", "value"]) if len(there) > MOST_PANELS else found


def _group(results: Results, systems: Sequence[System], rows: pl.DataFrame, *, fold: bool) -> Group:
    encoder = systems[0].encoder
    short = results.short(encoder)
    axis = sections.bounds(rows, results.chance)
    titles = rows["panel"].unique(maintain_order=True).to_list()
    many = len(pairs(results)) > MOST_PANELS
    return sections.drawn(
        [_panel(results, systems, title, rows.filter(panel=title), axis) for title in titles],
        f"ladder-{short}",
        f"{short}: {wording.metric(results.metric)} by what was known of the target",
        f"From no label of the target (zero-shot) to its own training set (within). {sections.spread(results, many)}",
        f"scores.parquet: metric {results.metric}, slice all, runs {encoder}/*",
        plots.legend(systems, results.chance, dots=True),
        fold=fold,
    )


def _panel(
    results: Results, systems: Sequence[System], title: str, rows: pl.DataFrame, axis: tuple[float, float]
) -> Panel:
    present = [regime for regime in results.rungs if regime in set(rows["value"])]
    metric = wording.metric(results.metric)

    def draw() -> Chart:
        return plots.intervals(rows, systems, present, metric=metric, bounds=axis, chance=results.chance)

    told = "; ".join(
        f"{r['system']}, {r['value']} {wording.estimate(r['estimate'], r['low'], r['high'])}"
        for r in rows.head(24).to_dicts()
    )
    return Panel(title, f"{metric} by regime, {title}: {told}.", draw)


def listed(results: Results) -> Table:
    """List the regimes of each system and pair side by side, and how much of the gap each step closes."""
    rows, numbers = [], []
    between = _between(results)
    for one in results.tuned:
        for pair in pairs(results):
            found = rungs(results, one, pair)
            closed = {regime: closes(results, found, regime) for regime in between}
            cells = [str(found[regime]) if regime in found else wording.MISSING for regime in results.rungs]
            rows.append((one.short, sections.pair_title(*pair), *cells, *map(_percent, closed.values())))
            numbers += [_number(results, one, found, regime, closed.get(regime)) for regime in found]
    heads = [f"{regime} closes" for regime in between]
    return table(
        "ladder",
        f"{wording.metric(results.metric)} by regime, and the share of the gap from zero-shot to within that is "
        "closed, where the paired difference of the two is clear",
        f"scores.parquet: metric {results.metric}, slice all; comparisons.parquet",
        ("System", PAIR, *results.rungs, *heads),
        rows,
        numeric=range(2, 2 + len(results.rungs) + len(heads)),
        numbers=pl.DataFrame(numbers, schema=LISTED, orient="row"),
    )


LISTED = {
    **dict.fromkeys(("encoder", "method", "source", "domain", "regime"), pl.String),
    **NUMBERS,
    "closed": pl.Float64,
    "p_holm_against_zero_shot": pl.Float64,
}


def _number(
    results: Results, system: System, found: dict[str, Score], regime: str, closed: float | None
) -> tuple[object, ...]:
    score, zero = found[regime], found.get("zero-shot")
    paired = results.compared(score, zero) if zero is not None else None
    source = next((s.source for s in found.values() if s.source != s.domain), score.source)
    facts = (system.encoder, system.method, source, score.domain, regime)
    return *facts, score.estimate, score.low, score.high, closed, paired["p_holm"] if paired else None


def closes(results: Results, found: dict[str, Score], regime: str) -> float | None:
    """Share of the way from zero-shot to within that a regime goes; none where that way is not clear.

    A way is clear where the interval of its paired difference lies on the side where within is better.
    """
    if not {"zero-shot", "within", regime} <= set(found):
        return None
    paired = results.compared(found["within"], found["zero-shot"])
    if paired is None or contrasts.includes(paired["low"], paired["high"], 0.0):
        return None
    if paired["difference"] * results.better <= 0:
        return None
    gained = found[regime].estimate - found["zero-shot"].estimate
    return gained / (found["within"].estimate - found["zero-shot"].estimate)


def _percent(share: float | None) -> str:
    if share is None:
        return wording.MISSING
    return f"{round(share * 100)}%".replace("-", "\N{MINUS SIGN}")


def told(results: Results, systems: Sequence[System]) -> list[str]:
    """Say for each system how far each step goes from zero-shot to within, with paired tests."""
    return [text for one in systems for text in _told(results, one)]


def tested(results: Results, systems: Sequence[System]) -> list[dict[str, Any]]:
    """List the paired comparisons of second trainings with what comes before and behind them."""
    return [
        row
        for one in systems
        for regime in _between(results)
        for other in AGAINST
        for row in _paired(results, _ladders(results, one), regime, other)
    ]


def _told(results: Results, system: System) -> list[str]:
    ladders = _ladders(results, system)
    texts = []
    for regime in _between(results):
        if any(regime in found for found in ladders):
            paired = {other: _paired(results, ladders, regime, other) for other in AGAINST}
            verdicts = [contrasts.verdict(results, rows, other) for other, rows in paired.items()]
            texts.append(", ".join(filter(None, [f"{regime} {_closed(results, ladders, regime)}", *verdicts])))
    return [f"{system.short}: {'; '.join(texts)}."] if texts else []


AGAINST = ("zero-shot", "within")
"""Regimes that second trainings are compared with."""


def _ladders(results: Results, system: System) -> list[dict[str, Score]]:
    return [found for pair in pairs(results) if len(found := rungs(results, system, pair)) > 1]


def _between(results: Results) -> list[str]:
    """Regimes that train on the target after the source."""
    return [regime for regime in results.rungs if regime in results.few_shot or regime == "two-stage"]


def _paired(results: Results, ladders: Sequence[dict[str, Score]], a: str, b: str) -> list[dict[str, Any]]:
    both = [results.compared(found[a], found[b]) for found in ladders if a in found and b in found]
    return [row for row in both if row is not None]


def _closed(results: Results, ladders: Sequence[dict[str, Score]], regime: str) -> str:
    """Say how much of the gap a regime closes, over the pairs that have a clear one."""
    there = [found for found in ladders if {"zero-shot", "within", regime} <= set(found)]
    if not there:
        return "has no zero-shot and within beside it"
    shares = [share for found in there if (share := closes(results, found, regime)) is not None]
    if not shares:
        many = "this pair" if len(there) == 1 else f"any of {len(there)} pairs"
        return f"has no gap to close, as within is not clearly better than zero-shot in {many}"
    middle = median(shares)
    what = f"closes {'nothing' if middle <= 0 else _percent(middle)} of the gap from zero-shot to within"
    of = (
        f"{len(shares)} pairs"
        if len(shares) == len(there)
        else f"the {len(shares)} of {len(there)} pairs that have one"
    )
    if len(shares) > 1:
        return f"{what} (median of {of}; {_percent(min(shares))} to {_percent(max(shares))})"
    return what if len(there) == 1 else f"{what} in the one of {len(there)} pairs that has one"
