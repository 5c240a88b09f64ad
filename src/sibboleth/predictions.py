"""THE TABLE: who answered what about which utterance.

One row is one answer, or one weighted part of an answer. With a label, `value` is its weight; without, the number
itself. A posterior is one row per class, a forced choice one row, a repeat (or a seed) another trial, a transcript
one row, a diarization one row per segment. Models, listeners and the corpus's own labels all fill it alike.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.errors import InvalidInput, Problem

SOURCES = ("model", "listener", "reference", "simulated")

SCHEMA: dict[str, type[pl.DataType]] = {
    "run": pl.String,
    "source": pl.String,
    "rater": pl.String,
    "utterance": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "target": pl.String,
    "trial": pl.Int32,
    "layer": pl.Int32,
    "label": pl.String,
    "value": pl.Float64,
}

KEY = tuple(column for column in SCHEMA if column != "value")
ANSWER = tuple(column for column in KEY if column != "label")
"""Columns that name one answer: all of the key but the label."""


def table(columns: dict[str, object]) -> pl.DataFrame:
    """Build a predictions table; a scalar fills its column, an absent nullable column is null."""
    filled = {name: columns.get(name, 0 if name == "trial" else None) for name in SCHEMA}
    scalars = {name: v for name, v in filled.items() if v is None or isinstance(v, (str, int, float))}
    arrays: dict[str, Any] = {name: v for name, v in filled.items() if name not in scalars}
    frame = pl.DataFrame(arrays) if arrays else pl.DataFrame({"": [0]})
    return frame.select(
        (pl.lit(scalars[name]) if name in scalars else pl.col(name)).cast(kind).alias(name)
        for name, kind in SCHEMA.items()
    )


def validate(frame: pl.DataFrame, file: str = "predictions") -> pl.DataFrame:
    """Return the table with the exact schema, extra columns kept at the end.

    Raises `InvalidInput` naming row and field when a required column is absent, a source is unknown, a row has
    neither label nor value, a weight is not finite, or two rows have one key.
    """
    optional = ("start", "end", "trial", "layer", "label")
    missing = [c for c in SCHEMA if c not in frame.columns and c not in optional]
    if missing:
        problems = [Problem(file, f"column {c!r} is missing") for c in missing]
        raise InvalidInput(f"{file}: not a predictions table", problems)
    extra = [c for c in frame.columns if c not in SCHEMA]
    filled = frame.select(
        *(
            (pl.col(c) if c in frame.columns else pl.lit(0 if c == "trial" else None)).cast(kind, strict=False).alias(c)
            for c, kind in SCHEMA.items()
        ),
        *extra,
    )
    known = pl.col("source").is_in(SOURCES).fill_null(False)
    rules: dict[str, tuple[pl.Expr | pl.Series, str]] = {
        "source": (~known, f"source must be one of {', '.join(SOURCES)}"),
        "utterance": (pl.col("utterance").is_null(), "utterance is empty"),
        "value": (~pl.col("value").is_finite() | pl.col("value").is_null(), "value must be a finite number"),
        "label": (
            filled.select(KEY).is_duplicated(),
            "another row has the same key (every column but value)",
        ),
    }
    problems = []
    for field, (rule, message) in rules.items():
        bad = filled.with_row_index("row", offset=1).filter(rule)["row"].to_list()
        problems += [Problem(file, message, row, field) for row in bad]
    if problems:
        raise InvalidInput(f"{file}: {len(problems)} bad rows", problems)
    return filled


def read(path: Path) -> pl.DataFrame:
    """Read a predictions table from Parquet or CSV."""
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    return validate(frame, str(path))


def decide(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the heaviest label of each answer, ties to the alphabetically first; numbers pass unchanged."""
    ordered = frame.sort("value", "label", descending=[True, False], maintain_order=True)
    return ordered.unique(subset=list(ANSWER), keep="first", maintain_order=True).sort(ANSWER)


def pool(frame: pl.DataFrame, rater: str) -> pl.DataFrame:
    """Average all raters into one called `rater`: soft labels from listeners, an ensemble from models.

    Each rater's weights are first made to sum to one, so that a rater who ticked two labels counts once.
    """
    shares = frame.with_columns(
        pl.when(pl.col("label").is_null())
        .then(pl.col("value"))
        .otherwise(pl.col("value") / pl.col("value").sum().over(ANSWER))
        .alias("value")
    )
    item = [c for c in ANSWER if c not in ("rater", "trial", "run")]
    answers = shares.group_by(item).agg(pl.struct("run", "rater", "trial").n_unique().alias("answers"))
    summed = shares.group_by([*item, "label"]).agg(pl.col("value").sum(), pl.col("run").first())
    joined = summed.join(answers, on=item, nulls_equal=True)
    pooled = joined.with_columns(
        pl.col("value") / pl.col("answers"), pl.lit(rater).alias("rater"), pl.lit(0, pl.Int32).alias("trial")
    )
    return pooled.select(SCHEMA).sort(KEY)


def weights(frame: pl.DataFrame, labels: Sequence[str]) -> tuple[pl.DataFrame, npt.NDArray[np.float64]]:
    """Turn labelled rows into one row of weights per answer.

    Returns the answers (the columns of `ANSWER`, sorted) and their weights `[answer, label]`, each row summing to
    one. An answer whose label is outside `labels` has zeros there and no weight at all becomes a row of NaN.
    """
    wide = frame.filter(pl.col("label").is_not_null()).pivot(
        on="label", on_columns=list(labels), index=list(ANSWER), values="value", aggregate_function="sum"
    )
    absent = [pl.lit(0.0).alias(label) for label in labels if label not in wide.columns]
    wide = wide.with_columns(*absent).sort(ANSWER)
    matrix = wide.select(pl.col(list(labels)).fill_null(0.0)).to_numpy().astype(np.float64)
    total = matrix.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return wide.select(ANSWER), np.where(total > 0, matrix / total, np.nan)
