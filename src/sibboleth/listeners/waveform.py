"""The outline of a sound, as the segment page draws it."""

from pathlib import Path

import numpy as np
import soundfile

PEAKS = 600
"""Columns; a phone shows about half of them."""


def peaks(path: Path) -> tuple[float, ...]:
    """Return the highest amplitude in each of `PEAKS` stretches of a file, the loudest being 1."""
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    parts = np.array_split(np.abs(samples).max(axis=1), min(PEAKS, max(1, len(samples))))
    heights = np.array([part.max(initial=0.0) for part in parts])
    return tuple(np.round(heights / max(float(heights.max()), 1e-9), 3).tolist())
