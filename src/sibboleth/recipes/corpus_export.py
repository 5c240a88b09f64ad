"""A manifest in another tool's format on the command line."""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from sibboleth import corpus, interchange, segments
from sibboleth.foreign.remarks import count
from sibboleth.interchange import Format


@dataclass(frozen=True)
class ExportedCorpus:
    """What was written, and where it is."""

    utterances: int
    place: Path
    notes: tuple[str, ...]
    """What the format does not hold."""

    def __rich__(self) -> RenderableType:
        """Say how much was written and what the format does not hold."""
        written = Text(f"written: {self.place} ({count(self.utterances, 'utterance')})", style="bold")
        return Group(written, *(Text(note, style="yellow") for note in self.notes))


def corpus_export(
    manifest: Path, place: Path, *, format: Format, columns: dict[str, str] | None = None
) -> ExportedCorpus:
    """Write a manifest in another tool's format.

    Args:
        manifest: CSV, TSV, JSONL or Parquet file.
        place: where to write: a folder (audformat, datasets, emobox, kaldi) or a file (ctm; lhotse: cuts, .jsonl or
            .jsonl.gz; nemo: .json or .jsonl; stm).
        format: audformat, ctm, datasets (Parquet files that `load_dataset` reads), emobox, kaldi, lhotse, nemo or stm.
        columns: our column name to the manifest's, where they differ.

    Returns:
        What was written. Raises `InvalidInput` for what the format cannot hold at all, and where something else is at
        `place`; then nothing is written.
    """
    read = _with_paths(corpus.read(manifest, columns=columns), manifest)
    return ExportedCorpus(len(read.table), place, tuple(interchange.write(read, place, format)))


def _with_paths(read: corpus.Corpus, manifest: Path) -> corpus.Corpus:
    """Write out paths of segments that are relative to the manifest, which another place would not find."""
    if segments.COLUMN not in read.table.columns or read.table[segments.COLUMN].dtype != pl.String:
        return read
    given = pl.col(segments.COLUMN)
    relative = ~given.str.starts_with("[") & ~given.str.starts_with("/")
    written = pl.when(relative).then(pl.lit(f"{manifest.absolute().parent}/") + given).otherwise(given)
    return replace(read, table=read.table.with_columns(written.alias(segments.COLUMN)))
