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
from sibboleth.segments import Segments, baselines
from sibboleth.study import StatisticsSettings

TITLES = {metric.name: metric.title for metric in parts.METRICS}


@dataclass(frozen=True)
class Segmentation:
    """Tables about segments; `sibboleth.scores.segmentation` says what is in each."""

    seconds: pl.DataFrame
    among: pl.DataFrame
    scale: pl.DataFrame
    """Scores of answers that know nothing, and of those that know what an utterance has, throughout."""

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
        return cls(seconds, among, _scale(found, settings, seed))

    def written(self) -> dict[str, pl.DataFrame]:
        """Return the tables that have rows, by the end of their files' names."""
        tables = {"seconds": self.seconds, "among": self.among, "scale": self.scale}
        return {name: table for name, table in tables.items() if len(table)}

    def shown(self) -> Iterator[RenderableType]:
        """Show all tables."""
        yield self._seconds()
        yield _main("For scale", self.scale)
        if len(self.among):
            yield _main("People, each against each of the others: the ceiling of agreement", self.among)

    def _seconds(self) -> Table:
        names = [*parts.PARTS, "errors", "seconds"]
        titles = [*(TITLES[name] for name in parts.PARTS), "Errors", "Of"]
        shown = printing.table("Errors in seconds", ("Rater",), tuple(titles))
        for row in self.seconds.to_dicts():
            numbers = [printing.number(row[name], "{:,.2f}") for name in names]
            shown.add_row(_rater(row, self.seconds), *numbers)
        return shown


def _scale(found: Reading, settings: StatisticsSettings, seed: int) -> pl.DataFrame:
    """Score all background, and each utterance's longest label throughout, on the utterances that were answered."""
    true = found.reference.join(found.answers, on="utterance", how="semi")
    labelled = true.filter(pl.col("label").is_in(list(found.target.labels)))
    lengths = true.filter(pl.col("label").is_null()).drop_nulls("end")
    durations = dict(lengths.select("utterance", "end").iter_rows())
    rows = labelled.select("utterance", "start", "end", "label", pl.lit(None, pl.String).alias("tier"))
    reference = Segments(rows, durations)
    answers = [
        one.predictions(run="scale", source="model", rater=name, target=found.target.name)
        for name, one in {
            "no segments": baselines.nothing(durations),
            "each utterance's label throughout": baselines.oracle(reference),
        }.items()
    ]
    return scores.score(
        pl.concat(answers), found.reference, found.target, clusters=found.clusters, statistics=settings, seed=seed
    )


def _main(title: str, table: pl.DataFrame) -> Table:
    """The main numbers of everybody in a scores table."""
    wanted = (parts.EDER, parts.FRAME_UAR, parts.SEGMENT_F1, parts.BOUNDARY_ERROR)
    shown = printing.table(title, ("Rater",), (*(metric.title for metric in wanted), "n"))
    for _, mine in table.filter(pl.col("slice") == "all").group_by("run", "rater", maintain_order=True):
        by = {row["metric"]: row for row in mine.to_dicts()}
        first = by[wanted[0].name]
        shown.add_row(_rater(first, table), *(printing.interval(by[m.name]) for m in wanted), f"{first['n']:,}")
    return shown


def _rater(row: dict[str, str], table: pl.DataFrame) -> str:
    return printing.rater(row["run"] if table["run"].n_unique() > 1 else "", row["rater"], None)
