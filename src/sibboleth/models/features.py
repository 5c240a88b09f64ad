"""Features: an encoder run over a corpus once, its hidden states pooled over time, through the cache.

Statistics over time of all layers are kept always; frames, one by one, of the layers that are asked for.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import progress
from sibboleth.errors import SibbolethError
from sibboleth.models.cache import Cache, Store
from sibboleth.models.encoders import WINDOW, Encoder, Pooling
from sibboleth.models.encoding import CONTEXT, Recording, Statistics
from sibboleth.models.filling import Filling
from sibboleth.models.shards import Frames, StatisticsShard, described
from sibboleth.storage import Lock

Rows = npt.NDArray[np.int64]

STEP = WINDOW - 2 * CONTEXT
"""Seconds by which every further window of a long recording takes it on, at most."""
TRIAL_SECONDS = (1.0, 3.0)
"""Noise that is encoded to see how many frames an encoder gives, where it does not say."""
EXCLUDED = {"utterance": pl.String, "audio": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class Plan:
    """What is still to do before an encoder's features of a corpus are complete."""

    encoder: str
    utterances: int
    """Different recordings to encode; identical audio is encoded once."""
    cached: int
    """Different recordings that are there already."""
    seconds: float
    passes: int
    """Forward passes: one per utterance, more where it is longer than `encoders.WINDOW`."""
    bytes: int
    """That the cache will grow by, with the frames."""
    frame_bytes: int = 0
    """That frames will take of them."""


@dataclass(frozen=True)
class Features:
    """Statistics over time of every layer, and frames of some, read from the cache as they are asked for."""

    encoder: str
    identity: str
    utterances: tuple[str, ...]
    """In the order of the table, without those left out."""
    layers: int
    dim: int
    excluded: pl.DataFrame
    """Rows left out: utterance, audio, reason."""
    parts: tuple[tuple[StatisticsShard, Rows, Rows], ...]
    """Shard, rows of the matrix, positions in the shard."""
    framed: tuple[int, ...]
    """Layers whose frames are there."""
    recordings: tuple[Recording, ...]
    """One per utterance."""
    stride: float | None
    """Seconds from one frame to the next, if the encoder has a fixed stride."""
    store: Store = field(repr=False)
    pooled: bool = False
    """Whether the encoder gives one embedding per utterance, and no frames."""
    guard: Lock | None = field(repr=False, default=None)
    """Keeps others from emptying the cache of this encoder meanwhile."""
    encoded: int = 0
    """Different recordings that this call encoded itself, without failures and what other processes encoded."""
    encoded_seconds: float = 0.0
    """Of audio in them."""

    def matrix(self, layer: int, pooling: Pooling = "mean") -> npt.NDArray[np.float32]:
        """Return one layer's mean, or mean and standard deviation side by side, `[utterance, dim or 2 * dim]`.

        Raises `SibbolethError` where a standard deviation is asked for that an encoder without frames has not.
        """
        self._require(layer)
        if self.pooled and pooling == "mean+std":
            raise SibbolethError(
                f"{self.encoder}: gives one embedding per utterance, which has no standard deviation over time; leave "
                "`pooling` out"
            )
        statistics = 2 if pooling == "mean+std" else 1
        matrix = np.empty((len(self.utterances), statistics, self.dim), dtype=np.float32)
        for shard, rows, positions in self.parts:
            for statistic in range(statistics):
                matrix[rows, statistic] = shard.matrix(layer, statistic, positions)
        return matrix.reshape(len(self.utterances), statistics * self.dim)

    def statistics(self, rows: range, layers: Sequence[int]) -> Statistics:
        """Return mean and standard deviation of some layers of successive utterances, `[utterance, layer, 2, dim]`."""
        found = np.empty((len(rows), len(layers), 2, self.dim), dtype=np.float32)
        for shard, all_rows, all_positions in self.parts:
            mine = (all_rows >= rows.start) & (all_rows < rows.stop)
            for index, layer in enumerate(layers) if mine.any() else ():
                self._require(layer)
                for statistic in range(2):
                    numbers = shard.matrix(layer, statistic, all_positions[mine])
                    found[all_rows[mine] - rows.start, index, statistic] = numbers
        return found

    def frames(self, row: int, layer: int) -> Frames:
        """Return one layer of one utterance, `[frame, dim]`, reading nothing else.

        Raises `SibbolethError` where the frames of this layer were not asked for.
        """
        self._require(layer)
        if layer not in self.framed:
            there = ", ".join(map(str, self.framed)) or "no layer"
            raise SibbolethError(
                f"{self.encoder}: frames of layer {layer} were not asked for (of {there}); give frames=[{layer}] to "
                f"extract, or --frames {layer} to `sibboleth encode`"
            )
        return self.store.frames(self.recordings[row].digest, layer)

    def times(self, row: int, frames: int) -> npt.NDArray[np.float64]:
        """Return the middle of every one of an utterance's frames, `[frame]`, in seconds from its beginning.

        Frame k stands for the time from k to k + 1 strides, which is right to half a stride: front ends differ in how
        far they see to both sides. Without a fixed stride the frames divide the utterance equally.
        """
        stride = self.stride or self.recordings[row].seconds / frames
        return np.asarray(stride * (np.arange(frames) + 0.5), dtype=np.float64)

    def _require(self, layer: int) -> None:
        if not 0 <= layer < self.layers:
            raise IndexError(f"{self.encoder} has layers 0 to {self.layers - 1}, not {layer}")


