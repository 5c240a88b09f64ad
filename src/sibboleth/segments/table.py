"""The table of segments, and what is known beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from sibboleth import predictions

SCHEMA: dict[str, type[pl.DataType]] = {
    "utterance": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "label": pl.String,
    "tier": pl.String,
}
ORDER = ("utterance", "tier", "start", "end", "label")


@dataclass(frozen=True)
class Segments:
    """Segments of utterances."""

    table: pl.DataFrame
    """The columns of `SCHEMA`, sorted by `ORDER`; `tier` is null where there is one kind of segments."""
    durations: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each utterance of which that is known, also of those without segments."""
    silent: frozenset[str] = frozenset()
    """Utterances that have no segments, and of which it is not known how long they are."""
    notes: tuple[str, ...] = ()
    """What was left out or cut; what may mislead begins with `WARNING`."""

    @property
    def utterances(self) -> list[str]:
        """Name all utterances, sorted."""
        return sorted({*self.table["utterance"], *self.durations, *self.silent})

    def of(self, utterance: str) -> list[tuple[float, float, str]]:
        """Return start, end and label of the segments of an utterance."""
        mine = self.table.filter(pl.col("utterance") == utterance).sort("start", "end", "label")
        return list(mine.select("start", "end", "label").iter_rows())

    def predictions(self, *, run: str, source: str, rater: str, target: str) -> pl.DataFrame:
        """Return rows of the predictions table: a row per segment, and one without label over all that was judged."""
        common: dict[str, object] = {"run": run, "source": source, "rater": rater, "target": target}
        columns = self.table.select("utterance", "start", "end", "label").unique(maintain_order=True)
        parts = [predictions.table({**common, **columns.to_dict(), "value": 1.0})]
        for judged in (dict(self.durations), dict.fromkeys(sorted(self.silent))):
            if judged:
                ends = pl.Series(list(judged.values()), dtype=pl.Float64)
                rows = {"utterance": list(judged), "start": 0.0, "end": ends, "value": ends.fill_null(0.0)}
                parts.append(predictions.table({**common, **rows}))
        return pl.concat(parts).sort(predictions.KEY)


def table(rows: Sequence[tuple[str, float, float, str, str | None]]) -> pl.DataFrame:
    """Make the table of rows in any order."""
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row").sort(ORDER)


def together(parts: Sequence[Segments]) -> Segments:
    """Put segments of different utterances together."""
    return Segments(
        pl.concat([pl.DataFrame(schema=SCHEMA), *(part.table for part in parts)]).sort(ORDER),
        {utterance: seconds for part in parts for utterance, seconds in part.durations.items()},
        frozenset().union(*(part.silent for part in parts)),
        tuple(note for part in parts for note in part.notes),
    )
