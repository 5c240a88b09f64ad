"""Files of segments, read and written by their endings."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sibboleth import storage
from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput
from sibboleth.segments import audacity, lablaut, records, rttm, tables, textgrid
from sibboleth.segments.gathering import Gathering
from sibboleth.segments.table import Segments, together

_READERS: dict[str, Callable[[Path, str, Gathering], None]] = {
    ".json": records.read,
    ".rttm": rttm.read,
    ".textgrid": textgrid.read,
    ".txt": audacity.read,
    ".lablaut": lablaut.read,
    **dict.fromkeys(sheets.SUFFIXES, tables.read),
}
_ONE: dict[str, Callable[[Segments, str], str]] = {".textgrid": textgrid.written, ".txt": audacity.written}
_ALL: dict[str, Callable[[Path, Segments], None]] = {
    ".json": records.write,
    ".rttm": rttm.write,
    **dict.fromkeys(tables.WRITTEN, tables.write),
}
ONE_RECORDING = (".textgrid", ".txt", ".lablaut")
"""Endings of files of one recording each: Praat, Audacity, EmoDB's phone labels."""
SUFFIXES = tuple(_READERS)
"""Endings of files of segments."""


def read(path: Path) -> Segments:
    """Read the segments of a file, or of all files of one recording each in a folder.

    Sorted; a segment without length is left out, and one that reaches beyond a known end is cut, which the notes say.
    Raises `InvalidInput` with file and row for what cannot be read, ends before it starts or starts before 0.
    """
    if path.is_dir():
        return _read_folder(path)
    return _read_file(path, path.stem)


def write(segments: Segments, path: Path, suffix: str | None = None) -> Sequence[Path]:
    """Write segments, whole or not at all; with a suffix, a file of each utterance in the folder `path`.

    JSON, CSV, TSV, JSONL, Parquet, and TextGrids keep everything; RTTM and Audacity's labels have no place for
    durations and tiers. Raises `InvalidInput` where a format cannot hold a label.
    """
    if suffix is None:
        writer = _ALL.get(path.suffix.lower())
        if writer is None:
            raise InvalidInput(f"{path}: segments are written to files that end in one of {', '.join(_ALL)}")
        writer(path, segments)
        return [path]
    if suffix.lower() not in _ONE:
        raise InvalidInput(f"{path}: a folder has files that end in one of {', '.join(_ONE)}, not {suffix!r}")
    files = {utterance: storage.inside(path, f"{utterance}{suffix}") for utterance in segments.utterances}
    texts = {utterance: _ONE[suffix.lower()](segments, utterance) for utterance in files}
    for utterance, text in texts.items():
        files[utterance].parent.mkdir(parents=True, exist_ok=True)
        tables.save(files[utterance], text)
    return list(files.values())


def _read_file(path: Path, utterance: str) -> Segments:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(
            f"{path}: not a file of segments; those end in one of {', '.join(SUFFIXES)}, or are a folder"
        )
    gathering = Gathering(path)
    reader(path, utterance, gathering)
    return gathering.finish()


def _read_folder(folder: Path) -> Segments:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ONE_RECORDING and file.is_file())
    files = [file for file in files if not file.name.startswith(".")]
    if not files:
        raise InvalidInput(f"{folder}: no file in it ends in one of {', '.join(ONE_RECORDING)}")
    named: dict[str, Path] = {}
    for file in files:
        utterance = file.relative_to(folder).with_suffix("").as_posix()
        if utterance in named:
            raise InvalidInput(f"{folder}: {named[utterance].name} and {file.name} are of one recording; keep one")
        named[utterance] = file
    return together([_read_file(file, utterance) for utterance, file in named.items()])
