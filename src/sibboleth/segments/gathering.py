"""Gathering: the rows of a file of segments, each checked with the place where it stands."""

import math
from decimal import Decimal
from pathlib import Path

from sibboleth.errors import InvalidInput, Problem
from sibboleth.segments.table import Segments, table

SHOWN = 5
ROUNDING = 0.01
"""Seconds by which a segment may reach beyond its recording without a word, as rounded times do."""


class Gathering:
    """Segments of one file, and what is wrong with them."""

    def __init__(self, path: Path) -> None:
        """Begin with none."""
        self.path = path
        self.rows: list[tuple[str, float, float, str, str | None, int]] = []
        self.durations: dict[str, float] = {}
        self.known: set[str] = set()
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.empty: list[int] = []

    def problem(self, row: int | None, message: str, field: str | None = None) -> None:
        """Keep what is wrong in a row."""
        self.problems.append(Problem(str(self.path), message, row, field))

    def add(
        self, row: int, utterance: str, start: object, end: object, label: str | None, tier: str | None = None
    ) -> None:
        """Take a segment, its times as text or numbers; without label it says how long the utterance is."""
        begins, ends = self.time(row, start, "start"), self.time(row, end, "end")
        if begins is None or ends is None:
            return
        if ends < begins:
            self.problem(row, f"ends before it starts ({ends:g} < {begins:g})", "end")
        elif label is None or not label.strip():
            self.lasts(row, utterance, ends)
        elif ends == begins:
            self.empty.append(row)
        else:
            self.rows.append((utterance, begins, ends, label.strip(), tier, row))

    def time(self, row: int | None, given: object, field: str) -> float | None:
        """Return seconds, 0 or more, of a number or a text, in which the comma may be the decimal sign."""
        found = number(given)
        if found is None:
            self.problem(row, f"must be a number of seconds (given: {given!r})", field)
        elif found < 0:
            self.problem(row, f"is before the beginning ({found:g} s)", field)
        else:
            return found
        return None

    def know(self, utterance: str) -> None:
        """Say that there is an utterance, which may have no segments."""
        self.known.add(utterance)

    def lasts(self, row: int | None, utterance: str, seconds: object) -> None:
        """Say how long an utterance is."""
        known = self.time(row, seconds, "duration")
        if known is None:
            return
        before = self.durations.setdefault(utterance, known)
        if abs(before - known) > ROUNDING:
            self.problem(row, f"{utterance!r} lasts {known:g} s here and {before:g} s before", "duration")

    def finish(self) -> Segments:
        """Return the segments; raises `InvalidInput` with everything that was wrong."""
        if self.problems:
            bad = len({(problem.row, problem.field, problem.message) for problem in self.problems})
            raise InvalidInput(f"{self.path}: {bad} {'things are' if bad > 1 else 'thing is'} wrong", self.problems)
        kept, late, cut = [], [], []
        for utterance, start, end, label, tier, row in self.rows:
            seconds = self.durations.get(utterance, math.inf)
            if start >= seconds:
                late.append(row)
                continue
            if end > seconds + ROUNDING:
                cut.append(row)
            kept.append((utterance, start, min(end, seconds), label, tier))
        self._note(self.empty, "{} without length left out", "")
        self._note(late, "{} behind the end of the recording left out", "WARNING: ")
        self._note(cut, "{} cut at the end of the recording", "WARNING: ")
        found = table(kept)
        silent = frozenset(self.known - set(found["utterance"]) - set(self.durations))
        return Segments(found, self.durations, silent, tuple(self.notes))

    def _note(self, rows: list[int], said: str, beginning: str) -> None:
        if rows:
            named = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
            segments = f"{len(rows):,} segment{'s' * (len(rows) > 1)}"
            self.notes.append(f"{beginning}{self.path}:{rows[0]}: {said.format(segments)} (rows {named})")


def number(given: object) -> float | None:
    """Return a finite number, also one that is written as text; None for anything else."""
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        return None
    text = given.strip().replace(",", ".") if isinstance(given, str) else given
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def plain(seconds: float) -> str:
    """Write a number to its last digit, and without an exponent, which not every tool reads."""
    return f"{Decimal(repr(seconds)):f}"


def decoded(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with its byte order mark; raises `InvalidInput` for any other."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: neither UTF-8 nor UTF-16 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
