"""Linear problems with fewer rows than features, each solved in the span of its own training rows."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sibboleth.models.losses import Kind, terms
from sibboleth.models.minimisation import LEAST_CURVATURE, Evaluation


class Spanned:
    """Problems of several training sets by several penalties; a point is `[out, 1 + axis]`, the bias first."""

    def __init__(self, sets: Sequence[tuple[Tensor, Tensor]], truth: Tensor, penalty: Tensor, loss: Kind) -> None:
        """Find the axes of every set, given features `[row, dim]` and its rows; truth is `[row, out]`."""
        self.penalty, self.loss = penalty.double(), loss
        self.axes = [_Axes(features[rows]) for features, rows in sets]
        self.truth = [truth[rows].double().T.contiguous() for _, rows in sets]
        self.out = truth.shape[1]
        self.width = 1 + max(axes.design.shape[1] - 1 for axes in self.axes)
        self.moment = torch.ones(len(sets), self.width, dtype=torch.float64)
        for index, axes in enumerate(self.axes):
            self.moment[index, : axes.design.shape[1]] = axes.design.square().mean(0)

    @property
    def start(self) -> Tensor:
        """Where the search begins, `[problem, parameter]`."""
        return torch.zeros(len(self.axes) * len(self.penalty), self.out * self.width, dtype=torch.float64)

    def __call__(self, problems: Tensor, at: Tensor) -> Evaluation:
        """Evaluate some problems, in ascending order."""
        point = at.reshape(len(at), self.out, self.width)
        penalty = self.penalty[problems % len(self.penalty)][:, None, None].expand(-1, 1, self.width).clone()
        penalty[:, :, 0] = 0
        slope = penalty * point
        value = 0.5 * (slope * point).sum((1, 2))
        rate = torch.empty_like(value)
        owner = problems // len(self.penalty)
        for index, mine in ranges(owner, len(self.axes)):
            design = self.axes[index].design
            rows, width = design.shape
            weight = point[mine, :, :width].reshape(-1, width)
            found = terms((weight @ design.T).view(-1, self.out, rows), self.truth[index], self.loss)
            value[mine] += found.value.mean(1)
            rate[mine] = found.curvature.mean(1)
            slope[mine, :, :width] += (found.slope.view(-1, rows) @ design / rows).view(-1, self.out, width)
        curvature = rate.clamp(min=LEAST_CURVATURE)[:, None, None] * self.moment[owner][:, None] + penalty
        return Evaluation(value, slope.flatten(1), curvature.expand_as(point).reshape(len(at), -1))

    def weights(self, solution: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights `[set, penalty, dim, out]` and biases `[set, penalty, out]` of features as they came."""
        points = solution.reshape(len(self.axes), len(self.penalty), self.out, self.width)
        found = [axes.weights(point) for axes, point in zip(self.axes, points, strict=True)]
        return torch.stack([weight for weight, _ in found]), torch.stack([bias for _, bias in found])


class _Axes:
    """The principal axes of one training set's standardised features, from its rows `[row, dim]`."""

    def __init__(self, features: Tensor) -> None:
        x = features.double()
        variance, self.mean = torch.var_mean(x, 0, correction=0)
        self.scale = inverse_deviation(variance)
        # The axes are orthogonal to the last bit of float64 even where features depend on each other: QR needs no
        # rank, and turning its triangle by eigenvectors is a rotation whatever their eigenvalues.
        span, triangle = torch.linalg.qr(((x - self.mean) * self.scale).T)
        turn = torch.linalg.eigh(triangle @ triangle.T)[1]
        self.axes = span @ turn
        self.design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), triangle.T @ turn], 1)

    def weights(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Turn points `[penalty, out, 1 + axis]` into weights `[penalty, dim, out]` and biases `[penalty, out]`."""
        own = points[:, :, : self.design.shape[1]]
        weight = (own[:, :, 1:] @ self.axes.T * self.scale).transpose(1, 2)
        return weight, own[:, :, 0] - (self.mean[:, None] * weight).sum(1)


def inverse_deviation(variance: Tensor) -> Tensor:
    """Return 1 / standard deviation `[..., dim]`, and 0 for a feature that is constant beside the others."""
    floor = 1e-12 * variance.amax(-1, keepdim=True)
    return torch.where(variance > floor, variance.clamp(min=1e-300).rsqrt(), 0.0)


def ranges(owner: Tensor, sets: int) -> Iterator[tuple[int, slice]]:
    """Find which problems, in ascending order, belong to each set that has any left."""
    begin = 0
    for index, count in enumerate(torch.bincount(owner, minlength=sets).tolist()):
        if count:
            yield index, slice(begin, begin + count)
        begin += count
