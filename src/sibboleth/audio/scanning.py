"""Scanning: what every utterance of a table sounds like, measured once and remembered."""

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from sibboleth import progress
from sibboleth.audio import reading
from sibboleth.audio.levels import Level, Meter, full_scale
from sibboleth.audio.reading import UnreadableAudio
from sibboleth.errors import SibbolethError

SCHEMA: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "seconds": pl.Float64,
    "rate": pl.Int64,
    "channels": pl.Int64,
    "peak": pl.Float64,
    "level": pl.Float64,
    "clipped": pl.Float64,
    "silence": pl.Float64,
    "digest": pl.String,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of a scan; what could not be measured is null. `levels.Level` says what the measures are."""

SHORTEST = 0.1
"""Seconds under which an utterance is excluded."""
FAINTEST = -80.0
"""Peak in dBFS under which an utterance is silent."""
THREADS = 2
BATCH = 256
"""Utterances after which the store is written."""
VERSION = 1
"""Raised when a measure or a policy changes; the store then forgets everything."""


class Place(NamedTuple):
    """Audio of one utterance, as the store knows it: another size or time of change is another place."""

    path: str
    size: int
    changed: int
    start: float
    end: float
    """-1 where the utterance has no start or end; SQLite's nulls are never equal."""


@dataclass(frozen=True)
class Finding:
    """What a scan found about one place."""

    seconds: float | None = None
    rate: int | None = None
    channels: int | None = None
    level: Level | None = None
    reason: str | None = None
    lasting: bool = True
    """Whether it holds as long as the file does not change."""

    def row(self) -> tuple[Any, ...]:
        """Return the columns of `SCHEMA` after the utterance."""
        one = self.level
        measures = (None,) * 5 if one is None else (one.peak, one.level, one.clipped, one.silence, one.digest)
        return (self.seconds, self.rate, self.channels, *measures, "excluded" if self.reason else "ok", self.reason)


def scan(table: pl.DataFrame, *, store: Path | None = None) -> pl.DataFrame:
    """Measure every utterance of a corpus table; one row each, in the table's order, with the columns of `SCHEMA`.

    Nothing raises because of a file: what cannot be used has the status `excluded` and a reason. With a store, a
    file that has not changed since it was last scanned is not read again.
    """
    places = [_place(*row) for row in table.select("audio", "start", "end").iter_rows()]
    with _opened(store) as memory:
        known = memory.recall(places)
        unknown = [place for place in dict.fromkeys(places) if place not in known]
        for place, finding in progress.track(_found(unknown, memory), "Scanning audio", len(unknown), "utterances"):
            known[place] = finding.row()
    rows = [(utterance, *known[place]) for utterance, place in zip(table["utterance"], places, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _place(path: str, start: float | None, end: float | None) -> Place:
    try:
        stat = Path(path).stat()
        size, changed = stat.st_size, stat.st_mtime_ns
    except (OSError, ValueError):
        size = changed = -1
    return Place(path, size, changed, -1.0 if start is None else start, -1.0 if end is None else end)


def _found(places: Sequence[Place], memory: "Memory") -> Iterator[tuple[Place, Finding]]:
    pool = ThreadPoolExecutor(THREADS)
    try:
        for begin in range(0, len(places), BATCH):
            batch = places[begin : begin + BATCH]
            fresh = []
            for place, finding in zip(batch, pool.map(_inspect, batch), strict=True):
                fresh.append((place, finding))
                yield place, finding
            memory.keep(fresh)
    finally:
        pool.shutdown(cancel_futures=True)


def _inspect(place: Place) -> Finding:
    """Measure one utterance; whatever is wrong with it becomes a reason."""
    seconds = rate = channels = level = None
    start, end = (None if second < 0 else second for second in (place.start, place.end))
    try:
        with reading.opened(place.path) as file:
            rate, channels = file.samplerate, file.channels
            first, count = reading.span(file, place.path, start, end)
            seconds = count / rate
            if seconds < SHORTEST:
                told = f"{1000 * seconds:.0f} ms long; under {1000 * SHORTEST:.0f} ms is too short for an encoder"
                raise UnreadableAudio(place.path, f"{told}; leave it out of the manifest")
            meter = Meter(rate, channels, full_scale(file.subtype))
            for piece in reading.pieces(file, place.path, first, count):
                meter.add(piece)
            level = meter.result()
    except UnreadableAudio as error:
        return Finding(seconds, rate, channels, None, error.reason, error.lasting)
    except MemoryError:
        return Finding(seconds, rate, channels, None, "its header asks for more memory than there is; it is corrupt")
    if level.broken:
        reason = f"{level.broken} samples are NaN or infinite; write the file again"
        return Finding(seconds, rate, channels, None, reason)
    if level.peak < FAINTEST:
        found = "no sound at all" if level.peak == -math.inf else f"peak {level.peak:.0f} dBFS"
        cancel = " (or its channels cancel out)" if channels > 1 else ""
        return Finding(seconds, rate, channels, level, f"silent: {found}{cancel}; check the recording")
    return Finding(seconds, rate, channels, level)


class Memory:
    """Findings by place, in a small SQLite file or nowhere."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        """Use a connection, whose tables are made if this version did not make them."""
        self._connection = connection
        if connection is None:
            return
        if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            connection.execute("DROP TABLE IF EXISTS scan")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        columns = ", ".join([*Place._fields, *list(SCHEMA)[1:]])
        key = ", ".join(Place._fields)
        connection.execute(f"CREATE TABLE IF NOT EXISTS scan ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID")
        connection.commit()

    def recall(self, places: Sequence[Place]) -> dict[Place, tuple[Any, ...]]:
        """Return what is known of these places, as rows of `SCHEMA` without the utterance."""
        if self._connection is None:
            return {}
        asked = " AND ".join(f"{name} = ?" for name in Place._fields)
        query = f"SELECT {', '.join(list(SCHEMA)[1:])} FROM scan WHERE {asked}"
        found = ((place, self._connection.execute(query, place).fetchone()) for place in dict.fromkeys(places))
        return {place: row for place, row in found if row is not None}

    def keep(self, findings: Sequence[tuple[Place, Finding]]) -> None:
        """Remember what stays true as long as the file does not change."""
        if self._connection is None:
            return
        rows = [(*place, *finding.row()) for place, finding in findings if finding.lasting]
        marks = ", ".join("?" * (len(Place._fields) + len(SCHEMA) - 1))
        with self._connection:
            self._connection.executemany(f"INSERT OR REPLACE INTO scan VALUES ({marks})", rows)


@contextlib.contextmanager
def _opened(store: Path | None) -> Iterator[Memory]:
    if store is None:
        yield Memory(None)
        return
    advice = "delete it or name another file"
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SibbolethError(f"{store}: the memory of scans cannot be made ({error.strerror}); {advice}") from None
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=60)) as connection:
            yield Memory(connection)
    except sqlite3.Error as error:
        raise SibbolethError(f"{store}: the memory of scans cannot be used ({error}); {advice}") from None