@dataclass(frozen=True)
class _Utterance:
    name: str
    path: str
    recording: Recording
    reason: str | None
    """Why it is left out."""


def plan(encoder: Encoder, table: pl.DataFrame, scan: pl.DataFrame, cache: Cache, frames: Sequence[int] = ()) -> Plan:
    """Say what `extract` would have to do, as far as the headers of the cache tell."""
    layers = _layers(encoder, frames)
    store = cache.store(encoder)
    missing, there = _missing(table, scan, store, layers)
    new = sum(recording.digest not in store.places for recording in missing)
    frame_bytes = 0
    for layer in layers:
        seconds = sum(r.seconds for r in missing if r.digest not in store.framed.get(layer, {}))
        frame_bytes += math.ceil(seconds * frames_per_second(encoder)) * encoder.dim * 4 if seconds else 0
    return Plan(
        encoder=encoder.name,
        utterances=len(missing),
        cached=there,
        seconds=sum(recording.seconds for recording in missing),
        passes=sum(1 + max(0, math.ceil((recording.seconds - WINDOW) / STEP)) for recording in missing),
        bytes=new * encoder.layers * 2 * encoder.dim * 4 + frame_bytes,
        frame_bytes=frame_bytes,
    )


def missing(
    encoder: Encoder, table: pl.DataFrame, scan: pl.DataFrame, cache: Cache, frames: Sequence[int] = ()
) -> list[Recording]:
    """List the different recordings that `extract` would have to encode, as far as the headers of the cache tell."""
    return _missing(table, scan, cache.store(encoder), _layers(encoder, frames))[0]


def frames_per_second(encoder: Encoder) -> float:
    """Return how many frames an encoder gives per second; without a fixed stride, what it gives for noise."""
    if encoder.stride:
        return encoder.rate / encoder.stride
    encoder.prepare()
    noise = np.random.default_rng(0).normal(0, 0.1, int(TRIAL_SECONDS[1] * encoder.rate)).astype(np.float32)
    short, long = (encoder.hidden_states(noise[: int(seconds * encoder.rate)]).shape[1] for seconds in TRIAL_SECONDS)
    return float(long - short) / (TRIAL_SECONDS[1] - TRIAL_SECONDS[0])


def extract(
    encoder: Encoder, table: pl.DataFrame, scan: pl.DataFrame, cache: Cache, frames: Sequence[int] = ()
) -> Features:
    """Encode what the cache has not, and return the features of all; `frames` are layers whose frames are kept too.

    table has the columns utterance, audio, start and end, scan what `audio.scan` found of it. Utterances that the
    scan excluded are left out, and so is one that the encoder fails on or whose file was changed since the scan, with
    the reason; the others go on. A call that was stopped, however, is gone on with by the next one, and processes that
    need the same recordings at the same time share the work. Raises `SibbolethError` where the encoder cannot be
    loaded, fails on every utterance, or the cache cannot be written.
    """
    layers = _layers(encoder, frames)
    utterances = _utterances(table, scan)
    guard = cache.use(encoder)
    store = cache.store(encoder)
    different = _different(utterances)
    there = store.whole(store.find(different), layers)
    missing = [recording for digest, recording in different.items() if digest not in there]
    filling = Filling(encoder, store, layers, cache.scans)
    if missing:
        encoder.prepare()
        guard = guard or store.use()
        total = round(sum(recording.seconds for recording in missing))
        work = _seconds(filling.fill(missing))
        for _ in progress.track(work, f"Encoding with {encoder.name}", total, "s of audio"):
            pass
    failed = filling.failed
    told = [replace(u, reason=u.reason or failed.get(u.recording.digest)) for u in utterances]
    if failed and all(utterance.reason for utterance in told):
        raise SibbolethError(f"encoder {encoder.name!r} fails on every utterance: {next(iter(failed.values()))}")
    found = _features(described(encoder), told, store, layers, guard)
    return replace(found, pooled=not encoder.frames, encoded=filling.encoded, encoded_seconds=filling.seconds)


