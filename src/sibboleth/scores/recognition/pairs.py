"""The table of matched pairs: two recognisers compared over segments of speech."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from sibboleth.metrics import transcription
from sibboleth.metrics.edits import Edit, sclite_edits, segments
from sibboleth.scores.recognition.transcripts import Transcripts
from sibboleth.scores.slices import Codes
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
    made: list[dict[str, object]] = []
    for a_run, a_rater, b_run, b_rater in pairs:
        a, b = _both(transcripts, (a_run, a_rater), (b_run, b_rater))
        names = {"a_run": a_run, "a_rater": a_rater, "b_run": b_run, "b_rater": b_rater}
        made += [names | row for row in _slices(transcripts, a, b)]
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


def _slices(transcripts: Transcripts, a: Codes, b: Codes) -> Iterator[dict[str, object]]:
    aligned = [_aligned(transcripts.answers.take(rows)) for rows in (a, b)]
    found = [np.array(segments(*both), dtype=np.int64).reshape(-1, 2) for both in zip(*aligned, strict=True)]
    items = transcripts.items.take(a)
    parts = [(f"{column}={value}", rows) for column, groups in items.groups() for value, rows in groups]
    for name, rows in [("all", np.arange(len(a))), *parts]:
        errors = np.concatenate([np.zeros((0, 2), np.int64), *(found[row] for row in rows)])
        a_errors, b_errors = errors.sum(axis=0).tolist()
        test = matched_pairs(errors[:, 0] - errors[:, 1])
        yield {"slice": name, "a_errors": a_errors, "b_errors": b_errors, **test._asdict(), "n": len(rows)}


def _aligned(answers: transcription.Answers) -> list[list[Edit]]:
    return [
        sclite_edits(reference.split(), hypothesis.split())
        for reference, hypothesis in zip(answers.reference, answers.hypothesis, strict=True)
    ]
