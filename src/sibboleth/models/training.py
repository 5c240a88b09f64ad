"""The one training loop: a stack of independent problems, each with its own data, order and early stopping.

Every problem is trained as it would be alone: its batches depend on its own rows and seed only, AdamW keeps its own
moments and step count, and a problem that has stopped stands still. Early stopping belongs to a *watch* (a set of dev
rows): one problem may be watched by several, and each watch keeps the weights of its own best epoch. So a source that
is selected on its own dev set and on every target's dev set is trained once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sibboleth.models.heads import Parameters

Forward = Callable[[Parameters, Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs `[..., out]` and truth `[..., out]` to losses `[...]`."""

BETAS = (0.9, 0.999)
DEV_FLOATS = 16_000_000
"""Features of dev rows that are looked at together; memory for more is not taken."""


class Data(Protocol):
    """What the problems learn from; each may see the rows in its own way (its layer, its standardisation)."""

    def features(self, problems: Tensor, rows: Tensor) -> Tensor:
        """Return features `[problem, row, ...]` for problems `[problem]` and rows `[problem, row]`."""

    def truth(self, problems: Tensor, rows: Tensor) -> Tensor:
        """Return what is to be learnt, `[problem, row, out]`."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How each problem is trained; the defaults are in `study.MlpProbe`."""

    learning_rate: float
    weight_decay: float
    epsilon: float
    batch_size: int
    epochs: int
    patience: int


@dataclass(frozen=True)
class Watch:
    """Dev rows that stop a problem and choose its epoch."""

    problem: int
    rows: Tensor


@dataclass(frozen=True)
class Trained:
    """The best weights of every watch, the epoch (from 1) they come from and their dev loss."""

    parameters: Parameters
    epoch: Tensor
    dev_loss: Tensor


def train(
    forward: Forward,
    start: Parameters,
    data: Data,
    loss: Loss,
    rows: Sequence[Tensor],
    seeds: Sequence[int],
    watches: Sequence[Watch],
    settings: TrainingSettings,
) -> Trained:
    """Train problem p on `rows[p]`, in the batch order of `seeds[p]`, until each watch has seen no better epoch.

    A watch stops after `patience` epochs in a row without a lower dev loss, at the latest after `epochs`; a problem
    stops with its last watch.
    """
    state = _Adam.begin(start, len(rows))
    epoch = torch.zeros(len(watches), dtype=torch.int64)
    best = torch.full((len(watches),), torch.inf)
    waited = torch.zeros(len(watches), dtype=torch.int64)
    owner = torch.tensor([watch.problem for watch in watches])
    kept = {name: tensor[owner].clone() for name, tensor in start.items()}
    for number in range(1, settings.epochs + 1):
        watching = (waited < settings.patience).nonzero()[:, 0]
        active = torch.unique(owner[watching])
        if len(active) == 0:
            break
        _epoch(forward, state, data, loss, rows, seeds, active, number, settings)
        dev = _dev_losses(forward, state.parameters, data, loss, [watches[int(i)] for i in watching])
        better = watching[dev < best[watching]]
        best[watching] = torch.minimum(best[watching], dev)
        waited[watching] += 1
        waited[better] = 0
        epoch[better] = number
        for name, tensor in state.parameters.items():
            kept[name][better] = tensor[owner[better]]
    return Trained(kept, epoch, best)


def _epoch(
    forward: Forward,
    state: "_Adam",
    data: Data,
    loss: Loss,
    rows: Sequence[Tensor],
    seeds: Sequence[int],
    active: Tensor,
    number: int,
    settings: TrainingSettings,
) -> None:
    """Take one pass over every active problem's rows, all problems step by step together."""
    orders = [_order(rows[int(p)], seeds[int(p)], number) for p in active]
    size = settings.batch_size
    for begin in range(0, max(map(len, orders)), size):
        going = [i for i, order in enumerate(orders) if begin < len(order)]
        problems = active[going]
        batch, real = _padded([orders[i][begin : begin + size] for i in going])
        mine = {name: tensor[problems].requires_grad_() for name, tensor in state.parameters.items()}
        each = loss(forward(mine, data.features(problems, batch)), data.truth(problems, batch))
        total = ((each * real).sum(1) / real.sum(1)).sum()
        slopes = torch.autograd.grad(total, list(mine.values()))
        state.step(problems, dict(zip(mine, slopes, strict=True)), settings)


def _order(rows: Tensor, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed << 20) + epoch)
    return rows[torch.randperm(len(rows), generator=generator)]


def _padded(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack row lists of different lengths; returns rows and a 0/1 weight, both `[problem, row]`."""
    batch = torch.nn.utils.rnn.pad_sequence(list(batches), batch_first=True)
    real = torch.nn.utils.rnn.pad_sequence([torch.ones(len(one)) for one in batches], batch_first=True)
    return batch, real


@torch.no_grad()
def _dev_losses(forward: Forward, parameters: Parameters, data: Data, loss: Loss, watches: Sequence[Watch]) -> Tensor:
    losses = []
    width = data.features(torch.tensor([watches[0].problem]), watches[0].rows[None, :1]).numel()
    for some in _chunks(watches, DEV_FLOATS // width):
        batch, real = _padded([watch.rows for watch in some])
        problems = torch.tensor([watch.problem for watch in some])
        mine = {name: tensor[problems] for name, tensor in parameters.items()}
        each = loss(forward(mine, data.features(problems, batch)), data.truth(problems, batch))
        losses.append((each * real).sum(1) / real.sum(1))
    return torch.cat(losses)


def _chunks(watches: Sequence[Watch], rows: int) -> Iterator[Sequence[Watch]]:
    """Divide watches so that each part has at most so many rows, padded, but at least one watch."""
    begin = 0
    while begin < len(watches):
        end, longest = begin, 0
        while end < len(watches):
            longest = max(longest, len(watches[end].rows))
            if end > begin and longest * (end + 1 - begin) > rows:
                break
            end += 1
        yield watches[begin:end]
        begin = end


@dataclass
class _Adam:
    """AdamW (Loshchilov and Hutter 2019) over a stack, each problem with its own moments and step count."""

    parameters: Parameters
    first: Parameters
    second: Parameters
    steps: Tensor

    @classmethod
    def begin(cls, start: Parameters, problems: int) -> "_Adam":
        first, second = ({name: torch.zeros_like(tensor) for name, tensor in start.items()} for _ in range(2))
        return cls({name: tensor.clone() for name, tensor in start.items()}, first, second, torch.zeros(problems))

    def step(self, problems: Tensor, slopes: Parameters, settings: TrainingSettings) -> None:
        self.steps[problems] += 1
        for name, slope in slopes.items():
            shape = (-1, *[1] * (slope.ndim - 1))
            steps = self.steps[problems].view(shape)
            first = self.first[name][problems].lerp(slope, 1 - BETAS[0])
            second = self.second[name][problems].lerp(slope.square(), 1 - BETAS[1])
            self.first[name][problems], self.second[name][problems] = first, second
            denominator = (second / (1 - BETAS[1] ** steps)).sqrt() + settings.epsilon
            change = first / (1 - BETAS[0] ** steps) / denominator
            decayed = self.parameters[name][problems] * (1 - settings.learning_rate * settings.weight_decay)
            self.parameters[name][problems] = decayed - settings.learning_rate * change
