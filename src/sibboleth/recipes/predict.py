"""Label audio with a trained model: files, folders, or a manifest."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import soundfile
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import audio as scanning
from sibboleth import corpus, runs, storage
from sibboleth.corpus import sheets
from sibboleth.errors import InvalidInput, Problem
from sibboleth.progress import track

if TYPE_CHECKING:
    from sibboleth.models.tuning.model import Prediction

SHOWN = 20
"""Rows that the terminal shows of what stands in a file."""
OTHER_SUFFIXES = {".aif", ".oga", ".opus", ".snd"}
"""Of sound files, beside the names of libsndfile's formats."""


@dataclass(frozen=True)
class Predicted:
    """What the model says; looks good on a terminal."""

    table: pl.DataFrame
    """`utterance`, `audio`, `prediction` and, of labels, the probability of each as `p_LABEL`."""
    excluded: pl.DataFrame
    """Utterance, audio, reason."""
    output: Path | None

    def __rich__(self) -> RenderableType:
        """Show a row per utterance, and what was left out."""
        return Group(*self._shown())

    def _shown(self) -> Iterator[RenderableType]:
        most = len(self.table) if self.output is None else SHOWN
        labels = any(name.startswith("p_") for name in self.table.columns)
        shown = Table("utterance", "label" if labels else "number", *(["probability"] if labels else []))
        for row in self.table.head(most).to_dicts():
            said = row["prediction"]
            told = [said, f"{row[f'p_{said}']:.3f}"] if labels else [f"{said:.3f}"]
            shown.add_row(Text(row["utterance"]), *map(Text, told))
        yield shown
        if len(self.table) > most:
            yield Text(f"... and {len(self.table) - most:,} more")
        for row in self.excluded.head(SHOWN).to_dicts():
            yield Text(f"left out: {row['utterance']}: {row['reason']}", style="yellow")
        if len(self.excluded) > SHOWN:
            yield Text(f"... and {len(self.excluded) - SHOWN:,} more were left out", style="yellow")
        if self.output is not None:
            yield Text(f"written: {self.output}", style="dim")


def predict(model: Path, audio: tuple[Path, ...], *, output: Path | None = None, trust: bool = False) -> Predicted:
    """Label audio with a trained model.

    Args:
        model: Folder that `sibboleth train` has written.
        audio: Sound files, folders that are searched for them, or one manifest (CSV, TSV, JSONL or Parquet).
        output: CSV file for the answers, one column per label; `sibboleth score` reads it.
        trust: Run the Python function that the model names as its encoder, where it does.

    Returns:
        One row per utterance, and what was left out with the reason. Above 30 s the frames of overlapping windows of
        30 s are answered about together. Raises `InvalidInput` where there is no audio, and `SibbolethError` for a
        folder that is no model, or where no audio can be used.
    """
    from sibboleth.models.encoding import Recording
    from sibboleth.models.tuning import folder

    if output is not None and output.suffix.lower() != ".csv":
        raise InvalidInput(f"{output}: answers are written as .csv; give a file that ends so")
    several = (audio,) if isinstance(audio, Path) else tuple(audio)
    loaded = folder.load(model, trust=trust)
    table = _utterances(several)
    scan = scanning.scan(table, store=storage.scans())
    both = table.select("utterance", "audio", "start", "end").hstack(scan.select("digest", "seconds", "reason"))
    heard = both.filter(pl.col("reason").is_null())
    recordings = [Recording(*row) for row in heard.select("digest", "audio", "start", "end", "seconds").rows()]
    said = track(loaded.predictions(recordings), f"Labelling with {loaded.record.name}", len(heard), "utterances")
    found = dict(zip(heard["utterance"], said, strict=True))
    failed = {name: one for name, one in found.items() if isinstance(one, str)}
    reason = pl.coalesce("reason", pl.col("utterance").replace_strict(failed, default=None, return_dtype=pl.String))
    told = both.select("utterance", "audio", reason.alias("reason"))
    excluded, answered = told.filter(pl.col("reason").is_not_null()), told.filter(pl.col("reason").is_null())
    if answered.is_empty():
        reasons = excluded.head(sheets.KEPT).select("audio", "reason").rows()
        raise InvalidInput("no audio can be labelled", [Problem(*one) for one in reasons])
    rows = [_row(one) for one in found.values() if not isinstance(one, str)]
    answers = answered.select("utterance", "audio").hstack(pl.DataFrame(rows))
    if output is not None:
        runs.write_text(output, answers.write_csv())
    return Predicted(answers, excluded, output)


def _row(one: "Prediction") -> dict[str, str | float]:
    if one.label is None:
        return {"prediction": one.value}
    return {"prediction": one.label, **{f"p_{label}": weight for label, weight in one.weights.items()}}


def _utterances(given: Sequence[Path]) -> pl.DataFrame:
    """Make a corpus table of files, folders or a manifest; raises `InvalidInput` where one of them cannot be."""
    if not given:
        raise InvalidInput("no audio is given: name sound files, folders or one manifest")
    manifests = [path for path in given if path.suffix.lower() in sheets.SUFFIXES]
    if manifests and len(given) > 1:
        raise InvalidInput(f"{manifests[0]}: a manifest goes alone; leave the other audio out")
    if manifests:
        return corpus.read(manifests[0], required=("audio",)).table
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
