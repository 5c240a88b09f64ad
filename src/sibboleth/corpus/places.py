"""Where the audio of a manifest lies, also when the manifest was written on another system."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDERS = ("", "clips")
"""Folders below the manifest's that audio paths may start from: Common Voice names its clips without their folder."""


def locate(folder: Path, names: Iterable[str]) -> dict[str, str | None]:
    """Map each path of a manifest in `folder` to the absolute path of the file, or to null where there is none."""
    return {name: _find(folder, name) for name in set(names)}


def absence(folder: Path, name: str) -> str:
    """Say that there is no such file, and what there is instead."""
    wanted = folder / name
    try:
        beside = sorted(file.name for file in wanted.parent.iterdir() if file.stem == wanted.stem)
    except OSError:
        return f"no such file: {name} (there is no folder {wanted.parent}; paths are relative to the manifest)"
    hint = f"there is {', '.join(beside)}" if beside else "paths are relative to the manifest"
    return f"no such file: {name} ({hint})"


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
