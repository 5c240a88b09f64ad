"""Linear problems with many rows, which read the features block by block.

All problems share the rows, so that one step of all of them is two matrix products.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sibboleth import memory
from sibboleth.models.losses import Kind, terms
from sibboleth.models.minimisation import LEAST_CURVATURE, Evaluation
from sibboleth.models.spanned import inverse_deviation, ranges

BLOCK_BYTES, BLOCK_SHARE = 32 * 2**20, 16
"""Memory for the features, or the outputs, of rows that are looked at together; one of so many parts of a limit."""
AXES_ROWS = 8192
"""Rows of a set, evenly spaced, from which its axes are found; they decide how fast, not where, the search ends."""


class Streamed:
    """Problems of several training sets by several penalties; a point is `[out, 1 + axis]`, the bias first."""

    def __init__(self, features: Tensor, truth: Tensor, sets: Sequence[Tensor], penalty: Tensor, loss: Kind) -> None:
        """Look through the features once: `[row, dim]`, truth `[row, out]`, rows of each set."""
        self.features, self.penalty, self.loss = features, penalty.double(), loss
        self.dim, self.out = features.shape[1], truth.shape[1]
        self.problems = len(sets) * len(penalty)
        self.rows = torch.unique(torch.cat(list(sets)))
        self.truth = truth[self.rows].double().T.contiguous()
        self.size = torch.tensor([len(one) for one in sets], dtype=torch.float64)
        self.member = torch.stack([torch.isin(self.rows, one) for one in sets])
        self.block = max(1, memory.at_most(BLOCK_BYTES, BLOCK_SHARE) // (8 * max(self.dim, self.problems * self.out)))
        self.whole = self._read(0) if self.block >= len(self.rows) else None
        self.mean, self.scale = self._moments()
        self.moment, self.axes = self._principal_axes(sets)

    @property
    def start(self) -> Tensor:
        """Where the search begins, `[problem, parameter]`."""
        return torch.zeros(self.problems, self.out * (1 + self.dim), dtype=torch.float64)

    def __call__(self, problems: Tensor, at: Tensor) -> Evaluation:
        """Evaluate some problems."""
        count, owner = len(at), problems // len(self.penalty)
        point = at.view(count, self.out, 1 + self.dim)
        mean, scale = self.mean[owner, None], self.scale[owner, None]
        weight = torch.empty(count, self.out, self.dim, dtype=torch.float64)
        for index, mine in ranges(owner, len(self.axes)):
            weight[mine] = point[mine, :, 1:] @ self.axes[index].T
        weight *= scale
        offset = point[:, :, :1] - (weight * mean).sum(2, keepdim=True)
        weight = weight.view(-1, self.dim)
        value, rate = torch.zeros(2, count, dtype=torch.float64)
        at_bias, slope = torch.zeros_like(offset), torch.zeros_like(weight)
        for begin, x in self._blocks():
            rows = slice(begin, begin + len(x))
            found = terms((weight @ x.T).view(count, self.out, -1) + offset, self.truth[:, rows], self.loss)
            share = self.member[owner, rows] / self.size[owner, None]
            value += (found.value * share).sum(1)
            rate += (found.curvature * share).sum(1)
            pull = found.slope * share[:, None]
            at_bias += pull.sum(2, keepdim=True)
            slope.addmm_(pull.view(-1, len(x)), x)
        slope = (slope.view(count, self.out, -1) - at_bias * mean) * scale
        for index, mine in ranges(owner, len(self.axes)):
            slope[mine] = slope[mine] @ self.axes[index]
        penalty = self.penalty[problems % len(self.penalty), None, None].repeat(1, 1, 1 + self.dim)
        penalty[:, :, 0] = 0
        slope = torch.cat([at_bias, slope], 2) + penalty * point
        curvature = rate.clamp(min=LEAST_CURVATURE)[:, None, None] * self.moment[owner, None] + penalty
        value += 0.5 * (penalty * point.square()).sum((1, 2))
        return Evaluation(value, slope.view(count, -1), curvature.repeat(1, self.out, 1).view(count, -1))

    def weights(self, solution: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights `[set, penalty, dim, out]` and biases `[set, penalty, out]` of features as they came."""
        point = solution.view(len(self.size), len(self.penalty), self.out, 1 + self.dim)
        weight = torch.stack([some[..., 1:] @ axes.T for some, axes in zip(point, self.axes, strict=True)])
        weight *= self.scale[:, None, None]
        bias = point[..., 0] - (weight * self.mean[:, None, None]).sum(3)
        return weight.transpose(2, 3), bias

    def _read(self, begin: int) -> Tensor:
        return self.features[self.rows[begin : begin + self.block]].double()

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the features of all rows, in float64, with the number of the first."""
        if self.whole is not None:
            yield 0, self.whole
            return
        for begin in range(0, len(self.rows), self.block):
            yield begin, self._read(begin)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and 1 / standard deviation of the features of every set, `[set, dim]`."""
        center = torch.zeros(self.dim, dtype=torch.float64)
        mean, square = torch.zeros(2, len(self.size), self.dim, dtype=torch.float64)
        for _, x in self._blocks():
            center += x.sum(0) / len(self.rows)
        for begin, x in self._blocks():
            share = self.member[:, begin : begin + len(x)] / self.size[:, None]
            apart = x - center
            mean += share @ apart
            square += share @ apart.square()
        return mean + center, inverse_deviation((square - mean.square()).clamp(min=0))

    def _principal_axes(self, sets: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return orthogonal axes `[dim, axis]` of each set's features, and second moments `[set, 1 + axis]`."""
        moment, every = torch.ones(len(sets), 1 + self.dim, dtype=torch.float64), []
        most = min(AXES_ROWS, max(self.dim, memory.at_most(AXES_ROWS * 8 * self.dim, BLOCK_SHARE) // (8 * self.dim)))
        for index, rows in enumerate(sets):
            some = self.features[rows[:: -(-len(rows) // most)]].double()
            some = (some - self.mean[index]) * self.scale[index]
            found, axes = torch.linalg.eigh(some.T @ some / len(some))
            moment[index, 1:] = found.clamp(min=0)
            every.append(axes)
        return moment, every
