"""Label audio with a trained model: files, folders, or a manifest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import runs
from sibboleth.errors import InvalidInput
from sibboleth.progress import track
from sibboleth.recipes import utterances

if TYPE_CHECKING:
    from sibboleth.models.tuning.model import Prediction

SHOWN = 20
"""Rows that the terminal shows of what stands in a file."""


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
    from sibboleth.models.tuning import folder

    if output is not None and output.suffix.lower() != ".csv":
        raise InvalidInput(f"{output}: answers are written as .csv; give a file that ends so")
    several = (audio,) if isinstance(audio, Path) else tuple(audio)
    loaded = folder.load(model, trust=trust)
    given = utterances.given(several)
    recordings = given.recordings()
    answers = loaded.predictions(list(recordings.values()))
    said = track(answers, f"Labelling with {loaded.record.name}", len(recordings), "utterances")
    found = dict(zip(recordings, said, strict=True))
    failed = {name: one for name, one in found.items() if isinstance(one, str)}
    answered, excluded = given.divided(failed, "labelled")
    rows = [_row(one) for one in found.values() if not isinstance(one, str)]
    table = answered.select("utterance", "audio").hstack(pl.DataFrame(rows))
    if output is not None:
        runs.write_text(output, table.write_csv())
    return Predicted(table, excluded, output)


def _row(one: "Prediction") -> dict[str, str | float]:
    if one.label is None:
        return {"prediction": one.value}
    return {"prediction": one.label, **{f"p_{label}": weight for label, weight in one.weights.items()}}
