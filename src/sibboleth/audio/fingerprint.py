"""Fingerprint: a few bits per moment that survive re-encoding, another rate, gain, trimming and a little noise.

Sub-fingerprints of Haitsma and Kalker (2002), A highly robust audio fingerprinting system, with longer steps and lags
than theirs, chosen on speech: bit m of frame n is 1 where E(n, m) - E(n, m+1) > E(n-LAG, m) - E(n-LAG, m+1), and E is
the logarithm of the energy in a band.
"""

import numpy as np
import numpy.typing as npt
import soxr
from scipy import fft

from sibboleth.audio.reading import Samples

RATE = 5000
"""Hz at which all audio is compared."""
WINDOW = 1280
"""Samples of a frame: 256 ms, long enough that where a frame begins matters little."""
HOP = 120
"""Samples between frames: 24 ms."""
LAG = 4
"""Frames between the two whose difference is a bit."""
BITS = 32
LOWEST, HIGHEST = 300.0, 2300.0
"""Hz between which telephone, MP3 and studio sound alike."""
FAINT = 30.0
"""A frame so many dB or more below the loudest says nothing: noise and coding decide its bits."""
_BLOCK = 32
"""Frames transformed at once: few enough to stay in the processor's cache."""

_EDGES = np.round(np.geomspace(LOWEST, HIGHEST, BITS + 2) * WINDOW / RATE).astype(np.int64)
_SHAPE = np.hanning(WINDOW).astype(np.float32)


class Printer:
    """Takes the fingerprint of a recording that arrives in pieces, however it is cut."""

    def __init__(self, rate: int) -> None:
        """Begin; half a window of silence goes before and after, so that short words have frames too."""
        self._stream = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="LQ")
        self._waiting: Samples = np.zeros(WINDOW // 2, np.float32)
        self._slopes: Samples = np.empty((0, BITS), np.float32)
        self._prints: list[npt.NDArray[np.uint32]] = []
        self._powers: list[Samples] = []

    def add(self, mixed: Samples) -> None:
        """Take in the next samples of the mono mix `[sample]`."""
        self._take(mixed if self._stream is None else self._stream.resample_chunk(mixed))

    def result(self) -> bytes:
        """Return 32 bits per 24 ms as little-endian bytes; 0 is a frame that says nothing."""
        if self._stream is not None:
            self._take(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        self._take(np.zeros(WINDOW // 2, np.float32))
        if not self._prints:
            return b""
        prints, powers = np.concatenate(self._prints), np.concatenate(self._powers)
        heard = np.minimum(powers[LAG:], powers[:-LAG]) > powers.max(initial=0.0) * 10 ** (-FAINT / 10)
        return np.where(heard, prints, 0).astype("<u4").tobytes()

    def _take(self, samples: Samples) -> None:
        waiting = np.concatenate([self._waiting, samples])
        count = max(0, (len(waiting) - WINDOW) // HOP + 1)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(waiting, WINDOW)[::HOP]
            for first in range(0, count, _BLOCK):
                self._add_frames(frames[first : first + _BLOCK])
        self._waiting = waiting[count * HOP :].copy()

    def _add_frames(self, frames: Samples) -> None:
        spectrum = fft.rfft(frames * _SHAPE, axis=1)[:, _EDGES[0] : _EDGES[-1]]
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        energy = np.add.reduceat(power, _EDGES[:-1] - _EDGES[0], axis=1)  # a matrix product would start BLAS threads
        level = np.log(energy + np.float32(1e-20))
        slopes = np.concatenate([self._slopes, level[:, :-1] - level[:, 1:]])
        self._powers.append(energy.sum(axis=1))
        self._slopes = slopes[-LAG:]
        if len(slopes) > LAG:
            self._prints.append(np.packbits(slopes[LAG:] > slopes[:-LAG], axis=1).view(">u4")[:, 0])
