"""Mel-frequency cepstra, the features of HuBERT's first iteration."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, rfft

Array = npt.NDArray[np.float32]

FRAME = 400
"""Samples: 25 ms at 16 kHz."""
FFT = 512
BANDS = 23
CEPSTRA = 13
LOWEST = 20.0
"""Hz."""
FLOOR = 1e-8
"""Added to power: about the noise of 16-bit samples."""


def mfcc(audio: Array, rate: int, hop: int, field: int, count: int) -> Array:
    """Return 13 cepstra, their slopes and the slopes' slopes, `[count, 39]`, in the middle of each encoder's frame.

    An encoder's frame k sees `field` samples from k * hop on.
    """
    before = max(0, (FRAME - field) // 2)
    first = max(0, (field - FRAME) // 2)
    needed = first + (count - 1) * hop + FRAME - before
    padded = np.pad(audio, (before, max(0, needed - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[first::hop][:count]
    windowed = (frames - frames.mean(1, keepdims=True)) * np.hamming(FRAME).astype(np.float32)
    power = np.abs(rfft(windowed, FFT, axis=1)) ** 2
    cepstra = dct(np.log(power @ _bank(rate).T + FLOOR), axis=1, norm="ortho")[:, :CEPSTRA]
    slopes = _slope(cepstra)
    return np.concatenate([cepstra, slopes, _slope(slopes)], axis=1, dtype=np.float32)


def _slope(features: Array) -> Array:
    """Regress over two frames on each side."""
    padded = np.pad(features, ((2, 2), (0, 0)), mode="edge")
    count = len(features)
    steps = sum(step * (padded[2 + step : 2 + step + count] - padded[2 - step : 2 - step + count]) for step in (1, 2))
    return np.asarray(steps / 10)


@lru_cache
def _bank(rate: int) -> Array:
    """Return triangular filters, evenly spaced in mel, `[band, bin]`."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = np.linspace(2595 * np.log10(1 + LOWEST / 700), top, BANDS + 2)
    mel = 2595 * np.log10(1 + np.arange(FFT // 2 + 1) * rate / FFT / 700)
    rising = (mel - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - mel) / (edges[2:] - edges[1:-1])[:, None]
    bank: Array = np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
    return bank
