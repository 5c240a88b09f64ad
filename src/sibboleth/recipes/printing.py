"""Numbers, names and tables as the terminal shows them."""

import io
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from sibboleth.terminal import Terminal


def table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """Begin a table whose columns of numbers stand on the right."""
    shown = Table(title=title, title_justify="left")
    for name in words:
        shown.add_column(name)
    for name in numbers:
        shown.add_column(name, justify="right")
    return shown


def plain(shown: RenderableType) -> str:
    """Write what a terminal shows as plain text; lines are not broken in what says `soft_wrap`."""
    console = Terminal(file=io.StringIO(), width=110, color_system=None)
    console.print(shown, soft_wrap=getattr(shown, "soft_wrap", False))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def rater(run: str, name: str, layer: int | None = None) -> str:
    """Name a rater, with the run where that says more."""
    full = name if run in ("", name) else f"{run}/{name}"
    return full if layer is None else f"{full} (layer {layer})"


def interval(row: dict[str, Any], form: str = "{:.3f}", of: str = "estimate") -> str:
    """Write an estimate with its limits, alone where there are none."""
    estimate, low, high = (number(row[name], form) for name in (of, "low", "high"))
    return estimate if low == high == "-" else f"{estimate} [{low}, {high}]"


def number(value: float | None, form: str) -> str:
    """Write a number, `-` where it is undefined."""
    return "-" if value is None or value != value else form.format(value)
