"""English numbers in figures, as Whisper's normaliser writes them.

`twenty one` is `21`, `one oh one` is `101`, `two dollars and seven cents` is `$2.07`, `nineteen sixties` is `1960s`.
`one` alone stays a word.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

Value = str | int | None

ZEROS = ("o", "oh", "zero")
ONES = {
    word: value
    for value, word in enumerate(
        (
            *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
            *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
        ),
        start=1,
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
MULTIPLIERS = {
    "hundred": 100,
    **{
        word: 1000**power
        for power, word in enumerate(
            (
                *("thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion"),
                *("septillion", "octillion", "nonillion", "decillion"),
            ),
            start=1,
        )
    },
}
Suffixed = dict[str, tuple[int, str]]
ONES_SUFFIXED: Suffixed = {
    **{"sixes" if word == "six" else f"{word}s": (value, "s") for word, value in ONES.items()},
    **{"zeroth": (0, "th"), "first": (1, "st"), "second": (2, "nd"), "third": (3, "rd")},
    **{"fifth": (5, "th"), "twelfth": (12, "th")},
    **{
        word + ("h" if word.endswith("t") else "th"): (value, "th")
        for word, value in ONES.items()
        if value > 3 and value not in (5, 12)
    },
}
TENS_SUFFIXED: Suffixed = {
    **{word.replace("y", "ies"): (value, "s") for word, value in TENS.items()},
    **{word.replace("y", "ieth"): (value, "th") for word, value in TENS.items()},
}
MULTIPLIERS_SUFFIXED: Suffixed = {
    f"{word}{suffix}": (value, suffix) for suffix in ("s", "th") for word, value in MULTIPLIERS.items()
}
SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}
CURRENCIES = {
    **{"pound": "£", "pounds": "£", "euro": "€", "euros": "€"},
    **{"dollar": "$", "dollars": "$", "cent": "¢", "cents": "¢"},
}
PREFIXES = {*SIGNS.values(), *CURRENCIES.values()}
PERCENT = ("per", "percent")
SPECIAL = ("and", "double", "triple", "point")
DECIMALS = {*ONES, *TENS, *ZEROS}
NUMERIC = {
    *(*ZEROS, *ONES, *ONES_SUFFIXED, *TENS, *TENS_SUFFIXED, *MULTIPLIERS, *MULTIPLIERS_SUFFIXED),
    *(*SIGNS, *CURRENCIES, *PERCENT, *SPECIAL),
}
"""Words that may belong to a number."""
_FIGURES = re.compile(r"\d+(\.\d+)?")


def numbers_in_figures(text: str) -> str:
    """Write the numbers of a text in lower case in figures; blanks come out single."""
    words = _Reader(_with_halves(text).split()).read()
    return _with_cents(" ".join(words))


def _with_halves(text: str) -> str:
    """Read `and a half` behind a number as `point five`, and part figures from letters but for `1st`, `1960s`."""
    pieces = []
    segments = re.split(r"\band\s+a\s+half\b", text)
    for segment in segments[:-1]:
        if segment.strip():
            last = segment.rsplit(maxsplit=2)[-1]
            pieces += [segment, "point five" if last in DECIMALS or last in MULTIPLIERS else "and a half"]
    if segments[-1].strip():
        pieces.append(segments[-1])
    text = " ".join(pieces)
    text = re.sub(r"([a-z])([0-9])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-z])", r"\1 \2", text)
    return re.sub(r"([0-9])\s+(st|nd|rd|th|s)\b", r"\1\2", text)


def _with_cents(text: str) -> str:
    text = re.sub(r"([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})\b", lambda m: f"{m[1]}{m[2]}.{int(m[3]):02d}", text)
    text = re.sub(r"[€£$]0.([0-9]{1,2})\b", lambda m: f"¢{int(m[1])}", text)
    return re.sub(r"\b1(s?)\b", r"one\1", text)


def _fraction(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except ValueError:
        return None


class _Reader:
    """Words, read from left to right with the number that is being put together."""

    def __init__(self, words: Sequence[str]) -> None:
        """Begin before the first word, with no number."""
        self.words = words
        self.at = 0
        self.value: Value = None
        self.prefix = ""

    def read(self) -> Iterator[str]:
        """Yield words and numbers."""
        while self.at < len(self.words):
            yield from self.one(self.words[self.at])
            self.at += 1
        yield from self.finished()

    @property
    def before(self) -> str | None:
        return self.words[self.at - 1] if self.at else None

    @property
    def after(self) -> str | None:
        return self.words[self.at + 1] if self.at + 1 < len(self.words) else None

    def goes_on(self) -> bool:
        """Whether the next word may belong to a number."""
        return self.after in NUMERIC or self.figures_follow()

    def figures_follow(self) -> bool:
        return self.after is not None and _FIGURES.fullmatch(self.after) is not None

    def out(self, said: str | int) -> str:
        """Give a word or number out, behind the sign or currency that waits, and begin anew."""
        text = f"{self.prefix}{said}"
        self.value, self.prefix = None, ""
        return text

    def finished(self) -> Iterator[str]:
        if self.value is not None:
            yield self.out(self.value)

    def word(self, said: str) -> Iterator[str]:
        """Finish the number, and give out a word."""
        yield from self.finished()
        yield self.out(said)

    def one(self, word: str) -> Iterator[str]:  # noqa: C901 (one branch for each class of words)
        bare = word[1:] if word[0] in PREFIXES else word
        if _FIGURES.fullmatch(bare):
            yield from self.figures(word, bare)
        elif word not in NUMERIC:
            yield from self.word(word)
        elif word in ZEROS:
            self.value = f"{self.value or ''}0"
        elif word in ONES:
            self.value = self.with_ones(ONES[word])
        elif word in ONES_SUFFIXED:
            value, suffix = ONES_SUFFIXED[word]
            yield self.out(f"{self.with_ones(value)}{suffix}")
        elif word in TENS:
            self.value = self.with_tens(TENS[word])
        elif word in TENS_SUFFIXED:
            value, suffix = TENS_SUFFIXED[word]
            yield self.out(f"{self.with_tens(value)}{suffix}")
        elif word in MULTIPLIERS:
            yield from self.multiply(MULTIPLIERS[word])
        elif word in MULTIPLIERS_SUFFIXED:
            value, suffix = MULTIPLIERS_SUFFIXED[word]
            yield from self.multiply(value)
            yield self.out(f"{self.value}{suffix}")
        elif word in SIGNS:
            yield from self.sign(word)
        elif word in CURRENCIES:
            yield from self.currency(word)
        elif word in PERCENT:
            yield from self.percent(word)
        else:
            yield from self.special(word)

    def figures(self, word: str, bare: str) -> Iterator[str]:
        if isinstance(self.value, str) and self.value.endswith("."):
            self.value += word
            return
        yield from self.finished()
        if bare != word:
            self.prefix = word[0]
        number = Fraction(bare)
        self.value = number.numerator if number.denominator == 1 else bare

    def with_ones(self, number: int) -> str | int:
        if isinstance(self.value, str) and self.before in TENS and number < 10:
            return f"{self.value[:-1]}{number}"
        if isinstance(self.value, str) or (self.value is not None and self.before in ONES):
            return f"{self.value}{number}"
        return self.added(number, 10 if number < 10 else 100)

    def with_tens(self, number: int) -> str | int:
        return f"{self.value}{number}" if isinstance(self.value, str) else self.added(number, 100)

    def added(self, number: int, room: int) -> str | int:
        """Add to a number that ends in enough zeros, else write behind it."""
        if self.value is None:
            return number
        assert isinstance(self.value, int)
        return self.value + number if self.value % room == 0 else f"{self.value}{number}"

    def multiply(self, by: int) -> Iterator[str]:
        if self.value is None:
            self.value = by
        elif isinstance(self.value, int):
            self.value = self.value // 1000 * 1000 + self.value % 1000 * by
        else:
            number = _fraction(self.value)
            if number is not None and (number * by).denominator == 1:
                self.value = (number * by).numerator
            else:
                yield self.out(self.value)
                self.value = by

    def sign(self, word: str) -> Iterator[str]:
        yield from self.finished()
        if self.goes_on():
            self.prefix = SIGNS[word]
        else:
            yield self.out(word)

    def currency(self, word: str) -> Iterator[str]:
        if self.value is None:
            yield self.out(word)
        else:
            self.prefix = CURRENCIES[word]
            yield self.out(self.value)

    def percent(self, word: str) -> Iterator[str]:
        if self.value is None:
            yield self.out(word)
        elif word == "percent":
            yield self.out(f"{self.value}%")
        elif self.after == "cent":
            yield self.out(f"{self.value}%")
            self.at += 1
        else:
            yield from self.word(word)

    def special(self, word: str) -> Iterator[str]:
        if not self.goes_on():
            yield from self.word(word)
        elif word == "and":
            if self.before not in MULTIPLIERS:
                yield from self.word(word)
        elif word == "point":
            if self.after in DECIMALS or self.figures_follow():
                self.value = f"{self.value or ''}."
        elif self.after in ONES or self.after in ZEROS:
            figure = ONES.get(self.after or "", 0)
            self.value = f"{self.value or ''}{str(figure) * (2 if word == 'double' else 3)}"
            self.at += 1
        else:
            yield from self.word(word)
