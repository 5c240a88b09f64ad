"""From a voice's raw samples to a recording: resampled, coloured, set to its level, in a quiet room."""

import numpy as np
import numpy.typing as npt
import soxr
from scipy.fft import next_fast_len

Array = npt.NDArray[np.float64]

RATE = 16_000
PAD = 0.05
"""Seconds of room before and after the speech."""
ROOM = -72.0
"""Level of the room's white noise in dB re full scale; without it pauses would be digital zeros."""
RIPPLE = 700.0
"""Period of the colour's ripple in mel: four ripples below 8 kHz."""
PEAK = 0.98


def record(
    raw: npt.NDArray[np.int16],
    rate: int,
    *,
    level: float,
    colour: tuple[float, float],
    seed: int,
    tilt: float = 0.0,
    room: float = ROOM,
) -> Array:
    """Return samples at `RATE` between -1 and 1, the speech among them at `level` (RMS, dB re full scale).

    The level is lowered where the peak would clip. `room` is the level of the room's noise in dB re full scale.
    """
    speech = coloured(soxr.resample(raw / 32768.0, rate, RATE), colour, tilt)
    gain = 10 ** (level / 20) / max(float(np.sqrt(np.mean(speech**2))), 1e-6)
    speech *= min(gain, PEAK / max(float(np.abs(speech).max()), 1e-6))
    pad = round(PAD * RATE)
    samples = 10 ** (room / 20) * np.random.default_rng(seed).standard_normal(len(speech) + 2 * pad)
    samples[pad : pad + len(speech)] += speech
    return samples


def coloured(samples: Array, colour: tuple[float, float], tilt: float = 0.0) -> Array:
    """Filter with a gain of a cos(2 pi m / RIPPLE) + b sin(2 pi m / RIPPLE) + tilt m / 1000 dB at m mel, zero phase."""
    if colour == (0.0, 0.0) and not tilt:
        return samples
    # Some lengths take ten times as long; the controlled corpus, which knows no tilt, keeps its bits.
    size = next_fast_len(2 * len(samples), real=True) if tilt else 2 * len(samples)
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(size, 1 / RATE) / 700)
    angle = 2 * np.pi * mel / RIPPLE
    gain = 10 ** ((colour[0] * np.cos(angle) + colour[1] * np.sin(angle) + tilt * mel / 1000) / 20)
    filtered: Array = np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)]
    return filtered


def pcm16(samples: Array) -> npt.NDArray[np.int16]:
    """Round samples between -1 and 1 to 16 bits."""
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
