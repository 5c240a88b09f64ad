"""Audio that somebody names on the command line: files, folders or one manifest, scanned."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import soundfile

from sibboleth import audio, corpus, storage
from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from sibboleth.models.encoding import Recording

OTHER_SUFFIXES = {".aif", ".oga", ".opus", ".snd"}
"""Of sound files, beside the names of libsndfile's formats."""


@dataclass(frozen=True)
class Given:
    """Utterances and what their audio is."""

    table: pl.DataFrame
    """A corpus table."""
    scan: pl.DataFrame
    """What `audio.scan` says of each row."""

    def recordings(self) -> "dict[str, Recording]":
        """Return utterance to recording, of those whose audio can be used."""
        from sibboleth.models.encoding import Recording

        both = self.table.select("utterance", "audio", "start", "end").hstack(
            self.scan.select("digest", "seconds", "reason")
        )
        usable = both.filter(pl.col("reason").is_null())
        rows = usable.select("utterance", "digest", "audio", "start", "end", "seconds").rows()
        return {utterance: Recording(*row) for utterance, *row in rows}

    def divided(self, failed: Mapping[str, str], done: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of utterances that worked, and `utterance, audio, reason` of the others.

        Args:
            failed: utterance to reason, of those whose audio could be used.
            done: what was done with audio, for the error.

        Raises `InvalidInput` with reasons where none worked.
        """
        later = self.table["utterance"].replace_strict(failed, default=None, return_dtype=pl.String)
        reason = pl.select(pl.coalesce(self.scan["reason"], later).alias("reason")).to_series()
        excluded = self.table.select("utterance", "audio").with_columns(reason).filter(reason.is_not_null())
        if len(excluded) == len(self.table):
            reasons = excluded.head(sheets.KEPT).select("audio", "reason").rows()
            raise InvalidInput(f"no audio can be {done}", [Problem(*one) for one in reasons])
        return self.table.filter(reason.is_null()), excluded


def given(places: Sequence[Path], columns: Mapping[str, str] | None = None) -> Given:
    """Find and scan audio: sound files, folders that are searched for them, or one manifest.

    `columns` are our column names to the manifest's. Raises `InvalidInput` where there is none.
    """
    table = _table(places, columns)
    return Given(table, audio.scan(table, store=storage.scans()))


def _table(given: Sequence[Path], columns: Mapping[str, str] | None) -> pl.DataFrame:
    """Make a corpus table; raises `InvalidInput` where that cannot be."""
    if not given:
        raise InvalidInput("no audio is given: name sound files, folders or one manifest")
    manifests = [path for path in given if path.suffix.lower() in sheets.SUFFIXES]
    if manifests and len(given) > 1:
        raise InvalidInput(f"{manifests[0]}: a manifest goes alone; leave the other audio out")
    if manifests:
        return corpus.read(manifests[0], columns=columns, required=("audio",)).table
    if columns:
        raise InvalidInput("columns are those of a manifest, and none is given; leave --columns out")
    if absent := [path for path in given if not path.exists()]:
        raise InvalidInput("no such audio", [Problem(str(path), "no such file or folder") for path in absent])
    files: list[Path] = []
    for path in given:
        inside = sorted(_searched(path)) if path.is_dir() else [path]
        if not inside:
            raise InvalidInput(f"{path}: no file in it ends as sound files do ({', '.join(sorted(_suffixes()))})")
        files += inside
    places = list(dict.fromkeys(_absolute(one) for one in files))
    return corpus.complete(pl.DataFrame({"utterance": _names(places, given), "audio": [str(one) for one in places]}))


def _searched(folder: Path) -> Iterator[Path]:
    """Find sound files in a folder, those in hidden folders aside."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in _suffixes() and not hidden and path.is_file():
            yield path


def _suffixes() -> set[str]:
    """Return the endings of what libsndfile reads; RAW has no header, so it is none."""
    return {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"} | OTHER_SUFFIXES


def _names(places: Sequence[Path], given: Sequence[Path]) -> list[str]:
    """Name utterances as a manifest would: by their path below what they share, without suffix where that is enough."""
    folders = [_absolute(one) if one.is_dir() else _absolute(one).parent for one in given]
    shared = os.path.commonpath(folders)
    below = [one.relative_to(shared) for one in places]
    short = [one.with_suffix("").as_posix() for one in below]
    return short if len(set(short)) == len(short) else [one.as_posix() for one in below]


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))
