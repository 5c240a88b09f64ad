"""The figures of people beside models: one question in one figure, labels, confusions, shared errors, dialects."""

import math
from collections.abc import Callable, Iterator, Sequence

import polars as pl

from sibboleth.metrics.classification import OTHER
from sibboleth.report import plots, sections, wording
from sibboleth.report.figures import INK, ORANGE, QUIET, Chart, Entry, Group
from sibboleth.report.people.charts import GAP, Dot, dots
from sibboleth.report.people.reading import ALL, ATTENTIVE, CROWD, PEOPLE, Beside, Place, Row
from sibboleth.report.results import Results
from sibboleth.report.sections import Panel, Section
from sibboleth.report.segmentation import CEILING

OF_SEGMENTS = ("each", "each of the others")
"""The crowd of the ceiling of segments, and how it is written; of labels it is their majority."""
OF_LABELS = ("majority", "the majority of the others")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


def question(results: Results) -> Section:
    """People, their ceiling and crowd, chance and models on the same items, a panel for each domain."""
    beside = Beside(results)
    return Section(tuple(by_axis(beside, results.domain))) if beside.there else Section()


def by_axis(beside: Beside, column: str) -> Iterator[Group]:
    """Draw people and models by the values of a column."""
    places = beside.places(column)
    lines = {place: list(_lines(beside, place)) for place in places}
    bounds = extent([dot for marks in lines.values() for dot in marks], _chances(beside, places))
    panels = [_panel(beside, place, lines[place], bounds, beside.facts(place)["chance"]) for place in places]
    results, name = beside.results, wording.metric(beside.results.metric)
    who = wording.capital(beside.word)
    ceiling = (
        f" The ceiling is one {beside.one} against {_crowd(results)[1]}, and so is about what they say and not "
        "about the reference."
        if any(dot.line == CEILING for marks in lines.values() for dot in marks)
        else ""
    )
    hollow = " Hollow marks are simulated." if beside.simulated else ""
    chosen = _chosen(beside)
    yield sections.drawn(
        panels,
        f"people-{column}",
        f"{who} and models on the same items, by {column}: {name}",
        f"Lines are {results.confidence:.0%} intervals over speakers and {beside.word} (of models"
        f"{'' if results.kind == 'segmentation' else ', the crowd and votes'} over speakers).{ceiling}{chosen}{hollow}",
        f"people-scores.parquet: metric {results.metric}, slice all, axis {column}; people-ceiling.parquet: crowd "
        f"{_crowd(results)[0]}",
        (Entry("chance", ORANGE, "1,3"),) if _chances(beside, places) else (),
    )


def _chosen(beside: Beside) -> str:
    several = [row for row in beside.models if row["sources"] > 1]
    if not several:
        return ""
    plural = wording.plural(beside.results.domain)
    return f" Of several source {plural} the one that is best on all that it is tested on is shown, which flatters it."


def _chances(beside: Beside, places: Sequence[Place]) -> list[float]:
    return [chance for place in places if (chance := beside.facts(place)["chance"]) is not None]


def _lines(beside: Beside, place: Place) -> Iterator[Dot]:
    """Yield people, what bounds them, and models."""
    for group in beside.groups(place):
        if (row := beside.score(place, PEOPLE, group)) is not None:
            symbol = "square" if group == CROWD else "circle"
            yield dot(beside.group(group, place), row, INK, symbol, beside.simulated)
        if group == ALL and (row := beside.score(place, PEOPLE, group, listeners=ATTENTIVE)) is not None:
            yield dot(f"{row['raters']} who passed the checks", row, QUIET, "circle", beside.simulated)
    if (row := ceiling(beside, place)) is not None:
        yield dot(CEILING, row, INK, "diamond", beside.simulated)
    styles = plots.styles(beside.results.systems)
    for run in beside.runs(place):
        row, system = beside.score(place, run), beside.system(run)
        if row is not None and system is not None:
            style = styles[system.short]
            yield dot(beside.model(run, place), row, style.colour, style.symbol, False)


