"""Fits as trainings: equal first trainings are done once, and each goes on to its second ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sibboleth.splits import Fit, Rows, Stage


@dataclass
class Problem:
    """One first training, the dev sets that watch it, and what is asked of each dev set's choice."""

    source: str
    train: Rows
    devs: list[Rows] = field(default_factory=list)
    single: list[list[int]] = field(default_factory=list)
    """Numbers of the fits that end here, by dev set."""
    stages: list[tuple[int, Stage, list[int]]] = field(default_factory=list)
    """Dev set whose choice is gone on from, the second training, and the numbers of its fits."""
    names: list[str] = field(default_factory=list)
    """Of the first fit of each dev set."""

    def name(self, watch: int, stage: Stage | None) -> str:
        """Name a training for its log."""
        name = self.names[watch]
        if stage is None:
            return name
        return next((fold for at, one, fold in self._staged if one is stage), name)

    _staged: list[tuple[int, Stage, str]] = field(default_factory=list)

    def add(self, number: int, fit: Fit) -> None:
        """Take a fit in."""
        watch = next((index for index, dev in enumerate(self.devs) if np.array_equal(dev, fit.dev)), None)
        if watch is None:
            watch = len(self.devs)
            self.devs.append(fit.dev)
            self.single.append([])
            self.names.append(fit.fold)
        if fit.then is None:
            self.single[watch].append(number)
            self.names[watch] = fit.fold
            return
        same = (members for at, stage, members in self.stages if at == watch and _equal(stage, fit.then))
        members = next(same, None)
        if members is None:
            members = []
            self.stages.append((watch, fit.then, members))
            self._staged.append((watch, fit.then, fit.fold))
        members.append(number)


def problems(fits: Sequence[Fit], trial: int) -> list[Problem]:
    """List the first trainings of a trial in the order of the fits; a few-shot draw belongs to its trial."""
    found: dict[bytes, Problem] = {}
    for number, fit in enumerate(fits):
        if fit.then is not None and fit.then.shots is not None and fit.then.draw != trial:
            continue
        key = np.ascontiguousarray(fit.train).tobytes()
        found.setdefault(key, Problem(fit.source, fit.train)).add(number, fit)
    return list(found.values())


def _equal(a: Stage, b: Stage) -> bool:
    return (
        (a.domain, a.shots, a.draw) == (b.domain, b.shots, b.draw)
        and np.array_equal(a.train, b.train)
        and np.array_equal(a.dev, b.dev)
    )
