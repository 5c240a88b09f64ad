"""Timelines: what several say holds when, above one another under the waveform, with a player and its cursor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from markupsafe import Markup

from sibboleth.report import figures, templates

PEAKS = 1200
"""Columns of a waveform."""
BLOCK = 1 << 20
"""Samples that are read together."""
Segment = tuple[float, float, str]
"""Start and end in seconds, and label."""


@dataclass(frozen=True)
class Row:
    """What one source says."""

    name: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Timeline:
    """One recording."""

    name: str
    seconds: float
    audio: str
    """Address for the player; none where empty."""
    peaks: tuple[float, ...]
    """Highest amplitude of equal stretches, from 0 to 1."""
    rows: tuple[Row, ...]

    @property
    def outline(self) -> str:
        """Return the waveform as a path 1000 wide and 40 high."""
        step = 1000 / max(1, len(self.peaks))
        upper = [f"{k * step:.1f} {20 - 19 * peak:.1f}" for k, peak in enumerate(self.peaks)]
        lower = [f"{k * step:.1f} {20 + 19 * peak:.1f}" for k, peak in reversed(list(enumerate(self.peaks)))]
        return "M" + "L".join(upper + lower) + "Z" if self.peaks else ""

    def places(self, row: Row) -> Iterator[tuple[float, float, str, float, float]]:
        """Yield each segment's left edge and width, 1000 being the recording, its label, start and end."""
        scale = 1000 / max(self.seconds, 1e-9)
        for start, end, label in row.segments:
            yield start * scale, max(0.0, min(end, self.seconds) - start) * scale, label, start, end


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Give each label a colour; there are as many as the palette has, and then they come again."""
    every = (*figures.PALETTE, *figures.CONTROL_PALETTE)
    return {label: every[number % len(every)] for number, label in enumerate(labels)}


def peaks(path: Path, start: float | None = None, end: float | None = None) -> tuple[float, ...]:
    """Return the highest amplitude in equal stretches of a sound file, block by block; nothing where it is unreadable.

    The loudest stretch is 1.
    """
    try:
        with soundfile.SoundFile(path) as audio:
            first = round((start or 0.0) * audio.samplerate)
            last = audio.frames if end is None else min(audio.frames, round(end * audio.samplerate))
            found = np.zeros(min(PEAKS, max(1, last - first)))
            audio.seek(first)
            at = first
            while at < last:
                block = np.abs(audio.read(min(BLOCK, last - at), dtype="float32", always_2d=True)).max(axis=1)
                if not len(block):
                    break
                column = (np.arange(at - first, at - first + len(block)) * len(found)) // (last - first)
                np.maximum.at(found, column, block)
                at += len(block)
    except (OSError, RuntimeError):
        return ()
    return tuple(np.round(found / max(float(found.max()), 1e-9), 3).tolist())


def drawn(several: Sequence[Timeline], labels: Sequence[str]) -> Markup:
    """Draw timelines as a part of a page."""
    template = templates.environment().get_template("timelines.html.j2")
    return Markup(template.module.several(several, colours(labels)))  # type: ignore[attr-defined]


def page(title: str, several: Sequence[Timeline], labels: Sequence[str]) -> str:
    """Write a page of its own, which needs nothing but itself and the sound files."""
    template = templates.environment().get_template("timelines-page.html.j2")
    return template.render(title=title, drawn=drawn(several, labels))
