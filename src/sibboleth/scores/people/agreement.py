"""Agreement of the people of a panel: one row per coefficient."""

import numpy as np
import polars as pl

from sibboleth import stats
from sibboleth.metrics.agreement import BOUNDS, Kappas, Level, Tally
from sibboleth.metrics.classification import OTHER
from sibboleth.scores.people.panel import Array, Codes, Panel
from sibboleth.stats import Resampler

SCHEMA: dict[str, type[pl.DataType]] = {
    "coefficient": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "raters": pl.Int64,
}
MOST_PAIRS = 5000
"""Pairs of listeners above which Cohen's kappa is not averaged: few of so many heard the same items."""


def agree(panel: Panel, resampler: Resampler) -> pl.DataFrame:
    """Return Krippendorff's alpha, Fleiss' kappa and the mean of Cohen's kappa over pairs; rows of `SCHEMA`.

    Alpha is nominal; also ordinal and interval where answers are numbers. A mean over pairs is over those in which it
    is defined, and votes have no pairs. Nothing is told where it is not known which wrong label was answered.
    """
    if OTHER in panel.labels:
        return pl.DataFrame(schema=SCHEMA)
    values, levels = _levels(panel.labels)
    tally = Tally(panel.answers, values)

    def overall(speakers: Array, raters: Array) -> Array:
        return tally.agreement(speakers[:, panel.speakers], raters, levels)

    width = panel.answers.shape[0] * len(values) * 3
    found = stats.weighted(resampler, overall, *panel.sizes, BOUNDS, width)
    names = [*(f"alpha_{level}" for level in levels), "fleiss_kappa"]
    rows = [(name, *(float(number[k]) for number in found)) for k, name in enumerate(names)]
    if not panel.votes and len(panel.raters) * (len(panel.raters) - 1) <= 2 * MOST_PAIRS:
        rows.append(("cohen_kappa_mean", *mean_kappa(panel, panel.answers, len(panel.labels), resampler)))
    frame = pl.DataFrame(rows, schema=list(SCHEMA)[:4], orient="row")
    return frame.with_columns(**panel.counted).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def mean_kappa(panel: Panel, answers: Codes, categories: int, resampler: Resampler) -> tuple[float, float, float]:
    """Return the mean of Cohen's kappa over all pairs of raters of answers `[item, rater]`, and its limits."""
    first, second = np.triu_indices(answers.shape[1], 1)
    kappas = Kappas(answers[:, first], answers[:, second], categories, panel.speakers)

    def mean(found: Array, raters: Array) -> Array:
        return over_pairs(found, raters[:, first] * raters[:, second])[:, None]

    width = len(first) * categories * 4
    sizes = panel.sizes
    estimate, low, high = stats.weighted(resampler, mean, *sizes, BOUNDS, width, lambda weights: kappas(weights)[2])
    return float(estimate[0]), float(low[0]), float(high[0])


def over_pairs(numbers: Array, weight: Array) -> Array:
    """Average numbers `[..., pair]` with weights, over the pairs in which they are defined."""
    there = ~np.isnan(numbers)
    known = np.where(there, numbers, 0.0)
    sums, weights = (np.einsum("...p,...p->...", side, weight) for side in (known, there.astype(np.float64)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums / weights)


def _levels(labels: tuple[str, ...]) -> tuple[Array, tuple[Level, ...]]:
    """Return the number that each label stands for, and the levels of alpha that these have."""
    try:
        values = np.array([float(label) for label in labels])
    except ValueError:
        return np.arange(len(labels), dtype=np.float64), ("nominal",)
    if (np.diff(values) <= 0).any():
        return np.arange(len(labels), dtype=np.float64), ("nominal",)
    return values, ("nominal", "ordinal", "interval")
