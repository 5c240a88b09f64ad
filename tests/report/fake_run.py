"""A run directory that nobody ran: small, realistic, every table as docs/design.md says."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import predictions
from sibboleth.experiment.pairs import pairs
from sibboleth.runs import RunDirectory, write_table, write_text

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fake:
    """What the invented run was about."""

    domains: tuple[str, ...] = ("de", "en", "nl", "zh")
    encoders: dict[str, int] = field(
        default_factory=lambda: {"logmel": 1, "untrained:wavlm-tiny": 5, "microsoft/wavlm-base": 13}
    )
    """Name to number of layers."""
    labels: tuple[str, ...] = ("angry", "happy", "neutral", "sad")
    regimes: tuple[str, ...] = ("within", "zero-shot", "target-selected")
    kind: str = "classification"
    speakers: int = 8
    per_cell: int = 2
    """Utterances of each speaker and label."""
    synthetic: bool = True
    nan_intervals: bool = False
    slices: bool = True
    comparisons: bool = True
    audio: Path | None = None
    """One audio file that every utterance points to."""
    question: str = "Does a model that learned emotion in one language recognise it in another?"
    findings: bool = True
    fine_tuned: tuple[str, ...] = ()
    probe: str = "linear"
    methods: tuple[str, ...] = ()
    """Ways of fine-tuning that every encoder but `logmel` and its like is put to."""
    shots: tuple[int, ...] = (1, 2, 4)
    """Of few-shot, where it is among the regimes."""
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """One row of cells.parquet."""

    encoder: str
    regime: str
    source: str
    domain: str
    method: str = "linear"
    shots: int | None = None

    @property
    def name(self) -> str:
        return f"{self.encoder}/{self.method}/{self.regime}/{self.source}>{self.domain}"

    @property
    def tuned(self) -> bool:
        return self.method != "linear"


def write_run(path: Path, fake: Fake | None = None) -> RunDirectory:
    """Write a whole run directory and return it."""
    fake = fake or Fake()
    run = RunDirectory(path)
    rng = np.random.default_rng(fake.seed)
    utterances = _utterances(fake, path)
    rows: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    answers = [_references(fake, utterances)]
    for one in _runs(fake):
        part = utterances.filter(pl.col("language") == one.domain)
        answered = _answers(fake, one, part, rng)
        answers.append(answered)
        rows += _layer_scores(fake, one, part)
        rows += _selected_scores(fake, one, part, answered, rng)
        chosen += _selection(fake, one, rng)
    write_table(run / "utterances.parquet", utterances)
    write_table(run / "predictions.parquet", pl.concat(answers))
    write_table(run / "cells.parquet", _cells(fake))
    write_table(run / "selection.parquet", pl.DataFrame(chosen, schema=SELECTION))
    scores = pl.DataFrame(rows, schema=SCORES)
    write_table(run / "scores.parquet", scores)
    write_table(run / "comparisons.parquet", _comparisons(fake, scores))
    if fake.methods:
        write_table(run / "methods.parquet", _methods(fake))
        write_table(run / "learning.parquet", _learning(fake))
    write_text(run / "audit.json", json.dumps(_audit(fake, utterances)))
    run.write(_record(fake, utterances))
    return run


SCORES = {
    "run": pl.String,
    "rater": pl.String,
    "reference": pl.String,
    "target": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "layer": pl.Int32,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}
SELECTION = {
    "run": pl.String,
    "rater": pl.String,
    "fold": pl.String,
    "trial": pl.Int32,
    "layer": pl.Int32,
    "l2": pl.Float64,
    "dev": pl.Float64,
}
COMPARISONS = {
    "family": pl.String,
    "a_run": pl.String,
    "a_rater": pl.String,
    "b_run": pl.String,
    "b_rater": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}


def _runs(fake: Fake) -> Iterator[Run]:
    for encoder, regime in product(fake.encoders, fake.regimes):
        for source, domain in product(fake.domains, fake.domains):
            if (source == domain) != (regime == "within"):
                continue
            if regime not in STAGED:
                yield Run(encoder, regime, source, domain)
            for method in fake.methods if not _control(encoder) else ():
                if regime != "few-shot":
                    yield Run(encoder, regime, source, domain, method)
                else:
                    yield from (Run(encoder, f"few-shot({k})", source, domain, method, k) for k in fake.shots)


STAGED = ("few-shot", "two-stage")


def _cells(fake: Fake) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "run": one.name,
                "encoder": one.encoder,
                "encoder_language": "multi" if "xls" in one.encoder else "en" if "/" in one.encoder else None,
                "control": _control(one.encoder),
                "method": one.method,
                "tuned": one.tuned,
                "alignment": None,
                "regime": one.regime,
                "source": one.source,
                "domain": one.domain,
                "shots": one.shots,
            }
            for one in _runs(fake)
        ],
        schema_overrides={"encoder_language": pl.String, "alignment": pl.String, "shots": pl.Int32},
    )


def _control(encoder: str) -> bool:
    return encoder == "logmel" or encoder.startswith("untrained:")


def _utterances(fake: Fake, path: Path) -> pl.DataFrame:
    rows = []
    for domain, speaker, label, take in product(fake.domains, range(fake.speakers), fake.labels, range(fake.per_cell)):
        number = fake.labels.index(label) * fake.per_cell + take
        name = f"{domain}:{domain}{speaker:02d}_{label}_{take}"
        rows.append(
            {
                "utterance": name,
                "audio": str(fake.audio or path.parent / "corpus" / f"{domain}{speaker:02d}_{label}_{take}.wav"),
                "start": None if fake.audio is None else 0.1 * take,
                "end": None if fake.audio is None else 0.1 * take + 0.4,
                "speaker": f"{domain}:{domain}{speaker:02d}",
                "language": domain,
                "dialect": None,
                "accent": ("north", "south", "west")[speaker % 3],
                "session": None,
                "text": ("Der Lappen liegt auf dem Eisschrank.", "Seven hours from now <it> & that will be it.")[
                    take % 2
                ],
                "corpus": domain,
                "emotion": label,
                "arousal": float(np.sin(number) * 2),
                "seconds": 1.5 + 0.1 * number,
            }
        )
    schema = {"start": pl.Float64, "end": pl.Float64, "dialect": pl.String, "session": pl.String}
    return pl.DataFrame(rows, schema_overrides=schema)


def _quality(fake: Fake, one: Run, layer: int) -> float:
    """How much better than chance, 0 to 1."""
    depth = fake.encoders[one.encoder]
    if one.encoder == "logmel":
        quality = 0.42
    elif one.encoder.startswith("untrained:"):
        quality = 0.30 - 0.03 * layer
    else:
        place = layer / max(depth - 1, 1)
        quality = 0.35 + 0.38 * float(np.exp(-((place - 0.55) ** 2) / 0.08)) + 0.02 * (len(one.encoder) % 5)
    if one.source != one.domain:
        distance = abs(fake.domains.index(one.source) - fake.domains.index(one.domain)) / len(fake.domains)
        quality *= 0.75 - 0.65 * distance
        quality += 0.04 if one.regime == "target-selected" else 0.0
        quality += 0.35 * distance if one.regime == "two-stage" else 0.0
        quality += 0.06 * distance * float(np.log2(2 * one.shots)) if one.shots else 0.0
    if one.tuned:
        quality += 0.06 + 0.05 * fake.methods.index(one.method)
    return quality - 0.02 * fake.domains.index(one.domain) / len(fake.domains)


def _best(fake: Fake, one: Run) -> int:
    return int(np.argmax([_quality(fake, one, layer) for layer in range(fake.encoders[one.encoder])]))


def _answers(fake: Fake, one: Run, part: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    quality = _quality(fake, one, _best(fake, one))
    fixed = {"run": one.name, "source": "model", "rater": "selected", "target": _target(fake)}
    n = part.height
    if fake.kind == "regression":
        value = quality * part["arousal"].to_numpy() + (1 - quality) * rng.normal(size=n)
        return predictions.table({**fixed, "utterance": part["utterance"], "value": value})
    truth = np.array([fake.labels.index(label) for label in part["emotion"]])
    posterior = rng.dirichlet(np.full(len(fake.labels), 0.6), size=n)
    known = rng.random(n) < quality
    posterior[known] = 0.3 * posterior[known] + 0.7 * np.eye(len(fake.labels))[truth[known]]
    posterior /= posterior.sum(axis=1, keepdims=True)
    return predictions.table(
        {
            **fixed,
            "utterance": pl.Series(np.repeat(part["utterance"].to_numpy(), len(fake.labels))),
            "label": pl.Series(list(fake.labels) * n),
            "value": posterior.ravel(),
        }
    )


def _target(fake: Fake) -> str:
    return "emotion" if fake.kind == "classification" else "arousal"


def _references(fake: Fake, utterances: pl.DataFrame) -> pl.DataFrame:
    fixed = {"run": "corpus", "source": "reference", "rater": "corpus", "target": _target(fake)}
    if fake.kind == "regression":
        return predictions.table({**fixed, "utterance": utterances["utterance"], "value": utterances["arousal"]})
    return predictions.table(
        {**fixed, "utterance": utterances["utterance"], "label": utterances["emotion"], "value": 1.0}
    )


def _row(
    fake: Fake, one: Run, rater: str, metric: str, part: str, layer: int | None, *numbers: float
) -> dict[str, Any]:
    estimate, low, high, n, clusters = numbers
    return {
        "run": one.name,
        "rater": rater,
        "reference": "corpus",
        "target": _target(fake),
        "metric": metric,
        "slice": part,
        "layer": layer,
        "estimate": estimate,
        "low": np.nan if fake.nan_intervals else low,
        "high": np.nan if fake.nan_intervals else high,
        "n": int(n),
        "clusters": int(clusters),
    }


def _layer_scores(fake: Fake, one: Run, part: pl.DataFrame) -> list[dict[str, Any]]:
    chance = 1 / len(fake.labels) if fake.kind == "classification" else 0.0
    rows: list[dict[str, Any]] = []
    for layer in () if one.tuned else range(fake.encoders[one.encoder]):
        value = chance + (1 - chance) * _quality(fake, one, layer)
        half = 0.6 * np.sqrt(value * (1 - value) / fake.speakers / 4)
        numbers = (value, value - half, value + half * 0.9, part.height, fake.speakers)
        rows.append(_row(fake, one, f"layer-{layer:02d}", _main(fake), "all", layer, *numbers))
    return rows


def _main(fake: Fake) -> str:
    return "uar" if fake.kind == "classification" else "ccc"


def _selected_scores(
    fake: Fake, one: Run, part: pl.DataFrame, answered: pl.DataFrame, rng: np.random.Generator
) -> list[dict[str, Any]]:
    if fake.kind == "regression":
        value = _quality(fake, one, _best(fake, one))
        numbers = (value, value - 0.1, value + 0.09, part.height, fake.speakers)
        rows = [_row(fake, one, "selected", m, "all", None, *numbers) for m in ("ccc", "pearson")]
        return [
            *rows,
            _row(fake, one, "selected", "mae", "all", None, 1 - value, 0.9 - value, 1.1 - value, *numbers[3:]),
        ]
    decided = predictions.decide(answered).join(part, on="utterance")
    rows = _classified(fake, one, "all", decided, rng)
    if fake.slices:
        for column in ("language", "accent"):
            for value in decided[column].unique().sort():
                piece = decided.filter(pl.col(column) == value)
                rows += _classified(fake, one, f"{column}={value}", piece, rng)
    return rows


def _classified(
    fake: Fake, one: Run, part: str, decided: pl.DataFrame, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Rows of UAR, recall and confusion from counts `[speaker, label, answer]`."""
    speakers = sorted(set(decided["speaker"]))
    many = len(speakers)
    resampled = rng.multinomial(many, np.full(many, 1 / many), size=200)
    counts = np.zeros((many, len(fake.labels), len(fake.labels)))
    for speaker, truth, answer in decided.select("speaker", "emotion", "label").iter_rows():
        counts[speakers.index(speaker), fake.labels.index(truth), fake.labels.index(answer)] += 1
    sums = np.tensordot(np.vstack([np.ones(many), resampled]), counts, axes=1)
    total = sums.sum(axis=2, keepdims=True)
    shares = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    recall = np.diagonal(shares, axis1=1, axis2=2)
    n, clusters = decided.height, len(speakers)
    rows = [_row(fake, one, "selected", "uar", part, None, *_interval(np.nanmean(recall, axis=1)), n, clusters)]
    if part != "all":
        return rows
    accuracy = np.trace(sums, axis1=1, axis2=2) / sums.sum(axis=(1, 2))
    rows.append(_row(fake, one, "selected", "accuracy", part, None, *_interval(accuracy), n, clusters))
    for i, label in enumerate(fake.labels):
        count = counts[:, i].sum()
        rows.append(
            _row(fake, one, "selected", "recall", f"label={label}", None, *_interval(recall[:, i]), count, clusters)
        )
        for j, answer in enumerate(fake.labels):
            name = f"label={label},answer={answer}"
            rows.append(
                _row(fake, one, "selected", "confusion", name, None, *_interval(shares[:, i, j]), count, clusters)
            )
    return rows


