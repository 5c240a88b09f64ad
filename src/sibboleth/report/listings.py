"""The tables of the report: corpora, encoders, scores, comparisons, layers, excluded audio."""

import math
from typing import Any

import polars as pl

from sibboleth.report import confusions as what_was_answered
from sibboleth.report import sections, wording
from sibboleth.report.material import Encoder, Material, Score
from sibboleth.report.tables import Table, table

PAIR = "Trained \N{RIGHTWARDS ARROW} tested"
MOST_METRICS = 4
"""Metrics beside each other in the page; the CSV file has them all."""


def corpora(material: Material) -> Table:
    """What was listened to."""
    rows = []
    for corpus in material.record.get("corpora") or []:
        speech = "synthetic" if corpus.get("synthetic") else "recorded"
        hours = float(corpus.get("hours") or 0.0)
        length = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
        counts = [f"{int(corpus.get(key) or 0):,}" for key in ("utterances", "speakers")]
        rows.append((str(corpus["name"]), speech, *counts, length))
    head = ("Corpus", "Speech", "Utterances", "Speakers", "Duration")
    return table("corpora", "Corpora as they were used", "run.json: corpora", head, rows, numeric=(2, 3, 4))


def glance(material: Material) -> Table:
    """One line for each encoder: the range of its scores in every regime."""
    regimes = material.regimes
    rows = []
    for encoder in material.encoders:
        cells = [_span(material, encoder, regime) for regime in regimes]
        rows.append((_name(encoder), *cells))
    head = ("Encoder", *(f"{r}" for r in regimes))
    many = any(len(material.pairs(r)) > 1 for r in regimes)
    span = ": lowest and highest over the domains or pairs" if many else ""
    return table(
        "encoders-at-a-glance",
        f"{wording.metric(material.metric)} of each encoder{span}, with {material.confidence:.0%} intervals",
        f"scores.parquet: metric {material.metric}, slice all",
        head,
        rows,
    )


def _name(encoder: Encoder) -> str:
    return f"{encoder.short} (control)" if encoder.control else encoder.short


def _span(material: Material, encoder: Encoder, regime: str) -> str:
    scores = [s for s in material.where(encoder.name, regime) if math.isfinite(s.estimate)]
    if not scores:
        return wording.MISSING
    ranked = sorted(scores, key=lambda s: s.estimate)
    if len(ranked) == 1:
        return str(ranked[0])
    return f"{ranked[0]} to {ranked[-1]}"


def scores(material: Material) -> Table:
    """Every metric of every run, by the rater that leads."""
    wanted = material.scores.filter(pl.col("leads") & (pl.col("slice") == "all") & (pl.col("metric") != "confusion"))
    kept = wording.in_order(set(wanted["metric"]) - {material.metric})
    metrics = [material.metric, *kept[: MOST_METRICS - 1]]
    found = {(r["run"], r["metric"]): r for r in wanted.to_dicts()}
    chosen = _chosen(material)
    rows = [
        (
            material.short(s.encoder),
            s.regime,
            sections.pair_title(s.source, s.domain),
            *(_cell(found.get((s.run, m))) for m in metrics),
            chosen.get(s.run, wording.MISSING),
            f"{s.n:,}",
            str(s.clusters),
        )
        for s in _ordered(material)
    ]
    head = ("Encoder", "Regime", PAIR, *map(wording.metric, metrics), "Layers", "n", "Speakers")
    columns = ["run", "rater", "encoder", "regime", "source", "domain", "metric", "estimate", "low", "high", "n"]
    return table(
        "scores",
        f"Every score, with its {material.confidence:.0%} interval over speakers. Layers: what dev chose, "
        "in how many folds",
        "scores.parquet: slice all, rater selected; layers from selection.parquet",
        head,
        rows,
        numeric=range(3, len(head)),
        numbers=wanted.select(*columns, "clusters").sort("encoder", "regime", "source", "domain", "metric"),
    )


def _ordered(material: Material) -> list[Score]:
    return [s for e in material.encoders for r in material.regimes for s in material.where(e.name, r)]


