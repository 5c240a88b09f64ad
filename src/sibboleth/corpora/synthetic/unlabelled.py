"""Unlabelled speech to pre-train on: many hours, speakers and manners, spoken by the engine of the controlled corpus.

It shares no sentence (`phrases`) and no voice with the controlled corpus. A speaker is one of espeak-ng's voice
variants with a vocal tract length, pitch, pitch range, speed and level of its own; within a speaker these and the
microphone vary as widely as emotions vary them, without meaning anything. Its folder::

    audio/en/en-000001.flac   16 kHz, 16 bit, mono
    reading.json              what was asked for, and espeak-ng's version

Needs the extra `speech`, as the controlled corpus does.
"""

import contextlib
import hashlib
import json
import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from pydantic import Field, field_validator

from sibboleth import runs, storage
from sibboleth.corpora import assemble
from sibboleth.corpora.synthetic import phrases, speech, worker
from sibboleth.corpora.synthetic.phrases import Spoken
from sibboleth.corpora.synthetic.plan import RANGE, RANGE_LIFT, SEMITONE, SPEED
from sibboleth.corpora.synthetic.worker import Script, Worker
from sibboleth.corpus import Corpus
from sibboleth.errors import SibbolethError
from sibboleth.progress import track
from sibboleth.settings import Settings

FORMAT = 1
"""Raised when the same reading no longer makes the same audio."""

VOICES: dict[Spoken, tuple[str, ...]] = {
    "en": ("gmw/en", "gmw/en-US", "gmw/en-GB-x-rp", "gmw/en-GB-scotland", "gmw/en-GB-x-gbclan", "gmw/en-GB-x-gbcwmd"),
    "nl": ("gmw/nl",),
    "de": ("gmw/de",),
    "fr": ("roa/fr", "roa/fr-BE", "roa/fr-CH"),
    "pl": ("zlw/pl",),
    "zh": ("sit/cmn",),
    "it": ("roa/it",),
    "es": ("roa/es", "roa/es-419"),
}
"""espeak-ng's voices of each language, one per dialect."""

WOMEN = {"Alicia": 250, "aunty": 173, "belinda": 229, "grandma": 200, "shelby": 180}
HIGH = {"Jacky": 113, "Nguyen": 151, "Reed": 118, "ed": 126}
LOW = {
    "Alex": 104, "Andy": 96, "Denis": 100, "Lee": 96, "Mike": 91, "Mr serious": 101, "Tweaky": 101, "adam": 103,
    "benjamin": 103, "boris": 102, "croak": 103, "david": 76, "edward": 102, "edward2": 103, "grandpa": 103,
    "gustave": 106, "ian": 82, "iven": 101, "iven2": 101, "iven3": 101, "iven4": 101, "john": 101, "kaukovalta": 102,
    "klatt3": 103, "klatt4": 103, "klatt5": 102, "klatt6": 103, "m5": 103, "marcelo": 97, "max": 102, "mike2": 91,
    "norbert": 101, "paul": 86, "pedro": 103, "quincy": 86, "rob": 107, "robert": 98, "sandro": 99, "travis": 102,
    "victor": 96,
}  # fmt: skip
"""Voice variants to their pitch in Hz. Women have those of `WOMEN`, and of `HIGH` with a short vocal tract; men have
those of `HIGH` and `LOW`. Left out are the controlled corpus's and those with the same formants, whisperers, robots,
demons, voices with an echo, and doubles."""

SPEAKERS = 160
"""Speakers per language, women and men in turn; they speak in turn."""
REACH = 6.5
"""Semitones by which a speaker's pitch can lie off the variant's."""
SECONDS = (2.0, 8.0)
"""Length that is aimed at."""
LONG = 10.0
"""Seconds; most utterances are shorter, so that hardly ever more are spoken than are needed."""
LEVEL, LOUDEST, QUIETEST = -27.0, -12.0, -48.0
"""Levels, dB re full scale."""
ROOM = (-80.0, -55.0)
"""Level of the room's noise, dB re full scale."""
SPREADS = {
    "pitch": 3.0,
    "range": 0.5,
    "rate": 0.17,
    "loudness": 5.5,
    "slope": 3.5,
    "cosine": 2.5,
    "sine": 2.5,
    "tilt": 2.5,
}
"""Standard deviations of the manner within a speaker. The first five are `emotion.CUES`, spread as widely as over all
emotions; then the ripple of the microphone in decibels, and its tilt in decibels per 1000 mel."""
EMPHASIS = 0.5
"""Semitones (standard deviation) from word to word."""


