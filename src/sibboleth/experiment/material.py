"""What a study works on: its corpora as one table, scanned, with every row that was left out and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import audio, corpus, predictions, splits, storage
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.study import CorpusSettings, Study
from sibboleth.targets import Target

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """The utterances of a study, ready to be split and encoded."""

    study: Study
    corpora: tuple[Corpus, ...]
    table: pl.DataFrame
    """The merged corpus table, usable rows only, in canonical order (sorted by utterance)."""
    scan: pl.DataFrame
    """What `audio.scan` found, the same rows in the same order."""
    target: Target
    excluded: pl.DataFrame
    """Rows left out: utterance, audio, reason."""

    def truth(self) -> Array:
        """Return what is to be predicted: label weights `[utterance, label]`, or numbers `[utterance, 1]`."""
        return truth(self.table, self.target)


def gather(study: Study) -> Material:
    """Read, map, merge and scan the corpora of a study.

    Raises `InvalidInput` with every bad row, an absent column, or a label map that matches nothing.
    """
    corpora = tuple(_read(settings) for settings in study.corpora)
    for settings, one in zip(study.corpora, corpora, strict=True):
        _require_columns(settings, one, study)
    mapped = [_mapped(settings, one, study.target.column) for settings, one in zip(study.corpora, corpora, strict=True)]
    merged = corpus.merge(mapped).sort("utterance")
    target, labelled = _labelled(merged, study)
    in_domain = labelled.with_columns(
        pl.coalesce(
            pl.col("left_out"),
            pl.when(pl.col(study.domain).is_null()).then(pl.lit(f"no value in the domain column {study.domain!r}")),
        ).alias("left_out")
    )
    candidates = in_domain.filter(pl.col("left_out").is_null()).drop("left_out")
    if candidates.is_empty():
        reasons = in_domain.group_by("left_out").len().sort("len", descending=True).rows()
        told = "; ".join(f"{count} rows: {reason}" for reason, count in reasons)
        raise InvalidInput(f"no utterance is left for the study. {told}")
    if study.splits.balance:
        candidates = splits.balanced(candidates, target.name, study.splits.balance, study.seed)
    scan = audio.scan(candidates, store=storage.scans())
    usable = (scan["status"] == "ok").to_numpy()
    unheard = candidates.select("utterance", "audio").with_columns(scan["reason"].alias("reason")).filter(~usable)
    silent = in_domain.filter(pl.col("left_out").is_not_null()).select("utterance", "audio", reason="left_out")
    table = candidates.filter(usable)
    if table.is_empty():
        raise InvalidInput(
            "no utterance has usable audio",
            [Problem(row[1], row[2]) for row in unheard.rows()],
        )
    return Material(study, corpora, table, scan.filter(usable), target, pl.concat([unheard, silent]))


def truth(table: pl.DataFrame, target: Target) -> Array:
    """Return label weights `[utterance, label]`, or numbers `[utterance, 1]` for a regression target."""
    if target.kind != "classification":
        return table[target.name].cast(pl.Float64).to_numpy().reshape(-1, 1)
    soft = _soft_columns(table.columns, target.name)
    if soft:
        weights = table.select(
            pl.col(soft[label]).cast(pl.Float64).fill_null(0.0) for label in target.labels
        ).to_numpy()
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))
    index = {label: position for position, label in enumerate(target.labels)}
    codes = np.array([index[label] for label in table[target.name]])
    return np.asarray(np.eye(len(target.labels))[codes])


def reference(material: Material) -> pl.DataFrame:
    """Return the corpus's own labels as predictions of source `reference`."""
    utterances, weights = material.table["utterance"], material.truth()
    labels: Sequence[str | None] = material.target.labels or (None,)
    rows, columns = np.nonzero(weights) if material.target.labels else np.nonzero(np.ones_like(weights))
    table = predictions.table(
        {
            "run": "corpus",
            "source": "reference",
            "rater": "corpus",
            "utterance": utterances.gather(rows),
            "target": material.target.name,
            "label": pl.Series(labels, dtype=pl.String).gather(columns),
            "value": weights[rows, columns],
        }
    )
    return table.sort(predictions.KEY)


def _read(settings: CorpusSettings) -> Corpus:
    return corpus.read(
        settings.manifest, name=settings.name, columns=settings.columns or None, language=settings.language
    )


