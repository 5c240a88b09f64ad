"""The table of rate ratios: how many times as many errors one group of speakers has as another."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from sibboleth.scores.recognition.transcripts import WHO, Transcripts
from sibboleth.scores.slices import Array, Codes
from sibboleth.stats import LogRates, holm, sum_by

RATIOS: dict[str, type[pl.DataType]] = WHO | {
    "metric": pl.String,
    "column": pl.String,
    "group": pl.String,
    "against": pl.String,
    "ratio": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "clusters": pl.Int64,
    "against_clusters": pl.Int64,
    "best": pl.Boolean,
}


def rate_ratios(transcripts: Transcripts, confidence: float = 0.95) -> pl.DataFrame:
    """Compare every two groups of every column by a Poisson regression (`stats.LogRates`), a row of `RATIOS` each.

    `group` is the one with the higher rate, so that the ratio is at least 1; `best` marks comparisons with the group
    of the lowest rate. `p_holm` is corrected over all pairs of a rater, column and metric, so it holds for the best
    and the worst although the data chose them. Groups without a reference word are left out.
    """
    made = []
    for who, rows in transcripts.raters():
        items = transcripts.items.take(rows)
        for column, groups in items.groups():
            for metric, numbers in (("wer", transcripts.words), ("cer", transcripts.characters)):
                found = list(_pairs(numbers[rows], items.clusters, groups, confidence))
                corrected = holm([row["p"] for row in found])
                named = {**who, "metric": metric, "column": column}
                made += [{**named, **row, "p_holm": p} for row, p in zip(found, corrected.tolist(), strict=True)]
    return pl.DataFrame(made, schema=RATIOS)


def _pairs(
    numbers: Array, clusters: Codes, groups: list[tuple[str, Codes]], confidence: float
) -> Iterator[dict[str, Any]]:
    size = int(clusters.max(initial=-1)) + 1
    sums = np.stack([sum_by(numbers[rows], clusters[rows], size) for _, rows in groups], axis=1)
    errors, length = sums[..., 1:].sum(axis=-1), sums[..., :3].sum(axis=-1)
    speakers = [len(np.unique(clusters[rows])) for _, rows in groups]
    known = [k for k in range(len(groups)) if length[:, k].any()]
    ranked = sorted(known, key=lambda k: float(errors[:, k].sum() / length[:, k].sum()))
    rates = LogRates(errors, length) if len(ranked) > 1 else None
    for place, against in enumerate(ranked):
        for group in ranked[:place:-1]:
            assert rates is not None
            found = rates.ratio(group, against, confidence)
            yield {
                "group": groups[group][0],
                "against": groups[against][0],
                **vars(found),
                "clusters": speakers[group],
                "against_clusters": speakers[against],
                "best": place == 0,
            }
