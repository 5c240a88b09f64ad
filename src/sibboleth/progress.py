"""Progress of long work: a bar with what is done and the time left, and the same told to whoever watches."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sibboleth.terminal import Terminal

Item = TypeVar("Item")

console = Terminal(file=sys.stderr, soft_wrap=True)


@dataclass(frozen=True)
class Step:
    """How far some work has come."""

    title: str
    done: int
    total: int
    unit: str


_watching: list[Callable[[Step], None]] = []


@contextlib.contextmanager
def watched(by: Callable[[Step], None]) -> Iterator[None]:
    """Tell somebody of every step of all work inside that is tracked."""
    _watching.append(by)
    try:
        yield
    finally:
        _watching.remove(by)


def track(items: Iterable[Item], title: str, total: int, unit: str = "") -> Iterator[Item]:
    """Yield the items while a bar on standard error counts them; where that is no terminal, a line says what begins.

    Nothing is shown for no items.
    """
    _tell(Step(title, 0, total, unit))
    for done, item in enumerate(_shown(items, title, total, unit), 1):
        yield item
        _tell(Step(title, done, total, unit))


def _tell(step: Step) -> None:
    for watcher in _watching if step.total else ():
        watcher(step)


def _shown(items: Iterable[Item], title: str, total: int, unit: str) -> Iterator[Item]:
    if total == 0 or not console.is_terminal:
        if total:
            console.print(f"{title}: {total} {unit}".rstrip())
        yield from items
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield from progress.track(items, total=total, description=title)
