"""The directory of a run about segments that nobody ran: two encoders, baselines, and simulated listeners."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile

from sibboleth import predictions, scores
from sibboleth.experiment.panels import GROUPS
from sibboleth.runs import RunDirectory, write_table, write_text
from sibboleth.scores import people
from sibboleth.scores.segmentation import error_seconds, label_seconds
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

Segments = list[tuple[float, float, str]]
LABELS = ("angry", "sad")
TARGET = Target(name="emotion", kind="segmentation", labels=LABELS)
STATISTICS = StatisticsSettings(resamples=100)
SECONDS = 4.0
DOMAINS = ("de", "nl")
SPEAKERS, TAKES = 10, 1


def rows(run: str, rater: str, said: dict[str, Segments], source: str = "model", layer: int | None = None) -> Any:
    """Predictions of one rater: segments, and how long each recording is."""
    flat = [(u, *one) for u, several in said.items() for one in (*several, (0.0, SECONDS, None))]
    columns = dict(zip(("utterance", "start", "end", "label"), map(list, zip(*flat, strict=True)), strict=True))
    common = {"run": run, "source": source, "rater": rater, "target": "emotion", "value": 1.0, "layer": layer}
    return predictions.table({**common, **columns})


def true_of(name: str) -> Segments:
    """Half of the recording or more is labelled."""
    number, start = int(name[-1]) + int(name[-3]), 0.5 if name.startswith("nl") else 2.0
    return [(start, SECONDS, LABELS[number % 2])] if number % 3 else [(0.0, 2.0, "angry"), (3.0, SECONDS, "sad")]


def shifted(segments: Segments, late: float) -> Segments:
    return [(start + late, min(end + late, SECONDS), label) for start, end, label in segments if start + late < SECONDS]


def own(name: str) -> float:
    """How much later one utterance is answered than others: the worst is Dutch."""
    return 0.02 * int(name[-3]) + 0.2 * (name == "nl:s3_0")


def write_run(folder: Path, *, audio: bool = True, heard: bool = True, domains: tuple[str, ...] = DOMAINS) -> Any:
    """Write the directory of a run about segments: two encoders, within and zero-shot, baselines and listeners."""
    run = RunDirectory(folder / "run")
    names = {d: [f"{d}:s{s}_{t}" for s in range(SPEAKERS) for t in range(TAKES)] for d in domains}
    every = [name for several in names.values() for name in several]
    clusters = {name: name.partition("_")[0] for name in every}
    path = folder / "speech.wav"
    soundfile.write(path, 0.2 * np.sin(np.arange(8000 * 4) / 9) * np.linspace(0, 1, 8000 * 4), 8000)
    utterances = pl.DataFrame(
        {
            "utterance": every,
            "audio": str(path) if audio else str(folder / "gone.wav"),
            "start": pl.Series([None] * len(every), dtype=pl.Float64),
            "end": pl.Series([None] * len(every), dtype=pl.Float64),
            "speaker": [clusters[name] for name in every],
            "language": [name[:2] for name in every],
            "corpus": [name[:2] for name in every],
            "text": "",
            "seconds": SECONDS,
        }
    )
    reference = rows("corpus", "corpus", {name: true_of(name) for name in every}, "reference")
    cells, answers, chosen = [], [], []
    for encoder, late in (("a/wavlm", 0.2), ("logmel", 0.9)):
        for source in domains:
            for domain in domains:
                regime = "within" if source == domain else "zero-shot"
                name = f"{encoder}/frames/{regime}/{source}>{domain}"
                off = late + 0.3 * (source != domain)
                said = {u: shifted(true_of(u), off + own(u)) for u in names[domain]}
                cells.append(_cell(name, encoder, regime, source, domain))
                answers.append(rows(name, "selected", said))
                for layer in range(1 if encoder == "logmel" else 3):
                    worse = {u: shifted(true_of(u), off + 0.4 * abs(layer - 1)) for u in names[domain]}
                    answers.append(rows(name, f"layer-{layer:02d}", worse, layer=layer))
                    chosen.append({"run": name, "rater": "selected", "fold": f"f{layer}", "trial": 0, "layer": 1})
    baselines = [
        rows(f"baseline>{d}", rater, {u: said(u) for u in names[d]})
        for d in domains
        for rater, said in {
            "no segments": lambda u: [],
            "each utterance's label throughout": lambda u: [(0.0, SECONDS, true_of(u)[0][2])],
        }.items()
    ]
    given, known = pl.concat(answers), pl.concat(baselines)
    leading = pl.concat([given.filter(pl.col("rater") == "selected"), known])
    pairs = [
        (f"models against no segments, {c['regime']}", c["run"], "selected", f"baseline>{c['domain']}", "no segments")
        for c in cells
    ]
    asked = {"clusters": clusters, "statistics": STATISTICS}
    write_table(run / "utterances.parquet", utterances)
    write_table(run / "predictions.parquet", pl.concat([reference, given]))
    write_table(run / "cells.parquet", pl.DataFrame(cells, schema_overrides={"shots": pl.Int32, "seconds": pl.Float64}))
    write_table(run / "selection.parquet", pl.DataFrame(chosen))
    write_table(run / "scores.parquet", scores.score(given, reference, TARGET, **asked))
    write_table(run / "baselines.parquet", scores.score(known, reference, TARGET, **asked))
    write_table(run / "baseline-comparisons.parquet", scores.compare(leading, reference, TARGET, pairs, **asked))
    write_table(run / "error-seconds.parquet", error_seconds(leading, reference, TARGET))
    write_table(run / "label-seconds.parquet", label_seconds(leading, reference, TARGET))
    if heard:
        _listen(run, names["de"], reference, asked)
    write_text(run / "audit.json", "[]")
    run.write(_record(domains, utterances))
    return run


def _listen(run: RunDirectory, names: list[str], reference: pl.DataFrame, asked: dict[str, Any]) -> None:
    """Let two listeners answer, the second a little later than the first."""
    said = [{u: shifted(true_of(u), 0.05 + 0.1 * k + own(u)) for u in names} for k in range(2)]
    heard = pl.concat([rows("panel", f"p{k}", one, "simulated") for k, one in enumerate(said)])
    write_table(run / "listeners.parquet", heard)
    named = heard.with_columns(pl.lit("panel>de").alias("run"))
    groups = {("panel>de", "2 people"): [("panel>de", "p0"), ("panel>de", "p1")]}
    scored = scores.score(named, reference, TARGET, groups=groups, **asked)
    write_table(run / "listeners-scores.parquet", scored.with_columns(pl.lit("de").alias("domain")))
    for name, made in (("error-seconds", error_seconds), ("label-seconds", label_seconds)):
        more = made(named, reference, TARGET, groups).with_columns(source=pl.lit("simulated"))
        write_table(run / f"{name}.parquet", pl.concat([run.table(name), more], how="diagonal"))
    models = [{**_beside(regime, source), "domain": "de"} for regime, source in (("within", "de"), ("zero-shot", "nl"))]
    called = pl.DataFrame(models).select("of", "run")
    answered = (
        run.table("predictions").filter(pl.col("rater") == "selected").rename({"run": "of"}).join(called, on="of")
    )
    answers = pl.concat([heard, answered.select(heard.columns)])
    made = people.beside(answers, reference, TARGET, domains=dict.fromkeys(names, "de"), **asked)
    placed = [pl.lit("language").alias("axis"), pl.lit("people").alias("kind")]
    for field in dataclasses.fields(made):
        write_table(run / f"people-{field.name}.parquet", getattr(made, field.name).with_columns(placed))
    write_table(run / "people-models.parquet", pl.DataFrame(models))
    write_table(run / "people.parquet", pl.DataFrame({"rater": ["p0", "p1"]}))
    write_table(run / "people-groups.parquet", pl.DataFrame(schema={**GROUPS}))


def _beside(regime: str, source: str) -> dict[str, Any]:
    told = {"run": f"a/wavlm/frames/{regime}", "rater": "selected", "encoder": "a/wavlm", "method": "frames"}
    of = f"a/wavlm/frames/{regime}/{source}>de"
    return {**told, "regime": regime, "tuned": False, "control": False, "source": source, "of": of, "sources": 1}


def _cell(run: str, encoder: str, regime: str, source: str, domain: str) -> dict[str, Any]:
    told = {"run": run, "encoder": encoder, "control": encoder == "logmel", "method": "frames", "tuned": False}
    return {**told, "alignment": None, "regime": regime, "source": source, "domain": domain, "shots": None}


def _record(domains: tuple[str, ...], utterances: pl.DataFrame) -> dict[str, Any]:
    encoders = [
        {"name": name, "language": None, "kind": kind, "layers": layers, "pooling": "frames", "rate": 16000}
        for name, kind, layers in (("a/wavlm", "checkpoint", 3), ("logmel", "control", 1))
    ]
    study = {
        "domain": "language",
        "probe": {"kind": "frames"},
        "target": {"column": "emotion", "kind": "segmentation", "background": "neutral", "collar": 0.0},
        "statistics": {"resamples": 100, "confidence": 0.95},
        "report": {"audio": "link", "examples": 6},
    }
    return {
        "name": "fake",
        "question": "Which emotion appears when?",
        "status": "complete",
        "study": study,
        "corpora": [{"name": d, "utterances": 8, "speakers": SPEAKERS, "hours": 0.01} for d in domains],
        "encoders": encoders,
        "target": {"name": "emotion", "kind": "segmentation", "labels": list(LABELS)},
        "main_metric": "eder",
        "chance": None,
        "domain": "language",
        "domains": list(domains),
        "versions": {"sibboleth": "0"},
        "started": None,
        "finished": None,
        "command": "",
        "seed": 0,
        "excluded": [],
        "cells": [],
    }
