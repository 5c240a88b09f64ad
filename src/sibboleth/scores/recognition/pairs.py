"""The table of matched pairs: two recognisers compared over segments of speech."""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import polars as pl

from sibboleth.metrics.edits import Edit, sclite_edits, segments
from sibboleth.scores.recognition.transcripts import Transcripts
from sibboleth.scores.slices import Codes, Items
from sibboleth.stats import holm, matched_pairs

Pair = tuple[str, str, str, str]
"""Run and rater of A, run and rater of B."""

PAIRS: dict[str, type[pl.DataType]] = {
    "a_run": pl.String,
    "a_rater": pl.String,
    "b_run": pl.String,
    "b_rater": pl.String,
    "slice": pl.String,
    "a_errors": pl.Int64,
    "b_errors": pl.Int64,
    "segments": pl.Int64,
    "mean": pl.Float64,
    "deviation": pl.Float64,
    "z": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "n": pl.Int64,
}


def compare_segments(transcripts: Transcripts, pairs: Sequence[Pair]) -> pl.DataFrame:
    """Test pairs of raters by MAPSSWE on the answers that both gave, a row of `PAIRS` for `all` and each slice.

    Segments are `metrics.edits.segments` in sclite's alignment, the test is `stats.matched_pairs`; `mean` is of A's
    errors minus B's, below 0 where A is better. A trial (seed) is paired with the same trial of the other. `p_holm`
    is corrected over all rows. Segments count as independent, whoever speaks: with few speakers p is too small for a
    claim about others, which `scores.compare` is for.
    """
    texts = transcripts.answers

    @cache
    def aligned(row: int) -> list[Edit]:  # once for all pairs that an answer is in
        return sclite_edits(texts.reference[row].split(), texts.hypothesis[row].split())

    made: list[dict[str, object]] = []
    for a_run, a_rater, b_run, b_rater in pairs:
        a, b = _both(transcripts, (a_run, a_rater), (b_run, b_rater))
        names = {"a_run": a_run, "a_rater": a_rater, "b_run": b_run, "b_rater": b_rater}
        found = [segments(aligned(x), aligned(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        made += [names | row for row in _slices(transcripts.items.take(a), found)]
    table = pl.DataFrame(made, schema={name: kind for name, kind in PAIRS.items() if name != "p_holm"})
    corrected = pl.Series("p_holm", holm(table["p"].to_numpy()), pl.Float64)
    return table.with_columns(corrected).select(list(PAIRS))


def _both(transcripts: Transcripts, a: tuple[str, str], b: tuple[str, str]) -> tuple[Codes, Codes]:
    """Return the rows of A and of B about the same utterances and trials."""
    what = ["utterance", "start", "end", "trial"]
    keys = transcripts.keys.with_row_index("row")
    sides = [keys.filter(pl.col("run") == run, pl.col("rater") == rater).select(*what, "row") for run, rater in (a, b)]
    # Several layers under one name have no answer of their own here.
    sides = [side.unique(what, keep="none", maintain_order=True) for side in sides]
    met = sides[0].join(sides[1], on=what, nulls_equal=True, suffix="_b", maintain_order="left")
    rows = (met[name].cast(pl.Int64).to_numpy() for name in ("row", "row_b"))
    first, second = (np.asarray(column, dtype=np.int64) for column in rows)
    return first, second


def _slices(items: Items, found: Sequence[Sequence[tuple[int, int]]]) -> Iterator[dict[str, object]]:
    """Test the segments found in each pair of answers, for all and each slice."""
    each = [np.array(one, dtype=np.int64).reshape(-1, 2) for one in found]
    parts = [(f"{column}={value}", rows) for column, groups in items.groups() for value, rows in groups]
    for name, rows in [("all", np.arange(len(each))), *parts]:
        errors = np.concatenate([np.zeros((0, 2), np.int64), *(each[row] for row in rows)])
        a_errors, b_errors = errors.sum(axis=0).tolist()
        test = matched_pairs(errors[:, 0] - errors[:, 1])
        yield {"slice": name, "a_errors": a_errors, "b_errors": b_errors, **test._asdict(), "n": len(rows)}
