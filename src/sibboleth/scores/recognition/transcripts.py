"""Transcripts: answered texts beside their references, with what is known about each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from sibboleth import metrics
from sibboleth.errors import SibbolethError
from sibboleth.metrics import transcription
from sibboleth.metrics.edits import Edit, word_edits
from sibboleth.scores.raters import raters
from sibboleth.scores.slices import Array, Clusters, Codes, Items
from sibboleth.targets import Target

WHO: dict[str, type[pl.DataType]] = {"run": pl.String, "rater": pl.String, "layer": pl.Int32, "target": pl.String}
"""Columns that say whose answers a row of a table is about."""


@dataclass(frozen=True)
class Transcripts:
    """Answers of all raters; the tables of this package are made from it."""

    target: str
    keys: pl.DataFrame
    """The columns of `predictions.ANSWER`, one row per answer, sorted."""
    answers: transcription.Answers
    items: Items
    """Speakers and slices of the answers."""

    @classmethod
    def of(
        cls,
        predictions: pl.DataFrame,
        reference: pl.DataFrame,
        target: Target,
        *,
        clusters: Clusters,
        slices: pl.DataFrame | None = None,
        columns: Sequence[str] = (),
    ) -> "Transcripts":
        """Put texts beside their references; `columns` of `slices` are the groups. Raises for another kind of target.

        Answers without a reference are left out.
        """
        if target.kind != "transcription":
            raise SibbolethError(f"target {target.name!r} is of kind {target.kind}; these tables are of transcripts")
        aligned = metrics.align(predictions, reference, target)
        assert isinstance(aligned.answers, transcription.Answers)
        items = Items.of(aligned.keys["utterance"], clusters, slices, columns)
        return cls(target.name, aligned.keys, aligned.answers, items)

    def raters(self) -> Iterator[tuple[dict[str, object], Codes]]:
        """Yield each rater (of each layer, where one name has several), as values of `WHO`, and its rows."""
        for run, rater, layer, rows in raters(self.keys):
            yield {"run": run, "rater": rater, "layer": layer, "target": self.target}, rows

    @cached_property
    def edits(self) -> list[list[Edit]]:
        """Words of every answer aligned with its reference, as WER counts them."""
        return word_edits(self.answers)

    @cached_property
    def words(self) -> Array:
        """Hits, substitutions, deletions and insertions of words, `[answer, 4]`."""
        return transcription.word_counts(self.answers)

    @cached_property
    def characters(self) -> Array:
        """Hits, substitutions, deletions and insertions of characters, `[answer, 4]`."""
        return transcription.character_counts(self.answers)
