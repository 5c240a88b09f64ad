"""Scanning: what every utterance of a table sounds like, measured once and remembered."""

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from sibboleth import progress, storage
from sibboleth.audio import reading
from sibboleth.audio.levels import Level, Meter, full_scale
from sibboleth.audio.reading import UnreadableAudio
from sibboleth.errors import SibbolethError

SCHEMA: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "seconds": pl.Float64,
    "rate": pl.Int64,
    "channels": pl.Int64,
    "format": pl.String,
    "peak": pl.Float64,
    "level": pl.Float64,
    "clipped": pl.Float64,
    "silence": pl.Float64,
    "noise": pl.Float64,
    "offset": pl.Float64,
    "bandwidth": pl.Float64,
    "digest": pl.String,
    "fingerprint": pl.Binary,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of a scan; what could not be measured is null. `levels.Level` says what the measures are."""
MEASURES = tuple(SCHEMA)[tuple(SCHEMA).index("peak") : tuple(SCHEMA).index("status")]
"""Those of them that are attributes of `levels.Level`."""

SHORTEST = 0.1
"""Seconds under which an utterance is excluded."""
FAINTEST = -80.0
"""Peak in dBFS under which an utterance is silent."""
PATIENCE = 20.0
"""Seconds to wait for another process that is writing the memory of scans."""
THREADS = 2
BATCH = 256
"""Utterances after which the store is written."""
VERSION = 3
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
    format: str | None = None
    """Container and sample format as libsndfile calls them: `WAV PCM_16`."""
    level: Level | None = None
    reason: str | None = None
    lasting: bool = True
    """Whether it holds as long as the file does not change."""

    def row(self) -> tuple[Any, ...]:
        """Return the columns of `SCHEMA` after the utterance."""
        measures = (None if self.level is None else getattr(self.level, name) for name in MEASURES)
        known = (self.seconds, self.rate, self.channels, self.format)
        return (*known, *measures, "excluded" if self.reason else "ok", self.reason)


def scan(table: pl.DataFrame, *, store: Path | None = None) -> pl.DataFrame:
    """Measure every utterance of a corpus table; one row each, in the table's order, with the columns of `SCHEMA`.

    Nothing raises because of a file: what cannot be used has the status `excluded` and a reason. With a store, a
    file that has not changed since it was last scanned is not read again.
    """
    places = [_place(*row) for row in table.select("audio", "start", "end").iter_rows()]
    with contextlib.closing(Memory(store)) as memory:
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
    found = Finding()
    start, end = (None if second < 0 else second for second in (place.start, place.end))
    try:
        with reading.opened(place.path) as file:
            rate, channels = file.samplerate, file.channels
            found = Finding(rate=rate, channels=channels, format=f"{file.format} {file.subtype}")
            first, count = reading.span(file, place.path, start, end)
            found = replace(found, seconds=count / rate)
            if count / rate < SHORTEST:
                told = f"{1000 * count / rate:.0f} ms long; under {1000 * SHORTEST:.0f} ms is too short for an encoder"
                raise UnreadableAudio(place.path, f"{told}; leave it out of the manifest")
            meter = Meter(rate, channels, full_scale(file.subtype))
            for piece in reading.pieces(file, place.path, first, count):
                meter.add(piece)
            level = meter.result()
    except UnreadableAudio as error:
        return replace(found, reason=error.reason, lasting=error.lasting)
    except MemoryError:
        return replace(found, reason="its header asks for more memory than there is; it is corrupt")
    if level.broken:
        told = f"{level.broken} samples are no numbers (NaN, infinite or a million times full scale)"
        return replace(found, reason=f"{told}; write the file again")
    found = replace(found, level=level)
    if level.peak < FAINTEST:
        told = "no sound at all" if level.peak == -math.inf else f"peak {level.peak:.0f} dBFS"
        cancel = " (or its channels cancel out)" if channels > 1 else ""
        return replace(found, reason=f"silent: {told}{cancel}; check the recording")
    return found


class Memory:
    """Findings by place, in a small SQLite file or nowhere.

    It only spares work: where the file is locked, full, read-only or of a newer version, scanning goes on without.
    """

    def __init__(self, store: Path | None) -> None:
        """Open or make it; a file of ours that is damaged is made anew, anybody else's is refused."""
        self._store = store
        self._connection: sqlite3.Connection | None = None
        if store is None:
            return
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            self._connect(store)
        except (OSError, sqlite3.Error) as error:
            self._forgo(error)
            if self._damaged(error):
                with self._spared():
                    self._connect(store)

    def _connect(self, store: Path) -> None:
        """Connect, and make the table if this version did not make it."""
        self._connection = connection = sqlite3.connect(store, timeout=PATIENCE)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise sqlite3.OperationalError("a newer sibboleth wrote it")
        if version == VERSION:
            return
        columns = ", ".join([*Place._fields, *list(SCHEMA)[1:]])
        key = ", ".join(Place._fields)
        with connection:  # two processes may come here at once: only the first one makes the table
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                connection.execute("DROP TABLE IF EXISTS scan")
                connection.execute(f"CREATE TABLE scan ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID")
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def recall(self, places: Sequence[Place]) -> dict[Place, tuple[Any, ...]]:
        """Return what is known of these places, as rows of `SCHEMA` without the utterance."""
        asked = " AND ".join(f"{name} = ?" for name in Place._fields)
        query = f"SELECT {', '.join(list(SCHEMA)[1:])} FROM scan WHERE {asked}"
        known = {}
        with self._spared() as connection:
            asking = () if connection is None else ((one, connection.execute(query, one)) for one in set(places))
            for place, answer in asking:
                if row := answer.fetchone():
                    known[place] = row
        return known

    def keep(self, findings: Sequence[tuple[Place, Finding]]) -> None:
        """Remember what stays true as long as the file does not change."""
        rows = [(*place, *finding.row()) for place, finding in findings if finding.lasting]
        marks = ", ".join("?" * (len(Place._fields) + len(SCHEMA) - 1))
        with self._spared() as connection:
            if connection:
                with connection:
                    connection.executemany(f"INSERT OR REPLACE INTO scan VALUES ({marks})", rows)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextlib.contextmanager
    def _spared(self) -> Iterator[sqlite3.Connection | None]:
        """Give the connection; what fails inside is told, and scanning goes on without memory."""
        try:
            yield self._connection
        except (OSError, sqlite3.Error) as error:
            self._forgo(error)

    def _forgo(self, error: Exception) -> None:
        """Do without what cannot be used, and say so; what is damaged is removed."""
        self.close()
        progress.console.print(f"{self._store}: the memory of scans is not used ({error})")
        if self._damaged(error) and self._store is not None:
            with self._store.open("rb") as stream:
                ours = stream.read(15) == b"SQLite format 3" or self._store.name == storage.SCANS
            if not ours:
                raise SibbolethError(f"{self._store}: is no memory of scans ({error}); delete it or name another file")
            for end in ("", "-journal", "-wal", "-shm"):
                self._store.with_name(self._store.name + end).unlink(missing_ok=True)

    @staticmethod
    def _damaged(error: Exception) -> bool:
        """Say whether the file holds no sound database."""
        return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
