"""Placing: where the recordings lie that a file of another tool names."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from sibboleth.corpora.layouts import SUFFIXES
from sibboleth.corpus import places
from sibboleth.errors import InvalidInput, Problem

ABOVE = 5
"""Folders from which a relative path may start: that of the file, and those above it, since recipes run from there."""

SAMPLE = 20
"""Recordings that are looked for in every folder; the others lie as the first of these that is found."""


def placed(
    path: Path, names: pl.Series, rows: Sequence[int], audio: Path | None = None, sources: Sequence[Path] | None = None
) -> pl.Series:
    """Return the absolute paths of recordings, which a file names in some of its rows.

    A relative path starts from the file's folder or one above it. Given `audio`, recordings lie below that: the end of
    each path counts, as much of it as is there. A recording may have been converted (`.flac` for `.wav`).

    Args:
        path: the file, or a folder in which it lies.
        names: paths as they stand in it.
        rows: where each of them stands.
        audio: folder in which to look for them.
        sources: the file of each row, where they are several.

    Raises `InvalidInput` with every row whose recording is not there.
    """
    known = names.drop_nulls().unique(maintain_order=True)
    start = audio if audio is not None else path if path.is_dir() else path.parent
    folder, cut = start.absolute(), 0
    some = known.gather_every(max(1, len(known) // SAMPLE)).to_list()
    for where, dropped in _ways(start.absolute(), some, audio is not None):
        if any(_there(where, _without(name, dropped)) for name in some):
            folder, cut = where, dropped
            break
    ends = pl.Series(known.name, [_without(name, cut) for name in known], pl.String)
    found = places.locate(folder, ends)
    converted = [one or _converted(folder, end) for one, end in zip(found, ends, strict=True)]
    located = names.replace_strict(known, pl.Series(converted, dtype=pl.String), default=None, return_dtype=pl.String)
    absent = located.is_null().arg_true().to_list()
    if absent:
        told = places.absences(folder, [_without(names[row] or "", cut) for row in absent])
        problems = [
            Problem(str(path if sources is None else sources[row]), message, rows[row], "audio")
            for row, message in zip(absent, told, strict=True)
        ]
        advice = "say where they lie: --audio FOLDER" if audio is None else f"they are looked for below {audio}"
        raise InvalidInput(f"{path}: {len(absent):,} recordings are not there; {advice}", problems)
    return located.alias("audio")


def _ways(start: Path, names: Sequence[str], below: bool) -> Iterator[tuple[Path, int]]:
    """Yield a folder from which paths may start, and how many of their parts are left out."""
    if below:
        yield from ((start, dropped) for dropped in range(max((len(_parts(name)) for name in names), default=0)))
    else:
        yield from ((folder, 0) for folder in [start, *start.parents][:ABOVE])


def _there(folder: Path, name: str) -> bool:
    return places.locate(folder, pl.Series([name]))[0] is not None or _converted(folder, name) is not None


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts


def _without(name: str, dropped: int) -> str:
    return "/".join(_parts(name)[dropped:]) if dropped else name


def _converted(folder: Path, name: str) -> str | None:
    """Return the same recording in another format."""
    stem, dot, _ = name.rpartition(".")
    if not dot or not stem:
        return None
    found = places.locate(folder, pl.Series([f"{stem}{suffix}" for suffix in SUFFIXES]))
    return next((one for one in found if one is not None), None)
