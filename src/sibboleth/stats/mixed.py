"""Right and wrong answers by a logistic model with crossed random intercepts: listeners, items, speakers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from threadpoolctl import threadpool_limits

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MOST_LEVELS = 1000
"""Levels of all groupings but the largest, above which nothing is fitted: the work grows with their cube."""
_RANGE = (-4.0, 2.0)
"""Of the logarithm of a standard deviation, in log odds."""
_RIDGE = 1e-6
"""Penalty on the log odds of cells, so that a cell without any error has finite ones."""
_STEPS, _SHORTEST = 50, 1e-3


@dataclass(frozen=True)
class Mixed:
    """Log odds of each cell of the design, and standard deviations of the random intercepts."""

    odds: Array
    """`[cell]`, of a listener, item and speaker in the middle."""
    covariance: Array
    """`[cell, cell]`."""
    deviations: Array
    """`[grouping]`."""


class CrossedLogistic:
    """logit P(right) = b_cell + sum over groupings of u_level, u normal with a standard deviation per grouping.

    Fitted by Laplace's approximation (Breslow and Clayton 1993; Bates et al. 2015) to the likelihood with the cells'
    log odds integrated out, so that deviations are not too small with few listeners, as in REML.
    """

    def __init__(self, right: npt.NDArray[np.bool_], cell: Codes, groupings: Sequence[Codes]) -> None:
        """Take the answers, their cell of the design, and their level in each grouping, all `[answer]`."""
        order = np.lexsort((*groupings, cell, right))  # an order of its own, so that names change nothing
        self._right = right[order].astype(np.float64)
        self._sizes = [int(codes.max()) + 1 for codes in groupings]
        self._largest = int(np.argmax(self._sizes))
        self._cells = int(cell.max()) + 1
        columns = [codes[order] for codes in groupings]
        self._big = columns.pop(self._largest)
        sizes = [self._cells, *(size for k, size in enumerate(self._sizes) if k != self._largest)]
        starts = np.cumsum([0, *sizes[:-1]])
        self._small = np.column_stack([cell[order], *columns]) + starts
        width, high = sum(sizes), self._sizes[self._largest]
        # Where each product of two indicators of an answer stands, so that a cross product is one count.
        self._squares = (self._small[:, :, None] * width + self._small[:, None, :]).ravel()
        self._across = (self._small * high + self._big[:, None]).ravel()
        self._start = np.zeros(width), np.zeros(high)

    def fit(self) -> Mixed:
        """Find the deviations, then the log odds."""
        outside = sum(size for k, size in enumerate(self._sizes) if k != self._largest)
        if outside > MOST_LEVELS:
            nothing = np.full(self._cells, np.nan)
            return Mixed(nothing, np.full((self._cells, self._cells), np.nan), np.full(len(self._sizes), np.nan))
        # Thousands of small products: on several threads they take eight times as long, and end elsewhere by 1e-4.
        with threadpool_limits(1, "blas"):
            found = optimize.minimize(
                lambda logs: self._solve(logs)[0],
                np.full(len(self._sizes), np.log(0.5)),
                method="L-BFGS-B",
                bounds=[_RANGE] * len(self._sizes),
                options={"maxiter": 60, "ftol": 1e-7, "eps": 1e-3},
            )
            _, odds, covariance = self._solve(found.x)
        return Mixed(odds, covariance, np.exp(found.x))

    def _solve(self, logs: Array) -> tuple[float, Array, Array]:
        """Return -2 log likelihood at these deviations, the cells' log odds and their covariance."""
        scales = [np.full(size, np.exp(log)) for log, size in zip(logs, self._sizes, strict=True)]
        by_big = scales.pop(self._largest)
        by_small = np.concatenate([np.ones(self._cells), *scales])
        ridge = np.concatenate([np.full(self._cells, _RIDGE), np.ones(len(by_small) - self._cells)])

        def linear(x: Array, y: Array) -> Array:
            return np.asarray((x * by_small)[self._small].sum(axis=1) + (y * by_big)[self._big])

        def deviance(x: Array, y: Array) -> float:
            there = linear(x, y)
            likelihood = (self._right * there - np.logaddexp(0, there)).sum()
            return float(-2 * likelihood + (ridge * x**2).sum() + (y**2).sum())

        x, y = self._start[0] / by_small, self._start[1] / by_big
        reached = deviance(x, y)
        for _ in range(_STEPS):
            mean = special.expit(linear(x, y))
            left, across, own = self._products(mean * (1 - mean), by_small, by_big)
            schur = left + np.diag(ridge) - (across / own) @ across.T
            rest = self._right - mean
            slope = by_small * self._sums(rest) - ridge * x
            steep = by_big * np.bincount(self._big, rest, len(by_big)) - y
            step = np.linalg.solve(schur, slope - (across / own) @ steep)
            other = (steep - across.T @ step) / own
            length = 1.0
            while (new := deviance(x + length * step, y + length * other)) > reached and length > _SHORTEST:
                length /= 2
            settled = abs(reached - new) < 1e-11 * (1 + abs(reached)) or length <= _SHORTEST
            if new < reached:
                x, y, reached = x + length * step, y + length * other, new
            if settled:
                break
        self._start = x * by_small, y * by_big
        logdet = np.linalg.slogdet(schur)[1] + np.log(own).sum()
        covariance = np.linalg.inv(schur)[: self._cells, : self._cells]
        return reached + float(logdet), np.asarray(x[: self._cells]), np.asarray(covariance, dtype=np.float64)

    def _products(self, weight: Array, by_small: Array, by_big: Array) -> tuple[Array, Array, Array]:
        """Weighted cross products of the columns: of the small groupings, of these with the largest, and its own."""
        factors, width, high = self._small.shape[1], len(by_small), len(by_big)
        left = np.bincount(self._squares, np.repeat(weight, factors**2), width**2).reshape(width, width)
        across = np.bincount(self._across, np.repeat(weight, factors), width * high).reshape(width, high)
        own = np.bincount(self._big, weight, high) * by_big**2 + 1
        return left * np.outer(by_small, by_small), across * np.outer(by_small, by_big), own

    def _sums(self, values: Array) -> Array:
        factors = self._small.shape[1]
        return np.bincount(self._small.ravel(), np.repeat(values, factors), len(self._start[0])).astype(np.float64)
