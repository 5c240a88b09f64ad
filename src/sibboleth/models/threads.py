"""How many threads a computation has, and is worth: small steps are faster on one."""

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

WORTH_SHARING = 2e8
"""Floating point operations of a step (about 10 ms on one core) from which waiting for other threads pays.

Below it threads meet more often than they work; on a busy machine one thread is then tens of times faster.
"""
NARROW = 512
"""Width of an encoder below which training uses one thread.

A second one makes it little faster (192: 1.2 times), and a second training beside it as much as a second core can.
"""


def count() -> int:
    """Return how many threads a computation has here."""
    return torch.get_num_threads()


def use(count: int) -> None:
    """Have every computation of this thread of the process, torch's or not, use so many threads."""
    torch.set_num_threads(count)
    threadpool_limits(count)


@contextlib.contextmanager
def worth(operations: float) -> Iterator[None]:
    """Use one thread inside if each step takes fewer operations than are worth sharing."""
    with at_most(count() if operations >= WORTH_SHARING else 1):
        yield


@contextlib.contextmanager
def at_most(most: int) -> Iterator[None]:
    """Have torch use so many threads inside, or fewer where it has fewer."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, most))
    try:
        yield
    finally:
        torch.set_num_threads(before)
