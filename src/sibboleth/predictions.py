"""THE TABLE: who answered what about which utterance.

One row is one answer, or one weighted part of an answer. With a label, `value` is its weight; without, the number
itself. A posterior is one row per class, a forced choice one row, a repeat (or a seed) another trial, a transcript
one row, a diarization one row per segment. Models, listeners and the corpus's own labels all fill it alike.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import storage
from sibboleth.errors import InvalidInput, Problem

Array = npt.NDArray[np.float64]

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

OPTIONAL = ("start", "end", "trial", "layer", "label")
"""Columns that a table may leave out."""
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


def validate(frame: pl.DataFrame, file: str = "predictions", rows: Sequence[int] = ()) -> pl.DataFrame:
    """Return the table with the exact schema, extra columns kept at the end.

    `rows` are the rows' numbers in the file, from 1 without them. Raises `InvalidInput` naming row and field when a
    required column is absent, a source is unknown, a required cell is empty, a number is not one or not finite, or
    two rows have one key.
    """
    missing = [c for c in SCHEMA if c not in frame.columns and c not in OPTIONAL]
    if missing:
        problems = [Problem(file, f"column {c!r} is missing") for c in missing]
        raise InvalidInput(f"{file}: not a predictions table", problems)
    if odd := [c for c, kind in SCHEMA.items() if c in frame.columns and not _fits(frame[c].dtype, kind)]:
        problems = [Problem(file, f"column {c!r} must be of {SCHEMA[c]}, not {frame[c].dtype}") for c in odd]
        raise InvalidInput(f"{file}: not a predictions table", problems)
    extra = [c for c in frame.columns if c not in SCHEMA]
    given = frame.select(*(pl.col(c) if c in frame.columns else pl.lit(None).alias(c) for c in SCHEMA), *extra)
    filled = given.with_columns(pl.col(c).cast(kind, strict=False) for c, kind in SCHEMA.items())
    problems = [
        Problem(file, message, rows[index] if rows else index + 1, field)
        for field, message, rule in _rules(given, filled)
        for index in rule.arg_true().to_list()
    ]
    if problems:
        problems.sort(key=lambda problem: problem.row or 0)
        bad = len({problem.row for problem in problems})
        raise InvalidInput(f"{file}: {bad} bad {'row' if bad == 1 else 'rows'}", problems)
    return filled.with_columns(pl.col("trial").fill_null(0))


def _fits(found: pl.DataType, kind: type[pl.DataType]) -> bool:
    """Say whether polars can make one type of another, as far as the values allow."""
    named = kind == pl.String and found in (pl.Categorical, pl.Enum)
    return named or found.is_numeric() or found in (pl.String, pl.Boolean, pl.Null)


def _rules(given: pl.DataFrame, filled: pl.DataFrame) -> Iterator[tuple[str, str, pl.Series]]:
    """Yield field, message, and which rows break the rule."""
    for field in ("run", "rater", "utterance", "target"):
        yield field, f"{field} is empty", filled[field].is_null()
    source = filled["source"]
    yield "source", f"source must be one of {', '.join(SOURCES)}", ~source.is_in(SOURCES).fill_null(False)
    for field in ("start", "end"):
        yield field, f"{field} must be a number of seconds", filled[field].is_null() & given[field].is_not_null()
    for field in ("trial", "layer"):
        yield field, f"{field} must be a whole number", filled[field].is_null() & given[field].is_not_null()
    yield "value", "value must be a finite number", ~filled["value"].is_finite().fill_null(False)
    repeated = filled.select(KEY).with_columns(pl.col("trial").fill_null(0)).is_duplicated()
    yield "label", "another row has the same key (every column but value)", repeated


def read(path: Path) -> pl.DataFrame:
    """Read a predictions table from Parquet, CSV or TSV; raises `InvalidInput` when it cannot be used."""
    try:
        if path.suffix == ".parquet":
            frame = storage.parquet(path)
        else:
            frame = pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",", infer_schema=False)
    except FileNotFoundError:
        raise InvalidInput(f"{path}: no such file") from None
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"{path}: cannot be read as a table ({error})") from None
    header = 0 if path.suffix == ".parquet" else 1
    return validate(frame, str(path), range(1 + header, len(frame) + 1 + header))


def decide(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the heaviest label of each answer, ties to the alphabetically first; numbers pass unchanged."""
    ordered = frame.sort("value", "label", descending=[True, False], maintain_order=True)
    return ordered.unique(subset=list(ANSWER), keep="first", maintain_order=True).sort(ANSWER)


