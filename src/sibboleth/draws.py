"""Draws: so many utterances of every label, by the hash of their names, so that fewer are always a part of more."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import schemes
from sibboleth.schemes import Rows
from sibboleth.stratification import BINS, binned, linked

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Pool:
    """Rows from which utterances are drawn, in order of utterance, and the label of each."""

    rows: Rows
    labels: Rows
    """Number of each row's label; -1 is unknown."""
    names: tuple[str, ...]
    """Labels in the order of their numbers; of a numeric target its quantile bins."""

    @classmethod
    def of(cls, target: pl.Series, rows: Rows) -> "Pool":
        """Take the rows of a corpus table; the bins of a numeric target are those of these rows alone."""
        values = target.gather(rows)
        if values.dtype.is_numeric():
            numbers = values.to_frame("number").select(binned(pl.col("number"))).to_series()
            names = tuple(f"fifth {number + 1} of the numbers" for number in range(BINS))
            return cls(rows, numbers.cast(pl.Int64).fill_null(-1).to_numpy(), names)
        names = tuple(values.drop_nulls().unique().sort().cast(pl.String))
        return cls(rows, schemes.codes(values, unknown=-1), names)

    def rarest(self) -> tuple[str, Rows]:
        """Return the label that the fewest rows have (at least one does), with these rows; the first of equals."""
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(self.names))
        if not counts.any():
            return "any label", self.rows[:0]
        label = int(np.where(counts > 0, counts, len(self.rows) + 1).argmin())
        return self.names[label], self.rows[self.labels == label]

    def ranks(self, speakers: Rows, keys: Keys) -> Rows:
        """Say at which place every row is drawn among those of its label, from 0; of unknown label it is never drawn.

        A second utterance of a speaker comes after the first of every other; else the keys decide. `speakers` and
        `keys` are those of the whole table.
        """
        _, mine = np.unique(speakers[self.rows], return_inverse=True)
        turn = _places(self.labels * len(self.rows) + mine, keys[self.rows])
        return np.where(self.labels < 0, len(self.rows), _places(self.labels, turn, keys[self.rows]))


def keys(utterances: pl.Series, seed: int, draw: int) -> Keys:
    """Return a number for every utterance that only its name, the seed and the draw decide."""
    hashed = (hashlib.sha256(f"{seed}/{draw}/{name}".encode()).digest()[:8] for name in utterances)
    return np.frombuffer(b"".join(hashed), dtype=np.uint64)


def _places(groups: Rows, *order: npt.NDArray[np.integer]) -> Rows:
    """Number the rows of every group from 0, in the order of the first array, of equals in that of the next."""
    sorting = np.lexsort((*reversed(order), groups))
    begins = np.flatnonzero(np.diff(groups[sorting], prepend=groups[sorting][:1] - 1))
    places = np.empty(len(groups), dtype=np.int64)
    places[sorting] = np.arange(len(groups)) - np.repeat(begins, np.diff(begins, append=len(groups)))
    return places


def ranks(table: pl.DataFrame, target: str, columns: Sequence[str], seed: int, draw: int = 0) -> Rows:
    """Say at which place every row is drawn among those of its label and its values of `columns`, from 0.

    They come from all speakers in turn, and where speakers share sessions first from all groups of such partners in
    turn, so that each group has its part; else the hash of the names decides.
    """
    speakers, hashed = schemes.codes(table["speaker"]), keys(table["utterance"], seed, draw)
    partners = linked(speakers, schemes.codes(table["session"]))
    found = np.empty(len(table), dtype=np.int64)
    numbered = table.select(pl.int_range(pl.len()).alias("_row"), *columns)
    for part in numbered.partition_by(columns) if columns else [numbered]:
        rows = part["_row"].to_numpy()
        pool = Pool.of(table[target], rows)
        turn = _places(pool.labels * len(table) + partners[rows], pool.ranks(speakers, hashed))
        found[rows] = _places(pool.labels, turn, hashed[rows])
    return found
