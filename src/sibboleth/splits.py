"""Folds and regimes: who trains, who selects, who tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from sibboleth.settings import Settings

Regime = Literal["within", "zero-shot", "target-selected"]
Scheme = Literal[
    "speaker-folds", "leave-one-speaker-out", "leave-one-session-out", "leave-one-domain-out", "random-folds", "file"
]
REGIMES: tuple[Regime, ...] = get_args(Regime)
Rows = npt.NDArray[np.int64]


class SplitSettings(Settings):
    """How utterances are divided into train, dev and test."""

    scheme: Scheme = "speaker-folds"
    folds: int = Field(5, ge=2)
    """Number of folds of `speaker-folds` and `random-folds`."""
    dev: float = Field(0.2, gt=0, lt=1)
    """Share of the utterances outside test that selects, whole speakers (or sessions) at a time."""
    file: Path | None = None
    """Fixed lists: a CSV with columns `utterance`, `part` (train, dev, test) and, for several folds, `fold`."""
    balance: tuple[str, ...] = ()
    """Draw equally many utterances per label within each value of these columns, e.g. `["corpus"]`."""


@dataclass(frozen=True)
class Fold:
    """One division of one domain into row indices of the corpus table."""

    name: str
    train: Rows
    dev: Rows
    test: Rows


@dataclass(frozen=True)
class Test:
    """Where a trained probe is tested, and under which regime's name."""

    regime: Regime
    domain: str
    rows: Rows


@dataclass(frozen=True)
class Fit:
    """One training problem: it is solved once and answers all its tests."""

    source: str
    """Domain that trains."""
    fold: str
    train: Rows
    dev: Rows
    """Rows that choose penalty, epoch and layer."""
    tests: tuple[Test, ...]
