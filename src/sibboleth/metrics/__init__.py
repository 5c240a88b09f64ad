"""Metrics, as addable parts and a rate over their sums.

A metric never averages rates: each answer gives a row of parts (counts, moments), rows are summed over whatever is
asked (a slice, a bootstrap resample), and `rate` turns sums into the number. So UAR, CCC and WER are pooled, sliced
and resampled by the same three lines of code, and a resample costs one matrix product.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Answers = TypeVar("Answers")


@dataclass(frozen=True)
class Metric(Generic[Answers]):
    """A number that says how good answers are, over any set of them."""

    name: str
    """Name in the scores table, e.g. `uar`."""
    title: str
    """Name in figures, e.g. `UAR`."""
    parts: Callable[[Answers], Array]
    """Answers beside their reference to addable parts `[answer, part]`."""
    rate: Callable[[Array], Array]
    """Summed parts `[..., part]` to the number `[...]`; NaN, never 0, where it is undefined."""
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)

    def __call__(self, answers: Answers) -> float:
        """Score all answers together."""
        return float(self.rate(self.parts(answers).sum(axis=0)))
