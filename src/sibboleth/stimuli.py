"""Stimuli: utterances for people to judge, which no model that is compared with them has heard."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from sibboleth import draws
from sibboleth.errors import InvalidInput, Problem
from sibboleth.fits import Fit
from sibboleth.schemes import Rows

DRAW = 1_000_000
"""Number of the draw, so that stimuli are not those that few-shot learns from first."""


def unheard(fits: Sequence[Fit]) -> Rows:
    """Return the tested rows that no model that answers about them has learnt from or was selected on."""
    size = 1 + max((int(test.rows.max(initial=-1)) for fit in fits for test in fit.tests), default=-1)
    tested, known = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for fit in fits:
        heard = np.unique(np.concatenate(fit.heard))
        for test in fit.tests:
            tested[test.rows] = True
            known[np.intersect1d(test.rows, heard)] = True
    return np.flatnonzero(tested & ~known)


def drawn(
    table: pl.DataFrame, target: str, count: int, *, columns: Sequence[str] = (), rows: Rows | None = None, seed: int
) -> pl.DataFrame:
    """Draw `count` utterances of every label, within each value of `columns` where there are any.

    They are of as many speakers as can be, from `rows` where these are given, and decided by the seed and the names of
    the utterances; the table has the columns `utterance`, `speaker` and `session`. Raises `InvalidInput` for every
    label of which there are fewer.
    """
    some = table if rows is None else table[rows]
    some = some.filter(pl.col(target).is_not_null())
    cell = [*columns, target]
    there = some.group_by(cell).len().sort(cell)
    if not (few := there.filter(pl.col("len") < count)).is_empty():
        raise InvalidInput(
            f"stimuli: {count} utterances of every label are asked for; ask for fewer, or leave labels out",
            [Problem(" ".join(map(str, named)), f"has {number}") for *named, number in few.rows()],
        )
    ranks = draws.ranks(some, target, columns, seed, DRAW)
    return some.filter(ranks < count)
