"""Which encoders of the tested language are held against which of another language."""

import itertools
from collections.abc import Iterator
from typing import Any

import polars as pl

from sibboleth.scores import Match

Row = dict[str, Any]
SEVERAL = "multi"


def matches(runs: pl.DataFrame, encoders: list[dict[str, Any]], table: pl.DataFrame) -> list[Match]:
    """List, of the rows of cells.parquet, pairs of encoders of one size that were pre-trained on one language each.

    One of them on the language of all utterances; where these have several there is no pair.
    """
    spoken = table["language"].unique().to_list()
    if len(spoken) != 1 or spoken[0] is None:
        return []
    sizes = {one["name"]: (one["layers"], one["dim"]) for one in encoders}
    plain = runs.filter(
        pl.col("alignment").is_null() & ~pl.col("control") & pl.col("encoder_language").is_not_null()
    ).sort("run")
    found: list[Match] = []
    there = set(plain["encoder"])
    for a, b in itertools.permutations([one["name"] for one in encoders if one["name"] in there], 2):
        languages = [plain.filter(encoder=one)["encoder_language"][0] for one in (a, b)]
        if languages[0] == spoken[0] and languages[1] not in (spoken[0], SEVERAL) and sizes[a] == sizes[b]:
            found += _met(plain.filter(pl.col("encoder").is_in([a, b])).to_dicts(), a, b, *languages)
    return found


def _met(rows: list[Row], a: str, b: str, a_language: str, b_language: str) -> Iterator[Match]:
    """Put the runs of two encoders side by side, training by training."""
    trained: dict[tuple[str, str, float | None], dict[str, dict[str, str]]] = {}
    for row in rows:
        regime = row["regime"].partition("(")[0]
        if regime in ("within", "zero-shot") and row["shots"] is None:
            key = (row["method"], row["source"], row["seconds"])
            trained.setdefault(key, {}).setdefault(row["domain"], {})[row["encoder"]] = row["run"]
    for (method, source, seconds), domains in trained.items():
        both = {domain: (runs[a], runs[b]) for domain, runs in domains.items() if a in runs and b in runs}
        if both:
            home = both.pop(source, None)
            yield Match(a, b, a_language, b_language, method, source, seconds, home, both)
