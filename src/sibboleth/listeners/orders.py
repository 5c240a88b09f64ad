"""Orders: what comes when, so that each item is early and late equally often and few neighbours are alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

BLOCK = 6
"""Items that a block of an order has at least; within it chance and what is alike decide."""
RUN = 2
"""Items in a row that may have one label."""
TRIES = 12
"""Orders of a block of which the best is taken."""
APART = 10
"""Items that lie between an item and its repeat, or a third of its part where that is less."""


@dataclass(frozen=True)
class Trait:
    """What items may be alike in."""

    cell: int
    label: str
    speaker: str


class Places:
    """Counts in which part of the order every item stood in the forms so far."""

    def __init__(self, traits: Sequence[Trait], length: int, random: np.random.Generator) -> None:
        """Begin with orders of so many of the items."""
        self._traits, self._random = traits, random
        cells = len({trait.cell for trait in traits})
        self.blocks = max(1, min(-(-length // cells), length // BLOCK))
        self._stood = np.zeros((len(traits), self.blocks))
        self._sum = np.zeros(len(traits))

    def ordered(self, items: Sequence[int]) -> list[int]:
        """Order the items of the next form."""
        blocks: list[list[int]] = [[] for _ in range(self.blocks)]
        cells: dict[int, list[int]] = {}
        for item in items:
            cells.setdefault(self._traits[item].cell, []).append(item)
        for cell in sorted(cells):
            self._deal(cells[cell], blocks)
        made: list[int] = []
        for block in blocks:
            made += self._arranged(block, made[-RUN:])
        return made

    def _deal(self, items: list[int], blocks: list[list[int]]) -> None:
        """Put the items of a cell into different blocks, each where it was least, and on average in the middle."""
        turns = -(-len(items) // self.blocks)
        at = np.tile(np.arange(self.blocks), turns)
        middle = (at - (self.blocks - 1) / 2) / self.blocks
        full = np.array([len(block) for block in blocks])[at] + np.repeat(np.arange(turns), self.blocks) * 4
        stood = self._stood[items][:, at]
        mean = (self._sum[items][:, None] + middle[None, :]) ** 2
        chance = self._random.random(stood.shape) * 0.1
        rows, columns = linear_sum_assignment(stood * 10 + mean * 2 + full[None, :] + chance)
        for row, column in zip(rows, columns, strict=True):
            item, block = items[row], int(at[column])
            blocks[block].append(item)
            self._stood[item, block] += 1
            self._sum[item] += middle[column]

    def _arranged(self, block: list[int], before: list[int]) -> list[int]:
        best: list[int] = block
        least = np.inf
        for _ in range(TRIES):
            made = self._tried(block, before)
            price = sum(self.price([*before, *made], place) for place in range(len(before), len(before) + len(made)))
            if price < least:
                best, least = made, price
            if not price:
                break
        return best

    def _tried(self, block: list[int], before: list[int]) -> list[int]:
        left = self._random.permutation(np.asarray(block, dtype=np.int64)).tolist()
        made = list(before)
        while left:
            prices = [self.price([*made, one], len(made)) for one in left]
            made.append(left.pop(int(np.argmin(prices))))
        return made[len(before) :]

    def price(self, order: Sequence[int], place: int) -> float:
        """Say how alike an item is to those before it: 10 for a label once too often, 1 for the speaker again."""
        if order[place] < 0:
            return 0.0
        mine, price = self._traits[order[place]], 0.0
        last = [self._traits[one] if one >= 0 else None for one in order[max(0, place - RUN) : place]]
        if mine.label and len(last) == RUN and all(one is not None and one.label == mine.label for one in last):
            price += 10
        if mine.speaker and last and last[-1] is not None and last[-1].speaker == mine.speaker:
            price += 1
        return price


def repeated(order: Sequence[int], again: Sequence[int], places: Places, random: np.random.Generator) -> list[int]:
    """Put some items a second time into an order, far from the first; a negative number is no item."""
    made = list(order)
    for item in again:
        first = made.index(item)
        gap = min(APART, len(order) // 3) + 1
        able = [place for place in range(len(made) + 1) if place - first >= gap or first - place >= gap - 1]
        random.shuffle(able)
        prices = []
        for place in able:
            tried = [*made[:place], item, *made[place:]]
            prices.append(sum(places.price(tried, near) for near in range(place, min(len(tried), place + RUN + 1))))
        made.insert(able[int(np.argmin(prices))], item)
    return made


def spread(count: int, length: int, random: np.random.Generator) -> list[int]:
    """Draw `count` places in an order of `length` to put something in, one in each of as many equal stretches."""
    edges = np.linspace(min(2, length), length, count + 1)
    ends = [(round(low), round(high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [int(random.integers(low, max(low + 1, high))) for low, high in ends]


def square(size: int) -> npt.NDArray[np.int64]:
    """Return Williams' square `[row, place]`: each number is in each place, and before each other, equally often.

    An odd size needs twice as many rows (Williams 1949).
    """
    steps = [0]
    for step in range(1, size):
        steps.append((step + 1) // 2 if step % 2 else size - step // 2)
    rows = (np.arange(size)[:, None] + np.asarray(steps)) % size
    return np.concatenate([rows, rows[:, ::-1]]) if size % 2 and size > 1 else rows


def paused(items: Sequence[str], pause: int) -> list[str]:
    """Put a break after every so many items, but none at the end."""
    if not pause:
        return list(items)
    made: list[str] = []
    for place, item in enumerate(items):
        if place and place % pause == 0:
            made.append("|")
        made.append(item)
    return made
