"""Budgets: the same fits with less to train on, in seconds of audio."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import draws, schemes
from sibboleth.errors import InvalidInput, Problem
from sibboleth.fits import Fit, Fits
from sibboleth.schemes import Rows

Seconds = npt.NDArray[np.float64]


def budgeted(fits: Fits, table: pl.DataFrame, seconds: pl.Series, budgets: Sequence[float], seed: int) -> Fits:
    """Add, to every fit of one training, one for each budget: a part of its train rows of at most so many seconds.

    The parts of a fit are nested and balanced: utterances are taken in an order in which the speaker with the fewest
    seconds so far comes next, with the next of their utterances in an order of chance. That follows from the seed and
    the utterances' names. Dev and test stay; regimes are called `within(600 s)`.

    Raises `InvalidInput` for a budget that some fit does not have, or durations that are not known.
    """
    if not budgets:
        return fits
    if seconds.null_count():
        raise InvalidInput("splits.seconds: the durations of some utterances are not known; give a column `duration`")
    keys = draws.keys(table["utterance"], seed, 0)
    speakers, durations = schemes.codes(table["speaker"]), seconds.to_numpy()
    lacking: dict[str, Problem] = {}
    made: list[Fit] = []
    for fit in fits:
        made.append(fit)
        if fit.then is not None:
            continue
        there = float(durations[fit.train].sum())
        if budgets[-1] > there:
            lacking.setdefault(fit.source, Problem(fit.source, f"{fit.fold} trains on {there:.0f} s"))
            continue
        ordered = fit.train[in_turn(keys[fit.train], speakers[fit.train], durations[fit.train])]
        passed = durations[ordered].cumsum()
        for budget in budgets:
            made.append(_cut(fit, np.sort(ordered[passed <= budget]), budget))
    if lacking:
        raise InvalidInput(
            f"splits.seconds: {budgets[-1]:g} s is more than there is to train on; leave it out, or add speech",
            list(lacking.values()),
        )
    if empty := [fit.fold for fit in made if not len(fit.train)]:
        raise InvalidInput(f"splits.seconds: {budgets[0]:g} s is shorter than an utterance of {empty[0]}; give more")
    return Fits(made, fits.impossible, fits.scarce)


def _cut(fit: Fit, train: Rows, budget: float) -> Fit:
    tests = tuple(replace(test, regime=f"{test.regime}({budget:g} s)") for test in fit.tests)
    return replace(fit, fold=f"{fit.fold}, {budget:g} s", train=train, tests=tests, budget=budget)


def in_turn(keys: npt.NDArray[np.uint64], speakers: Rows, seconds: Seconds) -> Rows:
    """Order rows so that every beginning has about as many seconds of each speaker, as long as they have any left."""
    chance = np.lexsort((keys, speakers))
    before = seconds.copy()
    # What a speaker has had before an utterance decides when it comes; chance decides among equals.
    for rows in _runs(chance, speakers):
        before[rows] = seconds[rows].cumsum() - seconds[rows]
    return np.lexsort((keys, before))


def _runs(ordered: Rows, speakers: Rows) -> Iterator[Rows]:
    yield from np.split(ordered, np.flatnonzero(np.diff(speakers[ordered])) + 1)