def _cell(row: dict[str, Any] | None) -> str:
    return wording.MISSING if row is None else wording.estimate(row["estimate"], row["low"], row["high"])


def _chosen(material: Material) -> dict[str, str]:
    """Layers that dev chose for each run: 7 (4), 8 (1)."""
    found: dict[str, list[str]] = {}
    for run, layer, folds in material.chosen.iter_rows():
        found.setdefault(run, []).append(f"{layer} (\N{MULTIPLICATION SIGN}{folds})")
    return {run: ", ".join(layers[:3]) + (" …" if len(layers) > 3 else "") for run, layers in found.items()}


def layers(material: Material) -> Table:
    """The main metric of every layer of every run."""
    wanted = material.scores.filter(
        (pl.col("metric") == material.metric) & (pl.col("slice") == "all") & pl.col("layer").is_not_null()
    ).sort("encoder", "regime", "source", "domain", "layer")
    names = ("encoder", "regime", "source", "domain", "layer", "estimate", "low", "high", "n", "clusters")
    rows = [
        (
            material.short(e),
            r,
            sections.pair_title(s, d),
            str(layer),
            wording.estimate(*numbers),
            f"{n:,}",
            str(clusters),
        )
        for e, r, s, d, layer, *numbers, n, clusters in wanted.select(names).fill_null("").iter_rows()
    ]
    head = ("Encoder", "Regime", PAIR, "Layer", wording.metric(material.metric), "n", "Speakers")
    return table(
        "layers",
        f"{wording.metric(material.metric)} of every layer",
        f"scores.parquet: metric {material.metric}, slice all, raters layer-*",
        head,
        rows,
        numeric=(3, 4, 5, 6),
        numbers=wanted.select("run", "rater", *names),
    )


def confusions(material: Material) -> Table:
    """Confusions of every run, with intervals."""
    wanted = material.scores.filter((pl.col("metric") == "confusion") & pl.col("leads"))
    names = ("encoder", "regime", "source", "domain", "slice", "estimate", "low", "high", "n", "clusters")
    ordered = wanted.sort("encoder", "regime", "source", "domain", "slice").select("run", "rater", *names)
    shares = what_was_answered.shares(material) if material.labels else pl.DataFrame()
    columns = what_was_answered.answers(material)
    rows = []
    if shares.height:
        wide = {(r["encoder"], r["regime"], r["label"], r["answer"]): r["estimate"] for r in shares.to_dicts()}
        for e in material.encoders:
            for regime in material.regimes:
                for label in material.labels:
                    cells = [wording.number(wide.get((e.name, regime, label, a))) for a in columns]
                    rows.append((e.short, regime, label, *cells))
    head = ("Encoder", "Regime", "Reference", *columns)
    return table(
        "confusions",
        "What was answered, as shares of each reference label, summed over the runs of an encoder and regime",
        "scores.parquet: metric confusion",
        head,
        rows,
        numeric=range(3, len(head)),
        numbers=ordered,
    )


def slices(material: Material) -> Table:
    """Scores of every slice, classes among them."""
    wanted = material.scores.filter(
        pl.col("leads") & pl.col("slice").str.contains("=") & (pl.col("metric") != "confusion")
    ).sort("metric", "slice", "encoder", "regime", "source", "domain")
    names = ("slice", "metric", "encoder", "regime", "source", "domain", "estimate", "low", "high", "n", "clusters")
    rows = [
        (
            part,
            wording.metric(m),
            material.short(e),
            r,
            sections.pair_title(s, d),
            wording.estimate(*numbers),
            f"{n:,}",
            str(clusters),
        )
        for part, m, e, r, s, d, *numbers, n, clusters in wanted.select(names).fill_null("").iter_rows()
    ]
    head = ("Slice", "Metric", "Encoder", "Regime", PAIR, "Score", "n", "Speakers")
    return table(
        "slices",
        f"Scores by slice, with {material.confidence:.0%} intervals over speakers",
        "scores.parquet: slices column=value",
        head,
        rows,
        numeric=(5, 6, 7),
        numbers=wanted.select("run", "rater", *names),
    )


