"""Speech as other rooms, microphones and company would have it; all chance comes from the generator."""

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from sibboleth.augmentation import AugmentationSettings

Audio = npt.NDArray[np.float32]

DECAY = (0.1, 0.7)
"""Seconds in which a room's sound falls by 60 dB."""
DIRECT = (-6.0, 12.0)
"""Decibels of the direct sound above the room's."""
COLOUR = 4.0
"""Decibels, standard deviation of a random filter around its mean."""
NODES = 6
"""Of a random filter, evenly spaced in mel."""


def changed(several: Audio, rate: int, settings: AugmentationSettings, random: np.random.Generator) -> Audio:
    """Change each row `[row, sample]` by itself; babble is another row of them."""
    rows = np.array(several)
    for index in range(len(rows)):
        row = several[index]
        if random.random() < settings.colour:
            row = coloured(row, rate, random)
        if random.random() < settings.babble and len(rows) > 1:
            other = several[(index + int(random.integers(1, len(rows)))) % len(rows)]
            row = babbled(row, other, _decibels(settings.signal_to_noise, random), random)
        if random.random() < settings.reverberation:
            row = reverberated(row, rate, random)
        if random.random() < settings.noise:
            row = noisy(row, _decibels(settings.signal_to_noise, random), random)
        rows[index] = row * 10 ** (random.uniform(-settings.gain, settings.gain) / 20)
    return rows


def reverberated(row: Audio, rate: int, random: np.random.Generator) -> Audio:
    """Put speech in a room: direct sound, and noise that decays exponentially (Polack's model), at equal power."""
    decay = random.uniform(*DECAY)
    count = int(decay * rate)
    tail = random.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail *= 10 ** (-random.uniform(*DIRECT) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    heard = fftconvolve(row, tail.astype(np.float32))[: len(row)]
    return _as_loud(heard, row)


def noisy(row: Audio, signal_to_noise: float, random: np.random.Generator) -> Audio:
    """Add noise whose power falls by a random 0 to 9 dB per octave."""
    spectrum = np.fft.rfft(random.standard_normal(len(row)).astype(np.float32))
    spectrum *= np.maximum(1, np.arange(len(spectrum))) ** -random.uniform(0, 1.5)
    return row + _below(np.fft.irfft(spectrum, len(row)), row, signal_to_noise)


def babbled(row: Audio, other: Audio, signal_to_noise: float, random: np.random.Generator) -> Audio:
    """Add another voice to less than half of it, at a random place."""
    size = int(random.uniform(0.1, 0.5) * len(row))
    place, begin = random.integers(0, len(row) - size + 1, 2)
    mixed = row.copy()
    mixed[place : place + size] += _below(other[begin : begin + size], row, signal_to_noise)
    return mixed


def coloured(row: Audio, rate: int, random: np.random.Generator) -> Audio:
    """Filter with a random gain that is smooth over the mel scale, at equal power."""
    spectrum = np.fft.rfft(row)
    mel = 2595 * np.log10(1 + np.linspace(0, rate / 2, len(spectrum)) / 700)
    gain = np.interp(mel, np.linspace(0, mel[-1], NODES), COLOUR * random.standard_normal(NODES))
    return _as_loud(np.fft.irfft(spectrum * 10 ** (gain / 20), len(row)), row)


def _decibels(bounds: tuple[float, float], random: np.random.Generator) -> float:
    return float(random.uniform(*bounds))


def _as_loud(heard: npt.NDArray[np.floating], row: Audio) -> Audio:
    return np.asarray(heard * (_level(row) / max(_level(heard), 1e-9)), dtype=np.float32)


def _below(sound: npt.NDArray[np.floating], row: Audio, decibels: float) -> Audio:
    scale = _level(row) / max(_level(sound), 1e-9) * 10 ** (-decibels / 20)
    return np.asarray(sound * scale, dtype=np.float32)


def _level(sound: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
