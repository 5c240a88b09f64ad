"""The comparisons table: paired differences of two raters on the utterances that both answered."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from sibboleth import metrics
from sibboleth.errors import SibbolethError
from sibboleth.metrics import Alignment, Metric
from sibboleth.scores.slices import Array, Clusters, Codes, Items, code
from sibboleth.stats import Resampler, holm, sum_by
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

Pair = tuple[str, str, str, str, str]
"""Family, run and rater of A, run and rater of B."""

FLIPS = 40
"""Swaps of each permutation test per row of its family, so that Holm's correction leaves the smallest p at 1 / 40."""

COMPARISON: dict[str, type[pl.DataType]] = {
    "family": pl.String,
    "a_run": pl.String,
    "a_rater": pl.String,
    "b_run": pl.String,
    "b_rater": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}


def compare(
    predictions: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    pairs: Sequence[Pair],
    *,
    clusters: Clusters,
    slices: pl.DataFrame | None = None,
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
    names: Sequence[str] = (),
) -> pl.DataFrame:
    """Compare pairs of raters, A minus B, on the utterances that both answered; a row of `COMPARISON` each.

    `names` are the metrics, the main one by default. Trials count as parts of one answer, so that `n` counts
    utterances and both sides weigh alike. p is the two-sided sign-flip permutation test over speakers, with at least
    `FLIPS` swaps per row of its family; `p_holm` is corrected over all rows of one family and metric, its slices
    included. Raises `SibbolethError` for a rater who
    answered nothing that has a reference, or an unknown metric.
    """
    settings = statistics or StatisticsSettings()
    chosen = _metrics(target, names)
    wanted = pl.DataFrame(
        [(run, rater) for _, *ab in pairs for run, rater in (ab[:2], ab[2:])],
        schema={"run": pl.String, "rater": pl.String},
        orient="row",
    )
    kept = predictions.join(wanted.unique(), on=["run", "rater"], how="semi")
    aligned = metrics.align(kept, reference, target)
    utterances = aligned.keys["utterance"].unique().sort()
    items = Items.of(utterances, clusters, slices, settings.slices)
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    systems = _systems(aligned, utterances, chosen)
    met = [(family, ab, _system(systems, ab[:2]), _system(systems, ab[2:])) for family, *ab in pairs]
    sizes: Counter[str] = Counter()
    for family, _, a, b in met:
        sizes[family] += len(_parted(items.take(np.intersect1d(a.utterances, b.utterances, assume_unique=True))))
    rows: list[tuple[object, ...]] = []
    for family, ab, a, b in met:
        found = _differences(a, b, items, chosen, resampler, FLIPS * sizes[family])
        rows += [(family, *ab, *row) for row in found]
    schema = {name: kind for name, kind in COMPARISON.items() if name != "p_holm"}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return _corrected(table).select(pl.col(name).cast(kind) for name, kind in COMPARISON.items())


@dataclass(frozen=True)
class _System:
    """One rater's parts of each metric, one row per utterance, its trials averaged."""

    utterances: Codes
    """Answered utterances, sorted."""
    parts: tuple[Array, ...]
    """For each metric `[utterance, part]`."""


def _metrics(target: Target, names: Sequence[str]) -> list[Metric[Any]]:
    there = {metric.name: metric for metric in metrics.of(target)}
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise SibbolethError(f"no metric {', '.join(unknown)}; for {target.kind} there are {', '.join(there)}")
    return [there[name] for name in names] or [metrics.of(target)[0]]


def _systems(
    aligned: Alignment, utterances: pl.Series, chosen: Sequence[Metric[Any]]
) -> dict[tuple[str, str], _System]:
    places = code(aligned.keys["utterance"], utterances.to_list())
    rows = aligned.keys.select("run", "rater").with_row_index("row")
    systems = {}
    for run, rater, found in rows.group_by("run", "rater").agg("row").sort("run", "rater").iter_rows():
        here = np.array(found, dtype=np.int64)
        answered, inverse = np.unique(places[here], return_inverse=True)
        answers = aligned.answers.take(here)
        trials = np.bincount(inverse)[:, None]
        parts = tuple(sum_by(metric.parts(answers), inverse, len(answered)) / trials for metric in chosen)
        systems[run, rater] = _System(answered, parts)
    return systems


def _system(systems: dict[tuple[str, str], _System], name: Sequence[str]) -> _System:
    run, rater = name
    if (run, rater) not in systems:
        raise SibbolethError(f"nothing to compare: rater {rater!r} of run {run!r} answered nothing with a reference")
    return systems[run, rater]


def _differences(
    a: _System, b: _System, items: Items, chosen: Sequence[Metric[Any]], resampler: Resampler, flips: int
) -> Iterator[tuple[object, ...]]:
    common, in_a, in_b = np.intersect1d(a.utterances, b.utterances, assume_unique=True, return_indices=True)
    here = items.take(common)
    parted = _parted(here)
    for metric, a_parts, b_parts in zip(chosen, a.parts, b.parts, strict=True):
        for name, rows in parted:
            a_sums, b_sums = here.sums(a_parts[in_a], rows), here.sums(b_parts[in_b], rows)
            difference = resampler.difference(a_sums, b_sums, metric.rate, flips)
            yield metric.name, name, *difference, len(rows), len(a_sums)


def _parted(items: Items) -> list[tuple[str, Codes]]:
    """Name everything and each slice, with their rows."""
    slices = [(f"{column}={value}", rows) for column, groups in items.groups() for value, rows in groups]
    return [("all", np.arange(len(items.clusters))), *slices]


def _corrected(table: pl.DataFrame) -> pl.DataFrame:
    family = ["family", "metric"]
    groups = [
        part.with_columns(pl.Series("p_holm", holm(part["p"].to_numpy()), pl.Float64))
        for part in table.with_row_index("=row").partition_by(family, maintain_order=True)
    ]
    return pl.concat(groups).sort("=row") if groups else table.with_columns(pl.lit(None, pl.Float64).alias("p_holm"))
