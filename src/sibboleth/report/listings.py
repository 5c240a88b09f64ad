"""The tables of the report: corpora, encoders, scores, comparisons, layers, excluded audio."""

import math
from itertools import accumulate
from typing import Any

import polars as pl

from sibboleth.report import confusions as what_was_answered
from sibboleth.report import sections, wording
from sibboleth.report.results import Results
from sibboleth.report.systems import Score, System
from sibboleth.report.tables import Part, Table, table

PAIR = "Trained \N{RIGHTWARDS ARROW} tested"
FIRST = (
    "zero-shot against within",
    "methods, zero-shot",
    "methods, within",
    "encoders, zero-shot",
    "encoders, within",
    "encoders, target-selected",
)
LAST = "target-selected against zero-shot"
"""Families of comparisons in the order of the page: what going across costs, ..., what is not zero-shot."""
OF = ("encoder", "method", "regime", "source", "domain")
"""Columns of the CSV files that say what a run is."""
MOST_METRICS = 4
"""Metrics beside each other in the page; the CSV file has them all."""


def corpora(results: Results) -> Table:
    """What was listened to."""
    rows = []
    for corpus in results.record.get("corpora") or []:
        speech = "synthetic" if corpus.get("synthetic") else "recorded"
        hours = float(corpus.get("hours") or 0.0)
        length = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
        counts = [f"{int(corpus.get(key) or 0):,}" for key in ("utterances", "speakers")]
        rows.append((str(corpus["name"]), speech, *counts, length, _unknown_accents(results, corpus)))
    head = ("Corpus", "Speech", "Utterances", "Speakers", "Duration", "Accent unknown")
    shown = len(head) if any(row[-1] for row in rows) else len(head) - 1
    kept = [row[:shown] for row in rows]
    return table("corpora", "Corpora as they were used", "run.json: corpora", head[:shown], kept, numeric=(2, 3, 4))


def _unknown_accents(results: Results, corpus: dict[str, Any]) -> str:
    """Count the utterances whose accent is unknown, and say why; empty where nobody asked for accents."""
    if told := corpus.get("accents"):
        reasons = {why: n for why, n in told["utterances"].items() if n and why != "known"}
        why = f" ({', '.join(f'{n:,} {reason}' for reason, n in reasons.items())})" if reasons else ""
        return f"{sum(reasons.values()):,}{why}"
    if not {"corpus", "accent"} <= set(results.utterances.columns):
        return ""
    said = results.utterances.filter(pl.col("corpus") == corpus["name"])["accent"]
    return f"{said.null_count():,}" if said.null_count() < len(said) else ""


def glance(results: Results) -> Table:
    """One line for each system: the range of its scores in every regime, few-shot with the most shots alone."""
    regimes = [r for r in results.regimes if r != "two-stage"] + [r for r in results.rungs if r in results.few_shot]
    regimes += [r for r in results.regimes if r == "two-stage"]
    rows = []
    for system in results.systems:
        cells = [_span(results, system, regime) for regime in regimes]
        rows.append((system.title, *cells))
    head = (wording.capital(results.unit), *regimes)
    many = any(len(results.pairs(r)) > 1 for r in regimes)
    span = ": lowest and highest over the domains or pairs" if many else ""
    return table(
        "encoders-at-a-glance",
        f"{wording.metric(results.metric)} of each {results.unit}{span}, with {results.confidence:.0%} intervals",
        f"scores.parquet: metric {results.metric}, slice all",
        head,
        rows,
    )


def _span(results: Results, system: System, regime: str) -> str:
    scores = [s for s in results.where(system.name, regime) if math.isfinite(s.estimate)]
    if not scores:
        return wording.MISSING
    ranked = sorted(scores, key=lambda s: s.estimate)
    if len(ranked) == 1:
        return str(ranked[0])
    return f"{ranked[0]} to {ranked[-1]}"


