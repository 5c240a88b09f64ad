"""Transcripts as NIST's scoring toolkit reads them: trn, STM and CTM.

trn: `words (utterance)`. STM: `file channel speaker begin end [<label>] words`, in seconds. CTM: `file channel begin
duration word [confidence]`, one word a line. `;;` begins a comment. Of alternatives (`{ a / b }`, `<ALT_BEGIN>`) the
first counts, `@` is no word, and segments that say IGNORE_TIME_SEGMENT_IN_SCORING are left out. STM has no names of
utterances: a segment is called by its file, with its channel where the file has several, and with its times where it is
not alone there (`file-1.250-2.500`, as a manifest without names of utterances is read). Words of CTM belong to the
segment of the reference that holds their middle, or to the utterance of the file's name.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import polars as pl

from sibboleth.errors import InvalidInput, Problem
from sibboleth.foreign import outputs
from sibboleth.foreign.outputs import File
from sibboleth.foreign.remarks import count, some

SUFFIXES = (".trn", ".stm", ".ctm")
TEXT = "text"
"""Column of the words where the file is the reference; of answers it is `hypothesis`."""
HYPOTHESIS = "hypothesis"
IGNORED = "ignore_time_segment_in_scoring"
ALTERNATIVES = ("<ALT_BEGIN>", "<ALT>", "<ALT_END>")
MIDDLE = 0.5


@dataclass(frozen=True)
class Segment:
    """A stretch of a file, and its utterance."""

    utterance: str
    start: float
    end: float


@dataclass
class _Lines:
    """The lines of a file, and what is wrong with them."""

    path: Path
    problems: list[Problem] = field(default_factory=list)
    alternatives: int = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield each line that is no comment, with its number."""
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InvalidInput(f"{self.path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InvalidInput(f"{self.path}: not UTF-8 text; save it as UTF-8") from None
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip() and not line.lstrip().startswith(";;"):
                yield number, line.strip()

    def wrong(self, message: str, row: int) -> None:
        self.problems.append(Problem(str(self.path), message, row))

    def seconds(self, text: str, row: int, called: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            self.wrong(f"{called} must be a number of seconds, 0 or more (given: {text!r})", row)
        return value

    def words(self, text: str, row: int) -> str:
        """Return the words of a text: of alternatives the first, without those that are none."""
        kept: list[str] = []
        nested: list[bool] = []
        for word in text.split():
            if word == "{":
                nested.append(True)
                self.alternatives += 1
            elif word == "}" and nested:
                nested.pop()
            elif word == "/" and nested:
                nested[-1] = False
            elif all(nested) and word != "@":
                kept.append(word)
        if nested:
            self.wrong("alternatives open with { and never close", row)
        return " ".join(kept)

    def file(self, rows: Sequence[tuple[int, dict[str, str | None]]], notes: list[str]) -> File:
        """Make a file of rows; raises `InvalidInput` for lines that cannot be taken apart, or none."""
        if self.problems:
            lines = len({problem.row for problem in self.problems})
            raise InvalidInput(f"{self.path}: {count(lines, 'line')} cannot be taken apart", self.problems)
        if not rows:
            raise InvalidInput(f"{self.path}: has no transcripts")
        if self.alternatives:
            told = count(self.alternatives, "place")
            notes.append(f"WARNING: {told} of {self.path.name} with alternatives, of which the first was taken")
        frame = pl.DataFrame([row for _, row in rows], schema=dict.fromkeys(rows[0][1], pl.String))
        return File(self.path, frame, [number for number, _ in rows])


def read(path: Path, notes: list[str], *, answers: bool, reference: File | None = None) -> File:
    """Read a file as a table of `utterance` and its words; of a reference in STM also its columns.

    `answers` says whether it is a system's; `reference` has the segments of the words of a CTM. Raises `InvalidInput`
    with file and line.
    """
    text = HYPOTHESIS if answers else TEXT
    if path.suffix.lower() == ".trn":
        return _trn(_Lines(path), text, notes)
    if path.suffix.lower() == ".stm":
        found = _stm(_Lines(path), text, notes)
        kept = ("utterance", text) if answers else found.frame.columns
        return File(path, found.frame.select(kept), found.rows)
    if not answers:
        raise InvalidInput(f"{path}: a CTM has no utterances; give the reference as STM, trn or manifest")
    return _ctm(_Lines(path), notes, reference)


def _trn(lines: _Lines, text: str, notes: list[str]) -> File:
    rows: list[tuple[int, dict[str, str | None]]] = []
    for number, line in lines:
        words, opened, name = line.rpartition("(")
        name = name.removesuffix(")").strip()
        if not opened or not line.endswith(")") or not name or " " in name:
            lines.wrong("must end with the utterance in brackets: words (utterance)", number)
            continue
        rows.append((number, {"utterance": name, text: lines.words(words, number) or None}))
    return lines.file(rows, notes)


def _stm(lines: _Lines, text: str, notes: list[str]) -> File:
    found = []
    ignored = 0
    for number, line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) < 5:
            lines.wrong("must be: file channel speaker begin end [<label>] words", number)
            continue
        name, channel, speaker, *times = fields[:5]
        start, end = (lines.seconds(one, number, which) for one, which in zip(times, ("begin", "end"), strict=True))
        if end <= start:
            lines.wrong(f"end must be after begin ({end:g} <= {start:g})", number)
        rest = fields[5] if len(fields) == 6 else ""
        label = rest.partition(">")[0] + ">" if rest.startswith("<") and ">" in rest else None
        rest = rest.removeprefix(label or "").strip()
        if rest.lower() == IGNORED:
            ignored += 1
            continue
        found.append((number, name, channel, speaker, start, end, label, lines.words(rest, number)))
    if ignored:
        notes.append(f"{count(ignored, 'segment')} of {lines.path.name} left out, as it asks")
    called = _names([(name, channel, start, end) for _, name, channel, _, start, end, *_ in found])
    rows: list[tuple[int, dict[str, str | None]]] = [
        (
            number,
            {
                **{"utterance": utterance, "file": name, "channel": channel, "speaker": speaker},
                **{"start": str(start), "end": str(end), "subset": label, text: words or None},
            },
        )
        for utterance, (number, name, channel, speaker, start, end, label, words) in zip(called, found, strict=True)
    ]
    return lines.file(rows, notes)


def _names(segments: Sequence[tuple[str, str, float, float]]) -> list[str]:
    """Call segments by their files, and what else tells them apart."""
    channels = Counter(name for name, _ in {(name, channel) for name, channel, *_ in segments})
    alone = Counter((name, channel) for name, channel, *_ in segments)
    return [
        name
        + (f"-{channel}" if channels[name] > 1 else "")
        + (f"-{start:.3f}-{end:.3f}" if alone[name, channel] > 1 else "")
        for name, channel, start, end in segments
    ]


def _ctm(lines: _Lines, notes: list[str], reference: File | None) -> File:
    segments = _segments(reference)
    said: dict[str, list[tuple[float, str]]] = {}
    begun: dict[str, int] = {}
    outside: list[str] = []
    for number, name, channel, middle, word in _spoken(lines):
        there = segments.get((name, channel.lower())) or segments.get((name, "")) or [Segment(name, 0, math.inf)]
        for one in there:  # of what is heard in part, what is silent is answered by nothing
            begun.setdefault(one.utterance, number)
        utterance = next((one.utterance for one in there if one.start <= middle < one.end), None)
        if utterance is None:
            outside.append(f"{word} ({name}, {middle:g} s)")
        elif word != "@":
            said.setdefault(utterance, []).append((middle, word))
    if outside:
        told = f"{count(len(outside), 'word')} of {lines.path.name} in no segment of the reference left out"
        notes.append(f"WARNING: {told}: {some(outside)}")
    rows: list[tuple[int, dict[str, str | None]]] = []
    for utterance, number in begun.items():
        words = " ".join(word for _, word in sorted(said.get(utterance, []), key=lambda one: one[0]))
        rows.append((number, {"utterance": utterance, HYPOTHESIS: words or None}))
    return lines.file(rows, notes)


def _spoken(lines: _Lines) -> Iterator[tuple[int, str, str, float, str]]:
    """Yield line, file, channel, middle in seconds and word; of alternatives the first."""
    first = True
    for number, line in lines:
        fields = line.split()
        if len(fields) < 5:
            lines.wrong("must be: file channel begin duration word [confidence]", number)
            continue
        name, channel, begin, duration, word = fields[:5]
        if word.upper() in ALTERNATIVES:
            lines.alternatives += word.upper() == ALTERNATIVES[0]
            first = word.upper() != ALTERNATIVES[1]
        elif first:
            start = lines.seconds(begin, number, "begin")
            yield number, name, channel, start + MIDDLE * lines.seconds(duration, number, "duration"), word


def _segments(reference: File | None) -> dict[tuple[str, str], list[Segment]]:
    """Gather the segments of a reference by file and channel: those of an STM, or of a manifest with times.

    Where there are no times the utterance is the whole of the file that has its name.
    """
    found: dict[tuple[str, str], list[Segment]] = {}
    if reference is None or reference.ours:
        return found
    columns = reference.frame.columns
    named = outputs.utterances(reference, None)
    files = next((name for name in ("file", "audio") if name in columns and name != named), named)
    timed = all(name in columns for name in ("start", "end"))
    for row in reference.frame.iter_rows(named=True):
        start, end = (_time(row[name]) if timed else None for name in ("start", "end"))
        segment = Segment(row[named], start or 0.0, math.inf if end is None else end)
        whole = start is None and end is None
        name = row[named] if whole else row[files] or row[named]
        name = name if files != "audio" or whole else PurePosixPath(name.replace("\\", "/")).stem
        found.setdefault((name, (row.get("channel") or "").lower()), []).append(segment)
    return found


def _time(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.replace(",", "."))
    except ValueError:
        return None
