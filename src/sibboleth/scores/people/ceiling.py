"""Ceiling: each listener against the pooled others, and models against the same crowd.

The crowd is *soft* (the shares of its answers) or its *majority* (labels that tie share it). Every item weighs one,
and a model meets the same crowds as the listeners: the others, each listener left out in turn.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from sibboleth import stats
from sibboleth.metrics.agreement import Tally
from sibboleth.metrics.classification import OTHER
from sibboleth.metrics.metric import divide
from sibboleth.scores.groups import Name
from sibboleth.scores.people.panel import Array, Codes, Panel
from sibboleth.stats import Resampler

SCHEMA: dict[str, type[pl.DataType]] = {
    "crowd": pl.String,
    "run": pl.String,
    "rater": pl.String,
    "metric": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "raters": pl.Int64,
}
METRICS = ("uar", "accuracy")
PEOPLE = ("people", "each against the others")
"""Run and rater of the ceiling's row."""
Confusions = Callable[[Array, Array], Array]
"""Weights of items and raters to confusion matrices, people's and then each model's, `[resample, rater, k, answer]`."""


def ceiling(panel: Panel, models: Panel, resampler: Resampler) -> pl.DataFrame:
    """Return UAR and accuracy against the crowd of people, each listener, and each model; rows of `SCHEMA`.

    `models` answered (some of) the items of `panel`; a model is scored, and compared with people (`difference`, model
    minus people), on the items that it answered. Items with one answer have no others. Speakers and people are
    resampled together: with the soft crowd also as its members, while a majority is held as it is; a listener alone
    has speakers only. Nothing is told where it is not known which wrong label was answered.
    """
    rows: list[tuple[object, ...]] = []
    for crowd in () if OTHER in panel.labels else ("soft", "majority"):
        rows += _crowd(crowd, panel, models, resampler)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _crowd(crowd: str, panel: Panel, models: Panel, resampler: Resampler) -> Iterator[tuple[object, ...]]:
    everything = _estimates(crowd, panel, None, resampler)
    sizes = panel.counted
    for k, metric in enumerate(METRICS):
        yield crowd, *PEOPLE, metric, *everything[k], None, None, None, *sizes.values()
    crowds = others(_tally(panel).counts(np.ones((1, len(panel.raters))))[0], crowd)
    for name, answers in () if panel.votes else zip(panel.raters, panel.answers.T, strict=True):
        yield from _listener(crowd, name, answers, crowds, panel, resampler)
    for name, answers in zip(models.raters, models.answers.T, strict=True):
        there = answers >= 0
        shared = panel.about(there)
        found = _estimates(crowd, shared, answers[there], resampler)
        for k, metric in enumerate(METRICS):
            counts = int(there.sum()), shared.speaker_count, len(shared.raters)
            yield crowd, *name, metric, *found[2 + k], *found[4 + k], *counts


def _estimates(crowd: str, panel: Panel, model: Codes | None, resampler: Resampler) -> list[tuple[float, float, float]]:
    """Return people's UAR and accuracy; with a model also its, and the differences."""
    tally = _tally(panel)
    size = len(tally.values)
    fixed = None if crowd == "soft" else others(tally.counts(np.ones((1, len(panel.raters))))[0], crowd)
    said = None if model is None else np.eye(size)[model]

    def rates(speakers: Array, raters: Array) -> Array:
        items = speakers[:, panel.speakers]
        found = _soft(tally, items, raters, said) if fixed is None else _fixed(tally, fixed, items, raters, said)
        numbers = [_rates(matrix, len(panel.labels)) for matrix in found]
        return np.concatenate([*numbers, *(n - numbers[0] for n in numbers[1:])], axis=-1)

    bounds = np.array([(0.0, 1.0)] * (2 if model is None else 4) + [(-1.0, 1.0)] * (0 if model is None else 2))
    width = len(panel.speakers) * size * 4
    limits = stats.weighted(resampler, rates, *panel.sizes, bounds, width)
    return [(float(e), float(low), float(high)) for e, low, high in zip(*limits, strict=True)]


