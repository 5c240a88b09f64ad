"""Folders and files that are not quite as published: renamed, in other case, encodings and formats.

Importers look for files by what their names say, anywhere below the folder they are given; a folder's name counts only
where the corpus keeps something in it that is nowhere else.
"""

import codecs
import csv
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sibboleth.errors import InvalidInput, Problem

SUFFIXES = (".wav", ".flac", ".aiff", ".aif", ".ogg", ".opus", ".mp3")
"""Of recordings, best first: as published, re-encoded without loss, then with it. Content decides how one is read."""
SKIPPED = ("__MACOSX",)
"""Folders that archives made on macOS leave, full of files that are none."""


@dataclass(frozen=True)
class Row:
    """A record of a table: where it stands, and its values by column, without blanks around them; empty is None."""

    path: Path
    line: int
    values: dict[str, str | None]

    def __getitem__(self, column: str) -> str | None:
        """Return a value; None where the table has no such column."""
        return self.values.get(column)

    def problem(self, message: str, column: str | None = None) -> Problem:
        """Say what is wrong with it."""
        return Problem(str(self.path), message, self.line, column)


def files(root: Path) -> Iterator[Path]:
    """Yield every file below a folder, absolute and in alphabetical order; hidden ones and macOS's leftovers not.

    Raises `InvalidInput` where there is no such folder.
    """
    if not root.is_dir():
        raise InvalidInput(f"{root}: there is no such folder")
    for folder, below, names in os.walk(root.absolute(), followlinks=True):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in SKIPPED)
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def recordings(root: Path) -> list[Path]:
    """Return the recordings below a folder; of one that is there in several formats the best, by `SUFFIXES`."""
    best: dict[Path, Path] = {}
    for file in files(root):
        if file.suffix.lower() in SUFFIXES:
            known = best.get(file.with_suffix(""))
            if known is None or _rank(file) < _rank(known):
                best[file.with_suffix("")] = file
    return [best[stem] for stem in sorted(best)]


def by_stem(root: Path, found: Iterable[Path]) -> dict[str, Path]:
    """Map stems to files; of those with one stem the nearest to the root counts, then the better format, then name."""
    nearest = sorted(found, key=lambda file: (len(file.parts), _rank(file), str(file)))
    one: dict[str, Path] = {}
    for file in nearest:
        one.setdefault(file.stem, file)
    return dict(sorted(one.items()))


def find(root: Path, names: str | Collection[str]) -> Path | None:
    """Return the file or folder of one of these names, in any case, at the root or nearest below it; None without."""
    wanted = {names.lower()} if isinstance(names, str) else {name.lower() for name in names}
    level = [root.absolute()]
    while level:
        below: list[Path] = []
        for folder in level:
            there = (
                sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
            )
            if matching := next((path for path in there if path.name.lower() in wanted), None):
                return matching
            below += [path for path in there if path.is_dir() and path.name not in SKIPPED]
        level = below
    return None


def need(root: Path, names: str | Collection[str], layout: str) -> Path:
    """Return what `find` finds; raises `InvalidInput` with the layout where there is nothing of that name."""
    found = find(root, names)
    if found is None:
        wanted = names if isinstance(names, str) else " or ".join(sorted(names))
        raise InvalidInput(f"{root}: no {wanted} there or in folders below. {layout}")
    return found


def text(path: Path, *, otherwise: str = "cp1252") -> str:
    """Read text in UTF-8 or UTF-16 with a byte order mark, in UTF-8 without, or else in Windows' Latin-1."""
    return decoded(path.read_bytes(), otherwise=otherwise)


def decoded(data: bytes, *, otherwise: str = "cp1252") -> str:
    """Return the text of bytes as `text` reads them, its lines ended by line feeds."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        said = data.decode("utf-16", errors="replace")
    else:
        try:
            said = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            said = data.removeprefix(codecs.BOM_UTF8).decode(otherwise, errors="replace")
    return said.replace("\r\n", "\n").replace("\r", "\n")


def table(path: Path, columns: Sequence[str], *, delimiter: str | None = None, quoted: bool = True) -> list[Row]:
    """Read a table whose header has these columns, in any case and order; others ride along under their own names.

    Args:
        path: the file, in any encoding that `text` reads.
        columns: names that its header must have; values are under the names as they stand here.
        delimiter: between values; where None that of comma, semicolon and tab that the header has most of.
        quoted: whether a quote begins a value that may hold the delimiter.

    Raises `InvalidInput` where a column is missing, or for rows with more values than the header.
    """
    lines = text(path).split("\n")
    first = next((line for line in lines if line.strip()), "")
    between = delimiter or max(",;\t", key=first.count)
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=between, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    )
    records = [
        (reader.line_num, [value.strip() for value in record]) for record in reader if any(map(str.strip, record))
    ]
    header = _header(path, records[0][1] if records else [], columns)
    wide = [
        Problem(str(path), f"has {len(record)} values, the header {len(header)}", line)
        for line, record in records[1:]
        if any(record[len(header) :])
    ]
    if wide:
        raise InvalidInput(f"{path}: not as published", wide)
    return [
        Row(path, line, {name: value or None for name, value in zip(header, record, strict=False)})
        for line, record in records[1:]
    ]


def number(said: str | None) -> float | None:
    """Return a number written with a point or a decimal comma; None where it is none."""
    try:
        return None if said is None else float(said.strip().replace(",", "."))
    except ValueError:
        return None


def _header(path: Path, there: list[str], columns: Sequence[str]) -> list[str]:
    ours = {name.lower(): name for name in columns}
    header = [ours.get(name.lower(), name) for name in there]
    if absent := [name for name in columns if name not in header]:
        raise InvalidInput(f"{path}: columns {', '.join(absent)} are missing; there are {', '.join(there) or 'none'}")
    return header


def _rank(file: Path) -> int:
    suffix = file.suffix.lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)
