"""Accents: from what speakers say of theirs, in free text and columns of many names, to a small taxonomy.

What is said is taken apart at commas, semicolons and bars outside brackets, after it was looked for as a whole: Common
Voice joins several accents by commas. A part is known if it is in the table, or if names of the table that may stand
anywhere in a text are in it, the longer before those within it, and no word such as `not`. Parts that are not known are
passed over; known ones that disagree make the accent unknown. The first language counts where no accent is said.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import polars as pl

from sibboleth.corpus import tables
from sibboleth.errors import InvalidInput, Problem

BUILT_IN = "built-in"
SAID = ("accents", "raw_accent", "accent", "variant", "variants", "dialect")
"""Columns in which speakers say their accent; all that are there count."""
FIRST_LANGUAGE = ("l1", "first_language", "native_language", "mother_tongue")
NAMES = (*SAID, *FIRST_LANGUAGE)
COLUMNS, OPTIONAL = ("said", "accent", "dialect"), ("language", "anywhere")
"""Columns that a table needs, and that it may have: languages for which a row holds (empty for all), and whether its
name may stand anywhere in a longer text (`yes`). Others are for people."""
LABELS = ("accent", "dialect")
OUTCOME = "accent_outcome"
"""Column of a derived table that says what became of a row's accent."""
NEGATIONS = frozenset(("not", "no", "non", "niet", "geen", "nicht", "kein", "keine", "pas"))
UNSAID = frozenset(
    ("", "unspecified", "unknown", "other", "none", "nan", "null", "n a", "overig", "anders", "onbekend")
)
"""What counts as saying nothing."""
OUTCOMES = ("known", "dialect alone", "several", "not in the table", "not said")
"""What became of an utterance's accent; by all but the first it is unknown."""
_BUILT_IN = Path(__file__).with_name("accents.csv")
_PARTS = re.compile(r"[,;|](?![^(]*\))")


@dataclass(frozen=True)
class Place:
    """Where somebody's speech is from."""

    accent: str | None
    """A country, or `L1 LANGUAGE` for a first language."""
    dialect: str | None
    """A region within it, or a dialect that may be of two countries."""


@dataclass(frozen=True)
class Taxonomy:
    """What is said of accents, folded, by language (`` for all) to where it is from."""

    places: Mapping[tuple[str, str], Place]
    anywhere: frozenset[tuple[str, str]]
    """Those that may stand within a longer text."""

    def languages(self, language: str | None) -> tuple[str, ...]:
        """Return whose rows hold for a language such as `nl`, `nl-BE` or unknown, the particular before the common."""
        if language is None:
            return tuple(sorted({one for one, _ in self.places}, reverse=True))
        return (re.split(r"[-_]", language.lower())[0], "")

    def find(self, said: str, language: str | None = None) -> Iterator[Place]:
        """Yield the places that a text names."""
        languages = self.languages(language)
        if whole := self._known(folded(said), languages):
            yield whole
            return
        for part in _PARTS.split(said):
            text = folded(part)
            if known := self._known(text, languages):
                yield known
            elif not NEGATIONS & set(text.split()):
                yield from self._within(text, languages)

    def _known(self, text: str, languages: Sequence[str]) -> Place | None:
        return next((self.places[one, text] for one in languages if (one, text) in self.places), None)

    def _within(self, text: str, languages: Sequence[str]) -> Iterator[Place]:
        """Find names in a text, at whole words, the longest first; none counts within another."""
        left = f" {text} "
        names = sorted({name for one, name in self.anywhere if one in languages}, key=lambda name: (-len(name), name))
        for name in names:
            if f" {name} " in left:
                left = left.replace(f" {name} ", " \0 ")
                place = next(self.places[one, name] for one in languages if (one, name) in self.anywhere)
                yield place


@dataclass(frozen=True)
class Derived:
    """A table with `accent`, `dialect` and `OUTCOME`, and what became of what was said."""

    table: pl.DataFrame
    counts: Mapping[str, int]
    """Rows by outcome (`OUTCOMES`)."""
    unknown: Mapping[str, int] = field(default_factory=dict)
    """What was said and is not in the table, and by how many rows, the most frequent first."""

    def notes(self) -> Iterator[str]:
        """Say how many accents are known, and what could be added to the table."""
        told = ", ".join(f"{many:,} {outcome}" for outcome, many in self.counts.items() if many)
        yield f"accents: {told}"
        if self.unknown:
            first = "; ".join(f"{said!r} ({many:,})" for said, many in list(self.unknown.items())[:5])
            more = f", and {len(self.unknown) - 5} more" if len(self.unknown) > 5 else ""
            yield f"not in the table of accents: {first}{more}; a CSV with said, accent, dialect adds them"


