"""Sentences without number from a small grammar per language, none of which the controlled corpus says.

A grammar is `grammar/LANGUAGE.toml`: rules whose alternatives are parted by `|` and name other rules in braces. What is
said is no news and often odd, but agrees grammatically and has all the sounds of the language.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from sibboleth.corpora.emodb import SENTENCES as EMODB
from sibboleth.corpora.ravdess import STATEMENTS as RAVDESS
from sibboleth.corpora.synthetic.sentences import SENTENCES
from sibboleth.settings import Settings

Spoken = Literal["en", "nl", "de", "fr", "pl", "zh", "it", "es"]
LANGUAGES: tuple[Spoken, ...] = get_args(Spoken)

KEPT = 4
"""So many words in a row of a sentence that belongs to a test are never said."""

_NAME = re.compile(r"\{([\w-]+)\}")
_START = re.compile(r"(^|[.!?] )(\w)")


class Grammar(Settings):
    """Rules of one language."""

    pace: float
    """Characters of text that a voice says in a second, about."""
    rules: dict[str, str]

    def alternatives(self, rule: str) -> list[str]:
        """Return the alternatives of a rule."""
        return [item.strip() for item in self.rules[rule].split("|")]


@cache
def grammar(language: Spoken) -> Grammar:
    """Return the grammar of a language."""
    file = Path(__file__).parent / "grammar" / f"{language}.toml"
    return Grammar.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def passage(language: Spoken, seconds: float, draws: np.random.Generator) -> tuple[str, ...]:
    """Draw whole sentences that take about so many seconds to say, or somewhat more: their words.

    Nothing is drawn that has `KEPT` words in a row of a sentence of the controlled corpus, EmoDB or RAVDESS.
    """
    rules = grammar(language)
    while True:
        said: list[str] = []
        while len(" ".join(said)) < seconds * rules.pace:
            said.append(_sentence(language, draws))
        if not is_kept(language, words := tuple(" ".join(said).split())):
            return words


def _sentence(language: Spoken, draws: np.random.Generator) -> str:
    text = _expanded(language, "sentence", draws)
    return _START.sub(lambda found: found[1] + found[2].upper(), text)


def _expanded(language: Spoken, rule: str, draws: np.random.Generator) -> str:
    alternatives = _alternatives(language, rule)
    text = alternatives[int(draws.integers(len(alternatives)))]
    return _NAME.sub(lambda found: _expanded(language, found[1], draws), text)


@cache
def _alternatives(language: Spoken, rule: str) -> list[str]:
    return grammar(language).alternatives(rule)


def is_kept(language: Spoken, words: tuple[str, ...]) -> bool:
    """Say whether words have `KEPT` words in a row of a sentence that belongs to a test."""
    text = _plain(language, words)
    return any(part in text for part in _kept(language))


@cache
def _kept(language: Spoken) -> frozenset[str]:
    foreign = {"de": EMODB.values(), "en": RAVDESS.values()}.get(language, ())
    sentences = [sentence.split() for sentence in (*SENTENCES.get(language, ()), *foreign)]
    return frozenset(
        _plain(language, tuple(words[start : start + KEPT]))
        for words in sentences
        for start in range(len(words) - KEPT + 1)
    )


def _plain(language: Spoken, words: tuple[str, ...]) -> str:
    """Write words without case and punctuation, between blanks but in Mandarin, where words can be parted otherwise."""
    bare = [re.sub(r"[^\w]", "", word).casefold() for word in words]
    return "".join(bare) if language == "zh" else f" {' '.join(bare)} "
