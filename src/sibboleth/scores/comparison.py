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
from sibboleth.scores.groups import Groups, members, people
from sibboleth.scores.slices import Array, Clusters, Codes, Items, code
from sibboleth.stats import Cells, Resampler, crossed_difference, holm, sum_by
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

Pair = tuple[str, str, str, str, str]
"""Family, run and rater of A, run and rater of B; either may be a group."""

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
    "a_raters": pl.Int64,
    "b_raters": pl.Int64,
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
    groups: Groups | None = None,
) -> pl.DataFrame:
    """Compare pairs of raters or groups, A minus B, on the utterances that both answered; a row of `COMPARISON` each.

    `names` are the metrics, the main one by default. Trials count as parts of one answer, so that `n` counts
    utterances and both sides weigh alike; so do the people of a group. p is the two-sided sign-flip permutation test
    over speakers, with at least `FLIPS` swaps per row of its family; `p_holm` is corrected over all rows of one family
    and metric, its slices included. Where a side is a group, its people are resampled as well as the speakers, and p is
    that of `stats.crossed_difference`; two groups of the same people are paired by person. Raises `SibbolethError` for
    a rater who answered nothing that has a reference, or an unknown metric.
    """
    settings = statistics or StatisticsSettings()
    chosen = _metrics(target, names)
    wanted = pl.DataFrame(
        [
            member
            for _, *ab in pairs
            for name in ((ab[0], ab[1]), (ab[2], ab[3]))
            for member in (groups or {}).get(name, [name])
        ],
        schema={"run": pl.String, "rater": pl.String},
        orient="row",
    )
    kept = predictions.join(wanted.unique(), on=["run", "rater"], how="semi")
    aligned = metrics.align(kept, reference, target)
    utterances = aligned.keys["utterance"].unique().sort()
    items = Items.of(utterances, clusters, slices, settings.slices)
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    systems = _systems(aligned, utterances, chosen, groups or {})
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
    """The parts of each metric of one rater or group, an utterance weighing one in all."""

    utterances: Codes
    """Answered utterances, sorted."""
    places: Codes
    """`[row]`: index of the utterance in `utterances`; a row for each person who answered it."""
    who: Codes
    """`[row]`: index of the person in `people`."""
    people: tuple[str, ...]
    parts: tuple[Array, ...]
    """For each metric `[row, part]`: trials averaged, then divided by the number of people who answered."""

    def on(self, utterances: Codes) -> tuple[Codes, Codes]:
        """Return the rows about some of the utterances, and the index of each row's utterance among these."""
        index = np.searchsorted(utterances, self.utterances[self.places])
        index = np.minimum(index, max(len(utterances) - 1, 0))
        there = (
            np.flatnonzero(utterances[index] == self.utterances[self.places])
            if len(utterances)
            else np.zeros(0, np.int64)
        )
        return there, index[there]


def _metrics(target: Target, names: Sequence[str]) -> list[Metric[Any]]:
    there = {metric.name: metric for metric in metrics.of(target)}
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise SibbolethError(f"no metric {', '.join(unknown)}; for {target.kind} there are {', '.join(there)}")
    return [there[name] for name in names] or [metrics.of(target)[0]]


def _systems(
    aligned: Alignment, utterances: pl.Series, chosen: Sequence[Metric[Any]], groups: Groups
) -> dict[tuple[str, str], _System]:
    places = code(aligned.keys["utterance"], utterances.to_list())
    rows = aligned.keys.select("run", "rater").with_row_index("row")
    answered: dict[tuple[str, str], tuple[Codes, Codes, tuple[str, ...]]] = {
        (run, rater): (np.array(found, dtype=np.int64), np.zeros(len(found), np.int64), (rater,))
        for run, rater, found in rows.group_by("run", "rater").agg("row").sort("run", "rater").iter_rows()
    }
    answered |= {
        name: (here, who, tuple(people(groups[name])))
        for name, (here, who) in members(aligned.keys, groups).items()
        if len(here)
    }
    return {name: _rated(aligned, places, chosen, *found) for name, found in answered.items()}


def _rated(
    aligned: Alignment,
    places: Codes,
    chosen: Sequence[Metric[Any]],
    here: Codes,
    who: Codes,
    names: tuple[str, ...],
) -> _System:
    """Average trials within each person's answer, and let an utterance's people share its weight."""
    utterances, index = np.unique(places[here], return_inverse=True)
    cells, answer, trials = np.unique(index * len(names) + who, return_inverse=True, return_counts=True)
    place = cells // len(names)
    weight = (trials * np.bincount(place)[place])[:, None]
    answers = aligned.answers.take(here)
    parts = tuple(sum_by(metric.parts(answers), answer, len(cells)) / weight for metric in chosen)
    return _System(utterances, place, cells % len(names), names, parts)


def _system(systems: dict[tuple[str, str], _System], name: Sequence[str]) -> _System:
    run, rater = name
    if (run, rater) not in systems:
        raise SibbolethError(f"nothing to compare: rater {rater!r} of run {run!r} answered nothing with a reference")
    return systems[run, rater]


def _differences(
    a: _System, b: _System, items: Items, chosen: Sequence[Metric[Any]], resampler: Resampler, flips: int
) -> Iterator[tuple[object, ...]]:
    common = np.intersect1d(a.utterances, b.utterances, assume_unique=True)
    here = items.take(common)
    sides = [(side, *side.on(common)) for side in (a, b)]
    for k, metric in enumerate(chosen):
        for name, rows in _parted(here):
            cells = [_cells(side, k, here, chosen_rows, index, rows) for side, chosen_rows, index in sides]
            raters = tuple(len(np.unique(side.who[there])) for side, there, _ in sides)
            if len(a.people) == len(b.people) == 1:
                sums, sizes = [side.by_speaker() for side in cells], cells[0].speaker_answers()[:, 0]
                difference = resampler.difference(sums[0], sums[1], metric.rate, flips, sizes, metric.bounds)
            else:
                difference = crossed_difference(
                    resampler,
                    cells[0],
                    cells[1],
                    metric.rate,
                    same_raters=a.people == b.people,
                    bounds=metric.bounds,
                )
            yield metric.name, name, *difference, len(rows), cells[0].speakers, *raters


def _cells(system: _System, k: int, items: Items, rows: Codes, index: Codes, part: Codes) -> Cells:
    """Sum one side's rows about some of the items by speaker and person."""
    chosen = np.isin(index, part)
    mine = items.take(index[chosen]).answered_by(system.who[rows[chosen]], len(system.people))
    return mine.cells(system.parts[k][rows[chosen]])


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
