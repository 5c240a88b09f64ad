"""Small tables of text that come with the tool, and that users write to extend them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput


def read(
    path: Path, called: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each row and its texts in these columns, then in the optional ones; empty where there is none.

    Raises `InvalidInput` for a file that cannot be read or lacks a column.
    """
    if path.suffix.lower() not in sheets.SUFFIXES:
        raise InvalidInput(f"{path}: not a table of {called}; save it as one of {', '.join(sheets.SUFFIXES)}")
    try:
        sheet = sheets.read(path, path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    if sheet.problems:
        raise InvalidInput(f"{path}: {sheet.unread} rows cannot be taken apart", sheet.problems)
    if missing := [name for name in columns if name not in sheet.columns]:
        there = ", ".join(sheet.columns) or "none"
        raise InvalidInput(f"{path}: columns {', '.join(missing)} are missing; there are: {there}")
    empty = pl.repeat("", len(sheet.rows), dtype=pl.String, eager=True)
    texts = [sheets.text(sheet.columns.get(name, empty)).fill_null("") for name in (*columns, *optional)]
    for row, *values in zip(sheet.rows, *(text.str.strip_chars() for text in texts), strict=True):
        yield row, values
