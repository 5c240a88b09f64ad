"""Probes: what frozen features know about a target, for every layer, fold and seed of one encoder and source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sibboleth.models import convex, threads
from sibboleth.models.heads import Mlp, Parameters
from sibboleth.models.training import Loss, TrainingSettings, Watch, train
from sibboleth.splits import Fit, Rows
from sibboleth.study import LinearProbe, MlpProbe

Array = npt.NDArray[np.float64]
Pooling = Literal["mean", "mean+std"]
Kind = Literal["classification", "regression"]

SOLVER_BYTES = 128 * 2**20
"""Memory that one group of linear problems may take for its outputs."""
STACK_FLOATS = 20_000_000
"""Parameters that one stack of heads may hold; more layers are trained in further stacks."""
USUAL_STEPS, USUAL_EPOCHS = 200, 40
"""How many steps a linear problem and how many epochs a trained one usually take, for a plan."""
LINEAR_MIX = MlpProbe(hidden=(), learning_rate=1e-3, weight_decay=1e-2, standardise=True)
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
    dev: Array
    tests: tuple[Array, ...]


@dataclass(frozen=True, kw_only=True)
class Probing:
    """One cell: how all fits of one encoder and one source are probed."""

    kind: Kind
    probe: LinearProbe | MlpProbe
    pooling: Pooling
    trials: int
    seed: int
    layer_mix: bool

    def answers(self, features: Features, truth: Array, fits: Sequence[Fit]) -> Iterator[Answer]:
        """Train every probe of the cell and yield what it answers, layer by layer; `truth` is `[utterance, out]`.

        A classification probe answers with probabilities, a regression probe with numbers.
        """
        known = torch.tensor(truth)
        if isinstance(self.probe, LinearProbe):
            for layer in range(features.layers):
                yield from self._solved(_tensor(features, layer, self.pooling), known, fits, self.probe, layer)
        else:
            yield from self._trained_layers(features, known, fits, self.probe)
        if self.layer_mix and features.layers > 1:
            settings = LINEAR_MIX if isinstance(self.probe, LinearProbe) else self.probe
            every = torch.stack([_tensor(features, layer, self.pooling) for layer in range(features.layers)])
            yield from self._trained(every, known, fits, settings, [None])

    def operations(self, layers: int, dim: int, out: int, fits: Sequence[Fit]) -> float:
        """Estimate the floating point operations of all probes of the cell, for a plan."""
        sets, _ = _training_sets(fits)
        wide = dim * (2 if self.pooling == "mean+std" else 1)
        rows = sum(len(one) for one in sets)
        trained = LINEAR_MIX if isinstance(self.probe, LinearProbe) else self.probe
        sizes = (wide, *trained.hidden, out)
        weights = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
        looped = 6.0 * USUAL_EPOCHS * rows * weights * self.trials
        mixed = looped * layers if self.layer_mix and layers > 1 else 0.0
        if not isinstance(self.probe, LinearProbe):
            return looped * layers + mixed
        source = len(np.unique(np.concatenate(sets)))
        solved = 4.0 * USUAL_STEPS * source * wide * out * len(sets) * len(self.probe.l2) * layers
        return solved + mixed

    def _solved(
        self, x: Tensor, truth: Tensor, fits: Sequence[Fit], probe: LinearProbe, layer: int
    ) -> Iterator[Answer]:
        loss: convex.Loss = "cross-entropy" if self.kind == "classification" else "squared"
        sets, owner = _training_sets(fits)
        rows = np.unique(np.concatenate(sets))
        penalties = torch.tensor(sorted(probe.l2, reverse=True), dtype=torch.float64)
        group = max(1, SOLVER_BYTES // (8 * len(rows) * len(penalties) * truth.shape[1]))
        solved: list[convex.LinearProbes] = []
        for begin in range(0, len(sets), group):
            some = sets[begin : begin + group]
            mask = torch.from_numpy(np.stack([np.isin(rows, one) for one in some])).repeat_interleave(len(penalties), 0)
            solved.append(convex.solve(x[rows], truth[rows], mask, penalties.repeat(len(some)), loss))
        weight = torch.cat([one.weight for one in solved]).reshape(len(sets), len(penalties), x.shape[1], -1)
        bias = torch.cat([one.bias for one in solved]).reshape(len(sets), len(penalties), -1)
        for index, fit in enumerate(fits):
            mine = owner[index]
            dev = x[fit.dev].double() @ weight[mine] + bias[mine][:, None]
            chosen = int(self._loss(dev, truth[fit.dev].expand(len(penalties), -1, -1)).mean(1).argmin())
            best = weight[mine, chosen], bias[mine, chosen]
            tests = tuple(self._answer(x[test.rows].double() @ best[0] + best[1]) for test in fit.tests)
            yield Answer(index, layer, 0, float(penalties[chosen]), self._answer(dev[chosen]), tests)

    def _trained_layers(
        self, features: Features, truth: Tensor, fits: Sequence[Fit], settings: MlpProbe
    ) -> Iterator[Answer]:
        dim = features.matrix(0, self.pooling).shape[1]
        sizes = (dim, *settings.hidden, truth.shape[1])
        size = sum((a + 1) * b for a, b in zip(sizes, sizes[1:], strict=False))
        group = max(1, STACK_FLOATS // (size * len(fits) * self.trials))
        for begin in range(0, features.layers, group):
            layers = range(begin, min(begin + group, features.layers))
            stack = torch.stack([_tensor(features, layer, self.pooling) for layer in layers])
            yield from self._trained(stack, truth, fits, settings, list(layers))

    def _trained(
        self, stack: Tensor, truth: Tensor, fits: Sequence[Fit], settings: MlpProbe, layers: Sequence[int | None]
    ) -> Iterator[Answer]:
        """Train one head per (layer or mix, training set, trial); stack is `[layer, utterance, dim]`."""
        sets, owner = _training_sets(fits)
        rows = [torch.tensor(one) for one in sets]
        problems = [
            (at, own, trial) for at in range(len(layers)) for own in range(len(sets)) for trial in range(self.trials)
        ]
        seeds = [self.seed * 1000 + trial for _, _, trial in problems]
        mixed = len(stack) if layers == [None] else 0
        head = Mlp(stack.shape[2], settings.hidden, truth.shape[1], mixed)
        data = _CellData.of(stack, truth, rows, problems, mixed > 0, settings.standardise, self.kind == "regression")
        watches, asked = [], []
        for number, (at, own, trial) in enumerate(problems):
            for index, fit in enumerate(fits):
                if owner[index] == own:
                    watches.append(Watch(number, torch.tensor(fit.dev)))
                    asked.append((index, layers[at], trial))
        start = head.start(seeds)
        with threads.worth(6.0 * settings.batch_size * sum(tensor.numel() for tensor in start.values())):
            trained = train(
                head,
                start,
                data,
                self._loss,
                [rows[own] for _, own, _ in problems],
                seeds,
                watches,
                TrainingSettings(**settings.model_dump(exclude={"kind", "hidden", "standardise"})),
            )
        for number, (index, layer, trial) in enumerate(asked):
            parameters = {name: tensor[number : number + 1] for name, tensor in trained.parameters.items()}
            output = _Output(head, parameters, data, torch.tensor([watches[number].problem]))
            tests = tuple(self._answer(output(test.rows)) for test in fits[index].tests)
            yield Answer(
                index, layer, trial, float(trained.epoch[number]), self._answer(output(fits[index].dev)), tests
            )

    @property
    def _loss(self) -> Loss:
        return _cross_entropy if self.kind == "classification" else _squared_error

    def _answer(self, output: Tensor) -> Array:
        """Turn outputs `[row, out]` into probabilities or numbers."""
        if self.kind == "classification":
            output = torch.softmax(output.double(), -1)
        return np.asarray(output.double().numpy())


@dataclass(frozen=True)
class _CellData:
    """The features and truth of a stack of problems, standardised by each problem's own training rows if asked."""

    stack: Tensor
    known: Tensor
    layer: Tensor
    mixed: bool
    center: Tensor
    scale: Tensor
    origin: Tensor
    unit: Tensor

    @classmethod
    def of(
        cls,
        stack: Tensor,
        truth: Tensor,
        sets: Sequence[Tensor],
        problems: Sequence[tuple[int, int, int]],
        mixed: bool,
        standardise: bool,
        numbers: bool,
    ) -> "_CellData":
        layer = torch.tensor([at for at, _, _ in problems])
        known = truth.float()
        own = torch.tensor([own for _, own, _ in problems])
        shape = (len(sets), len(stack), stack.shape[2])
        center, scale = torch.zeros(shape), torch.ones(shape)
        origin, unit = torch.zeros(len(sets), known.shape[1]), torch.ones(len(sets), known.shape[1])
        for index, rows in enumerate(sets):
            if standardise:
                deviation, center[index] = torch.std_mean(stack[:, rows], 1, correction=0)
                scale[index] = torch.where(deviation > 1e-6 * deviation.max(), 1 / deviation, torch.zeros(()))
            if numbers:
                deviation, origin[index] = torch.std_mean(known[rows], 0, correction=0)
                unit[index] = deviation.clamp(min=1e-6)
        if not mixed:
            center, scale = center[own, layer], scale[own, layer]
        else:
            center, scale = center[own], scale[own]
        return cls(stack, known, layer, mixed, center, scale, origin[own], unit[own])

    def features(self, problems: Tensor, rows: Tensor) -> Tensor:
        every = self.mixed
        raw = self.stack[:, rows].permute(1, 2, 0, 3) if every else self.stack[self.layer[problems][:, None], rows]
        return (raw - self.center[problems][:, None]) * self.scale[problems][:, None]

    def truth(self, problems: Tensor, rows: Tensor) -> Tensor:
        return (self.known[rows] - self.origin[problems][:, None]) / self.unit[problems][:, None]

    def restored(self, problems: Tensor, output: Tensor) -> Tensor:
        """Undo the scaling of the truth."""
        return output * self.unit[problems][:, None] + self.origin[problems][:, None]


