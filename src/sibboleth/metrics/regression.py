"""Regression: CCC, Pearson correlation, mean absolute error and root mean squared error, from addable moments."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from sibboleth.metrics.metric import Array, Metric, Rows, divide

CONSTANT = 1e-12
"""Variance under this share of the mean square is rounding error: the numbers are constant."""


@dataclass(frozen=True)
class Answers:
    """Numbers, answered and true."""

    reference: Array
    """`[answer]`."""
    values: Array
    """`[answer]`."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Values near the middle of reference and answers, from which moments are taken: no number depends on them but
    for rounding. Parts of two sets may be added only if they share it."""

    @classmethod
    def centred(cls, reference: Array, values: Array) -> Self:
        """Choose the origin: one of the values near the middle, so that constants stay exactly constant."""
        middle = len(reference) // 2
        pair = [
            float(np.partition(numbers, middle)[middle]) if len(numbers) else 0.0 for numbers in (reference, values)
        ]
        return cls(reference, values, (pair[0], pair[1]))

    def __len__(self) -> int:
        """Count the answers."""
        return len(self.reference)

    def take(self, rows: Rows) -> Self:
        """Return some of the answers, with the same origin."""
        return type(self)(self.reference[rows], self.values[rows], self.origin)


def moments(answers: Answers) -> Array:
    """Return n, sums of x, y, x squared, y squared, x times y (from the origin), y minus x, and its absolute value.

    x is the reference and y the answer: `[answer, 8]`.
    """
    x = answers.reference - answers.origin[0]
    y = answers.values - answers.origin[1]
    error = answers.values - answers.reference
    return np.column_stack([np.ones(len(answers)), x, y, x * x, y * y, x * y, error, np.abs(error), error * error])


def _spread(sums: Array) -> tuple[Array, Array, Array]:
    """Variances of x and y and their covariance (all over n); NaN for fewer than two answers."""
    n = np.where(sums[..., 0] >= 2, sums[..., 0], np.nan)
    x, y, xx, yy, xy = (sums[..., k] / n for k in range(1, 6))
    spread_x, spread_y = xx - x * x, yy - y * y
    spread_x = np.where(spread_x <= CONSTANT * xx, np.where(np.isnan(n), np.nan, 0.0), spread_x)
    spread_y = np.where(spread_y <= CONSTANT * yy, np.where(np.isnan(n), np.nan, 0.0), spread_y)
    return spread_x, spread_y, np.where((spread_x == 0) | (spread_y == 0), 0.0, xy - x * y)


def _ccc(sums: Array) -> Array:
    spread_x, spread_y, together = _spread(sums)
    bias = divide(sums[..., 6], sums[..., 0])
    return divide(2 * together, spread_x + spread_y + bias * bias)


def _pearson(sums: Array) -> Array:
    spread_x, spread_y, together = _spread(sums)
    return np.clip(divide(together, np.sqrt(spread_x * spread_y)), -1.0, 1.0)


def _mae(sums: Array) -> Array:
    return divide(sums[..., 7], sums[..., 0])


def _rmse(sums: Array) -> Array:
    return np.sqrt(divide(sums[..., 8], sums[..., 0]))


CCC = Metric("ccc", "CCC", moments, _ccc, bounds=(-1.0, 1.0))
"""Concordance correlation, 2 cov(x, y) / (var x + var y + (mean x - mean y) squared), variances over n (Lin 1989)."""
PEARSON = Metric("pearson", "Pearson", moments, _pearson, bounds=(-1.0, 1.0))
"""Pearson correlation; NaN where either side is constant."""
MAE = Metric("mae", "MAE", moments, _mae, False, (0.0, math.inf))
"""Mean absolute error, in the unit of the target."""
RMSE = Metric("rmse", "RMSE", moments, _rmse, False, (0.0, math.inf))
"""Root of the mean squared error, in the unit of the target."""

METRICS: tuple[Metric[Answers], ...] = (CCC, PEARSON, MAE, RMSE)
