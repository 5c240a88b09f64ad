"""Writing for everybody at once: what came in while the disk was busy is committed together.

Statements take microseconds and run in the event loop; only the commit, which waits for the disk, runs in a thread.
With all of it in a thread, every statement would wait for Python's lock.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sibboleth.listeners.store import Store

Result = TypeVar("Result")
MOST = 128
"""Pieces of work in one transaction."""


@dataclass(frozen=True)
class _Work:
    do: Callable[[Store], Any]
    future: "asyncio.Future[Any]"


Outcome = tuple[_Work, Any, BaseException | None]


class Writer:
    """Does work on a store, one piece after another.

    A result is given back once it is on the disk, and not before: who has it may rely on it, however the process ends.
    """

    def __init__(self, store: Store) -> None:
        """Write to a store that nobody else uses."""
        self._store = store
        self._pending: list[_Work] = []
        self._running: asyncio.Task[None] | None = None
        self._disk = ThreadPoolExecutor(1, "disk")

    async def do(self, work: Callable[[Store], Result]) -> Result:
        """Have work done inside a transaction; what it raises undoes its own writing alone."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append(_Work(work, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        result: Result = await future
        return result

    async def close(self) -> None:
        """Finish what was asked for, and close the store."""
        if self._running is not None:
            await self._running
        self._disk.shutdown()
        self._store.close()

    async def _run(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:MOST], self._pending[MOST:]
            _settle(await self._commit(batch))
        self._running = None

    async def _commit(self, batch: list[_Work]) -> list[Outcome]:
        aside = asyncio.get_running_loop().run_in_executor
        try:
            if not self._store.begin(wait=False):  # another process is writing
                await aside(self._disk, self._store.begin)
            results = [self._done(work) for work in batch]
            await aside(self._disk, self._store.commit)
        except Exception as error:  # nothing of the batch is on the disk: nobody may be told that it is
            with contextlib.suppress(sqlite3.Error):
                self._store.rollback()
            return [(work, None, error) for work in batch]
        return results

    def _done(self, work: _Work) -> Outcome:
        try:
            with self._store.part():
                return work, work.do(self._store), None
        except Exception as error:
            return work, None, error


def _settle(results: list[Outcome]) -> None:
    for work, result, error in results:
        if work.future.done():  # who asked has gone
            continue
        if error is None:
            work.future.set_result(result)
        else:
            work.future.set_exception(error)
