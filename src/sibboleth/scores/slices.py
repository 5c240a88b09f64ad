"""What is known about the utterance of each answer: its cluster (speaker) and its slices, as codes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from sibboleth.stats import Cells

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Clusters = Mapping[str, str | None]
"""Utterance to speaker; an utterance without one is a cluster of its own."""


@dataclass(frozen=True)
class Items:
    """Clusters and slices of answers."""

    clusters: Codes
    """`[answer]`."""
    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    """Values of each column, sorted."""
    codes: Codes
    """`[answer, column]`: index of the value, -1 where unknown."""
    raters: Codes | None = None
    """`[answer]`: which of the people of a group answered; None for one rater."""
    people: int = 1

    @classmethod
    def of(
        cls, utterances: pl.Series, clusters: Clusters, slices: pl.DataFrame | None, columns: Sequence[str]
    ) -> "Items":
        """Look up each answer's utterance; columns that `slices` lacks are passed over."""
        values: dict[str, list[str]] = {}
        codes = [np.zeros((len(utterances), 0), np.int64)]
        if slices is not None:
            used = [c for c in dict.fromkeys(columns) if c in slices.columns]
            known = slices.select("utterance", *(pl.col(c).cast(pl.String).alias(f"={c}") for c in used))
            placed = (
                utterances.alias("utterance")
                .to_frame()
                .join(
                    known.unique("utterance", keep="first", maintain_order=True),
                    on="utterance",
                    how="left",
                    maintain_order="left",
                )
            )
            for column in used:
                values[column] = placed[f"={column}"].drop_nulls().unique().sort().to_list()
                codes.append(code(placed[f"={column}"], values[column])[:, None])
        named = tuple(tuple(names) for names in values.values())
        return cls(_cluster_codes(utterances, clusters), tuple(values), named, np.concatenate(codes, axis=1))

    def take(self, rows: Codes) -> "Items":
        """Return some of the answers' codes."""
        raters = None if self.raters is None else self.raters[rows]
        return replace(self, clusters=self.clusters[rows], codes=self.codes[rows], raters=raters)

    def answered_by(self, raters: Codes, people: int) -> "Items":
        """Say which of the people of a group gave each answer."""
        return replace(self, raters=raters, people=people)

    def present(self) -> int:
        """Count the people who gave these answers; 1 where they are not resampled."""
        return 1 if self.raters is None else len(np.unique(self.raters))

    def groups(self) -> Iterator[tuple[str, list[tuple[str, Codes]]]]:
        """Yield each column that is not constant, with each of its values and the rows that have it."""
        for column, values, codes in zip(self.columns, self.values, self.codes.T, strict=True):
            present = np.unique(codes)
            if len(present) > 1:
                yield column, [(values[k], np.flatnonzero(codes == k)) for k in present if k >= 0]

    def sums(self, parts: Array, rows: Codes | None = None) -> Array:
        """Sum parts `[answer, part]` (of some rows) by cluster: `[cluster, part]`."""
        return self.cells(parts, rows).by_speaker()

    def cells(
        self,
        parts: Array | sparse.csr_matrix,
        rows: Codes | None = None,
        counts: sparse.csr_matrix | None = None,
    ) -> Cells:
        """Sum parts `[answer, part]` (of some rows) by cluster and rater; `counts` `[answer, number]` beside them.

        Without `counts` every answer counts as one.
        """
        chosen = slice(None) if rows is None else rows
        present, clusters = np.unique(self.clusters[chosen], return_inverse=True)
        raters = np.zeros(len(clusters), np.int64) if self.raters is None else self.raters[chosen]
        counted = np.ones((len(clusters), 1)) if counts is None else counts[chosen]
        return Cells.listed(parts[chosen], counted, clusters, raters, (len(present), self.people))


def code(values: pl.Series, names: Sequence[str]) -> Codes:
    """Return the index of each value in `names`, -1 where it is none of them."""
    coded = values.replace_strict(list(names), list(range(len(names))), default=-1, return_dtype=pl.Int64)
    return np.asarray(coded.fill_null(-1).to_numpy(), dtype=np.int64)


def _cluster_codes(utterances: pl.Series, clusters: Clusters) -> Codes:
    names = utterances.unique().sort().to_list()
    speakers = [clusters.get(name) for name in names]
    units = [
        (name, None) if speaker is None else (None, speaker) for name, speaker in zip(names, speakers, strict=True)
    ]
    index = {unit: k for k, unit in enumerate(dict.fromkeys(units))}
    return np.array([index[unit] for unit in units], dtype=np.int64)[code(utterances, names)]
