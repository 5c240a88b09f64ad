"""Corpus: the manifest, one row per utterance."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

COLUMNS: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "audio": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "speaker": pl.String,
    "language": pl.String,
    "dialect": pl.String,
    "accent": pl.String,
    "session": pl.String,
    "text": pl.String,
}
"""Columns that every corpus table has, null where unknown; `start` and `end` in seconds."""


@dataclass(frozen=True)
class Corpus:
    """Utterances and what is known about them."""

    name: str
    table: pl.DataFrame
    """The columns of `COLUMNS` (audio as absolute paths) and every other column of the manifest."""
    source: Path | None = None
    """The manifest it was read from."""
    digest: str = ""
    """SHA-256 of the manifest's bytes."""