@dataclass(frozen=True)
class _Output:
    """One trained head, asked about any rows."""

    head: Mlp
    parameters: Parameters
    data: _CellData
    problem: Tensor

    @torch.no_grad()
    def __call__(self, rows: Rows) -> Tensor:
        features = self.data.features(self.problem, torch.tensor(rows)[None])
        return self.data.restored(self.problem, self.head(self.parameters, features))[0]


def _tensor(features: Features, layer: int, pooling: Pooling) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(features.matrix(layer, pooling), dtype=np.float32))


def _training_sets(fits: Sequence[Fit]) -> tuple[list[Rows], list[int]]:
    """Find the different training sets among fits; returns them (sorted rows) and which one each fit uses."""
    index: dict[bytes, int] = {}
    sets: list[Rows] = []
    owner = []
    for fit in fits:
        rows = np.sort(fit.train)
        if rows.tobytes() not in index:
            index[rows.tobytes()] = len(sets)
            sets.append(rows)
        owner.append(index[rows.tobytes()])
    return sets, owner


def _cross_entropy(output: Tensor, truth: Tensor) -> Tensor:
    return -(truth * torch.log_softmax(output, -1)).sum(-1)


def _squared_error(output: Tensor, truth: Tensor) -> Tensor:
    return 0.5 * (output - truth).square().sum(-1)
