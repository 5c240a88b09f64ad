"""What listeners judge: no training may hold it, nor a copy of it."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from tests.audit.test_copies import prints, scanned, worn

from sibboleth.audit import Finding

Audited = Callable[..., dict[str, Finding]]
JUDGED = np.array([100, 101])
"""Two utterances that are tested."""


def test_what_listeners_judge_is_noted_where_it_trains_nothing(table: pl.DataFrame, audited: Audited) -> None:
    found = audited(table, judged=JUDGED)
    assert set(found) == {"listening-items"} and found["listening-items"].grade == "note"
    assert found["listening-items"].utterances == ("A/0100", "A/0101")
    assert "models are tested on 2 of them" in found["listening-items"].message
    assert audited(table, judged=np.empty(0, np.int64)) == {}


def test_an_item_that_trains_is_an_error(table: pl.DataFrame, audited: Audited) -> None:
    found = audited(table, judged=np.array([3, 100]))["heard-listening-items"]
    assert found.grade == "error" and found.utterances == ("A/0003",)
    assert found.message == "Train or dev hold 1 utterance that listeners judge, or copies of them."


@pytest.mark.parametrize("how", ["the same samples", "another encoding", "another cut"])
def test_a_copy_of_an_item_that_trains_is_an_error(table: pl.DataFrame, audited: Audited, how: str) -> None:
    heard = prints(len(table))
    if how == "the same samples":
        heard[4] = heard[100]
    elif how == "another encoding":
        heard[4] = worn(heard[100], 0.05)
    else:
        cut = [(None, None), (0.0, 2.0), (1.0, 3.0)]
        rows = [1 if row == 4 else 2 if row == 100 else 0 for row in range(len(table))]
        file = pl.when(pl.col("utterance").is_in(["A/0004", "A/0100"])).then(pl.lit("/x/long.wav")).otherwise("audio")
        table = table.with_columns(
            file.alias("audio"),
            pl.Series("start", [cut[row][0] for row in rows], pl.Float64),
            pl.Series("end", [cut[row][1] for row in rows], pl.Float64),
        )
    found = audited(table, scan=scanned(table, heard), judged=JUDGED)["heard-listening-items"]
    assert found.grade == "error" and found.utterances == ("A/0004",)
