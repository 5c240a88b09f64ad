"""What a plan says: a line for every encoder or method, and what one worker or many take; it prints as a table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from sibboleth import memory
from sibboleth.experiment.cost import Cost, Span, total

TOLD = 0.1
"""Share of a run from which on it is told that its longest cell keeps it from being shorter."""
NUMBERS = ("cells", "done", "fits", "forward passes", "hours of audio", "disk", "memory", "time about")


@dataclass(frozen=True)
class Line:
    """What one encoder has to do; null where it is unknown."""

    encoder: str
    cells: int
    finished: int | None
    fits: int
    """Training problems of the cells that are not finished."""
    forward_passes: int | None
    hours: float | None
    disk: int | None
    """Bytes that the cache and the run's tables will take."""
    encoding: Span | None
    filling: Mapping[str, Span] | None
    """Of each cell that is not finished, by its file: to probe, or at most to fine-tune."""
    memory: int | None = None
    """Bytes that one process will take, about, with Python and the weights."""
    tunes: bool = False
    """Whether cells are fine-tuned, which dev may stop early."""

    @property
    def seconds(self) -> float | None:
        """To encode and to fill the cells, one after the other."""
        if self.encoding is None or self.filling is None:
            return None
        return (self.encoding + total(self.filling.values())).middle


@dataclass(frozen=True)
class Plan:
    """What a run would do; it prints as a table."""

    title: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    fits_on_disk: bool
    finish: Span | None = None
    """To score and to write the report; null where it is unknown."""
    workers: int = 1

    @property
    def cost(self) -> Cost | None:
        """Add up what is known of all that is to be done; none where something is not known."""
        if self.finish is None or any(line.encoding is None or line.filling is None for line in self.lines):
            return None
        encoding = total(line.encoding for line in self.lines if line.encoding is not None)
        cells = [span for line in self.lines for span in (line.filling or {}).values()]
        return Cost(encoding, tuple(cells), self.finish)

    @property
    def tuning(self) -> Span:
        """Add up fine-tuning."""
        return total(span for line in self.lines if line.tunes for span in (line.filling or {}).values())

    def expected(self) -> dict[str, Any]:
        """Return the seconds that it gives to encoding, to every cell and to the end, for who looks on later."""
        encoding = {line.encoder: line.encoding.middle for line in self.lines if line.encoding is not None}
        cells = {file: span.middle for line in self.lines for file, span in (line.filling or {}).items()}
        return {"encoding": encoding, "cells": cells, "finish": None if self.finish is None else self.finish.middle}

    def __rich__(self) -> Table:
        """Show a row for every encoder, and the notes below."""
        return _table(self)


def _table(plan: "Plan") -> Table:
    """Show a plan."""
    shown = Table(title=Text(plan.title), title_justify="left", caption_justify="left")
    shown.caption = Text("; ".join(plan.notes))
    if not plan.fits_on_disk:
        shown.caption.append("; this is more disk than there is", "bold red")
    for line in _times(plan):
        shown.caption.append(f"\n{line}")
    shown.add_column("encoder", overflow="fold")
    for name in NUMBERS:
        shown.add_column(name, justify="right", overflow="fold")
    for one in plan.lines:
        shown.add_row(Text(one.encoder), *_numbers(one))
    return shown


def _numbers(line: "Line") -> Iterator[str]:
    yield str(line.cells)
    yield "unknown" if line.finished is None else str(line.finished)
    yield str(line.fits)
    yield "unknown" if line.forward_passes is None else str(line.forward_passes)
    yield "unknown" if line.hours is None else f"{line.hours:.2f}"
    yield "unknown" if line.disk is None else size(line.disk)
    yield "unknown" if line.memory is None else size(line.memory) if line.memory else "-"
    yield "unknown" if line.seconds is None else duration(line.seconds) if line.seconds else "-"


def _times(plan: "Plan") -> Iterator[str]:
    """Say what all of it takes, for one worker and for as many as asked."""
    cost = plan.cost
    if cost is None or not any(line.fits for line in plan.lines):
        return
    parts = [f"encoding {duration(cost.encoding.middle)}"]
    probing = cost.filling.middle - plan.tuning.middle
    parts += [f"probes {duration(probing)}"] if probing > 0 else []
    parts += [f"fine-tuning {duration(plan.tuning.middle)} at most"] if plan.tuning.middle else []
    parts.append(f"scoring and report {duration(cost.finish.middle)}")
    yield f"one worker: {_between(cost.of(1))}: {', '.join(parts)}"
    if plan.workers > 1:
        yield _many(plan, cost)
    if (limit := memory.limit()) is not None:
        yield f"{memory.ENVIRONMENT} bounds what is held of speech and features at once: {memory.told(limit)}"


def _many(plan: "Plan", cost: Cost) -> str:
    """Say what many workers take, and what keeps more from being faster."""
    many = cost.of(plan.workers)
    faster = cost.of(1).middle / many.middle if many.middle else 1.0
    text = (
        f"{plan.workers} workers, each as fast as this process: {_between(many)}, {faster:.1f} times as fast; scoring "
        f"and report do not divide"
    )
    longest = max((cell.middle for cell in cost.cells), default=0.0)
    if plan.workers > cost.enough and longest > TOLD * many.middle:
        text += f", and cells are as long as the longest ({duration(longest)}) with {cost.enough} already"
    return text


def _between(span: Span) -> str:
    """Write a span with its least and most."""
    middle, low, high = (duration(seconds) for seconds in (span.middle, span.low, span.high))
    about = middle if middle == duration(0) else f"about {middle}"
    return about if low == high else f"{about} ({low} to {high} by what was measured)"


def duration(seconds: float) -> str:
    """Write a time as one says it."""
    if seconds < 60:
        return "under a minute"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:,.0f} days"


def size(amount: float) -> str:
    """Write bytes as one reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
