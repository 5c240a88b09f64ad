"""Mirrors: folders whose files stand in an object store, too, where machines without a common disk find them.

A file is copied as soon as it is whole, and a store shows an object when all of it is there, so no half file is ever
seen. Shards and cells are named by what is in them: it does not matter who wrote one, or how many did.
"""

import contextlib
import functools
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sibboleth import storage
from sibboleth.errors import CannotWrite, SibbolethError
from sibboleth.progress import track

LEASE = ".running"
"""Object that says who is at work."""
RENEWED, EXPIRED = 60.0, 300.0
"""Seconds after which a lease is renewed, and after which it is a dead process's."""
PAUSES = (1.0, 4.0)
"""Seconds before what a store refused is asked again."""
CONNECTIONS = 8
UNFOLLOWED = "states/"
"""Is written every second of every cell, for those who look on; the last of it is copied at the end."""
CELLS = "cells/"
"""Files that are named by what is in them: one of the same length is the same."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Mirror:
    """A folder of this machine and its place in an object store."""

    folder: Path
    address: str
    """As fsspec takes it: `s3://BUCKET/PATH`, `gs://BUCKET/PATH`."""
    copied: dict[str, int] = field(default_factory=dict, init=False)
    """When files were changed that were copied since, in nanoseconds, by their names."""

    def names(self, under: str = "") -> dict[str, int]:
        """Return name and bytes of the objects below a part of it; a name is relative to the address."""

        def listed() -> dict[str, int]:
            self._store.invalidate_cache()
            found = self._store.find(self._place(under.rstrip("/")), detail=True)
            return {self._name(path): int(one["size"] or 0) for path, one in found.items()}

        return self._asked(listed, f"{under or 'it'} cannot be listed")

    def pull(self, names: Collection[str]) -> None:
        """Copy objects into the folder, each whole or not at all; those that are gone meanwhile are passed over."""

        def pulled(name: str) -> None:
            with contextlib.suppress(FileNotFoundError), storage.atomic(self.folder / name, told=False) as temporary:
                self._asked(lambda: self._store.get_file(self._place(name), str(temporary)), f"{name} cannot be read")

        with ThreadPoolExecutor(CONNECTIONS) as workers:
            for _ in track(workers.map(pulled, names), f"Copying from {self.address}", len(names), "files"):
                pass

    def push(self, names: Collection[str]) -> None:
        """Copy files of the folder into the store; raises `CannotWrite` where it does not take them."""
        with ThreadPoolExecutor(CONNECTIONS) as workers:
            for _ in workers.map(self._push, names):
                pass

    def remove(self, names: Collection[str]) -> None:
        """Remove objects, as far as they are there."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._asked(functools.partial(self._store.rm_file, self._place(name)), f"{name} cannot be removed")

    def read(self, name: str) -> bytes | None:
        """Return what an object holds, none where it is not there."""
        with contextlib.suppress(FileNotFoundError):
            return self._asked(lambda: bytes(self._store.cat_file(self._place(name))), f"{name} cannot be read")
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write an object of few bytes."""
        self._put(name, lambda place: self._store.pipe_file(place, content))

    def settle(self) -> None:
        """Make the store hold what the folder holds, and nothing else."""
        here, there = dict(self._files()), self.names()
        for name, stat in here.items():
            same = there.get(name) == stat.st_size
            if not same or (self.copied.get(name) != stat.st_mtime_ns and not name.startswith(CELLS)):
                self._push(name)
        self.remove([name for name in there.keys() - here.keys() if name != LEASE])

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                yield name, path.stat()

    def _push(self, name: str) -> None:
        source = self.folder / name
        changed = source.stat().st_mtime_ns
        self._put(name, lambda place: self._store.put_file(str(source), place))
        self.copied[name] = changed

    def _put(self, name: str, put: Callable[[str], object]) -> None:
        """Put an object at its place; where the store is a folder, so that it is seen when it is whole."""
        place = self._place(name)

        def whole() -> None:
            beside = Path(place).with_name(f"{storage.PART}{os.getpid()}-{threading.get_ident()}-{Path(place).name}")
            beside.parent.mkdir(parents=True, exist_ok=True)
            put(str(beside))
            beside.replace(place)

        refused = f"{name} cannot be written; it lies on this machine, and the same command copies it"
        try:
            self._asked(whole if getattr(self._store, "local_file", False) else lambda: put(place), refused)
        except FileNotFoundError as error:
            raise CannotWrite(f"{self.address}: {refused} ({error.strerror or error})") from None

    def require(self) -> None:
        """Raise `SibbolethError` where it is no address of an object store, or the package for it is not installed."""
        if "://" not in self.address:
            raise SibbolethError(f"{self.address}: is no address of an object store; give one such as s3://BUCKET/PATH")
        assert self._store is not None

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        try:
            store, root = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:  # the package of its protocol is missing, or nobody knows it
            raise SibbolethError(f"{self.address}: cannot be reached ({error})") from None
        return store, root.rstrip("/")

    @property
    def _store(self) -> Any:
        return self._opened[0]

    def _place(self, name: str) -> str:
        return f"{self._opened[1]}/{name}" if name else self._opened[1]

    def _name(self, path: str) -> str:
        return str(path).removeprefix(self._opened[1]).lstrip("/")

    def _asked(self, ask: Callable[[], T], refused: str) -> T:
        """Ask the store, again where it was out of reach; raises `CannotWrite`, and `FileNotFoundError` as it is."""
        for pause in (*PAUSES, None):
            try:
                return ask()
            except (FileNotFoundError, SibbolethError):
                raise
            except Exception as error:  # every store has errors of its own
                if pause is None or isinstance(error, PermissionError):
                    said = " ".join(str(error).split()) or type(error).__name__
                    raise CannotWrite(f"{self.address}: {refused} ({said})") from None
                time.sleep(pause)
        raise AssertionError


@contextlib.contextmanager
def opened(folder: Path, address: str | None) -> Iterator[None]:
    """Mirror a folder while the block runs: what is there and not here is copied first, then all that is written.

    Where the block ends well the store holds at last what the folder holds. Without an address nothing is done. Raises
    `SibbolethError` where another process is at work there, and `CannotWrite` where the store cannot be reached.
    """
    if address is None:
        yield
        return
    mirror = Mirror(folder, address)
    mirror.require()
    with _leased(mirror):
        fetch(mirror)
        with storage.telling(followed(mirror)):
            yield
        mirror.settle()


def followed(mirror: Mirror) -> Callable[[Path], None]:
    """Return what copies a file that was written into the mirrored folder."""

    def written(path: Path) -> None:
        if path.is_relative_to(mirror.folder):
            name = path.relative_to(mirror.folder).as_posix()
            if not name.startswith(UNFOLLOWED):
                mirror.push([name])

    return written


def fetch(mirror: Mirror, under: str = "", *, begun: bool = True, of: str = "") -> None:
    """Copy into the folder what only the store has; with `begun` also of cells that are not filled yet.

    Only names that begin with `of`. What is left of the work on a cell that is filled is passed over: who filled it has
    removed it.
    """
    names = mirror.names(under)
    wanted = [name for name in names if not Path(name).name.startswith(".") and not _left(name, names, begun)]
    wanted = [name for name in wanted if name.startswith(of)]
    mirror.pull([name for name in wanted if not storage.inside(mirror.folder, name).exists()])


def _left(name: str, names: Collection[str], begun: bool) -> bool:
    """Say of a part of a cell, such as `X.layer-00.part.npz`, whether `X.parquet` is there, or no part is wanted."""
    if ".part" not in name:
        return False
    words = name.split(".")
    return not begun or any(f"{'.'.join(words[:k])}.parquet" in names for k in range(1, len(words)))


@contextlib.contextmanager
def _leased(mirror: Mirror) -> Iterator[None]:
    """Keep other processes out while the block runs, with a note that is renewed as long as we live."""
    mine = f"process {os.getpid()} on {platform.node() or 'this machine'}"
    if (who := _holder(mirror)) not in (None, mine):
        raise SibbolethError(
            f"{mirror.address}: another run is at work in it ({who}); wait until it is done, or for five minutes "
            "where it was killed, or choose another place"
        )
    ended = threading.Event()

    def note() -> None:
        mirror.write(LEASE, json.dumps({"who": mine, "at": datetime.now(UTC).isoformat()}).encode())

    def renew() -> None:
        while not ended.wait(RENEWED):
            with contextlib.suppress(SibbolethError):
                note()

    note()
    keeper = threading.Thread(target=renew, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        with contextlib.suppress(SibbolethError):
            mirror.remove([LEASE])


def _holder(mirror: Mirror) -> str | None:
    """Return who is at work there, as far as a note of the last minutes says."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(mirror.read(LEASE) or b"{}")
        age = datetime.now(UTC) - datetime.fromisoformat(told["at"])
        if age.total_seconds() < EXPIRED:
            return str(told["who"])
    return None
