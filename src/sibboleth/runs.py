"""Run directory: everything one run made, written so that a killed run leaves no half file."""

import contextlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import storage
from sibboleth.errors import CannotWrite, SibbolethError

FORMAT = 1
LOCK = ".running"
"""Is locked by the run that is at work in a directory."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a whole file or nothing, as `storage.atomic`; raises `CannotWrite` where the disk does not let us."""
    try:
        with storage.atomic(path) as temporary:
            yield temporary
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotWrite(f"{path}: cannot be written ({why}); make room there or choose another folder") from None


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a whole Parquet file or nothing."""
    with atomic(path) as temporary:
        table.write_parquet(temporary)


def csv(table: pl.DataFrame) -> str:
    """Write a table as CSV for people: `'` stands before texts that a spreadsheet would take for formulas."""
    texts = [_inert(column) for column in table if column.dtype == pl.String]
    names = _inert(pl.Series(table.columns, dtype=pl.String)).to_list()
    return table.with_columns(texts).rename(dict(zip(table.columns, names, strict=True))).write_csv()


def _inert(column: pl.Series) -> pl.Series:
    number = column.cast(pl.Float64, strict=False).is_not_null()
    formula = column.str.contains(r"^[=+\-@\t\r\n]") & ~number
    return column.set(formula.fill_null(False), None).fill_null("'" + column) if formula.any() else column


def now() -> str:
    """Return the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunDirectory:
    """Paths and files of one run; `docs/design.md` lists them."""

    path: Path
    store: str | None = None
    """Address of the object store in which its files stand, too."""

    def __truediv__(self, name: str) -> Path:
        """Path of a file in it."""
        return self.path / name

    def read(self) -> dict[str, Any]:
        """Return `run.json`; raises `SibbolethError` where there is none or its format is newer than this code."""
        try:
            record: Any = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SibbolethError(f"{self.path}: not a run directory (it has no run.json)") from None
        except (OSError, ValueError, RecursionError) as error:
            raise SibbolethError(f"{self.path / 'run.json'}: cannot be read ({error})") from None
        if not isinstance(record, dict):
            raise SibbolethError(f"{self.path / 'run.json'}: is no record of a run; run the same command again")
        if record.get("format", 0) > FORMAT:
            raise SibbolethError(
                f"{self.path}: written by a newer sibboleth (format {record['format']}); update sibboleth"
            )
        return dict(record)

    def write(self, record: dict[str, Any]) -> None:
        """Write `run.json`."""
        text = json.dumps({"format": FORMAT, **record}, indent=2, ensure_ascii=False)
        write_text(self.path / "run.json", text + "\n")

    @contextlib.contextmanager
    def recorded(self, facts: dict[str, Any]) -> Iterator[None]:
        """Write `run.json`, and set its status in `facts` by how the work inside ends and whether a part `failed`."""
        try:
            self.write(facts)
            yield
        except BaseException as error:
            facts["status"] = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self.write(facts)
            raise
        facts |= {"status": "incomplete" if facts.get("failed") else "complete", "finished": now()}
        self.write(facts)

    def table(self, name: str) -> pl.DataFrame:
        """Read one of its tables, e.g. `scores`; raises `SibbolethError` when it is not there yet."""
        file = self.path / f"{name}.parquet"
        if not file.exists():
            raise SibbolethError(f"{file}: missing; the run is not complete, run the same command again")
        try:
            return storage.parquet(file)
        except (OSError, ValueError) as error:
            raise SibbolethError(f"{file}: {error}; delete it and run the same command again") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out of it while the block runs, and remove what killed ones had not written to the end.

        Raises `SibbolethError` where another run is at work in it. The system ends what a killed run held.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            guard = storage.lock(self.path / LOCK, wait=False)
        except OSError as error:
            raise SibbolethError(
                f"{self.path}: may not be written to ({error.strerror}); choose another place"
            ) from None
        if guard is None:
            raise self._taken()
        try:
            with contextlib.suppress(OSError):
                guard.path.write_text(f"process {os.getpid()} on {platform.node() or 'this machine'}", encoding="utf-8")
            self.sweep()
            yield
        finally:
            guard.release(remove=True)

    def sweep(self) -> None:
        """Remove what killed processes had not written to the end; what living ones write stays."""
        for folder in [self.path, *(path for path in self.path.iterdir() if path.is_dir())]:
            storage.sweep(folder)

    def occupied(self) -> bool | None:
        """Say whether a run is at work in it; None where the file system has no locks, so that nobody can tell."""
        try:
            guard = storage.lock(self.path / LOCK, shared=True, wait=False, make=False)
        except OSError:
            return False
        if guard is None:
            return True
        guard.release()
        return False if guard.sure else None

    def _taken(self) -> SibbolethError:
        try:
            who = (self.path / LOCK).read_text(encoding="utf-8")
        except OSError:
            who = ""
        return SibbolethError(
            f"{self.path}: another run is at work in it ({who or 'a process that does not say which'}); wait until it "
            "is done, or choose another place with --output"
        )

    def clear(self, names: Sequence[str]) -> None:
        """Remove tables, the page, its figures and its tables, as far as they are there."""
        for name in names:
            (self.path / f"{name}.parquet").unlink(missing_ok=True)
        (self.path / "report.html").unlink(missing_ok=True)
        for folder in ("figures", "tables"):
            shutil.rmtree(self.path / folder, ignore_errors=True)

    def require_writable(self, begun: Sequence[str] = ()) -> None:
        """Raise `SibbolethError` where no run can be written: at a file, or in a folder that is not ours to change.

        `begun` are names of what may be in the folder before there is a record.
        """
        there = self.path
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            raise SibbolethError(f"{there}: is a file, not a folder; choose another place with --output")
        if not os.access(there, os.W_OK | os.X_OK):
            raise SibbolethError(f"{there}: may not be written to; choose another place with --output")
        if there == self.path and (there / LOCK).exists():
            guard = storage.lock(there / LOCK, wait=False)
            if guard is None:
                raise self._taken()
            guard.release(remove=True)
        others = [path for path in there.iterdir() if not path.name.startswith(storage.PART) and path.name not in begun]
        if there == self.path and not (there / "run.json").exists() and others:
            raise SibbolethError(f"{there}: holds other files and no run; choose a new folder with --output")