def scores(results: Results) -> Table:
    """Every metric of every run, by the rater that leads."""
    wanted = results.scores.filter(pl.col("leads") & (pl.col("slice") == "all") & (pl.col("metric") != "confusion"))
    kept = wording.in_order(set(wanted["metric"]) - {results.metric})
    metrics = [results.metric, *kept[: MOST_METRICS - 1]]
    found = {(r["run"], r["metric"]): r for r in wanted.to_dicts()}
    chosen = _chosen(results)
    rows = [
        (
            results.short(s.system),
            s.regime,
            sections.pair_title(s.source, s.domain),
            *(_cell(found.get((s.run, m))) for m in metrics),
            chosen.get(s.run, wording.MISSING),
            f"{s.n:,}",
            str(s.clusters),
        )
        for s in _ordered(results)
    ]
    head = (wording.capital(results.unit), "Regime", PAIR, *map(wording.metric, metrics), "Layers", "n", "Speakers")
    columns = ["run", "rater", *OF, "metric", "estimate", "low", "high", "n"]
    return table(
        "scores",
        f"Every score, with its {results.confidence:.0%} interval over speakers. Layers: what dev chose, "
        "in how many folds",
        "scores.parquet: slice all, rater selected; layers from selection.parquet",
        head,
        rows,
        numeric=range(3, len(head)),
        numbers=wanted.select(*columns, "clusters").sort(*OF, "metric"),
    )


def _ordered(results: Results) -> list[Score]:
    regimes = results.every_regime
    return [s for e in results.systems for r in regimes for s in results.where(e.name, r)]


def _cell(row: dict[str, Any] | None) -> str:
    return wording.MISSING if row is None else wording.estimate(row["estimate"], row["low"], row["high"])


def _chosen(results: Results) -> dict[str, str]:
    """Layers that dev chose for each run: 7 (4), 8 (1)."""
    found: dict[str, list[str]] = {}
    for run, layer, folds in results.chosen.iter_rows():
        found.setdefault(run, []).append(f"{layer} (\N{MULTIPLICATION SIGN}{folds})")
    return {run: ", ".join(layers[:3]) + (" …" if len(layers) > 3 else "") for run, layers in found.items()}


def layers(results: Results) -> Table:
    """The main metric of every layer of every run."""
    of_layers = pl.col("layer").is_not_null() & ~pl.col("tuned").fill_null(False)
    wanted = results.scores.filter((pl.col("metric") == results.metric) & (pl.col("slice") == "all") & of_layers).sort(
        "encoder", "regime", "source", "domain", "layer"
    )
    names = ("system", "regime", "source", "domain", "layer", "estimate", "low", "high", "n", "clusters")
    rows = [
        (
            results.short(e),
            r,
            sections.pair_title(s, d),
            str(layer),
            wording.estimate(*numbers),
            f"{n:,}",
            str(clusters),
        )
        for e, r, s, d, layer, *numbers, n, clusters in wanted.select(names).fill_null("").iter_rows()
    ]
    head = ("Encoder", "Regime", PAIR, "Layer", wording.metric(results.metric), "n", "Speakers")
    return table(
        "layers",
        f"{wording.metric(results.metric)} of every layer",
        f"scores.parquet: metric {results.metric}, slice all, raters layer-*",
        head,
        rows,
        numeric=(3, 4, 5, 6),
        numbers=wanted.select("run", "rater", *OF, *names[4:]),
    )


def confusions(results: Results) -> Table:
    """Confusions of every run, with intervals."""
    wanted = results.scores.filter((pl.col("metric") == "confusion") & pl.col("leads"))
    names = (*OF, "slice", "estimate", "low", "high", "n", "clusters")
    ordered = wanted.sort(*OF, "slice").select("run", "rater", *names)
    shares = what_was_answered.shares(results) if results.labels else pl.DataFrame()
    columns = what_was_answered.answers(results)
    rows = []
    if shares.height:
        wide = {(r["system"], r["regime"], r["label"], r["answer"]): r["estimate"] for r in shares.to_dicts()}
        for e in results.systems:
            for regime in results.regimes:
                for label in what_was_answered.references(results):
                    cells = [wording.number(wide.get((e.name, regime, label, a))) for a in columns]
                    rows.append((e.short, regime, label, *cells))
    head = (wording.capital(results.unit), "Regime", "Reference", *columns)
    return table(
        "confusions",
        "What was answered, as shares of each reference label, summed over the runs of "
        f"{wording.article(results.unit)} and regime",
        "scores.parquet: metric confusion",
        head,
        rows,
        numeric=range(3, len(head)),
        numbers=ordered,
    )


def slices(results: Results) -> Table:
    """Scores of every slice, classes among them."""
    wanted = results.scores.filter(
        pl.col("leads") & pl.col("slice").str.contains("=") & (pl.col("metric") != "confusion")
    ).sort("metric", "slice", *OF)
    names = ("slice", "metric", "system", "regime", "source", "domain", "estimate", "low", "high", "n", "clusters")
    rows = [
        (
            part,
            wording.metric(m),
            results.short(e),
            r,
            sections.pair_title(s, d),
            wording.estimate(*numbers),
            f"{n:,}",
            str(clusters),
        )
        for part, m, e, r, s, d, *numbers, n, clusters in wanted.select(names).fill_null("").iter_rows()
    ]
    head = ("Slice", "Metric", wording.capital(results.unit), "Regime", PAIR, "Score", "n", "Speakers")
    return table(
        "slices",
        f"Scores by slice, with {results.confidence:.0%} intervals over speakers",
        "scores.parquet: slices column=value",
        head,
        rows,
        numeric=(5, 6, 7),
        numbers=wanted.select("run", "rater", *names[:2], *OF, *names[6:]),
    )


