"""Files of rows: CSV, TSV, JSONL and Parquet as named columns, each value with the line it stands in."""

import csv
import io
import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sibboleth import storage
from sibboleth.corpus import delimited
from sibboleth.corpus.delimited import BOM, Records
from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput, Problem

KEPT = 1000
"""Problems of a file that are told apart; of more, only the number is known."""
CHUNK = 50_000
"""Records that are held as Python objects at a time."""
_SEPARATOR = re.compile(rb"sep=([,;\t])", re.IGNORECASE)
SPREADSHEET = " (CSV UTF-8, in a spreadsheet)"
"""What that is called where most such files come from."""


@dataclass
class Sheet:
    """What a file holds, before anything is known about its columns."""

    columns: dict[str, pl.Series]
    """Values by column name; text as it stands in CSV and TSV (empty or null where there is none), else typed."""
    rows: Sequence[int]
    """Line of the file (or row, in Parquet) that each value stands in."""
    problems: list[Problem] = field(default_factory=list)
    """Rows that could not be taken apart, the first `KEPT` of them; they are not in the columns."""
    unread: int = 0
    """Number of rows that could not be taken apart."""
    decimal_comma: bool = False


class _Faults:
    """Rows that cannot be taken apart: the first of them, and their number."""

    def __init__(self, path: Path) -> None:
        """Begin with none."""
        self.path = path
        self.problems: list[Problem] = []
        self.count = 0

    def add(self, message: str, row: int) -> None:
        """Count a row, and keep what is wrong with it if it is among the first."""
        self.count += 1
        if self.count <= KEPT:
            self.problems.append(Problem(str(self.path), message, row))

    def wrong_width(self, width: int, header: int, row: int) -> None:
        """Add a row with too few or too many values."""
        inside = "; is the separator part of a value, such as a decimal comma?" if width > header else ""
        self.add(f"has {width} values where the header has {header}{inside}", row)


def read(path: Path, data: bytes) -> Sheet:
    """Take a file apart, by its suffix.

    Raises `InvalidInput` when it cannot be read at all; what is wrong with single rows is in `problems`.
    """
    return _PARSERS[path.suffix.lower()](path, data)


def text(column: pl.Series) -> pl.Series:
    """Make text of a column of any type: lists and objects as JSON, durations as ISO 8601, bytes that are none null."""
    if column.dtype.is_nested():
        plain = [None if one is None else json.dumps(one, ensure_ascii=False, default=str) for one in column.to_list()]
        return pl.Series(column.name, plain, pl.String)
    if column.dtype == pl.Binary:
        plain = [None if one is None or not _is_utf8(one) else one.decode() for one in column.to_list()]
        return pl.Series(column.name, plain, pl.String)
    return column.dt.to_string("iso") if column.dtype == pl.Duration else column.cast(pl.String)


def _require_text(path: Path, data: bytes) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise InvalidInput(f"{path}: not UTF-8 text (it looks like UTF-16); save it as UTF-8{SPREADSHEET}")


