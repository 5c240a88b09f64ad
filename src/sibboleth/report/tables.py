"""Tables: written once as rows of text, shown in the page and written as CSV and LaTeX."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sibboleth import runs

MOST_ROWS = 200
"""Rows of a table that the page carries at most; the CSV file has them all."""
LONG = 40
"""More rows than this and LaTeX needs a table that breaks across pages."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    **dict.fromkeys(map(chr, (*range(32), *range(127, 160))), " "),
}


@dataclass(frozen=True)
class Part:
    """Rows of a table that belong together."""

    title: str
    first: int
    last: int
    """One behind the last row."""


@dataclass(frozen=True)
class Table:
    """One table: what is read on the page, and the numbers behind it at full precision."""

    name: str
    """Stem of the files in tables/."""
    caption: str
    source: str
    """The run directory's file and rows that it shows."""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: pl.DataFrame
    """What the CSV file holds."""
    numeric: frozenset[int] = frozenset()
    """Columns set to the right."""
    shown: int = 12
    """Rows that the page shows before the rest is folded away."""
    bars: tuple[tuple[float, float, float], ...] = ()
    """Difference and interval of each row, drawn beside it."""
    begin: int = 0
    """First column that the page shows; those before it say what the captions of the parts say."""
    parts: tuple["Part", ...] = ()
    """Rows that the page shows under a caption of their own; all of them under one where there are none."""

    @property
    def shared(self) -> "tuple[Part, ...]":
        """Parts that the page shows: the whole table where it has none."""
        return self.parts or (Part(self.caption, 0, len(self.rows)),)

    @property
    def most(self) -> int:
        """Rows of each part that the page carries at most."""
        return max(MOST_ROWS // len(self.shared), self.shown)

    @property
    def left_out(self) -> int:
        """Number of rows that only the CSV file has."""
        return sum(max(part.last - part.first - self.most, 0) for part in self.shared)

    @property
    def reach(self) -> float:
        """Half width of the axis that the bars are drawn on."""
        return max((abs(v) for bar in self.bars for v in bar if math.isfinite(v)), default=1.0) or 1.0

    def align(self, column: int) -> str:
        """Class of a cell in a column."""
        return "number" if column in self.numeric else "text"

    def latex(self) -> str:
        """Write the table with booktabs rules; it needs the packages booktabs and, where it is long, longtable."""
        columns = "".join("r" if i in self.numeric else "l" for i in range(len(self.head)))
        head = " & ".join(latex(cell) for cell in self.head) + r" \\"
        body = [" & ".join(latex(cell) for cell in row) + r" \\" for row in self.rows]
        caption = rf"\caption{{{latex(self.caption)}}}\label{{tab:{self.name}}}"
        if len(self.rows) > LONG:
            top = [rf"\begin{{longtable}}{{{columns}}}", caption + r" \\", r"\toprule", head, r"\midrule", r"\endhead"]
            return "\n".join([*top, *body, r"\bottomrule", r"\end{longtable}", ""])
        top = [r"\begin{table}", r"\centering", caption, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head]
        return "\n".join([*top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])

    def write(self, folder: Path, *, tex: bool = True) -> None:
        """Write NAME.csv and, unless it is too long to be printed, NAME.tex."""
        runs.write_text(folder / f"{self.name}.csv", runs.csv(self.numbers))
        if tex:
            runs.write_text(folder / f"{self.name}.tex", f"% {' '.join(self.source.split())}\n{self.latex()}")


def latex(text: str) -> str:
    """Escape text for LaTeX; what begins as an option of the line break before it is kept apart from that."""
    return "{}" * text.startswith(("[", "*")) + "".join(_LATEX.get(character, character) for character in text)


def table(
    name: str,
    caption: str,
    source: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: Sequence[int] = (),
    numbers: pl.DataFrame | None = None,
    shown: int = 12,
    bars: Sequence[tuple[float, float, float]] = (),
    begin: int = 0,
    parts: Sequence[Part] = (),
) -> Table:
    """Make a table; without `numbers` its CSV holds the text that is shown."""
    if numbers is None:
        columns = [f"{title} ({i})" if list(head).count(title) > 1 else title for i, title in enumerate(head)]
        numbers = pl.DataFrame(
            {c: [row[i] for row in rows] for i, c in enumerate(columns)}, schema=dict.fromkeys(columns, pl.String)
        )
    flat, right = tuple(tuple(row) for row in rows), frozenset(numeric)
    return Table(name, caption, source, tuple(head), flat, numbers, right, shown, tuple(bars), begin, tuple(parts))
