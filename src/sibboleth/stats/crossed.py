"""Speakers crossed with raters: intervals and paired differences that resample both.

Listeners of a test are a sample, as the speakers are. A resample draws speakers and, independently, raters; an answer
counts as often as its speaker and its rater were drawn together (the pigeonhole bootstrap: Owen 2007, McCullagh 2000).
Raters that are seeds of a model are not people, and are not drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from sibboleth.stats.limits import ANYWHERE, degrees, difference_bounds, effective, spread
from sibboleth.stats.resampling import Bounds, Rate, Resampler

Array = npt.NDArray[np.float64]

_RATERS = 1_000_000
"""Streams of draws from here on are those of raters, so that they never meet those of speakers."""
_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Cells:
    """What each rater of a group answered about each speaker; a rater need not hear every speaker."""

    parts: Array
    """`[speaker, rater, part]`, summed over the answers."""
    answers: Array
    """How many answers: `[speaker, rater]`, or `[speaker, rater, number]` where numbers are about some of them."""

    @property
    def raters(self) -> int:
        """Count the raters."""
        return int(self.parts.shape[1])

    def freedom(self, axis: int, like: Array) -> Array:
        """Degrees of freedom of speakers (summed over axis 1) or raters (over axis 0), one for each number."""
        return np.array(np.broadcast_to(np.maximum(effective(self.answers.sum(axis=axis)) - 1, 1.0), like.shape))

    def take(self, speakers: npt.NDArray[np.int64], raters: npt.NDArray[np.int64]) -> "Cells":
        """Put speakers and raters into another order."""
        return Cells(self.parts[speakers][:, raters], self.answers[speakers][:, raters])

    def rater_order(self) -> npt.NDArray[np.int64]:
        """Order raters by their sorted parts, which depend on neither names nor the order of speakers."""
        return np.lexsort(np.sort(self.parts, axis=0).transpose(0, 2, 1).reshape(-1, self.raters))


def crossed(resampler: Resampler, cells: Cells, rate: Rate, bounds: Bounds = ANYWHERE) -> tuple[Array, Array, Array]:
    """Estimate, low and high `[number]` of a group of raters, both speakers and raters resampled.

    With one rater this is `Resampler.intervals`. NaN limits with fewer than two speakers. The degrees of freedom are
    Satterthwaite's, from the variance over resamples of speakers alone and of raters alone.
    """
    if cells.raters == 1:
        return resampler.intervals(cells.parts[:, 0], rate, cells.answers[:, 0], bounds)
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
        return resampler.rates(cells.parts[:, 0], rate, stream)
    place = np.lexsort(cells.parts.reshape(len(cells.parts), -1).T)
    rows = max(1, _NUMBERS // max(1, cells.parts[0].size))
    return np.concatenate([rate(sums) for sums in _drawn(resampler, cells.parts[place], _RATERS, rows, stream)])


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
    if tuple(b.parts.sum(axis=(0, 1))) < tuple(a.parts.sum(axis=(0, 1))):
        swapped, low, high, p = crossed_difference(resampler, b, a, rate, same_raters=same_raters, bounds=bounds)
        return -swapped, -high, -low, p
    width = a.parts.shape[2]

    def subtract(parts: Array) -> Array:
        return np.asarray(rate(parts[..., :width]) - rate(parts[..., width:]))[..., None]

    both = [Cells(np.concatenate([a.parts, b.parts], axis=2), a.answers + b.answers)] if same_raters else [a, b]
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
    sides = [side.take(np.arange(len(side.parts)), side.rater_order()) for side in sides]
    place = np.lexsort(np.concatenate([side.parts.reshape(len(side.parts), -1) for side in sides], axis=1).T)
    sides = [side.take(place, np.arange(side.raters)) for side in sides]
    whole = [side.parts.sum(axis=(0, 1)) for side in sides]
    estimate = rate(np.concatenate(whole))
    if len(sides[0].parts) < 2:
        return estimate, None, np.ones_like(estimate)
    rows = max(1, _NUMBERS // max(side.parts[0].size for side in sides))
    drawn = zip(*(_drawn(resampler, side.parts, k, rows) for side, k in zip(sides, streams, strict=True)), strict=True)
    resampled = np.concatenate([rate(np.concatenate(sums, axis=-1)) for sums in drawn])
    # Each source of variance alone, for the degrees of freedom.
    speakers = np.concatenate([side.parts.sum(axis=1) for side in sides], axis=1)
    variances = [spread(resampler.resample(speakers, rate)) ** 2]
    each = [np.min([side.freedom(1, estimate) for side in sides], axis=0)]
    for k, (side, stream) in enumerate(zip(sides, streams, strict=True)):
        if side.raters > 1:
            sums = [cells.parts.sum(axis=0) if j == k else np.zeros((side.raters, 0)) for j, cells in enumerate(sides)]
            alone = _beside(rate, whole, k)
            variances.append(spread(resampler.resample(np.concatenate(sums, axis=1), alone, stream)) ** 2)
            each.append(side.freedom(0, estimate))
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


def _drawn(resampler: Resampler, parts: Array, raters: int, rows: int, speakers: int = 0) -> Iterator[Array]:
    """Yield sums `[resample, part]` of resampled speakers and raters by their streams, so many resamples at once."""
    count, people, width = parts.shape
    by_speaker = np.concatenate(list(resampler.weights(count, speakers)))
    by_rater = np.concatenate(list(resampler.weights(people, raters))) if people > 1 else np.ones((len(by_speaker), 1))
    flat = parts.reshape(count, people * width)
    for start in range(0, len(by_speaker), rows):
        here = slice(start, start + rows)
        sums = (by_speaker[here] @ flat).reshape(-1, people, width)
        yield np.asarray(np.einsum("br,brp->bp", by_rater[here], sums))
