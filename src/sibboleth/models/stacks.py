"""Stacks of heads over the features of a cell, each standardised by its own training rows if asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sibboleth import memory
from sibboleth.models import held
from sibboleth.models.heads import Mlp, Parameters

OUTPUT_FLOATS, OUTPUT_SHARE = 16_000_000, 16
"""Features of rows that a trained head answers together; one of so many parts of a limit of memory."""


@dataclass(frozen=True)
class Scaling:
    """How every training set scales features and truth, found on its own rows."""

    center: Tensor | None
    scale: Tensor | None
    """Of features, `[set, layer, dim]`; none if they stay as they are."""
    origin: Tensor
    unit: Tensor
    """Of the truth, `[set, out]`."""

    @classmethod
    def of(
        cls, features: held.Rows, truth: Tensor, sets: Sequence[Tensor], standardise: bool, numbers: bool
    ) -> "Scaling":
        """Find it: features `[row, layer, dim]` are standardised if asked, the truth `[row, out]` if it is numbers."""
        origin, unit = torch.zeros(len(sets), truth.shape[1]), torch.ones(len(sets), truth.shape[1])
        if numbers:
            for index, rows in enumerate(sets):
                deviation, origin[index] = torch.std_mean(truth[rows].float(), 0, correction=0)
                unit[index] = deviation.clamp(min=1e-6)
        center, scale = _scales(features, sets) if standardise else (None, None)
        return cls(center, scale, origin, unit)


@dataclass(frozen=True)
class HeadStack:
    """Problems that each train one head; `training.Model`.

    features are `[row, layer, dim]`; problem p uses those of `layer[p]`, or of all, mixed.
    """

    head: Mlp
    features: held.Rows
    known: Tensor
    """What is to be learnt, `[row, out]`."""
    scaling: Scaling
    layer: Tensor
    owner: Tensor
    """Training set of each problem."""

    @property
    def width(self) -> int:
        """Number of floats that the features of one row take."""
        return self.head.dim * max(1, self.head.mixed_layers)

    def output(self, parameters: Parameters, problems: Tensor, rows: Tensor) -> Tensor:
        """Return outputs `[problem, row, out]` for problems `[problem]` and rows `[problem, row]`."""
        if self.head.mixed_layers and not self.head.hidden:
            return self._linear_mix(parameters, problems, rows)
        owner = self.owner[problems]
        if self.head.mixed_layers:
            place: tuple[Tensor, ...] = (owner,)
            features = self.features.index_select(0, rows.flatten()).view(*rows.shape, *self.features.shape[1:])
        else:
            place = owner, self.layer[problems]
            features = self.features[rows, self.layer[problems][:, None]]
        if self.scaling.center is not None and self.scaling.scale is not None:
            features = (features - self.scaling.center[place][:, None]) * self.scaling.scale[place][:, None]
        return self.head(parameters, features)

    def truth(self, problems: Tensor, rows: Tensor) -> Tensor:
        """Return what is to be learnt, `[problem, row, out]`, scaled."""
        owner = self.owner[problems]
        return (self.known[rows] - self.scaling.origin[owner][:, None]) / self.scaling.unit[owner][:, None]

    @torch.no_grad()
    def answer(self, parameters: Parameters, problem: int, rows: Tensor) -> Tensor:
        """Return outputs `[row, out]` of one problem's head, in the truth's own unit."""
        one, owner = torch.tensor([problem]), self.owner[problem]
        parts = torch.split(rows, max(1, memory.at_most(4 * OUTPUT_FLOATS, OUTPUT_SHARE) // 4 // self.width))
        output = torch.cat([self.output(parameters, one, some[None])[0] for some in parts])
        return output * self.scaling.unit[owner] + self.scaling.origin[owner]

    def _linear_mix(self, parameters: Parameters, problems: Tensor, rows: Tensor) -> Tensor:
        """Scale and mix weights instead of features: they are far fewer. Problems with equal rows share features."""
        owner = self.owner[problems]
        scaling = self.scaling
        scale = torch.ones(1, *self.features.shape[1:]) if scaling.scale is None else scaling.scale[owner]
        weight = self.head.spread(parameters, scale)
        offset = parameters["bias0"]
        if scaling.center is not None:
            offset = offset - (weight @ scaling.center[owner].flatten(1)[:, :, None])[:, :, 0]
        outputs = []
        for same, alike in zip(*_alike(rows, weight), strict=True):
            features = self.features.index_select(0, same).flatten(1)
            together = alike.flatten(0, 1) @ features.T
            outputs.append(together.view(len(alike), -1, len(same)))
        return torch.cat(outputs).transpose(1, 2) + offset[:, None]


def _alike(rows: Tensor, weight: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Divide weights `[problem, ...]` among neighbours with equal rows `[problem, row]`; returns the rows once each."""
    begins = [0, *((rows[1:] != rows[:-1]).any(1).nonzero()[:, 0] + 1).tolist()]
    sizes = [end - begin for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True)]
    return [rows[begin] for begin in begins], torch.split(weight, sizes)


def _scales(features: held.Rows, sets: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / standard deviation (0 where constant) of every set's features, `[set, layer, dim]`."""
    center, scale = torch.empty(2, len(sets), *features.shape[1:])
    for layer in range(features.shape[1]):
        for index, rows in enumerate(sets):
            deviation, center[index, layer] = torch.std_mean(features[rows, layer], 0, correction=0)
            scale[index, layer] = torch.where(deviation > 1e-6 * deviation.max(), 1 / deviation, 0.0)
    return center, scale
