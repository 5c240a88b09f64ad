"""The table of counts: hits, substitutions, deletions and insertions by rater and slice."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from sibboleth.scores.recognition.transcripts import WHO, Transcripts
from sibboleth.scores.slices import Codes, Items

COUNTS: dict[str, type[pl.DataType]] = WHO | {
    "slice": pl.String,
    "unit": pl.String,
    "length": pl.Int64,
    "hits": pl.Int64,
    "substitutions": pl.Int64,
    "deletions": pl.Int64,
    "insertions": pl.Int64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}


def counts(transcripts: Transcripts) -> pl.DataFrame:
    """Return the counts behind WER (unit `word`) and CER (`character`), a row of `COUNTS` each.

    `length` is that of the references, `n` counts answers and `clusters` speakers. Slices are `all` and, for the
    columns that are not constant among a rater's answers, `column=value`.
    """
    made: list[dict[str, object]] = []
    for who, rows in transcripts.raters():
        items = transcripts.items.take(rows)
        for name, part in _parts(items):
            sizes = {"n": len(part), "clusters": len(np.unique(items.clusters[part]))}
            for unit, numbers in (("word", transcripts.words), ("character", transcripts.characters)):
                hit, replaced, dropped, added = numbers[rows[part]].sum(axis=0).astype(int).tolist()
                kinds = {"hits": hit, "substitutions": replaced, "deletions": dropped, "insertions": added}
                length = hit + replaced + dropped
                made.append({**who, "slice": name, "unit": unit, "length": length, **kinds, **sizes})
    return pl.DataFrame(made, schema=COUNTS)


def _parts(items: Items) -> Iterator[tuple[str, Codes]]:
    yield "all", np.arange(len(items.clusters))
    for column, groups in items.groups():
        for value, rows in groups:
            yield f"{column}={value}", rows
