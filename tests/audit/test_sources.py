"""Mixes know what they were made of: speech of test that trains between other speech is a leak."""

import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from sibboleth.audit import Finding

Audited = Callable[..., dict[str, Finding]]


def scanned(table: pl.DataFrame) -> pl.DataFrame:
    return table.select("utterance", pl.format("digest of {}", "utterance").alias("digest"))


def mixed(table: pl.DataFrame, of: dict[int, list[str]]) -> pl.DataFrame:
    """Say of some rows what they were made of, by digests."""
    said = [
        json.dumps([{"utterance": "x", "digest": one} for one in of[row]]) if row in of else None
        for row in range(len(table))
    ]
    return table.with_columns(pl.Series("sources", said, pl.String))


def test_a_source_in_test_whose_mix_trains_is_an_error_and_the_other_way_round(
    table: pl.DataFrame, audited: Audited
) -> None:
    trains = mixed(table, {3: ["other", "digest of A/0100"]})  # A/0003 trains, A/0100 tests
    found = audited(trains, scan=scanned(table))
    assert set(found) == {"shared-sources"}
    assert found["shared-sources"].grade == "error" and found["shared-sources"].utterances == ("A/0100",)
    assert "1 utterance in test, in 1 of 2 tests, first in A fold-1" in found["shared-sources"].message
    tests = mixed(table, {100: ["digest of A/0003"]})
    assert audited(tests, scan=scanned(table))["shared-sources"].utterances == ("A/0100",)


def test_two_mixes_of_one_source_need_no_audio_to_be_found(table: pl.DataFrame, audited: Audited) -> None:
    both = mixed(table, {3: ["a", "b"], 100: ["b", "c"], 101: ["c", "d"]})
    assert audited(both)["shared-sources"].utterances == ("A/0100",)


def test_sources_on_one_side_alone_are_no_leak(table: pl.DataFrame, audited: Audited) -> None:
    apart = mixed(table, {3: ["digest of A/0004", "a"], 4: ["a"], 100: ["digest of A/0101", "b"], 101: ["b"]})
    assert audited(apart, scan=scanned(table)) == {}


@pytest.mark.parametrize("text", ["a book", "[1, 2]", '{"digest": "a"}', '[{"utterance": "x"}]', "", "null"])
def test_a_column_of_that_name_that_means_something_else_is_passed_over(
    text: str, table: pl.DataFrame, audited: Audited
) -> None:
    assert audited(table.with_columns(pl.lit(text).alias("sources")), scan=scanned(table)) == {}
    assert audited(table.with_columns(pl.lit(1).alias("sources")), scan=scanned(table)) == {}


def test_a_mix_of_what_listeners_judge_is_not_to_train(table: pl.DataFrame, audited: Audited) -> None:
    heard = mixed(table, {3: ["digest of A/0100"]})
    found = audited(heard, scan=scanned(table), judged=np.array([100]), allow=["shared-sources"])
    assert found["heard-listening-items"].utterances == ("A/0003",)
