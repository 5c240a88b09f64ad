"""Matching: which recordings are copies of each other, or contain a part of each other, by their fingerprints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.audio.fingerprint import BITS, HOP, RATE

Codes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

LEAST = 12
"""Frames that two recordings must share."""
SHORT = 40
"""Shared frames up to which fewer differing bits are allowed, because chance alone can agree on a few frames."""
LIMITS = (0.06, 0.25)
"""Share of differing bits allowed for `LEAST` and for `SHORT` frames; 0.5 is chance, and in between it is linear."""
NEIGHBOURS = 32
"""Frames with the same key that each frame is compared with: bounds the work where thousands have one sound."""
DROPPED = (8, 4, 0)
"""Low bits that a key may leave out: the more, the more is found, and the more has to be verified."""
BUDGET = 20_000_000
"""Pairs of frames above which a key with more bits is taken."""
GLANCES = (-9, -6, -3, 3, 6, 9)
"""Frames before and after an agreeing pair that are looked at before the whole overlap is."""
GLANCE = 0.36
"""Share of differing bits in these that is worth a look at the whole."""
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Matches:
    """Pairs of recordings with the same sound; `first` is below `second`."""

    first: Codes
    second: Codes
    seconds: Numbers
    """Sounding time that they share."""
    error: Numbers
    """Share of differing bits in it: 0 is the same, 0.5 unrelated."""

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.first)


def matches(prints: Sequence[bytes | None]) -> Matches:
    """Find all pairs of recordings that share sound, among fingerprints of `fingerprint.Printer`.

    Sub-fingerprints that agree exactly propose a pair and an offset (Haitsma and Kalker 2002); it is taken if few
    enough bits differ over the whole overlap at that offset. On real speech, a sentence that its speaker said twice
    differed in over a third of the bits, a copy in under a fifth. Under 0.3 s of sound nothing is found.
    """
    index = _Index(prints)
    found = [_verified(index, *index.glanced(one, other)) for one, other in index.proposals()]
    if not found:
        return Matches(*(np.empty(0, np.int64),) * 2, *(np.empty(0),) * 2)
    first, second, frames, error = (np.concatenate(several) for several in zip(*found, strict=True))
    order = np.lexsort((error, second, first))
    keys = first[order] * len(prints) + second[order]
    best = order[np.flatnonzero(np.diff(keys, prepend=-1))]
    return Matches(first[best], second[best], frames[best] * HOP / RATE, error[best])


class _Index:
    """All frames of all recordings, one after the other, and in the order of their values."""

    def __init__(self, prints: Sequence[bytes | None]) -> None:
        self.frames = np.frombuffer(b"".join(one or b"" for one in prints), dtype="<u4").astype(np.uint32)
        self.counts = np.array([len(one or b"") // 4 for one in prints], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])[:-1].astype(np.int64)
        self.owner = np.repeat(np.arange(len(prints), dtype=np.int32), self.counts)

    def proposals(self) -> Iterator[tuple[Codes, Codes]]:
        """Yield places of frames of two recordings that agree, `one` before `other`, in chunks."""
        places = np.flatnonzero(self.frames)
        places = places[np.argsort(self.frames[places], kind="stable")]
        for dropped in DROPPED:
            keys = self.frames[places] >> np.uint32(dropped)
            if dropped == DROPPED[-1] or _pairs(keys) <= BUDGET:
                break
        alive = np.arange(len(places))
        for step in range(1, NEIGHBOURS + 1):
            alive = alive[alive < len(places) - step]
            alive = alive[keys[alive] == keys[alive + step]]
            for start in range(0, len(alive), _CHUNK):
                part = alive[start : start + _CHUNK]
                one, other = places[part], places[part + step]
                differ = self.owner[one] != self.owner[other]
                one, other = one[differ], other[differ]
                if len(one):
                    yield np.minimum(one, other), np.maximum(one, other)

    def glanced(self, one: Codes, other: Codes) -> tuple[Codes, Codes, Codes]:
        """Keep what agrees around it too; return recording, recording and offset, each once."""
        wrong, seen = np.zeros(len(one), np.int64), np.zeros(len(one), np.int64)
        last = len(self.frames) - 1
        for step in GLANCES:
            here, there = np.clip(one + step, 0, last), np.clip(other + step, 0, last)
            both = (self.owner[here] == self.owner[one]) & (self.owner[there] == self.owner[other])
            both &= (self.frames[here] != 0) & (self.frames[there] != 0)
            wrong += np.where(both, np.bitwise_count(self.frames[here] ^ self.frames[there]), 0)
            seen += both
        kept = wrong <= GLANCE * BITS * seen
        one, other = one[kept], other[kept]
        first, second = self.owner[one].astype(np.int64), self.owner[other].astype(np.int64)
        offset = (other - self.starts[second]) - (one - self.starts[first])
        unique = np.unique(np.stack([first, second, offset]), axis=1)
        return unique[0], unique[1], unique[2]


def _pairs(keys: npt.NDArray[np.uint32]) -> int:
    """Count the pairs of frames that a key proposes."""
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]])))
    return int((sizes * np.minimum(sizes - 1, NEIGHBOURS)).sum())


def _verified(index: _Index, first: Codes, second: Codes, offset: Codes) -> tuple[Codes, Codes, Codes, Numbers]:
    """Compare whole overlaps, and keep the pairs with few differing bits."""
    begin = np.maximum(0, -offset)
    length = np.minimum(index.counts[first], index.counts[second] - offset) - begin
    frames, error = np.zeros(len(first), np.int64), np.ones(len(first))
    for part in _portions(length):
        one = _spans(index.starts[first[part]] + begin[part], length[part])
        shift = (index.starts[second] + offset - index.starts[first])[part]
        other = one + np.repeat(shift, length[part])
        a, b = index.frames[one], index.frames[other]
        both = (a != 0) & (b != 0)
        edges = np.concatenate([[0], np.cumsum(length[part])])[:-1]
        frames[part] = np.add.reduceat(both.astype(np.int64), edges)
        wrong = np.add.reduceat(np.where(both, np.bitwise_count(a ^ b), 0).astype(np.int64), edges)
        error[part] = wrong / (BITS * np.maximum(frames[part], 1))
    kept = (frames >= LEAST) & (error <= np.interp(frames, (LEAST, SHORT), LIMITS))
    return first[kept], second[kept], frames[kept], error[kept]


def _portions(length: Codes) -> Iterator[slice]:
    """Cut a list of spans into slices of bounded total length."""
    totals = np.cumsum(length)
    start = 0
    while start < len(length):
        before = totals[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(totals, before + _CHUNK, side="right")))
        yield slice(start, end)
        start = end


def _spans(starts: Codes, length: Codes) -> Codes:
    """Return the places of several spans, one after the other."""
    ends = np.cumsum(length)
    return np.asarray(np.arange(ends[-1]) + np.repeat(starts - (ends - length), length), dtype=np.int64)
