"""Bandwidth: where a recording's spectrum breaks off, as an earlier sampling rate, a telephone or a codec leaves it."""

import numpy as np
import numpy.typing as npt
from scipy import fft

from sibboleth.audio.reading import Samples

FRAME = 0.032
"""Seconds of a frame."""
STEP = 125.0
"""Hz of a band of the long-term spectrum."""
LOWEST = 1500.0
"""Hz below which no edge is looked for: there the speech itself is steep."""
EDGE = 30.0
"""dB by which the spectrum falls at an edge, within `GAP` bands and for good; of itself speech fell by up to 24."""
WIDTH = 4
"""Bands averaged on each side of an edge."""
GAP = 2
_BLOCK = 64
"""Frames transformed at once."""


class Spectrum:
    """The long-term spectrum of a recording that arrives in pieces, however it is cut."""

    def __init__(self, rate: int) -> None:
        """Begin."""
        self._rate = rate
        self._frame = max(2, round(FRAME * rate))
        self._shape = np.hanning(self._frame).astype(np.float32)
        self._power = np.zeros(self._frame // 2 + 1)
        self._rest: Samples = np.empty(0, np.float32)

    def add(self, mixed: Samples) -> None:
        """Take in the next samples of the mono mix `[sample]`."""
        waiting = np.concatenate([self._rest, mixed])
        whole = len(waiting) // self._frame * self._frame
        frames = waiting[:whole].reshape(-1, self._frame)
        for first in range(0, len(frames), _BLOCK):
            found = fft.rfft(frames[first : first + _BLOCK] * self._shape, axis=1)
            self._power += (np.square(found.real) + np.square(found.imag)).sum(axis=0, dtype=np.float64)
        self._rest = waiting[whole:]

    def bandwidth(self) -> float:
        """Return the Hz of the largest edge above which nothing comes back; half the rate where there is none."""
        levels = self._levels()
        first = round(LOWEST / STEP)
        if len(levels) < first + WIDTH + GAP:
            return self._rate / 2
        means = np.convolve(levels, np.full(WIDTH, 1 / WIDTH), "valid")
        below, above = means[first - WIDTH : -WIDTH - GAP], means[first + GAP :]
        loudest = np.maximum.accumulate(levels[::-1])[::-1][first + GAP : len(levels) - WIDTH + 1]
        fall = np.where(below - loudest > EDGE / 2, below - above, 0.0)
        best = int(fall.argmax())
        return (first + best) * STEP if fall[best] > EDGE else self._rate / 2

    def _levels(self) -> npt.NDArray[np.float64]:
        """Return the level of every band in dB."""
        bands = (np.arange(len(self._power)) * self._rate / self._frame / STEP).astype(np.int64)
        count = int(self._rate / 2 / STEP)
        inside = bands < count
        sums = np.bincount(bands[inside], self._power[inside], count)
        sizes = np.maximum(np.bincount(bands[inside], minlength=count), 1)
        return np.asarray(10 * np.log10(sums / sizes + 1e-20))
