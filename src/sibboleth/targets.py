"""Target: the column asked about, and its kind, which picks head, loss, metrics and report block."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "regression", "transcription", "segmentation"]

FRAMED: tuple[Kind, ...] = ("transcription", "segmentation")
"""Kinds that are answered frame by frame."""
BACKGROUND = ("neutral", "none")
"""Labels of segments that are no label, unless the target has them among its labels."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is asked about every utterance."""

    name: str
    """Column of the manifest, e.g. `emotion`."""
    kind: Kind = "classification"
    labels: tuple[str, ...] = ()
    """Label set in the order of figures and matrices; empty for regression and transcription."""
    background: tuple[str, ...] = BACKGROUND
    """Of a segmentation: what is as good as no label, where it is not among `labels`."""
    collar: float = 0.0
    """Of a segmentation: seconds before and after each boundary of the reference that are not scored."""
