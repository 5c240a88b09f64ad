"""Listeners: what is known of each, the groups they make, and who failed."""

from collections.abc import Mapping, Sequence

import polars as pl

from sibboleth.errors import InvalidInput, Problem
from sibboleth.scores.groups import Name

PEOPLE = ("listener", "simulated")
"""Sources of people's answers; those of simulated listeners are never mixed with those of people."""
FAILED = ("excluded", "catch_failed")
"""Columns of a listeners table that say, by true or false, that a listener failed."""
TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no")
ALL, ATTENTIVE = "all", "attentive"
"""Which listeners a row is about: all of them, or those who did not fail."""

Groups = dict[str, list[Name]]


def source(predictions: pl.DataFrame) -> str:
    """Return the source of people's answers; raises `InvalidInput` where there are none, or of both kinds."""
    there = sorted(set(predictions["source"]) & set(PEOPLE))
    if not there:
        raise InvalidInput("no answers of listeners (rows of source 'listener'); give a file that has them")
    if len(there) > 1:
        raise InvalidInput("answers of people and of simulated listeners in one table; compare each apart")
    return str(there[0])


def checked(listeners: pl.DataFrame, names: Sequence[Name], file: str = "listeners") -> pl.DataFrame:
    """Return the table with a row per known rater; raises `InvalidInput` with the row where it cannot be used."""
    if "rater" not in listeners.columns:
        there = ", ".join(listeners.columns)
        raise InvalidInput(f"{file}: column 'rater' is missing; a listeners table has one row per rater ({there})")
    repeated = listeners.with_row_index("=row").filter(pl.col("rater").is_duplicated())
    if len(repeated):
        problems = [
            Problem(file, f"rater {name!r} has two rows", row + 2, "rater")
            for row, name in repeated.select("=row", "rater").iter_rows()
        ]
        raise InvalidInput(f"{file}: every rater has one row", problems)
    known = listeners.with_columns(pl.col("rater").cast(pl.String)).filter(
        pl.col("rater").is_in([rater for _, rater in names])
    )
    if known.is_empty():
        raise InvalidInput(
            f"{file}: none of its raters answered anything; compare its column 'rater' with the answers'"
        )
    for column in FAILED:
        if column in known.columns:
            known = known.with_columns(_boolean(known, column, file))
    return known


def versions(names: Sequence[Name], listeners: pl.DataFrame | None) -> dict[str, list[Name]]:
    """Return all listeners and, where any failed, those who did not; listeners who are not in the table stay."""
    columns = [] if listeners is None else [column for column in FAILED if column in listeners.columns]
    if listeners is None or not columns:
        return {ALL: list(names)}
    failed = set(listeners.filter(pl.any_horizontal(pl.col(c).fill_null(False) for c in columns))["rater"])
    kept = [name for name in names if name[1] not in failed]
    return {ALL: list(names)} | ({ATTENTIVE: kept} if 0 < len(kept) < len(names) else {})


def groups(names: Sequence[Name], listeners: pl.DataFrame | None, by: Sequence[str]) -> Groups:
    """Group listeners by each column: `COLUMN=VALUE` and who has it; raises `InvalidInput` for an unknown column."""
    values = backgrounds(names, listeners, by)
    found: Groups = {}
    for column in by:
        for value in sorted(set(values[column].values())):
            found[f"{column}={value}"] = [name for name in names if values[column].get(name) == value]
    return found


def backgrounds(
    names: Sequence[Name], listeners: pl.DataFrame | None, by: Sequence[str]
) -> Mapping[str, Mapping[Name, str]]:
    """Return each column's value of every listener who has one."""
    found: dict[str, Mapping[Name, str]] = {}
    for column in by:
        if listeners is None or column not in listeners.columns:
            there = "there is no listeners table" if listeners is None else f"there are {', '.join(listeners.columns)}"
            raise InvalidInput(f"no column {column!r} to group listeners by; {there}")
        value = dict(listeners.select("rater", pl.col(column).cast(pl.String)).drop_nulls().iter_rows())
        found[column] = {name: value[name[1]] for name in names if name[1] in value}
    return found


def _boolean(listeners: pl.DataFrame, column: str, file: str) -> pl.Series:
    if listeners[column].dtype == pl.Boolean:
        return listeners[column]
    text = listeners[column].cast(pl.String).str.to_lowercase()
    read = text.replace_strict([*TRUE, *FALSE], [True] * 3 + [False] * 3, default=None, return_dtype=pl.Boolean)
    wrong = listeners.filter(text.is_not_null() & (text != "") & read.is_null())
    if len(wrong):
        problems = [
            Problem(file, f"rater {r!r}: {v!r} is neither true nor false", field=column)
            for r, v in wrong.select("rater", pl.col(column).cast(pl.String)).iter_rows()
        ]
        raise InvalidInput(f"{file}: column {column!r} says true or false", problems)
    return read.alias(column)
