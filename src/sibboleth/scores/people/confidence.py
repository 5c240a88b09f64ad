"""Confidence of models beside agreement of listeners: is a model unsure where people are?"""

import numpy as np
import polars as pl

from sibboleth import predictions as table
from sibboleth import stats
from sibboleth.metrics.agreement import BOUNDS
from sibboleth.metrics.alignment import ITEM
from sibboleth.metrics.classification import OTHER
from sibboleth.scores.people.panel import Array, Codes, Panel
from sibboleth.stats import Resampler

SCHEMA: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "rater": pl.String,
    "measure": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}
MEASURES = ("share", "entropy")
"""Largest share (a posterior's largest probability, people's commonest answer), and entropy of both, in bits."""


def confidence(panel: Panel, models: pl.DataFrame, resampler: Resampler) -> pl.DataFrame:
    """Return Spearman's correlation over items for every model that gives distributions; rows of `SCHEMA`.

    `models` are rows of predictions. Trials are averaged. Speakers are resampled, people are not: the claim is about
    these listeners. Items with one listener's answer have no agreement. There is no entropy where it is not known which
    wrong label was answered.
    """
    rows: list[tuple[object, ...]] = []
    shares = _crowd(panel)
    several = (panel.answers >= 0).sum(axis=1) > 1
    for (run, rater), frame in models.sort("run", "rater").group_by("run", "rater", maintain_order=True):
        place, posteriors = _posteriors(frame, panel)
        if ((posteriors == 0) | (posteriors == 1)).all():
            continue  # forced choices: there is no confidence
        place, posteriors = place[several[place]], posteriors[several[place]]
        _, speakers = np.unique(panel.speakers[place], return_inverse=True)
        for measure in MEASURES[:1] if OTHER in panel.labels else MEASURES:
            ours, theirs = _measure(measure, posteriors), _measure(measure, shares[place])
            found = correlation(ours, theirs, speakers.astype(np.int64), resampler)
            rows.append((run, rater, measure, *found, len(place), int(speakers.max(initial=-1)) + 1))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def correlation(a: Array, b: Array, speakers: Codes, resampler: Resampler) -> tuple[float, float, float]:
    """Return Spearman's correlation of two numbers `[item]`, ties at their mean rank, and its limits over speakers."""
    codes = [np.unique(side.round(12), return_inverse=True)[1] for side in (a, b)]
    size = int(speakers.max(initial=-1)) + 1

    def spearman(by_speaker: Array, _: Array) -> Array:
        weight = by_speaker[:, speakers]
        ranks = [_ranks(side, weight) for side in codes]
        total = weight.sum(axis=1, keepdims=True)
        x, y = (rank - (rank * weight).sum(axis=1, keepdims=True) / np.maximum(total, 1) for rank in ranks)
        both, own_x, own_y = ((weight * product).sum(axis=1) for product in (x * y, x * x, y * y))
        scale = np.sqrt(own_x * own_y)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(scale > 1e-9, both / scale, np.nan)[:, None]

    if not size:
        return float("nan"), float("nan"), float("nan")
    sizes = np.bincount(speakers).astype(np.float64)
    estimate, low, high = stats.weighted(resampler, spearman, sizes, np.ones(1), BOUNDS, len(a) * 8)
    return float(estimate[0]), float(low[0]), float(high[0])


def _ranks(codes: Codes, weight: Array) -> Array:
    """Mean ranks `[resample, item]` of values given by their order, items counting with a weight."""
    order = np.argsort(codes, kind="stable")
    sorted_codes = codes[order]
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_codes) > 0])
    counts = np.add.reduceat(weight[:, order], starts, axis=1)
    return np.asarray((np.cumsum(counts, axis=1) - counts / 2)[:, codes])


def _crowd(panel: Panel) -> Array:
    """Share of each answer among people, `[item, label]`."""
    size = len(panel.labels) + 1
    counts = np.stack([(panel.answers == k).sum(axis=1) for k in range(size)], axis=1).astype(np.float64)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _posteriors(frame: pl.DataFrame, panel: Panel) -> tuple[Codes, Array]:
    """Return the items that a model answered and its distributions over all that it ever answers, trials averaged."""
    labels = frame["label"].drop_nulls().unique().sort().to_list()
    answers, weights = table.weights(frame, labels)
    names = [f"={k}" for k in range(len(labels))]
    mean = (
        answers.hstack(pl.DataFrame(weights, schema=names))
        .join(panel.items.with_row_index("item"), on=ITEM, nulls_equal=True)
        .group_by("item")
        .agg(pl.col(name).mean() for name in names)
        .sort("item")
    )
    return mean["item"].cast(pl.Int64).to_numpy(), mean.select(names).to_numpy().reshape(len(mean), len(labels))


def _measure(name: str, shares: Array) -> Array:
    if name == "share":
        return np.asarray(shares.max(axis=1, initial=0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.where(shares > 0, shares * np.log2(shares), 0.0).sum(axis=1))
