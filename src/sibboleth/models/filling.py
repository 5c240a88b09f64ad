"""Filling: encoding what the cache lacks, batch by batch, together with other processes that need the same."""

import contextlib
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sibboleth import memory
from sibboleth.audio import rechecking
from sibboleth.models import claims
from sibboleth.models.cache import Store
from sibboleth.models.claims import Claim, Holder
from sibboleth.models.encoders import Encoder
from sibboleth.models.encoding import Encoded, Recording, Statistics, encode
from sibboleth.models.shards import Frames
from sibboleth.models.witnessing import Witnessed
from sibboleth.progress import console

BATCH_UTTERANCES = 64
BATCH_SECONDS = 120.0
BATCH_BYTES = 1 << 26
"""Work that a kill loses at most: a batch is written when it has so many utterances, so much audio or such frames."""
BATCH_SHARE = 16
"""Part of a limit of memory that a batch's frames may take: one of so many."""
CLAIMED = 16
"""Batches that are claimed at once, at most; towards the end fewer, so that all who help end together."""
SHARE = 4
"""The part of what is left that is claimed at once is one of so many, where nobody has divided it before."""
POLL = 0.25
"""Seconds after which another process is looked at again."""


@dataclass
class _Batch:
    """What is written next."""

    statistics: dict[str, Statistics] = field(default_factory=dict)
    frames: dict[int, dict[str, Frames]] = field(default_factory=dict)
    utterances: int = 0
    seconds: float = 0.0

    def add(self, encoded: Encoded, store: Store) -> None:
        """Take in what the store has not."""
        digest = encoded.recording.digest
        assert encoded.statistics is not None
        if digest not in store.places:
            self.statistics[digest] = encoded.statistics
        for layer, frames in encoded.frames.items():
            if digest not in store.framed.get(layer, {}):
                self.frames.setdefault(layer, {})[digest] = frames
        self.utterances += 1

    @property
    def full(self) -> bool:
        """Whether it is time to write it."""
        size = sum(frames.nbytes for some in self.frames.values() for frames in some.values())
        most = memory.at_most(BATCH_BYTES, BATCH_SHARE)
        return self.utterances >= BATCH_UTTERANCES or self.seconds >= BATCH_SECONDS or size >= most


@dataclass
class Filling:
    """The recordings that one call still needs of one encoder."""

    encoder: Encoder
    store: Store
    layers: Sequence[int]
    """Whose frames are kept."""
    scans: Path
    """Memory of scans, which is told of audio that changed behind it."""
    share: int = SHARE
    """The part of what is left that is claimed at once is one of so many."""
    failed: dict[str, str] = field(default_factory=dict)
    """Audio digest to reason."""
    encoded: int = 0
    """Recordings that this process encoded."""
    seconds: float = 0.0
    """Of audio in them."""

    def fill(self, recordings: Sequence[Recording]) -> Iterator[float]:
        """Encode what nobody else is encoding, and wait for the rest; yields the seconds of audio done."""
        left = {recording.digest: recording for recording in recordings}
        told: set[str] = set()
        while True:
            claim, holders, done = self._claim(left)
            yield from done
            if claim is not None:
                yield from self._encode(claim, [left.pop(digest) for digest in claim.digests])
            elif not left:
                return
            else:
                self._wait(holders, told, len(left))

    def _claim(self, left: dict[str, Recording]) -> tuple[Claim | None, list[Holder], list[float]]:
        """Take what others have finished out of `left`, and claim a part of what nobody else has claimed."""
        try:
            with claims.deciding(self.store.folder):
                # Claims first: who has let go of one since has written what it was for.
                holders = claims.others(self.store.folder, self.store.mirror)
                done = self._done(left)
                taken: set[str] = set().union(*(holder.digests for holder in holders))
                mine = _share([recording for digest, recording in left.items() if digest not in taken], self.share)
                claim = claims.claim(self.store.folder, mine, self.store.mirror) if mine else None
                if claim is not None and self.store.mirror is not None:  # others may have come and gone meanwhile
                    done += self._done(left)
                    if not left.keys() >= set(mine):
                        claim.release()
                        claim = None
        except OSError as error:
            raise self.store.unwritable(error) from None
        return claim, holders, done

    def _done(self, left: dict[str, Recording]) -> list[float]:
        """Take out of `left` what is in the cache by now; returns the seconds of each."""
        self.store.refresh(self.encoder.identity)
        there = self.store.whole(self.store.find(left), self.layers)
        return [left.pop(digest).seconds for digest in list(left) if digest in there]

    def _wait(self, holders: Sequence[Holder], told: set[str], left: int) -> None:
        for holder in holders:
            if holder.who not in told:
                told.add(holder.who)
                console.print(f"waiting for {holder.who}, which is encoding some of the {left} that are left")
        time.sleep(POLL)

    def _encode(self, claim: Claim, recordings: Sequence[Recording]) -> Iterator[float]:
        """Encode and write batch by batch; stopped in a batch, it writes what it has."""
        batch = _Batch()
        changed: list[str] = []
        witnessed = [Witnessed(**vars(recording), progress=claim.progress) for recording in recordings]
        coming = encode(self.encoder, witnessed, self.layers)
        try:
            for recording, encoded in zip(witnessed, coming, strict=True):
                claim.progress()
                if reason := recording.left_out(encoded.failure):
                    self.failed[recording.digest] = reason
                    changed += [recording.path] if recording.heard.get(recording.digest) is False else []
                else:
                    batch.add(encoded, self.store)
                    self.encoded += 1
                    self.seconds += recording.seconds
                batch.seconds += recording.seconds
                if batch.full:
                    full, batch = batch, _Batch()
                    self._write(full)
                yield recording.seconds
        finally:
            try:
                self._write(batch)
            finally:
                claim.release()
                if isinstance(coming, Generator):
                    coming.close()
                with contextlib.suppress(sqlite3.Error):
                    rechecking.forget(self.scans, changed)

    def _write(self, batch: _Batch) -> None:
        for layer, frames in sorted(batch.frames.items()):
            self.store.write_frames(self.encoder, layer, frames)
        if batch.statistics:
            self.store.write(self.encoder, batch.statistics)


def _share(recordings: Sequence[Recording], share: int) -> list[str]:
    """Take from the front a part of the work, one of `share`; at least a batch and at most `CLAIMED` of them."""
    batches = max(1, min(CLAIMED, len(recordings) // (share * BATCH_UTTERANCES)))
    seconds = sum(recording.seconds for recording in recordings) / share
    most = min(max(BATCH_SECONDS, seconds), CLAIMED * BATCH_SECONDS)
    digests: list[str] = []
    total = 0.0
    for recording in recordings[: batches * BATCH_UTTERANCES]:
        digests.append(recording.digest)
        total += recording.seconds
        if total >= most:
            break
    return digests
