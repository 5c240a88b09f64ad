"""Gaps: how far zero-shot lies behind within, before and after something is done to both, on the same utterances."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from sibboleth import metrics
from sibboleth.scores.slices import Array, Clusters, Codes, Items, code
from sibboleth.stats import Resampler, sum_by
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

GAPS: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "contrast": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}
CONTRASTS = {
    "zero-shot": (0, -1, 0, 1),
    "within": (-1, 0, 1, 0),
    "gap before": (1, -1, 0, 0),
    "gap after": (0, 0, 1, -1),
    "gap closed": (1, -1, -1, 1),
}
"""Weights of within and zero-shot before, and of both after; `zero-shot` and `within` are what each gains."""


@dataclass(frozen=True)
class Quartet:
    """Runs on one target; `run`, zero-shot after, is the one that rows are named by."""

    run: str
    zero_shot: str
    within: str | None = None
    """None where the study does not train within: then there is no gap."""
    within_after: str | None = None
    """The same as `within` where nothing is done to it."""


def gaps(
    predictions: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    quartets: Sequence[Quartet],
    *,
    clusters: Clusters,
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Return every contrast of the main metric with its paired interval, a row of `GAPS` each.

    `predictions` hold one rater of each run. Trials count as parts of one answer. Intervals resample speakers.
    """
    settings = statistics or StatisticsSettings()
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    aligned = metrics.align(predictions, reference, target)
    utterances = aligned.keys["utterance"].unique().sort()
    speakers = Items.of(utterances, clusters, None, ()).clusters
    metric = metrics.of(target)[0]
    parts = metric.parts(aligned.answers)
    places = code(aligned.keys["utterance"], utterances.to_list())
    rows = aligned.keys.with_row_index("row").group_by("run").agg("row").iter_rows()
    answered = {run: averaged(parts[mine], places[mine]) for run, mine in rows}
    made: list[tuple[object, ...]] = []
    for one in quartets:
        names = [one.within, one.zero_shot, one.within_after, one.run]
        found = [answered[name or one.run] for name in names]
        common = reduce(np.intersect1d, [there for there, _ in found])
        codes = np.unique(speakers[common], return_inverse=True)[1]
        size = int(codes.max(initial=-1)) + 1
        sums = [sum_by(mean[np.searchsorted(there, common)], codes, size) for there, mean in found]
        wanted = {name: w for name, w in CONTRASTS.items() if one.within is not None or not (w[0] or w[2])}
        weights = np.array(list(wanted.values()), dtype=np.float64)
        reach = np.abs(weights).sum(axis=1) / 2 * (metric.bounds[1] - metric.bounds[0])

        def contrasts(summed: Array, weights: Array = weights) -> Array:
            systems = summed.reshape(*summed.shape[:-1], 4, -1)
            return np.asarray(metric.rate(systems) @ weights.T)

        limits = resampler.intervals(
            np.concatenate(sums, axis=1), contrasts, np.bincount(codes).astype(np.float64), np.stack([-reach, reach], 1)
        )
        for name, *numbers in zip(wanted, *limits, strict=True):
            made.append((one.run, name, *map(float, numbers), len(common), size))
    return pl.DataFrame(made, schema=GAPS, orient="row")


def averaged(parts: Array, places: Codes) -> tuple[Codes, Array]:
    """Return the utterances that a run answered, sorted, and their parts, averaged over trials."""
    there, index, count = np.unique(places, return_inverse=True, return_counts=True)
    return there, sum_by(parts, index, len(there)) / count[:, None]
