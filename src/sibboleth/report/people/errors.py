"""Figures of errors: those that models share with people, and the odds of being right by dialect and language."""

import math
from collections.abc import Callable, Iterator, Sequence

import polars as pl

from sibboleth.report import plots, sections, wording
from sibboleth.report.figures import INK, ORANGE, Chart, Entry, Group
from sibboleth.report.people.charts import GAP, Dot, dots
from sibboleth.report.people.figures import by_axis, dot, extent
from sibboleth.report.people.reading import ALL, Beside, Place, Row
from sibboleth.report.results import Results
from sibboleth.report.sections import Panel, Section


def dialects(results: Results) -> Section:
    """The same by dialect, where items differ by it within the study's domains; and the odds of being right."""
    beside = Beside(results)
    more = [column for column in beside.columns if column != results.domain]
    made = [group for column in more for group in by_axis(beside, column)]
    return Section((*made, *_odds(beside)))


def shared_errors(results: Results) -> Section:
    """Do models fail on the items that people fail on, as people do on each other's."""
    beside = Beside(results)
    places = (
        [place for place in beside.places(results.domain) if len(beside.at("people-consistency", place))]
        if beside.there
        else []
    )
    shown = {place: list(_shared(beside, place)) for place in places}
    shown = {place: marks for place, marks in shown.items() if marks}
    if not shown:
        return Section()
    bounds = extent([dot for marks in shown.values() for dot in marks], (0.0,))

    def panel(place: Place, marks: Sequence[Dot]) -> Panel:
        lines = [marks[0].line, GAP, *(one.line for one in marks[1:])]
        said = "; ".join(f"{one.line} {wording.estimate(one.estimate, one.low, one.high)}" for one in marks)
        draw = _kappas(marks, lines, bounds)
        return Panel(beside.title(place), f"Error consistency, {beside.title(place)}: {said}.", draw)

    group = sections.drawn(
        [panel(place, marks) for place, marks in shown.items()],
        "people-shared-errors",
        f"Error consistency: do models fail where {beside.word} fail?",
        f"Cohen's kappa of being right, a mean over {beside.word} (Geirhos et al. 2020): 0 is what the two accuracies "
        "make "
        f"likely by chance, and between two {beside.word} it is the ceiling. Lines are {results.confidence:.0%} "
        "intervals "
        f"over speakers and {beside.word}.",
        "people-consistency.parquet: between people, model and people",
        (Entry("chance", ORANGE, "1,3"),),
    )
    return Section((group,))


def _kappas(marks: Sequence[Dot], lines: Sequence[str], bounds: tuple[float, float]) -> Callable[[], Chart]:
    return lambda: dots(marks, lines, metric="kappa", bounds=bounds, chance=0.0)


def _shared(beside: Beside, place: Place) -> Iterator[Dot]:
    styles = plots.styles(beside.results.systems)
    rows = beside.at("people-consistency", place).filter(group=ALL, listeners=ALL).to_dicts()
    found = {(row["between"], row["run"]): row for row in rows}
    mutual = found.get(("people", None))
    if mutual is None or not math.isfinite(mutual["estimate"]):
        return
    yield dot(f"two {beside.word}", mutual, INK, "circle", beside.simulated)
    for run in beside.runs(place):
        row, system = found.get(("model and people", run)), beside.system(run)
        if row is not None and system is not None and math.isfinite(row["estimate"]):
            style = styles[system.short]
            yield dot(beside.model(run, place), row, style.colour, style.symbol, False)


def _odds(beside: Beside) -> Iterator[Group]:
    """Draw the odds ratios of dialects, languages and backgrounds."""
    rows = beside.read("people-effects")
    if rows.is_empty():
        return
    known = rows.filter(pl.col("listeners") == ALL, pl.col("odds_ratio").is_finite(), pl.col("effect") != "interaction")
    marks = [dot(line, _limits(row), INK, "circle", beside.simulated) for line, row in named(beside, known.to_dicts())]
    if not marks:
        return
    ends = [v for one in marks for v in (one.low, one.high) if v is not None]
    bounds = (max(min(0.5, *ends), 0.04), min(max(2.0, *ends), 25.0))
    said = "; ".join(f"{one.line} {wording.estimate(one.estimate, one.low, one.high)}" for one in marks)

    def draw() -> Chart:
        name = "odds ratio of being right"
        return dots(marks, [one.line for one in marks], metric=name, bounds=bounds, chance=1.0, log=True)

    yield sections.drawn(
        [Panel(f"Odds of {beside.word}", f"Odds ratios: {said}.", draw)],
        "people-odds",
        f"Effects on being right: odds ratios of {beside.word}",
        f"From logistic models with crossed random effects of listeners, items and speakers; lines are "
        f"{beside.results.confidence:.0%} intervals, cut where they leave the axis. Below 1 the first is right less "
        "often.",
        "people-effects.parquet: listeners all",
        (Entry("no effect", ORANGE, "1,3"),),
    )


def _limits(row: Row) -> Row:
    return {"estimate": row["odds_ratio"], "low": row["low"], "high": row["high"]}


def named(beside: Beside, rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Name effects, each once."""
    found: dict[str, Row] = {}
    for row in rows:
        by, level, against, within = (row[name] for name in ("column", "level", "against", "within"))
        where = f" ({within})" if within else ""
        if by.startswith("years of ") and row["effect"] == "background":
            continue  # told of each dialect apart, where nothing else is assumed alike
        lead = "" if row["effect"] == "domain" or by in ("language", "dialect") else f"{by}: "
        found.setdefault(f"{lead}{level} against {against}{where}", row)
    return list(found.items())
