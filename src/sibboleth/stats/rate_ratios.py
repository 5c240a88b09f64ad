"""Ratios of groups' rates of errors, by a Poisson regression whose errors are those of whole speakers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from sibboleth.stats.limits import degrees, effective

Array = npt.NDArray[np.float64]
ALIKE = 1e-9
"""Share of a group's errors up to which its speakers' deviations from its rate are those of rounding."""


@dataclass(frozen=True)
class RateRatio:
    """How many times as many errors one group has as another, per unit; NaN where nothing can be said."""

    ratio: float
    low: float
    high: float
    p: float
    """Two-sided, of the hypothesis that the ratio is 1."""


class LogRates:
    """Rates of errors of groups: log E(errors) = log(length) + b_group, errors of one speaker being alike.

    Generalised estimating equations (Liang and Zeger 1986) of a Poisson family with the logarithm of the reference's
    length as offset, independence as working correlation, so that exp(b) is the pooled rate, and the bias-reduced
    covariance of Mancl and DeRouen (2001), since the plain one is too small with few clusters.
    """

    def __init__(self, errors: Array, length: Array) -> None:
        """Take the errors and the length of each speaker in each group, `[cluster, group]`.

        A speaker without any length in a group is left out of it. A group without errors has no logarithm, and one
        with a single speaker, or whose speakers all err alike, shows no variance: such groups get a rate, and no
        interval.
        """
        there = length > 0
        self._length = np.where(there, length, 0.0)
        errors = np.where(there, errors, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = errors.sum(axis=0) / self._length.sum(axis=0)
            self._logs = np.log(rates)
        apart = np.abs(errors - np.nan_to_num(rates) * self._length).sum(axis=0) > ALIKE * errors.sum(axis=0)
        known = np.flatnonzero((there.sum(axis=0) > 1) & apart)
        self._variance = np.full((length.shape[1], length.shape[1]), np.nan)
        if len(known):
            self._logs[known], self._variance[np.ix_(known, known)] = _fit(errors[:, known], self._length[:, known])

    def ratio(self, group: int, against: int, confidence: float) -> RateRatio:
        """Compare two groups; the interval and p are of Student's t.

        Its degrees of freedom are Satterthwaite's where no speaker is in both, else those of all their speakers.
        """
        log = float(self._logs[group] - self._logs[against]) if np.isfinite(self._logs[against]) else np.nan
        variance = self._variance[np.ix_([group, against], [group, against])]
        error = float(np.sqrt(variance.trace() - 2 * variance[0, 1]))
        if not (np.isfinite(log) and error > 0):
            return RateRatio(float(np.exp(log)), np.nan, np.nan, np.nan)
        freedom = self._freedom(group, against, variance.diagonal())
        step = float(special.stdtrit(freedom, (1 + confidence) / 2)) * error
        p = float(2 * special.stdtr(freedom, -abs(log) / error))
        with np.errstate(over="ignore"):
            ratio, low, high = (float(np.exp(log + sign * step)) for sign in (0, -1, 1))
        return RateRatio(ratio, low, high, p)

    def _freedom(self, group: int, against: int, variances: Array) -> float:
        pair = self._length[:, [group, against]]
        if ((pair > 0).sum(axis=1) < 2).all():
            each = np.maximum(effective(pair) - 1, 1.0)
            return float(degrees(variances[:, None], each[:, None])[0])
        return max(float(effective(pair.sum(axis=1))) - 1, 1.0)


def _fit(errors: Array, length: Array) -> tuple[Array, Array]:
    """Return the logarithms of the rates `[group]` and their covariance `[group, group]`."""
    from statsmodels.genmod.cov_struct import Independence
    from statsmodels.genmod.families import Poisson
    from statsmodels.genmod.generalized_estimating_equations import GEE

    order = np.lexsort((*errors.T, *length.T))  # an order of their own, so that names of speakers change nothing
    errors, length = errors[order], length[order]
    cluster, group = np.nonzero(length)
    model = GEE(
        errors[cluster, group],
        np.eye(errors.shape[1])[group],
        cluster,
        family=Poisson(),
        cov_struct=Independence(),
        offset=np.log(length[cluster, group]),
    )
    found = model.fit(cov_type="bias_reduced")
    return np.asarray(found.params), np.asarray(found.cov_params())
