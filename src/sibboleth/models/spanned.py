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
        self.penalty, self.loss, self.out = penalty.double(), loss, truth.shape[1]
        self.axes = [_Axes(features[rows]) for features, rows in sets]
        # Sets are filled up with rows of no importance and axes of no extent, so that they stand side by side.
        rows = max(axes.rows for axes in self.axes)
        self.design = torch.zeros(len(sets), rows, 1 + rows, dtype=torch.float64)
        self.truth = torch.zeros(len(sets), self.out, rows, dtype=torch.float64)
        self.share = torch.zeros(len(sets), rows, dtype=torch.float64)
        for index, (axes, (_, mine)) in enumerate(zip(self.axes, sets, strict=True)):
            self.design[index, : axes.rows, : 1 + axes.rank] = axes.design
            self.truth[index, :, : axes.rows] = truth[mine].T
            self.share[index, : axes.rows] = 1 / axes.rows
        self.moment = (self.share[:, None] @ self.design.square())[:, 0]

    @property
    def start(self) -> Tensor:
        """Where the search begins, `[problem, parameter]`."""
        width = self.design.shape[2]
        return torch.zeros(len(self.axes) * len(self.penalty), self.out * width, dtype=torch.float64)

    def __call__(self, problems: Tensor, at: Tensor) -> Evaluation:
        """Evaluate some problems, in ascending order."""
        owner = problems // len(self.penalty)
        rows, width = self.design.shape[1:]
        point = at.view(len(at), self.out, width)
        mine = list(ranges(owner, len(self.axes)))
        output, slope = torch.empty(len(at), self.out, rows, dtype=torch.float64), torch.empty_like(point)
        for index, some in mine:
            torch.mm(point[some].flatten(0, 1), self.design[index].T, out=output[some].view(-1, rows))
        found, share = terms(output, self.truth[owner], self.loss), self.share[owner]
        pull = found.slope * share[:, None]
        for index, some in mine:
            torch.mm(pull[some].flatten(0, 1), self.design[index], out=slope[some].view(-1, width))
        penalty = self.penalty[problems % len(self.penalty), None, None].repeat(1, 1, width)
        penalty[:, :, 0] = 0
        weighed = penalty * point
        value = torch.linalg.vecdot(found.value, share) + 0.5 * torch.linalg.vecdot(weighed.flatten(1), at)
        rate = torch.linalg.vecdot(found.curvature, share).clamp(min=LEAST_CURVATURE)
        curvature = rate[:, None, None] * self.moment[owner, None] + penalty
        slope += weighed
        return Evaluation(value, slope.flatten(1), curvature.expand(-1, self.out, -1).flatten(1))

    def weights(self, solution: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights `[set, penalty, dim, out]` and biases `[set, penalty, out]` of features as they came."""
        points = solution.view(len(self.axes), len(self.penalty), self.out, -1)
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
        self.rows, self.rank = triangle.T.shape
        self.design = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), triangle.T @ turn], 1)

    def weights(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Turn points `[penalty, out, 1 + axis]` into weights `[penalty, dim, out]` and biases `[penalty, out]`."""
        own = points[:, :, : 1 + self.rank]
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
