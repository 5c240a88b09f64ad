"""German: figures in words, one spelling of number words, `ss` for `ß`, and a table of spellings.

Ordinals stand in their plain form (`dritten` is `dritte`), and hundred and thousand with their one (`hundertfünf` is
`einhundertfünf`). Umlauts stay.
"""

import unicodedata
from functools import cache
from pathlib import Path

from sibboleth.errors import InvalidInput, Problem
from sibboleth.texts import characters, figures, spellings
from sibboleth.texts.figures import Figures
from sibboleth.texts.germanic import GERMAN
from sibboleth.texts.spellings import Spellings

MONTHS = "januar|jänner|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember"
FIGURES = Figures(
    numerals=GERMAN,
    hour="uhr",
    hours=r"\s*uhr|h",
    ordinal=rf"\.(?=\s*(?:{MONTHS}|jahrhundert|klasse|geburtstag))",
    suffixes=r"(?:jährig|tägig|fach|mal|teilig|köpfig)",
    currencies={
        **dict.fromkeys(("€", "euro", "eur"), ("euro", "cent")),
        **dict.fromkeys(("us$", "$", "dollar"), ("dollar", "cent")),
        **dict.fromkeys(("fr.", "franken", "chf"), ("franken", "rappen")),
        "£": ("pfund", "pence"),
    },
    multiples=r"tausend|millionen|million|milliarden|milliarde|mio\.?|mrd\.?",
    fractions={"½": "einhalb", "¼": "ein viertel", "¾": "drei viertel"},
    symbols={
        "%": "prozent",
        "‰": "promille",
        "°c": "grad celsius",
        "°": "grad",
        "&": "und",
        "€": "euro",
        "§": "paragraf",
    },
    point="punkt",
    by_figure=True,
)
ENDINGS = ("r", "n", "s", "m")


def german(text: str, table: Spellings) -> str:
    """Normalise a German text; doing it twice changes nothing."""
    folded = figures.tightened(characters.lower(text))
    whole = "".join(one if one in figures.FRACTIONS else characters.compatible(one) for one in folded)
    words = (_said(word, table) for word in _words(FIGURES.read(characters.lower(whole))))
    return characters.composed(" ".join(filter(None, words)))


def settled(path: Path | None) -> Spellings:
    """Return the table of spellings, written as here; raises `InvalidInput` for a row about a number."""
    table = {_sharp(word): _sharp(said) for word, said in spellings.extended("german", path).items()}
    if numbers := sorted(word for word in table if word in _spelled()):
        told = [Problem(str(path), f"{word!r} is a number, whose spellings are known") for word in numbers]
        raise InvalidInput(f"{path}: not a table of spellings", told)
    return {word: " ".join(_spelled().get(one, one) for one in said.split()) for word, said in table.items()}


def _words(text: str) -> list[str]:
    """Take a text apart at blanks, punctuation and symbols; apostrophes stay."""
    return _sharp(
        "".join(
            "'" if one in characters.APOSTROPHES else " " if unicodedata.category(one)[0] in "PS" else one
            for one in text
        )
    ).split()


def _sharp(text: str) -> str:
    return text.replace("ß", "ss")


def _said(word: str, table: Spellings) -> str:
    bare = word.replace("'", "")
    for form in (word, word.strip("'"), bare):
        if form in table:
            return table[form]
    return _spelled().get(bare, bare)


@cache
def _spelled() -> dict[str, str]:
    """Map number words to how they are written: numbers without their first one, and inflected ordinals."""
    found: dict[str, str] = {}
    for number in range(1000):
        cardinal, ordinal = _sharp(GERMAN.cardinal(number)), _sharp(GERMAN.ordinal(number))
        found |= {ordinal + ending: ordinal for ending in ENDINGS} | {cardinal: cardinal, ordinal: ordinal}
    for word in ("einhundert", "eintausend"):
        found |= {one.removeprefix("ein"): said for one, said in found.items() if one.startswith(word)}
    return found | {"tausend": "eintausend", "zwo": "zwei"}
