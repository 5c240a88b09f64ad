"""Folders of recordings: with metadata (`file_name`), with LibriSpeech's transcripts, or a folder per label.

LibriSpeech and those that took its layout have `84/121123/84-121123.trans.txt` beside the recordings, a line for each:
its name, a blank, its text. The folders are the speaker's and the chapter's, which becomes the session.
Layout: https://huggingface.co/docs/datasets/audio_dataset and https://www.openslr.org/12
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import lists
from sibboleth.corpora import layouts, refusals
from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput, Problem
from sibboleth.interchange.gathering import Asked, Gathered, tabulated
from sibboleth.interchange.placing import placed

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE = "file_name"
TRANSCRIPTS = ".trans.txt"
LAYOUT = "A folder of recordings has them with metadata.csv (file_name), with .trans.txt, or in a folder per label"

_CHAPTER = re.compile(r"(\w+)-(\w+)")


def recognises(place: Path) -> bool:
    """Tell a folder by metadata or transcripts beside its recordings."""
    return bool(_metadata(place)) or _has_transcripts(place)


def read(folder: Path, asked: Asked) -> Gathered:
    """Read a folder of recordings; raises `InvalidInput` where there are none, and for what cannot be read."""
    described = _metadata(folder)
    rows: list[dict[str, Any]] = []
    places: list[tuple[Path, int]] = []
    for file in described:
        for line, row in _described(file):
            rows.append({**row, "audio": str(file.parent / str(row[FILE]))})
            places.append((file, line))
    transcribed = not described and _has_transcripts(folder)
    for file in [] if described else layouts.recordings(folder):
        rows.append({"audio": str(file), **({} if transcribed else _label(file, folder))})
        places.append((file, 1))
    if not rows:
        raise refusals.no_recordings(folder, f"No Parquet files with sound, and no saved dataset, either. {LAYOUT}")
    notes = _transcribe(rows, folder) if transcribed else ()
    table = tabulated(rows)
    audio = placed(folder, table["audio"], [line for _, line in places], asked.audio, [file for file, _ in places])
    parts = [_part(Path(one), folder) for one in audio]
    table = table.with_columns(audio).drop(FILE, strict=False)
    if any(parts) and "part" not in table.columns:
        table = table.with_columns(pl.Series("part", parts, pl.String))
    return Gathered(folder.absolute().name, table, notes)


def _metadata(place: Path) -> list[Path]:
    below = ("", "*/", "*/*/")
    return sorted(file for folder in below for name in METADATA for file in place.glob(f"{folder}{name}"))


def _has_transcripts(place: Path) -> bool:
    below = ("", "*/", "*/*/", "*/*/*/")
    return any(next(place.glob(f"{folder}*{TRANSCRIPTS}"), None) is not None for folder in below)


def _described(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file of metadata, with their lines."""
    sheet = sheets.read(file, file.read_bytes())
    barred = file.suffix == ".csv" and "|" in layouts.text(file).partition("\n")[0]
    if sheet.problems and not barred:
        raise InvalidInput(f"{file}: {sheet.unread:,} rows cannot be taken apart", sheet.problems)
    if FILE not in sheet.columns:
        command = f"sibboleth corpus prepare rhasspy {shlex.quote(str(file.parent))}"
        there = f"it looks as LJSpeech's, name|text; so it is read by {command}"
        named = f"there are {', '.join(sheet.columns) or 'none'}"
        raise InvalidInput(f"{file}: has no column {FILE!r}, which names recordings; {there if barred else named}")
    yield from zip(sheet.rows, pl.DataFrame(list(sheet.columns.values())).iter_rows(named=True), strict=True)


def _label(file: Path, folder: Path) -> dict[str, str]:
    above = file.relative_to(folder.absolute()).parts[:-1]
    label = next((name for name in reversed(above) if name.lower() not in lists.PARTS), None)
    return {} if label is None else {"label": label}


def _transcribe(rows: list[dict[str, Any]], folder: Path) -> tuple[str, ...]:
    """Add texts, speakers and sessions to rows of recordings; says how many have none."""
    texts: dict[Path, str] = {}
    chapters: dict[Path, tuple[str, str]] = {}
    for path in layouts.files(folder):
        if path.name.lower().endswith(TRANSCRIPTS):
            texts.update(_texts(path))
            named = _CHAPTER.fullmatch(path.name[: -len(TRANSCRIPTS)])
            if named and path.parent.parts[-2:] == named.groups():
                chapters[path.parent] = (named[1], named[2])
    for row in rows:
        file = Path(row["audio"])
        row["text"] = texts.get(file.with_suffix(""))
        if file.parent in chapters:
            row["speaker"], row["session"] = chapters[file.parent][0], "-".join(chapters[file.parent])
    without = sum(row["text"] is None for row in rows)
    return (f"{without:,} of {len(rows):,} recordings have no line in a {TRANSCRIPTS}",) if without else ()


def _texts(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield what is said in each recording beside a transcript, by its path without ending."""
    lines = [(row, line.split(maxsplit=1)) for row, line in enumerate(layouts.text(path).split("\n"), start=1)]
    if bad := [row for row, fields in lines if len(fields) == 1]:
        problems = [Problem(str(path), "expected the name of a recording, a blank and its text", row) for row in bad]
        raise InvalidInput(f"{path}: not a transcript", problems)
    yield from ((path.parent / fields[0], fields[1].strip()) for _, fields in lines if fields)


def _part(file: Path, folder: Path) -> str | None:
    try:
        above = file.relative_to(folder.absolute()).parts[:-1]
    except ValueError:
        return None
    return next((name for name in above if name.lower() in lists.PARTS), None)
