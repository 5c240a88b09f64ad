"""The scores table: metric by slice for each rater."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from sibboleth import metrics, stats
from sibboleth.metrics import Answers, Breakdown, Metric, Parts, classification
from sibboleth.scores.groups import Groups, members, people
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
    "raters": pl.Int64,
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
    groups: Groups | None = None,
) -> pl.DataFrame:
    """Score every (run, rater, layer) and group with all metrics of the target's kind; a row of `SCHEMA` each.

    Slices are `all`; `label=X` (recall, precision, F1) and `label=X,answer=Y` (confusion: shares of a row); and
    `column=value` for the columns of `slices` (found by `utterance`) that `statistics` names, a rater's constant
    columns passed over. Beside those stands the main metric's `MAIN_mean` in slice `column=*`, the mean over groups,
    and its `MAIN_gap` in slice `column=WORST,column=BEST`, how far the worst group lies behind the best.

    `groups` are people scored together, as raters of their own: their answers are pooled, and their intervals resample
    speakers and people (`stats.crossed`). Trials (seeds, repeats) of one rater are pooled by adding parts, and not
    resampled. Metrics that need distributions are left out where answers
    are forced choices, answers without a reference always. `n` counts answers and `clusters` speakers, for a label
    those of that label, `raters` the people who were resampled (1 where none). Limits are NaN with fewer than two
    clusters.
    """
    settings = statistics or StatisticsSettings()
    aligned = metrics.align(predictions, reference, target)
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    items = Items.of(aligned.keys["utterance"], clusters, slices, settings.slices)
    alone = [(run, rater, layer, rows, items.take(rows)) for run, rater, layer, rows in _raters(aligned.keys)]
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
    """Yield the rows of one rater or group: all metrics, then those per class, then those per slice."""
    forced = isinstance(answers, classification.Answers) and answers.forced
    wanted = [metric for metric in metrics.of(target) if not (forced and metric.needs_posterior)]
    broken = metrics.breakdowns(target)
    parts = Parts.of([*wanted, *broken], answers)
    cells = items.cells(parts.rows, counts=_counts(answers, wanted, broken))
    intervals = _intervals(resampler, cells, parts, [*wanted, *broken])
    for metric in wanted:
        yield metric.name, "all", *next(intervals), len(answers), cells.speakers
    if isinstance(answers, classification.Answers):
        yield from _per_class(broken, answers, items, intervals)
    for column, groups in items.groups():
        for value, rows in groups:
            cells = items.cells(parts.rows, rows)
            for metric, interval in zip(wanted, _intervals(resampler, cells, parts, wanted), strict=True):
                yield metric.name, f"{column}={value}", *interval, len(rows), cells.speakers
        yield from _between(column, groups, parts, items, wanted[0], resampler)


def _counts(answers: Answers, wanted: Sequence[Metric[Any]], broken: Sequence[Breakdown[Any]]) -> sparse.csr_matrix:
    """Count the answers `[answer, number]` that each number is about: all, or those with a label."""
    everything = sparse.csr_matrix(np.ones((len(answers), len(wanted))))
    if not isinstance(answers, classification.Answers):
        return everything
    labels = [label for breakdown in broken for label in breakdown.labels]
    present = sparse.csc_matrix((answers.reference > 0).astype(np.float64))
    return sparse.csr_matrix(sparse.hstack([everything, present[:, labels]]))


def _intervals(
    resampler: Resampler, cells: stats.Cells, parts: Parts, wanted: Sequence[Metric[Any] | Breakdown[Any]]
) -> Iterator[tuple[float, float, float]]:
    """Yield estimate and limits of each number; a group without some people's answers has the others."""
    bounds = [
        bound for w in wanted for bound in ([w.bounds] if isinstance(w, Metric) else [(0.0, 1.0)] * len(w.slices))
    ]
    there = np.flatnonzero(cells.rater_answers().sum(axis=1) > 0)
    if len(there) < cells.raters and len(there):
        cells = cells.take(np.arange(cells.speakers), there)
    limits = stats.crossed(resampler, cells, parts.rates(wanted), np.array(bounds))
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
    summed = [items.cells(parts.rows, rows) for _, rows in groups]
    estimates = np.array([rate(cells.whole())[0] for cells in summed])
    known = np.flatnonzero(~np.isnan(estimates)).tolist()
    if len(known) < 2:
        return
    sign = 1.0 if main.higher_is_better else -1.0
    ranked = sorted(known, key=lambda k: -sign * float(estimates[k]))
    best, worst = ranked[0], ranked[-1]
    resampled, apart = _joint(groups, parts, items, main, resampler)
    for name, part, used, weights, bounds in (
        (f"{main.name}_mean", f"{column}=*", known, {k: 1 / len(known) for k in known}, main.bounds),
        (
            f"{main.name}_gap",
            f"{column}={groups[worst][0]},{column}={groups[best][0]}",
            [best, worst],
            {best: sign, worst: -sign},
            stats.difference_bounds(main.bounds),
        ),
    ):
        combine = np.array([weights.get(k, 0.0) for k in used])
        estimate = estimates[used] @ combine
        rows = np.concatenate([groups[k][1] for k in used])
        freedom = _freedom(
            [summed[k] for k in used], resampled[:, used] * combine, apart, items.cells(parts.rows, rows)
        )
        limits = resampler.limits((resampled[:, used] @ combine)[:, None], np.array([estimate]), freedom, bounds)
        enough = min(summed[k].speakers for k in used) > 1
        low, high = (float(limit[0]) if enough else np.nan for limit in limits)
        yield name, part, float(estimate), low, high, len(rows), len(np.unique(items.clusters[rows]))


