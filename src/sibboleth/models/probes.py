"""Probes: what frozen features know about a target, for every layer, fold and seed of one encoder and source."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sibboleth import memory
from sibboleth.models import convex, losses
from sibboleth.models.heads import Mlp
from sibboleth.models.held import MEMORY_BYTES, MEMORY_SHARE, room
from sibboleth.models.selection import candidates, stack_floats, trained, training_sets
from sibboleth.models.stack_training import Loss
from sibboleth.probes import LinearProbe, MlpProbe
from sibboleth.splits import Fit, Rows

Array = npt.NDArray[np.float64]
Pooling = Literal["mean", "mean+std"]
Kind = Literal["classification", "regression"]
Unit = tuple[int | None, ...]
"""Layers that are probed together; none for the learned mix of all."""

UNIT_FLOATS, UNIT_SHARE = 4_000_000, 8
"""Features of layers that are probed together: a kill loses no more work than theirs, or one layer's. As bytes, at most
one of so many parts of a limit of memory."""
LAYER_SHARE = 6
"""Part of a limit of memory that one layer's features may take, which are read whole and copied: one of so many."""
SCORE_ROWS, SCORE_SHARE = 8192, 16
"""Rows that a linear probe answers together; their features take one of so many parts of a limit of memory at most."""
USUAL_STEPS, USUAL_EPOCHS = 30, 40
"""How many steps a linear problem and how many epochs a trained one usually take, for a plan."""
LINEAR_MIX = MlpProbe(hidden=(), learning_rate=1e-2, weight_decay=(0.01, 10.0), standardise=True)
"""How the learned layer mix of a linear probe is trained: mixing makes the problem non-convex."""


class Features(Protocol):
    """Pooled hidden states of one encoder."""

    @property
    def layers(self) -> int:
        """Number of layers."""

    def matrix(self, layer: int, pooling: Pooling) -> npt.NDArray[np.float32]:
        """Return one layer's statistics over time, `[utterance, dim]`."""


@dataclass(frozen=True)
class Answer:
    """What one trained probe answered on its dev rows and on each of its fit's tests, `[row, out]`."""

    fit: int
    layer: int | None
    """Which hidden state; none for the learned mix of all."""
    trial: int
    choice: float
    """What dev chose: the penalty of a linear probe, the epoch of a trained one."""
    learning_rate: float | None
    """What dev chose of the candidates; none for a probe that is solved, not trained."""
    weight_decay: float | None
    dev: Array
    tests: tuple[Array, ...]
    decoder: str = ""
    """How frames were made into segments, where it answers with segments."""


