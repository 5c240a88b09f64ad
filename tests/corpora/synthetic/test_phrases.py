"""Sentences to pre-train on: endless, sound, and none that a test says."""

import contextlib
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from sibboleth.corpora.emodb import SENTENCES as EMODB
from sibboleth.corpora.ravdess import STATEMENTS as RAVDESS
from sibboleth.corpora.synthetic import phrases
from sibboleth.corpora.synthetic.phrases import LANGUAGES, Spoken
from sibboleth.corpora.synthetic.plan import VOICES
from sibboleth.corpora.synthetic.sentences import SENTENCES, WORDS
from sibboleth.errors import SibbolethError

REFERENCE = re.compile(r"\{([^}]*)\}")


def rules(language: Spoken) -> dict[str, list[list[str]]]:
    """The rules that each alternative of each rule names."""
    grammar = phrases.grammar(language)
    return {rule: [REFERENCE.findall(item) for item in grammar.alternatives(rule)] for rule in grammar.rules}


def windows(words: Sequence[str]) -> set[tuple[str, ...]]:
    bare = [re.sub(r"\W", "", word.casefold()) for word in words]
    return {tuple(bare[start : start + 4]) for start in range(len(bare) - 3)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_can_be_reached_and_there_are_millions_of_sentences(language: Spoken) -> None:
    known = rules(language)
    reached: set[str] = set()

    @cache
    def count(rule: str) -> int:  # an endless recursion would end this test
        reached.add(rule)
        product = [np.prod([count(name) for name in names], dtype=object) if names else 1 for names in known[rule]]
        return int(sum(product))

    assert count("sentence") > 1e15
    assert reached == set(known)
    for rule in known:
        items = phrases.grammar(language).alternatives(rule)
        assert all(items)
        assert "{" not in REFERENCE.sub("", " ".join(items))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_four_words_in_a_row_are_those_of_a_test(language: Spoken) -> None:
    own = [*SENTENCES.get(language, ()), *{"de": EMODB, "en": RAVDESS}.get(language, {}).values()]
    kept = {window for sentence in own for window in windows(sentence.split())}
    draws = np.random.default_rng(1)
    texts = [phrases.passage(language, 6.0, draws) for _ in range(1500)]
    assert not any(windows(text) & kept for text in texts)
    whole = {re.sub(r"\W", "", sentence.casefold()) for sentence in own}
    said = re.sub(r"\W", "", "".join(" ".join(text) for text in texts).casefold())
    assert not any(sentence in said for sentence in whole)


def test_a_kept_sentence_that_a_grammar_can_say_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(["Yes. THE books are, lying there.", "Nobody came."])
    monkeypatch.setattr(phrases, "_sentence", lambda language, draws: next(said))
    assert phrases.passage("en", 0.5, np.random.default_rng(0)) == ("Nobody", "came.")


@pytest.mark.parametrize("language", SENTENCES)
def test_every_sentence_of_the_controlled_corpus_is_kept(language: Spoken) -> None:
    for sentence in SENTENCES[language]:
        words = sentence.split()
        assert phrases.is_kept(language, ("Und", *words, "oui"))
        assert phrases.is_kept(language, tuple(word.upper() for word in words[:4]))
        assert not phrases.is_kept(language, tuple(words[:3]))
    assert phrases.is_kept("zh", tuple("".join(SENTENCES["zh"][0].split())))


@pytest.mark.parametrize("language", LANGUAGES)
def test_passages_are_as_long_as_asked_begin_with_capitals_and_differ(language: Spoken) -> None:
    draws = np.random.default_rng(2)
    short, long = ([phrases.passage(language, seconds, draws) for _ in range(200)] for seconds in (2.0, 8.0))
    assert len(set(short + long)) > 390
    short_mean, long_mean = (np.mean([len(" ".join(text)) for text in texts]) for texts in (short, long))
    assert 1.7 < long_mean / short_mean < 4
    for text in short:
        assert not text[0][0].islower()
        assert text[-1][-1] in ".!?。！？"


@pytest.mark.soak
@pytest.mark.parametrize("language", VOICES)
def test_all_phones_of_the_controlled_corpus_are_said(language: Spoken) -> None:
    pytest.importorskip("espeakng_loader")
    from sibboleth.corpora.synthetic.worker import Worker

    draws = np.random.default_rng(0)
    texts = [" ".join(sentence.split()).split() for sentence in (*SENTENCES.get(language, ()), WORDS[language])]
    with Worker() as worker:
        spoken = worker.phones(VOICES[language], texts)
        missing = {phone.ipa for text in spoken for word in text for phone in word}
        for _ in range(600):
            # The voice says some words otherwise than it transcribes them; then there are no phones to ask for.
            with contextlib.suppress(SibbolethError):
                said = worker.phones(VOICES[language], [phrases.passage(language, 6.0, draws)])
                missing -= {phone.ipa for text in said for word in text for phone in word}
            if not missing:
                return
    assert not missing
