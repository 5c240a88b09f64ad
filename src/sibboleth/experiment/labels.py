"""What is to be predicted: hard labels, soft labels and numbers, from the columns of a corpus table."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import texts
from sibboleth.corpus.sheets import KEPT
from sibboleth.errors import InvalidInput, Problem
from sibboleth.experiment import timelines
from sibboleth.study import Study
from sibboleth.targets import Target

Array = npt.NDArray[np.float64]

MOST = 2**30
"""Label weights, one for every utterance and label, above which a target is refused: 8 GiB."""


def soft_columns(columns: Sequence[str], target: str) -> dict[str, str]:
    """Find the columns `TARGET.LABEL`, which hold the weight of a label; returns label to column."""
    return {name.removeprefix(f"{target}."): name for name in columns if name.startswith(f"{target}.")}


def translated(table: pl.DataFrame, target: str, labels: Mapping[str, str], corpus: str) -> pl.DataFrame:
    """Give one corpus's labels, hard and soft, the study's names; soft labels of one name are added.

    Raises `InvalidInput` for a label that the corpus does not have.
    """
    if not labels:
        return table
    soft = soft_columns(table.columns, target)
    hard = table[target].cast(pl.String).drop_nulls().unique().to_list() if target in table.columns else []
    known = sorted({*hard, *soft})
    if unknown := sorted(set(labels) - set(known)):
        raise InvalidInput(
            f"corpus {corpus!r}: labels names {', '.join(unknown)}, which {target!r} never is; it is {', '.join(known)}"
        )
    if target in table.columns:
        table = table.with_columns(pl.col(target).cast(pl.String).replace(dict(labels)))
    sums: dict[str, list[str]] = {}
    for label, column in soft.items():
        sums.setdefault(labels.get(label, label), []).append(column)
    added = [
        pl.sum_horizontal(pl.col(columns).cast(pl.Float64, strict=False)).alias(f"{target}.{label}")
        for label, columns in sums.items()
    ]
    return table.select(pl.exclude(list(soft.values())), *added)


def labelled(table: pl.DataFrame, study: Study) -> tuple[Target, pl.DataFrame]:
    """Add `left_out`, the reason why a row has no usable label; null where it has one.

    Raises `InvalidInput` for labels that no corpus has, or values of a regression target that are no numbers.
    """
    name = study.target.column
    if study.target.kind == "segmentation":
        return timelines.labelled(table, study)
    if study.target.kind == "transcription":
        return study.target.target(()), _written(table, name, study.target.normalisation)
    if study.target.kind == "regression":
        return study.target.target(()), _numbered(table, name)
    table = heaviest(table, name)
    there = table[name].drop_nulls().unique().sort().to_list()
    labels = study.target.labels or tuple(there)
    if absent := sorted(set(labels) - set(there)):
        raise InvalidInput(
            f"target.labels names {', '.join(absent)}, which no corpus has; there are: {', '.join(there)}"
        )
    if len(labels) < 2:
        told = ", ".join(labels) or "none"
        raise InvalidInput(f"the target {name!r} has only one label ({told}): nothing to tell apart")
    if len(labels) * len(table) > MOST:
        raise InvalidInput(
            f"the target {name!r} has {len(labels)} different labels over {len(table)} utterances, too many to tell "
            f"apart ({', '.join(labels[:3])}, ...); is it the right column? Name the labels to keep in target.labels"
        )
    reason = (
        pl.when(pl.col(name).is_null())
        .then(pl.lit(f"no label in column {name!r}"))
        .when(~pl.col(name).is_in(labels))
        .then(pl.format("label {} is not asked for", pl.col(name)))
    )
    return study.target.target(labels), table.with_columns(reason.alias("left_out"))


def truth(table: pl.DataFrame, target: Target) -> Array:
    """Return label weights `[utterance, label]`, or numbers `[utterance, 1]` for a regression target.

    A row with soft labels has their shares, a row without has its hard label.
    """
    if target.kind != "classification":
        return table[target.name].cast(pl.Float64).to_numpy().reshape(-1, 1)
    positions = table[target.name].replace_strict(target.labels, range(len(target.labels)), return_dtype=pl.Int64)
    weights = np.eye(len(target.labels))[positions.to_numpy()]
    soft = soft_columns(table.columns, target.name)
    if soft:
        shares = _weights(table, [soft.get(label) for label in target.labels])
        total = shares.sum(axis=1, keepdims=True)
        weights = np.where(total > 0, shares / np.where(total > 0, total, 1), weights)
    return np.asarray(weights, dtype=np.float64)


def _written(table: pl.DataFrame, name: str, normalisation: str) -> pl.DataFrame:
    """Normalise texts; what they were is kept as `written`."""
    written = table[name].cast(pl.String)
    plain = pl.Series(name, texts.normalise(written.fill_null("").to_list(), normalisation), pl.String)
    nothing = pl.format("normalisation {} leaves no text of {}", pl.lit(normalisation), pl.col("written"))
    reason = (
        pl.when(pl.col("written").is_null())
        .then(pl.lit(f"no text in column {name!r}"))
        .when(pl.col(name) == "")
        .then(nothing)
    )
    return table.with_columns(plain, written.alias("written")).with_columns(reason.alias("left_out"))


def heaviest(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Fill the hard label from the soft ones where they have weight: the heaviest, the first of equals."""
    hard = pl.col(name).cast(pl.String) if name in table.columns else pl.lit(None, pl.String)
    table = table.with_columns(hard.alias(name))
    soft = soft_columns(table.columns, name)
    if not soft:
        return table
    weights = _weights(table, list(soft.values()))
    first = pl.Series(list(soft)).gather(weights.argmax(axis=1))
    has_weight = pl.Series(weights.sum(axis=1) > 0)
    return table.with_columns(pl.when(has_weight).then(first).otherwise(pl.col(name)).alias(name))


