"""What the browser is shown next, and what it sends back: the contract of server and page.

`GET /t/TOKEN/step` returns a `Step`. `POST /t/TOKEN/answer` takes an `Answer` as JSON and returns the next `Step`. A
listener's steps are numbered; an answer names the step it is of. One that was given already, by a double click, a
second tab or after a lost connection, changes nothing and returns the step that is due: the first answer stays. One of
a step that is still to come is refused (409).

Other answers of the server: 404 for an unknown token, 415 and 422 for what is no `Answer` (with `{"error": ...}`), 429
with `Retry-After` where there are too many: wait, and send the same again. `POST /t/TOKEN/withdraw` (JSON `{}`) returns
the step `withdrawn`. The templates in `web/` say in their first lines what they are given; other files of it are at
`/web/NAME`. No script or style stands inside a page, and no cookie is set.
"""

from typing import Literal

from pydantic import Field

from sibboleth.settings import Settings

Show = Literal[
    "consent",
    "background",
    "instructions",
    "loudness",
    "headphones",
    "part",
    "item",
    "feedback",
    "break",
    "done",
    "screened",
    "withdrawn",
]


class Scale(Settings):
    """A scale beside an answer."""

    name: Literal["intensity", "confidence"]
    points: int
    low: str
    high: str


class Choice(Settings):
    """A label and its words."""

    label: str
    words: str


class Step(Settings):
    """What is shown, and no more than may be known: no utterance's name, no role, no right answer."""

    step: int
    """Number of the step, from 0."""
    show: Show
    progress: float = Field(0.0, ge=0, le=1)
    kind: Literal["choice", "text", "segments"] | None = None
    """Of an item."""
    question: str = ""
    text: str = ""
    """Consent, instructions or farewell: paragraphs parted by blank lines. Of `feedback`: the words of the label that
    the practice item before has in its corpus."""
    choices: tuple[Choice, ...] = ()
    several: bool = False
    none: bool = False
    """Whether `none of these` may be answered, which is no label at all."""
    scales: tuple[Scale, ...] = ()
    audio: str = ""
    """Name of the sound: its address is `/t/TOKEN/audio/NAME`."""
    seconds: float = 0.0
    peaks: tuple[float, ...] = ()
    """Of segments: the waveform's peaks, from 0 to 1."""
    plays: int = 0
    """How often it may be played; 0 is as often as one likes."""
    practice: bool = False
    languages: tuple[str, ...] = ()
    """Of the background page, as in the settings; so `dialects` and `hearing`."""
    dialects: tuple[str, ...] = ()
    hearing: bool = False
    least_age: int = 0
    tones: tuple[str, ...] = ()
    """Names of the three tones of a headphone trial, as `audio`."""
    code: str = ""
    """Of `done` and `screened`: what the recruiting platform wants."""
    link: str = ""


class Region(Settings):
    """A stretch of the waveform with its label, in seconds."""

    start: float = Field(ge=0)
    end: float = Field(gt=0)
    label: str = Field(max_length=200)


class Background(Settings):
    """What a listener says about their languages; no name, no address."""

    age: int | None = Field(None, ge=0, le=120)
    gender: str = Field("", max_length=40)
    first: tuple[str, ...] = Field((), max_length=8)
    """First languages."""
    levels: dict[str, int] = Field({}, max_length=40)
    """Other languages: 0 none, 1 a little, 2 some, 3 good, 4 very good, 5 native."""
    years: dict[str, float] = Field({}, max_length=40)
    """Years of having heard each dialect."""
    hearing: Literal["normal", "loss", "unsaid"] = "unsaid"


class Answer(Settings):
    """What a listener answered to one step; what its step does not ask is empty."""

    step: int = Field(ge=0)
    labels: tuple[str, ...] = Field((), max_length=40)
    text: str = Field("", max_length=4000)
    regions: tuple[Region, ...] = Field((), max_length=200)
    intensity: int | None = Field(None, ge=1, le=11)
    confidence: int | None = Field(None, ge=1, le=11)
    background: Background | None = None
    agreed: bool = False
    """Of consent."""
    tone: int | None = Field(None, ge=0, le=2)
    """Of a headphone trial: which is quietest."""
    plays: int = Field(0, ge=0, le=10_000)
    reaction: float | None = Field(None, ge=0, le=1e6)
    """Seconds from the end of the first playing to the answer."""
    duration: float | None = Field(None, ge=0, le=1e7)
    """Seconds from the showing of the step to the answer."""
