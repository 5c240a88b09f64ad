"""What a sign-flip test can show at all: p has a floor, and Holm's correction multiplies it."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from sibboleth.report import wording
from sibboleth.scores.comparison import FLIPS
from sibboleth.stats import holm

LEVEL = 0.05
"""A difference is called one where Holm's p lies below this."""


def smallest_p(clusters: pl.Expr, flips: pl.Expr) -> pl.Expr:
    """Return the smallest p: 2 / 2^clusters where all sign flips are tried, else 1 / (flips + 1)."""
    every = pl.lit(2.0).pow(clusters)
    return pl.when(every <= flips).then(2 / every).otherwise(1 / (flips + 1))


def with_floors(comparisons: pl.DataFrame, resamples: int) -> pl.DataFrame:
    """Add `flips`, `p_floor`, `p_holm_floor` (the least that Holm could make of it) and `family_size` to each row.

    `flips` is how many sign flips are tried at most: in a large family more than resamples, so that its floor stays
    below Holm's correction. Holm's corrected values never fall when a p rises, so those of the floors bound all that
    can happen.
    """
    names = {"flips": pl.Int64, "p_floor": pl.Float64, "p_holm_floor": pl.Float64, "family_size": pl.Int64}
    if comparisons.is_empty():
        return comparisons.with_columns(pl.lit(None, kind).alias(name) for name, kind in names.items())
    flips = pl.max_horizontal(pl.lit(resamples), FLIPS * pl.len().over("family", "metric")).cast(pl.Int64)
    floors = smallest_p(pl.col("clusters"), pl.col("flips"))
    known = pl.when(pl.col("p").fill_nan(None).is_not_null()).then(floors)
    return (
        comparisons.with_columns(flips.alias("flips"))
        .with_columns(known.alias("p_floor"))
        .with_columns(
            pl.col("p_floor")
            .map_batches(lambda p: pl.Series(holm(p.fill_null(float("nan")).to_numpy())), return_dtype=pl.Float64)
            .over("family", "metric")
            .fill_nan(None)
            .alias("p_holm_floor"),
            pl.col("p_floor").count().over("family", "metric").cast(pl.Int64).alias("family_size"),
        )
    )  # fmt: skip


def significant(row: Mapping[str, Any]) -> bool:
    """Whether a comparison shows a difference after Holm's correction."""
    return row["p_holm"] is not None and row["p_holm"] < LEVEL


def mute(row: Mapping[str, Any]) -> bool:
    """Whether a comparison could not have shown a difference, whatever the answers."""
    return not significant(row) and row["p_holm_floor"] is not None and row["p_holm_floor"] >= LEVEL


def why(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say why mute comparisons of one family can show nothing, and what to read instead."""
    floor = min(row["p_floor"] for row in rows)
    clusters = [row["clusters"] for row in rows]
    flips = rows[0]["flips"]
    exact = 2 ** max(clusters) <= flips
    least, most = min(clusters), max(clusters)
    speakers = wording.count(least, "speaker") if least == most else f"{least} to {most} speakers"
    with_ = speakers if exact else f"{flips:,} sign flips"
    size = rows[0]["family_size"]
    start = f"with {with_} no p below {floor:.2g} is possible" if floor < 0.001 else (
        f"with {with_} no p below {wording.p_value(floor)} is possible"
    )  # fmt: skip
    if size == 1:
        return f"{start}, so it cannot reach {LEVEL}: read the interval"
    return f"{start}; after Holm's correction over {size} comparisons none can reach {LEVEL}: read the intervals"


def notes(comparisons: pl.DataFrame) -> list[str]:
    """Say for each family and metric how many of its comparisons could show nothing, and why."""
    told = []
    for (family, _), part in comparisons.group_by("family", "metric", maintain_order=True):
        rows = part.to_dicts()
        silent = [row for row in rows if mute(row)]
        if silent:
            which = "" if len(silent) == len(rows) else f", {len(silent)} of {wording.count(len(rows), 'comparison')}"
            told.append(f"{wording.capital(str(family))}{which}: {why(silent)}.")
    return told
