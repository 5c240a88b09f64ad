"""Transcribe audio with a recogniser as it is: files, folders, or a manifest."""

import contextlib
import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import corpus, runs, storage
from sibboleth.audio import rechecking
from sibboleth.errors import InvalidInput
from sibboleth.progress import track
from sibboleth.recipes import utterances
from sibboleth.settings import checked
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from sibboleth.models.encoding import Recording
    from sibboleth.models.recognition import Recogniser

SHOWN = 20
"""Rows that the terminal shows of what stands in a file."""
PLACES = ("audio", "start", "end")
"""Columns of the manifest that the transcripts leave out."""


@dataclass(frozen=True)
class Transcribed:
    """What the recogniser heard; looks good on a terminal."""

    table: pl.DataFrame
    """`utterance`, `hypothesis` and, of a manifest, `reference` (its text) and its other columns."""
    excluded: pl.DataFrame
    """Utterance, audio, reason."""
    transcribed: int
    """Different recordings that were transcribed now; the others were there already."""
    notes: tuple[str, ...]
    output: Path | None

    def __rich__(self) -> RenderableType:
        """Show a row per utterance, what was left out, and what to do next."""
        return Group(*self._shown())

    def _shown(self) -> Iterator[RenderableType]:
        most = len(self.table) if self.output is None else SHOWN
        known = "reference" in self.table.columns
        shown = Table("utterance", "hypothesis", *(["reference"] if known else []))
        for row in self.table.head(most).to_dicts():
            told = (row["utterance"], row["hypothesis"], *([row["reference"] or ""] if known else []))
            shown.add_row(*map(Text, told))
        yield shown
        if len(self.table) > most:
            yield Text(f"... and {len(self.table) - most:,} more")
        for note in self.notes:
            yield Text(f"note: {note}", style="dim")
        for row in self.excluded.head(SHOWN).to_dicts():
            yield Text(f"left out: {row['utterance']}: {row['reason']}", style="yellow")
        if len(self.excluded) > SHOWN:
            yield Text(f"... and {len(self.excluded) - SHOWN:,} more were left out", style="yellow")
        if self.output is not None:
            yield Text(f"written: {self.output}", style="dim")
            if known:
                by = " --by accent" if "accent" in self.table.columns else ""
                yield Text(f"to count errors: sibboleth score {shlex.quote(str(self.output))}{by}", style="dim")


def transcribe(
    model: str,
    audio: tuple[Path, ...],
    *,
    output: Path | None = None,
    language: str | None = None,
    columns: dict[str, str] | None = None,
    precision: Literal["float32", "bfloat16", "auto"] = "float32",
    trust: bool = False,
) -> Transcribed:
    """Transcribe audio with a recogniser as it is; the same command goes on after a stop.

    Args:
        model: CTC checkpoint or Whisper of transformers: a folder, or OWNER/NAME or OWNER/NAME@REVISION of the hub. Or
            a folder that `sibboleth train` has written for a study of transcripts.
        audio: Sound files, folders that are searched for them, or one manifest (CSV, TSV, JSONL or Parquet).
        output: CSV file for the transcripts; with a manifest's texts in it, `sibboleth score` reads it as it is.
        language: What is spoken, for a recogniser of many languages: `nl` or `dutch` for Whisper, `nld` for MMS.
            Without it Whisper finds out, utterance by utterance.
        columns: Our column names to the manifest's, where they differ.
        precision: Of the arithmetic; `auto` is bfloat16 where this machine is faster with it.
        trust: Run the Python function that a trained model names as its encoder, where it does.

    Returns:
        One row per utterance, and what was left out with the reason. Decoding is greedy, without a language model.
        Above 30 s a CTC checkpoint's frames are joined from overlapping windows, and Whisper goes on where its last
        timestamp was. Raises `InvalidInput` where there is no audio, and `SibbolethError` for a model that is no
        recogniser, or where no audio can be used.
    """
    from sibboleth.models import recognition

    if output is not None and output.suffix.lower() != ".csv":
        raise InvalidInput(f"{output}: transcripts are written as .csv; give a file that ends so")
    several = (audio,) if isinstance(audio, Path) else tuple(audio)
    chosen = recognition.load(checked(EncoderSettings, name=model, precision=precision), language, trust=trust)
    chosen.prepare()
    given = utterances.given(several, columns)
    _require_names(given.table)
    recordings = given.recordings()
    texts, failed, new = _texts(chosen, {one.digest: one for one in recordings.values()})
    reasons = {name: failed[one.digest] for name, one in recordings.items() if one.digest in failed}
    answered, excluded = given.divided(reasons, "transcribed")
    table = _table(answered, [texts[recordings[name].digest] for name in answered["utterance"]])
    if output is not None:
        runs.write_text(output, table.write_csv())
    return Transcribed(table, excluded, new, chosen.notes + _textless(table), output)


def _texts(
    recogniser: "Recogniser", recordings: "Mapping[str, Recording]"
) -> tuple[dict[str, str], dict[str, str], int]:
    """Transcribe what is not there yet; returns texts and reasons by digest, and how many are new."""
    from sibboleth.models.recognition.kept import Kept
    from sibboleth.models.witnessing import Witnessed

    kept = Kept(recogniser.identity, recogniser.name)
    texts = {digest: text for digest, text in kept.read().items() if digest in recordings}
    left = [Witnessed(**vars(one)) for digest, one in recordings.items() if digest not in texts]
    failed: dict[str, str] = {}
    coming = zip(left, recogniser.transcripts(left), strict=True)
    try:
        with kept.adding() as adding:
            for one, said in track(coming, f"Transcribing with {recogniser.name}", len(left), "recordings"):
                reason = one.left_out(said.failure)
                if reason is not None or said.text is None:
                    failed[one.digest] = reason or ""
                else:
                    texts[one.digest] = said.text
                    adding.add(one.digest, said.text)
    finally:
        with contextlib.suppress(sqlite3.Error):
            rechecking.forget(storage.scans(), [one.path for one in left if one.heard.get(one.digest) is False])
    return texts, failed, len(left) - len(failed)


def _require_names(table: pl.DataFrame) -> None:
    """Raise `InvalidInput` where a manifest has a column of a name that the transcripts need."""
    told = table["text"].null_count() < len(table)
    if taken := [name for name in ("hypothesis", "reference") if name in table.columns and (told or name[0] == "h")]:
        raise InvalidInput(
            f"the manifest has a column {taken[0]!r}, which is what transcripts are written under; rename it there"
        )


def _table(answered: pl.DataFrame, texts: list[str]) -> pl.DataFrame:
    """Put transcripts beside the texts that were asked for and all else that is known of the utterances."""
    table = answered.drop(*PLACES)
    if "reference" not in table.columns:
        table = table.rename({"text": "reference"})
    there = [column for column in table if column.name == "utterance" or column.null_count() < len(column)]
    named = {column.name: corpus.as_text(column) if column.dtype.is_nested() else column for column in there}
    first = {"utterance": named.pop("utterance"), "hypothesis": pl.Series("hypothesis", texts, pl.String)}
    first |= {"reference": named.pop("reference")} if "reference" in named else {}
    return pl.DataFrame([column.alias(name) for name, column in (first | named).items()])


def _textless(table: pl.DataFrame) -> tuple[str, ...]:
    """Warn of rows without a text, which `score` takes for utterances in which nothing is said."""
    missing = table["reference"].null_count() if "reference" in table.columns else 0
    if not missing:
        return ()
    return (f"{missing} utterances have no text; `sibboleth score` counts every word that is heard in them as wrong",)
