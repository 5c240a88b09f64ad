"""How often intervals held the truth in simulation, by the number of clusters; `benchmarks/coverage.py` measures it."""

import csv
import functools
from dataclasses import dataclass
from importlib import resources

FEW_CLUSTERS = 10
"""Clusters (speakers) below which there is a warning."""
ENOUGH_CLUSTERS = 30
"""Clusters below which what was measured is said beside intervals."""


@dataclass(frozen=True)
class Coverage:
    """Share of intervals that held the truth, from the worst to the best of the ordinary kinds of simulated data.

    Where a few speakers are several times as hard as the rest, intervals may hold less: see docs/statistics.md.
    """

    clusters: int
    """Clusters of the simulation, at most those asked about."""
    confidence: float
    """Share that the intervals were meant to hold."""
    lowest: float
    highest: float

    def __str__(self) -> str:
        """Say it for a sentence: `an interval meant to hold 95 % held 92 to 97 % in ...`."""
        low, high = f"{self.lowest:.0%}"[:-1], f"{self.highest:.0%}"[:-1]
        held = low if low == high else f"{low} to {high}"
        return (
            f"an interval meant to hold {self.confidence * 100:g} % held {held} % in simulation of ordinary data,"
            " and may hold less where a few speakers are very hard"
        )


def coverage(clusters: int, confidence: float = 0.95) -> Coverage | None:
    """Return what was measured with so many clusters, or the next fewer; None for fewer than two.

    The confidence is the nearest that was simulated.
    """
    table = _table()
    near = min({row[2] for row in table}, key=lambda level: abs(level - confidence))
    there = [row for row in table if row[2] == near and row[1] <= clusters]
    if not there:
        return None
    most = max(row[1] for row in there)
    held = [row[3] for row in there if row[1] == most]
    return Coverage(most, near, min(held), max(held))


@functools.cache
def _table() -> list[tuple[str, int, float, float]]:
    text = resources.files("sibboleth.stats").joinpath("coverage.csv").read_text(encoding="utf-8")
    return [
        (row["data"], int(row["clusters"]), float(row["confidence"]), float(row["held"]))
        for row in csv.DictReader(text.splitlines())
    ]