def _interval(values: Array) -> tuple[float, float, float]:
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return float(values[0]), float(low), float(high)


def _selection(fake: Fake, one: Run, rng: np.random.Generator) -> list[dict[str, Any]]:
    depth, best = fake.encoders[one.encoder], _best(fake, one)
    if one.tuned:
        chosen = {"run": one.name, "rater": "selected", "trial": 0, "layer": depth - 1, "l2": None, "dev": 0.8}
        return [{**chosen, "fold": f"{i}"} for i in range(5)]
    folds = [int(np.clip(best + shift, 0, depth - 1)) for shift in rng.choice([0, 0, 0, 1, -1], size=5)]
    return [
        {"run": one.name, "rater": "selected", "fold": f"{i}", "trial": 0, "layer": layer, "l2": 0.01, "dev": 0.7}
        for i, layer in enumerate(folds)
    ]


def _comparisons(fake: Fake, scores: pl.DataFrame) -> pl.DataFrame:
    if not fake.comparisons:
        return pl.DataFrame(schema=COMPARISONS)
    main = scores.filter(
        (pl.col("metric") == _main(fake)) & (pl.col("slice") == "all") & (pl.col("rater") == "selected")
    )
    value = dict(main.select("run", "estimate").iter_rows())
    rows = []
    for one in _runs(fake):
        if one.regime == "zero-shot":
            within = Run(one.encoder, "within", one.domain, one.domain, one.method)
            rows.append(_compared(fake, "within - zero-shot", within.name, one.name, value))
        if (
            not one.tuned
            and not _control(one.encoder)
            and one.regime != "target-selected"
            and "logmel" in fake.encoders
        ):
            control = Run("logmel", one.regime, one.source, one.domain)
            rows.append(_compared(fake, "encoder - control", one.name, control.name, value))
    rows += _tuned_comparisons(fake, value)
    frame = pl.DataFrame(rows, schema=COMPARISONS)
    corrected = (pl.col("p") * pl.len().over("family")).clip(0, 1)  # Bonferroni: no test needs the order of p
    return frame.with_columns(corrected.alias("p_holm"))


