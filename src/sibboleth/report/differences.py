"""How far a run follows the published protocol that its study names, aspect by aspect, from the record alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from sibboleth.protocols import LayerRule, Protocol, ProtocolCorpus
from sibboleth.report import wording
from sibboleth.report.results import Results

Mark = Literal["forbids", "differs", "same"]
MARKS: tuple[Mark, ...] = ("forbids", "differs", "same")
CLOSE = 0.05
"""Share of utterances that may be missing or too many before it is another test set."""
LAYERS: dict[LayerRule, str] = {
    "mix": "learned weighted sum of all layers",
    "last": "last layer",
    "selected": "layer chosen on dev",
}
LEFT_OPEN = "any"


@dataclass(frozen=True)
class Aspect:
    """One thing in which a run may differ from a protocol."""

    what: str
    theirs: str
    ours: str
    mark: Mark
    """`forbids`: the numbers are of different tasks or tests; `differs`: to be kept in mind; `same`."""


def aspects(results: Results, protocol: Protocol, corpus: ProtocolCorpus, own: dict[str, Any]) -> list[Aspect]:
    """Compare a run with a protocol on one corpus; `own` is the record's entry of it. What forbids comes first."""
    found = [
        *_material(results, corpus, own),
        *_folds(results, protocol, corpus, own),
        *_probe(results, protocol),
        Aspect(
            "Metric",
            wording.metric(protocol.metric),
            f"{wording.metric(protocol.metric)} in this section, {wording.metric(results.metric)} in the others",
            "same",
        ),
        _average(protocol),
    ]
    if protocol.origin:
        found.append(Aspect("Origin of the numbers", protocol.origin, "this protocol itself", "differs"))
    return sorted(found, key=lambda aspect: MARKS.index(aspect.mark))


def _material(results: Results, corpus: ProtocolCorpus, own: dict[str, Any]) -> Iterator[Aspect]:
    if own.get("synthetic"):
        yield Aspect("Speech", "recorded people", "synthetic", "forbids")
    utterances, speakers = int(own["utterances"]), int(own["speakers"])
    off = abs(utterances - corpus.utterances) / corpus.utterances
    same_speakers = speakers == corpus.speakers
    yield Aspect(
        "Material",
        _size(corpus.utterances, corpus.speakers),
        _size(utterances, speakers),
        "same" if not off and same_speakers else "differs" if off <= CLOSE and same_speakers else "forbids",
    )
    lost = _lost(results, corpus, str(own["name"]))
    merges = "".join(f"; {label} counts as {other}" for label, other in list(corpus.merged.items())[:1])
    ours = f"{len(results.labels)}: {', '.join(results.labels)}" if results.labels else results.kind
    if lost:
        ours += f"; left out instead of merged: {', '.join(lost)}"
    different = len(results.labels) != corpus.classes or bool(lost) or results.soft
    if results.soft:
        ours += "; soft"
    yield Aspect("Labels", f"{corpus.classes} classes{merges}", ours, "forbids" if different else "same")


def _size(utterances: int, speakers: int) -> str:
    return f"{wording.count(utterances, 'utterance')} of {wording.count(speakers, 'speaker')}"


def _lost(results: Results, corpus: ProtocolCorpus, name: str) -> list[str]:
    """Labels that the protocol merges and the run left out, with how many utterances."""
    reasons = [
        str(row.get("reason") or "")
        for row in results.record.get("excluded") or []
        if str(row.get("utterance") or "").startswith(f"{name}/")
    ]
    counts = {label: reasons.count(f"label {label} is not asked for") for label in corpus.merged}
    return [f"{label} ({count:,})" for label, count in counts.items() if count]


def _folds(results: Results, protocol: Protocol, corpus: ProtocolCorpus, own: dict[str, Any]) -> Iterator[Aspect]:
    splits, asked = results.settings("splits"), protocol.study.splits
    own_scheme = (splits.get("schemes") or {}).get(_domain(results, str(own["name"])))
    scheme, theirs = str(own_scheme or splits.get("scheme")), corpus.rule or str(asked["scheme"])
    count = _number_of_folds(results, str(own["name"]))
    same = scheme in (theirs, asked["scheme"]) and corpus.folds in (None, count)
    expected = f"{theirs if theirs != 'file' else 'the published lists'}{_times(corpus.folds)}"
    used = f"the lists {splits.get('file')}" if scheme == "file" else scheme
    yield Aspect("Test folds", expected, f"{used}{_times(count)}", "same" if same else "forbids")
    if splits.get("balance") or splits.get("per_label"):
        number = f"at most {splits['per_label']:,}" if splits.get("per_label") else "equally many"
        ours = f"{number} per label within each {wording.listing(splits.get('balance') or [results.domain])}"
        yield Aspect("Balance", "all utterances", ours, "forbids")
    unit, share = str(splits.get("dev_unit") or "speaker"), float(splits.get("dev") or 0)
    alike = (unit, share) == (asked.get("dev_unit", "speaker"), float(asked.get("dev", share)))
    yield Aspect("Dev", protocol.dev, _dev(scheme, unit, share), "same" if alike else "differs")
    yield _leaks(results, corpus)


