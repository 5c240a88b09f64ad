"""Many linear probes as one convex problem: L2-regularised logistic or ridge regression by batched L-BFGS.

All problems share one feature matrix and differ in which rows they train on and how strongly they are penalised, so
every step of all of them is two matrix products. Each problem minimises, over weights W and bias b of features
standardised on its own training rows,

    mean over its rows of loss(W x + b, y)  +  penalty / 2 * ||W||^2

with cross-entropy against a label distribution, or half the squared error. The bias is not penalised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sibboleth.models import threads

Loss = Literal["cross-entropy", "squared"]

MEMORY = 10
ITERATIONS = 500
TOLERANCE = 1e-6
HALVINGS = 20
SUFFICIENT_DECREASE = 1e-4


@dataclass(frozen=True)
class LinearProbes:
    """Solved problems, with standardisation folded into weights `[problem, dim, out]` and bias `[problem, out]`."""

    weight: Tensor
    bias: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Return logits (or numbers) `[problem, row, out]` of features `[row, dim]`."""
        return features.double() @ self.weight + self.bias[:, None]


def solve(features: Tensor, truth: Tensor, rows: Tensor, penalty: Tensor, loss: Loss) -> LinearProbes:
    """Solve every problem to the optimum.

    features `[row, dim]`, truth `[row, out]` (a distribution or a number), rows `[problem, row]` true where a problem
    trains, penalty `[problem]`. A feature that is constant on a problem's rows gets no weight there.
    """
    center = features.double().mean(0)
    x = features.double() - center
    share = rows.double() / rows.sum(1, keepdim=True)
    mean = share @ x
    variance = (share @ x.square() - mean.square()).clamp(min=0)
    floor = 1e-12 * variance.amax(1, keepdim=True)
    scale = torch.where(variance > floor, variance.clamp(min=1e-300).rsqrt(), torch.zeros(()).double())
    objective = _objective(x, truth.double(), share, mean, scale, penalty.double(), loss)
    start = torch.zeros(len(rows), (features.shape[1] + 1) * truth.shape[1], dtype=torch.float64)
    with threads.worth(4.0 * features.numel() * start.shape[0] * truth.shape[1]):
        solution = _minimise(objective, start)
    weight, bias = _unpack(solution, features.shape[1])
    weight = weight * scale[:, :, None]
    return LinearProbes(weight, bias - ((mean + center)[:, None] @ weight)[:, 0])


Objective = Callable[[Tensor], tuple[Tensor, Tensor]]


def _objective(
    x: Tensor, truth: Tensor, share: Tensor, mean: Tensor, scale: Tensor, penalty: Tensor, loss: Loss
) -> Objective:
    """Return the function from parameters `[problem, size]` to losses `[problem]` and gradients."""
    dim, problems = x.shape[1], len(share)

    def evaluate(parameters: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = _unpack(parameters, dim)
        effective = weight * scale[:, :, None]
        offset = bias - (mean[:, None] @ effective)[:, 0]
        columns = effective.permute(1, 0, 2).reshape(dim, -1)
        output = (x @ columns).reshape(len(x), problems, -1) + offset
        if loss == "cross-entropy":
            log_share = torch.log_softmax(output, -1)
            each = -(truth[:, None] * log_share).sum(-1)
            residual = log_share.exp() - truth[:, None]
        else:
            residual = output - truth[:, None]
            each = 0.5 * residual.square().sum(-1)
        residual = residual * share.T[:, :, None]
        total = (each * share.T).sum(0) + 0.5 * penalty * weight.square().sum((1, 2))
        slope = (x.T @ residual.reshape(len(x), -1)).reshape(dim, problems, -1).permute(1, 0, 2)
        at_bias = residual.sum(0)
        slope = (slope - mean[:, :, None] * at_bias[:, None]) * scale[:, :, None] + penalty[:, None, None] * weight
        return total, torch.cat([slope.flatten(1), at_bias], 1)

    return evaluate


def _unpack(parameters: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    out = parameters.shape[1] // (dim + 1)
    return parameters[:, : dim * out].reshape(len(parameters), dim, out), parameters[:, dim * out :]


def _minimise(objective: Objective, start: Tensor) -> Tensor:
    """Minimise every problem by L-BFGS with its own step length; a converged problem stands still."""
    at = start
    value, slope = objective(at)
    steps: list[tuple[Tensor, Tensor, Tensor]] = []
    active = slope.abs().amax(1) > TOLERANCE
    for _ in range(ITERATIONS):
        if not active.any():
            break
        direction = _direction(slope, steps)
        downhill = (direction * slope).sum(1)
        direction = torch.where((downhill < 0)[:, None], direction, -slope)
        downhill = (direction * slope).sum(1)
        following, next_value, next_slope, moved = _search(objective, at, value, slope, direction, downhill, active)
        step, change = following - at, next_slope - slope
        curvature = (step * change).sum(1)
        steps = [*steps[-MEMORY + 1 :], (step, change, curvature)]
        at, value, slope = following, next_value, next_slope
        active = moved & (slope.abs().amax(1) > TOLERANCE)
    return at


def _direction(slope: Tensor, steps: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Apply the two-loop recursion (Nocedal 1980); a problem whose curvature is not positive skips that pair."""
    vector = -slope
    weights = []
    for step, change, curvature in reversed(steps):
        usable = curvature > 1e-18
        weight = torch.where(usable, (step * vector).sum(1) / curvature.where(usable, torch.ones_like(curvature)), 0.0)
        weights.append(weight)
        vector = vector - weight[:, None] * change
    if steps:
        _, change, curvature = steps[-1]
        usable = curvature > 1e-18
        length = change.square().sum(1)
        vector = vector * torch.where(usable, curvature / length.where(usable, torch.ones_like(length)), 1.0)[:, None]
    else:
        vector = vector / vector.norm(dim=1, keepdim=True).clamp(min=1.0)
    for (step, change, curvature), weight in zip(steps, reversed(weights), strict=True):
        usable = curvature > 1e-18
        back = torch.where(usable, (change * vector).sum(1) / curvature.where(usable, torch.ones_like(curvature)), 0.0)
        vector = vector + torch.where(usable, weight - back, 0.0)[:, None] * step
    return vector


def _search(
    objective: Objective, at: Tensor, value: Tensor, slope: Tensor, direction: Tensor, downhill: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve each problem's step until the loss falls enough (Armijo); returns who moved."""
    length = active.double()
    best, best_value, best_slope = at, value, slope
    waiting = active.clone()
    for _ in range(HALVINGS):
        trial = at + length[:, None] * direction
        trial_value, trial_slope = objective(trial)
        enough = waiting & (trial_value <= value + SUFFICIENT_DECREASE * length * downhill)
        best = torch.where(enough[:, None], trial, best)
        best_value = torch.where(enough, trial_value, best_value)
        best_slope = torch.where(enough[:, None], trial_slope, best_slope)
        waiting = waiting & ~enough
        if not waiting.any():
            break
        length = torch.where(waiting, length / 2, length)
    return best, best_value, best_slope, active & ~waiting