def _freedom(groups: Sequence[stats.Cells], resampled: Array, apart: bool, all_: stats.Cells) -> Array:
    """Degrees of freedom of a sum of groups: Satterthwaite's where each has its own speakers and there is one rater.

    Else those of all speakers together, or of the raters, if they are fewer.
    """
    one = np.zeros(1)
    if apart and all_.raters == 1:
        each = np.stack([cells.freedom("speakers", one) for cells in groups])
        return stats.degrees(stats.spread(resampled)[:, None] ** 2, each)
    if apart:
        fewest = min(float(cells.freedom("speakers", one)[0]) for cells in groups)
        return np.array([min(fewest, float(all_.freedom("raters", one)[0]))])
    return (
        all_.freedom("speakers", one)
        if all_.raters == 1
        else np.minimum(all_.freedom("speakers", one), all_.freedom("raters", one))
    )


def _joint(
    groups: list[tuple[str, Codes]], parts: Parts, items: Items, main: Metric[Any], resampler: Resampler
) -> tuple[Array, bool]:
    """Return the main metric of every group in every resample, `[resample, group]`, and whether speakers are apart.

    Where every speaker belongs to one group, speakers are drawn within their group; else from all, and a speaker's
    utterances of all groups come and go together. People are drawn once for all groups.
    """
    place = parts.places[main.parts]
    rows = np.sort(np.concatenate([rows for _, rows in groups]))
    raters = items.cells(parts.rows[:, place], rows).rater_order()
    summed = [items.cells(parts.rows[:, place], rows) for _, rows in groups]
    if sum(cells.speakers for cells in summed) == len(np.unique(items.clusters[rows])):
        drawn = [
            stats.crossed_rates(
                resampler, cells.take(np.arange(cells.speakers), raters), lambda s: main.rate(s)[..., None], stream
            )
            for stream, cells in enumerate(summed, 1)
        ]
        return np.concatenate(drawn, axis=1), True
    width = place.stop - place.start
    found = [sparse.coo_matrix(parts.rows[chosen, place]) for _, chosen in groups]
    row = np.concatenate([chosen[own.row] for (_, chosen), own in zip(groups, found, strict=True)])
    column = np.concatenate([k * width + own.col for k, own in enumerate(found)])
    value = np.concatenate([own.data for own in found])
    wide = sparse.csr_matrix((value, (row, column)), shape=(len(items.clusters), len(groups) * width))
    cells = items.cells(wide, rows)
    cells = cells.take(np.arange(cells.speakers), raters)

    def rates(sums: Array) -> Array:
        return main.rate(sums.reshape(*sums.shape[:-1], len(groups), width))

    return stats.crossed_rates(resampler, cells, rates), False
