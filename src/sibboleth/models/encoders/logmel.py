"""`logmel`: log-mel bands, cepstra and prosody per frame, the control that every encoder has to beat. No torch."""

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, rfft

from sibboleth.models.encoders import pitch
from sibboleth.models.encoders.contract import Audio, Encoder, HiddenStates, identify, lengthened

REVISION = 1
"""Raised when the numbers change."""

RATE = pitch.RATE
HOP = 160
FRAME = 400
FFT = 512
BANDS = 40
CEPSTRA = 20
FLOOR = 1e-8
"""Added to power: about the noise of 16-bit samples, so that digital silence is quiet but not infinitely so."""
REFERENCE = 100.0
"""Hz of 0 semitones; a frame without any voice near it has 0."""
PROSODY = (
    "f0",
    "f0 slope",
    "f0 movement",
    "voicing",
    "voicing change",
    "harmonicity",
    "energy",
    "energy slope",
    "energy movement",
    "spectral centroid",
    "tilt above 1 kHz",
    "tilt above 4 kHz",
    "flux",
)


class LogMel(Encoder):
    """One layer of 131 numbers every 10 ms, from frames of 25 ms (40 ms for F0).

    In this order: 40 log-mel bands and their deltas, 19 cepstra and their deltas, and `PROSODY`: F0 in semitones
    (interpolated where unvoiced), voicing, harmonicity, log energy, slopes and absolute slopes, spectral shape.
    Scaling the audio by g adds 2 log g to bands and energy and changes nothing else, above the floor.
    """

    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Return `[1, frame, 131]`."""
        audio = lengthened(audio, FRAME)
        power = np.abs(rfft(pitch.framed(audio, FRAME, HOP) * _WINDOW, FFT, axis=1)) ** 2
        bands = np.log(power @ _BANK.T + FLOOR)
        cepstra = dct(bands, axis=1, norm="ortho")[:, 1:CEPSTRA]
        columns = [bands, _slope(bands, 2), cepstra, _slope(cepstra, 2), _prosody(audio, power, bands)]
        return np.concatenate(columns, axis=1, dtype=np.float32)[None]


def logmel(name: str = "logmel", language: str | None = None) -> LogMel:
    """Make the log-mel and prosody control."""
    return LogMel(
        name=name,
        identity=identify(encoder="logmel", revision=REVISION),
        kind="control",
        rate=RATE,
        layers=1,
        stride=HOP,
        dim=2 * BANDS + 2 * (CEPSTRA - 1) + len(PROSODY),
        default_pooling="mean+std",
        language=language,
    )


def _prosody(audio: Audio, power: npt.NDArray[np.float32], bands: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return `[frame, len(PROSODY)]`."""
    voice = pitch.track(audio, HOP)
    semitones = np.zeros(len(bands))
    if voice.voiced.any():
        there = np.flatnonzero(voice.voiced)
        octaves = np.log2(voice.frequency[there] / REFERENCE)
        semitones = np.interp(np.arange(len(bands)), there, 12 * octaves)
    energy = np.log(voice.energy * pitch.SAMPLES + FLOOR)
    f0_slope = _slope(semitones[:, None], 4)[:, 0]
    energy_slope = _slope(energy[:, None], 2)[:, 0]
    voicing = voice.voiced.astype(np.float64)
    lifted = power + FLOOR
    low, middle, high = (np.log(lifted[:, part].sum(axis=1)) for part in _REGIONS)
    columns = (
        semitones,
        f0_slope,
        np.abs(f0_slope),
        voicing,
        np.abs(np.diff(voicing, prepend=voicing[:1])),
        voice.harmonicity,
        energy,
        energy_slope,
        np.abs(energy_slope),
        lifted @ _KILOHERTZ / lifted.sum(axis=1),
        middle - low,
        high - low,
        np.sqrt(np.mean(np.diff(bands, axis=0, prepend=bands[:1]) ** 2, axis=1)),
    )
    return np.column_stack(columns)


def _slope(track: npt.NDArray[np.floating], width: int) -> npt.NDArray[np.floating]:
    """Return the least-squares slope of each column over `width` frames to both sides, ends repeated."""
    padded = np.pad(track, ((width, width), (0, 0)), mode="edge")
    middle, last = width, len(padded) - width
    rise = np.zeros_like(track)
    for step in range(1, width + 1):
        rise += step * (padded[middle + step : last + step] - padded[middle - step : last - step])
    return rise / (2 * sum(step * step for step in range(1, width + 1)))


def _mel_bank() -> npt.NDArray[np.float32]:
    """Return triangles `[band, bin]`, equally spaced on the mel scale from 20 Hz to half the rate."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (20.0, RATE / 2))
    corners = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    low, peak, high = (corners[k : k + BANDS, None] for k in range(3))
    hertz = np.fft.rfftfreq(FFT, 1 / RATE)
    triangles = np.maximum(0, np.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak)))
    return np.asarray(triangles, dtype=np.float32)


_WINDOW = np.hanning(FRAME).astype(np.float32)
_BANK = _mel_bank()
_KILOHERTZ = (np.fft.rfftfreq(FFT, 1 / RATE) / 1000).astype(np.float32)
_REGIONS = (_KILOHERTZ < 1, (_KILOHERTZ >= 1) & (_KILOHERTZ < 5), _KILOHERTZ >= 4)
