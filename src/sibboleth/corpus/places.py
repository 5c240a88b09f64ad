"""Where the audio of a manifest lies, also when the manifest was written on another system."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import polars as pl

FOLDERS = ("", "clips")
"""Folders below the manifest's that audio paths may start from: Common Voice names its clips without their folder."""


def locate(folder: Path, names: pl.Series) -> pl.Series:
    """Return the absolute path of the file that each path of a manifest in `folder` names; null where there is none."""
    different = names.drop_nulls().unique()
    found = pl.Series([_find(folder, name) for name in different], dtype=pl.String)
    return names.replace_strict(different, found, default=None, return_dtype=pl.String)


def supposed(folder: Path, names: pl.Series) -> pl.Series:
    """Return the absolute path that each path would have, looking for the first file only: the others lie likewise."""
    known = names.drop_nulls()
    first = _below(folder, known[0]) if len(known) else ""
    slashed = names.str.replace_all("\\", "/", literal=True)
    under = pl.lit(f"{str(folder / first).rstrip(os.sep)}{os.sep}") + pl.col(names.name)
    absolute = pl.col(names.name).str.starts_with(os.sep)
    places = slashed.to_frame().select(pl.when(absolute).then(names.name).otherwise(under)).to_series()
    crooked = places.str.contains(r"//|/\.{1,2}(/|$)|/$").fill_null(False)
    if not crooked.any():
        return places.alias(names.name)
    straight = pl.Series([os.path.normpath(one) for one in places.filter(crooked)], dtype=pl.String)
    return places.scatter(crooked.arg_true(), straight).alias(names.name)


def absences(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Say of each path that there is no such file, and what there is instead."""
    listed: dict[Path, dict[str, list[str]] | None] = {}
    for name in names:
        wanted = folder / name
        if below := _end(folder, name):
            yield f"no such file: {name} (there is {below} below the manifest; write paths relative to the manifest)"
            continue
        if wanted.parent not in listed:
            listed[wanted.parent] = _by_stem(wanted.parent)
        there = listed[wanted.parent]
        if there is None:
            yield f"no such file: {name} (there is no folder {wanted.parent}; paths are relative to the manifest)"
            continue
        beside = ", ".join(sorted(there.get(wanted.stem, ())))
        hint = f"there is {beside}" if beside else "paths are relative to the manifest"
        yield f"no such file: {name} ({hint})"


def _end(folder: Path, name: str) -> str | None:
    """Return the longest end of a path that is a file below the folder, where the path began elsewhere."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    ends = ("/".join(parts[dropped:]) for dropped in range(1, len(parts)))
    return next((end for end in ends if _find(folder, end) is not None), None)


def _by_stem(folder: Path) -> dict[str, list[str]] | None:
    """List a folder's files by their names without suffix; None where there is no such folder."""
    found: dict[str, list[str]] = {}
    try:
        for file in folder.iterdir():
            found.setdefault(file.stem, []).append(file.name)
    except (OSError, ValueError):
        return None
    return found


def _below(folder: Path, name: str) -> str:
    """Return which of `FOLDERS` a file lies under; the first if under none."""
    for below in FOLDERS:
        try:
            if (folder / below / name).is_file():
                return below
        except (OSError, ValueError):
            break
    return FOLDERS[0]


def _find(folder: Path, name: str) -> str | None:
    for spelling in _spellings(name):
        for below in FOLDERS:
            path = folder / below / spelling
            try:
                if path.is_file():
                    return os.path.normpath(path)
            except (OSError, ValueError):  # a sentence in the wrong column is too long for a file name
                return None
    return None


def _spellings(name: str) -> Iterator[str]:
    """Yield a path as it stands, then as Windows, Linux and macOS would have written it."""
    yield name
    slashes = name.replace("\\", "/")
    if slashes != name:
        yield slashes
    for form in ("NFC", "NFD"):
        normal = unicodedata.normalize(form, slashes)
        if normal != slashes:
            yield normal
