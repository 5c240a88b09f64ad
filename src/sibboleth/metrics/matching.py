"""Matching: which answered segment stands for which of the reference, and how far its boundaries are off."""

import numpy as np

from sibboleth.metrics.metric import Array, divide
from sibboleth.metrics.spans import Codes, Spans

OVERLAP = 0.5
"""Of two segments, their intersection over their union from which they match."""
ROUNDING = 1e-9
"""Seconds, or share, by which arithmetic may be off."""
EDGES: Array = 0.001 * 2 ** (np.arange(128) / 8)
"""Edges of the bins of distances, in seconds: under a millisecond, then each bin 9 % wider than the one before."""


def matched(reference: Spans, answered: Spans) -> tuple[Codes, Codes]:
    """Pair segments of one answer and label that overlap by `OVERLAP`, one to one; return their indices.

    The pairs that overlap most come first, then the earliest.
    """
    a, b = _touching(reference, answered)
    common = np.minimum(reference.ends[a], answered.ends[b]) - np.maximum(reference.starts[a], answered.starts[b])
    union = np.maximum(reference.ends[a], answered.ends[b]) - np.minimum(reference.starts[a], answered.starts[b])
    share = divide(common, union)
    close = share >= OVERLAP - ROUNDING
    a, b, share = a[close], b[close], share[close]
    order = np.lexsort((b, a, -np.round(share, 9)))
    a, b = a[order], b[order]
    # Above one half no segment has two partners, and of two at one half the first pair leaves the other none.
    first = np.zeros(len(a), np.bool_)
    first[np.unique(a, return_index=True)[1]] = True
    alone = np.zeros(len(a), np.bool_)
    alone[np.unique(b, return_index=True)[1]] = True
    kept = first & alone
    place = np.argsort(a[kept], kind="stable")
    return a[kept][place], b[kept][place]


def _touching(reference: Spans, answered: Spans) -> tuple[Codes, Codes]:
    """Return all pairs of spans of one answer and label that may overlap."""
    labels = int(max(reference.labels.max(initial=0), answered.labels.max(initial=0))) + 1
    reach = 1 + max(reference.ends.max(initial=0.0), answered.ends.max(initial=0.0))
    lines = [(spans.answers * labels + spans.labels) * reach for spans in (reference, answered)]
    order = np.argsort(lines[1] + answered.starts, kind="stable")
    ends, starts = (lines[1] + answered.ends)[order], (lines[1] + answered.starts)[order]
    # Times on one long line are rounded, so one neighbour more is looked at on each side.
    low = np.maximum(np.searchsorted(ends, lines[0] + reference.starts) - 1, 0)
    high = np.minimum(np.searchsorted(starts, lines[0] + reference.ends, side="right") + 1, len(order))
    counts = np.maximum(high - low, 0)
    a = np.repeat(np.arange(len(low)), counts)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])[:-1]
    b = order[np.arange(len(a)) + np.repeat(low - begins, counts)] if len(a) else np.zeros(0, np.int64)
    same = (reference.answers[a] == answered.answers[b]) & (reference.labels[a] == answered.labels[b])
    return a[same], b[same]


def histogram(who: Codes, distances: Array, answers: int) -> Array:
    """Return the number of distances in each bin, then their sum in it, `[answer, 2 * bin]`."""
    bins = len(EDGES) + 1
    cells = who * bins + np.searchsorted(EDGES, distances, side="right")
    shape = answers, bins
    counts, sums = (
        np.bincount(cells, weights, minlength=answers * bins).reshape(shape) for weights in (None, distances)
    )
    return np.concatenate([counts.astype(np.float64), sums], axis=1)


def median(sums: Array) -> Array:
    """Return the median of summed histograms `[..., 2 * bin]`: the mean of the bin that holds it; NaN of none.

    Between two bins it is the middle of their means.
    """
    bins = sums.shape[-1] // 2
    counts, totals = sums[..., :bins], sums[..., bins:]
    reached = np.cumsum(counts, axis=-1)
    half = reached[..., -1:] / 2
    last = bins - 1
    low = np.minimum((reached < half - ROUNDING).sum(axis=-1), last)
    high = np.minimum((reached <= half + ROUNDING).sum(axis=-1), last)
    means = divide(totals, counts)
    both = [np.take_along_axis(means, place[..., None], axis=-1)[..., 0] for place in (low, high)]
    return np.where(half[..., 0] > 0, (both[0] + both[1]) / 2, np.nan)
