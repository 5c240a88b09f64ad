"""Objects: files of JSON, one object per line, plain or gzipped."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput, Problem

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")
LONGEST = 1 << 24
"""Bytes of a first line by which a format is told."""


def named(place: Path) -> bool:
    """Tell files of objects by their endings."""
    return place.name.lower().endswith(SUFFIXES) and place.is_file()


def peek(place: Path) -> dict[str, Any] | None:
    """Return the first object of a file; None where there is none."""
    if not named(place):
        return None
    try:
        with _opened(place) as stream:
            found = parsed(stream.readline(LONGEST).decode("utf-8-sig"))
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    return found if isinstance(found, dict) else None


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object with its line; raises `InvalidInput` with every line that is none."""
    problems = []
    empty = True
    try:
        with io.TextIOWrapper(_opened(path), encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                empty = False
                try:
                    found = parsed(line)
                except ValueError as error:
                    problems.append(Problem(str(path), f"not valid JSON: {error}", number))
                    continue
                if isinstance(found, dict):
                    yield number, found
                else:
                    problems.append(Problem(str(path), "not a JSON object; one object {...} per line", number))
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from None
    if problems:
        raise InvalidInput(f"{path}: {len(problems):,} lines are no objects", problems)
    if empty:
        raise InvalidInput(f"{path}: is empty")


def _opened(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
