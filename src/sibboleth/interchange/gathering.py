"""Gathering: what a reader of another tool's format found, and whether it makes a corpus."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sibboleth import corpus, lists
from sibboleth.corpus import COLUMNS, OTHER_NAMES, Corpus
from sibboleth.errors import InvalidInput, Problem

SHOWN = 3
NESTED = (list, dict)


@dataclass(frozen=True)
class Asked:
    """What is asked beyond the place that is read."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Our column name to the source's, where they differ."""
    speaker: str | None = None
    """Regular expression that finds the speaker in the name of a recording's file."""
    audio: Path | None = None
    """Folder below which recordings lie, where they are not where the source says."""
    subset: tuple[str, ...] = ()
    """Which of several: tables of an audformat database, the configuration of a dataset of the hub."""
    streaming: bool = False
    """Whether a dataset of the hub is read without a copy in the hub's cache."""
    rows: int | None = None
    """Read so many rows of each part of a dataset at most."""
    embedded: Path = Path("audio")
    """Folder in which sound is written that has no file of its own."""


@dataclass(frozen=True)
class Gathered:
    """What a reader found."""

    name: str
    """Of the corpus, where nobody says otherwise."""
    table: pl.DataFrame
    """A row per utterance, columns by our names where the format has a place for them; `audio` is absolute."""
    notes: tuple[str, ...] = ()
    """What was left out, a line each."""
    files: pl.Series | None = None
    """Names of the recordings' files at the source, where `audio` does not have them."""
    folds: pl.DataFrame | None = None
    """Split lists as `lists.read` returns them, where the format has several folds."""


def finished(found: Gathered, place: str, asked: Asked) -> Corpus:
    """Make a corpus of what was found.

    Raises `InvalidInput` where columns or speakers are missing, for times that are none, and for ids that stand twice.
    """
    table = _renamed(found.table, place, asked.columns)
    if asked.speaker is not None:
        names = table["audio"] if found.files is None else found.files
        table = table.with_columns(lists.speakers(names.to_list(), asked.speaker))
    table = corpus.complete(_typed(table, place))
    if table["utterance"].null_count():
        table = table.with_columns(pl.coalesce("utterance", _ids(table)).alias("utterance"))
    _require_speakers(table, found.table.columns, place)
    _require_different(table["utterance"], place)
    return Corpus(found.name, table)


def tabulated(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Put rows with any keys under each other; a column of lists and of other values becomes text."""
    columns = []
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        kinds = {type(value) if isinstance(value, NESTED) else str for value in values if value is not None}
        try:
            columns.append(pl.Series(name, values if len(kinds) < 2 else list(map(_flat, values)), strict=False))
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            columns.append(pl.Series(name, [None if one is None else json.dumps(one, default=str) for one in values]))
    return pl.DataFrame(columns)


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, NESTED) else value


def stems(audio: pl.Series) -> dict[str, str]:
    """Name each recording by its file's stem, or, where two share one, all by their paths below the common folder."""
    paths = [Path(one) for one in audio.unique(maintain_order=True)]
    if len({path.stem for path in paths}) == len(paths):
        return {str(path): path.stem for path in paths}
    common = len(Path(*_shared([path.parent.parts for path in paths])).parts)
    return {str(path): Path(*path.parts[common:]).with_suffix("").as_posix() for path in paths}


def seconds(start: float, end: float) -> float:
    """Return how long a stretch is, without what subtraction adds to its last digit."""
    return float(f"{end - start:.9f}")


def after(start: float, duration: float) -> float:
    """Return when a stretch ends, without what addition adds to its last digit."""
    return float(f"{start + duration:.9f}")


def _shared(folders: list[tuple[str, ...]]) -> list[str]:
    shared = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def _renamed(table: pl.DataFrame, place: str, columns: Mapping[str, str]) -> pl.DataFrame:
    absent = [theirs for theirs in columns.values() if theirs not in table.columns]
    if absent:
        there = ", ".join(table.columns)
        raise InvalidInput(f"{place}: no column {', '.join(map(repr, absent))}; there are: {there}")
    kept = [name for name in table.columns if name not in columns and name not in columns.values()]
    return table.select(*kept, *(pl.col(theirs).alias(ours) for ours, theirs in columns.items()))


def _typed(table: pl.DataFrame, place: str) -> pl.DataFrame:
    """Make text of our columns, and seconds of times."""
    columns = []
    for name in (name for name in table.columns if name in COLUMNS):
        column = table[name]
        if COLUMNS[name] == pl.String:
            columns.append(corpus.as_text(column))
            continue
        seconds = column.cast(pl.Float64, strict=False)
        if bad := (column.is_not_null() & ~(seconds >= 0).fill_null(False)).arg_true().to_list():
            told = f"must be a number of seconds, 0 or more (given: {column[bad[0]]!r})"
            raise InvalidInput(f"{place}: {len(bad):,} times are none", [Problem(place, told, bad[0] + 1, name)])
        columns.append(seconds)
    return table.with_columns(columns)


def _ids(table: pl.DataFrame) -> pl.Series:
    """Name utterances by their recordings, and by their times where they are a part of one."""
    named = table["audio"].replace_strict(stems(table["audio"]), return_dtype=pl.String)
    times = [
        "" if start is None else f"-{start:.3f}" + ("" if end is None else f"-{end:.3f}")
        for start, end in table.select("start", "end").iter_rows()
    ]
    return (named + pl.Series(times, dtype=pl.String)).alias("utterance")


def _require_speakers(table: pl.DataFrame, there: Sequence[str], place: str) -> None:
    unknown = table.filter(pl.col("speaker").is_null())
    if unknown.is_empty():
        return
    some = ", ".join(unknown["utterance"].head(SHOWN))
    told = f"{len(unknown):,} of {len(table):,} utterances have no speaker, such as {some}"
    raise no_speakers(place, there, table["audio"][0], told if len(unknown) < len(table) else None)


def no_speakers(place: str, there: Sequence[str], file: str, told: str | None = None) -> InvalidInput:
    """Return the error of a corpus without speakers, which says where they can be taken from."""
    others = [name for name in there if name not in ("audio", "start", "end", "speaker")]
    guess = next((name for name in others if name.lower() in OTHER_NAMES["speaker"]), "NAME")
    return InvalidInput(
        f"{place}: {told or 'it says nothing of speakers'}. Without speakers no split is safe. Take them from a column"
        f" (--columns.speaker {guess}; there are: {', '.join(others) or 'none'}), or from the names of files by a"
        f" regular expression (--speaker '^(..)' takes the first two characters of {Path(file).name})"
    )


def _require_different(ids: pl.Series, place: str) -> None:
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        named = [Problem(place, f"{name!r} is the id of several utterances", field="utterance") for name in twice]
        raise InvalidInput(
            f"{place}: {len(twice):,} ids stand twice; take other ids from a column: --columns.utterance NAME", named
        )


def finite(value: object) -> float | None:
    """Return a number of seconds, 0 or more; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
