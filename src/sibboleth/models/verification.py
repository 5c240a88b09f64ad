"""Verification: what an encoder's features are held against, measured on somebody's own speech.

Each way of encoding is compared with the plainest one, layer by layer: transformers' own model, untouched, in float32,
one utterance at a time. For a function or a control the plainest is a call on one utterance.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sibboleth.errors import SibbolethError
from sibboleth.models import encoding
from sibboleth.models.encoders import WINDOW, Audio, Encoder, HiddenStates
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.models.encoding import Recording
from sibboleth.progress import track

UTTERANCES = 12
"""Utterances that are encoded in every way."""
SECONDS = 120.0
"""Of audio in them, at most."""
LONG = 75.0
"""Seconds of the recording, the utterances one after another, that is encoded in one pass and in windows."""
EXACT = 1e-5
"""Relative distance up to which float32 features count as the same."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """One way of encoding, and how far from the plainest it is."""

    name: str
    distance: Array
    """Per layer, the largest over utterances of the norm of the difference of all frames, by the norm `[layer]`."""
    spread: Array
    """Per layer, the largest difference of an utterance's mean over time, as a share of the spread of these means
    between utterances (root mean square distance from their centre) `[layer]`."""
    speed: float
    """Seconds of audio per second."""
    exact: bool
    """Whether it must be the same up to rounding in float32."""

    @property
    def holds(self) -> bool:
        """Whether it is what it must be."""
        return not self.exact or float(self.distance.max()) < EXACT


@dataclass(frozen=True)
class Verification:
    """All ways, on the same utterances."""

    encoder: str
    utterances: int
    seconds: float
    plainest: str
    plain_speed: float
    ways: tuple[Way, ...]


def verify(encoder: Encoder, recordings: Sequence[Recording]) -> Verification:
    """Encode a sample of recordings in every way that this machine has, and compare.

    The ways: as `encode` does it; in one padded batch; side by side in threads; in bfloat16 where that pays or is
    asked for; and a recording of up to `LONG` seconds in windows against one pass. Raises `SibbolethError` where
    there are fewer than two recordings of at most `WINDOW` seconds.
    """
    heard = [recording.read(encoder.rate) for recording in _sample(recordings)]
    if len(heard) < 2:
        raise SibbolethError(f"verification needs two or more utterances of at most {WINDOW:g} s")
    exact = replace(encoder, precision="float32")
    exact.prepare()
    asked = list(_ways(encoder, exact))
    seconds = sum(map(len, heard)) / encoder.rate
    exact.plainly(heard[0])
    begun = time.perf_counter()
    expected = [exact.plainly(audio) for audio in heard]
    plain_speed = seconds / (time.perf_counter() - begun)
    ways = []
    for name, work in track(asked, f"Verifying {encoder.name}", len(asked), "ways of encoding"):
        begun = time.perf_counter()
        found = work(heard)
        speed = seconds / (time.perf_counter() - begun)
        ways.append(Way(name, *_apart(found, expected, expected), speed, exact="bfloat16" not in name))
    ways += _windowed(exact, heard, expected)
    plainest = "transformers, one utterance at a time, float32" if isinstance(encoder, Transformer) else "one call each"
    return Verification(encoder.name, len(heard), seconds, plainest, plain_speed, tuple(ways))


Work = Callable[[Sequence[Audio]], list[HiddenStates]]


def _ways(encoder: Encoder, exact: Encoder) -> Iterator[tuple[str, Work]]:
    """Name the ways of encoding that there are for an encoder."""
    yield "one at a time", lambda heard: [exact.hidden_states(audio) for audio in heard]
    yield "reversed", lambda heard: [exact.hidden_states(audio) for audio in reversed(heard)][::-1]
    yield "side by side", lambda heard: _side_by_side(exact, heard)
    if not isinstance(encoder, Transformer):
        return
    from sibboleth.models.encoders import arithmetic

    yield "padded batches", lambda heard: _together(exact, heard)
    if encoder.precision == "bfloat16" or arithmetic.bfloat16_pays():
        rounded = replace(encoder, precision="bfloat16")
        rounded.prepare()
        yield "bfloat16", lambda heard: _side_by_side(rounded, heard)


def _together(encoder: Encoder, heard: Sequence[Audio]) -> list[HiddenStates]:
    """Encode four at a time, short with long, so that padding is large."""
    order = sorted(range(len(heard)), key=lambda place: len(heard[place]))
    mixed = [place for pair in zip(order, reversed(order), strict=True) for place in pair][: len(heard)]
    found: dict[int, HiddenStates] = {}
    for begin in range(0, len(mixed), 4):
        some = mixed[begin : begin + 4]
        found |= dict(zip(some, encoder.batch([heard[place] for place in some]), strict=True))
    return [found[place] for place in range(len(heard))]


def _side_by_side(encoder: Encoder, heard: Sequence[Audio]) -> list[HiddenStates]:
    return list(encoding.side_by_side(encoder, encoder.hidden_states, heard))


def _windowed(encoder: Encoder, heard: Sequence[Audio], expected: Sequence[HiddenStates]) -> Iterator[Way]:
    """Compare a long recording in windows with one pass over it, where an encoder can take it in one."""
    long = np.concatenate([*heard] * 3)[: int(LONG * encoder.rate)]
    if len(long) <= WINDOW * encoder.rate:
        return
    try:
        whole = encoder.plainly(long)
    except Exception:  # whatever has no one pass over long audio has nothing to compare
        return
    if whole.shape[1] < 2 * expected[0].shape[1]:
        return
    begun = time.perf_counter()
    parts = list(encoding.windows(encoder, lambda: iter([long]), len(long)))
    speed = len(long) / encoder.rate / (time.perf_counter() - begun)
    states = np.concatenate(parts, axis=1)
    frames = min(states.shape[1], whole.shape[1])
    distance, spread = _apart([states[:, :frames]], [whole[:, :frames]], expected)
    yield Way(f"windows over {len(long) / encoder.rate:.0f} s", distance, spread, speed, exact=False)


def _apart(
    found: Sequence[HiddenStates], expected: Sequence[HiddenStates], between: Sequence[HiddenStates]
) -> tuple[Array, Array]:
    """Return distances per layer by norm, and of means by their spread between utterances; infinite if shapes vary."""
    means = np.stack([states.mean(axis=1, dtype=np.float64) for states in between])
    spread = np.sqrt(((means - means.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    distance, moved = np.zeros(len(spread)), np.zeros(len(spread))
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape:
            return np.full_like(distance, np.inf), np.full_like(moved, np.inf)
        apart = one.astype(np.float64) - other
        norm, off = np.linalg.norm(other.astype(np.float64), axis=(1, 2)), np.linalg.norm(apart, axis=(1, 2))
        # A layer of zeros is equal to itself, and nothing else is near it.
        share = np.divide(off, norm, out=np.where(off > 0, np.inf, off), where=norm > 0)
        distance = np.maximum(distance, share)
        moved = np.maximum(moved, np.linalg.norm(apart.mean(axis=1), axis=1))
    return distance, moved / np.maximum(spread, np.finfo(np.float64).tiny)


def _sample(recordings: Sequence[Recording]) -> list[Recording]:
    """Choose utterances over all lengths up to `WINDOW`, so that a batch of them needs much padding."""
    usable = sorted((r for r in recordings if r.seconds <= WINDOW), key=lambda r: (r.seconds, r.digest))
    places = np.linspace(0, len(usable) - 1, UTTERANCES).round().astype(int).tolist() if usable else []
    chosen = [usable[place] for place in sorted(set(places))]
    while len(chosen) > 2 and sum(recording.seconds for recording in chosen) > SECONDS:
        del chosen[len(chosen) // 2]
    return chosen
