"""Between the groups of a column: their mean, how far the worst lies behind the best, and ratios to the best."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from sibboleth import stats
from sibboleth.metrics import Metric, Parts
from sibboleth.metrics.metric import divide
from sibboleth.scores.slices import Array, Codes, Items
from sibboleth.stats import Resampler

Row = tuple[str, str, float, float, float, int, int]
"""Metric, slice, estimate, low, high, answers, speakers."""


def between(
    column: str,
    groups: list[tuple[str, Codes]],
    parts: Parts,
    items: Items,
    metric: Metric[Any],
    resampler: Resampler,
) -> Iterator[Row]:
    """Yield mean, gap and, where they mean something, ratios to the best group, in joint resamples of clusters.

    Best and worst are those of the data and stay so in every resample, so the gap's interval can reach below 0: the
    largest of many noisy differences would not. The interval of a ratio is that of its logarithm. A best group
    without errors has no ratios (NaN), and a group with one speaker no intervals.
    """
    rate = parts.rates([metric])
    summed = [items.cells(parts.rows, rows) for _, rows in groups]
    estimates = np.array([rate(cells.whole())[0] for cells in summed])
    known = np.flatnonzero(~np.isnan(estimates)).tolist()
    if len(known) < 2:
        return
    sign = 1.0 if metric.higher_is_better else -1.0
    ranked = sorted(known, key=lambda k: -sign * float(estimates[k]))
    best, worst = ranked[0], ranked[-1]
    resampled, apart = _joint(groups, parts, items, metric, resampler)

    def row(name: str, part: str, used: list[int], terms: Array, estimate: float, bounds: tuple[float, float]) -> Row:
        rows = np.concatenate([groups[k][1] for k in used])
        freedom = _freedom([summed[k] for k in used], terms, apart, items.cells(parts.rows, rows))
        limits = resampler.limits(terms.sum(axis=1)[:, None], np.array([estimate]), freedom, bounds)
        enough = min(summed[k].speakers for k in used) > 1
        low, high = (float(limit[0]) if enough else np.nan for limit in limits)
        return f"{metric.name}_{name}", part, estimate, low, high, len(rows), len(np.unique(items.clusters[rows]))

    mean = resampled[:, known] / len(known)
    yield row("mean", f"{column}=*", known, mean, float(estimates[known].mean()), metric.bounds)
    gap = resampled[:, [best, worst]] * [sign, -sign]
    reach = stats.difference_bounds(metric.bounds)
    estimate = float(sign * (estimates[best] - estimates[worst]))
    yield row("gap", _pair(column, groups, worst, best), [best, worst], gap, estimate, reach)
    for group in ranked[:0:-1] if metric.ratio else ():
        ratio = float(divide(estimates[group], estimates[best]))
        with np.errstate(divide="ignore"):
            logs = np.log(resampled[:, [group, best]]) * [1, -1]
        terms = ratio * np.where(np.isfinite(logs), logs, np.nan)
        yield row("ratio", _pair(column, groups, group, best), [group, best], terms, ratio, metric.bounds)


def _pair(column: str, groups: list[tuple[str, Codes]], group: int, other: int) -> str:
    return f"{column}={groups[group][0]},{column}={groups[other][0]}"


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
    groups: list[tuple[str, Codes]], parts: Parts, items: Items, metric: Metric[Any], resampler: Resampler
) -> tuple[Array, bool]:
    """Return the metric of every group in every resample, `[resample, group]`, and whether speakers are apart.

    Where every speaker belongs to one group, speakers are drawn within their group; else from all, and a speaker's
    utterances of all groups come and go together. People are drawn once for all groups.
    """
    place = parts.places[metric.parts]
    rows = np.sort(np.concatenate([rows for _, rows in groups]))
    raters = items.cells(parts.rows[:, place], rows).rater_order()
    summed = [items.cells(parts.rows[:, place], rows) for _, rows in groups]
    if sum(cells.speakers for cells in summed) == len(np.unique(items.clusters[rows])):
        drawn = [
            stats.crossed_rates(
                resampler, cells.take(np.arange(cells.speakers), raters), lambda s: metric.rate(s)[..., None], stream
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
        return metric.rate(sums.reshape(*sums.shape[:-1], len(groups), width))

    return stats.crossed_rates(resampler, cells, rates), False
