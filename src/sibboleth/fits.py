"""Fits: training problems, and where each of them is tested under which regime."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from sibboleth.schemes import Rows

Regime = Literal["within", "zero-shot", "target-selected", "two-stage", "few-shot"]
REGIMES: tuple[Regime, ...] = get_args(Regime)
USUAL: tuple[Regime, ...] = ("within", "zero-shot", "target-selected")
"""Those of one training, which probes answer, too."""
STAGED: tuple[Regime, ...] = ("two-stage", "few-shot")
"""Those that go on with a second training on the target."""


@dataclass(frozen=True)
class Test:
    """Where a trained probe is tested, and under which regime's name."""

    regime: str
    """Its name in tables: a regime, few-shot with its number of shots: `few-shot(4)`."""
    domain: str
    rows: Rows


@dataclass(frozen=True)
class Stage:
    """A second training, on the target, that goes on from what dev chose of the first."""

    domain: str
    train: Rows
    dev: Rows
    """Rows that choose its epoch; none of few-shot, which trains for a fixed number of steps."""
    shots: int | None = None
    """Utterances per class of few-shot; none of two-stage."""
    draw: int = 0
    """Which draw of the shots: the seed's number."""


@dataclass(frozen=True)
class Fit:
    """One training problem: it is solved once and answers all its tests."""

    source: str
    """Domain that trains."""
    fold: str
    """Unique within the source."""
    train: Rows
    dev: Rows
    """Rows that choose penalty, epoch and layer."""
    tests: tuple[Test, ...]
    then: Stage | None = None
    """What is trained on after that; `None` for most regimes."""
    budget: float | None = None
    """Seconds of audio to which its train rows were cut; `None` for all."""

    @property
    def heard(self) -> tuple[Rows, ...]:
        """Rows that train or select, of both trainings."""
        second = () if self.then is None else (self.then.train, self.then.dev)
        return self.train, self.dev, *second


@dataclass(frozen=True)
class ImpossiblePair:
    """A source that has no train or no dev rows without the speakers who are tested (or select) in the target."""

    source: str
    target: str
    regime: Regime
    folds: tuple[str, ...]
    """Folds of the target for which nothing is left."""
    rows: Rows
    """Rows of the source whose speakers had to be taken out of these."""


@dataclass(frozen=True)
class ScarceLabel:
    """The label of a target that has too few utterances to train on for some numbers of shots, which are left out."""

    target: str
    shots: tuple[int, ...]
    """Those that are left out."""
    label: str
    fold: str
    rows: Rows
    """Its train rows in that fold of the target, the fewest of any label and fold."""


class Fits(tuple[Fit, ...]):
    """Training problems, and what of the regimes has none."""

    impossible: tuple[ImpossiblePair, ...]
    scarce: tuple[ScarceLabel, ...]

    def __new__(
        cls, fits: Iterable[Fit], impossible: Iterable[ImpossiblePair] = (), scarce: Iterable[ScarceLabel] = ()
    ) -> "Fits":
        """Keep all three."""
        made = super().__new__(cls, fits)
        made.impossible, made.scarce = tuple(impossible), tuple(scarce)
        return made


def single(fits: Fits) -> Fits:
    """Keep the fits of one training, which probes answer, too, and what has no fits."""
    return Fits((fit for fit in fits if fit.then is None), fits.impossible, fits.scarce)
