"""What pre-training on the tested language is worth beside another: in a few sentences, and every number as a table."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import polars as pl

from sibboleth.report import wording
from sibboleth.report.contrasts import includes
from sibboleth.report.results import Results
from sibboleth.report.tables import Table, table
from sibboleth.scores.pretrained import PRETRAINED

Row = dict[str, Any]
MOST = 4
"""Pairs, methods and trainings that are told; the table has all."""
KEY = ("a", "b", "method", "source", "seconds")
MEANT = {
    "difference": "{a} \N{MINUS SIGN} {b}",
    "gap of a": "{a}, away \N{MINUS SIGN} at home",
    "gap of b": "{b}, away \N{MINUS SIGN} at home",
    "gap": "gap of {a} \N{MINUS SIGN} gap of {b}",
}


def told(results: Results) -> list[str]:
    """Say of each pair of encoders how they differ on every domain, and what going away costs each of them.

    Of fine-tuned pairs where there are any, else of probes; of whole trainings, not of budgets; of the first few.
    """
    rows = [row for row in _rows(results) if row["seconds"] is None]
    methods = {system.method for system in results.tuned}
    chosen = [row for row in rows if row["method"] in methods] or rows
    groups = [list(mine) for _, mine in groupby(chosen, _key)]
    texts = [text for mine in groups[:MOST] for text in _sentences(results, mine)]
    more = len(groups) - MOST
    return [*texts, f"{more} more such pairs are under Pre-trained on which language."] if more > 0 else texts


def compared(results: Results) -> Table:
    """Every difference and gap of pairs of encoders that were pre-trained on the tested language and on another."""
    rows = _rows(results)
    return table(
        "pretrained",
        f"{wording.metric(results.metric)} of encoders pre-trained on the tested language and on another, in pairs: "
        "differences on the same utterances, and what going away from home adds to each",
        "pretrained.parquet",
        ("A", "B", "Method", "Trained on", "Tested on", "Difference of", "Estimate", "Speakers"),
        [
            (
                *(results.short(row[name]) for name in ("a", "b")),
                row["method"] + ("" if row["seconds"] is None else f", {wording.seconds(row['seconds'])}"),
                row["source"],
                row["domain"] or "all others",
                MEANT[row["contrast"]].format(a="A", b="B"),
                wording.estimate(row["estimate"], row["low"], row["high"]),
                f"{row['clusters']:,}",
            )
            for row in rows
        ],
        numeric=(6, 7),
        numbers=pl.DataFrame(rows, schema=PRETRAINED),
        bars=[(row["estimate"], row["low"], row["high"]) for row in rows],
        shown=16,
    )


def _rows(results: Results) -> list[Row]:
    there = results.run / "pretrained.parquet"
    return results.run.table("pretrained").to_dicts() if there.exists() else []


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _sentences(results: Results, rows: Sequence[Row]) -> Iterator[str]:
    first = rows[0]
    a, b = results.short(first["a"]), results.short(first["b"])
    differences = [row for row in rows if row["contrast"] == "difference"]
    each = "; ".join(f"{_where(results, row)} {_judged(results, row)}" for row in differences)
    yield (
        f"Pre-trained on {first['a_language']} rather than {first['b_language']} ({a} \N{MINUS SIGN} {b}, "
        f"{first['method']}, trained {wording.preposition(results.domain)} {first['source']}): {each}."
    )
    away = [row["domain"] for row in rows if row["contrast"] == "gap"]
    if away:
        widest = None if None in away else away[0]
        mine = {row["contrast"]: row for row in rows if row["domain"] == widest}
        gaps = [_written(mine[name]) for name in ("gap of a", "gap of b", "gap")]
        what = f"{first['source']} to {widest or 'all others'}"
        apart = mine["gap"]["low"], mine["gap"]["high"]
        # An interval that is undefined says nothing of either.
        known = all(map(math.isfinite, apart))
        tail = ", an interval that includes no difference" if known and includes(*apart, 0.0) else ""
        yield (
            f"From {what} {wording.metric(results.metric)} changes by {gaps[0]} with {a} and by {gaps[1]} with {b}; "
            f"the two gaps differ by {gaps[2]}{tail}."
        )


def _where(results: Results, row: Row) -> str:
    at = wording.preposition(results.domain)
    return f"{at} {row['domain']}" if row["domain"] else f"{at} all others together"


def _judged(results: Results, row: Row) -> str:
    """Say whether A is better, as far as the interval shows it."""
    number = f"{wording.metric(results.metric)} {_written(row)}"
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        return number
    if includes(row["low"], row["high"], 0.0):
        return f"not told apart ({number})"
    return f"{'better' if results.better * row['estimate'] > 0 else 'worse'} ({number})"


def _written(row: Row) -> str:
    return wording.estimate(row["estimate"], row["low"], row["high"])
