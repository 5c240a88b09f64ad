"""What a controlled corpus is made of."""

from typing import Literal, Self

from pydantic import Field, model_validator

from sibboleth.corpora.synthetic import emotion
from sibboleth.corpora.synthetic.emotion import EMOTIONS, BestScore, Coding, Emotion
from sibboleth.corpora.synthetic.sentences import SENTENCES
from sibboleth.settings import Settings

Language = Literal["de", "en", "nl", "zh"]
FirstLanguage = Literal["de", "en", "fr", "nl", "zh"]
Leak = Literal["none", "duplicate", "alias"]


class Design(Settings):
    """Languages, emotions, speakers and how emotion is coded; one design makes one corpus, to the bit."""

    languages: tuple[Language, ...] = Field(("de", "en", "nl", "zh"), min_length=1)
    emotions: tuple[Emotion, ...] = Field(EMOTIONS, min_length=2)
    speakers: int = Field(12, ge=2)
    """Speakers per language, women and men in turn."""
    utterances: int = Field(4, ge=1)
    """Utterances per speaker and emotion."""
    sentences: int = Field(16, ge=2, le=len(SENTENCES["en"]))
    """Sentences per language; a multiple of the number of emotions, so that no sentence belongs to an emotion."""
    coding: dict[Language, Coding] = {}
    """How emotion is coded in a language: `alike` in all (where nothing is said), by a cue `unrelated` to that of the
    other languages, or with `permuted` emotions, each coded as elsewhere the next one of `emotions`."""
    accents: dict[Language, FirstLanguage | tuple[FirstLanguage, ...]] = {
        "de": "nl",
        "en": "de",
        "nl": "de",
        "zh": "en",
    }
    """First language of the accented speakers of a language; of several, each is that of as many women and men."""
    accented: int = Field(4, ge=0)
    """Accented speakers among the speakers of each language that has an accent."""
    leak: Leak = "none"
    """A planted defect: recordings that stand under another speaker's name too (`duplicate`), or one speaker of each
    language under two names, recorded in one session (`alias`)."""
    seed: int = 0

    @model_validator(mode="after")
    def _can_be_balanced(self) -> Self:
        if self.sentences % len(self.emotions):
            raise ValueError(f"sentences must be a multiple of the number of emotions, {len(self.emotions)}")
        if self.accented > self.speakers:
            raise ValueError(f"accented must be at most the number of speakers, {self.speakers}")
        for name, values in (("languages", self.languages), ("emotions", self.emotions)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must differ from one another")
        for language in self.accents:
            firsts = self.first_languages(language)
            if language in firsts:
                raise ValueError(f"accents: the first language of accented speakers of {language} cannot be {language}")
            if not firsts or len(set(firsts)) < len(firsts):
                raise ValueError(f"accents: name at least one first language for {language}, each once")
        absent = sorted(set(self.coding) - set(self.languages))
        if absent:
            raise ValueError(f"coding names languages that are not in the design: {', '.join(absent)}")
        return self

    def coded(self, language: Language) -> Coding:
        """Return the coding of a language."""
        return self.coding.get(language, "alike")

    def first_languages(self, language: Language) -> tuple[FirstLanguage, ...]:
        """Return the first languages of the accented speakers of a language."""
        firsts = self.accents.get(language, ())
        return (firsts,) if isinstance(firsts, str) else firsts

    @property
    def coloured(self) -> bool:
        """Say whether the unrelated cue occurs: then it varies in every language."""
        return "unrelated" in self.coding.values()


def best_possible_score(design: Design) -> dict[Language, BestScore]:
    """Return the best UAR that any observer can expect in each language, by simulating the Bayes rule.

    That observer knows the distributions, the speaker's baseline and the cues without error; see `emotion`.
    """
    return {
        language: emotion.best_score(emotion.class_means(design.emotions, design.coded(language)), design.seed)
        for language in design.languages
    }
