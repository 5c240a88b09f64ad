"""The tables of people beside models."""

from collections.abc import Iterator

import polars as pl

from sibboleth.report import wording
from sibboleth.report.people.errors import named
from sibboleth.report.people.figures import ceiling
from sibboleth.report.people.reading import ALL, ATTENTIVE, PEOPLE, VOTES, Beside, Place, Row
from sibboleth.report.results import Results
from sibboleth.report.segmentation import CEILING
from sibboleth.report.tables import Table, table

ENDS = ("estimate", "low", "high")
SECOND = {"classification": "accuracy", "segmentation": "frame_uar", "regression": "pearson", "transcription": "cer"}
"""Metric beside the main one."""


def _places(beside: Beside) -> Iterator[Place]:
    for column in beside.columns:
        yield from beside.places(column)


def _estimate(row: Row, names: tuple[str, str, str] = ENDS) -> str:
    return wording.estimate(*(row[name] for name in names))


def scores(results: Results) -> Table:
    """Scores of groups of people and of models, on the same items."""
    beside = Beside(results)
    second = SECOND[results.kind]
    rows = []
    for place in _places(beside):
        names: list[tuple[str, str | None, str]]
        names = [(PEOPLE, group, beside.group(group, place)) for group in beside.groups(place)]
        names += [(run, None, beside.model(run, place)) for run in beside.runs(place)]
        for run, rater, name in names:
            main, more = beside.score(place, run, rater), beside.score(place, run, rater, metric=second)
            if main is not None:
                counts = f"{main['n']:,}", f"{main['clusters']:,}"
                told = "" if more is None else _estimate(more)
                rows.append((beside.title(place), name, _estimate(main), told, *counts))
        if results.kind == "segmentation" and (top := ceiling(beside, place)) is not None:
            more = ceiling(beside, place, metric=second)
            counts = f"{top['n']:,}", f"{top['clusters']:,}"
            told = "" if more is None else _estimate(more)
            rows.insert(
                len(rows) - len(beside.runs(place)), (beside.title(place), CEILING, _estimate(top), told, *counts)
            )
    head = (
        "Items of",
        "Who",
        wording.metric(results.metric),
        wording.metric(second),
        "Answers",
        "Speakers",
    )
    return table(
        "people-scores",
        f"{wording.capital(beside.word)} and models on the same items, with {results.confidence:.0%} intervals",
        "people-scores.parquet" + ("; people-ceiling.parquet" if results.kind == "segmentation" else ""),
        head,
        rows,
        numeric=(4, 5),
        numbers=_flat(beside.read("people-scores")),
        shown=24,
    )


def differences(results: Results) -> Table:
    """Models minus people, paired on the same items."""
    beside = Beside(results)
    rows, bars = [], []
    for place in _places(beside):
        known = beside.at("people-differences", place)
        for group in beside.groups(place):
            for run in beside.runs(place):
                for version in (ALL, ATTENTIVE):
                    wanted = {
                        "metric": results.metric,
                        "slice": "all",
                        "group": group,
                        "a_run": run,
                        "listeners": version,
                    }
                    for row in known.filter(**wanted).to_dicts() if len(known) else ():
                        who = beside.group(group, place) + (", without who failed" if version == ATTENTIVE else "")
                        numbers = (row["difference"], row["low"], row["high"])
                        shown = wording.estimate(*numbers)
                        p = wording.p_value(row["p_holm"])
                        rows.append((beside.title(place), beside.model(run, place), who, shown, p, f"{row['n']:,}"))
                        bars.append(numbers)
    head = (
        "Items of",
        "Model",
        "Minus",
        f"Difference in {wording.metric(results.metric)}",
        "p (Holm)",
        "Items",
    )
    return table(
        "people-differences",
        f"Models minus {beside.word}, paired item by item, with {results.confidence:.0%} intervals; p is corrected by "
        "Holm "
        "over the models of a panel",
        "people-differences.parquet",
        head,
        rows,
        numeric=(4, 5),
        numbers=_flat(beside.read("people-differences")),
        shown=12,
        bars=bars,
    )


def agreement(results: Results) -> Table:
    """Agreement between people."""
    beside = Beside(results)
    names = {
        "alpha_nominal": "Alpha",
        "alpha_ordinal": "Alpha, ordinal",
        "alpha_interval": "Alpha, interval",
        "fleiss_kappa": "Fleiss' kappa",
        "cohen_kappa_mean": "Cohen's kappa, mean of pairs",
    }
    known = beside.read("people-agreement")
    shown = [name for name in names if len(known) and name in set(known["coefficient"])]
    rows = []
    for place in _places(beside):
        here = beside.at("people-agreement", place)
        for group in beside.groups(place):
            for version in (ALL, ATTENTIVE):
                some = here.filter(group=group, listeners=version) if len(here) else here
                found = {row["coefficient"]: row for row in some.to_dicts()}
                if not found or next(iter(found.values()))["raters"] < 2:
                    continue
                who = beside.group(group, place) + (", without who failed" if version == ATTENTIVE else "")
                cells = [_estimate(found[name]) if name in found else wording.MISSING for name in shown]
                rows.append((beside.title(place), who, *cells))
    return table(
        "people-agreement",
        f"Agreement between {beside.word}, with {results.confidence:.0%} intervals over speakers and {beside.word}",
        "people-agreement.parquet",
        ("Items of", "Who", *(names[name] for name in shown)),
        rows,
        numbers=_flat(known),
    )