def ceiling(beside: Beside, place: Place, group: str = ALL, metric: str = "") -> Row | None:
    """Find the UAR of one person against the majority of the others; of segments the EDER against each of them."""
    rows = beside.at("people-ceiling", place)
    if rows.is_empty():
        return None
    wanted = {"crowd": _crowd(beside.results)[0], "metric": metric or beside.results.metric}
    found = rows.filter(run=PEOPLE, group=group, listeners=ALL, **wanted).to_dicts()
    return found[0] if found and math.isfinite(found[0]["estimate"]) else None


def _crowd(results: Results) -> tuple[str, str]:
    return OF_SEGMENTS if results.kind == "segmentation" else OF_LABELS


def dot(line: str, row: Row, colour: str, symbol: str, hollow: bool, who: str = "") -> Dot:
    """Make a dot of a row of a table."""
    return Dot(line, who, row["estimate"], row["low"], row["high"], colour, symbol, hollow)


def extent(marks: Sequence[Dot], more: Sequence[float] = ()) -> tuple[float, float]:
    """Find the common axis of dots, and of what else must be on it."""
    ends = [(one.estimate, one.low, one.high) for one in marks] + [(one, one, one) for one in more]
    rows = pl.DataFrame(ends, schema=dict.fromkeys(("estimate", "low", "high"), pl.Float64), orient="row")
    return sections.bounds(rows, None)


def _panel(
    beside: Beside, place: Place, marks: Sequence[Dot], bounds: tuple[float, float], chance: float | None
) -> Panel:
    people = {beside.group(group, place) for group in beside.groups(place)} | {CEILING}
    first = [one.line for one in marks if one.line in people or one.line.endswith("who passed the checks")]
    lines = [*first, GAP, *(one.line for one in marks if one.line not in first)]
    facts, name = beside.facts(place), wording.metric(beside.results.metric)
    title = f"{beside.title(place)}: {facts['items']:,} items of {wording.count(facts['speakers'], 'speaker')}"
    told = "; ".join(f"{one.line} {wording.estimate(one.estimate, one.low, one.high)}" for one in marks)

    def draw() -> Chart:
        return dots(marks, lines, metric=name, bounds=bounds, chance=chance)

    return Panel(title, f"{name}, {beside.title(place)}: {told}.", draw)


def labels(results: Results) -> Section:
    """Recall of each label (of segments: of its seconds) by people and by the best model of every regime."""
    beside = Beside(results)
    if not beside.there or results.kind not in ("classification", "segmentation"):
        return Section()
    shown = {place: list(_by_label(beside, place)) for place in beside.places(results.domain)}
    every = [dot for marks in shown.values() for dot in marks]
    if not every:
        return Section()
    bounds = (0.0, 1.0)

    def panel(place: Place, marks: Sequence[Dot]) -> Panel:
        lines = [label for label in results.labels if label in {one.line for one in marks}]
        said = "; ".join(f"{m.line}, {m.who} {wording.estimate(m.estimate, m.low, m.high)}" for m in marks)
        draw = _drawing(marks, lines, bounds)
        return Panel(beside.title(place), f"Recall, {beside.title(place)}: {said}.", draw)

    legend = {one.who: Entry(one.who, one.colour, "", one.symbol) for one in every}
    group = sections.drawn(
        [panel(place, marks) for place, marks in shown.items() if marks],
        "people-labels",
        f"Recall of each label: {beside.word} and the best model of each regime",
        f"Lines are {results.confidence:.0%} intervals. The best is so on these items, which flatters it.",
        "people-scores.parquet: metric recall",
        tuple(legend.values()),
    )
    return Section((group,))


def _drawing(marks: Sequence[Dot], lines: Sequence[str], bounds: tuple[float, float]) -> Callable[[], Chart]:
    return lambda: dots(marks, lines, metric="recall", bounds=bounds)


