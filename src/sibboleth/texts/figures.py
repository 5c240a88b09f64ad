"""Figures in words: numbers, decimals, percent, currency, times, ordinals and years, as continental Europe writes them.

A point separates thousands and a comma decimals. Four figures from 1100 to 1999 without a point are read by hundreds,
as years are; what begins with 0, or is too long to have a name, figure by figure. Two decimals of money are hundredths.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sibboleth.texts.germanic import Numerals

NUMBER = r"\d{1,3}(?:\.\d{3})+(?:,\d+)?(?![\d.,]*\d)|\d+(?:,\d+)?"
YEARS = range(1100, 2000)
FRACTIONS = {"½": ",5", "¼": ",25", "¾": ",75"}
SPACES = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
"""Blanks that do not break, between thousands."""
LETTERS = re.compile(r"\b(?:[^\W\d_]\.){2,}")
"""Letters that each have a point: `o.a.`"""


@dataclass(frozen=True)
class Figures:
    """How one language reads figures."""

    numerals: Numerals
    hour: str
    hours: str
    """What may stand behind a time, as a regular expression; only before it a point divides hours and minutes."""
    ordinal: str
    """What makes a number an ordinal, as a regular expression behind it."""
    suffixes: str
    """Words that are written to a number with a hyphen and in words without, as a regular expression."""
    currencies: Mapping[str, tuple[str, str]]
    """Symbol or abbreviation to the currency and its hundredth."""
    multiples: str
    """Words for large numbers between an amount and its currency, as a regular expression."""
    fractions: Mapping[str, str]
    """Fractions that stand alone."""
    symbols: Mapping[str, str]
    point: str
    by_figure: bool
    """Whether decimals are read figure by figure rather than as a number."""

    def read(self, text: str) -> str:
        """Write every figure of a text in lower case in words, and symbols that are spoken."""
        for rule, words in self._rules:
            text = rule.sub(words, text)
        for symbol, word in self.symbols.items():
            text = text.replace(symbol, f" {word} ")
        return text

    @cached_property
    def _rules(self) -> Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        one = f"({NUMBER})"
        symbols = "|".join(re.escape(name) for name in sorted(self.currencies, key=len, reverse=True))
        more = rf"(?:\s*({self.multiples})(?!\w))?"
        rules = (
            (r"(\d)([½¼¾])", lambda found: found[1] + FRACTIONS[found[2]]),
            (r"([½¼¾])", lambda found: f" {self.fractions[found[1]]} "),
            (r"(?<=\d),-+", lambda found: ""),
            (rf"(?<![\w.,:])(\d\d?):([0-5]\d)(?:{self.hours})?(?![\w:])", self._time),
            (rf"(?<![\w.,:])(\d\d?)\.([0-5]\d)(?:{self.hours})(?!\w)", self._time),
            (r"(?<![\w.,:])(\d\d?)(?:[uh]|\s[uh](?=\d))([0-5]\d)?(?!\w)", self._time),
            (
                rf"(?<!\w)(?:{symbols})\s*{one}{more}",
                lambda found: self._amount(found[1], found[2], self._symbol(found[0])),
            ),
            (rf"{one}{more}\s*({symbols})(?!\w)", lambda found: self._amount(found[1], found[2], found[3])),
            (rf"(?<![\d.,])(\d+){self.ordinal}", lambda found: f" {self._ordinal(found[1])} "),
            (rf"(\d+)\s?-\s?(?={self.suffixes})", lambda found: f" {self.number(found[1])}"),
            (r"(?<!\S)[-\u2212]\s?(?=\d)", lambda found: f" {self.numerals.minus} "),
            (r"(?<!\S)\+\s?(?=\d)", lambda found: " plus "),
            (r"(?<![\d.])(\d+)\.(?!\d{3}(?!\d))(\d+)", self._pointed),
            (one, lambda found: f" {self.number(found[1])} "),
        )
        return tuple((re.compile(rule), words) for rule, words in rules)

    def number(self, figures: str) -> str:
        """Write a number in words."""
        whole, _, decimals = figures.replace(".", "").partition(",")
        known = len(whole) < len(str(self.numerals.limit)) and not (len(whole) > 1 and whole.startswith("0"))
        if not known:
            said = self._figures(whole)
        elif "." not in figures and not decimals and int(whole) in YEARS:
            said = self.numerals.hundreds(int(whole))
        else:
            said = self.numerals.cardinal(int(whole))
        return f"{said} {self.numerals.comma} {self._decimals(decimals)}" if decimals else said

    def _decimals(self, decimals: str) -> str:
        alone = self.by_figure or decimals.startswith("0") or len(decimals) > 2
        return self._figures(decimals) if alone else self.numerals.cardinal(int(decimals))

    def _figures(self, figures: str) -> str:
        return " ".join(self.numerals.small[int(figure)] for figure in figures)

    def _ordinal(self, figures: str) -> str:
        number = int(figures)
        return self.numerals.ordinal(number) if number < self.numerals.limit else self._figures(figures)

    def _pointed(self, found: re.Match[str]) -> str:
        return f" {self.number(found[1])} {self.point} {self._decimals(found[2])} "

    def _time(self, found: re.Match[str]) -> str:
        hours, minutes = int(found[1]), int(found[2] or 0)
        said = f"{self._counting(hours)} {self.hour}"
        return f" {said} {self.numerals.cardinal(minutes)} " if minutes else f" {said} "

    def _counting(self, number: int) -> str:
        """Write a number as it stands before what it counts."""
        return self.numerals.one if number == 1 else self.numerals.cardinal(number)

    def _symbol(self, text: str) -> str:
        return next(name for name in sorted(self.currencies, key=len, reverse=True) if text.startswith(name))

    def _amount(self, figures: str, multiple: str | None, symbol: str) -> str:
        currency, hundredth = self.currencies[symbol]
        whole, _, decimals = figures.replace(".", "").partition(",")
        if multiple is not None or len(decimals) not in (0, 2) or len(whole) >= len(str(self.numerals.limit)):
            return f" {self.number(figures)} {multiple or ''} {currency} "
        many, rest = int(whole), int(decimals or 0)
        if not many and rest:
            return f" {self._counting(rest)} {hundredth} "
        said = f"{self._counting(many)} {currency}"
        return f" {said} {self.numerals.cardinal(rest)} " if rest else f" {said} "


def tightened(text: str) -> str:
    """Take blanks out of thousands, and points out of abbreviations of single letters."""
    return LETTERS.sub(lambda found: found[0].replace(".", ""), SPACES.sub("", text))
