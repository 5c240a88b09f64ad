"""Segments of people: each person's against those of each of the others, which is the ceiling of any model."""

from collections.abc import Sequence

import polars as pl

from sibboleth.scores import segmentation
from sibboleth.scores.groups import Name
from sibboleth.scores.people.ceiling import PEOPLE, SCHEMA
from sibboleth.scores.slices import Clusters
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

EACH = "each"
"""The crowd of the ceiling: no majority, but each of the others in turn."""


def heard(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row without times for each answer, all segments of an utterance together."""
    answer = ["run", "source", "rater", "utterance", "target", "trial"]
    whole = [pl.lit(None, pl.Float64).alias(column) for column in ("start", "end")]
    once = rows.unique(answer, keep="first", maintain_order=True)
    return once.with_columns(*whole, label=pl.lit("heard"), value=pl.lit(1.0))


def ceiling(
    people: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    names: Sequence[Name],
    clusters: Clusters,
    statistics: StatisticsSettings,
    seed: int,
) -> pl.DataFrame:
    """Score people against one another by every metric (`scores.segmentation.among`); rows of `ceiling.SCHEMA`.

    None where no two people answered about the same.
    """
    run, rater = PEOPLE
    scored = segmentation.among(
        people, reference, target, {PEOPLE: list(names)}, clusters=clusters, statistics=statistics, seed=seed
    )
    rows = scored.filter(pl.col("run") == run, pl.col("rater") == rater, pl.col("slice") == "all")
    unknown = {name: None for name in SCHEMA if name not in rows.columns}
    filled = rows.with_columns(pl.lit(value).alias(name) for name, value in {**unknown, "crowd": EACH}.items())
    return filled.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
