"""Bootstrap over clusters: draws, intervals of many numbers at once, paired differences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sibboleth.stats.limits import ANYWHERE, difference_bounds, effective, limits, spread
from sibboleth.stats.permutation import sign_flip

Array = npt.NDArray[np.float64]
Rate = Callable[[Array], Array]
"""Summed parts `[..., part]` to numbers `[...]`, NaN where undefined."""
Bounds = Array | tuple[float, float]

_BLOCK = 4_000_000
_CACHE = 16_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval; the limits are NaN with fewer than two clusters."""

    estimate: float
    low: float
    high: float
    n: int
    """Number of answers."""
    clusters: int


@dataclass(frozen=True)
class Difference:
    """A minus B on the same answers; limits and p are NaN with fewer than two clusters."""

    difference: float
    low: float
    high: float
    p: float
    """Two-sided, from swapping the two systems' parts within clusters."""
    n: int
    clusters: int


class Resampler:
    """Draws resamples of clusters; the draws depend on the seed and the number of clusters alone.

    A resample draws one cluster fewer than there are, so that the variance over resamples is that of the estimate
    rather than (g - 1) / g of it (McCarthy and Snowden 1985; Rao and Wu 1988).
    """

    def __init__(self, resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> None:
        """Keep the drawn weights of recent cluster numbers, in bounded memory."""
        self.resamples = resamples
        self.confidence = confidence
        self.seed = seed
        self._drawn: dict[tuple[int, int], Array] = {}

    def intervals(
        self, sums: Array, rate: Rate, sizes: Array | None = None, bounds: Bounds = ANYWHERE
    ) -> tuple[Array, Array, Array]:
        """Estimate, low and high of each of many numbers `[number]`; docs/statistics.md has the formula.

        `sums` `[cluster, part]` are the parts of each cluster, `rate` turns `[..., part]` into `[..., number]`, `sizes`
        `[cluster]` or `[cluster, number]` counts the answers behind them (alike where not given), `bounds` are the
        numbers' range, `(lowest, highest)` or `[number, 2]`. Clusters are put into an order that depends on their sums
        alone, so that names and order change nothing. The limits are NaN with fewer than two clusters, or where a
        tenth of the resamples is undefined.
        """
        ordered = sums[order(sums)]
        estimate = rate(ordered.sum(axis=0))
        if len(sums) < 2:
            nothing = np.full_like(estimate, np.nan)
            return estimate, nothing, nothing
        freedom = effective(np.ones(len(sums)) if sizes is None else sizes) - 1
        low, high = self.limits(self.resample(ordered, rate), estimate, freedom, bounds)
        return estimate, low, high

    def rates(self, sums: Array, rate: Rate, stream: int = 0) -> Array:
        """Return the numbers `[resample, number]` of every resample of the clusters `sums` `[cluster, part]`.

        Sets with the same number of clusters and the same `stream` share their draws; another stream is independent.
        """
        return self.resample(sums[order(sums)], rate, stream)

    def limits(
        self, resampled: Array, estimate: Array, freedom: Array, bounds: Bounds = ANYWHERE
    ) -> tuple[Array, Array]:
        """Return the limits `[number]` of resampled numbers `[resample, number]`; see `limits.limits`."""
        return limits(estimate, spread(resampled), freedom, self.confidence, bounds)

    def difference(
        self,
        a: Array,
        b: Array,
        rate: Rate,
        flips: int | None = None,
        sizes: Array | None = None,
        bounds: tuple[float, float] = ANYWHERE,
    ) -> tuple[float, float, float, float]:
        """Difference A minus B of two systems' sums `[cluster, part]`, its limits and p.

        The limits come from the same resamples of both; `bounds` are the range of the rate. p is that of `sign_flip`,
        with at least as many flips as resamples.
        """
        if tuple(b.sum(axis=0)) < tuple(a.sum(axis=0)):  # one orientation, so that B minus A mirrors A minus B
            swapped, low, high, p = self.difference(b, a, rate, flips, sizes, bounds)
            return -swapped, -high, -low, p
        both = np.concatenate([a, b], axis=1)
        both = both[order(both)]
        width = a.shape[1]

        def subtract(parts: Array) -> Array:
            return np.asarray(rate(parts[..., :width]) - rate(parts[..., width:]))[..., None]

        observed = subtract(both.sum(axis=0))
        if len(both) < 2 or np.isnan(observed[0]):
            return float(observed[0]), np.nan, np.nan, np.nan
        freedom = effective(np.ones(len(both)) if sizes is None else sizes) - 1
        low_, high_ = self.limits(self.resample(both, subtract), observed, freedom, difference_bounds(bounds))
        flips = max(flips or 0, self.resamples)
        p = sign_flip(both, rate, flips=flips, first=self.resamples, seed=self.seed)
        return float(observed[0]), float(low_[0]), float(high_[0]), p

    def resample(self, ordered: Array, rate: Rate, stream: int = 0) -> Array:
        """Return the numbers `[resample, number]` of clusters whose order is settled, in bounded memory."""
        rows = max(1, _BLOCK // max(1, ordered.shape[1]))
        found = []
        for weights in self.weights(len(ordered), stream):
            pieces = (weights[start : start + rows] for start in range(0, len(weights), rows))
            found += [rate(piece @ ordered) for piece in pieces]
        return np.concatenate(found)

    def weights(self, clusters: int, stream: int = 0) -> Iterator[Array]:
        """Yield how often each cluster is drawn, `[resample, cluster]`, in pieces of bounded size."""
        key = (clusters, stream)
        if key in self._drawn:
            self._drawn[key] = self._drawn.pop(key)  # most recently used last
            yield self._drawn[key]
            return
        random = np.random.default_rng([self.seed, clusters, 0, stream])
        rows = min(self.resamples, max(1, _BLOCK // clusters))
        for start in range(0, self.resamples, rows):
            count = min(rows, self.resamples - start)
            drawn = random.integers(0, clusters, (count, clusters - 1)) + clusters * np.arange(count)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=count * clusters).reshape(count, clusters).astype(np.float64)
            if count == self.resamples:
                self._keep(key, weights)
            yield weights

    def _keep(self, key: tuple[int, int], weights: Array) -> None:
        self._drawn[key] = weights
        while sum(kept.size for kept in self._drawn.values()) > _CACHE:
            del self._drawn[next(iter(self._drawn))]


def sum_by(parts: Array, codes: npt.NDArray[np.int64], size: int) -> Array:
    """Sum rows `[row, part]` with one code each into `[code, part]`."""
    rows = len(parts)
    summing = sparse.csc_matrix((np.ones(rows), codes, np.arange(rows + 1)), shape=(size, rows))
    return np.asarray(summing @ parts, dtype=np.float64)


def bootstrap(
    parts: Array,
    clusters: Sequence[str] | npt.NDArray[np.generic],
    rate: Rate,
    *,
    bounds: tuple[float, float] = ANYWHERE,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of a rate over parts `[answer, part]`, resampling whole clusters with replacement.

    Field and Welsh (2007), Bootstrapping clustered data. Order of answers and names of clusters change nothing.
    """
    codes, names = _codes(clusters)
    rows = np.lexsort((*parts.T, codes))
    sums = sum_by(parts[rows], codes[rows], names)
    resampler = Resampler(resamples, confidence, seed)
    numbers = resampler.intervals(
        sums, lambda summed: np.asarray(rate(summed))[..., None], np.bincount(codes).astype(np.float64), bounds
    )
    estimate, low, high = (float(number[0]) for number in numbers)
    return Interval(estimate, low, high, len(parts), names)


def paired(
    a: Array,
    b: Array,
    clusters: Sequence[str] | npt.NDArray[np.generic],
    rate: Rate,
    *,
    bounds: tuple[float, float] = ANYWHERE,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Compare two systems' parts `[answer, part]` on the same answers, in the same resamples of clusters."""
    codes, names = _codes(clusters)
    rows = np.lexsort((*a.T, *b.T, codes))
    resampler = Resampler(resamples, confidence, seed)
    a_sums, b_sums = (sum_by(parts[rows], codes[rows], names) for parts in (a, b))
    sizes = np.bincount(codes).astype(np.float64)
    found = resampler.difference(a_sums, b_sums, rate, sizes=sizes, bounds=bounds)
    return Difference(*found, n=len(a), clusters=names)


def order(sums: Array) -> npt.NDArray[np.int64]:
    """Order clusters by their sums `[cluster, part]` alone."""
    return np.lexsort(sums.T) if sums.size else np.arange(len(sums))


def _codes(clusters: Sequence[str] | npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int64], int]:
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return codes.astype(np.int64), len(names)
