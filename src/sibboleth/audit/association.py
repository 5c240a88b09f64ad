"""Association: how strongly two sets of kinds go together, without crying wolf on few cases."""

import numpy as np
from scipy import special

from sibboleth.schemes import Rows
from sibboleth.stratification import tabulate

PER_CELL = 5
"""Cases per cell of the table under which nothing is said."""


def associated(one: Rows, other: Rows) -> tuple[float, float]:
    """Return Cramér's V of two codes of the same cases, corrected for bias, and the p of the chi-squared test.

    V is 0 for independent and 1 for inseparable kinds. Bergsma (2013), A bias-correction for Cramér's V and
    Tschuprow's T: phi^2 - (r-1)(c-1)/(n-1), over the smaller of the corrected r and c, less one. Values of `other`
    with fewer than `PER_CELL` cases are left out; with fewer than `PER_CELL` cases per cell the result is (0, 1).
    """
    known = (one >= 0) & (other >= 0)
    one, other = one[known], other[known]
    counts = np.bincount(other) if len(other) else np.zeros(1, dtype=np.int64)
    kept = counts[other] >= PER_CELL
    rows, columns = (np.unique(codes[kept], return_inverse=True)[1].astype(np.int64) for codes in (one, other))
    table = tabulate(rows, columns)
    cases, (height, width) = table.sum(), table.shape
    if min(height, width) < 2 or cases < PER_CELL * height * width:
        return 0.0, 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / cases
    square = float(((table - expected) ** 2 / expected).sum())
    free = (height - 1) * (width - 1)
    corrected = max(0.0, square / cases - free / (cases - 1))
    smaller = min(side - (side - 1) ** 2 / (cases - 1) for side in (height, width))
    return float(min(1.0, (corrected / (smaller - 1)) ** 0.5)), float(special.chdtrc(free, square))
