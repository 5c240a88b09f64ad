"""Windows: rows of segments that are longer than layers are computed on at once, learnt and answered in parts.

Each window is a row of its own behind those of the table. What a row is answered is put together from its windows,
every moment from the one in which it is farther from an edge.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import audio, storage
from sibboleth.experiment.material import Material
from sibboleth.experiment.timelines import SEGMENT
from sibboleth.models.decoding.timelines import Timeline, packed, unpacked
from sibboleth.splits import Fit, Rows

Array = npt.NDArray[np.float64]

OVERLAP = 5.0
"""Seconds that neighbouring windows share at least."""
SPARE = 0.01
"""Seconds by which a window is shorter than it may be, so that rounding to samples makes none too long."""
TOUCHING = 1e-6
"""Seconds apart at which two parts of one segment meet."""


@dataclass(frozen=True)
class Windows:
    """Rows that are cut, and where."""

    count: int
    """Rows of the table."""
    of: Mapping[int, Rows]
    """The windows of each row that is cut, as rows behind those of the table."""
    spans: Array
    """`[window, 2]`: start and end in seconds, from the beginning of the row."""

    def rows(self, rows: Rows) -> Rows:
        """Put windows in the place of rows that are cut."""
        return np.concatenate([self.of.get(row, np.array([row])) for row in rows.tolist()] or [rows]).astype(np.int64)

    def fit(self, fit: Fit) -> Fit:
        """Return the same training problem with windows."""
        then = fit.then
        if then is not None:
            then = replace(then, train=self.rows(then.train), dev=self.rows(then.dev))
        tests = tuple(replace(test, rows=self.rows(test.rows)) for test in fit.tests)
        return replace(fit, train=self.rows(fit.train), dev=self.rows(fit.dev), tests=tests, then=then)

    def joined(self, rows: Rows, answers: Array) -> Array:
        """Put answers about `self.rows(rows)`, timelines `[row, number]`, together to answers about `rows`."""
        if not any(row in self.of for row in rows.tolist()):
            return answers
        parts, found = iter(unpacked(answers)), []
        for row in rows.tolist():
            windows = self.of.get(row)
            if windows is None:
                found.append(next(parts))
            else:
                spans = self.spans[windows - self.count]
                found.append(_joined([next(parts) for _ in windows], spans))
        return packed(found)

    def lost(self, missing: Sequence[int]) -> tuple[int, ...]:
        """Return the rows that cannot be answered, where those of the table and windows in `missing` cannot."""
        gone = set(missing)
        cut = {row for row, own in self.of.items() if gone & set(own.tolist())}
        return tuple(sorted(cut | {row for row in gone if row < self.count and row not in self.of}))


def of(material: Material) -> Windows:
    """Cut the rows of segments that are too long; of other targets, none."""
    from sibboleth.models.encoders import WINDOW

    seconds = material.scan["seconds"].fill_null(0.0).to_numpy()
    long = np.flatnonzero(seconds > WINDOW) if material.target.kind == "segmentation" else np.empty(0, np.int64)
    rows, spans, count = {}, [np.empty((0, 2))], len(material.table)
    length = WINDOW - SPARE
    for row in long.tolist():
        number = int(np.ceil((seconds[row] - OVERLAP) / (length - OVERLAP)))
        starts = np.linspace(0.0, seconds[row] - length, number)
        rows[row] = count + np.arange(number)
        spans.append(np.column_stack([starts, np.minimum(starts + length, seconds[row])]))
        count += number
    return Windows(len(material.table), rows, np.concatenate(spans))


def behind(material: Material, windows: Windows) -> Material:
    """Return the material with a row for every window behind those that it has, scanned as these were."""
    if not windows.of:
        return material
    order = [row for row, own in windows.of.items() for _ in own]
    begun, ended = windows.spans.T
    whole = material.table[order]
    first = whole["start"].fill_null(0.0)
    made = whole.with_columns(
        pl.Series(
            "utterance", [f"{u} {a:g}-{b:g} s" for u, a, b in zip(whole["utterance"], begun, ended, strict=True)]
        ),
        (first + pl.Series(begun)).alias("start"),
        (first + pl.Series(ended)).alias("end"),
        pl.Series(material.target.name, _cut(whole[material.target.name], windows.spans), pl.String),
    )
    table = pl.concat([material.table, made])
    scan = pl.concat([material.scan, audio.scan(made, store=storage.scans()).select(material.scan.columns)])
    return replace(material, table=table, scan=scan)


def _cut(segments: pl.Series, spans: Array) -> list[str]:
    """Return the segments of each window as JSON, in seconds from its beginning."""
    found = []
    for several, (begun, ended) in zip(segments.str.json_decode(SEGMENT).to_list(), spans.tolist(), strict=True):
        inside = [one for one in several if one["end"] > begun and one["start"] < ended]
        times = [(max(one["start"], begun) - begun, min(one["end"], ended) - begun, one["label"]) for one in inside]
        found.append(json.dumps([{"start": a, "end": b, "label": label} for a, b, label in times], ensure_ascii=False))
    return found


def _joined(several: list[Timeline], spans: Array) -> Timeline:
    """Take of each window what is nearer to its middle than to that of a neighbour."""
    edges = np.concatenate([[0.0], (spans[1:, 0] + spans[:-1, 1]) / 2, spans[-1:, 1]])
    found: list[tuple[float, float, int]] = []
    for one, begun, low, high in zip(several, spans[:, 0], edges[:-1], edges[1:], strict=True):
        for start, end, label in zip(one.starts + begun, one.ends + begun, one.labels.tolist(), strict=True):
            start, end = max(float(start), low), min(float(end), high)
            if end <= start:
                continue
            if found and found[-1][2] == label and start - found[-1][1] < TOUCHING:
                found[-1] = (found[-1][0], end, label)
            else:
                found.append((start, end, label))
    starts, ends, labels = (np.array([one[k] for one in found]) for k in range(3))
    return Timeline(float(spans[-1, 1]), starts, ends, labels.astype(np.int64))
