"""Training many small probes at once: a stack of independent problems, each with its own data, order and stopping.

Every problem is trained as it would be alone: its batches depend on its own rows and seed only, AdamW keeps its own
moments and step count, and a problem that has stopped is dropped from the stack. Early stopping belongs to a *watch*
(a set of dev rows): one problem may be watched by several, and each watch keeps the weights of its own best epoch. So
a source that is selected on its own dev set and on every target's dev set is trained once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from sibboleth import memory
from sibboleth.models.heads import Parameters

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs `[..., out]` and truth `[..., out]` to losses `[...]`."""

BETAS = (0.9, 0.999)
DEV_FLOATS, DEV_SHARE = 16_000_000, 16
"""Features of dev rows that are looked at together; memory for more is not taken. One of so many parts of a limit."""


class Model(Protocol):
    """What the problems learn, and from what; each may see the rows in its own way (its layer, its standardisation)."""

    @property
    def width(self) -> int:
        """Number of floats that the features of one row take."""

    def output(self, parameters: Parameters, problems: Tensor, rows: Tensor) -> Tensor:
        """Return outputs `[problem, row, out]` for problems `[problem]` and rows `[problem, row]`."""

    def truth(self, problems: Tensor, rows: Tensor) -> Tensor:
        """Return what is to be learnt, `[problem, row, out]`."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the problems are trained; the defaults are in `probes.MlpProbe`."""

    learning_rate: Sequence[float]
    """Of each problem."""
    weight_decay: Sequence[float]
    """Of each problem."""
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
    model: Model,
    start: Parameters,
    loss: Loss,
    rows: Sequence[Tensor],
    seeds: Sequence[int],
    watches: Sequence[Watch],
    settings: TrainingSettings,
) -> Trained:
    """Train problem p on `rows[p]`, in the batch order of `seeds[p]`, until each watch has seen no better epoch.

    A watch stops after `patience` epochs in a row without a lower dev loss, at the latest after `epochs`; a problem
    stops with its last watch. A problem whose loss is no longer finite is never better.
    """
    owner = torch.tensor([watch.problem for watch in watches])
    epoch = torch.zeros(len(watches), dtype=torch.int64)
    best = torch.full((len(watches),), torch.inf)
    waited = torch.zeros(len(watches), dtype=torch.int64)
    kept = {name: tensor[owner] for name, tensor in start.items()}
    longest_first = sorted(range(len(rows)), key=lambda problem: -len(rows[problem]))
    stack = _Stack.begin(start, torch.tensor(longest_first))
    for number in range(1, settings.epochs + 1):
        watching = (waited < settings.patience).nonzero()[:, 0]
        if len(watching) == 0:
            break
        stack = stack.only(torch.isin(stack.problems, owner[watching]))
        _epoch(model, stack, loss, [_order(rows[p], seeds[p], number) for p in stack.problems.tolist()], settings)
        dev = _dev_losses(model, stack, loss, [watches[index] for index in watching.tolist()])
        better = watching[dev < best[watching]]
        best[watching] = torch.fmin(best[watching], dev)
        waited[watching] += 1
        waited[better] = 0
        epoch[better] = number
        for name, tensor in stack.parameters.items():
            kept[name][better] = tensor[stack.places(owner[better])]
    return Trained(kept, epoch, best)


def _epoch(model: Model, stack: "_Stack", loss: Loss, orders: Sequence[Tensor], settings: TrainingSettings) -> None:
    """Take one pass over every active problem's rows, all problems step by step together."""
    size = settings.batch_size
    for begin in range(0, len(orders[0]), size):
        batches = [order[begin : begin + size] for order in orders if begin < len(order)]
        going = len(batches)  # the first ones: problems with more rows come first
        problems = stack.problems[:going]
        batch, real = _padded(batches)
        mine = {name: tensor[:going].detach().requires_grad_() for name, tensor in stack.parameters.items()}
        each = loss(model.output(mine, problems, batch), model.truth(problems, batch))
        slopes = torch.autograd.grad(((each * real).sum(1) / real.sum(1)).sum(), list(mine.values()))
        # The fused step reads memory in order: a transposed slope would be applied to the wrong weights.
        stack.step({name: slope.contiguous() for name, slope in zip(mine, slopes, strict=True)}, settings)


def _order(rows: Tensor, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed << 20) + epoch)
    return rows[torch.randperm(len(rows), generator=generator)]


def _padded(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack row lists of different lengths; returns rows and a 0/1 weight, both `[problem, row]`."""
    batch = torch.nn.utils.rnn.pad_sequence(list(batches), batch_first=True)
    length = torch.tensor([len(one) for one in batches])
    return batch, (torch.arange(batch.shape[1]) < length[:, None]).float()


@torch.no_grad()
def _dev_losses(model: Model, stack: "_Stack", loss: Loss, watches: Sequence[Watch]) -> Tensor:
    losses = []
    for some in _chunks(watches, memory.at_most(4 * DEV_FLOATS, DEV_SHARE) // 4 // model.width):
        batch, real = _padded([watch.rows for watch in some])
        problems = torch.tensor([watch.problem for watch in some])
        mine = {name: tensor[stack.places(problems)] for name, tensor in stack.parameters.items()}
        each = loss(model.output(mine, problems, batch), model.truth(problems, batch))
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


@dataclass(frozen=True)
class _Stack:
    """The problems that still learn: parameters and AdamW's moments (Loshchilov and Hutter 2019), changed in place."""

    problems: Tensor
    parameters: Parameters
    first: Parameters
    second: Parameters
    steps: Parameters
    """How many steps each problem has taken, `[problem]`."""

    @classmethod
    def begin(cls, start: Parameters, problems: Tensor) -> "_Stack":
        parameters = {name: tensor[problems] for name, tensor in start.items()}
        first, second = ({name: torch.zeros_like(tensor) for name, tensor in parameters.items()} for _ in range(2))
        return cls(problems, parameters, first, second, {name: torch.zeros(len(problems)) for name in parameters})

    def only(self, active: Tensor) -> "_Stack":
        """Drop what has stopped."""
        if active.all():
            return self
        moved = ({name: tensor[active] for name, tensor in some.items()} for some in list(vars(self).values())[1:])
        return _Stack(self.problems[active], *moved)

    def places(self, problems: Tensor) -> Tensor:
        """Find where problems are in the stack."""
        return (self.problems == problems[:, None]).int().argmax(1)

    def step(self, slopes: Parameters, settings: TrainingSettings) -> None:
        """Let the first problems take a step each, with their own learning rate and decay."""
        going = len(next(iter(slopes.values())))
        alike: dict[tuple[float, float], list[int]] = {}
        for place, problem in enumerate(self.problems[:going].tolist()):
            alike.setdefault((settings.learning_rate[problem], settings.weight_decay[problem]), []).append(place)
        for (learning_rate, weight_decay), places in alike.items():
            adamw(
                _views(self.parameters, slopes, places),
                _views(slopes, slopes, places),
                _views(self.first, slopes, places),
                _views(self.second, slopes, places),
                [],
                _views(self.steps, slopes, places),
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=learning_rate,
                weight_decay=weight_decay,
                eps=settings.epsilon,
                maximize=False,
            )


def _views(some: Parameters, names: Parameters, places: Sequence[int]) -> list[Tensor]:
    """Return the tensor of every name and place, as it lies in the stack."""
    found = {name: some[name].unbind() for name in names}
    return [found[name][place] for name in names for place in places]