def comparisons(results: Results) -> Table:
    """Paired differences, their p-values corrected by Holm within each family."""
    frame = results.comparisons
    known = {
        run: (results.short(e), r, sections.pair_title(s, d))
        for run, e, r, s, d in results.scores.select("run", "system", "regime", "source", "domain")
        .unique()
        .fill_null("")
        .iter_rows()
    }
    families = sorted(frame["family"].unique(maintain_order=True), key=_place)
    order = pl.col("family").replace_strict({f: i for i, f in enumerate(families)}, return_dtype=pl.Int64)
    frame = frame.sort(order, "p_holm", "p", nulls_last=True, maintain_order=True)
    ends = list(accumulate((frame["family"] == family).sum() for family in families))
    parts = zip(families, [0, *ends], ends, strict=False)
    plain = set(frame["metric"]) <= {results.metric} and set(frame["slice"]) <= {"all"}
    of = f" of {wording.metric(results.metric)}" if plain else ""
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
        "comparisons.parquet" + (" and baseline-comparisons.parquet" if results.kind == "segmentation" else ""),
        head,
        rows,
        numeric=(3, 4, 5, 6, 7),
        numbers=frame.drop("flips", "p_floor", "p_holm_floor", "family_size"),
        shown=6,
        begin=1 if plain else 0,
        bars=[(d, low, high) for d, low, high in bars],
        parts=[Part(wording.capital(str(family)), first, last) for family, first, last in parts],
    )


def _place(family: str) -> int:
    return FIRST.index(family) if family in FIRST else len(FIRST) + (family == LAST)


def _who(known: dict[str, tuple[str, str, str]], run: str, rater: str) -> str:
    kind, _, domain = run.partition(">")
    if kind == "baseline":
        return f"{rater}, {domain}"
    system, regime, pair = known.get(run, (run, "", ""))
    tail = "" if rater in ("selected", None) else f" ({rater})"
    return f"{system}, {regime} {pair}{tail}" if regime else f"{system}{tail}"


def encoders(results: Results) -> Table:
    """What encoded the speech."""
    rows = [
        (
            str(e["name"]),
            str(e.get("kind") or "") + (", fine-tuned" if e.get("fine_tuned") else ""),
            str(e.get("language") or wording.MISSING),
            str(e.get("layers") or ""),
            str(e.get("dim") or ""),
            f"{e['rate']:,} Hz" if e.get("rate") else "",
            str(e.get("pooling") or ""),
            str(e.get("identity") or ""),
        )
        for e in results.record.get("encoders") or []
    ]
    head = ("Encoder", "Kind", "Language", "Layers", "Width", "Rate", "Pooling", "Identity of the weights")
    return table("encoders", "Encoders", "run.json: encoders", head, rows, numeric=(3, 4, 5))


def excluded(results: Results) -> Table:
    """Audio that was left out, and why."""
    rows = [
        (str(x.get("utterance") or ""), str(x.get("reason") or ""), str(x.get("audio") or ""))
        for x in results.record.get("excluded") or []
    ]
    return table("excluded", "Audio left out", "run.json: excluded", ("Utterance", "Reason", "File"), rows)


def manifests(results: Results) -> Table:
    """The files that the corpora came from."""
    rows = [
        (str(c["name"]), str(c.get("manifest") or ""), str(c.get("digest") or ""))
        for c in results.record.get("corpora") or []
    ]
    return table("manifests", "Manifests", "run.json: corpora", ("Corpus", "Manifest", "SHA-256"), rows)


def cells(results: Results) -> Table:
    """What was trained, and how long it took."""
    rows = [
        (
            str(c.get("file") or ""),
            str(c.get("encoder") or ""),
            str(c.get("source") or ""),
            wording.number(c.get("seconds"), 1),
        )
        for c in results.record.get("cells") or []
    ]
    head = ("File", "Encoder", "Trained on", "Seconds")
    return table("cells", "Cells: what was trained together", "run.json: cells", head, rows, numeric=(3,))
