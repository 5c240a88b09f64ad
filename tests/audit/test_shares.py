"""Shares: labels that are distributed differently over parts, domains and other columns."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy.stats.contingency import association, crosstab

from sibboleth import splits
from sibboleth.audit import Finding
from sibboleth.audit.association import associated
from sibboleth.splits import Fit

Audited = Callable[..., dict[str, Finding]]
Make = Callable[..., pl.DataFrame]


def test_the_corrected_association_is_near_the_plain_one_for_many_cases_and_nothing_by_chance() -> None:
    random = np.random.default_rng(0)
    one = random.integers(0, 3, 20000)
    other = np.where(random.random(20000) < 0.5, one, random.integers(0, 4, 20000))
    plain = association(crosstab(one, other).count, method="cramer")
    assert associated(one, other)[0] == pytest.approx(plain, abs=0.005)
    assert associated(one, one) == (pytest.approx(1.0, abs=0.01), 0.0)
    chance = [associated(random.integers(0, 3, 80), random.integers(0, 4, 80)) for _ in range(300)]
    assert np.mean([strength for strength, _ in chance]) < 0.08
    assert np.mean([p < 0.05 for _, p in chance]) < 0.09


def test_too_few_cases_say_nothing() -> None:
    assert associated(np.array([0, 1] * 4), np.array([0, 1] * 4)) == (0.0, 1.0)
    assert associated(np.array([0, 1, -1]), np.array([-1, -1, 0])) == (0.0, 1.0)
    assert associated(np.arange(50), np.arange(50)) == (0.0, 1.0)


def test_class_shares_are_named_with_numbers(make: Make, audited: Audited) -> None:
    table = make(each=5)
    rows = pl.int_range(pl.len())
    skewed = table.filter((pl.col("emotion") == "angry") | (rows % 5 == 0) | (pl.col("corpus") == "B"))
    found = audited(skewed)
    assert "A (angry 100, sad 20)" in found["class-imbalance"].message
    assert "B (" not in found["class-imbalance"].message
    assert "A angry 83%, sad 17%, B angry 50%, sad 50%" in found["label-domain-confound"].message


def test_parts_with_other_shares(table: pl.DataFrame, audited: Audited) -> None:
    labels = table.with_row_index("row").filter(corpus="A")
    angry, sad = (labels.filter(emotion=name)["row"].cast(pl.Int64).to_numpy() for name in ("angry", "sad"))
    train, dev = np.concatenate([angry[:30], sad[:6]]), np.concatenate([angry[30:36], sad[6:12]])
    test = np.concatenate([angry[36:40], sad[12:]])
    found = audited(table, (Fit("A", "fold-1", train, dev, (splits.Test("within", "A", test),)),))["label-shift"]
    assert "A fold-1 (sad is 17% of train, 92% of test)" in found.message and found.grade == "warning"
    assert set(found.utterances) <= set(table["utterance"].gather(test.tolist()))
    even = Fit("A", "fold-1", np.concatenate([angry[:30], sad[:30]]), dev, (splits.Test("within", "A", test[4:]),))
    assert "sad is 50% of train, 100% of test" in audited(table, (even,))["label-shift"].message


def test_few_utterances_in_a_part_are_no_shift(table: pl.DataFrame, audited: Audited) -> None:
    labels = table.with_row_index("row").filter(corpus="A")
    angry, sad = (labels.filter(emotion=name)["row"].cast(pl.Int64).to_numpy() for name in ("angry", "sad"))
    fit = Fit(
        "A", "fold-1", np.concatenate([angry[:30], sad[:30]]), angry[:0], (splits.Test("within", "A", angry[40:44]),)
    )
    assert "label-shift" not in audited(table, (fit,))


@pytest.mark.parametrize("column", ["sex", "session", "accent"])
def test_another_column_that_goes_with_the_label(column: str, table: pl.DataFrame, audited: Audited) -> None:
    rows = pl.int_range(pl.len())
    tilted = pl.when((pl.col("emotion") == "sad") & (rows % 5 > 0)).then(pl.lit("x")).otherwise(pl.lit("y"))
    found = audited(table.with_columns(tilted.alias(column)))
    assert f"{column} in A (Cramér's V 0." in found["label-metadata-confound"].message
    balanced = pl.when(pl.col("speaker").str.slice(3).cast(pl.Int64) % 2 == 0).then(pl.lit("x")).otherwise(pl.lit("y"))
    assert "label-metadata-confound" not in audited(table.with_columns(balanced.alias(column)))


def test_each_label_in_a_sentence_of_its_own(table: pl.DataFrame, audited: Audited) -> None:
    found = audited(table.with_columns(text=pl.format("This is {}", "emotion")))
    assert "text in A (Cramér's V 1.0" in found["label-metadata-confound"].message
    assert "label-metadata-confound" not in audited(table.with_columns(text=pl.lit("always the same")))


def test_where_labels_belong_to_speakers_speakers_are_counted(make: Make, audited: Audited) -> None:
    table = make(speakers=6, domains="A", each=20)
    speaker = pl.col("speaker").str.slice(3).cast(pl.Int64)
    own = table.with_columns(
        emotion=pl.when(speaker < 3).then(pl.lit("angry")).otherwise(pl.lit("sad")),
        sex=pl.when(speaker.is_in([0, 1, 3])).then(pl.lit("f")).otherwise(pl.lit("m")),
    )
    assert "label-metadata-confound" not in audited(own)  # 2 to 1 and 1 to 2 of six people