def _tuned_comparisons(fake: Fake, value: dict[str, float]) -> list[dict[str, Any]]:
    """Compare in the families of `experiment.pairs` that only methods have."""
    wanted = (pair for pair in pairs(_cells(fake)) if pair[0].startswith(("methods", "two-stage", "few-shot")))
    return [_compared(fake, family, a, b, value) for family, a, _, b, _ in wanted]


def _tuned(fake: Fake) -> list[tuple[str, str]]:
    return [(encoder, method) for encoder, method in product(fake.encoders, fake.methods) if not _control(encoder)]


def _methods(fake: Fake) -> pl.DataFrame:
    rows = []
    for encoder, method in _tuned(fake):
        place, layers = fake.methods.index(method), fake.encoders[encoder] - 1
        parts = {method: 884_736 * (1 + 9 * place), "head": 100_564}
        rows.append(
            {
                "encoder": encoder,
                "method": method,
                "kept": layers,
                "lowest": 0,
                "trained": sum(parts.values()),
                "total": 94_000_000,
                "parts": json.dumps(parts),
                "matched": fake.methods[0] if place == 2 else None,
                "fits": 5 * len(fake.domains),
                "epochs": 11.4 + place,
                "seconds": 5000.0 * (place + 1),
                "seconds_per_epoch": 42.25 * (place + 1),
                "memory": None if place == 1 else 3_221_225_472,
                "device": "cpu",
                "bits": "float32",
            }
        )
    return pl.DataFrame(rows, schema_overrides={"memory": pl.Int64, "matched": pl.String, "fits": pl.Int32})


