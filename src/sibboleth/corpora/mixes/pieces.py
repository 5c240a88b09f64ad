"""Pieces: what of each recording is put together. Where speech begins and ends, how loud it is, which audio it is.

Voice activity is told by energy above `LOWEST` Hz, in frames of 20 ms every 10 ms: a frame speaks if it is less than
`RANGE` below the loudest, and more than `ABOVE` above the noise (of frames that a gate has not silenced, the quietest
`QUIETEST`); but noise never silences what is less than `SURE` below the loudest. Speech begins and ends with `RUN` such
frames in a row, so that no click does. Only what lies before and after is taken off; pauses inside are part of the
speech, and so are breaths before and after that are as loud as it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import signal

from sibboleth import audio
from sibboleth.audio.reading import Samples, UnreadableAudio
from sibboleth.audio.rechecking import Digest
from sibboleth.progress import track

RATE = 16_000
"""Hz of what is put together, to which all recordings are brought."""
STEP = 160
"""Samples from frame to frame; a frame has two steps."""
LOWEST = 100.0
"""Hz; what is below is more often rumble than voice."""
RANGE, ABOVE, SURE, GATED = 35.0, 6.0, 25.0, 60.0
"""dB; what is `GATED` below the loudest frame is silence that was made, and tells nothing of the noise."""
QUIETEST = 0.1
SILENT = -80.0
"""dBFS of the loudest frame, below which there is nothing."""
RUN = 3
PAD = 0.030
"""Seconds that are left before and after speech, where the recording has them: there is room to cross-fade in."""
SHORTEST, LONGEST = 0.3, 30.0
"""Seconds of speech; what is shorter is no utterance, and what is longer hardly has one emotion."""
_TINY = 1e-10
_HIGH = signal.butter(4, LOWEST, "highpass", fs=RATE, output="sos")

Levels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Activity:
    """Where in some samples there is speech, and how loud."""

    first: int
    """Sample at which speech begins."""
    last: int
    """Sample after its end."""
    level: float
    """dBFS of the root mean square over the frames that speak, above `LOWEST`."""
    floor: float
    """dBFS of the quietest frame that no gate has silenced."""


@dataclass(frozen=True)
class Piece:
    """An utterance that can be put together with others."""

    utterance: str
    label: str
    group: tuple[str, ...]
    """Speaker, session and language: only what has them in common is put together."""
    audio: str
    start: float | None
    end: float | None
    first: int
    """Sample at `RATE` at which it begins, from the start of the utterance."""
    last: int
    level: float
    floor: float
    digest: str
    """SHA-256 of the decoded utterance, as in a scan."""


def activity(samples: Samples) -> Activity | None:
    """Find speech in samples at `RATE`; None where there is none."""
    steps = len(samples) // STEP
    if steps < RUN + 1:
        return None
    voiced = signal.sosfilt(_HIGH, samples)
    power = np.square(voiced[: steps * STEP].reshape(steps, STEP)).mean(axis=1)
    levels = 10 * np.log10((power[1:] + power[:-1]) / 2 + _TINY)
    loudest = float(levels.max())
    heard = levels[levels > loudest - GATED]
    noise = float(np.quantile(heard, QUIETEST))
    speaks = levels > max(loudest - RANGE, min(noise + ABOVE, loudest - SURE))
    runs = np.flatnonzero(np.convolve(speaks, np.ones(RUN, dtype=int), "valid") == RUN)
    if not len(runs) or loudest < SILENT:
        return None
    level = 10 * np.log10(np.mean(10 ** (levels[speaks] / 10)))
    return Activity(int(runs[0]) * STEP, (int(runs[-1]) + RUN + 1) * STEP, float(level), float(heard.min()))


def measure(table: pl.DataFrame, label: str) -> tuple[list[Piece], pl.DataFrame]:
    """Listen to all utterances of a corpus table; return those that can be used, and the others with their `reason`."""
    pieces: list[Piece] = []
    reasons: list[tuple[str, str]] = []
    known: dict[str, str] = {}
    rows = table.select("utterance", "audio", "start", "end", label, "speaker", "session", "language").rows()
    for utterance, path, start, end, said, *group in track(rows, "listening", len(rows), "utterances"):
        try:
            piece = _piece(utterance, path, start, end, said, tuple(value or "" for value in group))
            if (copy := known.setdefault(piece.digest, utterance)) != utterance:
                raise UnreadableAudio(path, f"has the same samples as {copy}")
            pieces.append(piece)
        except UnreadableAudio as error:
            reasons.append((utterance, error.reason))
    schema = {"utterance": pl.String, "reason": pl.String}
    return pieces, pl.DataFrame(reasons, schema=schema, orient="row")


def samples(piece: Piece) -> Samples:
    """Read the samples of a piece, at `RATE`; raises `UnreadableAudio` where they are gone."""
    return audio.read(piece.audio, RATE, piece.start, piece.end)[0][piece.first : piece.last]


def _piece(
    utterance: str, path: str, start: float | None, end: float | None, label: str, group: tuple[str, ...]
) -> Piece:
    heard = Digest()
    whole = np.concatenate(list(_bounded(path, start, end, heard)))
    found = activity(whole) if np.isfinite(whole).all() else None
    if found is None:
        raise UnreadableAudio(path, "there is no speech in it")
    seconds = (found.last - found.first) / RATE
    if seconds < SHORTEST:
        raise UnreadableAudio(path, f"{seconds:.2f} s of speech are too short; {SHORTEST} s are needed")
    pad = round(PAD * RATE)
    first, last = max(0, found.first - pad), min(len(whole), found.last + pad)
    digest = heard.hexdigest()
    return Piece(utterance, label, group, path, start, end, first, last, found.level, found.floor, digest)


def _bounded(path: str, start: float | None, end: float | None, heard: Digest) -> Iterator[Samples]:
    """Read an utterance, and stop where it is too long."""
    for number, block in enumerate(audio.blocks(path, RATE, start, end, seconds=2 * LONGEST, hear=heard)):
        if number:
            raise UnreadableAudio(path, f"is longer than {2 * LONGEST:g} s, too long for one emotion")
        yield block