def _require_columns(settings: CorpusSettings, one: Corpus, study: Study) -> None:
    there = set(one.table.columns)
    soft = _soft_columns(one.table.columns, study.target.column)
    wanted = [("keep", column) for column in settings.keep]
    if not soft:
        wanted.append(("target.column", study.target.column))
    if study.domain != "corpus":
        wanted.append(("domain", study.domain))
    problems = [
        Problem(str(settings.manifest), f"no column {column!r}, asked for by {field} of the study", field=column)
        for field, column in wanted
        if column not in there
    ]
    if problems:
        raise InvalidInput(
            f"corpus {settings.name!r}: columns are missing; there are {', '.join(sorted(there))}", problems
        )


def _mapped(settings: CorpusSettings, one: Corpus, column: str) -> Corpus:
    """Keep the rows asked for and translate this corpus's labels."""
    table = one.table
    for name, values in settings.keep.items():
        kept = table.filter(pl.col(name).cast(pl.String).is_in(values))
        if kept.is_empty():
            there = ", ".join(table[name].cast(pl.String).drop_nulls().unique().sort().head(20).to_list())
            raise InvalidInput(f"corpus {settings.name!r}: keep leaves no row; {name} has the values {there}")
        table = kept
    if settings.labels:
        known = table[column].cast(pl.String).drop_nulls().unique().sort().to_list()
        unknown = sorted(set(settings.labels) - set(known))
        if unknown:
            raise InvalidInput(
                f"corpus {settings.name!r}: labels names {', '.join(unknown)}, "
                f"which column {column!r} never has; it has {', '.join(known)}"
            )
        table = table.with_columns(pl.col(column).cast(pl.String).replace(settings.labels))
    return Corpus(one.name, table, one.source, one.digest)


def _soft_columns(columns: Sequence[str], target: str) -> dict[str, str]:
    """Find columns `TARGET.LABEL`, which hold the weight of a label."""
    return {name.removeprefix(f"{target}."): name for name in columns if name.startswith(f"{target}.")}


def _labelled(table: pl.DataFrame, study: Study) -> tuple[Target, pl.DataFrame]:
    """Add `left_out`, the reason why a row has no usable label; null where it has one."""
    name = study.target.column
    if study.target.kind == "regression":
        return study.target.target(()), _numbered(table, name)
    soft = _soft_columns(table.columns, name)
    if soft:
        table = _heaviest(table, name, soft)
    table = table.with_columns(pl.col(name).cast(pl.String))
    labels = study.target.labels or tuple(table[name].drop_nulls().unique().sort().to_list())
    reason = (
        pl.when(pl.col(name).is_null())
        .then(pl.lit(f"no label in column {name!r}"))
        .when(~pl.col(name).is_in(labels))
        .then(pl.format("label {} is not asked for", pl.col(name)))
    )
    absent = sorted(set(labels) - set(table[name].drop_nulls()))
    if absent:
        there = ", ".join(table[name].drop_nulls().unique().sort().to_list())
        raise InvalidInput(f"target.labels names {', '.join(absent)}, which no corpus has; there are: {there}")
    if len(labels) < 2:
        raise InvalidInput(
            f"the target {name!r} has only one label ({', '.join(labels) or 'none'}): nothing to tell apart"
        )
    return study.target.target(labels), table.with_columns(reason.alias("left_out"))


def _heaviest(table: pl.DataFrame, name: str, soft: dict[str, str]) -> pl.DataFrame:
    """Fill the hard label from the soft ones: the heaviest, or null where there is no weight."""
    columns = list(soft.values())
    table = table.with_columns(pl.col(columns).cast(pl.Float64, strict=False))
    labels = pl.Series(list(soft))
    weights = table.select(pl.col(columns).fill_null(0.0)).to_numpy()
    heaviest = labels.gather(weights.argmax(axis=1).tolist())
    return table.with_columns(pl.when(pl.Series(weights.sum(axis=1) > 0)).then(heaviest).alias(name))


def _numbered(table: pl.DataFrame, name: str) -> pl.DataFrame:
    numbers = table[name].cast(pl.Float64, strict=False)
    bad = table.filter(table[name].is_not_null() & numbers.is_null())
    if not bad.is_empty():
        problems = [
            Problem(f"utterance {row['utterance']}", f"{row[name]!r} is not a number", field=name)
            for row in bad.iter_rows(named=True)
        ]
        raise InvalidInput(f"the target {name!r} is a regression target but not all its values are numbers", problems)
    left_out = pl.when(pl.col(name).is_null() | ~pl.col(name).is_finite()).then(pl.lit(f"no number in column {name!r}"))
    return table.with_columns(numbers.alias(name)).with_columns(left_out.alias("left_out"))
