"""Spelling tables: how a word is written, and the words it counts as. Users extend those that come with it.

A table is a CSV, TSV, JSONL or Parquet file with the columns `written` (one word) and `spoken` (the words it counts as;
empty leaves it out); other columns, such as a reason, are for people. In a user's table a word that counts as itself
takes a row of ours back.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sibboleth.corpus import tables
from sibboleth.errors import InvalidInput, Problem
from sibboleth.texts import characters

COLUMNS = ("written", "spoken")
OURS = ("dutch", "english", "german", "mandarin")
"""Names of normalisations that have a table of their own; that of English is Whisper's list of British spellings, which
is under the licence beside it."""
Spellings = Mapping[str, str]


@cache
def ours(name: str) -> Spellings:
    """Return the table that comes with a normalisation; empty where it has none."""
    path = Path(__file__).with_name(f"{name}.csv")
    return _settled(path, _read(path)) if name in OURS else {}


def extended(name: str, path: Path | None) -> Spellings:
    """Return the table of a normalisation with a user's rows put over it.

    Raises `InvalidInput` naming each row that cannot be: no word, several words, a word twice, or a word that counts as
    one that counts as another.
    """
    return ours(name) if path is None else _settled(path, {**ours(name), **_read(path)})


def _read(path: Path) -> Spellings:
    found: dict[str, str] = {}
    problems = []
    for row, (one, words) in tables.read(path, "spellings", COLUMNS):
        word = _folded(one)
        if len(word.split()) != 1:
            problems.append(Problem(str(path), f"must be one word (given: {one!r})", row, "written"))
        elif word in found:
            problems.append(Problem(str(path), f"{word!r} has a row already", row, "written"))
        found[word] = _folded(words)
        if not all(letter.isalpha() or letter.isspace() for letter in found[word]):
            problems.append(Problem(str(path), f"must be letters and blanks alone (given: {words!r})", row, "spoken"))
    if problems:
        raise InvalidInput(f"{path}: not a table of spellings", problems)
    return found


def _folded(text: str) -> str:
    folded = characters.lower(text)
    for apostrophe in characters.APOSTROPHES:
        folded = folded.replace(apostrophe, "'")
    return " ".join(folded.split())


def _settled(path: Path, table: Spellings) -> Spellings:
    """Refuse words that count as words that count as others: texts would change each time they are normalised."""
    moving = {word for word, words in table.items() if words != word}
    problems = [
        Problem(str(path), f"{word!r} counts as {words!r}, but {again!r} counts as {table[again]!r}")
        for word, words in table.items()
        for again in words.split()
        if words != word and again in moving
    ]
    if problems:
        raise InvalidInput(f"{path}: a word must count as words that count as themselves", problems)
    return {word: words for word, words in table.items() if words != word}


def spelled(text: str, table: Spellings) -> str:
    """Write each word as the table has it."""
    return " ".join(filter(None, (table.get(word, word) for word in text.split())))
