"""Subsets: each form's part of a large pool, with as many items of every cell, each item in about as many forms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Chosen = npt.NDArray[np.bool_]
"""Which form has which item `[form, item]`."""
TRIES = 200
"""Exchanges that are tried for two forms without a common item."""


@dataclass(frozen=True)
class Subsets:
    """The items of every form."""

    chosen: Chosen
    apart: int
    """Pairs of forms that have no item in common."""


def subsets(cells: Sequence[Sequence[int]], count: int, forms: int, random: np.random.Generator) -> Subsets:
    """Choose `count` items for each of `forms`, as many of every cell as can be.

    `cells` hold the items' numbers. Within a cell no item is in over one form more than another, and any two forms are
    given an item in common where that can be, so that their listeners can be compared. `count` is at most the number of
    items.
    """
    chosen = np.zeros((forms, sum(map(len, cells))), dtype=bool)
    shares = [share(cells, count, form) for form in range(forms)]
    for number, cell in enumerate(cells):
        waiting: list[int] = []
        for form in random.permutation(forms).tolist():
            taken = waiting[: shares[form][number]]
            waiting = waiting[len(taken) :]
            if lacking := shares[form][number] - len(taken):
                fresh = random.permutation(np.asarray(cell)).tolist()
                waiting = [one for one in fresh if one not in taken] + taken
                taken, waiting = taken + waiting[:lacking], waiting[lacking:]
            chosen[form, taken] = True
    _join(chosen, cells, random)
    return Subsets(chosen, len(_apart(chosen)))


def share(cells: Sequence[Sequence[int]], count: int, form: int) -> list[int]:
    """Divide the items of a form among the cells; what is left over goes round from form to form."""
    given = [0] * len(cells)
    turn = form
    while sum(given) < count:
        open_ones = [number for number, cell in enumerate(cells) if given[number] < len(cell)]
        left = count - sum(given)
        if left >= len(open_ones):
            for number in open_ones:
                given[number] += 1
            continue
        for place in range(left):
            given[open_ones[(turn * left + place) % len(open_ones)]] += 1
    return given


def _apart(chosen: Chosen) -> list[tuple[int, int]]:
    """List the pairs of forms without a common item."""
    common = chosen.astype(np.int64) @ chosen.T.astype(np.int64)
    first, second = np.nonzero(np.triu(common == 0, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _join(chosen: Chosen, cells: Sequence[Sequence[int]], random: np.random.Generator) -> None:
    """Give forms without a common item one, by exchanges within a cell that leave all counts as they are."""
    for one, other in _apart(chosen):
        for _ in range(TRIES):
            if (chosen[one] & chosen[other]).any():
                break
            _exchange(chosen, np.asarray(cells[int(random.integers(len(cells)))]), one, other, random)


def _exchange(chosen: Chosen, cell: npt.NDArray[np.int64], one: int, other: int, random: np.random.Generator) -> None:
    """Have `other` get an item of `one` from a third form, for one of its own, if that parts no more forms."""
    wanted = cell[chosen[one, cell] & ~chosen[other, cell]]
    spare = cell[~chosen[one, cell] & chosen[other, cell]]
    if not (len(wanted) and len(spare)):
        return
    gained, lost = random.choice(wanted), random.choice(spare)
    thirds = np.flatnonzero(chosen[:, gained] & ~chosen[:, lost])
    thirds = thirds[(thirds != one) & (thirds != other)]
    if not len(thirds):
        return
    third = int(random.choice(thirds))
    before = len(_apart(chosen))
    chosen[other, [gained, lost]], chosen[third, [gained, lost]] = [True, False], [False, True]
    if len(_apart(chosen)) >= before:
        chosen[other, [gained, lost]], chosen[third, [gained, lost]] = [False, True], [True, False]
