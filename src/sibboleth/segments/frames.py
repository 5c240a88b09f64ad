"""Frames: one label each, a fixed time apart."""

from collections.abc import Sequence
from itertools import groupby


def runs(labels: Sequence[str | None], stride: float) -> list[tuple[float, float, str]]:
    """Return start, end and label of each run of frames of one label, a frame lasting `stride` seconds.

    Frames without label are in no segment.
    """
    found = []
    for label, run in groupby(enumerate(labels), key=lambda frame: frame[1]):
        places = [place for place, _ in run]
        if label is not None:
            found.append((places[0] * stride, (places[-1] + 1) * stride, label))
    return found
