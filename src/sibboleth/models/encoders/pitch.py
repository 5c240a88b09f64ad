"""Fundamental frequency by windowed autocorrelation and the best path through its peaks (after Boersma, 1993)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft

Array = npt.NDArray[np.float64]

LOWEST, HIGHEST = 60.0, 500.0
"""Hz: the voices that are looked for."""
RATE = 16_000
SAMPLES = 640
"""Window: 40 ms hold more than two periods of the lowest voice."""
FFT = 2048
CANDIDATES = 6
OCTAVE_COST = 0.02
"""Per octave below `HIGHEST`: of a period and its multiples the shortest is taken."""
JUMP_COST = 0.35
"""Per octave between neighbouring frames."""
PASSED, STOPPED = 1500.0, 2500.0
"""Hz: the voice is looked for below; sharper peaks would fall between samples and lose against their multiples."""
VOICING_COST = 0.14
UNVOICED = 0.5
"""Autocorrelation below which a frame counts as unvoiced."""
SILENT = 1e-4
"""Of the loudest frame's energy; quieter frames are never voiced."""


@dataclass(frozen=True)
class Pitch:
    """What is known about the voice, `[frame]`."""

    frequency: Array
    """Hz; NaN where unvoiced."""
    voiced: npt.NDArray[np.bool_]
    harmonicity: Array
    """Normalised autocorrelation at the best period, near 1 for a clear voice."""
    energy: Array
    """Mean square of the windowed frame without its mean."""


def framed(audio: npt.NDArray[np.float32], size: int, hop: int) -> npt.NDArray[np.float32]:
    """Cut frames `[frame, size]`, one per whole hop and centred on it, with zeros beyond the ends."""
    count = max(1, len(audio) // hop)
    left = (size - hop) // 2
    right = max(0, (count - 1) * hop + size - left - len(audio))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (left, right)), size)
    return np.asarray(windows[::hop][:count])


def track(audio: npt.NDArray[np.float32], hop: int) -> Pitch:
    """Find the fundamental frequency of audio at `RATE`, every `hop` samples; scaling it changes only `energy`."""
    frames = framed(audio, SAMPLES, hop)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * _WINDOW
    longest = int(RATE / LOWEST) + 2
    power = np.abs(rfft(frames, FFT, axis=1)) ** 2
    correlation = irfft(power * _LOW_PASS, axis=1)[:, :longest].astype(np.float64)
    tiny = np.finfo(np.float32).tiny
    correlation /= np.maximum(correlation[:, :1], tiny) * _WINDOW_CORRELATION[:longest]
    energy = np.square(frames, dtype=np.float64).sum(axis=1)
    frequency, strength = _peaks(correlation)
    loud = energy > SILENT * max(float(energy.max()), float(tiny))
    path = _best_path(np.log2(frequency), strength, loud)
    voiced = path < CANDIDATES
    chosen = np.where(voiced, path, 0)[:, None]
    found = np.take_along_axis(frequency, chosen, axis=1)[:, 0]
    harmonicity = np.maximum(correlation[:, int(RATE / HIGHEST) :].max(axis=1), 0.0)
    return Pitch(np.where(voiced, found, np.nan), voiced, harmonicity, energy / SAMPLES)


def _peaks(correlation: Array) -> tuple[Array, Array]:
    """Return frequency and strength `[frame, candidate]` of the best peaks, refined by parabolas; about -1 is none."""
    lags = np.arange(int(RATE / HIGHEST), correlation.shape[1] - 1)
    before, at, after = (correlation[:, lags + shift] for shift in (-1, 0, 1))
    peak = (at > before) & (at >= after)
    curvature = np.where(peak, before - 2 * at + after, -1.0)
    offset = np.where(peak, 0.5 * (before - after) / curvature, 0.0).clip(-0.5, 0.5)
    height = np.where(peak, at - 0.25 * (before - after) * offset, -1.0)
    frequency = RATE / (lags + offset)
    strength = height - OCTAVE_COST * np.log2(HIGHEST / frequency)
    best = np.argsort(-strength, axis=1, kind="stable")[:, :CANDIDATES]
    return np.take_along_axis(frequency, best, axis=1), np.take_along_axis(strength, best, axis=1)


def _best_path(octaves: Array, strength: Array, loud: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Choose a candidate per frame, or `CANDIDATES` for unvoiced, by the Viterbi algorithm."""
    unvoiced = np.where(loud, UNVOICED, 2.0)
    gains = np.column_stack([strength, unvoiced])
    total = gains[0]
    came_from = np.zeros(gains.shape, dtype=np.int64)
    step = np.full((CANDIDATES + 1, CANDIDATES + 1), -VOICING_COST)
    step[CANDIDATES, CANDIDATES] = 0.0
    for frame in range(1, len(gains)):
        step[:CANDIDATES, :CANDIDATES] = -JUMP_COST * np.abs(octaves[frame - 1][:, None] - octaves[frame])
        reached = total[:, None] + step
        came_from[frame] = reached.argmax(axis=0)
        total = reached.max(axis=0) + gains[frame]
    path = np.empty(len(gains), dtype=np.int64)
    path[-1] = total.argmax()
    for frame in range(len(gains) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


_WINDOW = np.hanning(SAMPLES).astype(np.float32)
_RAMP = np.clip((STOPPED - np.fft.rfftfreq(FFT, 1 / RATE)) / (STOPPED - PASSED), 0, 1)
_LOW_PASS = (0.5 - 0.5 * np.cos(np.pi * _RAMP)).astype(np.float32)
_WINDOW_CORRELATION = irfft(np.abs(rfft(_WINDOW.astype(np.float64), FFT)) ** 2)[:SAMPLES]
_WINDOW_CORRELATION /= _WINDOW_CORRELATION[0]
