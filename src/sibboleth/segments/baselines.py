"""Baselines: segments that know nothing of the label, or only which label an utterance has, for scale."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import ndimage

from sibboleth.segments.frames import runs
from sibboleth.segments.table import SCHEMA, Segments, table

FRAME = 0.02
"""Seconds of a frame whose loudness is measured."""
SMOOTH = 0.3
"""Seconds over which loud and quiet frames are put to the vote, so that pauses between words do not end a segment."""
SILENCE = 1e-10
"""Power under which frames are alike, about that of the last bit of 16."""


def nothing(durations: Mapping[str, float]) -> Segments:
    """Say of no utterance that it has any segment: all background."""
    return Segments(pl.DataFrame(schema=SCHEMA), dict(durations))


def throughout(labels: Mapping[str, str | None], durations: Mapping[str, float]) -> Segments:
    """Give each utterance one label from beginning to end, or none."""
    rows = [
        (utterance, 0.0, seconds, label, None)
        for utterance, seconds in durations.items()
        if (label := labels.get(utterance)) is not None and seconds > 0
    ]
    return Segments(table(rows), dict(durations))


def oracle(reference: Segments) -> Segments:
    """Give each utterance throughout the label that the reference has longest in it, however short that is.

    What a perfect classifier of utterances would say.
    """
    return throughout({u: label for u, (label, _) in _longest(reference).items()}, reference.durations)


def majority(reference: Segments) -> Segments:
    """Give each utterance throughout whatever the reference has longest in it: a label, or nothing.

    The best that one answer per utterance can be.
    """
    known, longest = reference.durations, _longest(reference)
    covered = {utterance: _covered(reference, utterance) for utterance in longest}
    kept = {u: label for u, (label, seconds) in longest.items() if u in known and seconds >= known[u] - covered[u]}
    return throughout(kept, known)


def _longest(reference: Segments) -> dict[str, tuple[str, float]]:
    """Find each utterance's label of most seconds, ties to the alphabetically first, and how many they are."""
    seconds = pl.col("end") - pl.col("start")
    summed = reference.table.group_by("utterance", "label").agg(seconds.sum().alias("seconds"))
    first = summed.sort("seconds", "label", descending=[True, False]).unique("utterance", keep="first")
    return {utterance: (label, length) for utterance, label, length in first.sort("utterance").iter_rows()}


def _covered(reference: Segments, utterance: str) -> float:
    """Return the seconds that any segment covers."""
    covered, until = 0.0, 0.0
    for start, end, _ in reference.of(utterance):
        covered += max(end - max(start, until), 0.0)
        until = max(until, end)
    return covered


def loudness(samples: npt.NDArray[np.floating], rate: int) -> npt.NDArray[np.float64]:
    """Return the level of each frame of `FRAME` seconds in dB under the loudest, `[frame]`, from audio `[sample]`."""
    size = round(FRAME * rate)
    frames = np.asarray(samples, dtype=np.float64)
    frames = np.pad(frames, (0, -len(frames) % size)).reshape(-1, size)
    power = np.maximum((frames**2).mean(axis=1), SILENCE)
    return np.asarray(10 * np.log10(power / power.max(initial=SILENCE)))


def loud(samples: npt.NDArray[np.floating], rate: int, label: str, threshold: float) -> list[tuple[float, float, str]]:
    """Give the label to what is at most `threshold` dB under the loudest frame, smoothed over `SMOOTH` seconds."""
    mask = loudness(samples, rate) >= -threshold
    voted = ndimage.median_filter(mask.astype(np.int8), size=2 * round(SMOOTH / FRAME / 2) + 1, mode="nearest")
    seconds = len(samples) / rate
    found = runs([label if one else None for one in voted], FRAME)
    return [(start, min(end, seconds), name) for start, end, name in found]
