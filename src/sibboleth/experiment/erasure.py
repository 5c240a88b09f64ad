"""How well a confound is told from features before and after it is erased."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import alignment as alignments
from sibboleth import stats
from sibboleth.experiment import aligning
from sibboleth.experiment.cells import Aligned, Cell
from sibboleth.experiment.material import Material
from sibboleth.runs import RunDirectory

if TYPE_CHECKING:
    from sibboleth.models.probes import Pooling

QUARTERS = 4
MOST_VALUES = 50
"""Values of a confound that its probe tells apart: those with most utterances."""
PENALTY = 0.01
"""Of the confound's probe, on the mean loss."""

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

ERASURE: dict[str, type[pl.DataType]] = {
    "encoder": pl.String,
    "column": pl.String,
    "layer": pl.Int32,
    "stage": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "values": pl.Int64,
    "n": pl.Int64,
    "clusters": pl.Int64,
    "rank": pl.Int64,
    "dim": pl.Int64,
}


def table(filled: Sequence[Cell], features: Aligned, material: Material, directory: RunDirectory) -> pl.DataFrame:
    """Measure each confound that cells of one encoder erase, on the layer that their dev chose most often.

    Rows of `ERASURE`: balanced accuracy of a linear probe for the confound, `before` and `after`, on utterances that
    neither the eraser nor the probe has seen. `rank` is how many of the `dim` directions were erased for the cells.
    """
    made = [pl.DataFrame(schema=ERASURE)]
    for alignment in dict.fromkeys(cell.alignment for cell in filled if cell.alignment):
        column = alignments.erased(alignment)
        mine = [cell for cell in filled if cell.alignment == alignment]
        if column is not None:
            layer = _layer([directory / cell.file(material) for cell in mine])
            rows = _measured(features, layer, mine[0].probing.pooling, column, material)
            made.append(rows.with_columns(encoder=pl.lit(mine[0].encoder)).select(list(ERASURE)))
    return pl.concat(made)


def _layer(files: Sequence[Path]) -> int:
    chosen = pl.concat([pl.read_parquet(file.with_suffix(".selection.parquet")) for file in files])
    counted = chosen.filter(pl.col("selected"))["layer"].value_counts()
    return int(counted.sort("count", "layer", descending=[True, False])["layer"][0])


def _measured(features: Aligned, layer: int, pooling: "Pooling", column: str, material: Material) -> pl.DataFrame:
    from sibboleth.models.alignment import Eraser, one_hot

    table = material.table.with_row_index("row").filter(
        pl.col(column).is_not_null() & ~pl.col("row").is_in(features.missing)
    )
    x = features.matrix(layer, pooling).astype(np.float64)[table["row"]]
    whole = Eraser.fit(x, one_hot(aligning.codes(table, column)))
    sizes = table[column].value_counts().filter(pl.col("count") >= QUARTERS)
    kept = sizes.sort("count", column, descending=[True, False]).head(MOST_VALUES)[column]
    held = table[column].is_in(kept.implode()).to_numpy()
    asked = table.filter(held).with_columns(speaker=pl.coalesce("speaker", "utterance"))
    concept = aligning.codes(asked, column)
    rows: list[tuple[object, ...]] = []
    for stage in ("before", "after") if len(kept) > 1 else ():
        hits = _held_out(x[held], one_hot(concept), _quarters(concept, material.study.seed), stage == "after")
        parts = np.concatenate([one_hot(concept) * hits[:, None], one_hot(concept)], axis=1)
        found = stats.bootstrap(
            parts,
            asked["speaker"].to_list(),
            _balanced,
            bounds=(0.0, 1.0),
            resamples=material.study.statistics.resamples,
            confidence=material.study.statistics.confidence,
            seed=material.study.seed,
        )
        rows.append((stage, found.estimate, found.low, found.high, found.n, found.clusters))
    schema = {name: ERASURE[name] for name in ("stage", "estimate", "low", "high", "n", "clusters")}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(value, ERASURE[name]).alias(name)
        for name, value in {
            "column": column,
            "layer": layer,
            "chance": 1 / max(len(kept), 1),
            "values": len(kept),
            "rank": whole.rank,
            "dim": x.shape[1],
        }.items()
    )


def _quarters(concept: Codes, seed: int) -> Codes:
    """Deal the utterances of each value out to quarters `[row]`, at random."""
    order = np.lexsort((np.random.default_rng(seed).random(len(concept)), concept))
    first = np.searchsorted(concept[order], concept[order])
    dealt = np.empty(len(concept), dtype=np.int64)
    dealt[order] = (np.arange(len(concept)) - first) % QUARTERS
    return dealt


def _held_out(x: Array, concept: Array, quarters: Codes, erase: bool) -> Array:
    """Say of each row whether it is told rightly `[row]`, by a probe that learnt from another quarter.

    What is erased is found in the half that neither of the two quarters belongs to: an eraser that has seen the
    tested rows would turn what is left of them against the probe.
    """
    import torch

    from sibboleth.models import convex
    from sibboleth.models.alignment import Eraser

    hits = np.zeros(len(x))
    for half in (0, 2):
        inside = np.isin(quarters, (half, half + 1))
        seen = Eraser.fit(x[~inside], concept[~inside])(x) if erase else x
        sets = [np.flatnonzero(quarters == quarter) for quarter in (half, half + 1)]
        tensor = torch.from_numpy(np.ascontiguousarray(seen, dtype=np.float32))
        solved = convex.solve(
            [tensor],
            torch.from_numpy(concept),
            [torch.from_numpy(rows) for rows in sets],
            torch.tensor([PENALTY], dtype=torch.float64),
            "cross-entropy",
        )
        probes = [(w, b) for some in solved for w, b in zip(some.weight, some.bias, strict=True)]
        for (weight, bias), tested in zip(probes, reversed(sets), strict=True):
            answers = (tensor[tested].double() @ weight[0] + bias[0]).argmax(1).numpy()
            hits[tested] = concept[tested, answers]
    return hits


def _balanced(sums: Array) -> Array:
    """Mean of the recalls of all values that are there, from hits and counts `[..., 2 * value]`."""
    hits, counts = np.split(sums, 2, axis=-1)
    there = counts > 0
    total = there.sum(axis=-1)
    recalls = np.where(there, hits / np.where(there, counts, 1), 0).sum(axis=-1)
    return np.asarray(np.where(total > 0, recalls / np.maximum(total, 1), np.nan))
