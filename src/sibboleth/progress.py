"""Progress of long work: a bar with what is done and the time left."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sibboleth.terminal import Terminal

Item = TypeVar("Item")

console = Terminal(file=sys.stderr, soft_wrap=True)


def track(items: Iterable[Item], title: str, total: int, unit: str = "") -> Iterator[Item]:
    """Yield the items while a bar on standard error counts them; where that is no terminal, a line says what begins.

    Nothing is shown for no items.
    """
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
