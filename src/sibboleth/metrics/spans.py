"""Spans: labelled stretches of time of many answers, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.metrics.metric import Array, Rows

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Stretches of every answer, in the order of the answers; those of one label neither overlap nor touch."""

    starts: Array
    """`[span]`, in seconds."""
    ends: Array
    """`[span]`, in seconds."""
    labels: Codes
    """`[span]`, index of the label."""
    bounds: Codes
    """`[answer + 1]`: the spans of answer k are those from `bounds[k]` to `bounds[k + 1]`."""

    @classmethod
    def of(cls, segments: pl.DataFrame, labels: Sequence[str], answers: int) -> "Spans":
        """Take rows of `=answer` (its index), `start`, `end` and `label`; a label outside is the index behind all.

        Segments of one label that overlap or touch are one span: a label is there or it is not. What lies before 0 or
        has no length is left out.
        """
        group = ["=answer", "label"]
        ordered = segments.with_columns(pl.col("start").clip(lower_bound=0.0)).filter(pl.col("end") > pl.col("start"))
        ordered = ordered.sort(*group, "start", "end")
        before = pl.col("end").cum_max().shift(1).over(group)
        apart = ordered.with_columns((pl.col("start") > before).fill_null(True).cum_sum().alias("=span"))
        merged = apart.group_by("=span", maintain_order=True).agg(
            pl.col("=answer").first(), pl.col("label").first(), pl.col("start").min(), pl.col("end").max()
        )
        merged = merged.sort("=answer", "start", "end", "label")
        codes = merged["label"].replace_strict(
            list(labels), list(range(len(labels))), default=len(labels), return_dtype=pl.Int64
        )
        counts = np.bincount(merged["=answer"].cast(pl.Int64).to_numpy(), minlength=answers)
        return cls(_floats(merged["start"]), _floats(merged["end"]), _codes(codes), _bounds(counts))

    def __len__(self) -> int:
        """Count the answers."""
        return len(self.bounds) - 1

    @property
    def answers(self) -> Codes:
        """Index of the answer of each span, `[span]`."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    def take(self, rows: Rows) -> Self:
        """Return the spans of some of the answers."""
        index = np.arange(len(self))[rows]
        counts = np.diff(self.bounds)[index]
        bounds = _bounds(counts)
        spans = np.arange(bounds[-1]) + np.repeat(self.bounds[index] - bounds[:-1], counts)
        return type(self)(self.starts[spans], self.ends[spans], self.labels[spans], bounds)

    def until(self, seconds: Array) -> Self:
        """Cut every answer's spans at its end `[answer]`."""
        ends = np.minimum(self.ends, seconds[self.answers])
        kept = ends > self.starts
        counts = np.bincount(self.answers[kept], minlength=len(self))
        return type(self)(self.starts[kept], ends[kept], self.labels[kept], _bounds(counts))


def together(parts: Sequence[Spans]) -> Spans:
    """Put the answers of several behind each other."""
    counts = np.concatenate([np.diff(part.bounds) for part in parts])
    starts, ends = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "ends"))
    return Spans(starts, ends, np.concatenate([part.labels for part in parts]), _bounds(counts))


@dataclass(frozen=True)
class Stretches:
    """Pieces of time within which nothing changes."""

    answers: Codes
    """`[stretch]`, ascending."""
    starts: Array
    seconds: Array
    """`[stretch]`, how long it is."""


class Division:
    """The time of many answers, divided wherever anything begins or ends."""

    def __init__(self, answers: Sequence[Codes], times: Sequence[Array]) -> None:
        """Take times of several kinds, each with the index of its answer."""
        who, when = np.concatenate(list(answers)), np.concatenate(list(times))
        order = np.lexsort((when, who))
        new = np.ones(len(order), np.bool_)
        new[1:] = (np.diff(who[order]) != 0) | (np.diff(when[order]) != 0)
        place = np.empty(len(order), np.int64)
        place[order] = np.cumsum(new) - 1
        self._places = np.split(place, np.cumsum([len(part) for part in times])[:-1])
        who, when = who[order][new], when[order][new]
        self._size = len(who)
        self._inside = np.flatnonzero(np.diff(who) == 0)
        self.stretches = Stretches(who[self._inside], when[self._inside], np.diff(when)[self._inside])

    def covered(self, starts: int, ends: int, labels: Codes | None = None, size: int = 1) -> npt.NDArray[np.int64]:
        """Count how many spans lie over each stretch `[stretch, label]`; kinds of times hold their starts and ends."""
        column = np.zeros(len(self._places[starts]), np.int64) if labels is None else labels
        change = np.zeros((self._size, size), np.int64)
        np.add.at(change, (self._places[starts], column), 1)
        np.add.at(change, (self._places[ends], column), -1)
        # What begins in an answer ends in it, so that sums over all answers are sums within each.
        return np.asarray(np.cumsum(change, axis=0)[self._inside])


def _bounds(counts: npt.NDArray[np.integer]) -> Codes:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _floats(values: pl.Series) -> Array:
    return np.ascontiguousarray(values.to_numpy(), dtype=np.float64)


def _codes(values: pl.Series) -> Codes:
    return np.ascontiguousarray(values.to_numpy(), dtype=np.int64)
