"""Whisper's English normaliser, held to the copy in transformers."""

import random

import pytest

from sibboleth import texts
from sibboleth.texts import english_numbers, spellings

KNOWN = [
    ("Mr. Smith's colour costs twenty-one percent.", "mister smith is color costs 21%"),
    ("They can't, won't and shouldn't've gone.", "they can not will not and should not have gone"),
    ("He paid $20 million and 50 cents", "he paid $20000000.50"),
    ("two dollars and seven cents", "$2.07"),
    ("nineteen sixties, the twenty-first century", "1960s the 21st century"),
    ("one oh one point two five", "101.25"),
    ("three and a half hours", "3.5 hours"),
    ("double seven, one", "771"),
    ("[laughs] well (uh) café — naïve", "well cafe naive"),
    ("It cost 1,234.5 euros; -5 degrees", "it cost €1234.5 5 degrees"),
    ("", ""),
    ("...", "."),
]
PIECES = [
    *sorted(english_numbers.NUMERIC),
    *("mr", "st", "dr.", "colour", "it's", "won't", "i've", "they'd been", "who's got", "n't", "I'm", "o'clock"),
    *("$5", "£3.50", "1,000", "2.5", "7%", "100", "0", "1", "1st", "1960s", "2nd", "x2", "3d", "1.2.3", "€20", "$0.50"),
    *("[x]", "(uh huh)", "uh", "café", "naïve", "œuvre", "Straße", "and a half", "per cent", "a", "the", "half"),
    *("'s", "'", "-", "—", ".", "!", "...", "¢5", "5¢", "²", "½"),
]


@pytest.mark.parametrize(("text", "plain"), KNOWN)
def test_known_answers(text: str, plain: str) -> None:
    assert texts.normalise([text], "english") == [plain]


def test_equals_transformers_on_random_texts() -> None:
    oracle_of = pytest.importorskip("transformers.models.whisper.english_normalizer").EnglishTextNormalizer
    oracle = oracle_of(dict(spellings.ours("english")))
    rule = texts.named("english")
    draws = random.Random(1)
    for _ in range(6000):
        text = " ".join(draws.choice(PIECES) for _ in range(draws.randint(0, 8)))
        if draws.random() < 0.3:
            text = text.replace(" ", draws.choice(["", " ", "-", ", ", "  "]), 1)
        if draws.random() < 0.2:
            text = text.title()
        assert rule(text).split() == oracle(text).split(), text


def test_every_british_spelling_becomes_american_and_stays() -> None:
    table = spellings.ours("english")
    assert len(table) == 1738 and table["colour"] == "color" and table["analyse"] == "analyze"
    words = {
        word: said for word, said in table.items() if said != "hmm"
    }  # hesitations, gone before the list is looked at
    assert texts.normalise(list(words), "english") == list(words.values())
    assert texts.normalise(list(words.values()), "english") == list(words.values())


def test_what_was_published_does_not_always_settle_at_once() -> None:
    assert texts.normalise(["oh oh", "00"], "english") == ["00", "0"]


def test_both_unicode_forms_come_out_alike() -> None:
    assert texts.normalise(["s\u0302t dr\u0301"], "english") == texts.normalise(["\u015dt d\u0155"], "english")
