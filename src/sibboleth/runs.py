"""Run directory: everything one run made, written so that a killed run leaves no half file."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth.errors import SibbolethError

FORMAT = 1


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it replaces `path` if the block ends well and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a whole Parquet file or nothing."""
    with atomic(path) as temporary:
        table.write_parquet(temporary)


@dataclass(frozen=True)
class RunDirectory:
    """Paths and files of one run; `docs/design.md` lists them."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        """Path of a file in it."""
        return self.path / name

    def read(self) -> dict[str, Any]:
        """Return `run.json`; raises `SibbolethError` where there is none or its format is newer than this code."""
        try:
            record: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SibbolethError(f"{self.path}: not a run directory (it has no run.json)") from None
        except (OSError, ValueError) as error:
            raise SibbolethError(f"{self.path / 'run.json'}: cannot be read ({error})") from None
        if record.get("format", 0) > FORMAT:
            raise SibbolethError(
                f"{self.path}: written by a newer sibboleth (format {record['format']}); update sibboleth"
            )
        return record

    def write(self, record: dict[str, Any]) -> None:
        """Write `run.json`."""
        text = json.dumps({"format": FORMAT, **record}, indent=2, ensure_ascii=False)
        write_text(self.path / "run.json", text + "\n")

    def table(self, name: str) -> pl.DataFrame:
        """Read one of its tables, e.g. `scores`; raises `SibbolethError` when it is not there yet."""
        file = self.path / f"{name}.parquet"
        if not file.exists():
            raise SibbolethError(f"{file}: missing; the run is not complete, run the same command again")
        return pl.read_parquet(file)
