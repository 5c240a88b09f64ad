"""Uncertainty: cluster bootstrap, paired differences, Holm correction.

Everything works on addable parts that are summed per cluster (usually a speaker), because utterances of one speaker
are not independent: a resample draws whole clusters with replacement, which is one matrix product with their sums.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[np.float64]
Rate = Callable[[Array], Array]
"""Summed parts `[..., part]` to numbers `[...]`, NaN where undefined."""

UNDEFINED = 0.1
"""An interval is NaN when more than this share of its resamples is undefined."""
FEW_CLUSTERS = 10
"""Clusters (speakers) below which a percentile interval over them is itself unsure, and mostly too narrow."""
UNLIKELY = 0.1
"""A permutation test whose p is above this after the first flips is not refined with more of them."""
_BLOCK = 4_000_000
_FLIPPED = 100_000
"""Numbers of a block of flips: few enough to stay in the processor's cache."""
_CACHE = 16_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its percentile interval; the limits are NaN with fewer than two clusters."""

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
    """Draws resamples of clusters; the draws depend on the seed and the number of clusters alone."""

    def __init__(self, resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> None:
        """Keep the drawn weights of recent cluster numbers, in bounded memory."""
        self.resamples = resamples
        self.confidence = confidence
        self.seed = seed
        self._drawn: dict[tuple[int, int], Array] = {}

    def intervals(self, sums: Array, rate: Callable[[Array], Array]) -> tuple[Array, Array, Array]:
        """Estimate, low and high of each of many numbers `[number]`.

        `sums` `[cluster, part]` are the parts of each cluster, `rate` turns `[..., part]` into `[..., number]`.
        Clusters are put into an order that depends on their sums alone, so that names and order change nothing.
        """
        ordered = sums[_order(sums)]
        estimate = rate(ordered.sum(axis=0))
        if len(sums) < 2:
            nothing = np.full_like(estimate, np.nan)
            return estimate, nothing, nothing
        low, high = self.limits(self._rates(ordered, rate), estimate)
        return estimate, low, high

    def rates(self, sums: Array, rate: Callable[[Array], Array], stream: int = 0) -> Array:
        """Return the numbers `[resample, number]` of every resample of the clusters `sums` `[cluster, part]`.

        Sets with the same number of clusters and the same `stream` share their draws; another stream is independent.
        """
        return self._rates(sums[_order(sums)], rate, stream)

    def limits(self, resampled: Array, estimate: Array) -> tuple[Array, Array]:
        """Return the percentile limits `[number]` of `[resample, number]`.

        Undefined resamples are left out; the limits are NaN where the estimate or too many resamples are.
        """
        ordered = np.sort(resampled.T, axis=-1)
        valid = np.count_nonzero(~np.isnan(ordered), axis=-1)
        usable = (valid >= (1 - UNDEFINED) * len(resampled)) & ~np.isnan(estimate)
        tail = (1 - self.confidence) / 2
        return tuple(np.where(usable, _quantile(ordered, valid, q), np.nan) for q in (tail, 1 - tail))  # type: ignore[return-value]

    def difference(self, a: Array, b: Array, rate: Rate, flips: int | None = None) -> tuple[float, float, float, float]:
        """Difference A minus B of two systems' sums `[cluster, part]`, its limits and p.

        The limits come from the same resamples of both. p is a sign-flip permutation test: under the null hypothesis
        the two systems' parts may be swapped within any cluster. All swaps are tried when there are no more of them
        than `flips` (exact test; as many as resamples where not given), else random ones: as many as resamples, and
        `flips` where p is at most `UNLIKELY` then. A smaller p than 1 / (flips + 1) cannot be found by those.
        """
        if tuple(b.sum(axis=0)) < tuple(a.sum(axis=0)):  # one orientation, so that B minus A mirrors A minus B
            swapped, low, high, p = self.difference(b, a, rate, flips)
            return -swapped, -high, -low, p
        both = np.concatenate([a, b], axis=1)
        both = both[_order(both)]
        width = a.shape[1]

        def subtract(parts: Array) -> Array:
            return np.asarray(rate(parts[..., :width]) - rate(parts[..., width:]))[..., None]

        observed = subtract(both.sum(axis=0))
        if len(both) < 2 or np.isnan(observed[0]):
            return float(observed[0]), np.nan, np.nan, np.nan
        low_limit, high_limit = self.limits(self._rates(both, subtract), observed)
        p = self._sign_flip(both, rate, abs(float(observed[0])), max(flips or 0, self.resamples))
        return float(observed[0]), float(low_limit[0]), float(high_limit[0]), p

    def _rates(self, ordered: Array, rate: Callable[[Array], Array], stream: int = 0) -> Array:
        return np.concatenate([rate(part) for part in self._resampled(ordered, stream)])

    def _sign_flip(self, both: Array, rate: Rate, observed: float, flips: int) -> float:
        width = both.shape[1] // 2
        a, b = both[:, :width].sum(axis=0), both[:, width:].sum(axis=0)
        change = both[:, width:] - both[:, :width]
        threshold = observed - 1e-12 * max(1.0, observed)
        rows = max(1, _FLIPPED // max(both.shape))

        def extreme(patterns: Iterator[Array]) -> int:
            count = 0
            for pattern in patterns:
                moved = pattern @ change
                differences = rate(a + moved) - rate(b - moved)
                # An undefined difference counts as extreme, which can only make p larger.
                count += int(np.count_nonzero(~(np.abs(differences) < threshold)))
            return count

        if len(both) < flips.bit_length():
            return extreme(_all_flips(len(both), rows)) / int(2 ** (len(both) - 1))
        random = np.random.default_rng([self.seed, len(both), 1])
        found, tried = extreme(_random_flips(random, len(both), self.resamples, rows)), self.resamples
        # One look only: below UNLIKELY the p of all flips counts, above it the p of the first; each alone is valid.
        if flips > tried and found + 1 <= UNLIKELY * (tried + 1):
            found, tried = found + extreme(_random_flips(random, len(both), flips - tried, rows)), flips
        return (found + 1) / (tried + 1)

    def _resampled(self, sums: Array, stream: int) -> Iterator[Array]:
        """Yield `[resample, part]` in pieces of bounded size."""
        rows = max(1, _BLOCK // max(1, sums.shape[1]))
        for weights in self._weights(len(sums), stream):
            for start in range(0, len(weights), rows):
                yield weights[start : start + rows] @ sums

    def _weights(self, clusters: int, stream: int) -> Iterator[Array]:
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
            drawn = random.integers(0, clusters, (count, clusters)) + clusters * np.arange(count)[:, None]
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
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a rate over parts `[answer, part]`, resampling whole clusters with replacement.

    Field and Welsh (2007), Bootstrapping clustered data. Order of answers and names of clusters change nothing.
    """
    codes, names = _codes(clusters)
    order = np.lexsort((*parts.T, codes))
    sums = sum_by(parts[order], codes[order], names)
    resampler = Resampler(resamples, confidence, seed)
    numbers = resampler.intervals(sums, lambda summed: np.asarray(rate(summed))[..., None])
    estimate, low, high = (float(number[0]) for number in numbers)
    return Interval(estimate, low, high, len(parts), names)


