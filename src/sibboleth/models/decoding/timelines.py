"""Timelines: the segments of an utterance as a row of numbers, so that arrays of them go where arrays of labels go.

A row is the seconds of the utterance, then start, end and label of every segment in order of their starts, -1 behind.
Frame k of a stride stands for the time from k to k + 1 strides, and has the label of its middle; where segments overlap
that is the one that began last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

END = -1.0
"""What stands behind a row."""
UNKNOWN = -1
"""Of a frame that no segment covers."""


@dataclass(frozen=True)
class Timeline:
    """Segments of one utterance, in order of their starts."""

    seconds: float
    """Of the utterance."""
    starts: Array
    """`[segment]`, seconds."""
    ends: Array
    labels: Codes
    """`[segment]`, index of the label."""

    @classmethod
    def of_frames(cls, codes: Codes, stride: float | None, seconds: float) -> Self:
        """Join frames `[frame]` of one label; the last segment lasts to the end of the utterance.

        Without a fixed stride, in seconds, the frames divide the utterance equally.
        """
        begins, labels = runs(codes)
        edges = np.minimum(begins * (stride or seconds / max(1, len(codes))), seconds)
        known = labels != UNKNOWN
        return cls(seconds, edges[known], np.append(edges[1:], seconds)[: len(edges)][known], labels[known])

    def frames(self, count: int, stride: float | None) -> Codes:
        """Return the label of each of so many frames, `[frame]`; -1 where there is none."""
        codes = np.full(count, UNKNOWN, dtype=np.int64)
        step = stride or self.seconds / max(1, count)
        first = np.ceil(self.starts / step - 0.5).clip(0).astype(np.int64)
        last = np.ceil(self.ends / step - 0.5).clip(0).astype(np.int64)
        for begin, end, label in zip(first, last, self.labels, strict=True):
            codes[begin:end] = label
        return codes

    def covered(self, labels: int) -> Array:
        """Return the seconds of every label, `[label]`."""
        return np.bincount(self.labels, self.ends - self.starts, minlength=labels)[:labels].astype(np.float64)


def runs(codes: Codes) -> tuple[Codes, Codes]:
    """Return where runs of equal labels begin, and their labels, both `[run]`."""
    begins = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1)) if len(codes) else np.empty(0, np.int64)
    return begins, codes[begins]


def packed(several: Sequence[Timeline]) -> Array:
    """Write timelines as rows of one width."""
    width = 1 + 3 * max((len(one.labels) for one in several), default=0)
    rows = np.full((len(several), width), END)
    for row, one in zip(rows, several, strict=True):
        row[0] = one.seconds
        row[1 : 1 + 3 * len(one.labels)] = np.column_stack([one.starts, one.ends, one.labels]).ravel()
    return rows


def unpacked(rows: npt.NDArray[np.floating]) -> Iterator[Timeline]:
    """Read rows back."""
    for row in rows.astype(np.float64):
        segments = row[1 : 1 + (len(row) - 1) // 3 * 3].reshape(-1, 3)
        own = segments[segments[:, 2] >= 0]
        yield Timeline(float(row[0]), own[:, 0], own[:, 1], own[:, 2].astype(np.int64))
