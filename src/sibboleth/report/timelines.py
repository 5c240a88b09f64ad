"""Timelines: what several say holds when, above one another under the waveform, with a player and its cursor."""

import base64
import hashlib
import math
from collections.abc import Sequence
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
ROUNDING = 1e-9
"""Seconds by which segments that follow one another may overlap."""
Segment = tuple[float, float, str]
"""Start and end in seconds, and label."""


@dataclass(frozen=True)
class Row:
    """What one source says."""

    name: str
    segments: tuple[Segment, ...]
    note: str = ""
    """Said behind it, such as how much of it is wrong."""
    reference: bool = False


@dataclass(frozen=True)
class Bar:
    """A segment as it is drawn, in a row 1000 wide and 20 high."""

    left: float
    width: float
    top: float
    height: float
    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """One recording."""

    name: str
    seconds: float
    audio: str
    """Address for the player; none where empty."""
    peaks: tuple[float, ...]
    """Highest amplitude of equal stretches, from 0 to 1; without a waveform where there are none."""
    rows: tuple[Row, ...]
    told: str = ""
    """Said beside its name."""

    @property
    def outline(self) -> str:
        """Return the waveform as a path 1000 wide and 40 high."""
        step = 1000 / max(1, len(self.peaks))
        upper = [f"{k * step:.1f} {20 - 19 * peak:.1f}" for k, peak in enumerate(self.peaks)]
        lower = [f"{k * step:.1f} {20 + 19 * peak:.1f}" for k, peak in reversed(list(enumerate(self.peaks)))]
        return "M" + "L".join(upper + lower) + "Z" if self.peaks else ""

    @property
    def ticks(self) -> list[float]:
        """Return seconds to be written under it: round ones, four to nine of them."""
        if self.seconds <= 0:
            return []
        size = 10.0 ** math.floor(math.log10(self.seconds))
        step = next(size * part for part in (0.1, 0.2, 0.5, 1, 2) if self.seconds / (size * part) < 9)
        return [round(k * step, 6) for k in range(int(self.seconds / step + 1e-9) + 1)]

    def bars(self, row: Row) -> list[Bar]:
        """Draw the segments of a row; those that overlap lie above one another."""
        lanes: list[float] = []
        placed = []
        for start, end, label in sorted(row.segments):
            lane = next((k for k, until in enumerate(lanes) if until <= start + ROUNDING), len(lanes))
            lanes[lane : lane + 1] = [end]
            placed.append((lane, start, end, label))
        scale, height = 1000 / max(self.seconds, ROUNDING), 20 / max(len(lanes), 1)
        return [
            Bar(
                start * scale,
                max(0.0, min(end, self.seconds) - start) * scale,
                lane * height,
                height,
                label,
                start,
                end,
            )
            for lane, start, end, label in placed
        ]


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Give each label a colour; there are as many as the palette has, and then they come again."""
    every = (*figures.PALETTE, *figures.CONTROL_PALETTE)
    return {label: every[number % len(every)] for number, label in enumerate(labels)}


def peaks(path: Path, start: float | None = None, end: float | None = None, columns: int = PEAKS) -> tuple[float, ...]:
    """Return the highest amplitude in equal stretches of a sound file, block by block; nothing where it is unreadable.

    The loudest stretch is 1.
    """
    try:
        with soundfile.SoundFile(path) as audio:
            first = round((start or 0.0) * audio.samplerate)
            last = audio.frames if end is None else min(audio.frames, round(end * audio.samplerate))
            found = np.zeros(min(columns, max(1, last - first)))
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


def script() -> tuple[Markup, str]:
    """Return the script of the cursor, and its digest, by which a page says that it alone may run."""
    text = templates.resource("timelines.js")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Markup(text), f"sha256-{digest}"


def page(title: str, several: Sequence[Timeline], labels: Sequence[str]) -> str:
    """Write a page of its own, which needs nothing but itself and the sound files."""
    template = templates.environment().get_template("timelines-page.html.j2")
    text, digest = script()
    return template.render(title=title, drawn=drawn(several, labels), script=text, digest=digest)
