"""Matched pairs: whether two recognisers differ, from segments of speech in which their errors are independent."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special


class MatchedPairs(NamedTuple):
    """The test of segments' differences; z and p are NaN where these do not vary, or there are fewer than two."""

    segments: int
    mean: float
    """Errors of A minus errors of B, per segment."""
    deviation: float
    z: float
    p: float
    """Two-sided, by the normal distribution: for some fifty segments or more."""


def matched_pairs(differences: npt.NDArray[np.int64]) -> MatchedPairs:
    """Test differences in errors `[segment]` for a mean of 0: z = mean / (deviation / sqrt(segments)).

    Gillick and Cox (1989), Some statistical issues in the comparison of speech recognition algorithms; the deviation
    has n - 1 as divisor, as in NIST's `sc_stats`.
    """
    count = len(differences)
    mean = float(differences.mean()) if count else float("nan")
    deviation = float(differences.std(ddof=1)) if count > 1 else float("nan")
    z = mean / (deviation / np.sqrt(count)) if deviation > 0 else float("nan")
    return MatchedPairs(count, mean, deviation, float(z), float(2 * special.ndtr(-abs(z))))
