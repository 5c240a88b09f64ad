"""Uncertainty: bootstrap over speakers and raters, paired differences, tests, Holm's correction, power.

Everything works on addable parts that are summed per cluster (usually a speaker), because utterances of one speaker
are not independent: a resample draws whole clusters with replacement, which is one matrix product with their sums.
`docs/statistics.md` has the formulas, their sources and what was measured.
"""

from sibboleth.stats.cells import Cells
from sibboleth.stats.coverage import ENOUGH_CLUSTERS, FEW_CLUSTERS, Coverage, coverage
from sibboleth.stats.crossed import crossed, crossed_difference, crossed_rates
from sibboleth.stats.limits import degrees, difference_bounds, effective, limits, spread
from sibboleth.stats.matched_pairs import MatchedPairs, matched_pairs
from sibboleth.stats.permutation import holm, sign_flip
from sibboleth.stats.rate_ratios import LogRates, RateRatio
from sibboleth.stats.resampling import Difference, Interval, Resampler, bootstrap, paired, sum_by
from sibboleth.stats.weighted import FEWEST_RATERS, weighted

__all__ = [
    "ENOUGH_CLUSTERS",
    "FEWEST_RATERS",
    "FEW_CLUSTERS",
    "Cells",
    "Coverage",
    "Difference",
    "Interval",
    "LogRates",
    "MatchedPairs",
    "RateRatio",
    "Resampler",
    "bootstrap",
    "coverage",
    "crossed",
    "crossed_difference",
    "crossed_rates",
    "degrees",
    "difference_bounds",
    "effective",
    "holm",
    "limits",
    "matched_pairs",
    "paired",
    "sign_flip",
    "spread",
    "sum_by",
    "weighted",
]
