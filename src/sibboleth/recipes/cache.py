"""The cache of encoded speech and transcripts: what is in it, whether it is sound, what can go, for other tools."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sibboleth.errors import SibbolethError
from sibboleth.progress import track
from sibboleth.recipes.holdings import SHORT, Exported, Held, Holdings, Pruned

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache, Store
    from sibboleth.models.pruning import Holder
    from sibboleth.models.recognition.kept import Transcripts

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def size(*, folder: Path | None = None) -> Holdings:
    """Show what the cache holds of every encoder and recogniser.

    Args:
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.
    """
    cache = _cache(folder)
    stores, texts = list(cache.stores()), _texts(cache)
    return Holdings(cache.folder, _all_held(stores) + _all_said(texts), remarks=_newer(stores))


def verify(*, audio: bool = False, folder: Path | None = None) -> Holdings:
    """Check every checksum; what is corrupt is removed, and made again when it is next needed.

    Args:
        audio: Also decode all audio that was ever scanned, and look whether its samples are still those that were
            scanned: a file that was changed without a change of size and time is then scanned anew.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.
    """
    cache = _cache(folder)
    stores = list(cache.stores())
    files = [(store, name) for store in stores for name in list(store.shards)]
    for store, name in track(files, "Verifying", len(files), "files"):
        store.verify(name)
    removed = sum(len(store.dropped) for store in stores)
    found = removed + sum(len(store.shards) + len(store.newer) for store in stores)
    texts = _texts(cache)
    sound = "every file is sound" if found or texts else ""
    title = f"{removed} corrupt files of {found} were removed" if removed else sound
    lines = sum(one.corrupt for one in texts)
    texts = [one.mend() for one in texts]
    lines -= sum(one.corrupt for one in texts)
    if lines:
        title = f"{title}; " * bool(removed) + f"{lines} corrupt transcripts were removed"
    remarks = _newer(stores) + (_rechecked(cache) if audio else ())
    return Holdings(cache.folder, _all_held(stores) + _all_said(texts), title, remarks)


def prune(
    *,
    unused_for: float | None = None,
    gone: bool = False,
    to: str | None = None,
    yes: bool = False,
    folder: Path | None = None,
) -> Pruned:
    """Show what of the cache can go; with --yes, remove it. What a running process is using stays.

    Args:
        unused_for: Days since a file was last used.
        gone: Files all of whose audio was scanned from here and has since been deleted, or changed in size or time.
            What no scan knows is kept, and counted.
        to: The size to which the cache is to shrink, such as 20GB; what was used longest ago goes first.
        yes: Remove it.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.

    Returns:
        What can go, or went. Raises `SibbolethError` where nothing says what is to go.
    """
    from sibboleth.models import pruning

    if unused_for is None and not gone and to is None:
        raise SibbolethError("say what can go: --unused-for DAYS, --gone, --to SIZE, or several of them")
    if unused_for is not None and not 0 <= unused_for < math.inf:
        raise SibbolethError(f"--unused-for is {unused_for:g}: give a number of days, 0 or more")
    most = None if to is None else bytes_of(to)
    cache = _cache(folder)
    findings = pruning.find(cache, unused_for=unused_for, gone=gone, to=most)
    removals = findings.removals
    rows = []
    names = {removal.store.folder: ", ".join(removal.store.names) for removal in removals}
    for removal in removals:
        for reason in dict.fromkeys(removal.names.values()):
            files = [removal.store.shards[name] for name, why in removal.names.items() if why == reason]
            freed = sum(file.bytes for file in files)
            rows.append((removal.store.folder, reason, len(files), freed))
    busy = pruning.remove(removals) if yes else ()
    left = {removal.store.folder for removal in busy}
    return Pruned(
        folder=cache.folder,
        rows=tuple((names[place], place.name, *row) for place, *row in rows if place not in left),  # type: ignore[misc]
        done=yes,
        busy=tuple(names[place] for place in left),
        unknown=findings.unknown,
    )


def export(
    encoder: str,
    manifest: Path,
    output: Path,
    *,
    layer: tuple[int, ...] = (),
    frames: bool = False,
    columns: dict[str, str] | None = None,
    folder: Path | None = None,
) -> Exported:
    """Write what the cache holds of one encoder for a manifest, for other tools; nothing is encoded.

    Args:
        encoder: Its name or the beginning of its identity, as `size` shows them.
        manifest: CSV, TSV, JSONL or Parquet file.
        output: An .npz file: `utterance`, `layer`, and `mean` and `std` over time, `[utterance, layer, dim]`; or a
            .parquet file: a row per utterance and layer.
        layer: Layers to write; all of them where not given.
        frames: Write the frames of these layers instead, into a .parquet file: a row per frame.
        columns: Our column name to the manifest's, where they differ.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.

    Returns:
        What was written, and what was left out with the reason. Raises `SibbolethError` where there is no such
        encoder, or nothing of the manifest is there.
    """
    from sibboleth import audio, corpus
    from sibboleth.models import export as exporting
    from sibboleth.models import features
    from sibboleth.runs import atomic

    exporting.require_format(output)
    if frames and output.suffix != ".parquet":
        raise SibbolethError(f"{output}: frames are written as .parquet; give a file that ends so")
    cache = _cache(folder)
    stores = _called(cache, encoder)
    if len(stores) > 1:
        several = ", ".join(store.folder.name[:SHORT] for store in stores)
        raise SibbolethError(f"{encoder!r} is several encoders: {several}; give the beginning of one's identity")
    (store,) = stores
    held = _held(store)
    wanted = tuple(sorted(set(layer))) or tuple(sorted(store.framed) if frames else range(held.layers))
    if unknown := [one for one in wanted if not 0 <= one < held.layers]:
        raise SibbolethError(f"{encoder} has layers 0 to {held.layers - 1}, not {unknown[0]}")
    if frames and not wanted:
        raise SibbolethError(f"the cache holds no frames of {encoder}; run `sibboleth encode` with --frames LAYER")
    table = corpus.read(manifest, columns=columns).table
    scan = audio.scan(table, store=cache.scans)
    found = features.cached(store, table, scan, wanted if frames else ())
    with atomic(output) as temporary:
        exporting.write(found, output, wanted, temporary)
    return Exported(output, found.encoder, len(found.utterances), wanted, found.dim, found.excluded)


def clear(encoder: str, *, folder: Path | None = None) -> Holdings:
    """Remove what the cache holds of one encoder or recogniser.

    Args:
        encoder: Its name or the beginning of its identity, as `size` shows them, or `all`.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.

    Returns:
        What was removed. Raises `SibbolethError` where there is no such encoder, or a running process is using it.
        Files of a newer sibboleth are left alone.
    """
    cache = _cache(folder)
    texts = [one for one in _texts(cache) if encoder == "all" or _is(one, encoder)]
    stores = list(cache.stores()) if encoder == "all" else _called(cache, encoder, beside=texts)
    gone = _all_held(stores) + _all_said(texts)
    newer = _newer(stores)
    for store in stores:
        if store.newer and not store.shards:
            continue
        guard = store.emptying()
        if guard is None:
            raise SibbolethError(f"{', '.join(store.names)} is in use by a running process; wait until it is done")
        with guard:
            cache.remove(store)
    for one in texts:
        if (guard := one.emptying()) is None:
            raise SibbolethError(f"{', '.join(one.names)} is in use by a running process; wait until it is done")
        with guard:
            one.remove(one.shards)
    return Holdings(cache.folder, gone, "removed" if gone else "", newer)


def bytes_of(text: str) -> int:
    """Read a size such as `20GB`, `1.5 TB` or a number of bytes; raises `SibbolethError` for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", text, re.IGNORECASE)
    if found is None:
        raise SibbolethError(f"{text!r} is no size; write one such as 20GB or 500MB")
    unit = found[2].upper()
    return int(float(found[1]) * UNITS[unit if unit.endswith("B") or not unit else f"{unit}B"])


