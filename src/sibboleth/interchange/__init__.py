"""Corpora in other tools' formats, read and written.

A module is a format. It has `recognises(place)`, `read(place, asked) -> Gathered`, and `write(corpus, place)`, which
returns what the format does not hold, a line each. Libraries of other tools are imported when they are needed. What is
read may lie anywhere; only the place is written, and what embedded sound is written to. No command is run, and no
pickle is loaded.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from sibboleth.corpus import Corpus
from sibboleth.errors import InvalidInput
from sibboleth.interchange.gathering import Asked, Gathered, finished

__all__ = ["FORMATS", "Asked", "Format", "Gathered", "finished", "read", "recognised", "write"]

Format = Literal["audformat", "ctm", "datasets", "emobox", "kaldi", "lhotse", "nemo", "stm"]
FORMATS: tuple[Format, ...] = get_args(Format)
LOOKS = {
    "audformat": "a folder with db.yaml",
    "ctm": "a file .ctm",
    "datasets": "a folder of save_to_disk, of Parquet files, or of recordings with metadata.csv or LibriSpeech's "
    ".trans.txt; of recordings alone, a folder per label: say --format datasets",
    "emobox": "a folder with label_map.json and fold_1/",
    "kaldi": "a folder with wav.scp",
    "lhotse": "cuts, or recordings and supervisions, as .jsonl or .jsonl.gz",
    "nemo": "a file .json or .jsonl whose lines have audio_filepath",
    "stm": "a file .stm, or a folder of them",
}
"""How each format is recognised."""


def recognised(place: str) -> Format:
    """Tell the format of what lies at a place.

    Raises `InvalidInput` where nothing lies there, it is of no known format, or of several.
    """
    path = Path(place)
    if not path.exists():
        hub = "" if place.count("/") != 1 or place.startswith((".", "/", "~")) else "; of the hub: --format datasets"
        raise InvalidInput(f"{place}: no such file or folder{hub}")
    found: list[Format] = [name for name in FORMATS if _module(name).recognises(path)]
    if not found:
        looks = "\n".join(f"  {name}: {look}" for name, look in LOOKS.items())
        already = "; a table with the columns audio and speaker is a manifest already" if path.is_file() else ""
        raise InvalidInput(f"{place}: of no format that is known here{already}. Give one of:\n{looks}")
    if len(found) > 1:
        raise InvalidInput(f"{place}: may be {' or '.join(found)}; say which: --format {found[0]}")
    return found[0]


def read(place: str, format: Format, asked: Asked) -> tuple[Corpus, Gathered]:
    """Read a corpus, and what was found with it; raises `InvalidInput` saying what cannot be used, where and why."""
    found: Gathered = _module(format).read(place, asked)
    return finished(found, place, asked), found


def write(corpus: Corpus, place: Path, format: Format) -> Sequence[str]:
    """Write a corpus, whole or not at all, and return what the format does not hold, a line each.

    Raises `InvalidInput` for what it cannot hold at all, and where something else is at the place.
    """
    notes: Sequence[str] = _module(format).write(corpus, place)
    return notes


def _module(format: Format) -> ModuleType:
    return import_module(f"sibboleth.interchange.{format}")
