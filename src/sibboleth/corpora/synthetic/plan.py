"""Who says what, with which emotion and which prosody: drawn from the design's seed alone, each on its own.

Every draw is seeded by the name of what it is for, so that it does not depend on the order of work.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sibboleth.corpora.synthetic import emotion, phones
from sibboleth.corpora.synthetic.design import Design, FirstLanguage, Language
from sibboleth.corpora.synthetic.emotion import CUES, Array, Emotion
from sibboleth.corpora.synthetic.phones import Phone
from sibboleth.corpora.synthetic.sentences import SENTENCES
from sibboleth.corpora.synthetic.worker import Script

VOICES: dict[FirstLanguage, str] = {
    "de": "gmw/de",
    "en": "gmw/en",
    "fr": "roa/fr",
    "nl": "gmw/nl",
    "zh": "sit/cmn",
}
"""espeak-ng's voice of each language (English is British)."""

WOMEN = ("f2", "f3", "f5", "Annie", "steph", "linda", "f4", "anika", "Andrea", "f1")
MEN = ("m3", "m7", "m1", "m6", "Michael", "m2", "Diogo", "m4", "Gene", "m8", "Mario", "antonio")
"""espeak-ng's voice variants; a language starts where the one before it stopped, so that voices recur late."""

TONES = {"'": "55", ",": "11", "": "11"}
"""Tone that a Mandarin voice gives to the stressed and unstressed syllables of another language."""

SPEED = 165
"""Words per minute of a speaker at the mean rate."""
RANGE = 45
"""espeak-ng's pitch range (0 to 100) at the mean range."""
LEVEL = -28.0
"""Level of a speaker at the mean loudness, dB re full scale."""
SEMITONE = 6.0
"""Steps of espeak-ng's pitch (0 to 100) per semitone."""
RANGE_LIFT = 0.18
"""Steps of pitch by which one step of range lifts the voice; taken off, so that range does not change pitch."""


@dataclass(frozen=True)
class Speaker:
    """A person of the corpus."""

    name: str
    number: int
    """From 0 within the language."""
    language: Language
    sex: str
    accent: FirstLanguage | None
    """First language, where it is not the language spoken."""
    variant: str
    baseline: tuple[float, ...]
    """What the speaker adds to each of `CUES`."""

    @property
    def voice(self) -> str:
        """Name of the voice for espeak-ng: an accented speaker has the voice of the first language."""
        return f"{VOICES[self.accent or self.language]}+{self.variant}"


@dataclass(frozen=True)
class Line:
    """One utterance before it is spoken."""

    name: str
    speaker: Speaker
    known_as: str
    """Name of the speaker in the manifest: another one where an alias is planted."""
    sentence: int
    emotion: Emotion
    drawn: tuple[float, ...]
    """Cues in their spreads, relative to the speaker's baseline."""
    bayes: Emotion
    """What the best possible observer takes it for."""
    seed: int
    """Seed of the voice's and the room's noise."""
    original: str | None = None
    """The utterance that this one is a planted copy of."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words with the punctuation that ends the sentence."""
        return tuple(SENTENCES[self.speaker.language][self.sentence].split())

    @property
    def text(self) -> str:
        """The sentence as it is written."""
        return ("" if self.speaker.language == "zh" else " ").join(self.words)

    @property
    def cues(self) -> dict[str, float]:
        """Cues in their own units, relative to the speaker's baseline."""
        return {cue.name: round(z * cue.spread, 4) for cue, z in zip(CUES, self.drawn, strict=True)}


