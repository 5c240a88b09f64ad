"""Text normalisation by name and language, applied alike to reference and hypothesis, and what it changed.

`none`: the text as it is. `basic`: Unicode composed (NFC, not NFKC: no character becomes another), lower case,
apostrophes dropped, other punctuation and symbols made blanks, blanks single; letters, digits and combining marks stay.
`english`: Whisper's. `dutch`, `german`: figures, percent, money and times in words, number words and common variants in
one spelling. `mandarin`: by character. Both Unicode forms of a text come out alike under every name but `none`, and all
but `english` (which keeps to what was published) change nothing when they are applied again.
"""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.texts import characters, dutch, english, german, mandarin, spellings
from sibboleth.texts.spellings import Spellings

Rule = Callable[[str, Spellings], str]
CHANGED = {"written": pl.String, "counted_as": pl.String, "times": pl.Int64, "rule": pl.String, "example": pl.String}
"""Columns of what was changed: the words as written, what they count as, how often, `basic` where case, punctuation and
Unicode were all, else the rule's name, and a text with them."""
OUTSIDE = {"unit": pl.String, "times": pl.Int64, "texts": pl.Int64, "example": pl.String}
"""Columns of what is outside a vocabulary: a character or word, how often, in how many texts, and one of them."""


@dataclass(frozen=True)
class Normalisation:
    """A named rule with its table of spellings."""

    name: str
    rule: Rule
    spellings: Spellings

    def __call__(self, text: str) -> str:
        """Normalise one text."""
        return self.rule(text, self.spellings)


def _none(text: str, table: Spellings) -> str:
    return text


def _basic(text: str, table: Spellings) -> str:
    return characters.unpunctuated(characters.lower(text))


RULES: dict[str, Rule] = {
    "none": _none,
    "basic": _basic,
    "english": english.english,
    "dutch": dutch.dutch,
    "german": german.german,
    "mandarin": mandarin.mandarin,
}


def named(name: str, table: Path | None = None) -> Normalisation:
    """Return a normalisation, with a user's table of spellings put over its own.

    Raises `SibbolethError` for an unknown name, `InvalidInput` for a table that cannot be used or a name without one.
    """
    if name not in RULES:
        raise SibbolethError(f"unknown text normalisation {name!r}; there are {', '.join(RULES)}")
    if name not in spellings.OURS:
        if table is not None:
            known = ", ".join(spellings.OURS)
            raise InvalidInput(f"{table}: the normalisation {name!r} has no spellings; those that have: {known}")
        return Normalisation(name, RULES[name], {})
    settled = {"dutch": dutch.settled, "german": german.settled}.get(name)
    return Normalisation(name, RULES[name], settled(table) if settled else spellings.extended(name, table))


def normalise(texts: Sequence[str], name: str, table: Path | None = None) -> list[str]:
    """Normalise texts by a named rule, each by itself."""
    rule = named(name, table)
    return [rule(text) for text in texts]


def changed(texts: Iterable[str], rule: Normalisation) -> pl.DataFrame:
    """List what a normalisation makes of words (`CHANGED`): what only this rule changes first, by frequency."""
    times: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], str] = {}
    for text, many in Counter(texts).items():
        for written, counted in _differences(text, rule(text)):
            plain = _basic(written, {}) == counted or rule.name == "mandarin" and _by_character(written) == counted
            key = (written, counted, "basic" if plain else rule.name)
            times[key] += many
            examples.setdefault(key, text)
    ranked = sorted(times.items(), key=lambda item: (item[0][2] == "basic", -item[1], item[0]))
    rows = [(written, counted, many, by, examples[written, counted, by]) for (written, counted, by), many in ranked]
    return pl.DataFrame(rows, schema=CHANGED, orient="row")


def outside(texts: Iterable[str], vocabulary: Collection[str], *, words: bool = False) -> pl.DataFrame:
    """List the characters (or words) of texts that a vocabulary lacks (`OUTSIDE`), the most frequent first.

    Blanks between words are no characters here.
    """
    known = frozenset(characters.composed(one) for one in vocabulary)
    times: Counter[str] = Counter()
    within: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for text in texts:
        plain = characters.composed(text).split()
        strange = Counter(one for one in (plain if words else "".join(plain)) if one not in known)
        times += strange
        within.update(strange.keys())
        for one in strange:
            examples.setdefault(one, text)
    rows = [(one, many, within[one], examples[one]) for one, many in sorted(times.items(), key=lambda i: (-i[1], i[0]))]
    return pl.DataFrame(rows, schema=OUTSIDE, orient="row")


def uncomposed(texts: Iterable[str]) -> int:
    """Count the texts that are not in the composed form (NFC)."""
    return sum(characters.composed(text) != text for text in texts)


_PIECES = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\s\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


def _differences(text: str, said: str) -> Iterable[tuple[str, str]]:
    """Yield the stretches of words that a normalisation changed, as they were and as they are."""
    written, counted = _PIECES.findall(text), said.split()
    plain = [_basic(word, {}) for word in written]
    if said == text:
        return
    matcher = difflib.SequenceMatcher(None, plain, counted, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield from ((old, new) for old, new in zip(written[a:b], counted[c:d], strict=True) if old != new)
        else:
            yield " ".join(written[a:b]), " ".join(counted[c:d])


def _by_character(text: str) -> str:
    return " ".join(_PIECES.findall(_basic(text, {})))