def pool(frame: pl.DataFrame, rater: str) -> pl.DataFrame:
    """Average all raters into one called `rater`: soft labels from listeners, an ensemble from models.

    Each answer's weights are first made to sum to one, and a rater's trials are averaged, so that a rater who ticked
    two labels or answered twice counts once. An answer whose weights are all zero does not count.
    """
    total = pl.col("value").sum().over(ANSWER)
    labelled = pl.col("label").is_not_null()
    item = [c for c in ANSWER if c not in ("run", "rater", "trial")]
    person = [*item, "run", "rater"]
    shares = (
        frame.sort(KEY)
        .filter(~labelled | (total > 0))
        .with_columns(pl.when(labelled).then(pl.col("value") / total).otherwise(pl.col("value")).alias("value"))
    )
    trials = pl.col("trial").n_unique().over(person)
    raters = pl.struct("run", "rater").n_unique().over(item)
    pooled = (
        shares.with_columns(pl.col("value") / (trials * raters))
        .group_by([*item, "label"], maintain_order=True)
        .agg(pl.col("value").sum(), pl.col("run").first())
        .with_columns(pl.lit(rater).alias("rater"), pl.lit(0, pl.Int32).alias("trial"))
    )
    first = pl.col("run").min().over(item)
    return pooled.with_columns(first).select(list(SCHEMA)).sort(KEY)


def weights(frame: pl.DataFrame, labels: Sequence[str]) -> tuple[pl.DataFrame, Array]:
    """Turn labelled rows into one row of weights per answer.

    Returns the answers (the columns of `ANSWER`, sorted) and their weights `[answer, label]`, each row summing to
    one: labels outside `labels` are left out. An answer without weight on any of `labels` is a row of NaN.
    """
    answers, matrix, _ = shares(frame, labels)
    total = matrix.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return answers, np.where(total > 0, matrix / total, np.nan)


def shares(frame: pl.DataFrame, labels: Sequence[str]) -> tuple[pl.DataFrame, Array, Array]:
    """Turn labelled rows into each label's share of the whole answer.

    Returns the answers (the columns of `ANSWER`, sorted), the shares `[answer, label]` (their sum is below one
    where labels outside `labels` have weight) and the share `[answer]` of the heaviest label outside. An answer
    without any weight is a row of zeros.
    """
    known = pl.col("label").is_in(list(labels))
    wide = (
        frame.filter(pl.col("label").is_not_null())
        .group_by(ANSWER)
        .agg(
            *(pl.col("value").filter(pl.col("label") == label).sum().alias(f"={k}") for k, label in enumerate(labels)),
            # Sorted, because a sum depends on the order of its terms and nothing may depend on that of the rows.
            pl.col("value").filter(~known).sort().sum().alias("=rest"),
            pl.col("value").filter(~known).max().fill_null(0.0).alias("=outside"),
        )
        .sort(ANSWER)
    )
    matrix = wide.select(pl.col(f"={k}") for k in range(len(labels))).to_numpy().astype(np.float64)
    matrix = matrix.reshape(len(wide), len(labels))
    total = matrix.sum(axis=1) + wide["=rest"].to_numpy()
    total = np.where(total > 0, total, 1.0)
    return wide.select(ANSWER), matrix / total[:, None], wide["=outside"].to_numpy() / total
