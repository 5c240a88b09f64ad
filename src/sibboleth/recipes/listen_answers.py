"""What is kept of a listening test: links into it, how it goes, its tables, and the data of who withdraws."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from sibboleth import runs
from sibboleth.errors import InvalidInput
from sibboleth.foreign.remarks import count
from sibboleth.listeners import admin, export, test, words
from sibboleth.listeners.session import Course
from sibboleth.listeners.store import Store, unusable
from sibboleth.recipes import printing

MOST_LINKS = 10_000


@dataclass(frozen=True)
class Exported:
    """Where the tables are."""

    written: tuple[Path, ...]
    listeners: int
    answers: int

    def __rich__(self) -> RenderableType:
        """Say what was written, and what can be done with it."""
        lines = [f"{count(self.answers, 'answer')} of {count(self.listeners, 'listener')}"]
        lines += [f"written: {path}" for path in self.written]
        return Text("\n".join(lines))


@dataclass(frozen=True)
class Status:
    """How a test goes; looks good on a terminal."""

    overview: admin.Overview

    def __rich__(self) -> RenderableType:
        """Show counts, parts, where people stopped, who failed."""
        found = self.overview
        counts = printing.table(f"Test {found.version}", ("Listeners",), ("",))
        for name, number in found.counts:
            counts.add_row(name, number)
        parts = printing.table("Parts", ("Part", "Kind"), ("Answers", "Items", "Fewest listeners", "Alpha"))
        for part in found.parts:
            numbers = f"{part.answers:,}", f"{part.items:,}", f"{part.raters:,}", part.agreement
            parts.add_row(part.name, part.kind, *numbers)
        shown: list[RenderableType] = [counts, parts]
        for title, rows in (("Stopped at", found.stopped), ("Failed checks", found.failures)):
            if rows:
                table = printing.table(title, ("", " "), ())
                for name, what in rows:
                    table.add_row(Text(name), Text(str(what)))
                shown.append(table)
        return Group(*shown)


def links(folder: Path, *, number: int = 1, base: str = "http://localhost:8000") -> Text:
    """Make personal links into a test, one for each listener; they are shown once, and kept as a hash alone.

    Args:
        folder: What `sibboleth listen design` wrote; it may be served meanwhile.
        number: How many.
        base: Address at which listeners reach the server.
    """
    if not 1 <= number <= MOST_LINKS:
        raise InvalidInput(f"--number is {number}: make 1 to {MOST_LINKS:,} at a time")
    if not re.fullmatch(r"https?://[^\s?#]+", base):
        raise InvalidInput(f"--base is {base}: give an address such as https://listen.example.org")
    with _open(folder, make=True) as (store, _), store.transaction():
        made = [store.enrol({}, "invited") for _ in range(number)]
    return Text("\n".join(f"{base.rstrip('/')}/t/{token}" for token in made))


def write(folder: Path, *, output: Path | None = None) -> Exported:
    """Write what was answered so far, as predictions.csv, listeners.csv and answers.csv; also while it is served.

    Args:
        folder: What `sibboleth listen design` wrote.
        output: Folder for the tables; the test's own `export` where not given.
    """
    with _open(folder) as (store, course):
        tables = export.export(store, course)
    written = []
    for name, frame in export.named(tables).items():
        path = (output or folder / "export") / f"{name}.csv"
        runs.write_text(path, runs.csv(frame))
        written.append(path)
    return Exported(tuple(written), len(tables.listeners), len(tables.answers))


def withdraw(folder: Path, listener: str) -> Text:
    """Delete everything that a listener said, for good; also while the test is served.

    Args:
        folder: What `sibboleth listen design` wrote.
        listener: As tables name them, such as L0007, or their link or its last part.
    """
    with _open(folder) as (store, _):
        with store.transaction():
            number = re.fullmatch(r"L0*(\d+)", listener)
            found = store.numbered(int(number[1])) if number else store.listener(listener.rsplit("/", 1)[-1])
            if found is None:
                raise InvalidInput(f"{listener}: is no listener of this test; `sibboleth listen status` counts them")
            store.withdraw(found.rater)
        store.purge()
    return Text(f"{export.rater(found.rater)}: everything was deleted; make exports that you wrote before anew")


def status(folder: Path) -> Status:
    """Show how a test goes: how many, how far, where they stopped, how well they agree.

    Args:
        folder: What `sibboleth listen design` wrote; it may be served meanwhile.
    """
    with _open(folder) as (store, course):
        return Status(admin.overview(store, course))


@contextlib.contextmanager
def _open(folder: Path, *, make: bool = False) -> Iterator[tuple[Store, Course]]:
    drawn = test.read(folder)
    course = Course(drawn, words.read(drawn.settings.language))
    path = folder / test.ANSWERS
    try:
        with contextlib.closing(Store(path, drawn.version, make=make)) as store:
            yield store, course
    except sqlite3.Error as error:
        raise unusable(path, error) from None
