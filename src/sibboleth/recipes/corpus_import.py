"""A corpus in another tool's format on the command line: read, written as a manifest, its folds audited."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import polars as pl
from cyclopts import Parameter
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import corpus, interchange, lists, storage
from sibboleth.audit import audit
from sibboleth.corpus import Corpus
from sibboleth.foreign.remarks import count
from sibboleth.interchange import Asked, Format, Gathered
from sibboleth.recipes.check import of_lists
from sibboleth.recipes.printing import table as begun
from sibboleth.runs import write_text
from sibboleth.splits import Fit
from sibboleth.targets import Target

COLUMNS = ("utterance", "part", "fold")
"""Of the split lists that are written."""
SHOWN = 3


@dataclass(frozen=True)
class FoldAudit:
    """One fold of a corpus as it came, and what the audit finds in it."""

    fold: str
    train: int
    dev: int
    test: int
    speakers: int
    """Speakers who are tested."""
    shared: tuple[str, ...]
    """Those of them who are in train or dev as well."""
    errors: tuple[str, ...]
    """Names of the audit's errors."""


@dataclass(frozen=True)
class ImportedCorpus:
    """What was read, and where it is."""

    corpus: Corpus
    manifest: Path
    notes: tuple[str, ...]
    folds: tuple[FoldAudit, ...] = ()
    splits: Path | None = None
    """Where the split lists are, if it came with several folds."""

    def __rich__(self) -> RenderableType:
        """Say how much there is, what was left out, and what the audit finds in each fold."""
        return Group(*self._lines())

    def _lines(self) -> Iterator[RenderableType]:
        table = self.corpus.table
        speakers = count(table["speaker"].n_unique(), "speaker")
        yield Text(f"{self.corpus.name}: {count(len(table), 'utterance')}, {speakers}", style="bold")
        yield from (Text(note, style="yellow") for note in self.notes)
        if self.folds:
            yield _shown(self.folds)
        yield Text(f"written: {self.manifest}" + (f", {self.splits}" if self.splits else ""), style="dim")
        if self.splits is not None:
            yield Text(f'in a study: [splits] scheme = "file", file = "{self.splits}"', style="dim")
        yield Text(f"next: sibboleth corpus describe {self.manifest}", style="dim")


def corpus_import(
    place: str,
    *,
    output: Path,
    format: Format | None = None,
    columns: dict[str, str] | None = None,
    speaker: str | None = None,
    audio: Path | None = None,
    subset: tuple[str, ...] = (),
    streaming: bool = False,
    rows: Annotated[int | None, Parameter(validator=lambda _, rows: _require_some(rows))] = None,
) -> ImportedCorpus:
    """Read a corpus in another tool's format, and write its manifest.

    Args:
        place: file or folder; with `--format datasets` also a dataset of the hub, OWNER/NAME or OWNER/NAME@REVISION.
        output: manifest to write: CSV, TSV, JSONL or Parquet. Sound that has no file of its own is written beside it.
        format: audformat, ctm, datasets, emobox, kaldi, lhotse, nemo or stm; else told from what lies there.
        columns: our column name to the source's, where they differ: `--columns.speaker client_id`.
        speaker: regular expression that finds the speaker in the names of recordings, or, with a `/` in it, in their
            paths, where no column has it.
        audio: folder below which recordings lie, where they are not where the source says.
        subset: which of several: tables of an audformat database, the configuration of a dataset of the hub.
        streaming: read a dataset of the hub without a copy in its cache.
        rows: so many rows of each part of a dataset at most.

    Returns:
        What was read. Parts and folds that come with it are audited, and what is found is shown; it stops nothing.
        Raises `InvalidInput` for what cannot be read, and where something else is at `output`.
    """
    beside = output.with_name("audio" if output.stem == "manifest" else f"{output.stem}-audio")
    asked = Asked(columns or {}, speaker, audio, subset, streaming, rows, beside)
    read, found = interchange.read(place, format or interchange.recognised(place), asked)
    storage.settle(output, lambda path: corpus.write(read, path))
    splits = None
    if found.folds is not None and found.folds["fold"].n_unique() > 1:
        splits = output.with_name("splits.csv" if output.stem == "manifest" else f"{output.stem}-splits.csv")
        storage.settle(splits, lambda path: write_text(path, found.folds.select(COLUMNS).write_csv()))  # type: ignore[union-attr]
    return ImportedCorpus(read, output, found.notes, tuple(_audited(read, found, output)), splits)


def _require_some(rows: int | None) -> None:
    if rows is not None and rows < 1:
        raise ValueError("must be 1 or more")


def _audited(read: Corpus, found: Gathered, output: Path) -> Iterator[FoldAudit]:
    """Audit the folds or parts that a corpus came with."""
    listed = _lists(read, found)
    if listed is None:
        return
    known = read.table.select("utterance", "speaker", "session", "text")
    listed = listed.drop("speaker", "session", "text").join(known, on="utterance", how="left", maintain_order="left")
    table, fits = of_lists(output, listed.select(lists.COLUMNS))
    target = Target(name="label", kind="classification" if table["label"].null_count() == 0 else "transcription")
    for fit in fits:
        yield _fold(table, fit, target)


def _lists(read: Corpus, found: Gathered) -> pl.DataFrame | None:
    """Return the split lists that came with a corpus; None where it has no parts, or nothing to test."""
    if found.folds is not None:
        return found.folds
    if "part" not in read.table.columns:
        return None
    part = pl.col("part").cast(pl.String).str.strip_chars().str.to_lowercase()
    table = read.table.with_columns(part.replace_strict(lists.PARTS, default=None)).filter(pl.col("part").is_not_null())
    if not {"train", "test"} <= set(table["part"]):
        return None
    label = next((name for name in lists.NAMES["label"] if name in table.columns), None)
    return table.select(
        *("utterance", "audio", "part", "speaker", "session", "text"),
        pl.lit("fold-1").alias("fold"),
        pl.lit(read.name).alias("corpus"),
        (pl.lit(None, pl.String) if label is None else pl.col(label).cast(pl.String)).alias("label"),
        pl.lit("").alias("source"),
        pl.int_range(pl.len()).alias("row"),
    )


def _fold(table: pl.DataFrame, fit: Fit, target: Target) -> FoldAudit:
    tested = fit.tests[0].rows
    learnt = set(table["speaker"].gather([*fit.train, *fit.dev]).drop_nulls())
    speakers = set(table["speaker"].gather(tested).drop_nulls())
    findings = audit(table, (fit,), target=target, domain="corpus")
    return FoldAudit(
        fold=fit.fold,
        train=len(fit.train),
        dev=len(fit.dev),
        test=len(tested),
        speakers=len(speakers),
        shared=tuple(sorted(learnt & speakers)),
        errors=tuple(finding.name for finding in findings if finding.grade == "error"),
    )


def _shown(folds: tuple[FoldAudit, ...]) -> Table:
    """Show what the audit finds in each fold."""
    shown = begun(
        "what the audit finds", ("fold",), ("train", "dev", "test", "speakers tested", "also in train or dev")
    )
    shown.box = box.SIMPLE_HEAD
    shown.add_column("errors", no_wrap=True)
    for one in folds:
        numbers = (one.train, one.dev, one.test, one.speakers, len(one.shared))
        told = Text(", ".join(one.errors) or "none", style="bold red" if one.errors else "green")
        shown.add_row(one.fold, *(f"{number:,}" for number in numbers), told)
    return shown
