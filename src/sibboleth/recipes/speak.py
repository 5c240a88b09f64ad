"""Unlabelled speech to pre-train on, made on the spot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import polars as pl
import soundfile
from cyclopts import Parameter

from sibboleth import corpus, settings, storage
from sibboleth.corpora.synthetic import unlabelled


@dataclass(frozen=True)
class Spoken:
    """Speech that was made."""

    manifest: Path
    table: pl.DataFrame
    """By language: `language, hours, speakers, utterances`."""

    def __str__(self) -> str:
        """Say what there is, a line per language."""
        lines = [
            f"{language}: {hours:.1f} hours, {speakers} speakers, {utterances} utterances"
            for language, hours, speakers, utterances in self.table.iter_rows()
        ]
        return "\n".join([str(self.manifest), *lines])


def speak(
    root: Path,
    *,
    languages: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("en", "nl"),
    hours: float = 1.0,
    seed: int = 0,
) -> Spoken:
    """Speak hours of unlabelled speech to pre-train on, with many voices in many manners, and write its manifest.

    Args:
        root: folder to make it in; what a stopped run left there is used, another reading is refused.
        languages: among de, en, es, fr, it, nl, pl, zh.
        hours: of each language.
        seed: a shorter reading with the same seed is the beginning of a longer one.

    It shares no voice and no sentence with the controlled corpus (`corpus prepare synthetic`). A manifest that is there
    already and says something else raises `InvalidInput`.
    """
    reading = settings.checked(unlabelled.Reading, languages=languages, hours=hours, seed=seed)
    made = unlabelled.prepare(root, reading)
    manifest = root / "manifest.csv"
    storage.settle(manifest, lambda place: corpus.write(made, place))
    seconds = [float(soundfile.info(file).duration) for file in made.table["audio"]]
    table = (
        made.table.with_columns(pl.Series("seconds", seconds))
        .group_by("language", maintain_order=True)
        .agg(
            (pl.col("seconds").sum() / 3600).alias("hours"),
            pl.col("speaker").n_unique().alias("speakers"),
            pl.len().alias("utterances"),
        )
    )
    return Spoken(manifest, table)