@dataclass(frozen=True, kw_only=True)
class Probing:
    """One cell: how all fits of one encoder and one source are probed."""

    kind: Kind
    probe: LinearProbe | MlpProbe
    pooling: Pooling
    trials: int
    seed: int
    layer_mix: bool

    def units(self, features: Features, out: int, fits: Sequence[Fit]) -> tuple[Unit, ...]:
        """Divide the layers into units, each probed whole; the same for the same shapes, whatever is done already."""
        rows, dim = features.matrix(0, self.pooling).shape
        memory.require(4 * rows * dim, LAYER_SHARE, f"one layer of {rows:,} utterances")
        size = memory.at_most(4 * UNIT_FLOATS, UNIT_SHARE) // (4 * rows * dim)
        if isinstance(self.probe, MlpProbe):
            problems = len(training_sets(fits)[0]) * self.trials * len(candidates(self.probe))
            size = min(size, stack_floats() // (Mlp(dim, self.probe.hidden, out).size * problems))
        size = max(1, size)
        every = range(features.layers)
        units: list[Unit] = [tuple(every[begin : begin + size]) for begin in range(0, len(every), size)]
        return (*units, (None,)) if self.layer_mix and len(every) > 1 else tuple(units)

    def answers(self, features: Features, truth: Array, fits: Sequence[Fit]) -> Iterator[Answer]:
        """Train every probe of the cell and yield what it answers, unit by unit; `truth` is `[utterance, out]`.

        A classification probe answers with probabilities, a regression probe with numbers.
        """
        for unit in self.units(features, truth.shape[1], fits):
            yield from self.answers_of(unit, features, truth, fits)

    def answers_of(self, unit: Unit, features: Features, truth: Array, fits: Sequence[Fit]) -> Iterator[Answer]:
        """Train every probe of one unit and yield what it answers, as `answers` does."""
        known = torch.tensor(truth)
        if unit == (None,):
            settings = LINEAR_MIX if isinstance(self.probe, LinearProbe) else self.probe
            yield from self._trained(features, range(features.layers), known, fits, settings, mixed=True)
            return
        layers = [layer for layer in unit if layer is not None]
        if isinstance(self.probe, MlpProbe):
            yield from self._trained(features, layers, known, fits, self.probe, mixed=False)
            return
        yield from self._solved(features, layers, known, fits, self.probe)

    def operations(self, layers: int, dim: int, out: int, fits: Sequence[Fit]) -> float:
        """Estimate the floating point operations of all probes of the cell, for a plan."""
        sets, _ = training_sets(fits)
        wide = dim * (2 if self.pooling == "mean+std" else 1)
        rows = sum(len(one) for one in sets)
        settings = LINEAR_MIX if isinstance(self.probe, LinearProbe) else self.probe
        looped = 6.0 * USUAL_EPOCHS * rows * self.trials * len(candidates(settings))
        heads = looped * Mlp(wide, settings.hidden, out).size
        mixed = heads + looped * layers * wide if self.layer_mix and layers > 1 else 0.0
        if isinstance(self.probe, MlpProbe):
            return heads * layers + mixed
        return convex.operations([len(one) for one in sets], wide, out, len(self.probe.l2)) * layers + mixed

    def working_bytes(self, rows: int, layers: int, dim: int) -> int:
        """Estimate what filling a cell takes at its peak, for a plan: features of a layer, of all, and the solver."""
        wide = dim * (2 if self.pooling == "mean+std" else 1)
        layer = 4 * rows * wide
        unit = max(layer, min(memory.at_most(4 * UNIT_FLOATS, UNIT_SHARE), layers * layer))
        mix = memory.at_most(MEMORY_BYTES, MEMORY_SHARE) if self.layer_mix and layers > 1 else 0
        solver = memory.at_most(convex.SOLVER_BYTES, convex.SOLVER_SHARE)
        return unit + 2 * layer + max(solver, min(mix, layers * layer))

    def _solved(
        self, features: Features, layers: Sequence[int], truth: Tensor, fits: Sequence[Fit], probe: LinearProbe
    ) -> Iterator[Answer]:
        loss: losses.Kind = "cross-entropy" if self.kind == "classification" else "squared"
        sets, owner = training_sets(fits)
        penalties = torch.tensor(sorted(probe.l2, reverse=True), dtype=torch.float64)
        every = [_tensor(features, layer, self.pooling) for layer in layers]
        solved = convex.solve(every, truth, [torch.tensor(one) for one in sets], penalties, loss)
        each = ((weight, bias) for some in solved for weight, bias in zip(some.weight, some.bias, strict=True))
        for (place, mine), (weight, bias) in zip(
            itertools.product(range(len(layers)), range(len(sets))), each, strict=True
        ):
            x = every[place]
            for index in (index for index, one in enumerate(owner) if one == mine):
                fit = fits[index]
                dev = _scores(x, fit.dev, weight, bias)
                chosen = int(self._loss(dev, truth[fit.dev]).mean(1).argmin())
                best = weight[chosen : chosen + 1], bias[chosen : chosen + 1]
                tests = tuple(self._answer(_scores(x, test.rows, *best)[0]) for test in fit.tests)
                penalty = float(penalties[chosen])
                yield Answer(index, layers[place], 0, penalty, None, None, self._answer(dev[chosen]), tests)

    def _trained(
        self,
        features: Features,
        layers: Sequence[int],
        truth: Tensor,
        fits: Sequence[Fit],
        settings: MlpProbe,
        mixed: bool,
    ) -> Iterator[Answer]:
        rows, dim = features.matrix(layers[0], self.pooling).shape
        with room(rows, len(layers), dim) as x:
            for place, layer in enumerate(layers):
                x[:, place] = _tensor(features, layer, self.pooling)
            head = Mlp(dim, settings.hidden, truth.shape[1], len(layers) if mixed else 0)
            seeds = [self.seed * 1000 + trial for trial in range(self.trials)]
            for best in trained(head, x, truth, fits, seeds, settings, self._loss, self.kind == "regression"):
                fit = fits[best.fit]
                yield Answer(
                    best.fit,
                    None if mixed else layers[best.layer],
                    best.trial,
                    float(best.epoch),
                    best.candidate.learning_rate,
                    best.candidate.weight_decay,
                    self._answer(best.output(fit.dev)),
                    tuple(self._answer(best.output(test.rows)) for test in fit.tests),
                )

    @property
    def _loss(self) -> Loss:
        return losses.cross_entropy if self.kind == "classification" else losses.squared_error

    def _answer(self, output: Tensor) -> Array:
        """Turn outputs `[row, out]` into probabilities or numbers."""
        output = output.double()
        return np.asarray((torch.softmax(output, -1) if self.kind == "classification" else output).numpy())


def _scores(x: Tensor, rows: Rows, weight: Tensor, bias: Tensor) -> Tensor:
    """Return outputs `[penalty, row, out]` of some rows by weights `[penalty, dim, out]`, in bounded memory."""
    width = 8 * x.shape[1]
    together = max(1, memory.at_most(SCORE_ROWS * width, SCORE_SHARE) // width)
    parts = [x[some].double() @ weight + bias[:, None] for some in torch.split(torch.tensor(rows), together)]
    return torch.cat(parts, 1)


def _tensor(features: Features, layer: int, pooling: Pooling) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(features.matrix(layer, pooling), dtype=np.float32))
