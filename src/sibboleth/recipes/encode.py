"""Encode a manifest once with one encoder, for all layers and every later use."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from sibboleth import audio, corpus
from sibboleth.errors import SibbolethError
from sibboleth.progress import console
from sibboleth.recipes.holdings import megabytes
from sibboleth.recipes.verified import Verified
from sibboleth.runs import atomic
from sibboleth.settings import checked
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import Encoder


@dataclass(frozen=True)
class Encoded:
    """What was encoded, and what was left out."""

    encoder: str
    identity: str
    layers: int
    dim: int
    utterances: int
    encoded: int
    """Different recordings that were encoded now, without failures and what another process encoded meanwhile."""
    seconds: float
    """Of audio that was encoded now."""
    excluded: pl.DataFrame
    """Utterance, audio, reason."""
    notes: tuple[str, ...]
    cache: Path
    output: Path | None

    def __rich__(self) -> str:
        """Say it in a few lines."""
        lines = [
            f"{self.utterances} utterances, {self.layers} layers of {self.dim} with {self.encoder} "
            f"({self.identity[:12]}); {self.encoded} recordings ({self.seconds / 60:.1f} min) were encoded now",
            *(f"note: {note}" for note in self.notes),
            *(f"left out: {row['utterance']}: {row['reason']}" for row in self.excluded.head(20).to_dicts()),
        ]
        if self.excluded.height > 20:
            lines.append(f"... and {self.excluded.height - 20} more were left out")
        lines.append(f"kept in {self.cache}" if self.output is None else f"written to {self.output}")
        return "\n".join(lines)


def encode(
    encoder: str,
    manifest: Path,
    *,
    output: Path | None = None,
    frames: tuple[int, ...] = (),
    columns: dict[str, str] | None = None,
    seed: int = 0,
    precision: Literal["float32", "bfloat16", "auto"] = "float32",
    verify: bool = False,
    folder: Path | None = None,
) -> Encoded | Verified:
    """Encode every utterance of a manifest with one encoder into the cache; the same command goes on after a stop.

    Args:
        encoder: `logmel`, `untrained:ARCHITECTURE`, checkpoint `name` or `name@revision`, folder, or
            `python:FILE.py:FUNCTION`.
        manifest: CSV, TSV, JSONL or Parquet file.
        output: An .npz file to write: `utterance`, `layer`, and `mean` and `std` over time, `[utterance, layer, dim]`.
        frames: Layers whose frames are kept in the cache one by one, beside the statistics over time of all layers.
        columns: Our column name to the manifest's, where they differ.
        seed: Seed of the random weights of an untrained encoder.
        precision: Of a transformer's arithmetic; `auto` is bfloat16 where this machine is faster with it.
        verify: Encode nothing into the cache, but a sample in every way there is (alone, in threads, in batches, in
            windows, in bfloat16 where this machine has it), and show how far each is from the plainest.
        folder: The cache; $SIBBOLETH_CACHE or the platform's place for caches where not given.

    Returns:
        What was encoded and what was left out, with reasons. Raises `InvalidInput` for a manifest that cannot be used
        and `SibbolethError` for an encoder that cannot.
    """
    from sibboleth.models import export, features
    from sibboleth.models.cache import Cache
    from sibboleth.models.encoders import load

    if output is not None and output.suffix != ".npz":
        raise SibbolethError(f"{output}: features are written as .npz; give a file that ends so")
    if verify and (output is not None or frames):
        raise SibbolethError("--verify encodes a sample and writes nothing; leave --output and --frames out")
    chosen = load(checked(EncoderSettings, name=encoder, seed=seed, precision=precision))
    table = corpus.read(manifest, columns=columns).table
    cache = Cache(folder)
    cache.require_folder()
    scan = audio.scan(table, store=cache.scans)
    if verify:
        return _verified(chosen, table, scan)
    if frames:
        before = features.plan(chosen, table, scan, cache, frames)
        _require_room(before.bytes, before.frame_bytes, cache)
    found = features.extract(chosen, table, scan, cache, frames)
    if output is not None:
        with atomic(output) as temporary:
            export.write(found, output, range(found.layers), temporary)
    return Encoded(
        encoder=chosen.name,
        identity=chosen.identity,
        layers=chosen.layers,
        dim=chosen.dim,
        utterances=len(found.utterances),
        encoded=found.encoded,
        seconds=found.encoded_seconds,
        excluded=found.excluded,
        notes=chosen.notes,
        cache=cache.folder,
        output=output,
    )


def _require_room(needed: int, frames: int, cache: "Cache") -> None:
    """Tell what frames will take, before they are encoded; raises `SibbolethError` where the disk has no room."""
    there = cache.folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    told = f"the cache will grow by {megabytes(needed)}, {megabytes(frames)} of it frames; {megabytes(free)} are free"
    if needed > free:
        raise SibbolethError(
            f"{cache.folder}: {told}. Keep fewer layers, make room (`sibboleth cache prune`) or {cache.chosen} a "
            "folder on a larger disk"
        )
    console.print(told)


def _verified(chosen: "Encoder", table: pl.DataFrame, scan: pl.DataFrame) -> Verified:
    """Verify an encoder on usable utterances of the manifest; raises `SibbolethError` where it is not exact."""
    from sibboleth.models.encoding import Recording
    from sibboleth.models.verification import verify

    places = table.select("audio", "start", "end").hstack(scan.select("digest", "seconds", "status"))
    usable = places.filter(status="ok").unique("digest", keep="first", maintain_order=True)
    rows = usable.select("digest", "audio", "start", "end", "seconds").iter_rows()
    found = Verified(verify(chosen, [Recording(*row) for row in rows]))
    if not found.exact:
        console.print(found)
        raise SibbolethError(f"encoder {chosen.name!r}: its features depend on how it is called, as shown above")
    return found
