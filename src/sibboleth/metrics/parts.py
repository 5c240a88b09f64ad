"""Parts of several metrics side by side; metrics that need the same parts share them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sibboleth.metrics.metric import Answers, Array, Breakdown, Metric

Either = Metric[Any] | Breakdown[Any]


@dataclass(frozen=True)
class Parts:
    """Addable parts of every answer for a family of metrics."""

    rows: Array
    """`[answer, part]`."""
    places: dict[Callable[[Any], Array], slice]
    """Columns that each function of parts filled."""

    @classmethod
    def of(cls, metrics: Sequence[Either], answers: Answers) -> "Parts":
        """Compute each function of parts once."""
        blocks: list[Array] = []
        places: dict[Callable[[Any], Array], slice] = {}
        start = 0
        for function in dict.fromkeys(metric.parts for metric in metrics):
            blocks.append(function(answers))
            places[function] = slice(start, start + blocks[-1].shape[1])
            start += blocks[-1].shape[1]
        return cls(np.concatenate(blocks, axis=1), places)

    def rates(self, metrics: Sequence[Either]) -> Callable[[Array], Array]:
        """Return the function from summed parts `[..., part]` to all numbers of these metrics `[..., number]`."""

        def numbers(sums: Array) -> Array:
            found = [(metric, metric.rate(sums[..., self.places[metric.parts]])) for metric in metrics]
            columns = [rate[..., None] if isinstance(metric, Metric) else rate for metric, rate in found]
            return np.concatenate(columns, axis=-1)

        return numbers
