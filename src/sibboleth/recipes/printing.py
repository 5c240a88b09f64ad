"""Numbers, names and tables as the terminal shows them."""

from typing import Any

from rich.table import Table


def table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """Begin a table whose columns of numbers stand on the right."""
    shown = Table(title=title, title_justify="left")
    for name in words:
        shown.add_column(name)
    for name in numbers:
        shown.add_column(name, justify="right")
    return shown


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
