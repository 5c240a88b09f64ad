"""Metric: addable parts and a rate over their sums."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice


class Answers(Protocol):
    """Answers beside their reference, in whatever form a kind of target needs."""

    def __len__(self) -> int:
        """Count the answers."""
        ...

    def take(self, rows: Rows) -> Self:
        """Return some of the answers."""
        ...


Kind = TypeVar("Kind", bound=Answers)


@dataclass(frozen=True)
class Metric(Generic[Kind]):
    """A number that says how good answers are, over any set of them."""

    name: str
    """Name in the scores table, e.g. `uar`."""
    title: str
    """Name in figures, e.g. `UAR`."""
    parts: Callable[[Kind], Array]
    """Answers beside their reference to addable parts `[answer, part]`."""
    rate: Callable[[Array], Array]
    """Summed parts `[..., part]` to the number `[...]`; NaN, never 0, where it is undefined."""
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    needs_posterior: bool = False
    """Says something only about answers that are distributions; forced choices are not scored with it."""
    ratio: bool = False
    """Errors per unit, so that groups are also compared by how many times as many one has as another."""

    def __call__(self, answers: Kind) -> float:
        """Score all answers together."""
        return float(self.rate(self.parts(answers).sum(axis=0)))


@dataclass(frozen=True)
class Breakdown(Generic[Kind]):
    """A metric for each class, or each cell of a matrix, from the same parts."""

    name: str
    """Name in the scores table, e.g. `recall`."""
    slices: tuple[str, ...]
    """Slice of each number, e.g. `label=angry`."""
    labels: tuple[int, ...]
    """Index of the reference label that each number is about."""
    parts: Callable[[Kind], Array]
    """Answers beside their reference to addable parts `[answer, part]`."""
    rate: Callable[[Array], Array]
    """Summed parts `[..., part]` to the numbers `[..., slice]`; NaN, never 0, where one is undefined."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """Least and largest that a number can be."""


def divide(numerator: Array, denominator: Array) -> Array:
    """Divide, with NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)
