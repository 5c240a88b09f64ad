"""Sign-flip permutation tests over clusters, and Holm's correction of a family of them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rate = Callable[[Array], Array]

UNLIKELY = 0.1
"""A permutation test whose p is above this after the first flips is not refined with more of them."""
_FLIPPED = 100_000
"""Numbers of a block of flips: few enough to stay in the processor's cache."""


def sign_flip(both: Array, rate: Rate, *, flips: int, first: int, seed: int) -> float:
    """Two-sided p of the difference of two systems' sums `[cluster, part of A and part of B]`.

    Under the null hypothesis the two systems' parts may be swapped within any cluster. All swaps are tried when there
    are no more of them than `flips` (exact test), else random ones: `first`, and `flips` where p is at most
    `UNLIKELY` then. A smaller p than 1 / (flips + 1) cannot be found by those (Phipson and Smyth 2010).
    """
    width = both.shape[1] // 2
    a, b = both[:, :width].sum(axis=0), both[:, width:].sum(axis=0)
    change = both[:, width:] - both[:, :width]
    observed = abs(float(rate(a) - rate(b)))
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
    random = np.random.default_rng([seed, len(both), 1])
    found, tried = extreme(_random_flips(random, len(both), first, rows)), first
    # One look only: below UNLIKELY the p of all flips counts, above it the p of the first; each alone is valid.
    if flips > tried and found + 1 <= UNLIKELY * (tried + 1):
        found, tried = found + extreme(_random_flips(random, len(both), flips - tried, rows)), flips
    return (found + 1) / (tried + 1)


def holm(p: Sequence[float] | Array) -> Array:
    """Correct a family of p values (Holm 1979); NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=np.float64)
    corrected = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected


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
