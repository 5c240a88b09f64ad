"""Pruning: what of the cache is not needed, found first and removed only then."""

import contextlib
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sibboleth.errors import SibbolethError
from sibboleth.models.cache import Cache
from sibboleth.models.recognition import kept
from sibboleth.storage import Lock

DAY = 86_400.0


class Piece(Protocol):
    """A file that goes as a whole."""

    @property
    def path(self) -> Path:
        """Return where it is."""

    @property
    def bytes(self) -> int:
        """Return its size."""

    @property
    def digests(self) -> Sequence[str]:
        """Return the digests of the audio that it is about."""


class Holder(Protocol):
    """What the cache holds of one encoder, or of one recogniser."""

    @property
    def folder(self) -> Path:
        """Return a path that ends in its identity."""

    @property
    def shards(self) -> Mapping[str, Piece]:
        """Return its files by name."""

    @property
    def names(self) -> Sequence[str]:
        """Return what it was called."""

    def emptying(self) -> Lock | None:
        """Keep others from using it; None if it is in use."""

    def remove(self, names: Collection[str]) -> None:
        """Remove files."""


@dataclass(frozen=True)
class Removal:
    """Shards of one encoder, or transcripts of one recogniser, that can go, and why."""

    store: Holder
    names: dict[str, str]
    """Shard to reason."""

    @property
    def bytes(self) -> int:
        """That this frees."""
        return sum(self.store.shards[name].bytes for name in self.names if name in self.store.shards)


@dataclass(frozen=True)
class Findings:
    """What can go, and what is not known."""

    removals: tuple[Removal, ...]
    unknown: int = 0
    """Shards that are kept because no scan from here knows some of their audio."""


@dataclass(frozen=True)
class _Held:
    store: Holder
    name: str
    bytes: int
    used: float
    """Time of its last use."""


def find(cache: Cache, *, unused_for: float | None = None, gone: bool = False, to: int | None = None) -> Findings:
    """Find files that were not used for so many days, or whose audio is gone, or that are too much.

    Audio is gone where every file that is known to have held it is missing, or has another size or time of change than
    when it was scanned; of what no scan knows it cannot be told. Of what is too much for `to` bytes the shards that
    were used longest ago go first. Raises `SibbolethError` where the memory of scans cannot be read.
    """
    holders: list[Holder] = [*cache.stores(), *kept.held(cache.folder)]
    held = [one for holder in holders for one in _held(holder)]
    reasons: dict[int, str] = {}
    if unused_for is not None:
        before = time.time() - unused_for * DAY
        reasons |= {i: f"not used for {unused_for:g} days" for i, one in enumerate(held) if one.used < before}
    unknown = 0
    if gone:
        there, lost = _told(cache)
        for i, one in enumerate(held):
            digests = set(one.store.shards[one.name].digests)
            if digests <= lost:
                reasons.setdefault(i, "its audio is gone")
            elif i not in reasons and digests.isdisjoint(there):
                unknown += 1
    if to is not None:
        reasons |= {i: "used longest ago" for i in _too_much(held, reasons, to)}
    removals: dict[Path, Removal] = {}
    for i, reason in sorted(reasons.items()):
        one = held[i]
        removals.setdefault(one.store.folder, Removal(one.store, {})).names[one.name] = reason
    return Findings(tuple(removals.values()), unknown)


def _too_much(held: Sequence[_Held], going: Collection[int], to: int) -> list[int]:
    """Choose which more must go, those used longest ago first, for the rest to fit."""
    left = sorted((i for i in range(len(held)) if i not in going), key=lambda i: (held[i].used, held[i].name))
    total = sum(held[i].bytes for i in left)
    chosen = []
    for i in left:
        if total <= to:
            break
        chosen.append(i)
        total -= held[i].bytes
    return chosen


def remove(removals: Sequence[Removal]) -> tuple[Removal, ...]:
    """Remove what was found, but for encoders that are in use; returns those that were left for that reason."""
    busy = []
    for removal in removals:
        guard = removal.store.emptying()
        if guard is None:
            busy.append(removal)
            continue
        with guard:
            removal.store.remove(removal.names)
    return tuple(busy)


def _held(store: Holder) -> list[_Held]:
    found = []
    for name, shard in store.shards.items():
        try:
            used = shard.path.stat().st_mtime
        except OSError:  # removed by another process meanwhile
            continue
        found.append(_Held(store, name, shard.bytes, used))
    return found


def _told(cache: Cache) -> tuple[set[str], set[str]]:
    """Return the digests of scanned audio that may still be there, and of that which is gone."""
    query = "SELECT path, size, changed, digest FROM scan WHERE digest IS NOT NULL"
    try:
        with contextlib.closing(sqlite3.connect(f"{cache.scans.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise SibbolethError(
            f"{cache.scans}: cannot tell which audio is gone ({error}); it knows what was scanned from here, so run "
            "`sibboleth corpus describe` on your manifests first"
        ) from None
    there = {digest for path, size, changed, digest in rows if _may_be(path, size, changed)}
    return there, {digest for *_, digest in rows} - there


def _may_be(path: str, size: int, changed: int) -> bool:
    """Say whether a file may be what it was when it was scanned."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):  # it is not known to be gone
        return True
    return (found.st_size, found.st_mtime_ns) == (size, changed)
