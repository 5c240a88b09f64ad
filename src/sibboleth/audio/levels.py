"""Levels: how loud, clipped, silent and noisy a recording is, its band, digest and fingerprint, block by block."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.audio.bandwidth import Spectrum
from sibboleth.audio.fingerprint import Printer
from sibboleth.audio.reading import Samples, mono

FRAME = 0.025
"""Seconds of a frame in which silence is looked for."""
SILENCE = 40.0
"""A frame so many dB or more below the loudest frame of the utterance is silent."""
QUIETEST = 0.05
"""Share of the frames, the quietest, that noise is looked for in."""
LOUDEST = 1e6
"""Of full scale; a larger number is none that a recording has."""
RUN = 3
"""So many samples in a row at full scale are clipped; a single one may be a loud moment."""


@dataclass(frozen=True)
class Level:
    """What was measured of one utterance."""

    peak: float
    """dBFS of the largest sample of the mono mix; -inf for digital silence."""
    level: float
    """dBFS of the root mean square of the mono mix, 0 for a square wave of full scale."""
    clipped: float
    """Share of samples that stand at full scale in runs, in any channel."""
    silence: float
    """Share of frames that are silent."""
    noise: float
    """dBFS that the quietest twentieth of the frames stays under; -inf for digital silence."""
    offset: float
    """Mean of the samples of the mono mix: what a faulty sound card adds, in full scale."""
    bandwidth: float
    """Hz at which the spectrum breaks off; half the rate where it does not."""
    digest: str
    """SHA-256 over rate, channel count and decoded float32 samples: the same in any lossless file format."""
    fingerprint: bytes
    """What `matching.matches` compares."""
    broken: int
    """Samples that are NaN, infinite or beyond `LOUDEST`."""


class Meter:
    """Measures a recording that arrives in pieces, however it is cut."""

    def __init__(self, rate: int, channels: int, full: float) -> None:
        """Begin; `full` is the magnitude of a sample at full scale."""
        self._full = full
        self._frame = max(1, round(FRAME * rate))
        self._digest = hashlib.sha256(f"{rate} {channels}\n".encode())
        self._samples = self._clipped = self._run = self._broken = 0
        self._peak = self._energy = self._sum = 0.0
        self._spectrum, self._printer = Spectrum(rate), Printer(rate)
        self._rest: Samples = np.empty(0, np.float32)
        self._powers: list[npt.NDArray[np.float64]] = []

    def add(self, piece: Samples) -> None:
        """Take in the next frames `[frame, channel]`."""
        self._digest.update(np.ascontiguousarray(piece, "<f4").data)
        self._broken += int(np.count_nonzero(~(np.abs(piece) <= LOUDEST)))
        if self._broken:
            return
        mixed = mono(piece)
        self._samples += len(mixed)
        self._peak = max(self._peak, float(np.abs(mixed).max()))
        self._energy += float(np.square(mixed, dtype=np.float64).sum())
        self._sum += float(mixed.sum(dtype=np.float64))
        self._spectrum.add(mixed)
        self._printer.add(mixed)
        self._count_clipped(np.abs(piece).max(axis=1) >= self._full)
        waiting = np.concatenate([self._rest, mixed])
        whole = len(waiting) // self._frame * self._frame
        frames = waiting[:whole].reshape(-1, self._frame)
        self._powers.append(np.square(frames, dtype=np.float64).mean(axis=1))
        self._rest = waiting[whole:]

    def _count_clipped(self, at_full_scale: npt.NDArray[np.bool_]) -> None:
        """Count samples in long runs; the run that reaches the end of the piece is kept for the next one."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], at_full_scale, [False]])))
        runs = (edges[1::2] - edges[::2]).tolist()
        begins_inside, ends_inside = bool(at_full_scale[0]), bool(at_full_scale[-1])
        if begins_inside:
            runs[0] += self._run
        elif self._run >= RUN:
            self._clipped += self._run
        self._run = runs.pop() if ends_inside else 0
        self._clipped += sum(run for run in runs if run >= RUN)

    def result(self) -> Level:
        """Return the measures of all that was taken in."""
        clipped = self._clipped + (self._run if self._run >= RUN else 0)
        powers = np.concatenate(self._powers) if self._powers else np.empty(0)
        silent = powers <= powers.max(initial=0.0) * 10 ** (-SILENCE / 10)
        return Level(
            peak=_decibel(self._peak, 20),
            level=_decibel(self._energy / max(self._samples, 1), 10),
            clipped=clipped / max(self._samples, 1),
            silence=float(silent.mean()) if len(silent) else 0.0,
            noise=_decibel(float(np.quantile(powers, QUIETEST)) if len(powers) else 0.0, 10),
            offset=self._sum / max(self._samples, 1),
            bandwidth=self._spectrum.bandwidth(),
            digest=self._digest.hexdigest(),
            fingerprint=self._printer.result(),
            broken=self._broken,
        )


def full_scale(subtype: str) -> float:
    """Return the magnitude of the largest positive sample of a sample format, as libsndfile scales it."""
    return 1 - 2**-7 if subtype in ("PCM_S8", "PCM_U8") else 1 - 2**-15


def _decibel(value: float, factor: int) -> float:
    return factor * math.log10(value) if value > 0 else -math.inf
