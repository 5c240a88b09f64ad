"""The words in which a test speaks to people, in one file for each language.

Texts are plain; blank lines part paragraphs. `{name}` stands for what is filled in, and every language has to have the
same ones as English.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from sibboleth import settings
from sibboleth.errors import InvalidInput, Problem
from sibboleth.listeners.settings import LANGUAGES
from sibboleth.settings import Settings


class BeginWords(Settings):
    """The page on which a listener begins."""

    text: str
    need: str
    start: str
    links: str
    """Where only those with a link of their own may begin."""
    unknown: str
    """Where a link is of nobody."""
    busy: str
    """Where somebody asks too often."""


class ConsentWords(Settings):
    """What a listener agrees to."""

    heading: str
    text: str
    agree: str
    start: str
    refuse: str


class BackgroundWords(Settings):
    """Questions about the listener."""

    heading: str
    text: str
    first: str
    first_hint: str
    other_language: str
    choose: str
    unlisted: str
    unlisted_hint: str
    levels: str
    levels_hint: str
    level: tuple[str, str, str, str, str, str] = Field()
    """From none to native."""
    add: str
    remove: str
    dialects: str
    dialects_hint: str
    years: str
    hearing: str
    hearing_normal: str
    hearing_loss: str
    unsaid: str
    age: str
    gender: str
    woman: str
    man: str
    other: str
    optional: str
    required: str
    """Where something that must be said is not."""


class InstructionWords(Settings):
    """What a listener is told to do."""

    heading: str
    text: str
    choice: str
    several: str
    text_kind: str
    segments: str
    practice: str
    """Before the practice of a part."""
    earnest: str
    """After it."""


class QuestionWords(Settings):
    """What is asked where the test's file does not say."""

    emotion: str
    dialect: str
    accent: str
    language: str
    choice: str
    """Of any other label."""
    text: str
    segments: str


class LoudnessWords(Settings):
    """Setting the volume."""

    heading: str
    text: str
    done: str


class HeadphoneWords(Settings):
    """Which of three tones is quietest."""

    heading: str
    text: str
    question: str
    first: str
    second: str
    third: str


class PartWords(Settings):
    """What stands above parts, items and breaks."""

    heading: str
    practice: str
    rest: str
    rest_text: str
    go_on: str
    feedback: str
    """After practice; `{label}` is what the corpus says."""
    catch: str
    """A catch trial that is written; `{label}` is what is to be chosen."""


class ItemWords(Settings):
    """An item."""

    play: str
    again: str
    stop: str
    loading: str
    left: str
    """How often it may still be played, `{count}`."""
    listen: str
    """Before it was heard."""
    answer: str
    """Once it was heard."""
    none: str
    several: str
    text: str
    missing: str
    """Where something is not answered yet."""
    go_on: str
    progress: str
    failed: str
    """Where the sound cannot be fetched or played."""
    retry: str


class ScaleWords(Settings):
    """Scales beside an answer."""

    intensity: str
    intensity_low: str
    intensity_high: str
    confidence: str
    confidence_low: str
    confidence_high: str


class SegmentWords(Settings):
    """The waveform and its regions."""

    wave: str
    text: str
    region: str
    """A region as it is read aloud: `{number}`, `{label}`, `{start}`, `{end}`."""
    unlabelled: str
    none: str
    chosen: str
    start: str
    end: str
    add: str
    play: str
    delete: str
    missing: str
    cursor: str
    nothing: str
    nothing_hint: str


class DoneWords(Settings):
    """The end."""

    heading: str
    text: str
    code: str
    copy_code: str
    copied: str
    link: str
    refused: str
    """Where somebody did not agree."""
    screened: str
    screened_text: str


class WithdrawWords(Settings):
    """Taking one's answers back."""

    link: str
    question: str
    text: str
    confirm: str
    cancel: str
    heading: str
    done: str


class ConnectionWords(Settings):
    """What goes wrong between page and server."""

    lost: str
    again: str
    back: str
    refused: str
    moved: str
    gone: str
    script: str
    loading: str


class KeyWords(Settings):
    """Help for who has no mouse, and contact."""

    heading: str
    space: str
    space_key: str
    digits: str
    enter: str
    escape: str
    arrows: str
    edges: str
    delete: str
    new: str
    contact: str


class Words(Settings):
    """Every word that the pages say, in one language."""

    tag: str = Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """Language tag of BCP 47, such as `pt-BR`, for speech and hyphens."""
    direction: Literal["ltr", "rtl"] = "ltr"
    """Whether it is written from left to right."""
    extends: str = ""
    """Language of the box whose words stand where this file has none; empty: the file has every word."""
    begin: BeginWords
    consent: ConsentWords
    background: BackgroundWords
    instructions: InstructionWords
    question: QuestionWords
    loudness: LoudnessWords
    headphones: HeadphoneWords
    part: PartWords
    item: ItemWords
    scale: ScaleWords
    segments: SegmentWords
    done: DoneWords
    withdraw: WithdrawWords
    connection: ConnectionWords
    keys: KeyWords
    labels: dict[str, str]
    """Words of common labels; others are shown as they are."""

    @model_validator(mode="before")
    @classmethod
    def _extended(cls, data: Any) -> Any:
        base = data.get("extends") if isinstance(data, dict) else None
        if not base:
            return data
        if base not in LANGUAGES:
            raise ValueError(f"extends: one of {', '.join(LANGUAGES)}")
        return _over(tomllib.loads(_file(base)), data)


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
    return Words.model_validate(tomllib.loads(_file(language)))


def _file(language: str) -> str:
    return resources.files("sibboleth.listeners").joinpath("languages", f"{language}.toml").read_text(encoding="utf-8")


def _over(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over those of the same name, and everything else in its place."""
    both = {key: (base[key], value) for key, value in data.items() if isinstance(base.get(key), dict)}
    return base | data | {key: _over(old, new) for key, (old, new) in both.items() if isinstance(new, dict)}


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
