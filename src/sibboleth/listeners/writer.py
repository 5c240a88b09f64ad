"""One thread that writes for everybody: what came in meanwhile is committed together, with one wait for the disk."""

import asyncio
import queue
import threading
from collections.abc import Callable
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


class Writer:
    """Does work on a store, one piece after another, away from the event loop.

    A result is given back once it is on the disk, and not before: who has it may rely on it, however the process ends.
    """

    def __init__(self, store: Store) -> None:
        """Begin, inside the event loop that asks."""
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[Store], Result]) -> Result:
        """Have work done inside a transaction; what it raises undoes its own writing alone."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(_Work(work, future))
        result: Result = await future
        return result

    def close(self) -> None:
        """Finish what was asked for, and close the store."""
        self._queue.put(None)
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ended = [first], False
            while len(batch) < MOST and not ended:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                ended = more is None
                batch += [] if more is None else [more]
            results = self._commit(batch)
            self._loop.call_soon_threadsafe(_settle, results)
            if ended:
                return

    def _commit(self, batch: list[_Work]) -> list[tuple[_Work, Any, BaseException | None]]:
        results: list[tuple[_Work, Any, BaseException | None]] = []
        try:
            with self._store.transaction():
                for work in batch:
                    try:
                        with self._store.part():
                            results.append((work, work.do(self._store), None))
                    except Exception as error:
                        results.append((work, None, error))
        except Exception as error:  # nothing of the batch is on the disk: nobody may be told that it is
            return [(work, None, error) for work in batch]
        return results


def _settle(results: list[tuple[_Work, Any, BaseException | None]]) -> None:
    for work, result, error in results:
        if work.future.done():  # who asked has gone
            continue
        if error is None:
            work.future.set_result(result)
        else:
            work.future.set_exception(error)
