"""Delimited text taken apart at once, where its quoting is plain."""

import csv
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Positions = npt.NDArray[np.int64]

BLOCK = 1 << 24
"""Bytes that are searched at a time."""
LONGEST = csv.field_size_limit()
"""Bytes between two quotes above which one of them is taken for a stray."""
WIDEST = 64
"""Most values that a record may have beyond the header's; with more, its delimiters are taken for text."""
BOM = b"\xef\xbb\xbf"
NEWLINE, RETURN, QUOTE = b'\n\r"'
SEPARATORS = (b"\x1c", b"\x1d", b"\x1e", b"\x1f")
"""What is blank to Python and not to polars."""


@dataclass(frozen=True)
class Records:
    """Every record of a file, the header and blank lines among them."""

    table: pl.DataFrame
    """Text by position; null where it is empty or a record has no such value."""
    widths: Positions
    """Values in each record."""
    lines: Sequence[int]
    """Line of the file that each record begins in, from 1."""


def read(data: bytes, delimiter: str, *, quoted: bool) -> Records | None:
    """Take UTF-8 text apart; None where it may not be plain, and has to be read record by record.

    Plain is text whose every quote opens or closes a whole value, or is one of two inside it, and whose lines end in
    a line feed.
    """
    if (
        not data
        or data.startswith(BOM)
        or data.count(b"\r") != data.count(b"\r\n")
        or any(byte in data for byte in SEPARATORS)
    ):
        return None
    buffer = np.frombuffer(data, dtype=np.uint8)
    quotes = _find(buffer, QUOTE) if quoted else np.empty(0, dtype=np.int64)
    if not _are_plain(buffer, quotes, ord(delimiter)):
        return None
    widths, lines = _layout(buffer, quotes, ord(delimiter))
    widest = int(widths.max())
    header = next((width for width in widths.tolist() if width > 1), 1)
    if widest > header + WIDEST:
        return None
    try:
        table = pl.read_csv(
            data,
            has_header=False,
            separator=delimiter,
            quote_char='"' if quoted else None,
            schema={str(number): pl.String for number in range(widest)},
            truncate_ragged_lines=True,
        )
    except pl.exceptions.PolarsError:
        return None
    return Records(table, widths, lines) if len(table) == len(widths) else None


def _find(buffer: npt.NDArray[np.uint8], byte: int) -> Positions:
    """Return where a byte occurs."""
    found = [np.flatnonzero(buffer[begin : begin + BLOCK] == byte) + begin for begin in range(0, len(buffer), BLOCK)]
    return np.concatenate(found)


def _are_plain(buffer: npt.NDArray[np.uint8], quotes: Positions, delimiter: int) -> bool:
    """Say whether quotes only stand where a value begins or ends, or doubled inside one."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = buffer[opening - 1]
    after = buffer[np.minimum(closing + 1, len(buffer) - 1)]
    opens = np.isin(before, (delimiter, NEWLINE, QUOTE)) | (opening == 0)
    closes = np.isin(after, (delimiter, NEWLINE, RETURN, QUOTE)) | (closing == len(buffer) - 1)
    return bool(opens.all() and closes.all() and (closing - opening).max(initial=0) <= LONGEST)


def _layout(buffer: npt.NDArray[np.uint8], quotes: Positions, delimiter: int) -> tuple[Positions, Sequence[int]]:
    """Return the number of values of every record, and the line it begins in."""
    newlines = _find(buffer, NEWLINE)
    ending = np.flatnonzero(np.searchsorted(quotes, newlines) % 2 == 0)
    ends = newlines[ending]
    lines = np.concatenate([[1], ending + 2])
    if len(ends) and ends[-1] == len(buffer) - 1:
        lines = lines[:-1]
    else:
        ends = np.append(ends, len(buffer))
    delimiters = _find(buffer, delimiter)
    inside = np.searchsorted(delimiters, quotes[1::2]) - np.searchsorted(delimiters, quotes[::2])
    quoted = np.concatenate([[0], np.cumsum(inside)])[np.searchsorted(quotes, ends) // 2]
    widths = np.diff(np.searchsorted(delimiters, ends) - quoted, prepend=0) + 1
    return widths, array("q", lines.tobytes())
