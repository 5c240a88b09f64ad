"""Segmentations: errors in seconds, and people scored against one another, which is the ceiling of any model."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from sibboleth import metrics, predictions
from sibboleth.metrics import Alignment, segmentation
from sibboleth.metrics.segmentation import Answers
from sibboleth.scores.groups import Groups, Name, members
from sibboleth.scores.raters import raters
from sibboleth.scores.scoring import SCHEMA, score_aligned
from sibboleth.scores.slices import Clusters, Codes
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

SECONDS: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "rater": pl.String,
    "layer": pl.Int32,
    **dict.fromkeys((*segmentation.PARTS, "errors", "seconds"), pl.Float64),
}
LABEL_SECONDS: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "rater": pl.String,
    "layer": pl.Int32,
    "label": pl.String,
    "seconds": pl.Float64,
    "right": pl.Float64,
    **dict.fromkeys(segmentation.PARTS, pl.Float64),
}
OTHERS = "each of the others"
"""Rater of the reference where people are scored against one another."""


def error_seconds(
    answers: pl.DataFrame, reference: pl.DataFrame, target: Target, groups: Groups | None = None
) -> pl.DataFrame:
    """Return a row of `SECONDS` for every rater and group: each part of the errors, their sum, and what was scored."""
    aligned = metrics.align(answers, reference, target)
    assert isinstance(aligned.answers, Answers)
    parts = segmentation.seconds(aligned.answers)
    table = []
    for run, rater, layer, rows in _everybody(aligned, groups or {}):
        sums = parts[rows].sum(axis=0)
        errors = segmentation.error_seconds(sums)
        table.append((run, rater, layer, *errors.tolist(), float(errors.sum()), float(sums[-3])))
    return pl.DataFrame(table, schema=SECONDS, orient="row")


def _everybody(aligned: Alignment, groups: Groups) -> Iterator[tuple[str, str, int | None, Codes]]:
    """Yield run, rater, layer and rows of every rater and group."""
    yield from raters(aligned.keys)
    for (run, rater), (rows, _) in members(aligned.keys, groups).items():
        yield run, rater, None, rows


def label_seconds(
    answers: pl.DataFrame, reference: pl.DataFrame, target: Target, groups: Groups | None = None
) -> pl.DataFrame:
    """Return a row of `LABEL_SECONDS` for every rater, group and label: its seconds, those right, and its errors.

    `missed` and `confused` are of the label that is true, `false_alarm` and `overlap` of the label that was answered;
    added over labels they are all errors but those of answers outside the label set. Where there is no label, there
    are only seconds and those that are right.
    """
    aligned = metrics.align(answers, reference, target)
    assert isinstance(aligned.answers, Answers)
    parts = segmentation.seconds(aligned.answers)
    table = [
        (run, rater, layer, label, *found)
        for run, rater, layer, rows in _everybody(aligned, groups or {})
        for label, found in zip(
            (*target.labels, segmentation.NONE),
            segmentation.label_seconds(parts[rows].sum(axis=0)).tolist(),
            strict=True,
        )
    ]
    return pl.DataFrame(table, schema=LABEL_SECONDS, orient="row")


def among(
    answers: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    groups: Groups,
    *,
    clusters: Clusters,
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Score the people of each group against one another; a scores table.

    Each person's segments are scored with those of every other person who answered the utterance as the reference, all
    pairs added; how long recordings are is what the reference says. The group's row has all pairs, its intervals
    resample speakers and the people who are scored.
    """
    tables = [pl.DataFrame(schema=SCHEMA)]
    for name, group in sorted(groups.items()):
        aligned = _paired(answers, reference, target, group)
        if aligned is not None:
            tables.append(
                score_aligned(
                    aligned, target, clusters=clusters, statistics=statistics, seed=seed, groups={name: group}
                )
            )
    return pl.concat(tables)


def _paired(answers: pl.DataFrame, reference: pl.DataFrame, target: Target, group: Sequence[Name]) -> Alignment | None:
    """Put everybody's answers beside everybody else's; None where no two people answered the same."""
    wanted = pl.DataFrame(list(group), schema={"run": pl.String, "rater": pl.String}, orient="row")
    ours = answers.filter(pl.col("target") == target.name).join(wanted, on=["run", "rater"], how="semi")
    keys, parts = [], []
    for number, true in enumerate(_references(ours, reference, target)):
        person = true["rater"][0]
        aligned = metrics.align(ours.filter(pl.col("rater") != person), true, target)
        if len(aligned.keys):
            keys.append(aligned.keys.with_columns(pl.lit(number).alias("=other")))
            assert isinstance(aligned.answers, Answers)
            parts.append(aligned.answers)
    if not parts:
        return None
    both = pl.concat(keys).with_row_index("=row").sort(*predictions.ANSWER, "=other")
    order = np.asarray(both["=row"].to_numpy(), dtype=np.int64)
    # Each pair of people is an answer of its own.
    apart = pl.int_range(pl.len(), dtype=pl.Int32).over("run", "rater", "layer", "utterance")
    named = both.with_columns(apart.alias("trial")).select(predictions.ANSWER)
    return Alignment(named, segmentation.concatenate(parts).take(order), OTHERS)


def _references(ours: pl.DataFrame, reference: pl.DataFrame, target: Target) -> Iterator[pl.DataFrame]:
    """Yield each person's first answers as a reference, with the lengths that the reference knows."""
    lengths = reference.filter(pl.col("target") == target.name, pl.col("label").is_null())
    for (person,), answered in ours.group_by("rater", maintain_order=True):
        first = answered.filter(
            pl.col("trial") == pl.col("trial").min().over("utterance"), pl.col("label").is_not_null()
        )
        known = lengths.join(answered.select("utterance").unique(), on="utterance", how="semi")
        lasting = answered.filter(pl.col("label").is_null()).join(known, on="utterance", how="anti")
        named = {"run": "people", "source": "reference", "rater": str(person), "trial": 0, "layer": None}
        rows = pl.concat([frame.select(list(predictions.SCHEMA)) for frame in (first, known, lasting)])
        yield rows.with_columns(
            pl.lit(value, predictions.SCHEMA[column]).alias(column) for column, value in named.items()
        )
