"""Numbers that are no rate of summed parts, such as agreement, under resamples of speakers and raters."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sibboleth.stats.limits import ANYWHERE, degrees, effective, spread
from sibboleth.stats.resampling import Bounds, Resampler

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array, Array], Array]
"""Weights of speakers `[resample, speaker]` and of raters `[resample, rater]` to numbers `[resample, number]`."""

FEWEST_RATERS = 4
"""Fewer raters are not resampled: too many resamples would hold one of them alone, who agrees with nobody."""
_RATERS = 1_000_000
"""Stream of draws of raters, as for crossed data."""
_NUMBERS = 2_000_000


def weighted(
    resampler: Resampler,
    statistic: Statistic,
    speakers: Array,
    raters: Array,
    bounds: Bounds = ANYWHERE,
    width: int = 1,
) -> tuple[Array, Array, Array]:
    """Estimate, low and high `[number]` of a statistic of weights, both speakers and raters resampled.

    `speakers` and `raters` count the answers of each (raters without any are not resampled), `width` says how many
    numbers the statistic holds for a resample. Degrees of freedom are Satterthwaite's, from the variance over resamples
    of speakers alone and of raters alone. The limits are NaN with fewer than two speakers; below `FEWEST_RATERS` raters
    speakers alone are resampled.
    """
    whole = np.ones((1, len(speakers))), np.ones((1, len(raters)))
    estimate = statistic(*whole)[0]
    if len(speakers) < 2:
        nothing = np.full_like(estimate, np.nan)
        return estimate, nothing, nothing
    by_speaker = np.concatenate(list(resampler.weights(len(speakers))))
    drawn = _over(statistic, by_speaker, whole[1], width)
    freedom = np.full_like(estimate, max(float(effective(speakers)) - 1, 1.0))
    if np.count_nonzero(raters) >= FEWEST_RATERS:
        by_rater = np.concatenate(list(resampler.weights(len(raters), _RATERS)))
        both = _over(statistic, by_speaker, by_rater, width)
        each = np.stack([freedom, np.full_like(estimate, max(float(effective(raters)) - 1, 1.0))])
        variances = [spread(found) ** 2 for found in (drawn, _over(statistic, whole[0], by_rater, width))]
        drawn, freedom = both, degrees(np.stack(variances), each)
    return estimate, *resampler.limits(drawn, estimate, freedom, bounds)


def _over(statistic: Statistic, speakers: Array, raters: Array, width: int) -> Array:
    """Return the numbers `[resample, number]`, in bounded memory; one row of weights stands for all resamples."""
    count = max(len(speakers), len(raters))
    rows = max(1, _NUMBERS // max(1, width))
    found = []
    for start in range(0, count, rows):
        here = [np.broadcast_to(w, (count, w.shape[1]))[start : start + rows] for w in (speakers, raters)]
        found.append(statistic(*here))
    return np.concatenate(found)
