"""The block of a published protocol: its numbers beside one's own, what differs, and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import polars as pl

from sibboleth.protocols import LayerRule, Protocol, ProtocolCorpus, Published, Source
from sibboleth.report import wording
from sibboleth.report.differences import Aspect, aspects
from sibboleth.report.results import Results
from sibboleth.report.systems import System
from sibboleth.report.tables import Table, table

SHORT: dict[LayerRule, str] = {"mix": "weighted sum", "last": "last layer", "selected": "layer chosen on dev"}
SAID = {"forbids": "other task or test", "differs": "differs", "same": "same"}
NUMBERS = {
    "corpus": pl.String,
    "encoder": pl.String,
    "called": pl.String,
    "metric": pl.String,
    "layers": pl.String,
    "published": pl.Float64,
    "lowest_fold": pl.Float64,
    "highest_fold": pl.Float64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "selected": pl.Float64,
    "selected_low": pl.Float64,
    "selected_high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "source": pl.String,
    "url": pl.String,
}


@dataclass(frozen=True)
class Block:
    """What the section says in words; its tables are `numbers` and `differences`."""

    title: str
    comparable: bool
    """False where a number here and a published one are of different tasks or tests."""
    verdict: str
    flaws: tuple[str, ...]
    unverified: tuple[str, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Line:
    """A published number, or none, beside one's own."""

    corpus: str
    encoder: str
    published: Published | None
    layers: LayerRule
    own: dict[str, Any] | None
    """Row of scores with the same rule for layers."""
    selected: dict[str, Any] | None
    """Row of scores with the layer that dev chose."""


def block(results: Results) -> Block | None:
    """Say whether numbers may be compared; None where the study names no protocol."""
    protocol = _protocol(results)
    if protocol is None:
        return None
    found = [
        aspect for corpus, own in _matched(results, protocol) for aspect in aspects(results, protocol, corpus, own)
    ]
    leaks = tuple(
        f"In {corpus.name} {corpus.leak}: the published scores are too high for new voices."
        for corpus, _ in _matched(results, protocol)
        if corpus.leak
    )
    comparable = bool(found) and all(aspect.mark != "forbids" for aspect in found)
    return Block(
        protocol.title,
        comparable,
        _verdict(results, protocol, found),
        (*leaks, *protocol.flaws),
        protocol.unverified,
        tuple(protocol.sources.values()),
    )


def numbers(results: Results) -> Table:
    """Put published numbers and one's own beside each other, metric and rule for layers alike."""
    protocol = _protocol(results)
    lines = [line for line in _lines(results, protocol) if line.own or line.selected] if protocol else []
    several = len({line.corpus for line in lines}) > 1
    metric = wording.metric(protocol.metric) if protocol else ""
    head = ("Encoder", "Published", "Here, same layers", "Here \N{MINUS SIGN} published", "Here, layer chosen on dev")
    return table(
        "published",
        f"{metric}, published and here, with {results.confidence:.0%} intervals over speakers; the published number is "
        "taken as exact",
        "run.json: protocol; scores.parquet: regime within, slice all",
        head,
        [_row(results, line, several) for line in lines],
        numeric=(1, 2, 3, 4),
        numbers=_frame(lines, protocol),
        bars=[_difference(line) for line in lines],
    )


def others(results: Results) -> Table:
    """List what was published of the same corpora for encoders that the study does not have."""
    protocol = _protocol(results)
    lines = [line for line in _lines(results, protocol) if not (line.own or line.selected)] if protocol else []
    several = len({line.corpus for line in lines}) > 1
    return table(
        "published-others",
        f"{wording.metric(protocol.metric) if protocol else ''} of other encoders",
        "run.json: protocol",
        ("Encoder", "Published"),
        [_row(results, line, several)[:2] for line in lines],
        numeric=(1,),
        numbers=_frame(lines, protocol),
        shown=len(lines),
    )


def _frame(lines: list[Line], protocol: Protocol | None) -> pl.DataFrame:
    return pl.DataFrame([_numbers(line, protocol) for line in lines], schema=NUMBERS, orient="row")


def differences(results: Results) -> Table:
    """List how far the run follows the protocol."""
    protocol = _protocol(results)
    matched = _matched(results, protocol) if protocol else []
    rows = []
    for corpus, own in matched:
        for aspect in aspects(results, protocol, corpus, own) if protocol else ():
            what = f"{aspect.what} ({corpus.name})" if len(matched) > 1 else aspect.what
            rows.append((what, SAID[aspect.mark], aspect.theirs, aspect.ours))
    head = ("What", "How far", "Protocol", "Here")
    caption = "What is the same here and what is not"
    return table("protocol-differences", caption, "run.json: protocol, study", head, rows)


def _protocol(results: Results) -> Protocol | None:
    written = results.record.get("protocol")
    return Protocol.model_validate(written) if written else None


def _matched(results: Results, protocol: Protocol) -> list[tuple[ProtocolCorpus, dict[str, Any]]]:
    """Pair the protocol's corpora with the record's of the same name."""
    pairs = [(protocol.corpus(str(own["name"])), own) for own in results.record.get("corpora") or []]
    return [(corpus, own) for corpus, own in pairs if corpus is not None]