def paired(
    a: Array,
    b: Array,
    clusters: Sequence[str] | npt.NDArray[np.generic],
    rate: Rate,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Compare two systems' parts `[answer, part]` on the same answers, in the same resamples of clusters."""
    codes, names = _codes(clusters)
    order = np.lexsort((*a.T, *b.T, codes))
    resampler = Resampler(resamples, confidence, seed)
    sums = [sum_by(parts[order], codes[order], names) for parts in (a, b)]
    return Difference(*resampler.difference(sums[0], sums[1], rate), n=len(a), clusters=names)


def holm(p: Sequence[float] | Array) -> Array:
    """Correct a family of p values (Holm 1979); NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=np.float64)
    corrected = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected


def _codes(clusters: Sequence[str] | npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int64], int]:
    names, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return codes.astype(np.int64), len(names)


def _order(sums: Array) -> npt.NDArray[np.int64]:
    return np.lexsort(sums.T) if sums.size else np.arange(len(sums))


def _quantile(ordered: Array, valid: npt.NDArray[np.int64], q: float) -> Array:
    """Interpolate linearly between the `valid` first of each row of sorted numbers `[number, resample]`."""
    place = q * np.maximum(valid - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(valid - 1, 0))
    rows = np.arange(len(ordered))
    first, second = ordered[rows, below], ordered[rows, above]
    return np.asarray(first + (place - below) * (second - first), dtype=np.float64)


def _all_flips(clusters: int, rows: int) -> Iterator[Array]:
    """Yield half of all flips, `[flip, cluster]`: each of the others undoes one, and has its difference negated."""
    count = 2 ** (clusters - 1)
    for start in range(0, count, rows):
        patterns = np.arange(start, min(start + rows, count))[:, None]
        yield ((patterns >> np.arange(clusters)) & 1).astype(np.float64)


def _random_flips(random: np.random.Generator, clusters: int, count: int, rows: int) -> Iterator[Array]:
    for start in range(0, count, rows):
        shape = (min(rows, count - start), clusters)
        bits = np.frombuffer(random.bytes(-(-shape[0] * clusters // 8)), dtype=np.uint8)
        yield np.unpackbits(bits, count=shape[0] * clusters).reshape(shape).astype(np.float64)
