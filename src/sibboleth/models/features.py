"""Features: an encoder run over a corpus once, its hidden states pooled over time, through the cache."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import audio, progress
from sibboleth.errors import SibbolethError
from sibboleth.models.cache import Cache, Shard, Statistics, Store
from sibboleth.models.encoders import WINDOW, Encoder, HiddenStates, Pooling

Rows = npt.NDArray[np.int64]

BATCH_UTTERANCES = 64
BATCH_SECONDS = 120.0
"""Work that a kill loses at most: a batch is written when it has so many utterances or so much audio."""
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
    """That the cache will grow by."""


@dataclass(frozen=True)
class Features:
    """Statistics over time of every layer, read from the cache layer by layer."""

    encoder: str
    identity: str
    utterances: tuple[str, ...]
    """In the order of the table, without those left out."""
    layers: int
    dim: int
    excluded: pl.DataFrame
    """Rows left out: utterance, audio, reason."""
    parts: tuple[tuple[Shard, Rows, Rows], ...]
    """Shard, rows of the matrix, positions in the shard."""

    def matrix(self, layer: int, pooling: Pooling = "mean") -> npt.NDArray[np.float32]:
        """Return one layer's mean, or mean and standard deviation side by side, `[utterance, dim or 2 * dim]`."""
        if not 0 <= layer < self.layers:
            raise IndexError(f"{self.encoder} has layers 0 to {self.layers - 1}, not {layer}")
        statistics = 2 if pooling == "mean+std" else 1
        matrix = np.empty((len(self.utterances), statistics, self.dim), dtype=np.float32)
        for shard, rows, positions in self.parts:
            for statistic in range(statistics):
                matrix[rows, statistic] = shard.read(layer, statistic, positions)
        return matrix.reshape(len(self.utterances), statistics * self.dim)


@dataclass(frozen=True)
class _Utterance:
    name: str
    path: str
    start: float | None
    end: float | None
    seconds: float
    digest: str
    reason: str | None
    """Why it is left out."""


def plan(encoder: Encoder, table: pl.DataFrame, scan: pl.DataFrame, cache: Cache) -> Plan:
    """Say what `extract` would have to do."""
    usable = [utterance for utterance in _utterances(table, scan) if utterance.reason is None]
    store = cache.store(encoder)
    missing = _missing(usable, store)
    different = len({utterance.digest for utterance in usable})
    return Plan(
        encoder=encoder.name,
        utterances=len(missing),
        cached=different - len(missing),
        seconds=sum(utterance.seconds for utterance in missing),
        passes=sum(max(1, math.ceil(utterance.seconds / WINDOW)) for utterance in missing),
        bytes=len(missing) * encoder.layers * 2 * encoder.dim * 4,
    )


def extract(encoder: Encoder, table: pl.DataFrame, scan: pl.DataFrame, cache: Cache) -> Features:
    """Encode what the cache has not, and return the features of all.

    table has the columns utterance, audio, start and end, scan what `audio.scan` found of it. Utterances that the
    scan excluded are left out, and so is one that the encoder fails on, with the reason; the others go on. A call that
    was stopped, however, is gone on with by the next one. Raises `SibbolethError` where the encoder cannot be loaded,
    fails on every utterance, or the cache cannot be written.
    """
    utterances = _utterances(table, scan)
    store = cache.store(encoder)
    missing = _missing([u for u in utterances if u.reason is None], store)
    failed: dict[str, str] = {}
    if missing:
        encoder.prepare()
        total = round(sum(utterance.seconds for utterance in missing))
        work = _seconds(_encode(encoder, missing, store, failed))
        for _ in progress.track(work, f"Encoding with {encoder.name}", total, "s of audio"):
            pass
    told = [replace(u, reason=u.reason or failed.get(u.digest)) for u in utterances]
    if failed and all(utterance.reason for utterance in told):
        raise SibbolethError(f"encoder {encoder.name!r} fails on every utterance: {next(iter(failed.values()))}")
    return _features(encoder, told, store)


def _utterances(table: pl.DataFrame, scan: pl.DataFrame) -> list[_Utterance]:
    found = scan.select("utterance", "seconds", "digest", "status", "reason")
    rows = table.select("utterance", "audio", "start", "end").join(
        found, on="utterance", how="left", maintain_order="left", validate="1:1"
    )
    utterances = []
    for name, path, start, end, seconds, digest, status, reason in rows.iter_rows():
        excuse = None if status == "ok" else reason or "its audio was not scanned"
        utterances.append(_Utterance(name, path, start, end, seconds or 0.0, digest or "", excuse))
    return utterances