def _verdict(results: Results, protocol: Protocol, found: list[Aspect]) -> str:
    if not found:
        there = wording.listing([str(own["name"]) for own in results.record.get("corpora") or []])
        asked = wording.listing([corpus.name for corpus in protocol.corpora], most=12)
        return (
            f"The published numbers may not be compared with the ones here: they are of {asked}, and this study's "
            f"corpora are called {there}."
        )
    forbidding = list(dict.fromkeys(aspect.what.lower() for aspect in found if aspect.mark == "forbids"))
    differing = list(dict.fromkeys(aspect.what.lower() for aspect in found if aspect.mark == "differs"))
    if forbidding:
        return (
            "The published numbers may not be compared with the ones here. Other than in the protocol: "
            f"{wording.listing(forbidding, most=12)}."
        )
    told = f" Keep in mind what differs: {wording.listing(differing, most=12)}." if differing else ""
    if not any(line.published and line.own for line in _lines(results, protocol)):
        return (
            f"Material, labels and test folds are those of the protocol, but no encoder has a published number.{told}"
        )
    return f"The numbers may be compared, with care: material, labels and test folds are those of the protocol.{told}"


def _lines(results: Results, protocol: Protocol) -> Iterator[Line]:
    for corpus, own in _matched(results, protocol):
        domain = str(own["name"]) if results.domain == "corpus" else None
        if domain is None and len(results.record.get("corpora") or []) == len(results.domains) == 1:
            domain = results.domains[0]
        published = protocol.numbers(corpus)
        seen: set[int] = set()
        for system in (one for one in results.systems if not one.method):
            hits = [k for k, number in enumerate(published) if _same(number.encoder, system.name)]
            seen |= set(hits)
            known: list[Published | None] = [published[k] for k in hits]
            for number in known or [None]:
                rule = (number and number.layers) or protocol.layers
                metric = number.metric if number else protocol.metric
                mine = [_own(results, system, domain, metric, which) for which in (rule, "selected")]
                yield Line(corpus.name, system.name, number, rule, mine[0], mine[1])
        for k, number in enumerate(published):
            if k not in seen:
                yield Line(corpus.name, number.encoder, number, number.layers or protocol.layers, None, None)


def _same(published: str, own: str) -> bool:
    """Whether a study's encoder is a published one: by name without revision, a folder by its own name."""
    name = own.partition("@")[0]
    return name == published or (name.startswith(("/", ".")) and PurePath(name).name == PurePath(published).name)


def _own(results: Results, system: System, domain: str | None, metric: str, rule: LayerRule) -> dict[str, Any] | None:
    """Find a run's own score within a domain, answered under a rule for layers; one layer is every rule's."""
    if rule == "last":
        rater = pl.col("rater").str.starts_with("layer") & (pl.col("layer") == system.layers - 1)
    else:
        rater = pl.col("rater") == ("mix" if rule == "mix" and system.layers > 1 else "selected")
    found = results.scores.filter(
        rater
        & (pl.col("system") == system.name)
        & (pl.col("regime") == "within")
        & (pl.col("domain") == domain)
        & (pl.col("metric") == metric)
        & (pl.col("slice") == "all")
    )
    return found.row(0, named=True) if found.height else None


def _row(results: Results, line: Line, several: bool) -> tuple[str, ...]:
    name = results.short(line.encoder) if line.own or line.selected else line.encoder
    notes = [line.corpus] if several else []
    if line.published and line.published.layers:
        notes.append(SHORT[line.layers])
    shown = f"{name} ({', '.join(notes)})" if notes else name
    return (shown, _published(line.published), _estimate(line.own), _between(line), _estimate(line.selected))


def _published(number: Published | None) -> str:
    if number is None:
        return wording.MISSING
    if not number.folds:
        return wording.number(number.value)
    lowest, highest = wording.number(min(number.folds)), wording.number(max(number.folds))
    return f"{wording.number(number.value)} (folds {lowest} to {highest})"


def _estimate(row: dict[str, Any] | None) -> str:
    return wording.MISSING if row is None else wording.estimate(row["estimate"], row["low"], row["high"])


def _difference(line: Line) -> tuple[float, float, float]:
    if line.own is None or line.published is None:
        return float("nan"), float("nan"), float("nan")
    estimate, low, high = (line.own[key] - line.published.value for key in ("estimate", "low", "high"))
    return estimate, low, high


def _between(line: Line) -> str:
    return wording.estimate(*_difference(line))


def _numbers(line: Line, protocol: Protocol | None) -> tuple[Any, ...]:
    number = line.published
    source = protocol.sources[number.source] if protocol and number else None
    own, selected = line.own or {}, line.selected or {}
    return (
        line.corpus,
        line.encoder,
        number.called if number else None,
        number.metric if number else (protocol.metric if protocol else None),
        line.layers,
        number.value if number else None,
        min(number.folds, default=None) if number else None,
        max(number.folds, default=None) if number else None,
        *(own.get(key) for key in ("estimate", "low", "high")),
        *(selected.get(key) for key in ("estimate", "low", "high")),
        (own or selected).get("n"),
        (own or selected).get("clusters"),
        source.title if source else None,
        source.url if source else None,
    )
