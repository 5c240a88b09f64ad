"""What files say about utterances beside the answers: speakers, and the columns to slice by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from sibboleth.errors import InvalidInput, Problem
from sibboleth.foreign import outputs
from sibboleth.foreign.outputs import File
from sibboleth.foreign.remarks import count, some
from sibboleth.stats import ENOUGH_CLUSTERS, FEW_CLUSTERS, coverage


@dataclass(frozen=True)
class Facts:
    """Files in which facts about utterances stand."""

    files: Sequence[File]
    utterance: str | None
    """Column of the utterance ids, where the user named it."""
    wanted: pl.Series
    """The utterances that are scored."""

    def speakers(self, named: str | None, notes: list[str]) -> dict[str, str | None]:
        """Return the speaker of each utterance, and note where they are unknown or few."""
        found = self._look_up([named] if named is not None else outputs.SPEAKER, "speaker")
        if found is None and named is not None:
            raise self._no_column(named, "--speaker")
        speakers: dict[str, str | None] = dict.fromkeys(self.wanted)
        if found is not None:
            speakers |= dict(found.filter(pl.col("utterance").is_in(self.wanted.implode())).iter_rows())
        known = set(speakers.values()) - {None}
        without = [utterance for utterance, speaker in speakers.items() if speaker is None]
        if not known:
            notes.append(
                "WARNING: no speakers are known (no column 'speaker'), so utterances are resampled one by one."
                " Utterances of one speaker are alike, so intervals are too narrow and p is too small. Name the column"
                " with --speaker"
            )
        elif without:
            lone = count(len(without), "utterance")
            notes.append(f"WARNING: {lone} without a speaker, each resampled alone: {some(without)}")
        clusters = len(known) + len(without)
        if clusters < ENOUGH_CLUSTERS:
            notes.append(_rough(clusters, "speaker" if known else "utterance"))
        return speakers

    def slices(self, columns: Sequence[str], notes: list[str]) -> pl.DataFrame:
        """Return `utterance` and the columns; raises `InvalidInput` for a column that no file has."""
        slices = self.wanted.to_frame()
        for column in dict.fromkeys(columns):
            found = self._look_up([column], column)
            if found is None:
                raise self._no_column(column, "--by")
            slices = slices.join(found, on="utterance", how="left", maintain_order="left")
            if missing := slices[column].null_count():
                notes.append(f"WARNING: {count(missing, 'utterance')} without {column}, in no slice of it")
        return slices

    def _look_up(self, columns: Iterable[str], called: str) -> pl.DataFrame | None:
        """Find an utterance's value in whichever files have the column; raises `InvalidInput` for two values."""
        parts, places = [], []
        for file in self.files:
            column = file.find([name.lower() for name in columns])
            if column is not None:
                utterance = "utterance" if file.ours else outputs.utterances(file, self.utterance)
                parts.append(file.frame.select(pl.col(utterance).alias("=utterance"), pl.col(column).alias("=value")))
                places += [(file.path, row) for row in file.rows]
        if not parts:
            return None
        values = pl.concat(parts).with_row_index("=row").drop_nulls().unique(["=utterance", "=value"], keep="first")
        values = values.sort("=row")
        several = values.filter(values["=utterance"].is_duplicated() & ~values["=utterance"].is_first_distinct())
        if len(several):
            problems = [
                Problem(
                    str(places[row][0]),
                    f"{value!r}, but utterance {u!r} has another value before",
                    places[row][1],
                    called,
                )
                for row, u, value in several.iter_rows()
            ]
            raise InvalidInput(f"{called} must be one value for each utterance", problems)
        return values.select(pl.col("=utterance").alias("utterance"), pl.col("=value").alias(called))

    def _no_column(self, column: str, option: str) -> InvalidInput:
        there = "; ".join(f"{file.path.name}: {', '.join(file.frame.columns)}" for file in self.files)
        return InvalidInput(f"{option} {column}: no file has this column ({there})")


def _rough(clusters: int, called: str) -> str:
    """Say what intervals from so few clusters were measured to hold; a warning where they are very few."""
    there = count(clusters, called)
    if clusters < 2:
        return f"WARNING: only {there}: there can be no interval and no p"
    if clusters >= FEW_CLUSTERS:
        return f"{there}: with so many {coverage(clusters)} (docs/statistics.md)"
    return (
        f"WARNING: only {there}: no p is below {2 / 2**clusters:.3g}, and with so few {coverage(clusters)}"
        " (docs/statistics.md)"
    )
