"""Raters of a table of answers, and where their answers stand."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from sibboleth.scores.slices import Codes


def raters(keys: pl.DataFrame) -> Iterator[tuple[str, str, int | None, Codes]]:
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
