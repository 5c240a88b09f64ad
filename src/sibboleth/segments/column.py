"""The column `segments` of a manifest: JSON `[{"start": 0.5, "end": 1.2, "label": "sad"}]`, or the path of a file.

A path is that of a file of one recording (TextGrid, Audacity, lablaut), or of a file of many, of which the utterance's
are taken. Nothing in the column means that it is not known what the utterance has; `[]` that it has no segments.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from sibboleth.corpus.notation import parsed
from sibboleth.errors import InvalidInput, Problem
from sibboleth.segments import files, records
from sibboleth.segments.gathering import Gathering
from sibboleth.segments.table import SCHEMA, Segments, together

COLUMN = "segments"
"""Name of the column."""
SHOWN = 100
"""Characters of a path that cannot be read, its last ones, that an error shows."""


def of_manifest(
    table: pl.DataFrame,
    folder: Path,
    durations: Mapping[str, float] | None = None,
    column: str = COLUMN,
    file: str = "manifest",
    lines: Sequence[int] | None = None,
) -> Segments:
    """Return the segments of a table of utterances; those whose column is empty are passed over.

    Args:
        table: has `utterance` and the column, text or lists of objects; a column `duration` in seconds counts.
        folder: what paths are relative to.
        durations: seconds of utterances, which are put over those of the table.
        column: name of the column.
        file: name of the manifest in errors.
        lines: line of each row in it; else a row is that of the table. Errors name the utterance besides.

    Raises `InvalidInput` with every bad row.
    """
    gathering = Gathering(Path(file))
    read: dict[Path, Segments] = {}
    elsewhere: list[Segments] = []
    known = dict(durations or {})
    for row, one in enumerate(table.iter_rows(named=True), start=1):
        utterance, given = one["utterance"], one[column]
        if given is None or given == "":
            continue
        row, before = row if lines is None else lines[row - 1], len(gathering.problems)
        seconds = known.get(utterance, one.get("duration"))
        if seconds is not None:
            gathering.lasts(row, utterance, seconds)
        if isinstance(given, list):
            records.take(given, row, utterance, gathering)
        elif given.lstrip().startswith("["):
            _take_json(given, row, utterance, gathering)
        else:
            found = _take_file(folder / given, row, utterance, gathering, read)
            elsewhere += [] if found is None else [found]
        gathering.problems[before:] = [_named(one, utterance, file) for one in gathering.problems[before:]]
    return together([gathering.finish(), *elsewhere])


def _named(problem: Problem, utterance: str, file: str) -> Problem:
    """Say of which utterance a problem is, where it is one of the manifest's own rows."""
    if problem.file != file:
        return problem
    return replace(problem, message=f"utterance {utterance}: {problem.message}")


def _take_json(text: str, row: int, utterance: str, gathering: Gathering) -> None:
    try:
        listed = parsed(text)
    except ValueError as error:
        gathering.problem(row, f"is no JSON ({error})", COLUMN)
        return
    records.take(listed, row, utterance, gathering)


def _take_file(
    path: Path, row: int, utterance: str, gathering: Gathering, read: dict[Path, Segments]
) -> Segments | None:
    if path not in read:
        read[path] = Segments(pl.DataFrame(schema=SCHEMA))
        try:
            path.open("rb").close()
            read[path] = files.read(path)
        except InvalidInput as error:
            gathering.problem(row, error.summary, COLUMN)
            gathering.problems += error.problems
            return None
        except (
            OSError,
            ValueError,
        ) as error:  # also of a folder, and of what can be no name
            why = error.strerror if isinstance(error, OSError) else error
            gathering.problem(row, f"{str(path)[-SHOWN:]}: cannot be read ({why})", COLUMN)
            return None
    found = read[path]
    there = found.utterances
    name = there[0] if path.suffix.lower() in files.ONE_RECORDING and len(there) == 1 else utterance
    if name not in there:
        named = utterance.rsplit("/", 1)[-1]  # as the corpus called it before corpora were merged
        if named not in there:
            gathering.problem(row, f"{path.name} has no segments of {utterance!r}", COLUMN)
            return None
        name = named
    mine = found.table.filter(pl.col("utterance") == name).with_columns(utterance=pl.lit(utterance))
    lasts = gathering.durations.get(utterance, found.durations.get(name))
    silent = frozenset({utterance} if lasts is None and mine.is_empty() else ())
    return Segments(mine, {} if lasts is None else {utterance: lasts}, silent, found.notes)


def in_manifest(segments: Segments) -> pl.DataFrame:
    """Return `utterance`, `duration` and the column `segments` as JSON, a row per utterance."""
    rows = [
        (utterance, segments.durations.get(utterance), json.dumps(listed, ensure_ascii=False))
        for utterance, listed in records.plain(segments)
    ]
    return pl.DataFrame(rows, schema={"utterance": pl.String, "duration": pl.Float64, COLUMN: pl.String}, orient="row")
