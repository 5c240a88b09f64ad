"""Joining: pieces brought to one loudness and cross-faded, and the seconds at which one label follows another.

Loudness is the level of a piece's speech alone, so that pauses inside do not count, and it is the same for all mixes:
how loud somebody is no longer tells the emotion, and a step in loudness no boundary.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sibboleth.audio.reading import Samples
from sibboleth.corpora.mixes.drawing import Mix, key
from sibboleth.corpora.mixes.pieces import RATE, Piece

FADE = 320
"""Samples of a cross-fade: 20 ms, the frame of most encoders. The boundary is its middle, an exact sample."""
LEVEL = -26.0
"""dBFS of the speech of each piece, the active level that ITU-T P.56 is used with."""
PEAK = -1.0
"""dBFS that no sample exceeds; where one would, the whole mix is made quieter, so that its pieces stay equally loud."""

_ANGLE = np.pi / 2 * (np.arange(FADE) + 0.5) / FADE
_RISE, _FALL = np.sin(_ANGLE), np.cos(_ANGLE)

Sound = npt.NDArray[np.float64]


def join(mix: Mix, sounds: Sequence[Samples], pause: float, seed: int) -> npt.NDArray[np.int16]:
    """Put the pieces of a mix together, with so many seconds of quiet noise between them, in 16 bits at `RATE`."""
    whole: Sound = np.empty(0)
    for piece, sound in zip(mix.pieces, sounds, strict=True):
        if len(whole) and pause:
            whole = _crossed(whole, _room(pause, piece, key(seed, mix.name, piece.utterance)))
        raised = sound.astype(np.float64) * _gain(piece)
        whole = _crossed(whole, raised) if len(whole) else raised
    peak, most = float(np.abs(whole).max()), 10 ** (PEAK / 20)
    if peak > most:
        whole = whole * (most / peak)
    return np.rint(whole * 2**15).astype(np.int16)


def segments(mix: Mix, background: str, pause: float) -> list[tuple[float, float, str]]:
    """Return start, end and label of what follows one another, from lengths alone.

    A pause is the background's; neighbours of one label are one segment.
    """
    labels: list[str] = []
    edges, length = [0], 0
    for piece in mix.pieces:
        parts = [(background, _samples(pause))] if labels and pause else []
        for label, count in (*parts, (piece.label, piece.last - piece.first)):
            if labels:
                edges.append(length - FADE // 2)
                length -= FADE
            labels.append(label)
            length += count
    edges.append(length)
    begins = [place for place in range(len(labels)) if not place or labels[place] != labels[place - 1]]
    ends = [*begins[1:], len(labels)]
    return [(edges[begin] / RATE, edges[end] / RATE, labels[begin]) for begin, end in zip(begins, ends, strict=True)]


def _crossed(before: Sound, after: Sound) -> Sound:
    """Join two sounds with a cross-fade of equal power, since they have nothing to do with each other."""
    return np.concatenate([before[:-FADE], before[-FADE:] * _FALL + after[:FADE] * _RISE, after[FADE:]])


def _gain(piece: Piece) -> float:
    return float(10 ** ((LEVEL - piece.level) / 20))


def _samples(pause: float) -> int:
    """Count the samples of a pause with half a cross-fade on either side of it."""
    return round(pause * RATE) + FADE


def _room(pause: float, piece: Piece, seed: bytes) -> Sound:
    """Make white noise that is as quiet as the quietest frame of the piece that follows."""
    noise = np.random.default_rng(int.from_bytes(seed[:16], "big")).standard_normal(_samples(pause))
    return np.asarray(noise * 10 ** (piece.floor / 20) * _gain(piece))
