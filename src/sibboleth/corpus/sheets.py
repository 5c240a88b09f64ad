"""Files of rows: CSV, TSV, JSONL and Parquet as named columns, each value with the line it stands in."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput, Problem


@dataclass
class Sheet:
    """What a file holds, before anything is known about its columns."""

    columns: dict[str, pl.Series]
    """Values by column name; text as it stands in CSV and TSV, typed in JSONL and Parquet."""
    rows: list[int]
    """Line of the file (or row, in Parquet) that each value stands in."""
    problems: list[Problem] = field(default_factory=list)
    """Rows that could not be taken apart; they are not in the columns."""
    decimal_comma: bool = False


def read(path: Path, data: bytes) -> Sheet:
    """Take a file apart, by its suffix.

    Raises `InvalidInput` when it cannot be read at all; what is wrong with single rows is in `problems`.
    """
    return _PARSERS[path.suffix.lower()](path, data)


def _decode(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise InvalidInput(f"{path}: not UTF-8 text (it looks like UTF-16); save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        problems = [
            Problem(str(path), f"not UTF-8; as Latin-1 it reads {line[:60].decode('latin-1').strip()!r}", number)
            for number, line in enumerate(data.split(b"\n"), start=1)
            if not _is_utf8(line)
        ]
        raise InvalidInput(f"{path}: wrong encoding; save the file as UTF-8", problems) from None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parse_csv(path: Path, data: bytes) -> Sheet:
    text = _decode(path, data)
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    sheet = _from_records(path, _csv_records(text, delimiter))
    sheet.decimal_comma = delimiter == ";"
    return sheet


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


def _parse_tsv(path: Path, data: bytes) -> Sheet:
    text = _decode(path, data)
    if text.startswith('"'):  # R quotes everything; Common Voice nothing, so that a quote is a part of its text
        return _from_records(path, _csv_records(text, "\t"))
    lines = io.StringIO(text, newline="")
    return _from_records(path, ((n, line.rstrip("\r\n").split("\t")) for n, line in enumerate(lines, start=1)))


def _from_records(path: Path, records: Iterator[tuple[int, list[str] | str]]) -> Sheet:
    """Make a sheet of a header and rows of text; blank rows and columns without a name are passed over."""
    problems: list[Problem] = []
    header: list[str] = []
    rows: list[int] = []
    values: list[list[str]] = []
    for number, record in records:
        if isinstance(record, str):
            problems.append(Problem(str(path), record, number))
        elif not any(value.strip() for value in record):
            continue
        elif not header:
            header = [value.strip() for value in record]
        elif len(record) < len(header) or any(value.strip() for value in record[len(header) :]):
            message = f"has {len(record)} values where the header has {len(header)}"
            problems.append(Problem(str(path), message, number))
        else:
            rows.append(number)
            values.append(record[: len(header)])
    twice = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if twice:
        raise InvalidInput(f"{path}: the header names a column twice: {', '.join(twice)}")
    by_column = zip(*values, strict=True) if values else [()] * len(header)
    columns = {n: pl.Series(n, column, pl.String) for n, column in zip(header, by_column, strict=True) if n}
    return Sheet(columns, rows, problems)


def _parse_jsonl(path: Path, data: bytes) -> Sheet:
    problems: list[Problem] = []
    rows: list[int] = []
    values: list[dict[str, object]] = []
    for number, line in enumerate(io.StringIO(_decode(path, data), newline=""), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            problems.append(Problem(str(path), f"not valid JSON: {error}", number))
            continue
        if isinstance(value, dict):
            rows.append(number)
            values.append(value)
        else:
            problems.append(Problem(str(path), "not a JSON object; write one object {...} per line", number))
    names = dict.fromkeys(name for value in values for name in value)
    return Sheet({n: pl.Series(n, [v.get(n) for v in values], strict=False) for n in names}, rows, problems)


def _parse_parquet(path: Path, data: bytes) -> Sheet:
    try:
        table = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{path}: not a Parquet file ({error})") from None
    return Sheet({column.name: column for column in table}, list(range(1, len(table) + 1)))


_PARSERS: dict[str, Callable[[Path, bytes], Sheet]] = {
    ".csv": _parse_csv,
    ".tsv": _parse_tsv,
    ".jsonl": _parse_jsonl,
    ".parquet": _parse_parquet,
}
SUFFIXES = tuple(_PARSERS)
