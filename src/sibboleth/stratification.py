"""Stratification: whole groups (speakers, sessions) dealt to parts so that every part looks like the whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

SWAPS = 400
"""Most groups for which exchanges of two groups are tried; among more, moving one at a time is enough."""
STARTS = 4
MANY = 1000
"""Groups from which on one start is enough: how they are dealt out first then hardly matters."""
DIGITS = 9
"""Costs are compared to this many digits, so that the last bits of a matrix product never decide."""
BINS = 5
"""Quantile bins by which a numeric target is stratified."""


def deal(counts: Array, shares: Sequence[float], needed: Array, seed: Sequence[int]) -> Codes:
    """Give every group a part, so that each part holds about its share of every stratum.

    Minimises the sum over parts and strata of (share held - share wanted)^2, plus `needed` for every stratum of
    which a part holds nothing, by descent over moves and exchanges from a few random greedy starts.

    Args:
        counts: Amount of each stratum in each group `[group, stratum]`.
        shares: Share that each part should hold `[part]`.
        needed: Price of holding nothing of a stratum `[part, stratum]`.
        seed: What the starts are drawn from.
    """
    size = counts / np.maximum(counts.sum(axis=0), 1e-12)
    wanted = np.asarray(shares, dtype=np.float64)[:, None]
    random = np.random.default_rng(seed)
    best: tuple[float, Codes] | None = None
    for _ in range(1 if len(size) > MANY else STARTS):
        part = _greedy(size, wanted, needed, random.permutation(len(size)))
        _descend(part, size, wanted, needed)
        cost = _cost(part, size, wanted, needed)
        if best is None or cost < best[0]:
            best = cost, part
    assert best is not None
    return best[1]


def linked(*columns: Codes) -> Codes:
    """Number the connected components of rows: rows with an equal code in any column belong together."""
    component = np.arange(len(columns[0]))
    while True:
        before = component
        for codes in columns:
            lowest = np.full(int(codes.max(initial=-1)) + 1, len(codes))
            np.minimum.at(lowest, codes, component)
            component = lowest[codes]
        if np.array_equal(before, component):
            return np.unique(component, return_inverse=True)[1].astype(np.int64)


def binned(numbers: pl.Expr) -> pl.Expr:
    """Give every number its quantile bin, from 0 to `BINS` - 1."""
    return ((numbers.rank("average") - 0.5) / pl.len() * BINS).floor()


def tabulate(rows: Codes, columns: Codes) -> Array:
    """Count how often each pair of codes occurs `[row, column]`."""
    shape = (int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1)
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _held(part: Codes, amounts: Array, parts: int) -> Array:
    """Sum the amounts of each part's groups `[part, stratum]`."""
    held = np.empty((parts, amounts.shape[1]))
    for stratum, column in enumerate(amounts.T):
        held[:, stratum] = np.bincount(part, column, parts)
    return held


def _cost(part: Codes, size: Array, wanted: Array, needed: Array) -> float:
    held = _held(part, size, len(wanted))
    return round(float(((held - wanted) ** 2).sum() + needed[held == 0].sum()), DIGITS)


def _greedy(size: Array, wanted: Array, needed: Array, order: Codes) -> Codes:
    part = np.zeros(len(size), dtype=np.int64)
    held = np.zeros_like(needed)
    empty, lacking = needed.copy(), True
    for group in order:
        own = size[group]
        change = 2 * (held - wanted) @ own
        if lacking:
            change -= empty @ (own > 0)
        part[group] = to = int(change.round(DIGITS).argmin())
        held[to] += own
        if lacking:
            empty[to, own > 0] = 0
            lacking = bool(empty.any())
    return part


def _descend(part: Codes, size: Array, wanted: Array, needed: Array) -> None:
    """Make the best move or exchange in place until none lowers the cost."""
    groups = _Groups.of(size)
    while True:
        moves, exchanges = _changes(part, groups, wanted, needed)
        move = np.unravel_index(int(moves.argmin()), moves.shape)
        exchange = np.unravel_index(int(exchanges.argmin()), exchanges.shape) if exchanges.size else None
        lowest = moves[move]
        if exchange is not None and exchanges[exchange] < lowest:
            lowest = exchanges[exchange]
            one, other = int(exchange[0]), int(exchange[1])
            change = {one: int(part[other]), other: int(part[one])}
        else:
            change = {int(move[0]): int(move[1])}
        if lowest >= 0:
            return
        for group, to in change.items():
            part[group] = to


@dataclass(frozen=True)
class _Groups:
    """What every group holds, and what of it stays the same in a descent."""

    size: Array
    """Share of every stratum `[group, stratum]`."""
    has: Array
    """1 where a group holds something of a stratum."""
    square: Array
    """Sum of its squared shares `[group]`."""
    distance: Array | None
    """Squared distance of two groups `[group, group]`; none where exchanges are not tried."""

    @classmethod
    def of(cls, size: Array) -> "_Groups":
        """Compute them."""
        square = (size**2).sum(axis=1)
        few = len(size) <= SWAPS
        distance = square[:, None] + square[None, :] - 2 * size @ size.T if few else None
        return cls(size, (size > 0).astype(np.float64), square, distance)


def _changes(part: Codes, groups: _Groups, wanted: Array, needed: Array) -> tuple[Array, Array]:
    """Cost change of every move `[group, part]` and of every exchange `[group, group]`."""
    size, has, square = groups.size, groups.has, groups.square
    gap = _held(part, size, len(wanted)) - wanted
    members = _held(part, has, len(wanted))
    last, none = (members == 1) * needed, (members == 0) * needed
    toward = size @ gap.T
    own = toward[np.arange(len(part)), part]
    moves = 2 * (toward - own[:, None] + square[:, None])
    if last.any():
        moves += (has * last[part]).sum(axis=1)[:, None]
    if none.any():
        moves -= has @ none.T
    moves[np.arange(len(part)), part] = np.inf
    if groups.distance is None:
        return moves.round(DIGITS), np.empty((0, 0))
    across = toward[:, part]
    lost = (has * last[part]) @ (1 - has).T - none[part] @ has.T
    exchanges = 2 * (across + across.T - own[:, None] - own[None, :] + groups.distance) + lost + lost.T
    exchanges[part[:, None] == part[None, :]] = np.inf
    return moves.round(DIGITS), exchanges.round(DIGITS)
