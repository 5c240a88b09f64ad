"""Sound: what listeners hear, cut from its recording, brought to one loudness, under a name that tells nothing."""

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from sibboleth import audio, runs
from sibboleth.audio.reading import Samples
from sibboleth.errors import MissingExtra
from sibboleth.listeners.test import AUDIO, Tones

RATE = 48_000
"""Hz above which a recording is resampled: not every browser plays more."""
BLOCK = 0.4
"""Seconds over which BS.1770 measures; a shorter sound is one block."""
PEAK = -1.0
"""dBFS that no sample of an amplified sound exceeds."""
WHEN = 946_684_800
"""Time of all files, the first second of 2000: when a sound was written tells nothing."""
TONE, TONE_RATE, TONE_SECONDS, RAMP = 200.0, 16_000, 1.0, 0.1
"""Hz, Hz, seconds and seconds of the headphone check's tones (Woods et al. 2017)."""
TONE_LEVEL, QUIETER = 0.25, -6.0
"""Amplitude of the tones, and dB of the quiet one."""
NOISE_SECONDS, NOISE_LOUDNESS = 4.0, -28.0
"""Of the noise that sets the volume where no utterance is left for it."""


@dataclass(frozen=True)
class Stretch:
    """A recording, or a part of it, and the name that its sound gets."""

    name: str
    audio: str
    start: float | None
    end: float | None
    rate: int
    utterance: str = ""


@dataclass(frozen=True)
class Sound:
    """One sound as it is served."""

    name: str
    utterance: str
    before: float
    """LUFS of the recording."""
    loudness: float
    """LUFS as it is served; -inf where it is silent."""
    lacking: float
    """dB that it lacks of the loudness asked for, because it would clip."""


def name(seed: int, *parts: object) -> str:
    """Return a name that follows from the seed and what it is of, and tells neither."""
    return hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).hexdigest()[:16]


def loudness(samples: Samples, rate: int) -> float:
    """Return the integrated loudness of mono samples in LUFS (ITU-R BS.1770-4); -inf of silence.

    A sound shorter than a block of 400 ms is one block as long as itself, so that no gate takes anything out. It is
    measured at 48 kHz, the rate for which the recommendation gives its filters.
    """
    try:
        import pyloudnorm
    except ImportError:
        raise MissingExtra("measuring loudness", "listen") from None
    if rate != RATE:
        samples = soxr.resample(samples, rate, RATE)
    meter = pyloudnorm.Meter(RATE, block_size=min(BLOCK, len(samples) / RATE))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of silence the mean of no block is asked for
        found = float(meter.integrated_loudness(samples.astype(np.float64)))
    return found if np.isfinite(found) else -np.inf


def heard(stretch: Stretch, level: float | None) -> tuple[Samples, int, Sound]:
    """Read a stretch and bring it to `level` LUFS, or only as far as it does not clip; without level it stays."""
    rate = min(stretch.rate, RATE)
    samples, _ = audio.read(stretch.audio, rate, stretch.start, stretch.end)
    before = loudness(samples, rate)
    wanted = 0.0
    if level is not None and np.isfinite(before):
        wanted = level - before
        for _ in range(2):  # amplified, more of a faint recording passes the gate, which is absolute
            wanted += level - loudness(_amplified(samples, wanted), rate)
    peak = 20 * np.log10(max(float(np.abs(samples).max()), 1e-9))
    room = -peak if level is None else PEAK - peak
    gain = min(wanted, room) if level is not None else min(0.0, room)
    made = _amplified(samples, gain) if gain else samples
    after = loudness(made, rate) if gain else before
    return made, rate, Sound(stretch.name, stretch.utterance, before, after, max(0.0, wanted - gain))


def _amplified(samples: Samples, gain: float) -> Samples:
    return (samples * 10 ** (gain / 20)).astype(np.float32)


def write(folder: Path, name: str, samples: npt.NDArray[np.float32], rate: int) -> None:
    """Write samples `[sample]` or `[sample, channel]` as WAV of 16 bits with nothing but its sound in it."""
    path = folder / AUDIO / f"{name}.wav"
    whole = np.clip(np.rint(samples.astype(np.float64) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    made = io.BytesIO()
    soundfile.write(made, whole, rate, subtype="PCM_16", format="WAV")
    with runs.atomic(path) as temporary:
        temporary.write_bytes(made.getbuffer())
    os.utime(path, (WHEN, WHEN))


def tones(folder: Path, seed: int) -> tuple[Tones, ...]:
    """Write the tones of six headphone trials, in each of the six orders once.

    One tone of a trial is quieter by 6 dB; another has its right channel in antiphase, so that loudspeakers cancel it
    and it seems the quietest.
    """
    time = np.arange(round(TONE_SECONDS * TONE_RATE)) / TONE_RATE
    ramp = np.clip(np.minimum(time, TONE_SECONDS - time) / RAMP, 0, 1)
    tone = (TONE_LEVEL * np.sin(np.pi * ramp / 2) ** 2 * np.sin(2 * np.pi * TONE * time)).astype(np.float32)
    quiet = tone * np.float32(10 ** (QUIETER / 20))
    sounds = (np.stack([tone, tone], 1), np.stack([quiet, quiet], 1), np.stack([tone, -tone], 1))
    orders = np.array(list(permutations(range(3))))
    made = []
    for trial, order in enumerate(np.random.default_rng([seed, 6]).permutation(orders).tolist()):
        names = [name(seed, "tone", trial, place) for place in range(3)]
        for called, kind in zip(names, order, strict=True):
            write(folder, called, sounds[kind], TONE_RATE)
        made.append(Tones(audio=(names[0], names[1], names[2]), quietest=order.index(1)))
    return tuple(made)


def noise(folder: Path, seed: int, level: float | None) -> str:
    """Write noise with about the spectrum of speech, of the loudness asked for, and return its name."""
    count = round(NOISE_SECONDS * TONE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng([seed, 7]).normal(size=count))
    hertz = np.fft.rfftfreq(count, 1 / TONE_RATE)
    # Long-term speech is about level from 100 to 500 Hz and falls by 9 dB per octave above (Byrne et al. 1994).
    shape = np.where(hertz < 500, 1.0, (np.maximum(hertz, 1) / 500) ** -1.5) * (hertz > 100)
    samples = np.fft.irfft(spectrum * shape, count)
    gain = (NOISE_LOUDNESS if level is None else level) - loudness(samples.astype(np.float32), TONE_RATE)
    samples *= min(10 ** (gain / 20), 10 ** (PEAK / 20) / float(np.abs(samples).max()))
    called = name(seed, "noise", level)
    write(folder, called, samples.astype(np.float32), TONE_RATE)
    return called


def median(sounds: Sequence[Sound]) -> float | None:
    """Return the median loudness of sounds as they are served; None where all are silent."""
    known = [one.loudness for one in sounds if np.isfinite(one.loudness)]
    return float(np.median(known)) if known else None
