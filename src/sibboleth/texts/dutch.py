"""Dutch, of the Netherlands and of Belgium: figures in words, one spelling of number words, and a table of spellings.

Hundreds may be written apart, as recognisers do: `twee honderd vijf` is `tweehonderdvijf`. Acute accents, which mark
stress, are dropped; other marks stay. Words that are said in several ways (`negentien negenennegentig`, `half drie`)
stay as they are said.
"""

import unicodedata
from functools import cache
from pathlib import Path

from sibboleth.errors import InvalidInput, Problem
from sibboleth.texts import characters, figures, spellings
from sibboleth.texts.figures import Figures
from sibboleth.texts.germanic import DUTCH
from sibboleth.texts.spellings import Spellings

FIGURES = Figures(
    numerals=DUTCH,
    hour="uur",
    hours=r"\s*uur|[uh]\.?",
    ordinal=r"(?:ste|de|e)(?!\w)",
    suffixes=r"(?:jarig|daags|delig|voudig|koppig|tal)",
    currencies={
        **dict.fromkeys(("€", "euro", "eur"), ("euro", "cent")),
        **dict.fromkeys(("us$", "$", "dollar"), ("dollar", "cent")),
        **dict.fromkeys(("£", "pond"), ("pond", "pence")),
    },
    multiples=r"duizend|miljoen|miljard|biljoen|mln|mld",
    fractions={"½": "half", "¼": "kwart", "¾": "drie kwart"},
    symbols={"%": "procent", "‰": "promille", "°c": "graden celsius", "°": "graden", "&": "en", "€": "euro"},
    point="punt",
    by_figure=False,
)


def dutch(text: str, table: Spellings) -> str:
    """Normalise a Dutch text; doing it twice changes nothing."""
    folded = figures.tightened(characters.unstressed(characters.lower(text)))
    whole = "".join(one if one in figures.FRACTIONS else characters.compatible(one) for one in folded)
    words = [
        said
        for word in _words(FIGURES.read(characters.unstressed(characters.lower(whole))))
        for said in _said(word, table).split()
    ]
    return characters.composed(" ".join(_joined(words)))


def settled(path: Path | None) -> Spellings:
    """Return the table of spellings, with number words as they are written here.

    Raises `InvalidInput` for a row about a number, which has one spelling already.
    """
    table = spellings.extended("dutch", path)
    numbers = sorted(word for word in table if _number_word(word) in _values() and _number_word(word) != "een")
    if numbers:
        told = [Problem(str(path), f"{word!r} is a number, whose spellings are known") for word in numbers]
        raise InvalidInput(f"{path}: not a table of spellings", told)
    return {
        characters.unstressed(word): " ".join(_number_word(one) for one in characters.unstressed(said).split())
        for word, said in table.items()
    }


def _words(text: str) -> list[str]:
    """Take a text apart at blanks, punctuation and symbols; apostrophes stay."""
    return "".join(
        "'" if one in characters.APOSTROPHES else " " if unicodedata.category(one)[0] in "PS" else one for one in text
    ).split()


def _said(word: str, table: Spellings) -> str:
    """Return the words that a word counts as: as it stands, without quotes around it, or without apostrophes."""
    bare = word.replace("'", "")
    for form in (word, word.strip("'"), bare):
        if form in table:
            return table[form]
    return _number_word(bare)


def _number_word(word: str) -> str:
    return _spelled().get(characters.unmarked(word), word)


@cache
def _spelled() -> dict[str, str]:
    """Map number words without marks to how they are written: cardinals and ordinals below 1000."""
    words = [say(number) for say in (DUTCH.cardinal, DUTCH.ordinal) for number in range(1000)]
    hundreds = [DUTCH.hundreds(number) for number in range(1100, 10000) if number % 1000 >= 100]
    return {characters.unmarked(word): word for word in (*words, *hundreds)}


@cache
def _values() -> dict[str, int]:
    years = {DUTCH.hundreds(number): number for number in range(1100, 10000, 100) if number % 1000}
    return years | {DUTCH.cardinal(number): number for number in range(1000)}


def _joined(words: list[str]) -> list[str]:
    """Write hundreds and thousands to the number before them, and tens and units to hundreds."""
    values = _values()
    joined: list[str] = []
    for word in words:
        value, before = values.get(word, -1), values.get(joined[-1], -1) if joined else -1
        if 100 <= value < 200 and 2 <= before < 100 and before % 10:
            joined[-1] = _by_hundreds(100 * before + value - 100)
        elif (before >= 100 and before % 100 == 0 and 2 <= value < 100) or (word == "duizend" and 2 <= before < 1000):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _by_hundreds(number: int) -> str:
    return DUTCH.cardinal(number) if number < 1000 else DUTCH.hundreds(number)
