"""Numbers that are no rate of summed parts, such as agreement, under resamples of speakers and raters."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sibboleth.stats.limits import ANYWHERE, degrees, effective, spread
from sibboleth.stats.resampling import Bounds, Resampler

Array = npt.NDArray[np.float64]
Statistic = Callable[[Any, Array], Array]
"""What is made of weights of speakers, and weights of raters `[resample, rater]`, to numbers `[resample, number]`.

Either may have one row, which stands for all resamples.
"""

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
    made: Callable[[Array], Any] = lambda speakers: speakers,
) -> tuple[Array, Array, Array]:
    """Estimate, low and high `[number]` of a statistic of weights, both speakers and raters resampled.

    `speakers` and `raters` count the answers of each (raters without any are not resampled), `width` says how many
    numbers the statistic holds for a resample, `made` makes of weights of speakers `[resample, speaker]`, once, what
    the statistic takes (the weights themselves where not given). Degrees of freedom are Satterthwaite's, from the
    variance over resamples of speakers alone and of raters alone. The limits are NaN with fewer than two speakers;
    below `FEWEST_RATERS` raters speakers alone are resampled.
    """
    every_speaker, every_rater = made(np.ones((1, len(speakers)))), np.ones((1, len(raters)))
    estimate = statistic(every_speaker, every_rater)[0]
    if len(speakers) < 2:
        nothing = np.full_like(estimate, np.nan)
        return estimate, nothing, nothing
    by_speaker = np.concatenate(list(resampler.weights(len(speakers))))
    several = np.count_nonzero(raters) >= FEWEST_RATERS
    by_rater = np.concatenate(list(resampler.weights(len(raters), _RATERS))) if several else every_rater
    sources: tuple[list[Array], ...] = ([], [], [])
    rows = max(1, _NUMBERS // max(1, width))
    for start in range(0, len(by_speaker), rows):
        here, who = made(by_speaker[start : start + rows]), by_rater[start : start + rows]
        sources[0].append(statistic(here, every_rater))
        if several:
            sources[1].append(statistic(here, who))
            sources[2].append(_as_many(statistic(every_speaker, who), who))
    alone, *others = (np.concatenate(source) for source in sources if source)
    freedom = np.full_like(estimate, max(float(effective(speakers)) - 1, 1.0))
    if not others:
        return estimate, *resampler.limits(alone, estimate, freedom, bounds)
    both, of_raters = others
    each = np.stack([freedom, np.full_like(estimate, max(float(effective(raters)) - 1, 1.0))])
    freedom = degrees(np.stack([spread(alone) ** 2, spread(of_raters) ** 2]), each)
    return estimate, *resampler.limits(both, estimate, freedom, bounds)


def _as_many(found: Array, weights: Array) -> Array:
    """Repeat numbers that do not depend on the weights."""
    return np.broadcast_to(found, (len(weights), found.shape[1]))