def comparisons(material: Material) -> Table:
    """Paired differences, their p-values corrected by Holm within each family."""
    frame = material.comparisons
    known = {
        run: (material.short(e), r, sections.pair_title(s, d))
        for run, e, r, s, d in material.scores.select("run", "encoder", "regime", "source", "domain")
        .unique()
        .fill_null("")
        .iter_rows()
    }
    families = {family: place for place, family in enumerate(frame["family"].unique(maintain_order=True))}
    order = pl.col("family").replace_strict(families, return_dtype=pl.Int64)
    frame = frame.sort(order, "p_holm", "p", nulls_last=True, maintain_order=True)
    plain = set(frame["metric"]) <= {material.metric} and set(frame["slice"]) <= {"all"}
    of = f" of {wording.metric(material.metric)}" if plain else ""
    rows, bars = [], []
    for row in frame.to_dicts():
        a, b = (_who(known, row[f"{x}_run"], row[f"{x}_rater"]) for x in "ab")
        what = "" if plain else f"{wording.metric(str(row['metric']))}, {row['slice']}"
        numbers = (row["difference"], row["low"], row["high"])
        p = (wording.p_value(row["p"]), wording.p_value(row["p_holm"]))
        family = f"{row['family']}: {what}" if what else str(row["family"])
        rows.append((family, a, b, wording.estimate(*numbers), *p, f"{row['n']:,}", str(row["clusters"])))
        bars.append(tuple(math.nan if v is None else float(v) for v in numbers))
    head = ("Family", "A", "B", "A \N{MINUS SIGN} B", "p", "p (Holm)", "n", "Speakers")
    return table(
        "comparisons",
        f"Paired differences{of} on the same utterances, speakers resampled; p-values by Holm within a family",
        "comparisons.parquet",
        head,
        rows,
        numeric=(3, 4, 5, 6, 7),
        numbers=frame,
        bars=[(d, low, high) for d, low, high in bars],
    )


def _who(known: dict[str, tuple[str, str, str]], run: str, rater: str) -> str:
    encoder, regime, pair = known.get(run, (run, "", ""))
    tail = "" if rater in ("selected", None) else f" ({rater})"
    return f"{encoder}, {regime} {pair}{tail}" if regime else f"{encoder}{tail}"


def encoders(material: Material) -> Table:
    """What encoded the speech."""
    rows = [
        (
            str(e["name"]),
            str(e.get("kind") or ""),
            str(e.get("language") or wording.MISSING),
            str(e.get("layers") or ""),
            str(e.get("dim") or ""),
            f"{e['rate']:,} Hz" if e.get("rate") else "",
            str(e.get("pooling") or ""),
            str(e.get("identity") or ""),
        )
        for e in material.record.get("encoders") or []
    ]
    head = ("Encoder", "Kind", "Language", "Layers", "Width", "Rate", "Pooling", "Identity of the weights")
    return table("encoders", "Encoders", "run.json: encoders", head, rows, numeric=(3, 4, 5))


def excluded(material: Material) -> Table:
    """Audio that was left out, and why."""
    rows = [
        (str(x.get("utterance") or ""), str(x.get("reason") or ""), str(x.get("audio") or ""))
        for x in material.record.get("excluded") or []
    ]
    return table("excluded", "Audio left out", "run.json: excluded", ("Utterance", "Reason", "File"), rows)


def manifests(material: Material) -> Table:
    """The files that the corpora came from."""
    rows = [
        (str(c["name"]), str(c.get("manifest") or ""), str(c.get("digest") or ""))
        for c in material.record.get("corpora") or []
    ]
    return table("manifests", "Manifests", "run.json: corpora", ("Corpus", "Manifest", "SHA-256"), rows)


def cells(material: Material) -> Table:
    """What was trained, and how long it took."""
    rows = [
        (
            str(c.get("file") or ""),
            str(c.get("encoder") or ""),
            str(c.get("source") or ""),
            wording.number(c.get("seconds"), 1),
        )
        for c in material.record.get("cells") or []
    ]
    head = ("File", "Encoder", "Trained on", "Seconds")
    return table("cells", "Cells: what was trained together", "run.json: cells", head, rows, numeric=(3,))