def folded(text: str) -> str:
    """Write in lower case without marks, punctuation and symbols, as tables are looked up."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    kept = (" " if unicodedata.category(one)[0] in "PSZ" else one for one in plain if unicodedata.category(one) != "Mn")
    return " ".join("".join(kept).split())


def taxonomy(table: str | Path = BUILT_IN) -> Taxonomy:
    """Return the taxonomy that comes with the tool, or with a user's rows put over it.

    Raises `InvalidInput` for a table that cannot be read, and each row that says nothing, or twice the same.
    """
    ours = _built_in()
    if table == BUILT_IN:
        return ours
    mine = _read(Path(table))
    everywhere = {said for language, said in mine.places if not language}
    kept = {key: place for key, place in ours.places.items() if key not in mine.places and key[1] not in everywhere}
    return Taxonomy({**kept, **mine.places}, mine.anywhere | (ours.anywhere & kept.keys()))


def digest(table: str | Path = BUILT_IN) -> str:
    """Return the SHA-256 of the bytes that a taxonomy is made of: the built-in table, and a user's put over it.

    Raises `InvalidInput` for a table that cannot be read.
    """
    found = hashlib.sha256(_BUILT_IN.read_bytes())
    if table != BUILT_IN:
        try:
            found.update(b"|" + Path(table).read_bytes())
        except OSError as error:
            raise InvalidInput(f"{table}: cannot be read ({error.strerror})") from None
    return found.hexdigest()


def said_in(columns: Iterable[str]) -> list[str]:
    """Return those of the columns that say something of accents, whatever their case."""
    return [name for name in columns if name.lower() in NAMES]


def derive(table: pl.DataFrame, using: Taxonomy) -> Derived:
    """Add (or replace) `accent`, `dialect` and `OUTCOME`, from those columns of `SAID` and `FIRST_LANGUAGE` there are.

    Raises `InvalidInput` where no column says anything of accents.
    """
    columns = {name.lower(): name for name in table.columns}
    said = [columns[name] for name in SAID if name in columns]
    first = [columns[name] for name in FIRST_LANGUAGE if name in columns]
    if not said and not first:
        raise InvalidInput(f"no column says anything of accents; known by name are {', '.join(NAMES)}")
    languages = [pl.col(columns[name]).cast(pl.String) for name in ("language", "locale") if name in columns]
    keys = table.select(
        pl.coalesce(*languages, pl.lit(None, pl.String)).alias("=language"),
        pl.concat_list(pl.col(name).cast(pl.String).fill_null("") for name in (*said, *first)).alias("=said"),
    )
    found: dict[tuple[str | None, tuple[str, ...]], tuple[Place, str, str]] = {}
    places, outcomes, unknown = [], list[str](), Counter[str]()
    for one, texts in keys.iter_rows():
        key = (one, tuple(texts))
        if key not in found:
            found[key] = _judged(using, texts[: len(said)], texts[len(said) :], one)
        place, outcome, text = found[key]
        places.append(place)
        outcomes.append(outcome)
        if outcome == "not in the table":
            unknown[text] += 1
    labels = [pl.Series(name, [getattr(place, name) for place in places], pl.String) for name in LABELS]
    ranked = dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0])))
    told = table.with_columns(*labels, pl.Series(OUTCOME, outcomes, pl.String))
    return Derived(told, {one: outcomes.count(one) for one in OUTCOMES}, ranked)


def _judged(using: Taxonomy, said: Sequence[str], first: Sequence[str], language: str | None) -> tuple[Place, str, str]:
    """Return the one place that texts name, what became of them, and the text."""
    told = [text for text in said if folded(text) not in UNSAID]
    places = [place for text in told for place in using.find(text, language)]
    if not told:
        told = [text for text in first if folded(text) not in UNSAID]
        places = [place for text in told for place in using.find(f"L1 {text}", language)]
    text = " | ".join(dict.fromkeys(told))
    if not places:
        return Place(None, None), "not in the table" if told else "not said", text
    accents, dialects = (_different(places, name) for name in LABELS)
    outcome = "several" if len(accents) > 1 else "known" if accents else "dialect alone"
    accent = accents[0] if len(accents) == 1 else None
    return Place(accent, dialects[0] if len(dialects) == 1 and len(accents) < 2 else None), outcome, text


def _different(places: Iterable[Place], name: str) -> list[str]:
    return sorted({value for place in places if (value := getattr(place, name)) is not None})


@cache
def _built_in() -> Taxonomy:
    return _read(_BUILT_IN)


def _read(path: Path) -> Taxonomy:
    places: dict[tuple[str, str], Place] = {}
    anywhere = set()
    problems = []
    for row, (said, accent, dialect, language, free) in tables.read(path, "accents", COLUMNS, OPTIONAL):
        for one in language.lower().split() or [""]:
            key = (one, folded(said))
            if not key[1]:
                problems.append(Problem(str(path), "is empty", row, "said"))
            elif key in places:
                problems.append(Problem(str(path), f"{said!r} has a row already", row, "said"))
            places[key] = Place(accent or None, dialect or None)
            if free.lower() == "yes":
                anywhere.add(key)
        if free.lower() not in ("", "yes", "no"):
            problems.append(Problem(str(path), f"must be yes, no or empty (given: {free!r})", row, "anywhere"))
    if problems:
        raise InvalidInput(f"{path}: not a table of accents", problems)
    return Taxonomy(places, frozenset(anywhere))
