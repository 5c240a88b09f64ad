"""What `sibboleth score` tells of transcripts beside scores: counts, ratios, matched pairs, lost words, alignments."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sibboleth.foreign.remarks import count
from sibboleth.recipes import printing
from sibboleth.scores import recognition
from sibboleth.stats import FEW_CLUSTERS

Shown = Literal["counts", "words", "alignments"]
MOST_WORDS = 5
"""Lost words shown of each group and rater; the written table has all."""
MOST_ALIGNMENTS = 5


@dataclass(frozen=True)
class Recognition:
    """Tables about transcripts; `sibboleth.scores.recognition` says what is in each."""

    counts: pl.DataFrame
    ratios: pl.DataFrame
    pairs: pl.DataFrame
    words: pl.DataFrame
    alignments: pl.DataFrame
    show: tuple[Shown, ...] = ()

    @classmethod
    def of(
        cls,
        transcripts: recognition.Transcripts,
        pairs: list[tuple[str, str, str, str]],
        confidence: float,
        show: tuple[Shown, ...],
    ) -> "Recognition":
        """Make all tables."""
        return cls(
            recognition.counts(transcripts),
            recognition.rate_ratios(transcripts, confidence),
            recognition.compare_segments(transcripts, pairs),
            recognition.lost_words(transcripts, confidence),
            recognition.worst_alignments(transcripts),
            show,
        )

    def notes(self) -> Iterator[str]:
        """Say which groups have few speakers."""
        groups = self.counts.filter(pl.col("slice") != "all").group_by("slice").agg(pl.col("clusters").max())
        sizes = groups.sort("slice").rows()
        if lone := [name for name, size in sizes if size == 1]:
            yield f"WARNING: groups of one speaker have no intervals: {', '.join(lone)}"
        if few := [f"{name} ({size})" for name, size in sizes if 1 < size < FEW_CLUSTERS]:
            yield f"WARNING: groups of few speakers, which hardly speak for others: {', '.join(few)}"

    def written(self) -> dict[str, pl.DataFrame]:
        """Return the tables that have rows, by the end of their files' names."""
        tables = {
            "counts": self.counts,
            "rate-ratios": self.ratios,
            "matched-pairs": self.pairs,
            "words": self.words,
            "alignments": self.alignments,
        }
        return {name: table for name, table in tables.items() if len(table)}

    def shown(self, scores: pl.DataFrame) -> Iterator[RenderableType]:
        """Show ratios and matched pairs, and of the others what was asked for."""
        tables = [self._ratios(scores), self._pairs()]
        tables += [make() for name, make in (("counts", self._counts), ("words", self._words)) if name in self.show]
        yield from (table for table in tables if table.row_count)
        if "alignments" in self.show:
            yield from self._alignments()
        hidden = [name for name in ("counts", "words", "alignments") if name not in self.show]
        if hidden:
            yield Text(f"more: {' '.join(f'--show {name}' for name in hidden)}", style="dim")

    def _ratios(self, scores: pl.DataFrame) -> Table:
        title = "WER of a group to that of the best group, by bootstrap and by Poisson regression"
        shown = printing.table(title, ("Groups", "Rater"), ("Bootstrap", "Regression", "p", "p (Holm)", "Speakers"))
        resampled = {
            (row["run"], row["rater"], row["layer"], row["slice"]): printing.interval(row, "{:.2f}")
            for row in scores.filter(pl.col("metric") == "wer_ratio").to_dicts()
        }
        for row in _short(self.ratios).filter("best", pl.col("metric") == "wer").to_dicts():
            who = row["run"], row["rater"], row["layer"]
            pair = f"{row['column']}={row['group']},{row['column']}={row['against']}"
            shown.add_row(
                f"{row['column']}: {row['group']} to {row['against']}",
                printing.rater(*who),
                resampled.get((*who, pair), "-"),
                printing.interval(row, "{:.2f}", "ratio"),
                *(printing.number(row[p], "{:.3g}") for p in ("p", "p_holm")),
                f"{row['clusters']:,} to {row['against_clusters']:,}",
            )
        return shown

    def _pairs(self) -> Table:
        title = "Matched pairs (MAPSSWE): errors per segment, A minus B"
        shown = printing.table(title, ("Slice", "A", "B"), ("Difference", "z", "p", "p (Holm)", "Segments"))
        for row in _short(self.pairs).to_dicts():
            a, b = (printing.rater(row[f"{side}_run"], row[f"{side}_rater"]) for side in "ab")
            numbers = [printing.number(row[name], form) for name, form in (("mean", "{:+.3f}"), ("z", "{:+.2f}"))]
            tests = [printing.number(row[p], "{:.3g}") for p in ("p", "p_holm")]
            shown.add_row(row["slice"], a, b, *numbers, *tests, f"{row['segments']:,}")
        return shown

    def _counts(self) -> Table:
        kinds = ("substitutions", "deletions", "insertions", "length")
        shown = printing.table("Counts", ("Slice", "Rater", "Unit"), (*(kind.capitalize() for kind in kinds), "Errors"))
        for row in _short(self.counts).to_dicts():
            errors = sum(row[kind] for kind in kinds[:3])
            rater = printing.rater(row["run"], row["rater"], row["layer"])
            numbers = [f"{n:,}" for n in (*(row[kind] for kind in kinds), errors)]
            shown.add_row(row["slice"], rater, row["unit"], *numbers)
        return shown

    def _words(self) -> Table:
        title = f"Words lost more often in a group than in the others, by the lower limit, {MOST_WORDS} of each"
        shown = printing.table(
            title, ("Group", "Rater", "Word"), ("Lost", "By the others", "Difference", "p (Holm)", "Heard")
        )
        kept = _short(self.words).filter(pl.col("difference") > 0)
        for row in (
            kept.group_by("run", "rater", "layer", "column", "group", maintain_order=True).head(MOST_WORDS).to_dicts()
        ):
            heard = f"{row['heard']} ({row['heard_count']})" if row["heard"] else ""
            shown.add_row(
                f"{row['column']}={row['group']}",
                printing.rater(row["run"], row["rater"], row["layer"]),
                row["word"],
                f"{row['lost']:,} of {row['said']:,}",
                f"{row['others_lost']:,} of {row['others_said']:,}",
                printing.interval(row, "{:+.2f}", "difference"),
                printing.number(row["p_holm"], "{:.3g}"),
                heard,
            )
        return shown

    def _alignments(self) -> Iterator[Text]:
        kept = _short(self.alignments).group_by("run", "rater", "layer", maintain_order=True).head(MOST_ALIGNMENTS)
        for row in kept.to_dicts():
            rater = printing.rater(row["run"], row["rater"], row["layer"])
            size = f"{count(row['errors'], 'error')} in {count(row['words'], 'word')}"
            yield Text(f"\n{row['utterance']}, {rater}: {size}", style="bold")
            yield Text(row["alignment"], no_wrap=True)


def _short(table: pl.DataFrame) -> pl.DataFrame:
    """Leave out the name of the run where there is one: raters are told apart by their own."""
    columns = [name for name in table.columns if name == "run" or name.endswith("_run")]
    named = {name for column in columns for name in table[column].unique()}
    return table.with_columns(pl.lit("").alias(column) for column in columns) if len(named) == 1 else table
