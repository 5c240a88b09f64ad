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
PASSES = 100
"""Times that all forms are gone through to make places more even."""
EVEN = 1e-9
"""A gain up to which places are as even as before."""
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
    """Deals the items of every form to blocks of its order, so that each item stands in each block equally often."""

    def __init__(self, traits: Sequence[Trait], chosen: Sequence[Sequence[int]], random: np.random.Generator) -> None:
        """Deal out the items of all forms, as many in each."""
        self._traits, self._random = traits, random
        cells = len({trait.cell for trait in traits})
        length = len(chosen[0])
        self.blocks = max(1, min(-(-length // cells), length // BLOCK))
        self._middle = (np.arange(self.blocks) - (self.blocks - 1) / 2) / self.blocks
        self._stood = np.zeros((len(traits), self.blocks))
        self._parts = [self._by_cell(items) for items in chosen]
        self._at = [self._dealt(parts) for parts in self._parts]
        for _ in range(PASSES):
            if (np.ptp(self._stood, axis=1) <= 1).all():
                break
            for parts, at in zip(self._parts, self._at, strict=True):
                self._exchange(parts, at)

    def ordered(self, form: int) -> list[int]:
        """Order the items of a form."""
        at, made = self._at[form], list[int]()
        for block in range(self.blocks):
            made += self._arranged([item for item in at if at[item] == block], made[-RUN:])
        return made

    def _by_cell(self, items: Sequence[int]) -> list[list[int]]:
        cells: dict[int, list[int]] = {}
        for item in items:
            cells.setdefault(self._traits[item].cell, []).append(item)
        return [cells[cell] for cell in sorted(cells)]

    def _dealt(self, parts: Sequence[Sequence[int]]) -> dict[int, int]:
        """Put the items of each cell into different blocks, each item where it was least, all blocks equally full."""
        at: dict[int, int] = {}
        full = np.zeros(self.blocks)
        for items in parts:
            turns = -(-len(items) // self.blocks)
            blocks = np.tile(np.arange(self.blocks), turns)
            price = self._stood[items][:, blocks] * 10 + (full[blocks] + np.repeat(np.arange(turns), self.blocks) * 4)
            rows, columns = linear_sum_assignment(price + self._random.random(price.shape) * 0.1)
            for row, block in zip(rows, blocks[columns], strict=True):
                at[items[row]] = int(block)
                full[block] += 1
                self._stood[items[row], block] += 1
        return at

    def _exchange(self, parts: Sequence[Sequence[int]], at: dict[int, int]) -> None:
        """Exchange the blocks of two items of a cell where places get more even, and at times where they stay so."""
        for items in parts:
            for one, other in zip(items, self._random.permutation(np.asarray(items)).tolist(), strict=True):
                here, there = at[one], at[other]
                if here == there:
                    continue
                gain = self._gain(one, here, there) + self._gain(other, there, here)
                if gain > EVEN or (gain > -EVEN and self._random.random() < 0.5):
                    at[one], at[other] = there, here
                    self._stood[one, [here, there]] += [-1, 1]
                    self._stood[other, [here, there]] += [1, -1]

    def _gain(self, item: int, here: int, there: int) -> float:
        """Say how much more even the places of an item are when one of its times is moved."""
        stood = self._stood[item]
        mean = float(stood @ self._middle)
        moved = mean + float(self._middle[there] - self._middle[here])
        return 2 * float(stood[here] - stood[there] - 1) + 4 * (mean**2 - moved**2)

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
