"""An accent keeps the phones' classes and uses nothing but the other language's phones."""

import pytest

from sibboleth.corpora.synthetic import phones
from sibboleth.corpora.synthetic.phones import Phone
from sibboleth.corpora.synthetic.plan import VOICES
from sibboleth.corpora.synthetic.sentences import SENTENCES, WORDS
from sibboleth.errors import SibbolethError

CONSONANTS = "pbtdkɡfvszʃxhmnŋlrj"
GERMAN = {*CONSONANTS, "ts", *"aɛɪɔʊə", "iː", "eː", "oː", "uː", "yː", "aɪ", "aʊ"}


@pytest.mark.parametrize(
    ("phone", "spoken"),
    [("θ", "s"), ("ð", "z"), ("w", "v"), ("ɹ", "r"), ("ɣ", "x"), ("eɪ", "eː"), ("ʌʊ", "aʊ"), ("y", "yː"), ("pʰ", "p")],
)
def test_the_nearest_german_phone_is_the_one_of_a_german_accent(phone: str, spoken: str) -> None:
    assert phones.nearest(phone, GERMAN) == spoken


@pytest.mark.parametrize(
    ("phone", "parts"),
    [
        ("tʂʰ", ["tʂʰ"]),
        ("pf", ["pf"]),
        ("əl", ["ə", "l"]),
        ("uei", ["w", "ei"]),
        ("yɛ", ["ɥ", "ɛ"]),
        ("ʊŋ", ["ʊ", "ŋ"]),
        ("iə", ["iə"]),
        ("iː", ["iː"]),
        ("aɪ", ["aɪ"]),
        ("œ̃", ["œ̃"]),
        ("yɛ̃", ["ɥ", "ɛ̃"]),
    ],
)
def test_affricates_and_falling_diphthongs_stay_whole(phone: str, parts: list[str]) -> None:
    assert phones.parts(phone) == parts


def test_distance_is_symmetric_zero_to_itself_and_infinite_across_classes() -> None:
    every = [*phones.CONSONANTS, *phones.VOWELS, "tʃ", "aɪ", "oː", "kʰ"]
    for one in every:
        assert phones.distance(one, one) == 0
        for other in every:
            assert phones.distance(one, other) == pytest.approx(phones.distance(other, one))
            assert (phones.distance(one, other) == float("inf")) == (phones.is_vowel(one) != phones.is_vowel(other))


def test_mandarin_spellings_become_ipa() -> None:
    assert [phones.ipa(p) for p in ("ts.h", "s.", "ˈo-", "i̪", "onɡ", "tɕh", "h")] == [
        "tʂʰ", "ʂ", "ɤ", "ɨ", "ʊŋ", "tɕʰ", "h",
    ]  # fmt: skip


def test_a_phone_without_features_is_named() -> None:
    with pytest.raises(SibbolethError, match="'ǃ'"):
        phones.nearest("ǃ", GERMAN)


@pytest.fixture(scope="module")
def spoken() -> dict[str, list[list[Phone]]]:
    pytest.importorskip("espeakng_loader")
    from sibboleth.corpora.synthetic.worker import Worker

    with Worker() as worker:
        texts = {
            language: [text.split() for text in (*SENTENCES.get(language, ()), WORDS[language])] for language in VOICES
        }
        said = {language: worker.phones(voice, texts[language]) for language, voice in VOICES.items()}
    return {
        language: [[phone for word in text for phone in word] for text in texts] for language, texts in said.items()
    }


@pytest.mark.parametrize("accent", VOICES)
def test_every_language_can_be_spoken_with_every_accent(spoken: dict[str, list[list[Phone]]], accent: str) -> None:
    known = phones.inventory(phone for text in spoken[accent] for phone in text)
    for language, texts in spoken.items():
        for text in texts:
            said = phones.accented(text, known)
            own = [part for phone in text for part in phones.parts(phone.ipa)]
            assert {phone.ipa for phone in said} <= set(known)
            assert all(known[phone.ipa] == phone.name for phone in said)
            assert [phones.is_vowel(phone.ipa) for phone in said] == [phones.is_vowel(part) for part in own]
            if language == accent:
                kept = [(part, phone.ipa) for part, phone in zip(own, said, strict=True) if part in known]
                assert all(part == sound for part, sound in kept)


@pytest.mark.parametrize(
    ("phone", "sound"),
    [("r", "ʁ"), ("x", "ʁ"), ("ɪ", "e"), ("aː", "a"), ("ɑ", "a"), ("œy", "œ"), ("ʋ", "w"), ("ɲ", "ɲ"), ("ɑ̃", "ɑ̃")],
)
def test_french_has_one_r_no_length_and_vowels_through_the_nose(
    spoken: dict[str, list[list[Phone]]], phone: str, sound: str
) -> None:
    known = phones.inventory(phone for text in spoken["fr"] for phone in text)
    assert phones.nearest(phone, known) == sound


def test_an_accent_is_heard_but_most_phones_stay_apart(spoken: dict[str, list[list[Phone]]]) -> None:
    known = phones.inventory(phone for text in spoken["de"] for phone in text)
    english = {phone.ipa for text in spoken["en"] for phone in text if len(phones.parts(phone.ipa)) == 1}
    mapped = {phone: phones.nearest(phone, known) for phone in english}
    assert sum(phone != sound for phone, sound in mapped.items()) >= 10
    assert len(set(mapped.values())) > 0.7 * len(english)
