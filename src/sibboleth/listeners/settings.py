"""The file of a listening test: what is asked about which utterances, of whom, and how it is checked."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sibboleth.settings import NAME, Settings
from sibboleth.study import CorpusSettings

LANGUAGES = ("de", "en", "nl", "pl", "zh")
"""Languages in which the test can speak to people out of the box."""

Kind = Literal["choice", "text", "segments"]


class ScaleSettings(Settings):
    """A scale beside an answer, such as how intense the emotion is or how sure the listener."""

    points: int = Field(5, ge=2, le=11)
    low: str = ""
    """What the lowest point means; the language's own words where not given."""
    high: str = ""


class PartSettings(Settings):
    """One question, asked about utterances that are drawn for it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    kind: Kind = "choice"
    """`choice` of one label (or `several`), `text` (a transcript or other words), `segments` drawn on the waveform."""
    target: str = "emotion"
    """Column of the manifest that holds the label; `text` is usual for a transcript."""
    question: str = ""
    """What is asked, in the listeners' language; the language's own words where not given."""
    labels: tuple[str, ...] = ()
    """The labels that listeners choose from, in this order; of a choice, utterances with others are not drawn. Empty:
    every label that occurs."""
    shown: dict[str, str] = {}
    """A label's words for the listeners, where they differ: `{ angry = "wütend" }`."""
    keep: dict[str, tuple[str, ...]] = {}
    """Only rows with one of these values in these columns, as `{ dialect = ["tianjin"] }`."""
    by: tuple[str, ...] = ()
    """Columns, such as `language`, in each value of which `count` are drawn per label."""
    count: int = Field(12, ge=1)
    """Utterances per label and value of `by`; of a target without labels, per value of `by`."""
    several: bool = False
    """Whether more than one label may be chosen."""
    none: bool = False
    """Whether `none of these` is an answer too."""
    intensity: ScaleSettings | None = None
    confidence: ScaleSettings | None = None
    plays: int = Field(0, ge=0)
    """How often an utterance may be played; 0 is as often as one likes."""
    practice: int = Field(0, ge=0)
    """Utterances for practice before the part, of speakers who are not in it where there are any."""
    feedback: bool = False
    """Whether practice says the manifest's label afterwards."""
    repeats: int = Field(0, ge=0)
    """Utterances that come a second time, to see how consistent a listener is."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "PartSettings":
        if self.kind == "text" and (self.labels or self.several or self.shown or self.none):
            raise ValueError("labels, shown, several and none are of choices and segments")
        if self.labels and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: name each once")
        if self.labels and (unknown := sorted(set(self.shown) - set(self.labels))):
            raise ValueError(f"shown: {', '.join(unknown)} is none of the labels ({', '.join(self.labels)})")
        if self.feedback and not self.practice:
            raise ValueError("feedback is given in practice; say how many utterances")
        return self


class CheckSettings(Settings):
    """What tells whether somebody listens, and with what."""

    loudness: bool = True
    """First set the volume by an utterance."""
    headphones: bool = False
    """Which of three tones is quietest, one of them in antiphase, which loudspeakers cancel (Woods et al. 2017)."""
    headphones_needed: int = Field(5, ge=1, le=6)
    """Right answers of six."""
    headphones_fail: Literal["flag", "screen-out"] = "flag"
    catch: int = Field(0, ge=0)
    """Spoken or written instructions among the items of each listener, whose answer is known."""
    catch_allowed: int = Field(0, ge=0)
    """Wrong catch trials that do not yet count as failed; listeners who failed stay in the data, marked."""


class CodeSettings(Settings):
    """What a recruiting platform, such as Prolific, is told at the end."""

    completion: str = ""
    """Code, or address to go to, of who finished."""
    screen_out: str = ""
    """Code, or address, of who does not fit."""
    parameters: tuple[str, ...] = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
    """Names in the link's query that are kept, apart from answers; the first is the person."""


class PeopleSettings(Settings):
    """Who may take part, and what they are asked about themselves."""

    languages: tuple[str, ...] = ()
    """Languages that the background page asks about by name, beside those that people add: from none to native."""
    dialects: tuple[str, ...] = ()
    """Dialects or accents about which it asks how many years people have heard them."""
    first_language: tuple[str, ...] = ()
    """Whose first language is none of these is screened out; empty: everybody fits."""
    hearing: Literal["ask", "screen-out", "leave"] = "ask"
    """Ask about hearing, screen out who reports a loss, or do not ask."""
    least_age: int = Field(18, ge=0)
    registration: Literal["open", "links"] = "open"
    """`open`: whoever opens the address may begin; `links`: only who has a link made by `sibboleth listen links`."""

    @model_validator(mode="after")
    def _first_languages_are_asked_about(self) -> "PeopleSettings":
        # The page sends a language that it asks about as it is written here, and others by their codes.
        absent = {one.casefold() for one in self.first_language} - {one.casefold() for one in self.languages}
        if absent:
            raise ValueError(f"first_language: also name {', '.join(sorted(absent))} in languages, so that it is asked")
        return self


class ListeningTest(Settings):
    """One listening test."""

    name: str = Field(pattern=NAME)
    title: str = ""
    """What listeners see at the top."""
    language: str = "en"
    """Language that the test speaks: de, en, nl, pl, zh, or the path of a file with one's own words."""
    consent: str = ""
    """What listeners agree to, as plain text with blank lines between paragraphs; the language's own if not given."""
    contact: str = ""
    """Whom to ask, and where data can be withdrawn later: shown on every page."""
    instructions: str = ""
    """Said before the first part; the language's own where not given."""
    seed: int = Field(0, ge=0)
    corpora: tuple[CorpusSettings, ...] = Field(min_length=1)
    study: Path | None = None
    """Study whose models are to be compared: what they hear in training is not drawn."""
    parts: tuple[PartSettings, ...] = Field(min_length=1)
    per_listener: int = Field(0, ge=0)
    """Items that each listener gets of each part, in balanced subsets that overlap; 0: all."""
    forms: int = Field(12, ge=1)
    """Orders that are drawn, dealt to listeners in turn to the one that fewest have."""
    pause: int = Field(48, ge=0)
    """Items after which a break is offered; 0: none."""
    level: float | None = Field(None, ge=-40, le=-12)
    """Loudness in LUFS to which every utterance is brought (ITU-R BS.1770); not given, audio stays as it is."""
    checks: CheckSettings = CheckSettings()
    people: PeopleSettings = PeopleSettings()
    codes: CodeSettings = CodeSettings()

    @field_validator("study")
    @classmethod
    def _beside_this_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else Path(folder) / value

    @field_validator("language")
    @classmethod
    def _known_or_beside_this_file(cls, value: str, info: ValidationInfo) -> str:
        folder = (info.context or {}).get("folder")
        return value if value in LANGUAGES or folder is None else str(Path(folder) / value)

    @model_validator(mode="after")
    def _parts_and_corpora_differ(self) -> "ListeningTest":
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError("parts: name each differently")
        corpora = [corpus.name for corpus in self.corpora]
        if len(set(corpora)) < len(corpora):
            raise ValueError("corpora: name each differently")
        return self
