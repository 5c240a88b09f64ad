"""Answers of people from other tools on the command line: read, matched to a manifest, written as predictions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from sibboleth import corpus, runs
from sibboleth.errors import InvalidInput
from sibboleth.foreign import naming, ratings
from sibboleth.foreign.answers import Asked
from sibboleth.foreign.ratings import Format, Imported
from sibboleth.foreign.remarks import count, some
from sibboleth.targets import Kind

SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Written:
    """What was read, and where it is."""

    imported: Imported
    target: str
    manifest: Path
    output: Path
    who: Path | None = None
    """Where it is written who is who."""
    told: bool = True
    """Whether the manifest has the target, so that there is something to score against."""

    def __rich__(self) -> RenderableType:
        """Say how many answers, people and utterances there are, and what was left out and why."""
        return Group(*(Text(line, style=style) for line, style in self._lines()))

    def _lines(self) -> Iterator[tuple[str, str]]:
        table = self.imported.table
        for target in [self.target, *sorted(set(table["target"]) - {self.target})]:
            some_rows = table.filter(pl.col("target") == target)
            answers = some_rows.select("rater", "utterance", "start", "end", "trial").n_unique()
            people = count(some_rows["rater"].n_unique(), "person").replace("persons", "people")
            utterances = count(some_rows["utterance"].n_unique(), "utterance")
            yield f"{target}: {count(answers, 'answer')}, {people}, {utterances}", "bold"
        for reason, number in sorted(self.imported.left_out.items()):
            yield f"left out: {number:,} ({reason})", "yellow"
        if self.imported.unmatched:
            yield f"not in the manifest: {some(self.imported.unmatched)}", "yellow"
        yield from ((note, "dim") for note in self.imported.notes)
        yield f"written: {self.output}", "dim"
        if self.who is not None:
            yield f"who is who: {self.who}; keep it apart from the answers", "dim"
        if not self.told:
            yield (
                f"{self.manifest} has no column {self.target!r} (--target), so nothing says which answer is right",
                "yellow",
            )
            return
        yield f"next: sibboleth score {self.output} --reference {self.manifest} --target {self.target}", "dim"


def listen_import(
    files: tuple[Path, ...],
    *,
    manifest: Path,
    target: str = "emotion",
    output: Path = Path("ratings.csv"),
    format: Format = "auto",
    kind: Kind | None = None,
    labels: dict[str, str] | None = None,
    question: str | None = None,
    utterance: str | None = None,
    rater: str | None = None,
    names: Path | None = None,
    keep_names: bool = False,
    who: Path | None = None,
) -> Written:
    """Read what people answered in another tool into a predictions table.

    Args:
        files: results of webMUSHRA, jsPsych or Label Studio, or a table of one answer a row.
        manifest: the utterances that were heard; answers about other recordings are left out, and named.
        target: what was asked about, the manifest's column.
        output: CSV or Parquet file to write; its name is what the group of people is called.
        format: auto (told from the file), plain (columns such as utterance, rater, label), label-studio, webmushra or
            jspsych.
        kind: classification, regression or transcription; else numbers are numbers and all else labels.
        labels: what the files say to the label that is meant: `--labels.Wut angry`, of buttons `--labels.0 angry`.
        question: which of several questions, or the column of the answers.
        utterance: column of the recordings, where it has no usual name.
        rater: column of the people, where it has no usual name.
        names: table (name, utterance) of recordings whose names say nothing of their utterance.
        keep_names: call people as the files do, and not r001, r002, ...; beware of mail addresses.
        who: CSV file in which to write who r001, r002, ... are.

    Raises `InvalidInput` with file and row.
    """
    if not files:
        raise InvalidInput("no file of answers is given")
    if output.suffix not in SUFFIXES:
        raise InvalidInput(f"{output}: the output ends in one of {', '.join(SUFFIXES)}")
    one = corpus.read(manifest, without_audio=True, required=("audio",))
    labelled = target in one.table.columns and kind in (None, "classification")
    asked = Asked(
        target=target,
        labels=tuple(one.table[target].cast(pl.String).drop_nulls().unique().sort()) if labelled else (),
        utterance=utterance,
        rater=rater,
        question=question,
    )
    imported = ratings.gather(
        files,
        one,
        asked,
        run=output.stem,
        form=format,
        kind=kind,
        labels=labels,
        names=None if names is None else naming.table(names),
        keep_names=keep_names,
    )
    if output.suffix == ".parquet":
        runs.write_table(output, imported.table)
    else:
        runs.write_text(output, imported.table.write_csv())
    if who is not None:
        people = pl.DataFrame(list(imported.people.items()), schema=["name", "rater"], orient="row")
        runs.write_text(who, people.write_csv())
    return Written(imported, target, manifest, output, who, target in one.table.columns)