def _decode(path: Path, data: bytes) -> str:
    _require_text(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        faults = _Faults(path)
        for number, line in enumerate(data.split(b"\n"), start=1):
            if not _is_utf8(line):
                faults.add(f"not UTF-8; as Latin-1 it reads {line[:60].decode('latin-1').strip()!r}", number)
        told = f"; {faults.count} lines are not UTF-8, the first {KEPT} are kept" if faults.count > KEPT else ""
        raise InvalidInput(
            f"{path}: wrong encoding; save the file as UTF-8{SPREADSHEET}{told}", faults.problems
        ) from None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parse_csv(path: Path, data: bytes) -> Sheet:
    """Read what spreadsheets call CSV: separated by commas, semicolons or tabs, perhaps after a line `sep=;`."""
    _require_text(path, data)
    data = data.removeprefix(BOM)
    end = data.find(b"\n")
    header = data if end < 0 else data[:end]
    told = _SEPARATOR.fullmatch(header.strip())
    delimiter = told[1].decode() if told else max(",;\t", key=lambda one: header.count(one.encode()))
    sheet = _delimited(path, data[end:] if told else data, delimiter, quoted=True)
    sheet.decimal_comma = delimiter != ","
    return sheet


def _parse_tsv(path: Path, data: bytes) -> Sheet:
    """Read without quoting unless all is quoted: R quotes everything; to Common Voice a quote is a part of the text."""
    _require_text(path, data)
    return _delimited(path, data, "\t", quoted=data.removeprefix(BOM).startswith(b'"'))


def _delimited(path: Path, data: bytes, delimiter: str, *, quoted: bool) -> Sheet:
    """Read the records at once where they are plain, else one by one, which tells what is wrong with each."""
    records = delimited.read(data.removeprefix(BOM), delimiter, quoted=quoted)
    if records is not None:
        return _from_table(path, records)
    text = _decode(path, data)
    if quoted:
        return _from_records(path, _csv_records(text, delimiter))
    lines = io.StringIO(text, newline="")
    return _from_records(path, ((n, line.rstrip("\r\n").split("\t")) for n, line in enumerate(lines, start=1)))


def _from_table(path: Path, records: Records) -> Sheet:
    """Make a sheet of records that were read at once."""
    table = records.table
    blank = _blank(table)
    if blank.all():
        return Sheet({}, ())
    first = int(np.argmin(blank))
    width = int(records.widths[first])
    header = [(value or "").strip() for value in table.row(first)[:width]]
    _require_different(path, header)
    spilt = ~_blank(table.select(table.columns[width:])) if table.width > width else np.zeros(len(table), dtype=bool)
    wrong = ~blank & ((records.widths < width) | spilt)
    kept = ~blank & ~wrong
    wrong[: first + 1] = kept[: first + 1] = False
    faults = _Faults(path)
    for index in np.flatnonzero(wrong)[:KEPT].tolist():
        faults.wrong_width(int(records.widths[index]), width, records.lines[index])
    columns = {
        name: column.filter(pl.Series(kept)).alias(name)
        for name, column in zip(header, table.iter_columns(), strict=False)
        if name
    }
    lines = array("q", np.asarray(records.lines)[kept].tobytes())
    return Sheet(columns, lines, faults.problems, int(wrong.sum()))


def _blank(table: pl.DataFrame) -> Any:
    """Say which rows have nothing but blanks in all columns."""
    blank = np.ones(len(table), dtype=bool)
    for column in table.iter_columns():
        some = np.flatnonzero(blank)
        if not len(some):
            break
        here = column if len(some) == len(blank) else column.gather(some)
        blank[some] = (here.str.strip_chars() == "").fill_null(True).to_numpy()
    return blank


def _require_different(path: Path, header: Sequence[str]) -> None:
    twice = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if twice:
        raise InvalidInput(f"{path}: the header names a column twice: {', '.join(twice)}")


def _csv_records(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record with its first line, or in its place what is wrong with it."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            yield first, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error) or "larger than" in str(error):
                yield first, 'a quote opens a value here and is never closed; write a quote as """"'
                return
            yield first, f'stray quote ({error}); put the value in quotes and write a quote inside it as ""'


def _from_records(path: Path, records: Iterator[tuple[int, list[str] | str]]) -> Sheet:
    """Make a sheet of a header and rows of text; blank rows and columns without a name are passed over."""
    faults = _Faults(path)
    header: list[str] = []
    rows = array("q")
    values: list[list[str]] = []
    chunks: list[pl.DataFrame] = []
    for number, record in records:
        if isinstance(record, str):
            faults.add(record, number)
        elif not any(value.strip() for value in record):
            continue
        elif not header:
            header = [value.strip() for value in record]
            _require_different(path, header)
        elif len(record) < len(header) or any(value.strip() for value in record[len(header) :]):
            faults.wrong_width(len(record), len(header), number)
        else:
            rows.append(number)
            values.append(record[: len(header)])
            if len(values) == CHUNK:
                chunks.append(_columns(header, values))
                values = []
    table = pl.concat([*chunks, _columns(header, values)])
    return Sheet({column.name: column for column in table}, rows, faults.problems, faults.count)


def _columns(header: Sequence[str], values: Sequence[Sequence[str]]) -> pl.DataFrame:
    by_column: Iterable[Sequence[str]] = zip(*values, strict=True) if values else [()] * len(header)
    named = zip(header, by_column, strict=True)
    return pl.DataFrame([pl.Series(name, column, pl.String) for name, column in named if name])


def _parse_jsonl(path: Path, data: bytes) -> Sheet:
    faults = _Faults(path)
    rows = array("q")
    columns: dict[str, list[object]] = {}
    for number, line in enumerate(io.StringIO(_decode(path, data), newline=""), start=1):
        if not line.strip():
            continue
        try:
            value = parsed(line)
        except ValueError as error:
            faults.add(f"not valid JSON: {error}", number)
            continue
        if not isinstance(value, dict):
            faults.add("not a JSON object; write one object {...} per line", number)
            continue
        for name, one in value.items():
            column = columns.setdefault(name, [])
            column.extend([None] * (len(rows) - len(column)))
            column.append(one)
        rows.append(number)
    series = {}
    for name in list(columns):
        column = columns.pop(name)
        column.extend([None] * (len(rows) - len(column)))
        series[name] = pl.Series(name, column, strict=False)
    return Sheet(series, rows, faults.problems, faults.count)


def _parse_parquet(path: Path, data: bytes) -> Sheet:
    try:
        table = storage.parquet(data)
    except ValueError as error:
        raise InvalidInput(f"{path}: {error}") from None
    return Sheet({column.name: column for column in table}, range(1, len(table) + 1))


_PARSERS: dict[str, Callable[[Path, bytes], Sheet]] = {
    ".csv": _parse_csv,
    ".tsv": _parse_tsv,
    ".jsonl": _parse_jsonl,
    ".parquet": _parse_parquet,
}
SUFFIXES = tuple(_PARSERS)