def generator(design: Design, *names: object) -> np.random.Generator:
    """Return random numbers that depend on the design's seed and on these names only."""
    text = "/".join(str(name) for name in (design.seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def speakers(design: Design) -> list[Speaker]:
    """Return the speakers, women and men in turn; the last `accented` of a language are the accented ones.

    Where they have several first languages, these go round, a woman and a man at a time.
    """
    people: list[Speaker] = []
    women, men = -(-design.speakers // 2), design.speakers // 2
    for place, language in enumerate(design.languages):
        firsts = design.first_languages(language)
        native = design.speakers - design.accented if firsts else design.speakers
        for index in range(design.speakers):
            is_woman = index % 2 == 0
            variants, start = (WOMEN, place * women) if is_woman else (MEN, place * men)
            name = f"{language}-{'f' if is_woman else 'm'}{index // 2 + 1}"
            draws = generator(design, "speaker", name).standard_normal(len(CUES))
            people.append(
                Speaker(
                    name=name,
                    number=index,
                    language=language,
                    sex="female" if is_woman else "male",
                    accent=firsts[(index - native) // 2 % len(firsts)] if index >= native else None,
                    variant=variants[(start + index // 2) % len(variants)],
                    baseline=tuple(round(cue.between_speakers * z, 4) for cue, z in zip(CUES, draws, strict=True)),
                )
            )
    return people


def lines(design: Design, speaker: Speaker) -> list[Line]:
    """Return one speaker's utterances.

    Sentences go round in an order of the language's own, and the emotion moves on by one from sentence to sentence
    and from speaker to speaker: so each speaker has every emotion equally often, and so has every sentence, over as
    many speakers as there are emotions.
    """
    kinds = len(design.emotions)
    order = generator(design, "sentences", speaker.language).permutation(design.sentences)
    said = []
    for item in range(kinds * design.utterances):
        label = (item + item // design.sentences + speaker.number) % kinds
        name = f"{speaker.name}-{item + 1:03d}"
        drawn, answer = _draw(design, speaker, name, label, item // kinds)
        said.append(
            Line(
                name=name,
                speaker=speaker,
                known_as=_known_as(design, speaker, item),
                sentence=int(order[item % design.sentences]),
                emotion=design.emotions[label],
                drawn=tuple(float(z) for z in drawn),
                bayes=design.emotions[answer],
                seed=int(generator(design, "voice", name).integers(1, 2**31 - 1)),
            )
        )
    return said


def _known_as(design: Design, speaker: Speaker, item: int) -> str:
    if design.leak == "alias" and speaker.number == 0 and item >= len(design.emotions) * design.utterances / 2:
        return f"{speaker.language}-f{-(-design.speakers // 2) + 1}"
    return speaker.name


def copies(design: Design, said: Mapping[Speaker, Sequence[Line]]) -> list[Line]:
    """Return the planted duplicates: one line of each emotion of the first speaker under the second one's name."""
    if design.leak != "duplicate":
        return []
    second = {person.language: person for person in said if person.number == 1}
    made = []
    for person in (person for person in said if person.number == 0):
        other = second[person.language]
        for number, line in enumerate(said[person][: len(design.emotions)], start=1):
            name = f"{other.name}-copy-{number}"
            made.append(replace(line, name=name, speaker=other, known_as=other.name, original=line.name))
    return made


def _draw(design: Design, speaker: Speaker, name: str, label: int, turn: int) -> tuple[Array, int]:
    """Draw the cues of an utterance and what the best observer makes of them.

    Cues that mean nothing are the same in all emotions of one turn: not even by chance do they tell the label.
    """
    coding = design.coded(speaker.language)
    means = emotion.class_means(design.emotions, coding)
    drawn = generator(design, "utterance", name).standard_normal(len(CUES)) + means[label]
    idle = np.zeros(len(CUES))
    if design.coloured:
        decoys = emotion.decoy_means(design.emotions, coding)
        idle = generator(design, "turn", speaker.name, turn).standard_normal(len(CUES))
        idle += decoys[(turn + speaker.number) % len(decoys)]
    drawn = np.where(np.any(means != 0, axis=0), drawn, idle)
    return drawn, int(emotion.bayes(drawn[None], means)[0])


@dataclass(frozen=True)
class Pronunciation:
    """What accents need to know of a voice and of the voices it is to sound like."""

    sentences: Mapping[tuple[FirstLanguage, int], Sequence[Sequence[Phone]]]
    """Language and number of a sentence to the phones of its words."""
    inventories: Mapping[FirstLanguage, Mapping[str, str]]
    """Language to its phones and the voice's names for them."""


def script(line: Line, audio: Path, pronunciation: Pronunciation) -> Script:
    """Turn drawn cues into settings of espeak-ng, and accented words into phones."""
    speaker = line.speaker
    words, spoken = _accented(line, pronunciation) if speaker.accent else (line.words, line.words)
    total = {cue.name: line.cues[cue.name] + base for cue, base in zip(CUES, speaker.baseline, strict=True)}
    spread = _within(RANGE * 2 ** total["range"], 0, 100)
    middle = 50 + SEMITONE * total["pitch"] - RANGE_LIFT * (spread - RANGE)
    climb = np.linspace(-0.5, 0.5, len(spoken)) * SEMITONE * total["slope"]
    return Script(
        audio=str(audio),
        words=tuple(word.rstrip(".。") for word in words),
        spoken=tuple(spoken),
        voice=speaker.voice,
        pitches=tuple(_within(middle + step, 0, 100) for step in climb),
        spread=spread,
        speed=_within(SPEED * 2 ** total["rate"], 80, 400),
        level=round(LEVEL + total["loudness"], 4),
        colour=(total["colour_cosine"], total["colour_sine"]),
        seed=line.seed,
    )


def _within(value: float, low: int, high: int) -> int:
    return min(max(round(float(value)), low), high)


def accented_phones(line: Line, pronunciation: Pronunciation) -> list[list[Phone]]:
    """Return the phones that an accented speaker says for each word of a line."""
    speaker = line.speaker
    own = pronunciation.sentences[speaker.language, line.sentence]
    return [phones.accented(word, pronunciation.inventories[speaker.accent or speaker.language]) for word in own]


def _accented(line: Line, pronunciation: Pronunciation) -> tuple[list[str], list[str]]:
    """Return words and what to say for them; words said as one become one."""
    words: list[str] = []
    spoken: list[str] = []
    for word, said in zip(line.words, accented_phones(line, pronunciation), strict=True):
        if not said and words:
            words[-1] += f" {word}"
            continue
        words.append(word)
        spoken.append(f"[[{'|'.join(_written(phone, line.speaker.accent) for phone in said)}]]")
    return words, [*spoken[:-1], spoken[-1] + "."]


def _written(phone: Phone, language: FirstLanguage | None) -> str:
    tone = TONES[phone.stress] if language == "zh" and phones.is_vowel(phone.ipa) else ""
    return phone.stress + phone.name + tone
