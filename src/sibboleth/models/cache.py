"""Cache: hidden states on disk, addressed by what was encoded and with what, never by a name.

One folder per encoder identity holds shards (`shards.py`): statistics over time of all layers, and frames of the layers
that were asked for. Two processes that write the same shard write the same file. A shard that is cut short or has
another checksum is removed and its utterances are encoded again; one in a newer format is left alone.
"""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sibboleth import mirrors, storage
from sibboleth.errors import CannotWrite, SibbolethError
from sibboleth.models import shards
from sibboleth.models.encoders import Encoder
from sibboleth.models.encoding import Statistics
from sibboleth.models.shards import CorruptShard, Frames, FramesShard, NewerShard, Shard, StatisticsShard
from sibboleth.progress import console
from sibboleth.storage import Lock

Place = tuple[str, int]
"""Name of a shard and position in it."""

FEATURES = "features"
SUFFIXES = (StatisticsShard.SUFFIX, FramesShard.SUFFIX)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
IN_USE = ".in-use"
ENVIRONMENT = "set SIBBOLETH_CACHE to"
OPTION = "give --folder"
FRESH = 3600.0
"""Seconds for which a use of a shard need not be noted again."""


@dataclass
class Store:
    """What the cache holds of one encoder."""

    folder: Path
    shards: dict[str, Shard] = field(default_factory=dict)
    """By file name."""
    places: dict[str, Place] = field(default_factory=dict)
    """Audio digest to where its statistics are."""
    framed: dict[int, dict[str, Place]] = field(default_factory=dict)
    """Layer to audio digest to where its frames are."""
    newer: set[str] = field(default_factory=set)
    """Files in a format that this code does not know."""
    verified: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    """Files that were corrupt and were removed."""
    chosen: str = ENVIRONMENT
    """How to choose another folder."""
    mirror: mirrors.Mirror | None = None
    """Its place in an object store: what others wrote there is copied here, and what is written here there."""

    @classmethod
    def open(
        cls,
        folder: Path,
        identity: str | None = None,
        chosen: str = ENVIRONMENT,
        mirror: mirrors.Mirror | None = None,
    ) -> "Store":
        """Read the headers of an encoder's shards, in the order of their names; removes corrupt ones.

        Raises `SibbolethError` where one cannot be read.
        """
        store = cls(folder, chosen=chosen, mirror=mirror)
        store.refresh(identity)
        storage.sweep(folder)
        return store

    def refresh(self, identity: str | None = None) -> None:
        """Take in what other processes wrote or removed since."""
        if self.mirror is not None:
            self._exchange(self.mirror)
        try:
            names = sorted(entry.name for entry in os.scandir(self.folder) if entry.name.endswith(SUFFIXES))
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError as error:
            raise shards.unreadable(self.folder, error) from None
        there = {name for name in names if not name.startswith(".")}
        if gone := self.shards.keys() - there:
            self._forget(gone)
        for name in names:
            if name in there and name not in self.shards and name not in self.newer:
                self._open(self.folder / name, identity)

    def find(self, digests: Iterable[str]) -> set[str]:
        """Return whose statistics are there, in shards whose checksum is right; removes shards that are corrupt.

        Each shard is read once: what was verified is not verified again.
        """
        wanted = set(digests)
        names = {self.places[digest][0] for digest in wanted if digest in self.places}
        while unsure := sorted(names - self.verified):
            for name in unsure:
                self.verify(name)
            names = {self.places[digest][0] for digest in wanted if digest in self.places}
        return wanted & self.places.keys()

    def verify(self, name: str) -> bool:
        """Say whether the checksums of a shard are right; removes it otherwise, and forgets one that is gone.

        Raises `SibbolethError` where it cannot be read: that says nothing of what is in it.
        """
        try:
            self.shards[name].verify()
        except CorruptShard as error:
            self.drop(name, error)
            return False
        except FileNotFoundError:  # removed by another process
            self._forget([name])
            return False
        except OSError as error:
            raise shards.unreadable(self.folder / name, error) from None
        self.verified.add(name)
        return True

    def whole(self, digests: Iterable[str], layers: Collection[int] = ()) -> set[str]:
        """Return for whom statistics and frames of these layers are there, as far as headers tell."""
        found = set(digests) & self.places.keys()
        for layer in layers:
            found &= self.framed.get(layer, {}).keys()
        return found

    def frames(self, digest: str, layer: int) -> Frames:
        """Return one layer of one utterance, `[frame, dim]`; raises `SibbolethError` where it is damaged."""
        name, position = self.framed[layer][digest]
        shard = self.shards[name]
        assert isinstance(shard, FramesShard)
        try:
            return shard.frames(position)
        except CorruptShard as error:
            self.drop(name, error)
            raise SibbolethError(f"{shard.path}: is corrupt and was removed; run the same command again") from None

    def statistics_shard(self, name: str) -> StatisticsShard:
        """Return a shard of statistics by its file name."""
        shard = self.shards[name]
        assert isinstance(shard, StatisticsShard)
        return shard

    def write(self, encoder: Encoder, batch: Mapping[str, Statistics]) -> None:
        """Write a batch, digest to statistics, as one shard: whole or not at all."""
        with self._writing(sum(statistics.nbytes for statistics in batch.values())):
            self._written(shards.write_statistics(self.folder, encoder, batch))

    def write_frames(self, encoder: Encoder, layer: int, batch: Mapping[str, Frames]) -> None:
        """Write frames of one layer, digest to `[frame, dim]`, as one shard: whole or not at all."""
        with self._writing(sum(frames.nbytes for frames in batch.values())):
            self._written(shards.write_frames(self.folder, encoder, layer, batch))

    @property
    def names(self) -> list[str]:
        """Return what the encoder was called when shards were written."""
        return sorted({str(shard.header["encoder"]) for shard in self.shards.values()})

    def size(self) -> int:
        """Return bytes on disk."""
        return sum(shard.bytes for shard in self.shards.values())

    def drop(self, name: str, error: Exception) -> None:
        """Remove a shard that is corrupt."""
        console.print(
            f"cache: {self.folder / name} is corrupt ({error}); it is removed and encoded again", markup=False
        )
        self.dropped.add(name)
        if self.mirror is not None:
            self.mirror.remove([name])
        self.remove([name])

    def remove(self, names: Collection[str]) -> None:
        """Remove shards."""
        for name in names:
            with contextlib.suppress(OSError):  # a cache that we may only read stays as it is
                (self.folder / name).unlink(missing_ok=True)
        self._forget(names)

    def use(self, *, make: bool = True) -> Lock | None:
        """Keep others from emptying it as long as what is returned is held, or None where we may not write here.

        Its folder is made where it is not there, or None is returned without `make`.
        """
        with contextlib.suppress(OSError):
            if make:
                self.folder.mkdir(parents=True, exist_ok=True)
            return storage.lock(self.folder / IN_USE, shared=True)
        return None

    def emptying(self) -> Lock | None:
        """Keep others from using it as long as what is returned is held; None if it is in use.

        Raises `SibbolethError` where it cannot be written.
        """
        try:
            return storage.lock(self.folder / IN_USE, wait=False)
        except OSError as error:
            raise self.unwritable(error) from None

    def touch(self, names: Iterable[str]) -> None:
        """Note that shards were used: the time of change of a shard is that of its last use."""
        now = time.time()
        for name in names:
            with contextlib.suppress(OSError):
                if now - (self.folder / name).stat().st_mtime > FRESH:
                    os.utime(self.folder / name)

    def _open(self, path: Path, identity: str | None) -> None:
        try:
            shard = shards.opened(path)
            if identity not in (None, shard.header["identity"]):
                raise CorruptShard("it is another encoder's")
        except NewerShard:
            self.newer.add(path.name)
        except CorruptShard as error:
            self.drop(path.name, error)
        except FileNotFoundError:  # removed by another process since it was listed
            pass
        except OSError as error:
            raise shards.unreadable(path, error) from None
        else:
            self._add(shard)

    def _add(self, shard: Shard) -> None:
        name = shard.path.name
        self.shards[name] = shard
        places = self.places
        if isinstance(shard, FramesShard):
            places = self.framed.setdefault(shard.header["layer"], {})
        for position, digest in enumerate(shard.digests):
            places[digest] = (name, position)

    def _exchange(self, mirror: mirrors.Mirror) -> None:
        """Copy shards that are only here or only in the object store to where they are not; names tell contents."""
        here = {path.name for path in self.folder.glob("[!.]*") if path.name.endswith(SUFFIXES)}
        there = {name for name in mirror.names() if name.endswith(SUFFIXES)}
        mirror.pull(sorted(there - here))
        mirror.push(sorted(here - there))

    def _forget(self, names: Collection[str]) -> None:
        self.verified.difference_update(names)
        if not self.shards.keys() & set(names):
            return
        left = [shard for name, shard in self.shards.items() if name not in names]
        self.shards, self.places, self.framed = {}, {}, {}
        for shard in left:
            self._add(shard)

    def _written(self, shard: Shard) -> None:
        self._add(shard)
        self.verified.add(shard.path.name)
        if self.mirror is not None:
            self.mirror.push([shard.path.name])

    @contextlib.contextmanager
    def _writing(self, size: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.unwritable(error, size) from None

    def unwritable(self, error: OSError, size: int | None = None) -> CannotWrite:
        """Say why it cannot be written, and what to do."""
        if error.errno in FULL:
            wanted = "" if size is None else f" ({size / 1e6:.1f} MB were to be written)"
            return CannotWrite(
                f"{self.folder}: the disk is full{wanted}. What was encoded before is kept; "
                f"make room (`sibboleth cache size` shows what is there) or {self.chosen} a folder on a larger "
                "disk, and run the same command again"
            )
        return CannotWrite(
            f"{self.folder}: the cache cannot be written ({error.strerror or error}); "
            f"{self.chosen} a folder that can be"
        )


class Cache:
    """A folder of everything that was measured or encoded, for all studies of this user."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder; `$SIBBOLETH_CACHE`, or the platform's place for caches, where none is given."""
        self.folder = folder or storage.folder()
        self.chosen = ENVIRONMENT if folder is None else OPTION
        self.address = storage.mirrored() if folder is None else None
        """Of the object store that it is a copy of."""
        if self.address is not None:
            mirrors.Mirror(self.folder, self.address).require()
        self.scans = storage.scans(self.folder)

    def require_folder(self) -> None:
        """Raise `SibbolethError` where it is no folder, or holds nothing and cannot be written."""
        there = self.folder.absolute()
        while not os.path.lexists(there):
            there = there.parent
        if not there.is_dir():
            raise SibbolethError(f"{there}: is no folder, so it cannot hold the cache; {self.chosen} a folder")
        if not (self.folder / FEATURES).exists() and not os.access(there, os.W_OK | os.X_OK):
            raise SibbolethError(f"{there}: the cache cannot be written there; {self.chosen} a folder that can be")

    def use(self, encoder: Encoder) -> Lock | None:
        """Keep others from emptying what is there of an encoder; None where nothing is, or we may not write here.

        To be called before it is opened: what is listed first may be gone when it is locked.
        """
        return Store(self.folder / FEATURES / encoder.identity).use(make=False)

    def store(self, encoder: Encoder) -> Store:
        """Open what is there of an encoder."""
        return self.of(encoder.identity)

    def of(self, identity: str) -> Store:
        """Open what is there of the encoder of an identity; copies first what only an object store has of it."""
        folder, mirror = self.folder / FEATURES / identity, None
        if self.address is not None:
            mirror = mirrors.Mirror(folder, f"{self.address}/{FEATURES}/{identity}")
        return Store.open(folder, identity, self.chosen, mirror)

    def stores(self) -> Iterator[Store]:
        """Open what is there of every encoder."""
        folders = self.folder / FEATURES
        for folder in sorted(folders.iterdir()) if folders.is_dir() else ():
            if folder.is_dir():
                yield Store.open(folder, chosen=self.chosen)

    def remove(self, store: Store) -> None:
        """Remove everything of one encoder, but for files of a newer format."""
        if store.newer:
            store.remove(list(store.shards))
            return
        shutil.rmtree(store.folder, ignore_errors=True)
