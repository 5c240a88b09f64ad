"""Corpora on the command line: what a manifest holds, and manifests of public corpora."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sibboleth import audio, corpora, corpus, predictions, storage
from sibboleth.accents import derive, taxonomy
from sibboleth.audio import matching
from sibboleth.corpora import refusals
from sibboleth.corpus import spelling
from sibboleth.errors import InvalidInput
from sibboleth.foreign.remarks import count
from sibboleth.progress import console
from sibboleth.recipes import printing
from sibboleth.runs import write_text

GROUPS = ("language", "dialect", "accent", "speaker")
"""Columns by which utterances are counted."""
MOST_LABELS = 12
"""Above so many values a label is not counted value by value."""
MOST_ROWS = 30
"""Longer tables are cut on the screen; the `Description` has them whole."""

MEASURES = {
    "seconds": "{:.2f} s",
    "peak": "{:.1f} dBFS",
    "level": "{:.1f} dBFS",
    "noise": "{:.1f} dBFS",
    "silence": "{:.0%}",
    "clipped": "{:.2%}",
    "bandwidth": "{:,.0f} Hz",
}
"""Measures of a recording, and how they are written."""
CLIPPED = 0.001
MOSTLY_SILENT = 0.5
QUIET = -45.0
WHOLE = 0.85
"""Share of half the rate under which a bandwidth shows an earlier, lower rate or a codec."""


@dataclass(frozen=True)
class Description:
    """What a manifest holds and what its audio sounds like; looks good on a terminal."""

    name: str
    label: str | None
    """The column whose values are counted, if there is one."""
    table: pl.DataFrame
    """The corpus with the columns of `audio.scan` but the fingerprint, one row per utterance."""
    groups: dict[str, pl.DataFrame]
    """By column of `GROUPS`: its values with utterances, speakers, hours, and utterances per label."""
    formats: pl.DataFrame
    """Utterances and hours by rate and channels."""
    measures: pl.DataFrame
    """Least, median and greatest of each measure of `MEASURES`, over the utterances that can be used."""
    remarks: pl.DataFrame
    """What to know before relying on the audio: remark, utterances, an example."""
    excluded: pl.DataFrame
    """Utterances that cannot be used: utterance, audio, reason."""
    duplicates: pl.DataFrame
    """Utterances with identical audio: copy (the same number for the same sound), utterance, speaker, label."""
    near: pl.DataFrame
    """Pairs with the same sound in other files, encodings or cuts: utterance, other, seconds shared, difference."""
    notes: tuple[str, ...] = ()
    """What became of what speakers say of their accents, and names that are written in several ways."""

    def __rich__(self) -> RenderableType:
        """Lay the tables out under each other."""
        return Group(*_rendered(self))

    def __str__(self) -> str:
        """Write the same as plain text."""
        return printing.plain(self)


def describe(
    manifest: Path,
    *,
    label: str | None = None,
    columns: dict[str, str] | None = None,
    accents: str | None = None,
) -> Description:
    """Read a manifest, listen to all its audio, and describe both.

    Args:
        manifest: CSV, TSV, JSONL or Parquet file.
        label: column whose values are counted; `emotion` or `label` if there is one.
        columns: our column name to the manifest's, where they differ.
        accents: tell `accent` and `dialect` from what the manifest says of accents: built-in, or a table (said, accent,
            dialect) that is put over the built-in one.
    """
    one = corpus.read(manifest, columns=columns)
    derived = None if accents is None else derive(one.table, taxonomy(accents))
    if derived is not None:
        one = replace(one, table=derived.table)
    if label is None:
        label = next((name for name in ("emotion", "label") if name in one.table.columns), None)
    if label is not None and label not in one.table.columns:
        raise InvalidInput(f"{manifest}: no column {label!r} to count; there are {', '.join(one.table.columns)}")
    scan = audio.scan(one.table, store=storage.scans())
    ours = {c: f"manifest {c}" for c in scan.columns[1:] if c in one.table.columns}
    label = ours.get(label, label) if label is not None else None
    table = pl.concat([one.table.rename(ours), scan.drop("utterance", "fingerprint")], how="horizontal")
    ok = table["status"] == "ok"
    usable = table.filter(ok)
    return Description(
        name=one.name,
        label=label,
        table=table,
        groups={c: _group(usable, c, label) for c in GROUPS if table[c].null_count() < len(table)},
        formats=usable.group_by("rate", "channels")
        .agg(pl.len().alias("utterances"), _hours())
        .sort("rate", "channels"),
        measures=_measures(usable),
        remarks=_remarks(usable),
        excluded=table.filter(pl.col("status") != "ok").select("utterance", "audio", "reason"),
        duplicates=_duplicates(usable, label),
        near=_near(usable, scan["fingerprint"].filter(ok)),
        notes=(*(() if derived is None else derived.notes()), *_alike(one.table, label)),
    )


def prepare(name: str, root: Path, *, output: Path | None = None) -> Path:
    """Write the manifest of a known corpus from its published layout, and return its path.

    Args:
        name: a corpus of `sibboleth corpus list`, or speech to make: synthetic (emotions in four languages) or
            synthetic-accents (Dutch with French, German and English phones).
        root: folder the corpus was unpacked in; for speech that is made, the folder to make it in.
        output: where to write, CSV, TSV, JSONL or Parquet; `manifest.csv` in the root if not given.

    Where listeners' answers come with the corpus they are written beside it, as `ratings.csv`. Files that are there
    already are left alone: one that says the same is fine, any other raises `InvalidInput`.
    """
    path = output or root / "manifest.csv"
    made = corpora.prepare(name, root)
    storage.settle(path, lambda place: corpus.write(made, place))
    _tell_missing(made, name, root)
    said = corpora.ratings(name, root)
    if said is not None and len(said):
        beside = path.with_name("ratings.csv" if path.stem == "manifest" else f"{path.stem}-ratings.csv")
        storage.settle(beside, lambda place: write_text(place, said.write_csv()))
        number, heard = len(said.select(predictions.ANSWER).unique()), said["utterance"].n_unique()
        console.print(f"{number:,} answers of listeners about {heard:,} utterances: {beside}")
    elif corpora.rated(name):
        console.print("answers of listeners come with the corpus, and are not in this folder")
    return path


def _alike(table: pl.DataFrame, label: str | None) -> Iterator[str]:
    """Say of the columns that are counted which values are written in several ways."""
    for column in dict.fromkeys((*GROUPS, *(() if label is None else (label,)))):
        if column in table.columns and (groups := spelling.alike(table[column])):
            yield f"{column}: {spelling.told(groups)} differ in {spelling.HOW} alone; write each in one way"


def _tell_missing(made: corpus.Corpus, name: str, root: Path) -> None:
    """Say how many utterances were published, if not all are here, and which recordings of those here are missing."""
    published = corpora.card(name).counts.get("utterances", len(made.table))
    if len(made.table) < published:
        told = f"{len(made.table):,} of the {published:,} utterances that were published are here"
        console.print(f"{told}; sibboleth corpus check {name} {shlex.quote(str(root))} says what is missing")
    missing = [audio for audio in made.table["audio"] if not Path(audio).is_file()]
    if missing:
        told = (
            f"recordings missing: {len(missing):,} of {len(made.table):,}, such as {missing[0]}. What people or models"
            " answer can be scored with the manifest; to encode, put the recordings there"
        )
        console.print(told)
    if passed := refusals.unread(root):
        console.print(passed)


def _hours() -> pl.Expr:
    return (pl.col("seconds").sum() / 3600).alias("hours")


def _group(usable: pl.DataFrame, column: str, label: str | None) -> pl.DataFrame:
    """Count by the values of a column, the unknown last."""
    speakers = [] if column == "speaker" else [pl.col("speaker").n_unique().alias("speakers")]
    counts = usable.group_by(column).agg(pl.len().alias("utterances"), *speakers, _hours())
    if label is not None and label != column:
        values = usable[label].cast(pl.String)
        names = values.drop_nulls().unique().sort().to_list()
        if len(names) <= MOST_LABELS:
            is_label = {name: pl.col(label).cast(pl.String) == name for name in names}
            if values.null_count():
                is_label["unlabelled"] = pl.col(label).is_null()
            clear = {name: f"{label} {name}" if name in counts.columns else name for name in is_label}
            by_label = usable.group_by(column).agg(rule.sum().alias(clear[name]) for name, rule in is_label.items())
            counts = counts.join(by_label, on=column, nulls_equal=True)
    return counts.sort(column, nulls_last=True)


def _measures(usable: pl.DataFrame) -> pl.DataFrame:
    rows = [(name, usable[name].min(), usable[name].median(), usable[name].max()) for name in MEASURES]
    schema = {"measure": pl.String, "least": pl.Float64, "median": pl.Float64, "greatest": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _remarks(usable: pl.DataFrame) -> pl.DataFrame:
    rules = {
        f"clipped in more than {CLIPPED:.1%} of the samples": pl.col("clipped") > CLIPPED,
        f"silent for more than {MOSTLY_SILENT:.0%} of the time": pl.col("silence") > MOSTLY_SILENT,
        f"very quiet, level under {QUIET:.0f} dBFS": pl.col("level") < QUIET,
        "several channels, which are averaged": pl.col("channels") > 1,
        "the band breaks off early: an earlier, lower rate or a codec": pl.col("bandwidth")
        < WHOLE * pl.col("rate") / 2,
    }
    found = ((remark, usable.filter(rule)["utterance"]) for remark, rule in rules.items())
    rows = [(remark, len(utterances), utterances[0]) for remark, utterances in found if len(utterances)]
    schema = {"remark": pl.String, "utterances": pl.Int64, "example": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _duplicates(usable: pl.DataFrame, label: str | None) -> pl.DataFrame:
    labelled = [label] if label is not None and label not in ("utterance", "speaker") else []
    return (
        usable.filter(pl.col("digest").is_duplicated())
        .select(pl.col("digest").rank("dense").cast(pl.Int64).alias("copy"), "utterance", "speaker", *labelled)
        .sort("copy", "utterance")
    )


def _near(usable: pl.DataFrame, prints: pl.Series) -> pl.DataFrame:
    """List the pairs that share sound, but neither their samples nor their file."""
    found = matching.matches(prints.to_list())
    pairs = pl.DataFrame(
        {
            "utterance": usable["utterance"].gather(found.first),
            "other": usable["utterance"].gather(found.second),
            "seconds": pl.Series(found.seconds.round(1), dtype=pl.Float64),
            "difference": pl.Series(found.error.round(3), dtype=pl.Float64),
        }
    )
    differ = [usable[name].gather(found.first) != usable[name].gather(found.second) for name in ("digest", "audio")]
    return pairs.filter(differ[0] & differ[1])


def _rendered(one: Description) -> Iterator[RenderableType]:
    usable = one.table.filter(pl.col("status") == "ok")
    hours = float(usable["seconds"].sum()) / 3600
    numbers = count(len(usable), "utterance"), count(usable["speaker"].n_unique(), "speaker")
    head = " · ".join((_duration(hours), *numbers))
    yield Text.assemble((one.name, "bold"), "  ", head)
    yield from (Text(note, style="dim") for note in one.notes)
    if one.label is not None and usable[one.label].n_unique() > MOST_LABELS:
        yield Text(f"{one.label} has {usable[one.label].n_unique()} different values", style="dim")
    for column, table in one.groups.items():
        yield from _block(f"by {column}", table)
    yield from _block("audio formats", one.formats)
    yield from _block("levels", _with_units(one.measures) if len(usable) else pl.DataFrame())
    yield from _block("to know", one.remarks)
    yield from _block("identical audio", one.duplicates, "yellow")
    yield from _block("the same sound in other files", one.near, "yellow")
    yield from _block("cannot be used", one.excluded, "red")


def _with_units(measures: pl.DataFrame) -> pl.DataFrame:
    """Write each measure as one would say it."""
    rows = [
        (name, *("-" if v is None else MEASURES[name].format(v) for v in values))
        for name, *values in measures.iter_rows()
    ]
    return pl.DataFrame(rows, schema=measures.columns, orient="row")


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _block(title: str, table: pl.DataFrame, style: str = "cyan") -> Iterator[RenderableType]:
    """Yield a titled table, cut after `MOST_ROWS`; nothing for no rows."""
    if table.is_empty():
        return
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for column in table:
        right = column.dtype.is_numeric() or column.name in ("least", "median", "greatest")
        name = "duration" if column.name == "hours" else column.name
        drawn.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in table.head(MOST_ROWS).iter_rows():
        drawn.add_row(*(Text(_shown(name, value)) for name, value in zip(table.columns, row, strict=True)))
    yield Text(f"\n{title}", style=f"bold {style}")
    yield Padding(drawn, (0, 0, 0, 2))
    if len(table) > MOST_ROWS:
        yield Text(f"  ... and {len(table) - MOST_ROWS} more", style="dim")


def _shown(name: str, value: object) -> str:
    if value is None:
        return "unknown"
    return _duration(value) if name == "hours" and isinstance(value, float) else str(value)
