"""What every importer says of its corpus: complete, in our words, and shown."""

import re
from importlib import import_module

import pytest

from sibboleth import corpora

OWN = {"amused", "contemptuous", "excited", "frustrated", "other", "poker", "sleepy"}
"""Emotions that single corpora have, under their own names."""
PUBLIC = sorted(name for name in corpora.MODULES if not corpora.card(name).made)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")


@pytest.mark.parametrize("name", sorted(corpora.MODULES))
def test_a_card_is_complete(name: str) -> None:
    card = corpora.card(name)
    for told in (card.title, card.address, card.licence, card.reference):
        assert told.strip() == told and told and not told.endswith(".")
    assert card.targets and len(set(card.targets)) == len(card.targets)
    assert all(LANGUAGE.fullmatch(language) for language in card.languages)
    assert card.remarks and all(card.remarks)
    assert callable(import_module(corpora.MODULES[name]).prepare)


@pytest.mark.parametrize("name", sorted(corpora.MODULES))
def test_labels_and_counts_are_in_our_words(name: str) -> None:
    card = corpora.card(name)
    ours = {column: {label for label in labels.values() if label} for column, labels in card.labels.items()}
    assert ours.get("emotion", set()) <= {*corpora.EMOTIONS, *OWN}
    for what, number in card.counts.items():
        column, _, label = what.partition(".")
        assert number > 0 and (what in ("utterances", "speakers") or label), what
        assert column not in ours or label in ours[column], what
    for column in ours:
        each = [number for what, number in card.counts.items() if what.startswith(f"{column}.")]
        assert sum(each) <= card.counts.get("utterances", sum(each)), column


@pytest.mark.parametrize("name", PUBLIC)
def test_the_file_of_a_corpus_opens_with_the_facts(name: str) -> None:
    told = import_module(corpora.MODULES[name]).__doc__ or ""
    for word in ("Layout", "Source: ", "Licence: ", "Reference: "):
        assert word in told, word
    assert corpora.card(name).address.removeprefix("https://").removeprefix("http://").rstrip("/") in told
    assert "http" in (corpora.card(name).layout or "http")
