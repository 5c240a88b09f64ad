"""What work costs: spans of time as they were measured, and how they add up for one or many workers."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Seconds, or seconds of something, between the least and the most that was measured."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> "Span":
        """Take the median of what was measured, with its least and most."""
        ordered = sorted(measured)
        half = len(ordered) // 2
        middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
        return cls(middle, ordered[0], ordered[-1])

    def __add__(self, other: "Span") -> "Span":
        """Add up work that is done one after the other."""
        return Span(self.middle + other.middle, self.low + other.low, self.high + other.high)

    def __mul__(self, times: float) -> "Span":
        """Do it so many times."""
        return Span(self.middle * times, self.low * times, self.high * times)


NONE = Span(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Cost:
    """What a run takes in all."""

    encoding: Span
    """It divides among workers recording by recording."""
    cells: tuple[Span, ...]
    """Of each cell; a cell is one worker's."""
    finish: Span
    """Scoring and the report, which one process does however many workers there are."""

    @property
    def filling(self) -> Span:
        """Of all cells, one after the other."""
        return total(self.cells)

    def of(self, workers: int) -> Span:
        """Return how long it takes with so many workers, each as fast as this process is.

        Encoding is divided evenly, a cell goes to whoever is free, the longest first, and what one process does comes
        on top (Amdahl 1967).
        """
        return self.encoding * (1 / workers) + self.filled(workers) + self.finish

    def filled(self, workers: int) -> Span:
        """Return how long it takes until all cells are filled."""
        every = ([getattr(cell, end) for cell in self.cells] for end in ("middle", "low", "high"))
        return Span(*(_longest_first(seconds, workers) for seconds in every))

    @property
    def enough(self) -> int:
        """Return with how many workers cells take as long as the longest of them; more gain nothing but in encoding."""
        longest = max((cell.middle for cell in self.cells), default=0.0)
        return max(1, round(self.filling.middle / longest)) if longest else 1


def total(spans: Iterable[Span]) -> Span:
    """Add up work that is done one after the other."""
    return sum(spans, start=NONE)


def _longest_first(seconds: Iterable[float], workers: int) -> float:
    """Return when the last of some cells is filled, each begun by whoever is free first (Graham 1969)."""
    busy = [0.0] * workers
    for cell in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + cell)
    return max(busy)
