"""The scores table: metric by slice for each rater."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from sibboleth import metrics, stats
from sibboleth.metrics import Alignment, Answers, Breakdown, Metric, Parts, classification, segmentation
from sibboleth.scores.between import Row, between
from sibboleth.scores.groups import Groups, members, people
from sibboleth.scores.raters import raters
from sibboleth.scores.slices import Clusters, Items
from sibboleth.stats import Resampler
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

SCHEMA: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "rater": pl.String,
    "reference": pl.String,
    "target": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "layer": pl.Int32,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "raters": pl.Int64,
}
Labelled = classification.Answers | segmentation.Answers
ROW = ("metric", "slice", "estimate", "low", "high", "n", "clusters")


def score(
    predictions: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    *,
    clusters: Clusters,
    slices: pl.DataFrame | None = None,
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
    groups: Groups | None = None,
) -> pl.DataFrame:
    """Score every (run, rater, layer) and group with all metrics of the target's kind; a row of `SCHEMA` each.

    Slices are `all`; `label=X` (recall, precision, F1; of segments also false alarm, confused and overlap per second of
    the label) and `label=X,answer=Y` (confusion: shares of a row); and
    `column=value` for the columns of `slices` (found by `utterance`) that `statistics` names, a rater's constant
    columns passed over. Beside those stands the main metric's `MAIN_mean` in slice `column=*`, the mean over groups,
    and its `MAIN_gap` in slice `column=WORST,column=BEST`, how far the worst group lies behind the best; for WER and
    CER also `MAIN_ratio` in slice `column=GROUP,column=BEST`, how many times as many errors each group has as the best.

    `groups` are people scored together, as raters of their own: their answers are pooled, and their intervals resample
    speakers and people (`stats.crossed`). Trials (seeds, repeats) of one rater are pooled by adding parts, and not
    resampled. Metrics that need distributions are left out where answers
    are forced choices, answers without a reference always. `n` counts answers and `clusters` speakers, for a label
    those of that label, `raters` the people who were resampled (1 where none). Limits are NaN with fewer than two
    clusters.
    """
    aligned = metrics.align(predictions, reference, target)
    return score_aligned(
        aligned, target, clusters=clusters, slices=slices, statistics=statistics, seed=seed, groups=groups
    )


def score_aligned(
    aligned: Alignment,
    target: Target,
    *,
    clusters: Clusters,
    slices: pl.DataFrame | None = None,
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
    groups: Groups | None = None,
) -> pl.DataFrame:
    """Score answers that stand beside their reference already, as `score` does."""
    settings = statistics or StatisticsSettings()
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    items = Items.of(aligned.keys["utterance"], clusters, slices, settings.slices)
    alone = [(run, rater, layer, rows, items.take(rows)) for run, rater, layer, rows in raters(aligned.keys)]
    together = [
        (*name, None, rows, items.take(rows).answered_by(codes, len(people((groups or {})[name]))))
        for name, (rows, codes) in members(aligned.keys, groups or {}).items()
    ]
    frames = [pl.DataFrame(schema=SCHEMA)]
    for run, rater, layer, rows, here in (*alone, *together):
        found = list(_rows(aligned.answers.take(rows), here, target, resampler))
        schema = {name: SCHEMA[name] for name in ROW}
        named = {"run": run, "rater": rater, "reference": aligned.reference, "target": target.name, "layer": layer}
        named["raters"] = here.present()
        frame = pl.DataFrame(found, schema=schema, orient="row").with_columns(
            pl.lit(value, SCHEMA[name]).alias(name) for name, value in named.items()
        )
        frames.append(frame.select(list(SCHEMA)))
    return pl.concat(frames)


def _rows(answers: Answers, items: Items, target: Target, resampler: Resampler) -> Iterator[Row]:
    """Yield the rows of one rater or group: all metrics, then those per class, then those per slice."""
    forced = isinstance(answers, classification.Answers) and answers.forced
    wanted = [metric for metric in metrics.of(target) if not (forced and metric.needs_posterior)]
    broken = metrics.breakdowns(target)
    parts = Parts.of([*wanted, *broken], answers)
    cells = items.cells(parts.rows, counts=_counts(answers, wanted, broken))
    intervals = _intervals(resampler, cells, parts, [*wanted, *broken])
    for metric in wanted:
        yield metric.name, "all", *next(intervals), len(answers), cells.speakers
    if isinstance(answers, Labelled):
        yield from _per_class(broken, answers, items, intervals)
    for column, groups in items.groups():
        for value, rows in groups:
            cells = items.cells(parts.rows, rows)
            for metric, interval in zip(wanted, _intervals(resampler, cells, parts, wanted), strict=True):
                yield metric.name, f"{column}={value}", *interval, len(rows), cells.speakers
        for metric in (wanted[0], *(m for m in wanted[1:] if m.ratio)):
            yield from between(column, groups, parts, items, metric, resampler)


def _counts(answers: Answers, wanted: Sequence[Metric[Any]], broken: Sequence[Breakdown[Any]]) -> sparse.csr_matrix:
    """Count the answers `[answer, number]` that each number is about: all, or those with a label."""
    everything = sparse.csr_matrix(np.ones((len(answers), len(wanted))))
    if not isinstance(answers, Labelled):
        return everything
    labels = [label for breakdown in broken for label in breakdown.labels]
    present = sparse.csc_matrix(answers.present.astype(np.float64))
    return sparse.csr_matrix(sparse.hstack([everything, present[:, labels]]))


def _intervals(
    resampler: Resampler, cells: stats.Cells, parts: Parts, wanted: Sequence[Metric[Any] | Breakdown[Any]]
) -> Iterator[tuple[float, float, float]]:
    """Yield estimate and limits of each number; a group without some people's answers has the others."""
    bounds = [bound for w in wanted for bound in [w.bounds] * (1 if isinstance(w, Metric) else len(w.slices))]
    there = np.flatnonzero(cells.rater_answers().sum(axis=1) > 0)
    if len(there) < cells.raters and len(there):
        cells = cells.take(np.arange(cells.speakers), there)
    limits = stats.crossed(resampler, cells, parts.rates(wanted), np.array(bounds))
    return zip(*(numbers.tolist() for numbers in limits), strict=True)


def _per_class(
    broken: Sequence[Breakdown[Any]],
    answers: Labelled,
    items: Items,
    intervals: Iterator[tuple[float, float, float]],
) -> Iterator[Row]:
    present = answers.present
    sizes = present.sum(axis=0).tolist()
    speakers = [len(np.unique(items.clusters[here])) for here in present.T]
    for breakdown in broken:
        for name, label in zip(breakdown.slices, breakdown.labels, strict=True):
            estimate, low, high = next(intervals)
            if name.endswith(f",answer={classification.OTHER}") and not estimate > 0:
                continue  # nothing was answered outside the label set
            if speakers[label] < 2:
                low = high = np.nan
            yield breakdown.name, name, estimate, low, high, sizes[label], speakers[label]
