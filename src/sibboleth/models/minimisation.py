"""Many smooth problems minimised at once by preconditioned L-BFGS, each with its own step length and its own end."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 12
ITERATIONS = 1000
TOLERANCE = 2e-8
"""A problem is done when the square root of slope^2 / curvature, summed, is below this.

Its half square is about the loss still to be gained, so that further steps would move outputs by about so much.
"""
HALVINGS = 30
SUFFICIENT_DECREASE = 1e-4
LEAST_CURVATURE = 1e-6
"""Of a loss by its outputs, where it is nearly 0 for every row."""
NOISE = 1e-10
"""Relative change of a loss below which its slope is believed rather than its value, which rounding has eaten."""


@dataclass(frozen=True)
class Evaluation:
    """A function at one point of every problem: value `[problem]`, slope and curvature `[problem, parameter]`.

    The curvature is positive and roughly the diagonal of the Hessian; it decides how fast, not where, the search ends.
    """

    value: Tensor
    slope: Tensor
    curvature: Tensor

    def __getitem__(self, index: Tensor) -> "Evaluation":
        """Return some problems."""
        return Evaluation(self.value[index], self.slope[index], self.curvature[index])


Objective = Callable[[Tensor, Tensor], Evaluation]
"""Numbers of problems `[problem]` and points `[problem, parameter]` to what the function is there."""
Pair = tuple[Tensor, Tensor, Tensor]
"""A step, the change of the slope along it, and 1 / their product (0 where that is not positive)."""


def minimise(objective: Objective, start: Tensor) -> Tensor:
    """Minimise every problem from its start `[problem, parameter]`; one that is done is dropped from the work."""
    solution = start.clone()
    problems, at = torch.arange(len(start)), start
    here = objective(problems, at)
    pairs: list[Pair] = []
    stuck = torch.zeros(len(start), dtype=torch.bool)
    for _ in range(ITERATIONS):
        done = stuck | ((here.slope.square() / here.curvature).sum(1) <= TOLERANCE**2)
        if done.any():
            solution[problems[done]] = at[done]
            left = ~done
            problems, at, here = problems[left], at[left], here[left]
            pairs = [(step[left], change[left], inverse[left]) for step, change, inverse in pairs]
        if len(problems) == 0:
            return solution
        direction = _direction(here, pairs)
        following, there, stuck = _search(objective, problems, at, here, direction)
        step, change = following - at, there.slope - here.slope
        product = torch.linalg.vecdot(step, change)
        pairs = [*pairs[1 - MEMORY :], (step, change, torch.where(product > 0, 1 / product, 0.0))]
        at, here = following, there
    solution[problems] = at
    return solution


def _direction(here: Evaluation, pairs: list[Pair]) -> Tensor:
    """Apply the two-loop recursion (Nocedal 1980), with the curvature of now in its middle; always downhill."""
    vector = -here.slope
    weights = []
    for step, change, inverse in reversed(pairs):
        weights.append(torch.linalg.vecdot(step, vector) * inverse)
        vector = torch.addcmul(vector, weights[-1][:, None], change, value=-1)
    vector = vector / here.curvature
    for (step, change, inverse), weight in zip(pairs, reversed(weights), strict=True):
        back = torch.linalg.vecdot(change, vector) * inverse
        vector = torch.addcmul(vector, (weight - back)[:, None], step)
    downhill = torch.linalg.vecdot(vector, here.slope) < 0
    return torch.where(downhill[:, None], vector, -here.slope / here.curvature)


def _search(
    objective: Objective, problems: Tensor, at: Tensor, here: Evaluation, direction: Tensor
) -> tuple[Tensor, Evaluation, Tensor]:
    """Halve each problem's step until its loss falls enough; returns points and which problems are stuck."""
    best = at + direction
    there = objective(problems, best)
    waiting = (~_enough(here, there, direction, 1.0)).nonzero()[:, 0]
    length = 1.0
    for _ in range(HALVINGS):
        if len(waiting) == 0:
            break
        length /= 2
        best[waiting] = at[waiting] + length * direction[waiting]
        trial = objective(problems[waiting], best[waiting])
        for whole, part in zip(vars(there).values(), vars(trial).values(), strict=True):
            whole[waiting] = part
        waiting = waiting[~_enough(here[waiting], trial, direction[waiting], length)]
    stuck = torch.zeros(len(at), dtype=torch.bool)
    stuck[waiting] = True
    for whole, part in zip((best, *vars(there).values()), (at, *vars(here).values()), strict=True):
        whole[waiting] = part[waiting]
    return best, there, stuck


def _enough(here: Evaluation, there: Evaluation, direction: Tensor, length: float) -> Tensor:
    """Ask for Armijo's decrease, or near the end for what the slopes say of it (Hager and Zhang 2005)."""
    before = torch.linalg.vecdot(direction, here.slope)
    after = torch.linalg.vecdot(direction, there.slope)
    falls = there.value <= here.value + SUFFICIENT_DECREASE * length * before
    flat = there.value <= here.value + NOISE * here.value.abs()
    enough: Tensor = falls | (flat & (after <= (2 * SUFFICIENT_DECREASE - 1) * before))
    return enough
