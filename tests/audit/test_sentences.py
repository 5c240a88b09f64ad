"""Sentences: two texts are one sentence if their letters, marks and digits are."""

from collections.abc import Callable

import polars as pl
import pytest

from sibboleth.audit import Finding
from sibboleth.audit.sentences import normalised


def same(one: str, other: str) -> bool:
    reduced = normalised(pl.Series([one, other]))
    return reduced[0] is not None and reduced[0] == reduced[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  Der LAPPEN, liegt\u2026 auf dem Eisschrank!", "der Lappen liegt auf dem eisschrank"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("\uff21\uff22\uff23\u3000\uff11", "abc 1"),
        ("STRASSE", "straße"),
        ("don\u2019t", "don't"),
        ("E-Mail", "email"),
        ("co\u00adoperate\u200b", "cooperate"),
        ("1,000 people", "1000 people"),
        ("\u4eca\u5929 \u5929\u6c14 \u5f88 \u597d\u3002", "\u4eca\u5929\u5929\u6c14\u5f88\u597d"),
        ("\u304b\u3099", "\u304c"),
        ("\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627", "\u0645\u0631\u062d\u0628\u0627"),
        ("\u03a3\u03ac\u03c2", "\u03c3\u03ac\u03c3"),
    ],
)
def test_writing_does_not_make_another_sentence(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("schön", "schon"),
        ("Say the word back", "Say the word bath"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u0928\u0926"),
        ("\u8aaa", "\u8bf4"),
        ("three", "3"),
        ("\u2026", "\u2026"),
        ("", ""),
    ],
)
def test_other_words_do(one: str, other: str) -> None:
    assert not same(one, other)


def test_unknown_texts_stay_unknown_and_order_stays() -> None:
    texts = pl.Series(["b", None, "A!", "…", "a", None])
    assert normalised(texts).to_list() == ["b", None, "a", None, "a", None]


def test_shared_sentences_are_counted(table: pl.DataFrame, audited: Callable[..., dict[str, Finding]]) -> None:
    assert audited(table) == {}
    shared = table.with_columns(text=pl.when(pl.col("corpus") == "A").then(pl.lit("One!")).otherwise("text"))
    shared = shared.with_columns(text=pl.when(pl.int_range(pl.len()) % 2 == 0).then("text").otherwise(pl.lit("ONE")))
    finding = audited(shared)["shared-sentences"]
    assert "75% of the 120 test utterances" in finding.message and finding.grade == "warning"
