"""Praat's TextGrids, in the long and the short text form: one recording a file, with tiers of intervals.

Both forms are the same to Praat, which reads free-standing numbers, texts in quotes (a quote within is doubled) and
flags in angle brackets, and passes over everything else (Praat's manual, "TextGrid file formats"). So does this
reader, which also knows in which line each of them stands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput, Problem
from sibboleth.segments.gathering import Gathering, decoded, plain
from sibboleth.segments.table import Segments

TIER = "segments"
"""Name of the tier of segments that have none; read, it is no tier's name again."""
DIGITS = 9
"""Most digits of a number of tiers or intervals."""
_TOKEN = re.compile(
    r"""(?P<comment>![^\n]*)|"(?P<text>(?:[^"]|"")*)"|(?P<open>")|(?P<flag><\w+>)"""
    r"""|(?<!\S)(?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)|(?P<other>[^\s"!<]+|<)"""
)


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    row: int


class _Tokens:
    """What Praat reads of a file, one after another."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.last = 1
        self._all = self._split(text)

    def _split(self, text: str) -> Iterator[_Token]:
        row, place = 1, 0
        for found in _TOKEN.finditer(text):
            row += text.count("\n", place, found.start())
            place = found.start()
            kind = str(found.lastgroup)
            if kind == "open":
                raise InvalidInput(
                    f"{self.path}: not a TextGrid", [Problem(str(self.path), "a quote is not closed", row)]
                )
            if kind in ("text", "number", "flag"):
                yield _Token(kind, found[kind].replace('""', '"'), row)

    def next(self, kind: str, what: str) -> _Token:
        """Return the next one; raises `InvalidInput` where it is of another kind or there is none."""
        found = next(self._all, None)
        if found is None or found.kind != kind:
            got = "the file ends" if found is None else f"found {found.value!r}"
            row = self.last if found is None else found.row
            raise InvalidInput(
                f"{self.path}: not a TextGrid", [Problem(str(self.path), f"expected {what}; {got}", row)]
            )
        self.last = found.row
        return found

    def count(self, what: str) -> int:
        """Return a whole number that is next."""
        found = self.next("number", what)
        if not found.value.isdecimal() or len(found.value) > DIGITS:
            message = f"expected {what}, a whole number; found {found.value[:20]}"
            raise InvalidInput(f"{self.path}: not a TextGrid", [Problem(str(self.path), message, found.row)])
        return int(found.value)


def read(path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the intervals that have a text, and the length of the recording; tiers of points are left out."""
    take(decoded(path), path, utterance, gathering)


def take(text: str, path: Path, utterance: str, gathering: Gathering) -> None:
    """Gather the same from the text of a file that was read already."""
    tokens = _Tokens(path, text)
    for expected in ("ooTextFile", "TextGrid"):
        if tokens.next("text", f'"{expected}"').value not in (expected, "ooTextFile short"):
            raise InvalidInput(f"{path}: not a TextGrid in text form; in Praat, save it as text file")
    begin = tokens.next("number", "the time at which the TextGrid begins")
    end = tokens.next("number", "the time at which it ends")
    if float(begin.value):
        gathering.problem(begin.row, f"the TextGrid begins at {begin.value} s, not at 0; shift its times in Praat")
    gathering.lasts(end.row, utterance, end.value)
    if tokens.next("flag", "<exists> or <absent>").value == "<exists>":
        for _ in range(tokens.count("the number of tiers")):
            _read_tier(tokens, path, utterance, gathering)


def _read_tier(tokens: _Tokens, path: Path, utterance: str, gathering: Gathering) -> None:
    kind = tokens.next("text", "the class of a tier")
    name = tokens.next("text", "the name of a tier")
    for what in ("begins", "ends"):
        tokens.next("number", f"the time at which the tier {what}")
    number = tokens.count("the number of intervals")
    if kind.value == "TextTier":
        for _ in range(number):
            tokens.next("number", "the time of a point")
            tokens.next("text", "the text of a point")
        gathering.notes.append(f"{path}:{name.row}: tier {name.value!r} has points, which are no segments; left out")
        return
    if kind.value != "IntervalTier":
        gathering.problem(kind.row, f"a tier is an IntervalTier or a TextTier, not {kind.value!r}")
    for _ in range(number):
        start = tokens.next("number", "the start of an interval")
        end = tokens.next("number", "the end of an interval")
        text = tokens.next("text", "the text of an interval")
        if text.value.strip():
            gathering.add(
                start.row, utterance, start.value, end.value, text.value, None if name.value == TIER else name.value
            )


def written(segments: Segments, utterance: str) -> str:
    """Return the text of one recording's file, in the long form; raises `InvalidInput` for overlapping segments."""
    mine = segments.table.filter(pl.col("utterance") == utterance)
    end = segments.durations.get(utterance)
    if end is None:
        end = float(mine["end"].max() or 0)  # type: ignore[arg-type]
    tiers = mine.partition_by("tier", as_dict=True, maintain_order=True) or {(TIER,): mine}
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {plain(end)}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for k, ((name,), tier) in enumerate(tiers.items(), start=1):
        intervals = list(_tiled(utterance, tier, end))
        lines += [f"    item [{k}]:", '        class = "IntervalTier"', f"        name = {_quoted(str(name or TIER))}"]
        lines += ["        xmin = 0", f"        xmax = {plain(end)}", f"        intervals: size = {len(intervals)}"]
        for number, (start, stop, label) in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{number}]:",
                f"            xmin = {plain(start)}",
                f"            xmax = {plain(stop)}",
            ]
            lines += [f"            text = {_quoted(label)}"]
    return "\n".join([*lines, ""])


def _tiled(utterance: str, tier: pl.DataFrame, end: float) -> Iterator[tuple[float, float, str]]:
    """Yield the segments of a tier with what lies between them."""
    before = 0.0
    for start, stop, label in tier.sort("start", "end").select("start", "end", "label").iter_rows():
        if start < before:
            raise InvalidInput(
                f"{utterance}: segments overlap at {start:g} s, which a tier of a TextGrid cannot hold; give each"
                " a tier of its own, or write .json or .csv"
            )
        if start > before:
            yield before, start, ""
        yield start, stop, label
        before = stop
    if before < end or not len(tier):
        yield before, end, ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