def _learning(fake: Fake) -> pl.DataFrame:
    rows = []
    stages = (1, 2) if "two-stage" in fake.regimes else (1,)
    for (encoder, method), stage, fold, epoch in product(_tuned(fake), stages, range(3), range(1, 9)):
        dev_loss = 1.4 / stage * float(np.exp(-epoch / 3)) + 0.02 * epoch + 0.05 * fold
        rows.append(
            {
                "encoder": encoder,
                "method": method,
                "source": fake.domains[0],
                "then": fake.domains[-1] if stage == 2 else None,
                "shots": None,
                "fold": f"{fold}",
                "trial": 0,
                "stage": stage,
                "epoch": epoch,
                "loss": 1.4 / stage * float(np.exp(-epoch / 2)),
                "dev_loss": dev_loss,
                "dev": 0.6,
                "rate": 1e-3,
                "selected": epoch == 6,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"shots": pl.Int32, "then": pl.String})


def _compared(fake: Fake, family: str, a: str, b: str, value: dict[str, float]) -> dict[str, Any]:
    difference = value[a] - value[b]
    return {
        "family": family,
        "a_run": a,
        "a_rater": "selected",
        "b_run": b,
        "b_rater": "selected",
        "metric": _main(fake),
        "slice": "all",
        "difference": difference,
        "low": difference - 0.09,
        "high": difference + 0.08,
        "p": max(float(np.exp(-abs(difference) / 0.02)), 2 / 2**fake.speakers, 1 / 2001),
        "n": len(fake.labels) * fake.speakers * fake.per_cell,
        "clusters": fake.speakers,
    }


