"""Cache: pooled hidden states on disk, addressed by what was encoded and with what, never by a name.

One folder per encoder identity holds shards. A shard is written once and whole: a line of magic, the length of a JSON
header, the header, and float32 numbers `[layer, statistic, utterance, dim]`, so that one layer of a shard is read
without the others. Its name is the hash of the audio digests in it; two processes that write the same shard write the
same file. A shard that is cut short or has another checksum is removed and its utterances are encoded again.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sibboleth import storage
from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import Encoder
from sibboleth.progress import console
from sibboleth.storage import atomic

Statistics = npt.NDArray[np.float32]
"""Mean and standard deviation over frames, `[layer, 2, dim]`."""

MAGIC = b"sibboleth features 1\n"
SUFFIX = ".features"
ALIGNMENT = 64
DTYPE = np.dtype("<f4")
STALE = 3600.0
"""Seconds after which a temporary file is what a killed process left behind."""


class CorruptShard(Exception):
    """A file of the cache that does not hold what it should."""


@dataclass(frozen=True)
class Shard:
    """One file of statistics of some utterances."""

    path: Path
    header: Mapping[str, Any]
    offset: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Layers, statistics, utterances, dim."""
        return self.header["layers"], 2, len(self.header["digests"]), self.header["dim"]

    def read(self, layer: int, statistic: int, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return one statistic of one layer, `[position, dim]`, without reading the others."""
        try:
            numbers = np.memmap(self.path, DTYPE, mode="r", offset=self.offset, shape=self.shape)
        except (OSError, ValueError) as error:
            raise SibbolethError(
                f"{self.path}: has vanished from the cache while it was in use ({error}); run the same command again"
            ) from None
        return np.asarray(numbers[layer, statistic][positions], dtype=np.float32)

    def verify(self) -> None:
        """Raise `CorruptShard` unless the checksum is right."""
        checksum = _header_checksum(self.header)
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            while piece := stream.read(1 << 22):
                checksum = zlib.crc32(piece, checksum)
        if checksum != self.header["crc32"]:
            raise CorruptShard("its checksum is wrong")


@dataclass
class Store:
    """What the cache holds of one encoder."""

    folder: Path
    shards: dict[str, Shard] = field(default_factory=dict)
    """By file name."""
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Audio digest to shard name and position."""
    verified: set[str] = field(default_factory=set)

    def find(self, digests: Iterable[str]) -> set[str]:
        """Return which digests are there, in shards whose checksum is right; removes shards that are corrupt."""
        wanted = set(digests)
        found = set()
        for shard in [shard for shard in self.shards.values() if not wanted.isdisjoint(shard.header["digests"])]:
            try:
                if shard.path.name not in self.verified:
                    shard.verify()
            except (CorruptShard, OSError) as error:
                self._drop(shard.path, error)
                continue
            self.verified.add(shard.path.name)
            found |= wanted.intersection(shard.header["digests"])
        return found

    def write(self, encoder: Encoder, batch: Mapping[str, Statistics]) -> None:
        """Write a batch, digest to statistics, as one shard: whole or not at all."""
        numbers = np.stack(list(batch.values()), axis=2).astype(DTYPE)
        content = numbers.tobytes()
        header: dict[str, Any] = {
            "encoder": encoder.name,
            "identity": encoder.identity,
            "kind": encoder.kind,
            "layers": encoder.layers,
            "dim": encoder.dim,
            "dtype": DTYPE.str,
            "statistics": ["mean", "std"],
            "digests": list(batch),
        }
        header["crc32"] = zlib.crc32(content, _header_checksum(header))
        name = hashlib.sha256("\n".join(batch).encode()).hexdigest()[:32] + SUFFIX
        path = self.folder / name
        head = MAGIC + _padded(json.dumps(header).encode())
        try:
            with atomic(path) as temporary, temporary.open("wb") as stream:
                stream.write(head)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise _unwritable(self.folder, len(head) + len(content), error) from None
        self._add(Shard(path, header, len(head)))
        self.verified.add(name)

    def size(self) -> int:
        """Return bytes on disk."""
        return sum(shard.path.stat().st_size for shard in self.shards.values())

    def _add(self, shard: Shard) -> None:
        self.shards[shard.path.name] = shard
        for position, digest in enumerate(shard.header["digests"]):
            self.places[digest] = (shard.path.name, position)

    def _drop(self, path: Path, error: Exception) -> None:
        console.print(f"cache: {path} is corrupt ({error}); it is removed and encoded again", markup=False)
        path.unlink(missing_ok=True)
        dropped = self.shards.pop(path.name, None)
        if dropped is not None:
            self.places.clear()
            for shard in self.shards.values():
                self._add(shard)

    @classmethod
    def open(cls, folder: Path, identity: str | None = None) -> "Store":
        """Read the headers of an encoder's shards, in the order of their names; removes corrupt ones."""
        store = cls(folder)
        for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
            try:
                shard = _opened(path)
                if identity not in (None, shard.header["identity"]):
                    raise CorruptShard("it is another encoder's")
            except CorruptShard as error:
                store._drop(path, error)
            except OSError:  # removed by another process since it was listed
                continue
            else:
                store._add(shard)
        for path in folder.glob(f".*{SUFFIX}"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()
        return store


class Cache:
    """A folder of everything that was measured or encoded, for all studies of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder; `$SIBBOLETH_CACHE`, or the platform's place for caches, where none is given."""
        self.folder = folder or storage.folder()
        self.scans = storage.scans(self.folder)

    def store(self, encoder: Encoder) -> Store:
        """Open what is there of an encoder."""
        return Store.open(self.folder / "features" / encoder.identity, encoder.identity)

    def stores(self) -> Iterator[Store]:
        """Open what is there of every encoder."""
        folders = self.folder / "features"
        for folder in sorted(folders.iterdir()) if folders.is_dir() else ():
            if folder.is_dir():
                yield Store.open(folder)

    def remove(self, store: Store) -> None:
        """Remove everything of one encoder."""
        shutil.rmtree(store.folder, ignore_errors=True)


def _opened(path: Path) -> Shard:
    """Read a shard's header; raises `CorruptShard` where the file is not a whole shard."""
    with path.open("rb") as stream:
        start = stream.read(len(MAGIC) + 8)
        if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 8:
            raise CorruptShard("it does not begin as a shard does")
        length = int.from_bytes(start[len(MAGIC) :], "little")
        held = os.fstat(stream.fileno()).st_size
        text = stream.read(length) if length <= held else b""
    try:
        shard = Shard(path, json.loads(text), len(start) + length)
        expected = shard.offset + math.prod(shard.shape) * DTYPE.itemsize
        known = (shard.header["identity"], shard.header["crc32"], shard.header["dtype"])
    except (ValueError, KeyError, TypeError):
        raise CorruptShard("its header cannot be read") from None
    if held != expected or known[2] != DTYPE.str:
        raise CorruptShard(f"it has {held} bytes instead of {expected}")
    return shard


def _header_checksum(header: Mapping[str, Any]) -> int:
    """Return the CRC-32 of all of the header but the checksum in it; that of the numbers goes on from it."""
    told = {key: value for key, value in header.items() if key != "crc32"}
    return zlib.crc32(json.dumps(told, sort_keys=True).encode())


def _padded(header: bytes) -> bytes:
    """Precede a header by its length and fill it with blanks, so that the numbers behind it are aligned."""
    blanks = -(len(MAGIC) + 8 + len(header)) % ALIGNMENT
    return (len(header) + blanks).to_bytes(8, "little") + header + b" " * blanks


def _unwritable(folder: Path, size: int, error: OSError) -> SibbolethError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SibbolethError(
            f"{folder}: the disk is full ({size / 1e6:.1f} MB were to be written). What was encoded before is kept; "
            "make room (`sibboleth cache size` shows what is there) or set SIBBOLETH_CACHE to a folder on a larger "
            "disk, and run the same command again"
        )
    return SibbolethError(
        f"{folder}: the cache cannot be written ({error.strerror or error}); "
        "set SIBBOLETH_CACHE to a folder that can be"
    )