def _soft(tally: Tally, items: Array, raters: Array, said: Array | None) -> Iterator[Array]:
    """Yield confusion matrices `[resample, crowd's label, answer]` from pairs of different people."""
    counts, own, pairs = tally.pairs(raters)
    weight = np.where(pairs > 0, items / np.where(pairs > 0, pairs, 1.0), 0.0)[..., None]
    together = np.matmul((counts * weight).transpose(0, 2, 1), counts)
    alone = (own * weight).sum(axis=1)
    yield together - alone[:, None] * np.eye(counts.shape[-1])
    if said is not None:
        share = np.where(pairs > 0, items / np.maximum(counts.sum(axis=-1), 1.0), 0.0)[..., None]
        yield np.matmul((counts * share).transpose(0, 2, 1), said)


def _fixed(tally: Tally, crowds: Array, items: Array, raters: Array, said: Array | None) -> Iterator[Array]:
    """Yield confusion matrices against crowds `[item, answer of who is left out, label]` that stay as they are."""
    counts = tally.counts(raters)
    share = divide(counts, counts.sum(axis=-1, keepdims=True))
    weight = np.where(np.isnan(share), 0.0, share) * items[..., None]
    weight = weight * (crowds.sum(axis=(1, 2)) > 0)[:, None]
    yield np.stack([weight[..., c] @ crowds[:, c] for c in range(crowds.shape[1])], axis=-1)
    if said is not None:
        whole = tally.counts(np.ones((1, raters.shape[1])))[0]
        left_out = divide(whole, whole.sum(axis=-1, keepdims=True))
        crowd = np.einsum("uc,uck->uk", np.nan_to_num(left_out), crowds)
        yield np.matmul((items[..., None] * crowd).transpose(0, 2, 1), said)


def others(counts: Array, crowd: str) -> Array:
    """Return the crowd that is left when one who gave each answer goes: `[item, answer, label]`, rows sum to one.

    A row is of zeros where nobody is left.
    """
    left = np.maximum(counts[:, None] - np.eye(counts.shape[-1]), 0.0)
    left = np.where(counts[..., None] > 0, left, 0.0)
    if crowd == "majority":
        left = ((left == left.max(axis=-1, keepdims=True)) & (left > 0)).astype(np.float64)
    return np.nan_to_num(divide(left, left.sum(axis=-1, keepdims=True)))


def _tally(panel: Panel) -> Tally:
    return Tally(panel.answers, np.arange(len(panel.labels) + 1, dtype=np.float64))


def _listener(
    crowd: str, name: Name, answers: Codes, others_of: Array, panel: Panel, resampler: Resampler
) -> Iterator[tuple[object, ...]]:
    there = answers >= 0
    size, said = len(panel.labels) + 1, answers[there]
    crowds = others_of[there, said]
    cells = np.zeros((len(said), size, size))
    cells[np.arange(len(said)), :, said] = crowds
    _, speakers = np.unique(panel.speakers[there], return_inverse=True)
    count = int(speakers.max(initial=-1)) + 1
    sums = stats.sum_by(cells.reshape(len(said), -1), speakers.astype(np.int64), count)
    sizes = np.bincount(speakers, minlength=count).astype(np.float64)
    found = resampler.intervals(
        sums, lambda s: _rates(s.reshape(*s.shape[:-1], size, size), len(panel.labels)), sizes, (0.0, 1.0)
    )
    for k, metric in enumerate(METRICS):
        yield crowd, *name, metric, *(float(n[k]) for n in found), None, None, None, len(said), count, 1


def _rates(matrix: Array, labels: int) -> Array:
    """UAR and accuracy `[..., 2]` of confusion matrices `[..., label, answer]`, over the crowd's labels."""
    rows = matrix[..., :labels, :]
    hits, total = np.diagonal(rows, axis1=-2, axis2=-1), rows.sum(axis=-1)
    total = np.where(total > 1e-9, total, 0.0)
    recall = divide(hits, total)
    there = ~np.isnan(recall)
    uar = divide(np.nan_to_num(recall).sum(axis=-1), there.sum(axis=-1).astype(np.float64))
    return np.stack([uar, divide(hits.sum(axis=-1), total.sum(axis=-1))], axis=-1)
