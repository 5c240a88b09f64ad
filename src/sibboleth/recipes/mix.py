"""Training data by concatenation, from a manifest of utterances with labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import polars as pl
from cyclopts import Parameter
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth import corpus, settings, storage
from sibboleth.corpora.mixes import corpus as mixes
from sibboleth.corpora.mixes.patterns import PATTERNS


@dataclass(frozen=True)
class Mixes:
    """Mixes that were made; they print as a table."""

    manifest: Path
    table: pl.DataFrame
    """By pattern: `pattern, mixes, speakers, minutes`."""
    made: mixes.Mixed

    def __rich__(self) -> RenderableType:
        """Show what there is, how often utterances were used, and what could not be done."""
        table = Table("pattern", "mixes", "speakers", "minutes", box=box.SIMPLE_HEAD)
        for pattern, number, speakers, minutes in self.table.iter_rows():
            table.add_row(Text(pattern), str(number), str(speakers), f"{minutes:.1f}")
        ranges = self.made.uses.group_by("label").agg(
            pl.len(), pl.col("mixes").min().alias("least"), pl.col("mixes").max().alias("most")
        )
        uses = [
            f"{label}: {number} utterances, each in {least} to {most} mixes"
            for label, number, least, most in ranges.sort("label").iter_rows()
        ]
        left = [f"{name} was left out: {reason}" for name, reason in self.made.left_out.iter_rows()]
        shown = left[:10] + ([f"and {len(left) - 10} more"] if len(left) > 10 else [])
        return Group(table, *(Text(line) for line in (*uses, *self.made.notes, *shown, str(self.manifest))))


def mix(
    manifest: Path,
    *,
    output: Path,
    background: str = "neutral",
    label: str = "emotion",
    labels: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    patterns: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = PATTERNS,
    count: int | None = None,
    pause: float = 0.0,
    seed: int = 0,
    columns: dict[str, str] | None = None,
) -> Mixes:
    """Put utterances of one speaker together, so that it is known when the emotion changes, and write a manifest.

    Silence before and after speech is cut off, speech is brought to one loudness, neighbours are cross-faded; patterns,
    speakers and emotions are in balance, as far as there are utterances. The same command goes on after a stop.

    Args:
        manifest: CSV, TSV, JSONL or Parquet file of utterances with a label each.
        output: folder for `manifest.csv` and `audio/`; it has to be empty, or hold a part of the same mixes.
        background: the label that surrounds the others.
        label: the column of labels.
        labels: the labels beside the background; all that there are, if not given.
        patterns: n is the background, e an emotion, e1 and e2 two different ones: n-e, e-n, n-e1-n-e2.
        count: how many mixes; as many as there are utterances beside the background, if not given.
        pause: seconds of quiet between utterances, which belong to the background.
        seed: another seed draws others.
        columns: our column name to the manifest's, where they differ.
    """
    asked = settings.checked(
        mixes.Mixing,
        label=label,
        background=background,
        labels=labels,
        patterns=patterns,
        count=count,
        pause=pause,
        seed=seed,
    )
    source = corpus.read(manifest, columns=columns)
    made = mixes.prepare(output, source, asked)
    path = output / "manifest.csv"
    storage.settle(path, lambda place: corpus.write(made.corpus, place))
    return Mixes(path, _by_pattern(made.corpus.table, asked.patterns), made)


def _by_pattern(table: pl.DataFrame, patterns: tuple[str, ...]) -> pl.DataFrame:
    return (
        table.group_by("pattern")
        .agg(
            pl.len().alias("mixes"),
            pl.col("speaker").n_unique().alias("speakers"),
            (pl.col("duration").sum() / 60).alias("minutes"),
        )
        .sort(pl.col("pattern").replace_strict({name: place for place, name in enumerate(patterns)}))
    )