class Reading(Settings):
    """What is to be spoken; one reading makes one folder of speech, to the bit.

    A shorter reading with the same seed is the beginning of a longer one, language by language.
    """

    languages: tuple[Spoken, ...] = Field(("en", "nl"), min_length=1)
    hours: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Of each language."""
    seed: int = 0

    @field_validator("languages")
    @classmethod
    def _differ(cls, languages: tuple[Spoken, ...]) -> tuple[Spoken, ...]:
        if len(set(languages)) < len(languages):
            raise ValueError("languages must differ from one another")
        return languages


@dataclass(frozen=True)
class Speaker:
    """One who reads."""

    name: str
    sex: str
    voice: str
    """Name of the voice for espeak-ng."""
    factor: float
    """Shortness of the vocal tract."""
    pitch: float
    """Semitones above the voice's own."""
    range: float
    """Octaves (log2 ratio) above the usual pitch range."""
    rate: float
    """Octaves (log2 ratio) above the usual speed."""
    level: float
    """Decibels above the usual level."""


@dataclass(frozen=True)
class Utterance:
    """What one says, before it is spoken."""

    name: str
    language: Spoken
    speaker: Speaker
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words as they are written."""
        return ("" if self.language == "zh" else " ").join(self.words)


def prepare(root: Path, reading: Reading | None = None, *, workers: int | None = None) -> Corpus:
    """Make the speech in a folder, or what is missing of it, and return it.

    The same reading gives the same audio to the bit with any number of workers (one per core, if not given). Beside
    the usual columns: `sex`, `voice` and `synthetic` (the speaking program). Raises `MissingExtra` without espeak-ng,
    `SibbolethError` where the folder holds another reading.
    """
    reading = reading or Reading()
    speech.require()
    with Worker() as process:
        version = process.version()
    _claim(root, reading, version)
    said: list[Utterance] = []
    minutes = _minutes(root, reading, said, workers or worker.cores())
    with contextlib.closing(minutes):
        for _ in track(minutes, "speaking", math.ceil(60 * reading.hours) * len(reading.languages), "minutes"):
            pass
    return assemble("unlabelled", [_row(root, one, version) for one in said])


def _claim(root: Path, reading: Reading, version: str) -> None:
    """Write `reading.json`, or make sure that the one there is the same."""
    file = root / "reading.json"
    making = {"format": FORMAT, "espeak-ng": version, "reading": reading.model_dump(mode="json")}
    if file.exists():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SibbolethError(f"{file}: cannot be read ({error}); choose an empty folder") from None
        differ = [key for key, value in making.items() if not isinstance(there, dict) or there.get(key) != value]
        if differ:
            raise SibbolethError(f"{root}: holds speech of another {' and '.join(differ)}; choose an empty folder")
    elif (root / "audio").exists():
        raise SibbolethError(f"{root}: holds audio but no reading.json; choose an empty folder")
    else:
        runs.write_text(file, json.dumps(making, indent=2) + "\n")


def _minutes(root: Path, reading: Reading, said: list[Utterance], workers: int) -> Generator[int]:
    """Speak all languages and note the utterances; yields once per minute of speech."""
    for language in reading.languages:
        minute, seconds = 0, 0.0
        for one, length in _spoken(root, reading, language, workers):
            said.append(one)
            seconds += length
            while minute < min(seconds, 3600 * reading.hours) / 60:
                minute += 1
                yield minute


def _spoken(root: Path, reading: Reading, language: Spoken, workers: int) -> Generator[tuple[Utterance, float]]:
    """Speak utterance after utterance until the hours are full; yields each with its seconds.

    How many there are follows from their lengths alone, so a shorter reading is the beginning of a longer one.
    """
    folder = root.absolute() / "audio" / language
    folder.mkdir(parents=True, exist_ok=True)
    storage.sweep(folder)
    begun, missing = 0, 3600 * reading.hours
    while missing > 0:
        block = [utterance(reading, language, begun + 1 + one) for one in range(math.ceil(missing / LONG))]
        begun += len(block)
        new = {one.name for one in block if not _audio(root, one).exists()}
        scripts = [script(reading, one, _audio(root, one)) for one in block if one.name in new]
        with contextlib.closing(worker.speak(scripts, workers)) as spoken:
            for one in block:
                if one.name in new:
                    next(spoken)
                if missing <= 0:
                    _audio(root, one).unlink(missing_ok=True)
                    continue
                seconds = float(soundfile.info(_audio(root, one)).duration)
                missing -= seconds
                yield one, seconds


def utterance(reading: Reading, language: Spoken, number: int) -> Utterance:
    """Draw who says what in an utterance of a language, from 1."""
    name = f"{language}-{number:06d}"
    draws = _generator(reading, "text", name)
    words = phrases.passage(language, float(draws.uniform(*SECONDS)), draws)
    return Utterance(name, language, speaker(reading, language, (number - 1) % SPEAKERS), words)


@cache
def speaker(reading: Reading, language: Spoken, number: int) -> Speaker:
    """Draw a speaker of a language, from 0."""
    name = f"{language}-s{number + 1:03d}"
    draws = _generator(reading, "speaker", name)
    is_woman = number % 2 == 0
    variants = WOMEN | HIGH if is_woman else HIGH | LOW
    variant = str(draws.choice(sorted(variants)))
    factor = float(draws.uniform(*((0.92, 1.12) if variant in WOMEN else (1.08, 1.2) if is_woman else (0.85, 1.08))))
    aim = draws.normal(200, 20) if is_woman else draws.normal(112, 14)
    pitch = 12 * np.log2(max(aim, 60.0) / (factor * variants[variant]))
    apart, quick, loud = draws.standard_normal(3)
    return Speaker(
        name=name,
        sex="female" if is_woman else "male",
        voice=f"{draws.choice(VOICES[language])}+{variant}",
        factor=round(factor, 4),
        pitch=round(float(np.clip(pitch, -REACH, REACH)), 4),
        range=round(0.15 * apart, 4),
        rate=round(0.12 * quick, 4),
        level=round(2.0 * loud, 4),
    )


def script(reading: Reading, one: Utterance, audio: Path) -> Script:
    """Draw how an utterance is said, and turn it into settings of espeak-ng and of the microphone."""
    draws = _generator(reading, "manner", one.name)
    z = dict(zip(SPREADS, draws.standard_normal(len(SPREADS)) * list(SPREADS.values()), strict=True))
    said_by = one.speaker
    spread = _within(RANGE * 2 ** (said_by.range + z["range"]), 0, 100)
    middle = 50 + SEMITONE * (said_by.pitch + z["pitch"]) - RANGE_LIFT * (spread - RANGE)
    climb = np.linspace(-0.5, 0.5, len(one.words)) * z["slope"] + EMPHASIS * draws.standard_normal(len(one.words))
    level = float(np.clip(LEVEL + said_by.level + z["loudness"], QUIETEST, LOUDEST))
    return Script(
        audio=str(audio),
        words=one.words,
        spoken=one.words,
        voice=said_by.voice,
        pitches=tuple(_within(middle + SEMITONE * step, 0, 100) for step in climb),
        spread=spread,
        speed=_within(SPEED * 2 ** (said_by.rate + z["rate"]) / said_by.factor, 80, 400),
        level=round(level, 4),
        colour=(round(z["cosine"], 4), round(z["sine"], 4)),
        seed=int(draws.integers(1, 2**31 - 1)),
        factor=said_by.factor,
        tilt=round(z["tilt"], 4),
        room=round(float(draws.uniform(*ROOM)), 4),
    )


def _within(value: float, low: int, high: int) -> int:
    return min(max(round(float(value)), low), high)


def _generator(reading: Reading, *names: str) -> np.random.Generator:
    """Return random numbers that depend on the seed and on these names only, not on languages or hours."""
    text = "/".join((str(reading.seed), "unlabelled", *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def _audio(root: Path, one: Utterance) -> Path:
    return root.absolute() / "audio" / one.language / f"{one.name}.flac"


def _row(root: Path, one: Utterance, version: str) -> dict[str, object]:
    return {
        "utterance": one.name,
        "audio": str(_audio(root, one)),
        "speaker": one.speaker.name,
        "language": one.language,
        "text": one.text,
        "sex": one.speaker.sex,
        "voice": one.speaker.voice,
        "synthetic": f"espeak-ng {version}",
    }