def _missing(utterances: Sequence[_Utterance], store: Store) -> list[_Utterance]:
    """Return one utterance of every recording that the cache has not, in order."""
    different = {utterance.digest: utterance for utterance in reversed(utterances)}
    there = store.find(different)
    return [u for u in reversed(different.values()) if u.digest not in there]


def _encode(
    encoder: Encoder, utterances: Sequence[_Utterance], store: Store, failed: dict[str, str]
) -> Iterator[float]:
    """Encode and write batch by batch; yields the seconds of audio done. Stopped in a batch, it writes what it has."""
    batch: dict[str, Statistics] = {}
    seconds = 0.0
    try:
        for utterance in utterances:
            try:
                batch[utterance.digest] = _statistics(encoder, utterance)
            except Exception as error:  # whatever one utterance does to an encoder must not lose the others
                failed[utterance.digest] = _reason(encoder, error)
            seconds += utterance.seconds
            if len(batch) >= BATCH_UTTERANCES or seconds >= BATCH_SECONDS:
                full, batch, seconds = batch, {}, 0.0
                if full:
                    store.write(encoder, full)
            yield utterance.seconds
    finally:
        if batch:
            store.write(encoder, batch)


def _statistics(encoder: Encoder, utterance: _Utterance) -> Statistics:
    """Pool every layer over all frames of all windows, `[layer, 2, dim]`; float64 inside."""
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for samples in _windows(utterance, encoder.rate):
        states: HiddenStates = encoder.hidden_states(samples)
        frames = states.shape[1]
        window_mean = states.mean(axis=1, dtype=np.float64)
        window_squares = np.square(states - window_mean[:, None]).sum(axis=1)
        apart = window_mean - mean
        total = count + frames
        # Chan, Golub and LeVeque (1979): moments of parts to moments of the whole, without cancellation.
        mean = mean + apart * (frames / total)
        squares = squares + window_squares + apart**2 * (count * frames / total)
        count = total
    statistics = np.stack([mean, np.sqrt(squares / count)], axis=1).astype(np.float32)
    if not np.isfinite(statistics).all():
        raise SibbolethError("its output is not finite (NaN or infinity)")
    return statistics


def _windows(utterance: _Utterance, rate: int) -> Iterator[npt.NDArray[np.float32]]:
    """Read an utterance whole, or in windows of equal length, none above `WINDOW`, in bounded memory."""
    longest = int(WINDOW * rate)
    place = (utterance.path, rate, utterance.start, utterance.end)
    if utterance.seconds <= WINDOW:
        yield audio.read(*place)[0][:longest]
        return
    spare = 16  # samples by which resampling may be longer than expected; no window of so few is left over
    number = math.ceil(utterance.seconds * rate / (longest - spare))
    size = math.ceil(utterance.seconds * rate / number) + spare
    yield from audio.blocks(*place, seconds=min(size, longest) / rate)


def _seconds(done: Iterator[float]) -> Iterator[None]:
    """Turn pieces of seconds into one item per whole second."""
    total = 0.0
    shown = 0
    for seconds in done:
        total += seconds
        while shown < round(total):
            shown += 1
            yield


def _reason(encoder: Encoder, error: Exception) -> str:
    text = str(error) if isinstance(error, SibbolethError) else f"{type(error).__name__}: {error}"
    return f"encoder {encoder.name!r} fails on it: {text}"


def _features(encoder: Encoder, utterances: Sequence[_Utterance], store: Store) -> Features:
    kept = [utterance for utterance in utterances if utterance.reason is None]
    left_out = [(u.name, u.path, u.reason) for u in utterances if u.reason is not None]
    by_shard: dict[str, list[tuple[int, int]]] = {}
    for row, utterance in enumerate(kept):
        shard, position = store.places[utterance.digest]
        by_shard.setdefault(shard, []).append((row, position))
    parts = []
    for name, places in by_shard.items():
        rows, positions = np.array(places, dtype=np.int64).T
        parts.append((store.shards[name], rows, positions))
    return Features(
        encoder=encoder.name,
        identity=encoder.identity,
        utterances=tuple(utterance.name for utterance in kept),
        layers=encoder.layers,
        dim=encoder.dim,
        excluded=pl.DataFrame(left_out, schema=EXCLUDED, orient="row"),
        parts=tuple(parts),
    )
