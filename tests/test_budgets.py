"""Budgets: parts of the training rows that nest, hold all speakers alike, and leave dev and test as they are."""

import numpy as np
import polars as pl
import pytest

from sibboleth import fits
from sibboleth.budgets import budgeted
from sibboleth.errors import InvalidInput
from sibboleth.fits import Fit, Fits

RANDOM = np.random.default_rng(0)
TABLE = pl.DataFrame({"utterance": [f"u{k}" for k in range(120)], "speaker": [f"s{k % 6}" for k in range(120)]})
SECONDS = pl.Series(RANDOM.uniform(1, 5, 120))
FITS = Fits([Fit("x", "fold-1", np.arange(96), np.arange(96, 108), (fits.Test("within", "x", np.arange(108, 120)),))])


def parts(seed: int = 0, budgets: tuple[float, ...] = (30.0, 60.0, 200.0)) -> list[Fit]:
    return [fit for fit in budgeted(FITS, TABLE, SECONDS, budgets, seed) if fit.budget]


def test_they_nest_and_keep_to_their_seconds() -> None:
    whole, *found = budgeted(FITS, TABLE, SECONDS, (30.0, 60.0, 200.0), 0)
    assert whole is FITS[0] and [fit.budget for fit in found] == [30, 60, 200]
    for less, more in zip(found, [*found[1:], whole], strict=True):
        assert set(less.train) < set(more.train)
    for fit in found:
        assert fit.budget is not None
        assert fit.budget - 5 < SECONDS.gather(fit.train).sum() <= fit.budget
        assert fit.dev is whole.dev and fit.tests[0].rows is whole.tests[0].rows
        assert fit.tests[0].regime == f"within({fit.budget:g} s)"


def test_all_speakers_are_heard_alike() -> None:
    for fit in parts():
        mine = TABLE.with_columns(seconds=SECONDS)[fit.train].group_by("speaker").agg(pl.col("seconds").sum())
        assert len(mine) == 6 and float(mine["seconds"].max() - mine["seconds"].min()) < 10  # type: ignore[operator]


def test_chance_is_that_of_the_seed_and_the_names() -> None:
    assert all(np.array_equal(a.train, b.train) for a, b in zip(parts(), parts(), strict=True))
    assert not np.array_equal(parts(0)[1].train, parts(1)[1].train)


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than there is to train on") as caught:
        parts(budgets=(30.0, 3600.0))
    assert "fold-1 trains on" in str(caught.value)
    with pytest.raises(InvalidInput, match="shorter than an utterance"):
        parts(budgets=(0.5,))
    with pytest.raises(InvalidInput, match="durations"):
        budgeted(FITS, TABLE, pl.Series([None] * 120, dtype=pl.Float64), (30.0,), 0)
