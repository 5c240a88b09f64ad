"""Every word that the pages of a test say, by the page that says it."""

import tomllib
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

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
        return _over(tomllib.loads(file(base)), data)


def file(language: str) -> str:
    """Return the file of a language of the box."""
    return resources.files("sibboleth.listeners").joinpath("languages", f"{language}.toml").read_text(encoding="utf-8")


def _over(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over those of the same name, and everything else in its place."""
    both = {key: (base[key], value) for key, value in data.items() if isinstance(base.get(key), dict)}
    return base | data | {key: _over(old, new) for key, (old, new) in both.items() if isinstance(new, dict)}
