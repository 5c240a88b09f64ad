"""Which runs are compared in pairs, and in which family p-values are corrected together."""

import itertools
from collections.abc import Iterator
from typing import Any

import polars as pl

from sibboleth.scores import Pair

Row = dict[str, Any]


def pairs(runs: pl.DataFrame) -> list[Pair]:
    """List what is compared, of the rows of cells.parquet.

    Regimes of one system on one target, but for budgets; under one regime, source and target, encoders with one method
    and methods of one encoder, of few-shot only with the most shots.
    """
    # Runs whose features were aligned to the target are no systems of their own: they have no pair here.
    plain = runs.filter(pl.col("alignment").is_null()).sort("run")
    most = plain["shots"].max()
    rows = plain.to_dicts()
    tasks: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["shots"] in (None, most):
            tasks.setdefault((row["regime"], row["source"], row["domain"]), []).append(row)
    whole = [row for row in rows if row.get("seconds") is None]
    found = [*_regimes(whole), *(one for same in tasks.values() for one in _systems(same))]
    return [(family, a["run"], "selected", b["run"], "selected") for family, a, b in found]


def _regimes(rows: list[Row]) -> Iterator[tuple[str, Row, Row]]:
    """Compare what each regime reaches with no label of the target, and with all of them."""
    home = {_key(row, "domain"): row for row in rows if row["regime"] == "within"}
    zero = {_key(row, "source", "domain"): row for row in rows if row["regime"] == "zero-shot"}
    for row in rows:
        within, without = home.get(_key(row, "domain")), zero.get(_key(row, "source", "domain"))
        if row["regime"] in ("zero-shot", "two-stage") and within:
            yield f"{row['regime']} against within", row, within
        if row["regime"] not in ("zero-shot", "within") and without:
            yield f"{row['regime']} against zero-shot", row, without


def _systems(rows: list[Row]) -> Iterator[tuple[str, Row, Row]]:
    """Compare systems under one regime, source and target; controls, and probes with methods, come second."""
    for pair in itertools.combinations(rows, 2):
        a, b = sorted(pair, key=lambda row: (bool(row["control"]), not row["tuned"]))
        if a["method"] == b["method"]:
            yield f"encoders, {a['regime']}", a, b
        elif a["encoder"] == b["encoder"]:
            yield f"methods, {a['regime']}", a, b
        elif a["tuned"] and not a["control"] and b["control"] and not b["tuned"]:
            yield f"methods against controls, {a['regime']}", a, b


def _key(row: Row, *places: str) -> tuple[Any, ...]:
    return (row["encoder"], row["method"], *(row[place] for place in places))