def _weights(table: pl.DataFrame, columns: Sequence[str | None]) -> Array:
    """Return soft labels `[utterance, column]`, zero where there is none; raises `InvalidInput` for a bad weight."""
    picked = [pl.lit(None, pl.Float64) if c is None else pl.col(c).cast(pl.Float64, strict=False) for c in columns]
    frame = table.select("utterance", *(one.alias(str(number)) for number, one in enumerate(picked)))
    problems, count = [], 0
    for number, column in enumerate(columns):
        if column is not None:
            good = (frame[str(number)].is_finite() & (frame[str(number)] >= 0)).fill_null(False)
            bad = table.filter(table[column].is_not_null() & ~good)
            count += len(bad)
            problems += _told(bad, column, "is not a weight (a number from 0 on)")
    if problems:
        raise InvalidInput(f"soft labels must be weights, and {count} are not", problems[:KEPT])
    return frame.drop("utterance").fill_null(0.0).to_numpy()


def _numbered(table: pl.DataFrame, name: str) -> pl.DataFrame:
    numbers = table[name].cast(pl.Float64, strict=False)
    bad = table.filter(table[name].is_not_null() & numbers.is_null())
    if not bad.is_empty():
        problems = _told(bad, name, "is not a number")
        raise InvalidInput(
            f"the target {name!r} is a regression target but {len(bad)} of its values are not numbers", problems
        )
    left_out = pl.when(pl.col(name).is_null() | ~pl.col(name).is_finite()).then(pl.lit(f"no number in column {name!r}"))
    return table.with_columns(numbers.alias(name)).with_columns(left_out.alias("left_out"))


def _told(bad: pl.DataFrame, column: str, message: str) -> list[Problem]:
    """Name the first `KEPT` rows and their values."""
    rows = bad.head(KEPT).select("utterance", column).iter_rows()
    return [Problem(f"utterance {utterance}", f"{value!r} {message}", field=column) for utterance, value in rows]