def _audit(fake: Fake, utterances: pl.DataFrame) -> list[dict[str, Any]]:
    if not fake.findings:
        return []
    names = utterances["utterance"].head(50).to_list()
    return [
        _finding(
            "identical-audio",
            "error",
            "3 utterances have the same audio as another utterance.",
            "A copy in train and test lets the probe recall instead of recognise: scores are too high.",
            names[:3],
            3,
            True,
        ),
        _finding(
            "shared-sentences",
            "warning",
            "Every sentence of the test speakers was also heard in training.",
            "Scores say how well emotion is recognised in known sentences, not in new ones.",
            names,
            utterances.height,
            False,
        ),
        _finding(
            "few-clusters",
            "warning",
            f"{fake.speakers} speakers in each domain.",
            "Intervals from fewer than 10 speakers are too narrow.",
            [],
            0,
            False,
        ),
        _finding("constant-column", "note", "Column 'session' is empty.", "Nothing.", [], 0, False),
    ]


def _finding(
    name: str, grade: str, message: str, effect: str, utterances: Sequence[str], count: int, allowed: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "grade": grade,
        "message": message,
        "effect": effect,
        "count": count,
        "utterances": list(utterances),
        "allowed": allowed,
    }


def _record(fake: Fake, utterances: pl.DataFrame) -> dict[str, Any]:
    study = {
        "name": "fake",
        "question": fake.question,
        "domain": "language",
        "probe": {"kind": fake.probe},
        "methods": [{"name": name} for name in fake.methods],
        "shots": list(fake.shots),
        "statistics": {"resamples": 2000, "confidence": 0.95, "slices": ["language", "accent"]},
        "report": {"title": None, "audio": "link" if fake.audio else "none", "examples": 12},
    }
    return {
        "name": "fake",
        "question": fake.question,
        "status": "complete",
        "command": "sibboleth run study.toml",
        "started": "2026-05-04T09:12:03+00:00",
        "finished": "2026-05-04T09:14:41+00:00",
        "seed": 7,
        "study": study,
        "versions": {"sibboleth": "0.1.0", "python": "3.11.9", "polars": "2.1.0", "torch": "2.13.0"},
        "corpora": [_corpus(fake, domain, utterances) for domain in fake.domains],
        "encoders": [
            {
                "name": name,
                "language": "en" if "/" in name else None,
                "identity": f"{name}@sha256:{'0123456789abcdef' * 4}",
                "kind": "control" if _control(name) else "checkpoint",
                "fine_tuned": name in fake.fine_tuned,
                "notes": ["it was trained with labels (ForCTC)"] if name in fake.fine_tuned else [],
                "layers": depth,
                "dim": 768,
                "rate": 16000,
                "pooling": "mean",
            }
            for name, depth in fake.encoders.items()
        ],
        "target": {"name": _target(fake), "kind": fake.kind, "labels": list(fake.labels)}
        if fake.kind == "classification"
        else {"name": _target(fake), "kind": fake.kind, "labels": []},
        "main_metric": _main(fake),
        "chance": 1 / len(fake.labels) if fake.kind == "classification" else 0.0,
        "domain": "language",
        "domains": list(fake.domains),
        "cells": [
            {"file": f"cells/{i:03d}.parquet", "encoder": e, "source": d, "seconds": 1.5 + i}
            for i, (e, d) in enumerate(product(fake.encoders, fake.domains))
        ],
        "excluded": [
            {
                "utterance": "de:broken",
                "audio": "/data/corpus/broken.wav",
                "reason": "cannot be decoded: not a WAV file",
            }
        ]
        if fake.findings
        else [],
    }


def _corpus(fake: Fake, domain: str, utterances: pl.DataFrame) -> dict[str, Any]:
    part = utterances.filter(pl.col("corpus") == domain)
    return {
        "name": domain,
        "manifest": f"/data/{domain}/manifest.csv",
        "digest": "9f" * 32,
        "utterances": part.height,
        "speakers": part["speaker"].n_unique(),
        "hours": part["seconds"].sum() / 3600,
        "synthetic": fake.synthetic,
        "labels": _relabelled(part) if fake.kind == "classification" else [],
    }


def _relabelled(part: pl.DataFrame) -> list[dict[str, Any]]:
    """Say that angry is called wut by the corpus, and that it has a label that nobody asked for."""
    counts = dict(part["emotion"].value_counts(sort=True).iter_rows())
    told = [
        {"label": "wut" if label == "angry" else label, "here": label, "used": used, "left_out": 1}
        for label, used in sorted(counts.items())
    ]
    return [*told, {"label": "calm", "here": None, "used": 0, "left_out": 80}]
