"""The cache of encoded speech: what is in it, whether it is sound, and how to empty it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from sibboleth.errors import SibbolethError
from sibboleth.progress import track

if TYPE_CHECKING:
    from sibboleth.models.cache import Store

SHORT = 12
"""Characters of an identity that are shown, and suffice to name it."""


@dataclass(frozen=True)
class Held:
    """What the cache holds of one encoder."""

    encoder: str
    """Its name when it was last written, or several where one encoder went by several names."""
    identity: str
    utterances: int
    layers: int
    dim: int
    bytes: int


@dataclass(frozen=True)
class Holdings:
    """What the cache holds, encoder by encoder."""

    folder: Path
    encoders: tuple[Held, ...]
    title: str = ""

    def __rich__(self) -> Table:
        """Show it as a table."""
        total = sum(held.bytes for held in self.encoders)
        table = Table(title=self.title or None, caption=f"{megabytes(total)} in {self.folder}", title_justify="left")
        for heading in ("encoder", "identity", "utterances", "layers", "dim", "size"):
            table.add_column(heading, justify="left" if heading in ("encoder", "identity") else "right")
        for held in self.encoders:
            numbers = (str(held.utterances), str(held.layers), str(held.dim), megabytes(held.bytes))
            table.add_row(held.encoder, held.identity[:SHORT], *numbers)
        return table


def size(*, folder: Path | None = None) -> Holdings:
    """Show what the cache holds of every encoder.

    Args:
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.
    """
    from sibboleth.models.cache import Cache

    cache = Cache(folder)
    return Holdings(cache.folder, tuple(_held(store) for store in cache.stores() if store.shards))


def verify(*, folder: Path | None = None) -> Holdings:
    """Check every checksum; what is corrupt is removed, and encoded again when it is next needed.

    Args:
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.
    """
    from sibboleth.models.cache import Cache

    cache = Cache(folder)
    found = list(cache.folder.glob("features/*/[!.]*.features"))
    stores = list(cache.stores())
    for store in track(stores, "Verifying", len(stores), "encoders"):
        store.find(list(store.places))
    removed = len(found) - sum(len(store.shards) for store in stores)
    title = "every file is sound" if removed == 0 else f"{removed} corrupt files of {len(found)} were removed"
    return Holdings(cache.folder, tuple(_held(store) for store in stores if store.shards), title)


def clear(encoder: str, *, folder: Path | None = None) -> Holdings:
    """Remove what the cache holds of one encoder.

    Args:
        encoder: Its name or the beginning of its identity, as `size` shows them, or `all`.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.

    Returns:
        What was removed. Raises `SibbolethError` where there is no such encoder.
    """
    from sibboleth.models.cache import Cache

    cache = Cache(folder)
    stores = [store for store in cache.stores() if encoder == "all" or _is(store, encoder)]
    if not stores and encoder != "all":
        there = ", ".join(sorted({name for store in cache.stores() for name in _names(store)})) or "nothing"
        raise SibbolethError(f"{cache.folder}: holds no encoder {encoder!r}; it holds: {there}")
    gone = tuple(_held(store) for store in stores if store.shards)
    for store in stores:
        cache.remove(store)
    return Holdings(cache.folder, gone, "removed")


def megabytes(count: int) -> str:
    """Write a number of bytes as MB."""
    return f"{count / 1e6:,.1f} MB"


def _names(store: "Store") -> Sequence[str]:
    return sorted({str(shard.header["encoder"]) for shard in store.shards.values()})


def _is(store: "Store", encoder: str) -> bool:
    return encoder in _names(store) or (len(encoder) >= SHORT and store.folder.name.startswith(encoder))


def _held(store: "Store") -> Held:
    header = next(iter(store.shards.values())).header
    names = ", ".join(_names(store))
    return Held(names, header["identity"], len(store.places), header["layers"], header["dim"], store.size())