def _by_label(beside: Beside, place: Place) -> Iterator[Dot]:
    styles = plots.styles(beside.results.systems)
    regimes = list(dict.fromkeys(beside.regime(run) for run in beside.runs(place)))
    best = [run for regime in regimes if (run := beside.best(place, regime)) is not None]
    for label in beside.facts(place)["labels"]:
        part = {"metric": "recall", "slice": f"label={label}"}
        if (row := beside.score(place, PEOPLE, ALL, **part)) is not None:
            yield dot(label, row, INK, "circle", beside.simulated, beside.word)
        for run in best:
            row, system = beside.score(place, run, **part), beside.system(run)
            if row is not None and system is not None:
                symbol = SYMBOLS[1 + regimes.index(beside.regime(run)) % (len(SYMBOLS) - 1)]
                yield dot(label, row, styles[system.short].colour, symbol, False, beside.model(run))


def confused(results: Results) -> Section:
    """What people said of each label beside what the best model answered, a pair of panels for each domain."""
    beside = Beside(results)
    if not beside.there or results.kind != "classification":
        return Section()
    panels = [panel for place in beside.places(results.domain) for panel in _confusions(beside, place)]
    if not panels:
        return Section()
    group = sections.drawn(
        panels,
        "people-confusions",
        f"What {beside.word} said, and what the best model answered",
        "Share of the answers to each reference label (rows sum to 1), with the number of answers below.",
        "people-scores.parquet: metric confusion",
        fold=len(panels) > sections.OPEN_PANELS,
    )
    return Section((group,))


def _confusions(beside: Beside, place: Place) -> Iterator[Panel]:
    best = beside.best(place)
    names = [(PEOPLE, ALL, beside.word)] + ([(best, None, beside.model(best, place))] if best else [])
    for run, rater, name in names:
        rows = beside.at("people-scores", place).filter(run=run, metric="confusion", listeners=ALL)
        rows = rows.filter(pl.col("rater") == rater) if rater else rows.filter(pl.col("group").is_null())
        rows = rows.with_columns(
            pl.col("slice").str.extract(r"^label=(.*),answer=").alias("label"),
            pl.col("slice").str.extract(r",answer=(.*)$").alias("answer"),
        ).filter(pl.col("label").is_in(beside.facts(place)["labels"]))
        if rows.is_empty():
            continue
        if run == PEOPLE and not beside.labelled(place):  # a zero of a wrong label would be made up
            rows = rows.filter((pl.col("answer") == pl.col("label")) | (pl.col("answer") == OTHER))
        yield _confusion(beside, f"{beside.title(place)}: {name}", rows)


def _confusion(beside: Beside, title: str, rows: pl.DataFrame) -> Panel:
    said = set(rows.filter(pl.col("estimate") > 0)["answer"])
    labels = [label for label in beside.results.labels if label in set(rows["label"])]
    answers = [*labels, *sorted(said - set(labels))]
    shown = pl.DataFrame(
        [
            (
                *(row["label"], row["answer"], row["estimate"], wording.number(row["estimate"])),
                f"{round(row['estimate'] * row['n']):,}" if math.isfinite(row["estimate"]) else "",
                plots.ink(row["estimate"], (0.0, 1.0)),
            )
            for row in rows.filter(pl.col("answer").is_in(answers)).to_dicts()
        ],
        schema=dict.fromkeys(("label", "answer"), pl.String)
        | {"estimate": pl.Float64}
        | dict.fromkeys(("text", "interval", "ink"), pl.String),
        orient="row",
    )
    right = "; ".join(f"{one['label']} {one['text']}" for one in shown.to_dicts() if one["label"] == one["answer"])
    return Panel(title, f"Confusions, {title}. Right: {right}.", lambda: plots.confusion(shown, labels, answers))
