"""Heads trained with every candidate for the hyper-parameters, all in one stack; dev chooses candidate and epoch."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sibboleth import memory
from sibboleth.models import held, threads
from sibboleth.models.heads import Mlp, Parameters
from sibboleth.models.stack_training import Loss, Trained, TrainingSettings, Watch, train
from sibboleth.models.stacks import HeadStack, Scaling
from sibboleth.probes import MlpProbe
from sibboleth.splits import Fit, Rows

STACK_FLOATS, STACK_SHARE = 2_000_000, 64
"""Parameters that one stack of heads may hold: one that leaves the processor's caches is slower, not faster. As bytes,
at most one of so many parts of a limit of memory: moments, slopes and what watches keep come to several times as much.
"""


class Candidate(NamedTuple):
    """Hyper-parameters among which dev chooses."""

    learning_rate: float
    weight_decay: float


class Problem(NamedTuple):
    """One head to train."""

    layer: int
    owner: int
    """Its training set."""
    trial: int
    candidate: Candidate


@dataclass(frozen=True)
class Best:
    """The head that dev chose for one fit, layer and trial."""

    fit: int
    layer: int
    trial: int
    candidate: Candidate
    epoch: int
    stack: HeadStack
    problem: int
    parameters: Parameters

    def output(self, rows: Rows) -> Tensor:
        """Return outputs `[row, out]`."""
        return self.stack.answer(self.parameters, self.problem, torch.tensor(rows))


def candidates(settings: MlpProbe) -> tuple[Candidate, ...]:
    """List the candidates; of equals on dev the first is chosen."""
    return tuple(Candidate(*one) for one in itertools.product(settings.learning_rate, settings.weight_decay))


def stack_floats() -> int:
    """Return how many parameters one stack of heads may hold."""
    return max(1, memory.at_most(4 * STACK_FLOATS, STACK_SHARE) // 4)


def trained(
    head: Mlp,
    features: held.Rows,
    truth: Tensor,
    fits: Sequence[Fit],
    seeds: Sequence[int],
    settings: MlpProbe,
    loss: Loss,
    numbers: bool,
) -> Iterator[Best]:
    """Train one head per layer, training set, seed and candidate; yields the best per layer, fit and seed.

    features `[row, layer, dim]`, all layers together where the head mixes them, truth `[row, out]`. A head starts and
    goes through its rows as its seed says, whatever the candidate.
    """
    sets, owner = training_sets(fits)
    rows = [torch.tensor(one) for one in sets]
    scaling = Scaling.of(features, truth, rows, settings.standardise, numbers)
    layers = 1 if head.mixed_layers else features.shape[1]
    every = candidates(settings)
    rivals = [
        [Problem(*one, candidate) for candidate in every]
        for one in itertools.product(range(layers), range(len(sets)), range(len(seeds)))
    ]
    together = max(1, stack_floats() // (head.size * len(every)))
    for begin in range(0, len(rivals), together):
        some = list(itertools.chain.from_iterable(rivals[begin : begin + together]))
        layer, owners = torch.tensor([one.layer for one in some]), torch.tensor([one.owner for one in some])
        stack = HeadStack(head, features, truth.float(), scaling, layer, owners)
        watched = [
            (number, index)
            for number, one in enumerate(some)
            for index in range(len(fits))
            if owner[index] == one.owner
        ]
        watches = [Watch(number, torch.tensor(fits[index].dev)) for number, index in watched]
        result = _train(stack, some, rows, seeds, watches, settings, loss)
        yield from _best(stack, some, watched, result)


def _train(
    stack: HeadStack,
    problems: Sequence[Problem],
    rows: Sequence[Tensor],
    seeds: Sequence[int],
    watches: Sequence[Watch],
    settings: MlpProbe,
    loss: Loss,
) -> Trained:
    mine = [seeds[one.trial] for one in problems]
    wanted = TrainingSettings(
        learning_rate=[one.candidate.learning_rate for one in problems],
        weight_decay=[one.candidate.weight_decay for one in problems],
        **settings.model_dump(include={"epsilon", "batch_size", "epochs", "patience"}),
    )
    with threads.worth(6.0 * settings.batch_size * stack.head.size * len(problems)):
        return train(stack, stack.head.start(mine), loss, [rows[one.owner] for one in problems], mine, watches, wanted)


def _best(
    stack: HeadStack, problems: Sequence[Problem], watched: Sequence[tuple[int, int]], result: Trained
) -> Iterator[Best]:
    """Choose the candidate with the lowest dev loss for every fit, layer and trial."""
    rivals: dict[tuple[int, int, int], list[int]] = {}
    for watch, (number, fit) in enumerate(watched):
        rivals.setdefault((problems[number].layer, fit, problems[number].trial), []).append(watch)
    for (layer, fit, trial), mine in rivals.items():
        watch = mine[int(result.dev_loss[mine].argmin())]
        number = watched[watch][0]
        parameters = {name: tensor[watch : watch + 1] for name, tensor in result.parameters.items()}
        yield Best(fit, layer, trial, problems[number].candidate, int(result.epoch[watch]), stack, number, parameters)


def training_sets(fits: Sequence[Fit]) -> tuple[list[Rows], list[int]]:
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
