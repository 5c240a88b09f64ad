"""Which utterances are in which batch of which epoch: decided by the seed, the epoch and the lengths alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.methods import TuningSettings

Rows = npt.NDArray[np.int64]

POOL = 8
"""Batches that are sorted by length together, so that little is padded and company still changes every epoch."""


@dataclass(frozen=True)
class Epochs:
    """Every batch of a training, and where its epochs end."""

    batches: tuple[Rows, ...]
    """Rows of the table, batch after batch, for all processes in turn."""
    ends: tuple[int, ...]
    """Steps taken when each epoch is over."""

    @property
    def steps(self) -> int:
        """Steps of the optimiser in all."""
        return self.ends[-1]


def epochs(
    rows: Rows,
    seconds: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64] | None,
    settings: TuningSettings,
    seed: int,
    count: int,
    processes: int = 1,
) -> Epochs:
    """Divide `rows` into batches, epoch after epoch; `seconds` and `labels` are of every row of the table.

    A step takes `accumulate` batches in each process; an epoch whose batches do not suffice for its last step repeats
    its first ones.
    """
    together = settings.accumulate * processes
    batches: list[Rows] = []
    ends: list[int] = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        drawn = balanced(rows, labels, random) if settings.balanced and labels is not None else random.permutation(rows)
        made = _cut(drawn, seconds, settings, random)
        missing = -len(made) % together
        made += [made[index % len(made)] for index in range(missing)]
        batches += made
        ends.append(len(batches) // together)
    return Epochs(tuple(batches), tuple(ends))


def balanced(rows: Rows, labels: npt.NDArray[np.int64], random: np.random.Generator) -> Rows:
    """Draw every label equally often, about as many rows in all as there are, each row as often as any of its label."""
    there = np.unique(labels[rows])
    each = -(-len(rows) // len(there))
    drawn = []
    for label in there:
        own = rows[labels[rows] == label]
        turns = [random.permutation(own) for _ in range(-(-each // len(own)))]
        drawn.append(np.concatenate(turns)[:each])
    return random.permutation(np.concatenate(drawn))


def by_length(rows: Rows, seconds: npt.NDArray[np.float64], most: float) -> list[Rows]:
    """Divide rows into batches of similar length, as few as `most` seconds with padding allow; for answering."""
    ordered = rows[np.argsort(seconds[rows], kind="stable")]
    return _filled(ordered, seconds, most)


def _cut(
    drawn: Rows, seconds: npt.NDArray[np.float64], settings: TuningSettings, random: np.random.Generator
) -> list[Rows]:
    if settings.batch_size is not None:
        return [drawn[begin : begin + settings.batch_size] for begin in range(0, len(drawn), settings.batch_size)]
    size = max(1, int(POOL * settings.batch_seconds / max(float(seconds[drawn].mean()), 1e-9)))
    made: list[Rows] = []
    for begin in range(0, len(drawn), size):
        made += by_length(drawn[begin : begin + size], seconds, settings.batch_seconds)
    return [made[index] for index in random.permutation(len(made))]


def _filled(ordered: Rows, seconds: npt.NDArray[np.float64], most: float) -> list[Rows]:
    """Fill batches in order; one that is longer than `most` by itself is alone."""
    made: list[Rows] = []
    begin = 0
    for place in range(1, len(ordered) + 1):
        longest = seconds[ordered[place]] if place < len(ordered) else np.inf
        if place == len(ordered) or longest * (place + 1 - begin) > most:
            made.append(ordered[begin:place])
            begin = place
    return made
