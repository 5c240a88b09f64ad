"""Speakers crossed with raters: intervals and paired differences that resample both.

Listeners of a test are a sample, as the speakers are. A resample draws speakers and, independently, raters; an answer
counts as often as its speaker and its rater were drawn together (the pigeonhole bootstrap: Owen 2007, McCullagh 2000).
Raters that are seeds of a model are not people, and are not drawn.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from sibboleth.stats.cells import Cells, speaker_order
from sibboleth.stats.limits import ANYWHERE, degrees, difference_bounds, spread
from sibboleth.stats.resampling import Bounds, Rate, Resampler

Array = npt.NDArray[np.float64]

_RATERS = 1_000_000
"""Streams of draws from here on are those of raters, so that they never meet those of speakers."""
_NUMBERS = 4_000_000


def crossed(resampler: Resampler, cells: Cells, rate: Rate, bounds: Bounds = ANYWHERE) -> tuple[Array, Array, Array]:
    """Estimate, low and high `[number]` of a group of raters, both speakers and raters resampled.

    With one rater this is `Resampler.intervals`. NaN limits with fewer than two speakers. The degrees of freedom are
    Satterthwaite's, from the variance over resamples of speakers alone and of raters alone.
    """
    if cells.raters == 1:
        return resampler.intervals(cells.by_speaker(), rate, cells.speaker_answers(), bounds)
    estimate, resampled, freedom = _measure(resampler, [cells], [_RATERS], rate)
    if resampled is None:
        nothing = np.full_like(estimate, np.nan)
        return estimate, nothing, nothing
    return estimate, *resampler.limits(resampled, estimate, freedom, bounds)


def crossed_rates(resampler: Resampler, cells: Cells, rate: Rate, stream: int = 0) -> Array:
    """Return the numbers `[resample, number]` of every resample, raters in the order given.

    Sets of the same raters share their draws of raters; those of speakers are shared within a `stream`.
    """
    if cells.raters == 1:
        return resampler.rates(cells.by_speaker(), rate, stream)
    cells = cells.take(speaker_order([cells]), np.arange(cells.raters))
    return np.concatenate([rate(sums) for sums in _drawn(resampler, [cells], [_RATERS], stream)])


def crossed_difference(
    resampler: Resampler,
    a: Cells,
    b: Cells,
    rate: Rate,
    *,
    same_raters: bool = False,
    bounds: tuple[float, float] = ANYWHERE,
) -> tuple[float, float, float, float]:
    """Difference A minus B of two groups of raters about the same speakers, its limits and p.

    Speakers are in the same order on both sides; a side may be a single rater, such as a model, who is not resampled.
    With `same_raters` (the same people in two conditions, in the same order) raters are drawn together, else apart.
    p is two-sided, that of the t statistic behind the limits: permuting speakers would say nothing of other raters.
    """
    if tuple(b.whole()) < tuple(a.whole()):
        swapped, low, high, p = crossed_difference(resampler, b, a, rate, same_raters=same_raters, bounds=bounds)
        return -swapped, -high, -low, p
    width = a.parts.shape[1]

    def subtract(parts: Array) -> Array:
        return np.asarray(rate(parts[..., :width]) - rate(parts[..., width:]))[..., None]

    both = [a.beside(b)] if same_raters else [a, b]
    streams = [_RATERS] if same_raters else [_RATERS + 1, _RATERS + 2]
    observed, resampled, freedom = _measure(resampler, both, streams, subtract)
    if resampled is None or np.isnan(observed[0]):
        return float(observed[0]), np.nan, np.nan, np.nan
    low_, high_ = resampler.limits(resampled, observed, freedom, difference_bounds(bounds))
    return float(observed[0]), float(low_[0]), float(high_[0]), _p(observed, spread(resampled), freedom)


def _measure(
    resampler: Resampler, sides: Sequence[Cells], streams: Sequence[int], rate: Rate
) -> tuple[Array, Array | None, Array]:
    """Estimate, resampled numbers (None with fewer than two speakers) and degrees of freedom of all sides together.

    `rate` takes the sums of the sides one behind the other.
    """
    sides = [side.take(np.arange(side.speakers), side.rater_order()) for side in sides]
    place = speaker_order(sides)
    sides = [side.take(place, np.arange(side.raters)) for side in sides]
    whole = [side.whole() for side in sides]
    estimate = rate(np.concatenate(whole))
    if sides[0].speakers < 2:
        return estimate, None, np.ones_like(estimate)
    resampled = np.concatenate([rate(sums) for sums in _drawn(resampler, sides, streams)])
    # Each source of variance alone, for the degrees of freedom.
    speakers = np.concatenate([side.by_speaker() for side in sides], axis=1)
    variances = [spread(resampler.resample(speakers, rate)) ** 2]
    each = [np.min([side.freedom("speakers", estimate) for side in sides], axis=0)]
    for k, (side, stream) in enumerate(zip(sides, streams, strict=True)):
        if side.raters > 1:
            alone = _beside(rate, whole, k)
            variances.append(spread(resampler.resample(side.by_rater(), alone, stream)) ** 2)
            each.append(side.freedom("raters", estimate))
    return estimate, resampled, degrees(np.stack(variances), np.stack(each))


def _beside(rate: Rate, whole: Sequence[Array], k: int) -> Rate:
    """Rate of side `k`'s sums, all others being as they are."""

    def alone(parts: Array) -> Array:
        others = [np.broadcast_to(sums, (*parts.shape[:-1], len(sums))) for sums in whole]
        return rate(np.concatenate([*others[:k], parts, *others[k + 1 :]], axis=-1))

    return alone