def cached(store: Store, table: pl.DataFrame, scan: pl.DataFrame, frames: Sequence[int] = ()) -> Features:
    """Return the features of what is in the cache, without the encoder; the rest is left out, with the reason.

    Raises `SibbolethError` where nothing of the table is there.
    """
    guard = store.use(make=False)
    store.refresh()
    utterances = _utterances(table, scan)
    different = _different(utterances)
    layers = tuple(sorted(set(frames)))
    there = store.whole(store.find(different), layers)
    missing = "it is not in the cache; run `sibboleth encode` first"
    told = [u if u.reason or u.recording.digest in there else replace(u, reason=missing) for u in utterances]
    if not there:
        kind = f" with frames of layers {', '.join(map(str, layers))}" if layers else ""
        raise SibbolethError(f"{store.folder}: holds none of these utterances{kind}; run `sibboleth encode` first")
    return _features(next(iter(store.shards.values())).header, told, store, layers, guard)


def _missing(
    table: pl.DataFrame, scan: pl.DataFrame, store: Store, layers: Sequence[int]
) -> tuple[list[Recording], int]:
    """List the different recordings that a cache lacks; returns also how many it has."""
    different = _different(_utterances(table, scan))
    there = store.whole(different, layers)
    return [recording for digest, recording in different.items() if digest not in there], len(there)


def _layers(encoder: Encoder, frames: Sequence[int]) -> tuple[int, ...]:
    """Sort the layers whose frames are kept; raises `SibbolethError` for one that the encoder has not."""
    if frames and not encoder.frames:
        raise SibbolethError(
            f"encoder {encoder.name!r} gives one embedding per utterance and no frames; leave frames (--frames) out"
        )
    if unknown := [layer for layer in frames if not 0 <= layer < encoder.layers]:
        raise SibbolethError(
            f"encoder {encoder.name!r} has layers 0 to {encoder.layers - 1}; there are no frames of layer {unknown[0]}"
        )
    return tuple(sorted(set(frames)))


def _utterances(table: pl.DataFrame, scan: pl.DataFrame) -> list[_Utterance]:
    found = scan.select("utterance", "seconds", "digest", "status", "reason")
    rows = table.select("utterance", "audio", "start", "end").join(
        found, on="utterance", how="left", maintain_order="left", validate="1:1"
    )
    utterances = []
    for name, path, start, end, seconds, digest, status, reason in rows.iter_rows():
        excuse = None if status == "ok" else reason or "its audio was not scanned"
        utterances.append(_Utterance(name, path, Recording(digest or "", path, start, end, seconds or 0.0), excuse))
    return utterances


def _different(utterances: Sequence[_Utterance]) -> dict[str, Recording]:
    """Return digest to recording of what is to be encoded, in order; identical audio once."""
    different: dict[str, Recording] = {}
    for utterance in utterances:
        if utterance.reason is None:
            different.setdefault(utterance.recording.digest, utterance.recording)
    return different


def _seconds(done: Iterator[float]) -> Iterator[None]:
    """Turn pieces of seconds into one item per whole second."""
    total = 0.0
    shown = 0
    for seconds in done:
        total += seconds
        while shown < round(total):
            shown += 1
            yield


def _features(
    encoder: Mapping[str, Any],
    utterances: Sequence[_Utterance],
    store: Store,
    layers: tuple[int, ...],
    guard: Lock | None,
) -> Features:
    kept = [utterance for utterance in utterances if utterance.reason is None]
    left_out = [(u.name, u.path, u.reason) for u in utterances if u.reason is not None]
    by_shard: dict[str, list[tuple[int, int]]] = {}
    used = {store.framed[layer][u.recording.digest][0] for layer in layers for u in kept}
    for row, utterance in enumerate(kept):
        shard, position = store.places[utterance.recording.digest]
        by_shard.setdefault(shard, []).append((row, position))
    parts = []
    for name, places in by_shard.items():
        rows, positions = np.array(places, dtype=np.int64).T
        parts.append((store.statistics_shard(name), rows, positions))
    store.touch({*by_shard, *used})
    return Features(
        encoder=encoder["encoder"],
        identity=encoder["identity"],
        utterances=tuple(utterance.name for utterance in kept),
        layers=encoder["layers"],
        dim=encoder["dim"],
        excluded=pl.DataFrame(left_out, schema=EXCLUDED, orient="row"),
        parts=tuple(parts),
        framed=layers,
        recordings=tuple(utterance.recording for utterance in kept),
        stride=encoder.get("stride"),
        store=store,
        guard=guard,
    )
