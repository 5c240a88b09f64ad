"""Characters as tokens: both Unicode forms of a text, and characters that no training text has."""

import unicodedata

import numpy as np
import pytest

from sibboleth import texts
from sibboleth.experiment.alphabet import Alphabet

SAID = "Één café, geïnd."


@pytest.mark.parametrize("rule", ["basic", "dutch", "german"])
def test_both_unicode_forms_are_the_same_tokens(rule: str) -> None:
    forms = texts.normalise([unicodedata.normalize(form, SAID) for form in ("NFC", "NFD")], rule)
    alphabet = Alphabet.of(forms[:1], forms)
    composed, decomposed = alphabet.tokens(forms)
    assert not alphabet.unknown and np.array_equal(composed, decomposed)
    assert alphabet.texts(alphabet.tokens(forms)) == forms


def test_without_a_rule_a_mark_that_training_lacks_cannot_be_answered() -> None:
    composed, decomposed = (texts.normalise([unicodedata.normalize(form, SAID)], "none") for form in ("NFC", "NFD"))
    alphabet = Alphabet.of(composed, composed + decomposed)
    assert alphabet.unknown == "Ei\u0301\u0308" and alphabet.out == 1 + len(alphabet.known)
    assert alphabet.tokens(decomposed).max() == len(alphabet.known) + 4, "a token that no head has an output for"
    assert alphabet.texts(alphabet.tokens(decomposed)) == decomposed


def test_an_empty_text_is_a_row_without_tokens() -> None:
    alphabet = Alphabet.of(["ab"], ["ab", ""])
    assert (alphabet.tokens([""]).shape, alphabet.texts(alphabet.tokens(["", "ab"]))) == ((1, 0), ["", "ab"])