def _p(observed: Array, error: Array, freedom: Array) -> float:
    if not error[0] > 0:
        return float("nan") if np.isnan(error[0]) else float(observed[0] == 0)
    return float(2 * special.stdtr(max(freedom[0], 1.0), -abs(observed[0]) / error[0]))


def _drawn(resampler: Resampler, sides: Sequence[Cells], raters: Sequence[int], speakers: int = 0) -> Iterator[Array]:
    """Yield the sides' sums `[resample, part]`, one behind the other, speakers and raters resampled by their streams.

    Weights of resamples and of cells are multiplied in blocks, so that memory is bounded whatever there is of either.
    """
    people = [(side.raters, stream) for side, stream in zip(sides, raters, strict=True) if side.raters > 1]
    streams = [resampler.weights(sides[0].speakers, speakers), *(resampler.weights(*who) for who in people)]
    columns = [side.parts.T.tocsc() for side in sides]
    rows = max(1, min(resampler.resamples, _NUMBERS // max(1, sum(side.parts.shape[1] for side in sides))))
    for by_speaker, *by_rater in _pieces(streams, rows):
        drawn = iter(by_rater)
        yield np.concatenate(
            [
                _sums(side, parts, by_speaker, next(drawn) if side.raters > 1 else None)
                for side, parts in zip(sides, columns, strict=True)
            ],
            axis=1,
        )


def _sums(side: Cells, columns: sparse.csc_matrix, by_speaker: Array, by_rater: Array | None) -> Array:
    """Sum parts `[resample, part]` with weights `[resample, speaker]` and `[resample, rater]`."""
    by_speaker = np.ascontiguousarray(by_speaker.T)
    by_rater = None if by_rater is None else np.ascontiguousarray(by_rater.T)
    count = by_speaker.shape[1]
    sums, step = np.zeros((columns.shape[0], count)), max(1, _NUMBERS // count)
    for start in range(0, len(side.speaker), step):
        here = slice(start, start + step)
        weights = by_speaker[side.speaker[here]]
        if by_rater is not None:
            weights *= by_rater[side.rater[here]]
        sums += columns[:, here] @ weights
    return np.ascontiguousarray(sums.T)


def _pieces(streams: Sequence[Iterator[Array]], rows: int) -> Iterator[list[Array]]:
    """Yield the same resamples of all streams of weights, at most so many at once."""
    held = [next(stream) for stream in streams]
    while len(held) == len(streams):
        count = min(rows, *(len(weights) for weights in held))
        yield [weights[:count] for weights in held]
        left = [
            weights[count:] if len(weights) > count else next(s, None) for weights, s in zip(held, streams, strict=True)
        ]
        held = [weights for weights in left if weights is not None]
