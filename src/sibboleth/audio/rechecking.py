"""Rechecking: whether audio still is what was scanned, told by its samples and not by size and time of change."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sibboleth import progress
from sibboleth.audio import reading
from sibboleth.audio.reading import Samples, UnreadableAudio


class Digest:
    """SHA-256 over rate, channel count and decoded samples: the digest of a scan, taken while audio is read."""

    def __init__(self) -> None:
        """Begin; call it with every piece that is decoded."""
        self._hash = hashlib.sha256()
        self._begun = False

    def __call__(self, piece: Samples, rate: int) -> None:
        """Take in the next frames `[frame, channel]`."""
        if not self._begun:
            self._hash.update(f"{rate} {piece.shape[1]}\n".encode())
            self._begun = True
        self._hash.update(np.ascontiguousarray(piece, "<f4").data)

    def hexdigest(self) -> str:
        """Return the digest of all that was taken in."""
        return self._hash.hexdigest()


def digest(path: Path | str, start: float | None = None, end: float | None = None) -> str:
    """Return the digest of audio as it is now, in bounded memory; raises `UnreadableAudio` where there is none."""
    heard = Digest()
    for _ in reading.blocks(path, start=start, end=end, hear=heard):
        pass
    return heard.hexdigest()


def known(store: Path) -> list[tuple[str, float | None, float | None, str]]:
    """Return path, start, end and digest of all audio in a memory of scans that is there as it was scanned.

    Raises `sqlite3.Error` where the memory cannot be read.
    """
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT path, size, changed, start, end, digest FROM scan WHERE digest IS NOT NULL")
        found = []
        for path, size, changed, start, end, expected in rows:
            with contextlib.suppress(OSError, ValueError):
                there = Path(path).stat()
                if (there.st_size, there.st_mtime_ns) == (size, changed):
                    found.append((path, None if start < 0 else start, None if end < 0 else end, expected))
    return found


def recheck(store: Path) -> list[str]:
    """Decode all audio in a memory of scans again; returns the files that changed behind size and time.

    They are forgotten, so that the next scan measures them. Raises `sqlite3.Error` where the memory cannot be used.
    """
    changed = set()
    rows = known(store)
    for path, start, end, expected in progress.track(rows, "Checking audio", len(rows), "utterances"):
        try:
            if path not in changed and digest(path, start, end) != expected:
                changed.add(path)
        except UnreadableAudio:
            changed.add(path)
    forget(store, sorted(changed))
    return sorted(changed)


def forget(store: Path, paths: Sequence[str]) -> None:
    """Have files scanned anew the next time. Raises `sqlite3.Error` where the memory cannot be written."""
    if not paths or not store.exists():
        return
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.executemany("DELETE FROM scan WHERE path = ?", [(path,) for path in paths])
