"""What `sibboleth score` tells of segments beside scores: errors in seconds, and people against one another."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from rich.console import RenderableType
from rich.table import Table

from sibboleth import scores
from sibboleth.foreign.reading import Reading
from sibboleth.metrics import segmentation as parts
from sibboleth.recipes import printing
from sibboleth.scores import segmentation
from sibboleth.study import StatisticsSettings

TITLES = {metric.name: metric.title for metric in parts.METRICS}


@dataclass(frozen=True)
class Segmentation:
    """Tables about segments; `sibboleth.scores.segmentation` says what is in each."""

    seconds: pl.DataFrame
    among: pl.DataFrame

    @classmethod
    def of(cls, found: Reading, groups: scores.Groups, settings: StatisticsSettings, seed: int) -> "Segmentation":
        """Make all tables."""
        seconds = segmentation.error_seconds(found.answers, found.reference, found.target, groups)
        among = segmentation.among(
            found.answers,
            found.reference,
            found.target,
            groups,
            clusters=found.clusters,
            statistics=settings,
            seed=seed,
        )
        return cls(seconds, among)

    def written(self) -> dict[str, pl.DataFrame]:
        """Return the tables that have rows, by the end of their files' names."""
        return {name: table for name, table in (("seconds", self.seconds), ("among", self.among)) if len(table)}

    def shown(self) -> Iterator[RenderableType]:
        """Show all tables."""
        yield self._seconds()
        if len(self.among):
            yield self._among()

    def _seconds(self) -> Table:
        names = [*parts.PARTS, "errors", "seconds"]
        titles = [*(TITLES[name] for name in parts.PARTS), "Errors", "Of"]
        shown = printing.table("Errors in seconds", ("Rater",), tuple(titles))
        for row in self.seconds.to_dicts():
            numbers = [printing.number(row[name], "{:,.2f}") for name in names]
            shown.add_row(_rater(row, self.seconds), *numbers)
        return shown

    def _among(self) -> Table:
        """The main numbers of everybody beside everybody else."""
        wanted = (parts.EDER, parts.FRAME_UAR, parts.SEGMENT_F1, parts.BOUNDARY_ERROR)
        title = "People, each against each of the others: the ceiling of agreement"
        shown = printing.table(title, ("Rater",), (*(metric.title for metric in wanted), "Pairs"))
        rows = self.among.filter(pl.col("slice") == "all")
        for _, mine in rows.group_by("run", "rater", maintain_order=True):
            by = {row["metric"]: row for row in mine.to_dicts()}
            first = by[wanted[0].name]
            numbers = [printing.interval(by[metric.name]) for metric in wanted]
            shown.add_row(_rater(first, self.among), *numbers, f"{first['n']:,}")
        return shown


def _rater(row: dict[str, str], table: pl.DataFrame) -> str:
    return printing.rater(row["run"] if table["run"].n_unique() > 1 else "", row["rater"], None)
