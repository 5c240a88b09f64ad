"""Error consistency: do a model and people fail on the same items, beyond what their accuracies make likely?

Geirhos, Meding and Wichmann (2020): Cohen's kappa of being right, (observed - expected) / (1 - expected) with
expected = p q + (1 - p)(1 - q) for accuracies p and q. Among people it is the ceiling.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import stats
from sibboleth.metrics.agreement import BOUNDS, Kappas
from sibboleth.scores.people.agreement import MOST_PAIRS, over_pairs
from sibboleth.scores.people.panel import Array, Panel, alike
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
    rows: dict[int, list[tuple[object, ...]]] = {}
    for there, which in alike(answered.answers >= 0).items():
        rows |= _people(known.about(np.array(there)), answered, np.array(there), which, resampler)
    ordered = [row for k in sorted(rows) for row in rows[k]]
    return pl.DataFrame([*ordered, *_models(answered, resampler)], schema=SCHEMA, orient="row")


def _people(
    panel: Panel, models: Panel, there: npt.NDArray[np.bool_], which: list[int], resampler: Resampler
) -> dict[int, list[tuple[object, ...]]]:
    """Return the rows of each model that answered these items, and at -1 that of people, where the items are all."""
    people, several = panel.right, len(panel.raters)
    first, second = np.triu_indices(several, 1)
    few = len(first) <= MOST_PAIRS
    if not few:
        first, second = first[:0], second[:0]
    right = models.right[there][:, which]
    between = Kappas(people[:, first], people[:, second], 2, panel.speakers)
    beside = Kappas(np.repeat(right, several, axis=1), np.tile(people, len(which)), 2, panel.speakers)

    def made(speakers: Array) -> tuple[Array, Array]:
        return between(speakers), beside(speakers).reshape(3, len(speakers), len(which), several)

    def means(kappas: tuple[Array, Array], raters: Array) -> Array:
        ceiling = over_pairs(kappas[0], raters[:, first] * raters[:, second])
        own = over_pairs(kappas[1], raters[:, None]).transpose(2, 0, 1)
        return np.concatenate([ceiling, *(np.vstack([o, o[2:] - ceiling[2:]]) for o in own)]).T

    bounds = np.array([BOUNDS] * 3 + [BOUNDS, BOUNDS, BOUNDS, (-2.0, 2.0)] * len(which))
    width = (len(first) + people.shape[1] * len(which)) * 8
    found = stats.weighted(resampler, means, *panel.sizes, bounds, width, made)
    counts = panel.counted.values()
    rows: dict[int, list[tuple[object, ...]]] = {}
    if there.all() and few:
        rows[-1] = [(PEOPLE, None, None, None, None, *_numbers(found), None, None, None, *counts)]
    each = _pairs(
        LISTENER, [(models.raters[k], name) for k in which for name in panel.raters], beside, panel, resampler
    )
    for place, k in enumerate(which):
        own = [number[3 + 4 * place : 7 + 4 * place] for number in found]
        difference = tuple(float(number[3]) for number in own)
        whole = WITH_PEOPLE, *models.raters[k], None, None, *_numbers(own), *difference, *counts
        rows[k] = [whole, *itertools.islice(each, several)]
    return rows


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

    def each(speakers: Array, _: Array) -> Array:
        return kappas(speakers).transpose(1, 0, 2).reshape(len(speakers), -1)

    sizes = np.bincount(panel.speakers).astype(np.float64)
    found = stats.weighted(resampler, each, sizes, np.ones(1), BOUNDS, len(names) * 8)
    for k, (a, b) in enumerate(names):
        one = [number.reshape(3, -1)[:, k] for number in found]
        yield between, *a, *b, *_numbers(one), None, None, None, int(kappas.answered[k]), panel.speaker_count, 1


def _numbers(found: tuple[Array, ...] | list[Array]) -> tuple[float, ...]:
    """Observed, expected, kappa and its limits."""
    estimate, low, high = found
    return float(estimate[0]), float(estimate[1]), float(estimate[2]), float(low[2]), float(high[2])