def beyond(results: Results) -> Table:
    """How models stand to what people say and fail on, and whether they are unsure where people are."""
    beside = Beside(results)
    rows = []
    for place in _places(beside):
        for run in beside.runs(place):
            cells = [
                _crowd(beside, place, run),
                _shared(beside, place, run),
                *(_sure(beside, place, run, measure) for measure in ("share", "entropy")),
            ]
            if any(cell != wording.MISSING for cell in cells):
                rows.append((beside.title(place), beside.model(run, place), *cells))
    known = [k for k in range(6) if k < 2 or any(row[k] != wording.MISSING for row in rows)]
    head = (
        *("Items of", "Model", "UAR against the crowd"),
        *("Shared errors", "Confidence", "Entropy"),
    )
    sources = "people-ceiling.parquet (crowd majority), people-consistency.parquet, people-confidence.parquet"
    return table(
        "people-beyond-accuracy",
        f"Beyond accuracy: models and the answers of {beside.word}, with {results.confidence:.0%} intervals",
        sources,
        [head[k] for k in known],
        [tuple(row[k] for k in known) for row in rows],
    )


def _crowd(beside: Beside, place: Place, run: str) -> str:
    rows = beside.at("people-ceiling", place)
    if rows.is_empty():
        return wording.MISSING
    found = rows.filter(run=run, crowd="majority", metric="uar", group=ALL, listeners=ALL).to_dicts()
    return _estimate(found[0], ("difference", "difference_low", "difference_high")) if found else wording.MISSING


def _shared(beside: Beside, place: Place, run: str) -> str:
    rows = beside.at("people-consistency", place)
    if rows.is_empty():
        return wording.MISSING
    found = rows.filter(run=run, between="model and people", group=ALL, listeners=ALL).to_dicts()
    return _estimate(found[0], ("difference", "difference_low", "difference_high")) if found else wording.MISSING


def _sure(beside: Beside, place: Place, run: str, measure: str) -> str:
    rows = beside.at("people-confidence", place)
    if rows.is_empty():
        return wording.MISSING
    found = rows.filter(run=run, measure=measure, group=ALL, listeners=ALL).to_dicts()
    return _estimate(found[0]) if found else wording.MISSING


def effects(results: Results) -> Table:
    """Odds ratios of dialects, languages and backgrounds, and their interactions."""
    beside = Beside(results)
    known = beside.read("people-effects")
    rows = []
    for version in (ALL, ATTENTIVE):
        some = known.filter(pl.col("listeners") == version).to_dicts() if len(known) else []
        for name, row in named(beside, some):
            what = {
                "domain": row["axis"],
                "background": row["column"],
                "interaction": "interaction, ratio of odds ratios",
            }[row["effect"]]
            who = "without who failed" if version == ATTENTIVE else "all"
            ratio = _estimate(row, ("odds_ratio", "low", "high"))
            counts = (f"{row['n']:,}", f"{row['clusters']:,}", f"{row['raters']:,}")
            rows.append((name, what, who, ratio, wording.p_value(row["p"]), *counts))
    return table(
        "people-effects",
        f"Odds ratios of being right, of {beside.word}; p is not corrected",
        "people-effects.parquet",
        ("Effect", "Of", "Who", "Odds ratio", "p", "Answers", "Speakers", "Listeners"),
        rows,
        numeric=(4, 5, 6, 7),
        numbers=_flat(known),
    )


def who(results: Results) -> Table:
    """How many people of which background answered about each domain."""
    beside = Beside(results)
    rows = []
    for place in _places(beside):
        facts = beside.facts(place)
        groups = beside.at("people-groups", place)
        told = "; ".join(f"{row['people']} {_background(row)}" for row in (groups.to_dicts() if len(groups) else []))
        people = wording.MISSING if place.kind == VOTES else f"{facts['people']:,}"
        counts = (people, f"{facts['items']:,}", f"{facts['speakers']:,}", f"{facts['answers']:,}")
        rows.append((place.axis, beside.title(place), ", ".join(facts["labels"]), told or "not known", *counts))
    return table(
        "people-items",
        f"What {beside.word} heard: items that models of this run also answered",
        "people-domains.parquet, people-groups.parquet",
        ("By", "Items of", "Labels", "Backgrounds", wording.capital(beside.word), "Items", "Speakers", "Answers"),
        rows,
        numeric=(4, 5, 6, 7),
        numbers=_flat(beside.read("people-domains")),
    )


def _background(row: Row) -> str:
    named = {"language": row["value"], "dialect": f"{row['value']} to the dialect"}
    return str(named.get(row["by"], f"{row['by']} {row['value']}"))


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Write lists as text, as CSV needs them."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    return frame.with_columns(pl.col(name).list.join("; ") for name in lists)


TABLES = (who, scores, differences, agreement, beyond, effects)
"""In the order of the page."""
