"""Backgrounds: what is known of each listener, without what could say who they are, and how it bears on an item."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput
from sibboleth.scores.people.listeners import FAILED, checked
from sibboleth.study import ListenersSettings

FILE = "listeners.csv"
"""The people's table in the folder of an export."""
KEPT = (
    *("status", "form", "answers", "first_language", "age", "gender", "hearing"),
    *("headphone_trials", "headphones_right", "catch_trials", "catch_wrong", *FAILED),
    *("median_reaction", "mean_plays"),
)
"""Columns of a people's table that a run takes, beside those that a study groups by; no other is read."""
ASKED = ("native.", "level.", "years.")
"""Beginnings of the columns that say which languages and dialects a listener knows, and how well."""
LANGUAGE, DIALECT = "language", "dialect"
NATIVE, FOREIGN = "native", "non-native"
EXPOSED, UNEXPOSED = "exposed", "not exposed"


def read(settings: ListenersSettings, folders: Sequence[Path], raters: Collection[str]) -> pl.DataFrame | None:
    """Read the people's table that the study names, else those beside the ratings; a row per known `rater`.

    None where there is none. Raises `InvalidInput` for one that cannot be used, a column to group by that is not
    there, and a rater of two tables.
    """
    paths = [settings.people] if settings.people else [path / FILE for path in folders if (path / FILE).is_file()]
    if not paths:
        if settings.groups:
            raise InvalidInput(
                f"listeners.groups: no table of people to group by; name one with listeners.people ({FILE})"
            )
        return None
    names = [("", rater) for rater in sorted(raters)]
    tables = []
    for path in paths:
        table = _open(path)
        if absent := [name for name in settings.groups if name not in table.columns]:
            raise InvalidInput(
                f"{path}: no column {absent[0]!r}, of listeners.groups; there are {', '.join(table.columns)}"
            )
        known = checked(table, names, str(path))
        wanted = [name for name in known.columns if name in (*KEPT, *settings.groups) or name.startswith(ASKED)]
        tables.append(known.select("rater", *wanted))
    every = pl.concat(tables, how="diagonal_relaxed").sort("rater")
    if twice := every.filter(pl.col("rater").is_duplicated())["rater"].unique().sort().to_list():
        raise InvalidInput(
            f"{paths[0]}: rater {twice[0]!r} also has a row in {paths[-1]}; give all people in one table, as "
            "listeners.people, with names of their own there and in the ratings"
        )
    return every


def _open(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",", infer_schema_length=None)
    except FileNotFoundError:
        raise InvalidInput(f"{path}: no such file") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"{path}: cannot be read as a table ({error})") from None


def beside(people: pl.DataFrame, items: pl.DataFrame, names: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return the people's table with `language` and `dialect`: what each has to do with items of one language, dialect.

    `language` is native or non-native, `dialect` exposed or not exposed (years of it above 0); null where it is not
    known, which is so for everybody where items have several languages or none, or where nobody's language has that
    name (`names` has other names for it).
    """
    language = _native(people, _only(items, LANGUAGE), names)
    dialect = _exposed(people, _only(items, DIALECT), names)
    return people.with_columns(
        pl.Series(LANGUAGE, language, dtype=pl.String), pl.Series(DIALECT, dialect, dtype=pl.String)
    )


def years(people: pl.DataFrame, dialect: str, names: Mapping[str, Sequence[str]]) -> list[str | None]:
    """Say of each person whether they were exposed to a dialect; null where it is not known."""
    return _exposed(people, dialect, names)


def _only(items: pl.DataFrame, column: str) -> str | None:
    values = items[column].unique().to_list()
    return str(values[0]) if len(values) == 1 and values[0] is not None else None


def _called(value: str, names: Mapping[str, Sequence[str]]) -> set[str]:
    return {name.casefold() for name in (value, *names.get(value, ()))}


def _native(people: pl.DataFrame, language: str | None, names: Mapping[str, Sequence[str]]) -> list[str | None]:
    if language is None or "first_language" not in people.columns:
        return [None] * len(people)
    called = _called(language, names)
    said = [first if first is None else _listed(str(first)) for first in people["first_language"].to_list()]
    native = [first is not None and bool(called & first) for first in said]
    if not any(native) and language not in names:
        return [None] * len(people)  # nobody may be native, or it may have another name
    return [
        None if first is None else NATIVE if is_native else FOREIGN
        for first, is_native in zip(said, native, strict=True)
    ]


def _listed(first: str) -> set[str]:
    return {one.strip().casefold() for one in first.split(";")}


def _exposed(people: pl.DataFrame, dialect: str | None, names: Mapping[str, Sequence[str]]) -> list[str | None]:
    called = set() if dialect is None else _called(dialect, names)
    columns = [
        name for name in people.columns if name.removeprefix("years.").casefold() in called and name[:6] == "years."
    ]
    if not columns:
        return [None] * len(people)
    most = people.select(pl.max_horizontal(pl.col(name).cast(pl.Float64, strict=False) for name in columns)).to_series()
    return [EXPOSED if number is not None and number > 0 else UNEXPOSED for number in most.to_list()]
