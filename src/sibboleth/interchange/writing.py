"""Writing: a folder or a file of another tool's format, whole or not at all, and never over something else."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import soundfile

from sibboleth import storage
from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.interchange.gathering import seconds
from sibboleth.segments.gathering import plain


@contextlib.contextmanager
def whole_folder(place: Path, last: str | None = None) -> Iterator[Path]:
    """Give an empty folder beside `place`, which becomes `place` if the block ends well and vanishes otherwise.

    With `last`, a file by which the format is recognised, what is written also goes into a folder that is there
    already, that file last. Raises `InvalidInput` where `place` holds something else.
    """
    fresh = place.absolute().with_name(f"{storage.PART}{place.name}")
    try:
        fresh.parent.mkdir(parents=True, exist_ok=True)
        guard = storage.lock(fresh.with_name(f"{fresh.name}.lock"), wait=False)
        if guard is None:
            raise SibbolethError(f"{place}: is being written by another process; wait for it")
        try:
            shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
            fresh.mkdir()
            yield fresh
            _settle(fresh, place, last)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            guard.release(remove=True)
    except OSError as error:
        raise InvalidInput(f"{place}: cannot be written ({error.strerror}); choose another place") from None


def whole_file(place: Path, data: bytes) -> None:
    """Write a file; raises `InvalidInput` where it is there already and says something else."""

    def write(path: Path) -> None:
        with storage.atomic(path) as temporary:
            temporary.write_bytes(data)

    try:
        storage.settle(place, write)
    except OSError as error:
        raise InvalidInput(f"{place}: cannot be written ({error.strerror}); choose another place") from None


def _settle(fresh: Path, place: Path, last: str | None) -> None:
    """Put a written folder in its place, or see that what is there says the same."""
    files = sorted((path for path in fresh.iterdir()), key=lambda path: path.name == last)
    if not place.exists():
        fresh.replace(place)
    elif place.is_dir() and not any(place.iterdir()):
        place.rmdir()
        fresh.replace(place)
    elif last is not None and place.is_dir() and all(_same(file, place / file.name) for file in files):
        for file in files:
            file.replace(place / file.name)
    elif not place.is_dir() or not _alike(fresh, place):
        raise InvalidInput(f"{place}: is there already and holds something else; move it away or choose another place")


def _same(file: Path, there: Path) -> bool:
    """Say whether nothing is there, or the same, as a process leaves it that is killed while it moves files."""
    return not there.exists() or (there.is_file() and file.read_bytes() == there.read_bytes())


def _alike(one: Path, other: Path) -> bool:
    ours, theirs = ({path.relative_to(root): path for path in root.rglob("*")} for root in (one, other))
    return ours.keys() == theirs.keys() and all(
        path.is_dir() or (theirs[name].is_file() and path.read_bytes() == theirs[name].read_bytes())
        for name, path in ours.items()
    )


def durations(corpus: Corpus) -> list[float]:
    """Measure how long each utterance is, in seconds, from its times or its recording's header.

    Raises `InvalidInput` for recordings that cannot be opened.
    """
    table = corpus.table
    whole: dict[str, float] = {}
    found = []
    for audio, start, end in table.select("audio", "start", "end").iter_rows():
        if end is None and audio not in whole:
            whole[audio] = _length(audio)
        found.append(seconds(start or 0.0, whole[audio] if end is None else end))
    return found


def _length(audio: str) -> float:
    try:
        info = soundfile.info(audio)
    except (soundfile.SoundFileError, OSError) as error:
        raise InvalidInput(f"{audio}: cannot be opened as audio ({error}), so it is not known how long it is") from None
    return float(info.frames / info.samplerate)


def others(corpus: Corpus, known: tuple[str, ...]) -> list[str]:
    """Name the columns that say something and that a format has no place of its own for."""
    table = corpus.table
    return [name for name in table.columns if name not in known and table[name].null_count() < len(table)]


def simple(value: object) -> str | None:
    """Write a value on one line; None for nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, float):
        return plain(value) if not value.is_integer() else str(int(value))
    return " ".join(str(value).split()) or None


def left_out(corpus: Corpus, known: tuple[str, ...], what: str) -> list[str]:
    """Say which columns a format cannot hold, in one line; nothing where it holds all."""
    absent = others(corpus, known)
    return [f"{what} has no place for {', '.join(absent)}: left out"] if absent else []


def beside(audio: pl.Series, folder: Path) -> list[str]:
    """Write paths below a folder relative to it, others as they are."""
    prefix = f"{os.path.normpath(folder.absolute())}{os.sep}"
    return [one.removeprefix(prefix).replace(os.sep, "/") if one.startswith(prefix) else one for one in audio]