def _number_of_folds(results: Results, name: str) -> int | None:
    """Count the folds that trained within a corpus, from what dev chose in them."""
    runs = results.scores.filter((pl.col("regime") == "within") & (pl.col("domain") == _domain(results, name)))["run"]
    folds = results.selection.filter(pl.col("run").is_in(runs.unique().implode()))["fold"]
    return folds.n_unique() or None


def _domain(results: Results, name: str) -> str:
    """Return the value of the domain column that stands for a corpus: its name, or the only one there is."""
    return name if results.domain == "corpus" or len(results.domains) != 1 else results.domains[0]


def _times(folds: int | None) -> str:
    return "" if folds is None else f", {wording.count(folds, 'fold')}"


def _dev(scheme: str, unit: str, share: float) -> str:
    if unit == "utterance":
        return f"{share:.0%} of the utterances outside test, drawn at random"
    if unit == "held-out":
        return f"{share:.0%} of the utterances held out, of the speakers who are tested"
    if scheme == "file":
        return "as the lists say"
    whole = "sessions" if scheme == "leave-one-session-out" else "speakers"
    return f"whole {whole}, about {share:.0%} of the utterances outside test"


def _leaks(results: Results, corpus: ProtocolCorpus) -> Aspect:
    allowed = [str(finding["name"]) for finding in results.findings if finding.get("allowed")]
    ours = f"allowed by the study: {', '.join(allowed)}" if allowed else "the audit found none"
    shared = "shared-speakers" in allowed
    mark: Mark = "same" if shared == bool(corpus.leak) and len(allowed) == shared else "differs"
    if allowed and not corpus.leak:
        mark = "forbids"
    return Aspect("Leaks into test", corpus.leak or "no speaker of the test trains", ours, mark)


def _probe(results: Results, protocol: Protocol) -> Iterator[Aspect]:
    probe = results.settings("probe")
    kind = str(probe.get("kind"))
    hidden = "-".join(str(size) for size in probe.get("hidden") or ())
    ours = "linear, on the mean over time" if kind == "linear" else f"{hidden} with ReLU, on the mean over time"
    form = protocol.head_form
    yield Aspect("Probe", protocol.head, ours, "same" if form in (LEFT_OPEN, kind) else "differs")
    rule, mixes = protocol.layers, bool((results.record.get("study") or {}).get("layer_mix"))
    missing = rule == "mix" and not mixes
    yield Aspect("Layers", LAYERS[rule], LAYERS["selected" if missing else rule], "differs" if missing else "same")
    encoders = [e for e in results.record.get("encoders") or [] if e.get("kind") != "control"]
    others = sorted({str(e["pooling"]) for e in encoders} - {protocol.pooling})
    here = " and ".join(sorted({str(e["pooling"]) for e in encoders}) or [protocol.pooling])
    yield Aspect("Pooling", protocol.pooling, here, "differs" if others else "same")
    open_ = protocol.training == LEFT_OPEN
    yield Aspect("Training", protocol.training, _training(probe), "same" if open_ else "differs")
    choice = "epoch" if kind == "mlp" else "penalty"
    by = f"dev loss chooses the {choice}, dev {wording.metric(results.metric)} the layer"
    yield Aspect("Choice on dev", protocol.choice, by, "same" if protocol.choice == LEFT_OPEN else "differs")


def _training(probe: dict[str, Any]) -> str:
    if probe.get("kind") == "mlp":
        rates = probe.get("learning_rate")
        told = ", ".join(f"{rate:g}" for rate in (rates if isinstance(rates, list) else [rates]))
        return (
            f"AdamW with learning rate {told}, batches of {probe.get('batch_size')}, up to "
            f"{probe.get('epochs')} epochs, early stopping"
        )
    return (
        f"to the optimum (a weighted sum: AdamW), features standardised, one of {len(probe.get('l2') or ())} penalties"
    )


def _average(protocol: Protocol) -> Aspect:
    pooled = "one score of all utterances, each answered once"
    if protocol.average == "utterances":
        return Aspect("Averaging", pooled, pooled, "same")
    return Aspect("Averaging", "mean of the folds' scores", pooled, "differs")
