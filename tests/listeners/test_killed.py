"""A server that is killed with -9 while people answer loses nothing and doubles nothing."""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.listeners import small
from tests.listeners.crowd import Crowd, Server, killing, require_all, served

STEPS = 17


def answer(step: dict[str, Any]) -> dict[str, Any]:
    """Answer by chance, so that an answer that is kept can be told from another."""
    plays = {"plays": random.randrange(1, 1000)} if step["show"] == "item" else {}
    return small.answer(step, **plays)


def take(server: Server, crowd: Crowd, listeners: int, kills: int, after: float) -> None:
    async def run() -> None:
        await killing(server, kills, after, asyncio.create_task(crowd.all(listeners)))

    try:
        asyncio.run(run())
    finally:
        server.kill()


def test_twelve_listeners_and_two_kills(tmp_path: Path) -> None:
    folder = small.write(tmp_path / "test", small.drawn())
    server = served(folder)
    crowd = Crowd(server.port, answer, think=0.1, twice=0.3)
    take(server, crowd, 12, 2, 0.7)
    assert crowd.broken > 0
    require_all(folder, crowd, 12, STEPS)
    next(iter(crowd.acknowledged.values()))[5]["plays"] += 1000  # and what is checked could be noticed
    with pytest.raises(AssertionError):
        require_all(folder, crowd, 12, STEPS)


@pytest.mark.soak
def test_two_hundred_listeners_at_once_and_three_kills(tmp_path: Path) -> None:
    """On two cores, which simulated listeners share with the server; they answer in a second, on average."""
    orders = [("p", *("a", "b", "c", "r") * 8, "s", "t")] * 4
    folder = small.write(tmp_path / "test", small.drawn(orders=orders))
    server = served(folder)
    crowd = Crowd(server.port, answer, think=1.0, twice=0.1)
    take(server, crowd, 200, 3, 8.0)
    steps = 4 + 3 + 1 + 32 + 4
    require_all(folder, crowd, 200, steps)
    slow = crowd.percentile(95)
    times = f"median {crowd.percentile(50):.0f} ms, 95th percentile {slow:.0f} ms"
    print(f"{len(crowd.times):,} requests, {times}, load of the machine {os.getloadavg()[0]:.1f}")  # noqa: T201
    assert slow < 200
