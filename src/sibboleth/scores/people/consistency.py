"""Error consistency: do a model and people fail on the same items, beyond what their accuracies make likely?

Geirhos, Meding and Wichmann (2020): Cohen's kappa of being right, (observed - expected) / (1 - expected) with
expected = p q + (1 - p)(1 - q) for accuracies p and q. Among people it is the ceiling.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from sibboleth import stats
from sibboleth.metrics.agreement import BOUNDS, Kappas
from sibboleth.scores.people.agreement import MOST_PAIRS, over_pairs
from sibboleth.scores.people.panel import Array, Panel
from sibboleth.stats import Resampler

SCHEMA: dict[str, type[pl.DataType]] = {
    "between": pl.String,
    "run": pl.String,
    "rater": pl.String,
    "other_run": pl.String,
    "other_rater": pl.String,
    "observed": pl.Float64,
    "expected": pl.Float64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "raters": pl.Int64,
}
WITH_PEOPLE, PEOPLE, MODELS, LISTENER = "model and people", "people", "models", "model and listener"


def consistency(panel: Panel, models: Panel, resampler: Resampler) -> pl.DataFrame:
    """Return the kappa of each kind of pair; rows of `SCHEMA`, `between` says which.

    `people` is the mean over pairs of listeners, the ceiling; `model and people` a model's mean over listeners, with
    its `difference` to the ceiling on the model's own items; `model and listener` each of these, and `models` pairs of
    models, whose intervals resample speakers only. Speakers and people are resampled together. Votes have no rows: it
    must be known who failed on which items.
    """
    if panel.votes:
        return pl.DataFrame(schema=SCHEMA)
    known = panel.about(panel.truth >= 0)
    answered = models.about(panel.truth >= 0)
    rows = [*_people(known, resampler)]
    for k in range(len(models.raters)):
        rows += _model(k, known, answered, resampler)
    rows += _models(answered, resampler)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _people(panel: Panel, resampler: Resampler) -> Iterator[tuple[object, ...]]:
    if len(panel.raters) * (len(panel.raters) - 1) > 2 * MOST_PAIRS:
        return
    first, second = np.triu_indices(len(panel.raters), 1)
    kappas = Kappas(panel.right[:, first], panel.right[:, second], 2, panel.speakers)

    def mean(speakers: Array, raters: Array) -> Array:
        return over_pairs(kappas(speakers), raters[:, first] * raters[:, second]).T

    found = stats.weighted(resampler, mean, *panel.sizes, BOUNDS, len(first) * 8)
    yield PEOPLE, None, None, None, None, *_numbers(found), None, None, None, *panel.counted.values()


def _model(k: int, panel: Panel, models: Panel, resampler: Resampler) -> Iterator[tuple[object, ...]]:
    there = models.answers[:, k] >= 0
    shared, right = panel.about(there), models.right[there][:, [k]]
    people = shared.right
    beside = Kappas(np.broadcast_to(right, people.shape), people, 2, shared.speakers)
    first, second = np.triu_indices(len(shared.raters), 1)
    if len(first) > MOST_PAIRS:
        first, second = first[:0], second[:0]
    between = Kappas(people[:, first], people[:, second], 2, shared.speakers)

    def means(speakers: Array, raters: Array) -> Array:
        own = over_pairs(beside(speakers), raters).T
        ceiling = over_pairs(between(speakers)[2], raters[:, first] * raters[:, second])
        return np.column_stack([own, own[:, 2] - ceiling])

    bounds = np.array([BOUNDS, BOUNDS, BOUNDS, (-2.0, 2.0)])
    found = stats.weighted(resampler, means, *shared.sizes, bounds, len(first) * 8 + people.shape[1] * 8)
    difference = tuple(float(number[3]) for number in found)
    counts = shared.counted.values()
    yield WITH_PEOPLE, *models.raters[k], None, None, *_numbers(found), *difference, *counts
    yield from _pairs(LISTENER, [(models.raters[k], name) for name in shared.raters], beside, shared, resampler)


def _models(models: Panel, resampler: Resampler) -> Iterator[tuple[object, ...]]:
    first, second = np.triu_indices(len(models.raters), 1)
    kappas = Kappas(models.right[:, first], models.right[:, second], 2, models.speakers)
    names = [(models.raters[a], models.raters[b]) for a, b in zip(first, second, strict=True)]
    yield from _pairs(MODELS, names, kappas, models, resampler)


def _pairs(
    between: str,
    names: list[tuple[tuple[str, str], tuple[str, str]]],
    kappas: Kappas,
    panel: Panel,
    resampler: Resampler,
) -> Iterator[tuple[object, ...]]:
    """Yield a row per pair, speakers alone resampled."""
    if not names or not panel.speaker_count:
        return
    count = kappas.tables(np.ones((1, panel.speaker_count)))[0].sum(axis=(-2, -1)).astype(int)

    def each(speakers: Array, _: Array) -> Array:
        return kappas(speakers).transpose(1, 0, 2).reshape(len(speakers), -1)

    sizes = np.bincount(panel.speakers).astype(np.float64)
    found = stats.weighted(resampler, each, sizes, np.ones(1), BOUNDS, len(names) * 8)
    for k, (a, b) in enumerate(names):
        one = [number.reshape(3, -1)[:, k] for number in found]
        yield between, *a, *b, *_numbers(one), None, None, None, int(count[k]), panel.speaker_count, 1


def _numbers(found: tuple[Array, ...] | list[Array]) -> tuple[float, ...]:
    """Observed, expected, kappa and its limits."""
    estimate, low, high = found
    return float(estimate[0]), float(estimate[1]), float(estimate[2]), float(low[2]), float(high[2])