def _cache(folder: Path | None) -> "Cache":
    """Open a cache to look into; one that is not named need not be there yet."""
    from sibboleth.models.cache import Cache

    cache = Cache(folder)
    if not cache.folder.is_dir():
        if cache.folder.exists():
            raise SibbolethError(f"{cache.folder}: is no folder, so it is no cache; {cache.chosen} a folder")
        if folder is not None:
            raise SibbolethError(f"{cache.folder}: there is no such folder; {cache.chosen} the folder of a cache")
    return cache


def _called(cache: "Cache", encoder: str, beside: Sequence["Transcripts"] = ()) -> list["Store"]:
    """Return what is called so; raises `SibbolethError` where nothing is, and no transcripts `beside` it are."""
    stores = [store for store in cache.stores() if store.shards]
    found = [store for store in stores if _is(store, encoder)]
    if not found and not beside:
        there = ", ".join(sorted({name for store in stores for name in store.names})) or "nothing"
        raise SibbolethError(f"{cache.folder}: holds no encoder {encoder!r}; it holds: {there}")
    return found


def _rechecked(cache: "Cache") -> tuple[str, ...]:
    import sqlite3

    from sibboleth.audio import rechecking

    try:
        changed = rechecking.recheck(cache.scans)
    except sqlite3.Error as error:
        return (f"{cache.scans}: audio could not be checked ({error})",)
    if not changed:
        return ("all audio is as it was scanned",)
    return tuple(f"{path}: its samples are no longer those that were scanned; it is scanned anew" for path in changed)


def _newer(stores: Sequence["Store"]) -> tuple[str, ...]:
    count = sum(len(store.newer) for store in stores)
    return (f"{count} files of a newer sibboleth are left alone",) if count else ()


def _texts(cache: "Cache") -> list["Transcripts"]:
    """Open what there is of every recogniser."""
    from sibboleth.models.recognition import kept

    return list(kept.held(cache.folder))


def _is(store: "Holder", encoder: str) -> bool:
    return encoder in store.names or (len(encoder) >= SHORT and store.folder.name.startswith(encoder))


def _all_held(stores: Sequence["Store"]) -> tuple[Held, ...]:
    return tuple(_held(store) for store in stores if store.shards)


def _all_said(several: Sequence["Transcripts"]) -> tuple[Held, ...]:
    return tuple(
        Held(", ".join(one.names), one.folder.name, len(one.digests), 0, 0, one.bytes) for one in several if one.digests
    )


def _held(store: "Store") -> Held:
    header = next(iter(store.shards.values())).header
    frames = sum(shard.bytes for name, shard in store.shards.items() if name.endswith(".frames"))
    return Held(
        encoder=", ".join(store.names),
        identity=header["identity"],
        utterances=len(store.places),
        layers=header["layers"],
        dim=header["dim"],
        bytes=store.size() - frames,
        frames=", ".join(map(str, sorted(layer for layer, places in store.framed.items() if places))),
        frame_bytes=frames,
    )
