"""The tables of a data study's page: scores, paired differences, pre-trainings, and all of it at a glance."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import polars as pl

from sibboleth.report import growth, wording
from sibboleth.report.tables import Part, Table, table

QUESTIONS = {
    "amount": "More speech of one language",
    "language": "One amount of different languages",
    "other": "Pre-trained here against everything else",
}
HEAD = ("Tested on", "A", "B", "A \N{MINUS SIGN} B", "p", "p (Holm)", "n", "Speakers")
NUMBERS = ("estimate", "low", "high")


def domains_of(target: dict[str, Any], points: pl.DataFrame) -> list[str | None]:
    """List what is tested: all domains together, then each where there are several."""
    there = set(points["domain"].drop_nulls())
    return [None, *(name for name in target["domains"] if name in there)]


def tested(target: dict[str, Any], domain: str | None) -> str:
    """Name what is tested: a domain, or all of them."""
    if domain is not None:
        return domain
    domains = target["domains"]
    return str(domains[0]) if len(domains) == 1 else f"all {wording.plural(target['domain'])}"


def scores(target: dict[str, Any], regime: str, points: pl.DataFrame) -> Table:
    """A row per encoder, a column per domain."""
    domains = domains_of(target, points)
    cells = {(row["name"], row["domain"]): row for row in points.to_dicts()}
    rows = []
    for name in points["name"].unique(maintain_order=True):
        numbers = [cells.get((name, domain)) for domain in domains]
        whole = cells[name, None]
        layer = "" if whole["layer"] is None else f"{whole['layer']} ({whole['layer_share']:.0%})"
        written = [wording.MISSING if c is None else wording.estimate(*(c[n] for n in NUMBERS)) for c in numbers]
        title = name if whole["role"] == "pretrained" else growth.title(whole)
        rows.append((title, *written, layer))
    metric = wording.metric(target["metric"])
    return table(
        f"curves-{wording.slug(target['name'], regime)}",
        f"{metric} of {target['column']}, {regime}; the layer that dev chose most often, with its share of the folds",
        f"curves.parquet: target {target['name']}, regime {regime}",
        ("Encoder", *(tested(target, domain) for domain in domains), "Layer"),
        rows,
        numeric=range(1, len(domains) + 2),
        numbers=points,
        shown=len(rows),
    )


def differences_of(target: dict[str, Any], regime: str, differences: pl.DataFrame) -> Table:
    """A row per paired difference, what is about all domains together first."""
    order = {domain: place for place, domain in enumerate([None, *target["domains"]])}
    found = sorted(
        differences.to_dicts(), key=lambda row: (list(QUESTIONS).index(row["question"]), order[row["domain"]])
    )
    rows = [
        (
            tested(target, row["domain"]),
            row["a"],
            row["b"],
            growth.difference(row),
            wording.p_value(row["p"]),
            wording.p_value(row["p_holm"]),
            f"{row['n']:,}",
            str(row["clusters"]),
        )
        for row in found
    ]
    counts = [sum(row["question"] == question for row in found) for question in QUESTIONS]
    ends = list(accumulate(counts))
    parts = [
        Part(title, first, last)
        for title, first, last in zip(QUESTIONS.values(), [0, *ends], ends, strict=False)
        if last > first
    ]
    metric = wording.metric(target["metric"])
    single = sum(row["domain"] is None and row["question"] == "amount" for row in found)
    return table(
        f"differences-{wording.slug(target['name'], regime)}",
        f"Paired differences of {metric} of {target['column']}, {regime}",
        f"differences.parquet: target {target['name']}, regime {regime}",
        HEAD,
        rows,
        numeric=(3, 4, 5, 6, 7),
        numbers=differences.drop("flips", "p_floor", "p_holm_floor", "family_size"),
        shown=max(single, 6),
        bars=[tuple(_finite(row[n]) for n in ("difference", "low", "high")) for row in found],  # type: ignore[misc]
        parts=parts,
    )


def _finite(value: float | None) -> float:
    return math.nan if value is None else float(value)


def made(record: Mapping[str, Any]) -> Table:
    """What each pre-training was."""
    rows = [
        (
            one["name"],
            f"{one['hours']:g} h",
            f"{one['used']:.3g} h",
            f"{one['pieces']:,}",
            wording.listing(one["languages"]) or wording.MISSING,
            f"{one['steps']:,}",
            f"{one['audio']:.3g} h",
            f"{growth.passes(one):.3g}",
            f"{one['first_loss']:.3f} \N{RIGHTWARDS ARROW} {one['last_loss']:.3f}",
        )
        for one in record["pretrainings"]
    ]
    head = ("Encoder", "Asked", "Used", "Pieces", "Languages", "Steps", "Heard", "Times over", "Loss")
    return table(
        "pretrainings", "Pre-trainings", "run.json: pretrainings", head, rows, numeric=(1, 2, 3, 5, 6, 7, 8), shown=40
    )


def glance(asked: Sequence[tuple[Mapping[str, Any], growth.Told]]) -> Table:
    """What more speech does to every target, and what pre-training does at all."""
    grown = [
        (target, told, more, less, f"{less['hours']:g} \N{RIGHTWARDS ARROW} {more['hours']:g} h of {more['language']}")
        for target, told in asked
        for less, more in growth.ends(told)
    ]
    begun = [
        (target, told, row, start, f"{row['hours']:g} h of {row['language']} \N{MINUS SIGN} {start['name']}")
        for target, told in asked
        if (start := growth.begun(told)) is not None
        for row in told.largest
    ]
    rows, bars = [], []
    for target, told, a, b, what in (*grown, *begun):
        row = told.compared(a["name"], b["name"])
        if row is None:
            continue
        levels = f"{wording.number(b['estimate'])} \N{RIGHTWARDS ARROW} {wording.number(a['estimate'])}"
        name = f"{target['column']}, {told.regime}"
        metric = wording.metric(told.metric)
        rows.append((name, what, f"{metric} {levels}", growth.difference(row), wording.p_value(row["p_holm"])))
        bars.append(tuple(_finite(row[n]) for n in ("difference", "low", "high")))
    parts = [
        Part("What the most speech does that the least does not", 0, len(grown)),
        Part("What pre-training on the most speech does to what it began with", len(grown), len(rows)),
    ]
    return table(
        "curves-at-a-glance",
        "What more speech does, and what pre-training does at all, over all domains together",
        "differences.parquet: domain null, questions amount and other",
        ("Target", "Speech", "Score", "Difference", "p (Holm)"),
        rows,
        numeric=(3, 4),
        bars=bars,  # type: ignore[arg-type]
        parts=[part for part in parts if part.last > part.first],
        shown=24,
    )
