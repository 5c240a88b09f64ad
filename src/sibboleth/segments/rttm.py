"""RTTM, the format of NIST's Rich Transcription evaluations: the name field holds the label.

A segment is a line `SPEAKER utterance channel start duration <NA> <NA> label <NA> <NA>`; lines of other types and
comments (`;;`) are passed over.
"""

from collections import Counter
from decimal import Decimal, InvalidOperation, localcontext
from pathlib import Path

from sibboleth.errors import InvalidInput
from sibboleth.segments.gathering import Gathering, decoded, number, plain
from sibboleth.segments.table import Segments
from sibboleth.storage import atomic

FIELDS = 8
"""Fewest fields of a line; a confidence and a lookahead time may follow."""
DIGITS = 700
"""More digits than a sum or difference of two numbers can have."""


def read(path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the segments of all utterances."""
    others: Counter[str] = Counter()
    some = False
    for row, line in enumerate(decoded(path).split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";"):
            continue
        if fields[0] != "SPEAKER":
            others[fields[0]] += 1
            continue
        some = True
        if len(fields) < FIELDS:
            gathering.problem(row, f"has {len(fields)} fields where a line of RTTM has 9 or 10")
        else:
            start, duration = number(fields[3]), number(fields[4])
            end: object = None
            if start is not None and duration is not None:
                end = _sum(fields[3], fields[4])
                if duration < 0:
                    gathering.problem(row, f"has a negative duration ({duration:g})", "duration")
                    continue
            gathering.add(row, fields[1], fields[3], fields[4] if end is None else end, fields[7])
    if others and not some:
        raise InvalidInput(
            f"{path}: no line of RTTM: a segment begins with SPEAKER, and these with {min(others)[:20]!r}"
        )
    if others:
        told = ", ".join(f"{count:,} of type {name}" for name, count in sorted(others.items()))
        gathering.notes.append(f"{path}: passed over lines that are no segments ({told})")


def write(path: Path, segments: Segments) -> None:
    """Write all segments; raises `InvalidInput` for names with blanks, which separate fields here."""
    rows = list(segments.table.select("utterance", "start", "end", "label").iter_rows())
    for name in sorted({name for utterance, _, _, label in rows for name in (utterance, label)}):
        if len(name.split()) != 1:
            raise InvalidInput(f"{path}: RTTM cannot hold the blanks in {name!r}; write .json or .csv, or rename it")
    lines = [
        f"SPEAKER {utterance} 1 {plain(start)} {_difference(start, end)} <NA> <NA> {label} <NA> <NA>\n"
        for utterance, start, end, label in rows
    ]
    with atomic(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _sum(start: str, duration: str) -> float:
    """Add as decimals, so that what was written comes back to the last digit."""
    with localcontext(prec=DIGITS):
        try:
            return float(Decimal(start.replace(",", ".")) + Decimal(duration.replace(",", ".")))
        except InvalidOperation:  # an exponent that is none for decimals, of a number that is 0 as a float
            return float(start.replace(",", ".")) + float(duration.replace(",", "."))


def _difference(start: float, end: float) -> str:
    with localcontext(prec=DIGITS):
        return f"{Decimal(repr(end)) - Decimal(repr(start)):f}"
