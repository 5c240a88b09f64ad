"""The words in which a test speaks to people, in one file for each language.

Texts are plain; blank lines part paragraphs. `{name}` stands for what is filled in, and every language has to have the
same ones as English.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sibboleth import settings
from sibboleth.errors import InvalidInput, Problem
from sibboleth.listeners import vocabulary
from sibboleth.listeners.settings import LANGUAGES
from sibboleth.listeners.vocabulary import Words


def read(language: str) -> Words:
    """Read a language of the box, or the file of one's own; raises `InvalidInput` that names file and key."""
    if language in LANGUAGES:
        return _shipped(language)
    path = Path(language)
    if path.suffix != ".toml":
        raise InvalidInput(f"language: {language} is none of {', '.join(LANGUAGES)}, nor a .toml file of words")
    words = settings.read(path, Words)
    if problems := list(_misfilled(str(path), words)):
        raise InvalidInput(f"{path}: what is filled in differs from English", problems)
    return words


def label(words: Words, name: str, shown: Mapping[str, str]) -> str:
    """Return a label's words: those of the test's file, else of the language, else the label."""
    return shown.get(name) or words.labels.get(name.lower()) or name


def question(words: Words, kind: str, target: str) -> str:
    """Return what is asked where the test's file does not say."""
    if kind != "choice":
        return str(getattr(words.question, kind))
    known = target if target in ("emotion", "dialect", "accent", "language") else "choice"
    return str(getattr(words.question, known))


def fill(text: str, **values: object) -> str:
    """Put values where their names stand in braces."""
    return _PLACE.sub(lambda found: str(values.get(found[1], found[0])), text)


_PLACE = re.compile(r"\{(\w+)\}")


@cache
def _shipped(language: str) -> Words:
    return Words.model_validate(tomllib.loads(vocabulary.file(language)))


def _misfilled(file: str, words: Words) -> Iterator[Problem]:
    """Find texts in which something else is filled in than in English."""
    english = dict(_texts(_shipped("en").model_dump()))
    for key, text in _texts(words.model_dump()):
        wanted, got = ({*_PLACE.findall(t)} for t in (english.get(key, ""), text))
        if wanted != got:
            names = ", ".join(f"{{{name}}}" for name in sorted(wanted)) or "nothing"
            yield Problem(file, f"{names} is to be filled in here", field=key)


def _texts(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _texts(value, f"{above}{key}.")
        elif isinstance(value, str):
            yield f"{above}{key}", value
