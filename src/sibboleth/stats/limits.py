"""Limits of an interval: a t interval with the resamples' standard error, on a scale that keeps it inside its range."""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

UNDEFINED = 0.1
"""An interval is NaN when more than this share of its resamples is undefined."""
ANYWHERE = (-math.inf, math.inf)
"""Range of a number that may be anything."""
_STEEP = 2.0
"""Steps on a logarithmic scale beyond this grow linearly, so that two or three clusters do not give limits of 10^10."""


def effective(sizes: Array) -> Array:
    """Effective number of clusters `[...]` of sizes `[cluster, ...]`: (sum n)^2 / sum n^2.

    Clusters of unequal size count as fewer equal ones (Carter, Schnepel and Steigerwald 2017, with the correlation
    within clusters at its worst). NaN where all sizes are 0.
    """
    sizes = np.sort(sizes, axis=0)  # an order of their own, so that the order of clusters changes nothing
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sizes.sum(axis=0) ** 2 / (sizes**2).sum(axis=0))


def degrees(variances: Array, each: Array) -> Array:
    """Degrees of freedom `[...]` of a sum of independent variances `[source, ...]`, `each` with its own.

    (sum V)^2 / sum(V^2 / df), Satterthwaite (1946); the smallest df where all variances are 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found = variances.sum(axis=0) ** 2 / (variances**2 / each).sum(axis=0)
    return np.asarray(np.where(np.isfinite(found), found, np.broadcast_to(each, variances.shape).min(axis=0)))


def spread(resampled: Array) -> Array:
    """Standard error `[number]` of resampled numbers `[resample, number]`; NaN where too many are undefined."""
    defined = ~np.isnan(resampled)
    if defined.all():
        return np.asarray(resampled.std(axis=0))
    count = defined.sum(axis=0)
    safe = np.maximum(count, 1)
    mean = np.where(defined, resampled, 0.0).sum(axis=0) / safe
    variance = np.where(defined, (resampled - mean) ** 2, 0.0).sum(axis=0) / safe
    return np.where(count >= (1 - UNDEFINED) * len(resampled), np.sqrt(variance), np.nan)


def limits(
    estimate: Array, error: Array, freedom: Array, confidence: float, bounds: Array | tuple[float, float] = ANYWHERE
) -> tuple[Array, Array]:
    """Return the limits `[number]` of estimates with their standard errors and degrees of freedom (1 at least).

    h^-1(h(estimate) -+ t * error * h'(estimate)), where h is the logit of a number with two bounds, the logarithm of
    its distance from a lower bound, and nothing without bounds. `bounds` are `(lowest, highest)` or `[number, 2]`. An
    estimate that lies on a bound has no such scale: its limits are cut at the bounds. NaN stays NaN.
    """
    lowest, highest = (np.broadcast_to(side, estimate.shape) for side in np.moveaxis(np.asarray(bounds, float), -1, 0))
    step = special.stdtrit(np.maximum(freedom, 1.0), (1 + confidence) / 2) * error
    with np.errstate(invalid="ignore", divide="ignore"):
        below, above = estimate - lowest, highest - estimate
        both = np.isfinite(lowest) & np.isfinite(highest)
        inside = (below > 0) & (above > 0)
        u, du = np.log(below / above), step * (highest - lowest) / (below * above)
        bounded = [lowest + (highest - lowest) * special.expit(u + sign * du) for sign in (-1, 1)]
        positive = [lowest + below * np.exp(-step / below), lowest + below * _growth(step / below)]
        plain = [np.clip(estimate + sign * step, lowest, highest) for sign in (-1, 1)]
    one = np.isfinite(lowest) & ~both
    low, high = (
        np.where(step == 0, estimate, np.where(both & inside, b, np.where(one & inside, p, x)))
        for b, p, x in zip(bounded, positive, plain, strict=True)
    )
    unknown = np.isnan(estimate) | np.isnan(step)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def _growth(step: Array) -> Array:
    small = np.exp(np.minimum(step, _STEEP))
    return np.asarray(small * (1 + np.maximum(step - _STEEP, 0.0)))


def difference_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    """Range of the difference of two numbers of this range."""
    reach = bounds[1] - bounds[0]
    return (-reach, reach) if math.isfinite(reach) else ANYWHERE
