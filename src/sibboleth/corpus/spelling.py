"""Spelling: names that differ in nothing but how they are written."""

from collections.abc import Sequence

import polars as pl

HOW = "capitals, blanks or leading zeros"
"""In what names differ that are alike."""


def plain(names: pl.Series) -> pl.Series:
    """Write names that are alike in the same way.

    Capitals are small, blanks, `_` and `-` are one blank, numbers have no leading zeros (a spreadsheet takes them
    away), and letters are those of Unicode's NFKC.
    """
    text = names.cast(pl.String).str.normalize("NFKC").str.to_lowercase()
    text = text.str.replace_all(r"[\s_-]+", " ").str.strip_chars()
    return text.str.replace_all(r"(^|[^0-9])0+([0-9])", "${1}${2}")


def alike(names: pl.Series) -> list[tuple[str, ...]]:
    """Return the names that are alike, two or more at a time, sorted."""
    different = names.drop_nulls().cast(pl.String).unique()
    table = pl.DataFrame({"name": different, "plain": plain(different)})
    groups = table.filter(pl.col("plain").is_duplicated()).group_by("plain").agg(pl.col("name").sort())
    return sorted(tuple(group) for group in groups["name"])


def told(groups: Sequence[Sequence[str]], shown: int = 3) -> str:
    """Write groups for a sentence: `Angry and angry, Sad and sad and 2 more`."""
    more = f" and {len(groups) - shown} more" if len(groups) > shown else ""
    return ", ".join(" and ".join(group) for group in groups[:shown]) + more
