"""The one file in which a test keeps what people answered: SQLite, on the disk before an answer is acknowledged.

Personal identifiers of recruiting platforms are in a table of their own, `people`, that nothing else refers to and no
export reads. Tokens are kept as their SHA-256 alone, so that a copy of the file lets nobody in. A withdrawn listener
leaves a number and the word `withdrawn`; the bytes of all else are overwritten.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.listeners import tokens
from sibboleth.listeners.session import Listener, Status

FORMAT = 1
AWAY = 3600.0
"""Seconds without an answer after which somebody who has not finished no longer counts where forms are dealt."""
KEPT = 20
"""Links of one listener that work: who comes again from a platform is given a new one."""
_BUSY = 20_000
"""Milliseconds to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE listeners (
  rater INTEGER PRIMARY KEY AUTOINCREMENT,
  form INTEGER,
  status TEXT NOT NULL CHECK (status IN ('invited', 'active', 'finished', 'screened', 'withdrawn')),
  reason TEXT NOT NULL DEFAULT '',
  begun REAL NOT NULL
);
CREATE TABLE tokens (
  digest BLOB PRIMARY KEY, rater INTEGER NOT NULL REFERENCES listeners, made INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_of ON tokens (rater, made);
CREATE TABLE answers (
  rater INTEGER NOT NULL REFERENCES listeners,
  step INTEGER NOT NULL,
  show TEXT NOT NULL,
  item TEXT NOT NULL,
  given TEXT NOT NULL,
  at REAL NOT NULL,
  PRIMARY KEY (rater, step)
) WITHOUT ROWID;
CREATE TABLE people (
  rater INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (rater, name)
) WITHOUT ROWID;
CREATE INDEX people_called ON people (name, value);
CREATE TABLE sounds (
  rater INTEGER NOT NULL, step INTEGER NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (rater, step)
) WITHOUT ROWID;
CREATE TABLE events (rater INTEGER NOT NULL, name TEXT NOT NULL, at REAL NOT NULL);
"""
_SOUNDS = next(one for one in _SCHEMA.split(";") if "TABLE sounds" in one).replace("TABLE", "TABLE IF NOT EXISTS")


@dataclass(frozen=True)
class Given:
    """A stored answer."""

    rater: int
    step: int
    show: str
    item: str
    given: str
    """The answer as it came, as JSON."""


@dataclass(frozen=True)
class Seen:
    """A listener, and when the last answer came."""

    listener: Listener
    ago: float
    """Seconds."""


def unusable(path: Path, error: object) -> SibbolethError:
    """Say that SQLite could not read or write a file, and what can be done."""
    return SibbolethError(
        f"{path}: cannot be used ({error}); is the disk full or read-only, or the file damaged? Take a copy back, or "
        f"save what can be read: sqlite3 {path.name} .recover | sqlite3 saved.sqlite"
    )


class Store:
    """One connection to the file; for one thread at a time."""

    def __init__(self, path: Path, version: str, *, make: bool = True) -> None:
        """Open it, or make it for a test of this version.

        Raises `InvalidInput` where it is of another test, or of a newer program.
        """
        self.path = path
        if not make and not path.exists():
            raise InvalidInput(f"{path}: nobody has begun this test yet")
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY / 1000, isolation_level=None, check_same_thread=False
            )
            self._prepare(version)
        except sqlite3.Error as error:
            raise unusable(path, error) from None

    def require_whole(self) -> None:
        """Raise `SibbolethError` where the file is damaged."""
        try:
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise unusable(self.path, error) from None
        if found != "ok":
            raise unusable(self.path, found)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything that the block does, or nothing; it is on the disk afterwards."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def begin(self, *, wait: bool = True) -> bool:
        """Begin a transaction; without waiting, says whether no other process was writing."""
        self._connection.execute(f"PRAGMA busy_timeout = {_BUSY if wait else 0}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if wait or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def commit(self) -> None:
        """End a transaction; everything is on the disk then."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """End a transaction, if one is open, as if it had not begun."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Read everything as it is at one moment, and keep nobody from writing."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Undo only what this block did where it fails inside a transaction."""
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO part")
            raise
        finally:
            self._connection.execute("RELEASE part")

    def listener(self, token: str) -> Listener | None:
        """Return whose link it is."""
        return self._listener("tokens JOIN listeners USING (rater) WHERE digest = ?", tokens.digest(token))

    def numbered(self, rater: int) -> Listener | None:
        """Return a listener by number."""
        return self._listener("listeners WHERE rater = ?", rater)

    def person(self, name: str, value: str) -> Listener | None:
        """Return who came from a platform with this identifier."""
        return self._listener("people JOIN listeners USING (rater) WHERE name = ? AND value = ?", name, value)

    def seen(self) -> list[Seen]:
        """Return all listeners, by number."""
        now = time.time()
        rows = self._connection.execute(f"SELECT {_LISTENER}, {_SEEN} FROM listeners ORDER BY rater").fetchall()
        return [Seen(Listener(*row[:-1]), max(0.0, now - row[-1])) for row in rows]

    def answers(self, rater: int | None = None) -> Iterator[Given]:
        """Return answers by listener and step."""
        where, values = ("", ()) if rater is None else ("WHERE rater = ?", (rater,))
        order = f"SELECT rater, step, show, item, given FROM answers {where} ORDER BY rater, step"
        for row in self._connection.execute(order, values):
            yield Given(*row)

    def enrol(self, people: Mapping[str, str], status: Status = "active") -> str:
        """Begin a listener, and return the token."""
        made = self._connection.execute("INSERT INTO listeners (status, begun) VALUES (?, ?)", (status, time.time()))
        rater = int(made.lastrowid or 0)
        rows = [(rater, name, value) for name, value in people.items()]
        self._connection.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
        self._event(rater, "invited" if status == "invited" else "enrolled")
        return self.another(rater)

    def another(self, rater: int) -> str:
        """Make another link for a listener; of very many the oldest end."""
        token = tokens.make()
        here = "SELECT digest FROM tokens WHERE rater = ? ORDER BY made DESC LIMIT -1 OFFSET ?"
        self._connection.execute(f"DELETE FROM tokens WHERE digest IN ({here})", (rater, KEPT - 1))
        count = "SELECT coalesce(max(made), 0) + 1 FROM tokens WHERE rater = ?"
        self._connection.execute(f"INSERT INTO tokens VALUES (?, ?, ({count}))", (tokens.digest(token), rater, rater))
        return token

    def hand(self, rater: int, step: int) -> None:
        """Count that the sound of a step was handed out."""
        again = "ON CONFLICT DO UPDATE SET times = times + 1"
        self._connection.execute(f"INSERT INTO sounds VALUES (?, ?, 1) {again}", (rater, step))

    def handed(self) -> dict[tuple[int, int], int]:
        """Return how often the sound of each listener's step was handed out, where that is counted."""
        rows = self._connection.execute("SELECT rater, step, times FROM sounds")
        return {(rater, step): times for rater, step, times in rows}

    def put(self, answer: Given) -> None:
        """Keep an answer; the primary key lets no step be answered twice."""
        row = (answer.rater, answer.step, answer.show, answer.item, answer.given, time.time())
        self._connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)

    def move(self, rater: int, status: Status, reason: str = "") -> None:
        """Change where a listener stands."""
        self._connection.execute("UPDATE listeners SET status = ?, reason = ? WHERE rater = ?", (status, reason, rater))
        self._event(rater, status)

    def deal(self, rater: int, forms: tuple[int, ...]) -> int:
        """Give a listener the form that fewest others have who finished or are at it."""
        at_it = f"status = 'finished' OR (status = 'active' AND {_SEEN} > ?)"
        having = f"SELECT form, count(*) FROM listeners WHERE form IS NOT NULL AND ({at_it}) GROUP BY form"
        counts = dict(self._connection.execute(having, (time.time() - AWAY,)).fetchall())
        form = min(forms, key=lambda number: (counts.get(number, 0), number))
        self._connection.execute("UPDATE listeners SET form = ? WHERE rater = ?", (form, rater))
        return form

    def withdraw(self, rater: int) -> None:
        """Delete what is known of a listener but the number; `purge` then overwrites what the journal holds."""
        for table in ("answers", "people", "sounds", "events"):
            self._connection.execute(f"DELETE FROM {table} WHERE rater = ?", (rater,))
        gone = "UPDATE listeners SET status = 'withdrawn', reason = '', form = NULL, begun = 0 WHERE rater = ?"
        self._connection.execute(gone, (rater,))

    def purge(self) -> None:
        """Bring the journal into the file and empty it, outside a transaction: what was deleted is then nowhere."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _event(self, rater: int, name: str) -> None:
        self._connection.execute("INSERT INTO events VALUES (?, ?, ?)", (rater, name, time.time()))

    def _listener(self, where: str, *values: object) -> Listener | None:
        row = self._connection.execute(f"SELECT {_LISTENER} FROM {where}", values).fetchone()
        return None if row is None else Listener(*row)

    def _prepare(self, version: str) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        if not self._begun():
            self._begin(version)
        self._connection.execute(_SOUNDS)  # of files that were begun before these were counted
        about = dict(self._connection.execute("SELECT name, value FROM about").fetchall())
        if int(about["format"]) > FORMAT:
            raise InvalidInput(
                f"{self.path}: written by a newer sibboleth (format {about['format']}); update sibboleth"
            )
        if about["test"] != version:
            raise InvalidInput(
                f"{self.path}: holds answers to another test (version {about['test']}, and test.json is {version}); "
                "draw a changed test into a folder of its own"
            )

    def _begun(self) -> bool:
        return bool(self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchall())

    def _begin(self, version: str) -> None:
        with self.transaction():
            if self._begun():  # another process was quicker
                return
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
            rows = [("format", str(FORMAT)), ("test", version)]
            self._connection.executemany("INSERT INTO about VALUES (?, ?)", rows)


_LISTENER = (
    "listeners.rater, form, status, reason, "
    "coalesce((SELECT max(step) + 1 FROM answers WHERE answers.rater = listeners.rater), 0)"
)
_SEEN = "coalesce((SELECT at FROM answers WHERE answers.rater = listeners.rater ORDER BY step DESC LIMIT 1), begun)"
