"""How many threads a computation has, and is worth: small steps are faster on one."""

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

WORTH_SHARING = 2e8
"""Floating point operations of a step (about 10 ms on one core) from which waiting for other threads pays.

Below it threads meet more often than they work; on a busy machine one thread is then tens of times faster.
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
    before = torch.get_num_threads()
    torch.set_num_threads(before if operations >= WORTH_SHARING else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
