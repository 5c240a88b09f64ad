"""NeMo manifests: JSON, an utterance per line, with `audio_filepath`, `duration`, and `offset`, `text`, `speaker`.

`offset` and `duration` are in seconds; without an offset the utterance is the whole recording. Any other key is a
column. Recordings in tar archives (`shard_id`) have to be unpacked first.
Layout: https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, Problem
from sibboleth.interchange.gathering import Asked, Gathered, after, finite, tabulated
from sibboleth.interchange.objects import objects, peek
from sibboleth.interchange.placing import placed
from sibboleth.interchange.writing import beside, durations, whole_file

SUFFIXES = (".json", ".jsonl")
NAMES = {"audio_filepath": "audio", "lang": "language"}
WRITTEN = ("audio", "start", "end", "duration")


def recognises(place: Path) -> bool:
    """Tell a manifest by its first line."""
    return place.suffix.lower() in SUFFIXES and "audio_filepath" in (peek(place) or {})


def read(place: str, asked: Asked) -> Gathered:
    """Read a manifest; raises `InvalidInput` with every line that cannot be used."""
    path = Path(place)
    lines, rows, problems = [], [], []
    for number, one in objects(path):
        lines.append(number)
        rows.append(_row(one))
        problems += [Problem(str(path), message, number, key) for key, message in _wrong(one)]
    if problems:
        raise InvalidInput(f"{path}: {len({p.row for p in problems}):,} lines cannot be used", problems)
    table = tabulated(rows)
    found = placed(path, table["audio"], lines, asked.audio)
    return Gathered(path.stem, table.with_columns(found))


def write(corpus: Corpus, place: Path) -> list[str]:
    """Write a manifest, which holds everything; columns that NeMo does not know are keys of their own."""
    if place.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"{place}: a NeMo manifest ends in {' or '.join(SUFFIXES)}")
    lines = []
    audio = beside(corpus.table["audio"], place.parent)
    for row, path, duration in zip(corpus.table.iter_rows(named=True), audio, durations(corpus), strict=True):
        known = {key: value for key, value in row.items() if value is not None and key not in WRITTEN}
        offset = {} if row["start"] is None else {"offset": row["start"]}
        lines.append({"audio_filepath": path, **offset, "duration": duration, **known})
    text = "".join(f"{json.dumps(line, ensure_ascii=False, default=str)}\n" for line in lines)
    whole_file(place, text.encode())
    return []


def _row(one: dict[str, Any]) -> dict[str, Any]:
    row = {NAMES.get(key, key): value for key, value in one.items() if key != "offset"}
    offset, duration = finite(one.get("offset")), finite(one.get("duration"))
    if offset is not None and duration is not None:
        row |= {"start": offset, "end": after(offset, duration)}
    return row


def _wrong(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not isinstance(one.get("audio_filepath"), str):
        yield "audio_filepath", "must be the path of a recording"
    if "shard_id" in one:
        yield "shard_id", "its recording is in a tar archive; unpack it, and leave this key out"
    for key in ("offset", "duration"):
        if one.get(key) is not None and finite(one[key]) is None:
            yield key, f"must be a number of seconds, 0 or more (given: {one[key]!r})"
    if one.get("offset") and one.get("duration") is None:
        yield "duration", "is missing, so it is not known where the utterance ends"
