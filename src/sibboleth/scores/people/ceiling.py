"""Ceiling: each listener against the pooled others, and models against the same crowd.

The crowd is *soft* (the shares of its answers) or its *majority* (labels that tie share it). Every item weighs one,
and a model meets the same crowds as the listeners: the others, each listener left out in turn.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from sibboleth import stats
from sibboleth.metrics.agreement import Tally
from sibboleth.metrics.classification import OTHER
from sibboleth.metrics.metric import divide
from sibboleth.scores.people.panel import Array, Codes, Panel, alike
from sibboleth.stats import Resampler, resampling

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
    rows: dict[int, list[tuple[object, ...]]] = {}
    for there, which in alike(models.answers >= 0).items():
        shared = panel.about(np.array(there))
        found = _estimates(crowd, shared, models.answers[np.array(there)][:, which], resampler)
        if all(there):
            for metric, numbers in zip(METRICS, found, strict=False):
                yield crowd, *PEOPLE, metric, *numbers, None, None, None, *panel.counted.values()
        counts = sum(there), shared.speaker_count, len(shared.raters)
        for place, k in enumerate(which, 1):
            own, less = found[2 * place : 2 * place + 2], found[2 * (len(which) + place) :]
            each = zip(METRICS, own, less, strict=False)
            rows[k] = [(crowd, *models.raters[k], metric, *one, *other, *counts) for metric, one, other in each]
    if not panel.votes:
        yield from _listeners(crowd, panel, resampler)
    for k in sorted(rows):
        yield from rows[k]


def _estimates(crowd: str, panel: Panel, models: Codes, resampler: Resampler) -> list[tuple[float, float, float]]:
    """Return UAR and accuracy of people, those of models that answered all items `[item, model]`, and differences."""
    tally = _tally(panel)
    size, count = len(tally.values), models.shape[1]
    fixed = None if crowd == "soft" else others(tally.counts(np.ones((1, len(panel.raters))))[0], crowd)
    said = np.eye(size)[models].reshape(len(models), count * size)

    def rates(speakers: Array, raters: Array) -> Array:
        items = speakers[:, panel.speakers]
        found = _soft(tally, items, raters, said) if fixed is None else _fixed(tally, fixed, items, raters, said)
        people, theirs = (matrix.reshape(len(matrix), size, -1, size) for matrix in found)
        numbers = [_rates(*_parts(matrix, len(panel.labels))) for matrix in (people, theirs)]
        ours, of_models = (number.transpose(1, 2, 0).reshape(number.shape[1], -1) for number in numbers)
        less = of_models - np.tile(ours, count)
        return np.concatenate(
            [np.broadcast_to(each, (len(less), each.shape[1])) for each in (ours, of_models, less)], 1
        )

    bounds = np.array([(0.0, 1.0)] * (2 + 2 * count) + [(-1.0, 1.0)] * (2 * count))
    width = len(panel.speakers) * size * 4 + size**2 * count * 2
    limits = stats.weighted(resampler, rates, *panel.sizes, bounds, width)
    return [(float(e), float(low), float(high)) for e, low, high in zip(*limits, strict=True)]


def _soft(tally: Tally, items: Array, raters: Array, said: Array) -> Iterator[Array]:
    """Yield people's confusion matrix `[resample, crowd's label, answer]` from pairs of different people, then models'.

    The models' are `[resample, crowd's label, model and answer]`.
    """
    counts, own, pairs = tally.pairs(raters)
    weight = np.where(pairs > 0, items / np.where(pairs > 0, pairs, 1.0), 0.0)[..., None]
    together = np.matmul((counts * weight).transpose(0, 2, 1), counts)
    alone = (own * weight).sum(axis=1)
    yield together - alone[:, None] * np.eye(counts.shape[-1])
    share = np.where(pairs > 0, items / np.maximum(counts.sum(axis=-1), 1.0), 0.0)[..., None]
    yield np.matmul((counts * share).transpose(0, 2, 1), said)


def _fixed(tally: Tally, crowds: Array, items: Array, raters: Array, said: Array) -> Iterator[Array]:
    """Yield the same against crowds `[item, answer of who is left out, label]` that stay as they are."""
    counts = tally.counts(raters)
    share = divide(counts, counts.sum(axis=-1, keepdims=True))
    weight = np.where(np.isnan(share), 0.0, share) * items[..., None]
    weight = weight * (crowds.sum(axis=(1, 2)) > 0)[:, None]
    yield np.stack([weight[..., c] @ crowds[:, c] for c in range(crowds.shape[1])], axis=-1)
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


def _listeners(crowd: str, panel: Panel, resampler: Resampler) -> Iterator[tuple[object, ...]]:
    """Yield the rows of each listener; those who heard equally many speakers are resampled together."""
    whole = others(_tally(panel).counts(np.ones((1, len(panel.raters))))[0], crowd)
    each = [_alone(answers, whole, panel) for answers in panel.answers.T]
    found: dict[int, Array] = {}
    for count in {len(sizes) for _, sizes in each}:
        which = [k for k, (_, sizes) in enumerate(each) if len(sizes) == count]
        parts = np.stack([each[k][0] for k in which], axis=-1)
        sizes = np.stack([each[k][1] for k in which], axis=-1)
        found |= dict(zip(which, _limits(parts, sizes, resampler), strict=True))
    for k, name in enumerate(panel.raters):
        sizes = each[k][1]
        for metric, numbers in zip(METRICS, found[k].tolist(), strict=True):
            yield crowd, *name, metric, *numbers, None, None, None, int(sizes.sum()), len(sizes), 1


def _alone(answers: Codes, others_of: Array, panel: Panel) -> tuple[Array, Array]:
    """Return one listener's hits and totals `[speaker, part, label]` beside the others, and how many answers each has.

    Speakers are in an order that depends on the answers alone.
    """
    there = answers >= 0
    said, size = answers[there], len(panel.labels) + 1
    cells = np.zeros((len(said), size, size))
    cells[np.arange(len(said)), :, said] = others_of[there, said]
    _, speakers = np.unique(panel.speakers[there], return_inverse=True)
    count = int(speakers.max(initial=-1)) + 1
    sums = stats.sum_by(cells.reshape(len(said), -1), speakers.astype(np.int64), count)
    place = resampling.order(sums)
    hits, total = _parts(sums[place].reshape(count, size, 1, size), len(panel.labels))
    sizes = np.bincount(speakers, minlength=count).astype(np.float64)
    return np.stack([hits[..., 0], total[..., 0]]).transpose(2, 0, 1), sizes[place]


def _limits(parts: Array, sizes: Array, resampler: Resampler) -> Array:
    """Return `[listener, metric, number]`, estimate and limits, of parts `[speaker, part, label, listener]`."""
    speakers, _, labels, listeners = parts.shape

    def rates(sums: Array) -> Array:
        here = np.moveaxis(sums.reshape(*sums.shape[:-1], 2, labels, listeners), (-3, -2), (0, 1))
        return np.moveaxis(_rates(here[0], here[1]), 0, -2)

    flat = parts.reshape(speakers, -1)
    estimate = rates(flat.sum(axis=0))
    low, high = np.full((2, *estimate.shape), np.nan)
    if speakers > 1:
        freedom = np.broadcast_to(stats.effective(sizes) - 1, estimate.shape)
        low, high = resampler.limits(resampler.resample(flat, rates), estimate, freedom, (0.0, 1.0))
    return np.stack([estimate, low, high], axis=-1).swapaxes(0, 1)


def _parts(matrix: Array, labels: int) -> tuple[Array, Array]:
    """Return hits and totals `[label, row, column]` of confusion matrices `[row, label, column, answer]`."""
    rows = matrix[:, :labels]
    return np.moveaxis(np.diagonal(rows, axis1=1, axis2=3), -1, 0), np.moveaxis(rows.sum(axis=-1), 1, 0)


def _rates(hits: Array, total: Array) -> Array:
    """UAR and accuracy `[2, ...]` of hits and totals `[label, ...]`, over the crowd's labels."""
    total = np.where(total > 1e-9, total, 0.0)
    there = total > 0
    recall = np.where(there, hits / np.where(there, total, 1.0), 0.0)
    uar = divide(recall.sum(axis=0), there.sum(axis=0).astype(np.float64))
    return np.stack([uar, divide(hits.sum(axis=0), total.sum(axis=0))])
