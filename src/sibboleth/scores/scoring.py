"""The scores table: metric by slice for each rater."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from sibboleth import metrics
from sibboleth.metrics import Answers, Breakdown, Metric, Parts, classification
from sibboleth.scores.slices import Array, Clusters, Codes, Items
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
}
Row = tuple[str, str, float, float, float, int, int]
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
) -> pl.DataFrame:
    """Score every (run, rater, layer) with all metrics of the target's kind; a row of `SCHEMA` each.

    Slices are `all`; `label=X` (recall, precision, F1) and `label=X,answer=Y` (confusion: shares of a row); and
    `column=value` for the columns of `slices` (found by `utterance`) that `statistics` names, a rater's constant
    columns passed over. Beside those stands the main metric's `MAIN_mean` in slice `column=*`, the mean over groups,
    and its `MAIN_gap` in slice `column=WORST,column=BEST`, how far the worst group lies behind the best.

    Trials (seeds, repeats) are pooled by adding parts. Metrics that need distributions are left out where answers
    are forced choices, answers without a reference always. `n` counts answers and `clusters` speakers, for a label
    those of that label. Limits are NaN with fewer than two clusters.
    """
    settings = statistics or StatisticsSettings()
    aligned = metrics.align(predictions, reference, target)
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    items = Items.of(aligned.keys["utterance"], clusters, slices, settings.slices)
    frames = [pl.DataFrame(schema=SCHEMA)]
    for run, rater, layer, rows in _raters(aligned.keys):
        found = list(_rows(aligned.answers.take(rows), items.take(rows), target, resampler))
        schema = {name: SCHEMA[name] for name in ROW}
        named = {"run": run, "rater": rater, "reference": aligned.reference, "target": target.name, "layer": layer}
        frame = pl.DataFrame(found, schema=schema, orient="row").with_columns(
            pl.lit(value, SCHEMA[name]).alias(name) for name, value in named.items()
        )
        frames.append(frame.select(list(SCHEMA)))
    return pl.concat(frames)


def _raters(keys: pl.DataFrame) -> Iterator[tuple[str, str, int | None, Codes]]:
    """Yield run, rater, layer and rows; layers are apart only where one utterance is answered from several of them.

    So a curve over layers may share one rater name, and the layer that dev chose may differ by fold.
    """
    rater = ["run", "rater"]
    one = [*rater, "utterance", "start", "end", "trial"]
    several = keys.filter(keys.select(one).is_duplicated()).select(rater).unique().with_columns(split=True)
    groups = (
        keys.select(*rater, "layer")
        .with_row_index("row")
        .join(several, on=rater, how="left", maintain_order="left")
        .with_columns(apart=pl.when("split").then("layer"))
        .group_by(*rater, "apart")
        .agg("row", layer=pl.when(pl.col("layer").n_unique() == 1).then(pl.col("layer").first()))
        .sort(*rater, "apart")
    )
    for run, name, layer, rows in groups.select(*rater, "layer", "row").iter_rows():
        yield run, name, layer, np.array(rows, dtype=np.int64)


def _rows(answers: Answers, items: Items, target: Target, resampler: Resampler) -> Iterator[Row]:
    """Yield the rows of one rater: all metrics, then those per class, then those per slice."""
    forced = isinstance(answers, classification.Answers) and answers.forced
    wanted = [metric for metric in metrics.of(target) if not (forced and metric.needs_posterior)]
    broken = metrics.breakdowns(target)
    parts = Parts.of([*wanted, *broken], answers)
    sums = items.sums(parts.rows)
    intervals = _intervals(resampler, sums, parts, [*wanted, *broken])
    for metric in wanted:
        yield metric.name, "all", *next(intervals), len(answers), len(sums)
    if isinstance(answers, classification.Answers):
        yield from _per_class(broken, answers, items, intervals)
    for column, groups in items.groups():
        for value, rows in groups:
            sums = items.sums(parts.rows, rows)
            for metric, interval in zip(wanted, _intervals(resampler, sums, parts, wanted), strict=True):
                yield metric.name, f"{column}={value}", *interval, len(rows), len(sums)
        yield from _between(column, groups, parts, items, wanted[0], resampler)


def _intervals(
    resampler: Resampler, sums: Array, parts: Parts, wanted: Sequence[Metric[Any] | Breakdown[Any]]
) -> Iterator[tuple[float, float, float]]:
    limits = resampler.intervals(sums, parts.rates(wanted))
    return zip(*(numbers.tolist() for numbers in limits), strict=True)


def _per_class(
    broken: Sequence[Breakdown[Any]],
    answers: classification.Answers,
    items: Items,
    intervals: Iterator[tuple[float, float, float]],
) -> Iterator[Row]:
    present = answers.reference > 0
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


def _between(
    column: str,
    groups: list[tuple[str, Codes]],
    parts: Parts,
    items: Items,
    main: Metric[Any],
    resampler: Resampler,
) -> Iterator[Row]:
    """Yield the mean over groups and the gap from best to worst, in joint resamples of clusters.

    Best and worst are those of the data and stay so in every resample, so the gap's interval can reach below 0: the
    largest of many noisy differences would not.
    """
    rate = parts.rates([main])
    summed = [items.sums(parts.rows, rows) for _, rows in groups]
    estimates = np.array([rate(sums.sum(axis=0))[0] for sums in summed])
    known = np.flatnonzero(~np.isnan(estimates)).tolist()
    if len(known) < 2:
        return
    sign = 1.0 if main.higher_is_better else -1.0
    ranked = sorted(known, key=lambda k: -sign * float(estimates[k]))
    best, worst = ranked[0], ranked[-1]
    resampled = _joint(groups, parts, items, main, resampler)
    for name, part, used, weights in (
        (f"{main.name}_mean", f"{column}=*", known, {k: 1 / len(known) for k in known}),
        (
            f"{main.name}_gap",
            f"{column}={groups[worst][0]},{column}={groups[best][0]}",
            [best, worst],
            {best: sign, worst: -sign},
        ),
    ):
        combine = np.array([weights.get(k, 0.0) for k in used])
        estimate = estimates[used] @ combine
        limits = resampler.limits((resampled[:, used] @ combine)[:, None], np.array([estimate]))
        enough = min(len(summed[k]) for k in used) > 1
        low, high = (float(limit[0]) if enough else np.nan for limit in limits)
        rows = np.concatenate([groups[k][1] for k in used])
        yield name, part, float(estimate), low, high, len(rows), len(np.unique(items.clusters[rows]))


def _joint(
    groups: list[tuple[str, Codes]], parts: Parts, items: Items, main: Metric[Any], resampler: Resampler
) -> Array:
    """Return the main metric of every group in every resample, `[resample, group]`.

    Where every speaker belongs to one group, speakers are drawn within their group; else from all, and a speaker's
    utterances of all groups come and go together.
    """
    place = parts.places[main.parts]
    summed = [items.sums(parts.rows[:, place], rows) for _, rows in groups]
    rows = np.concatenate([rows for _, rows in groups])
    if sum(map(len, summed)) == len(np.unique(items.clusters[rows])):
        drawn = [
            resampler.rates(sums, lambda s: main.rate(s)[..., None], stream) for stream, sums in enumerate(summed, 1)
        ]
        return np.concatenate(drawn, axis=1)
    width = place.stop - place.start
    wide = np.zeros((len(items.clusters), len(groups), width))
    for k, (_, chosen) in enumerate(groups):
        wide[chosen, k] = parts.rows[chosen, place]
    sums = items.sums(wide.reshape(len(wide), -1), np.sort(rows))
    return resampler.rates(sums, lambda s: main.rate(s.reshape(*s.shape[:-1], len(groups), width)))
