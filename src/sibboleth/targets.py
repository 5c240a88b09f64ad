"""Target: the column asked about, and its kind, which picks head, loss, metrics and report block."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "regression", "transcription"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is asked about every utterance."""

    name: str
    """Column of the manifest, e.g. `emotion`."""
    kind: Kind = "classification"
    labels: tuple[str, ...] = ()
    """Label set in the order of figures and matrices; empty for regression and transcription."""
