"""Which step a listener is at, what it shows and what an answer does: functions of test and answers alone."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sibboleth.listeners import words as language
from sibboleth.listeners.settings import PartSettings
from sibboleth.listeners.step import Answer, Background, Choice, Scale, Show, Step
from sibboleth.listeners.test import Item, Test
from sibboleth.listeners.vocabulary import Words

Status = Literal["invited", "active", "finished", "screened", "withdrawn"]

BREAK = "|"
_SLACK = 0.05
"""Seconds by which a region may end after its recording, as players round."""
_LONGEST_NAME = 80


class Unfit(ValueError):
    """An answer that does not fit its step."""


@dataclass(frozen=True)
class Listener:
    """How far somebody is."""

    rater: int
    form: int | None
    """Order of items; none before it is known that the listener fits."""
    status: Status
    reason: str
    """Why screened out."""
    due: int
    """Number of the step that is due, which is how many were answered."""


@dataclass(frozen=True)
class Planned:
    """A step as it stands in a form."""

    show: Show
    item: Item | None = None
    part: PartSettings | None = None
    practice: bool = False
    trial: int = 0
    text: str = ""


@dataclass(frozen=True)
class Taken:
    """What follows from an answer."""

    status: Status
    reason: str = ""
    deal: bool = False
    """Whether a form is to be dealt."""


class Course:
    """The steps of a test, in the order in which listeners meet them."""

    def __init__(self, test: Test, words: Words, peaks: Mapping[str, tuple[float, ...]] | None = None) -> None:
        """Lay out all forms; `peaks` are the waveforms of sounds, by name."""
        self.test = test
        self.words = words
        self.peaks = peaks or {}
        self._items = {item.key: item for item in test.items}
        self._parts = {part.name: part for part in test.settings.parts}
        self._before = tuple(self._planned_before())
        self._forms = {form.number: (*self._before, *self._planned(form.items)) for form in test.forms}
        self._length = max(len(planned) for planned in self._forms.values())

    @property
    def forms(self) -> tuple[int, ...]:
        """Numbers of the forms."""
        return tuple(self._forms)

    def item(self, key: str) -> tuple[Item, PartSettings]:
        """Return an item and its part."""
        item = self._items[key]
        return item, self._parts[item.part]

    def planned(self, form: int | None) -> tuple[Planned, ...]:
        """Return the steps of a form; without one, those before any item."""
        return self._before if form is None else self._forms[form]

    def step(self, listener: Listener) -> Step:
        """Return what a listener is shown now."""
        if listener.status in ("finished", "screened", "withdrawn"):
            return self._end(listener)
        planned = self.planned(listener.form)[listener.due]
        step = Step(step=listener.due, show=planned.show, progress=listener.due / self._length, text=planned.text)
        return step.model_copy(update=self._shown(planned))

    def counted(self, listener: Listener) -> str:
        """Name the sound of the step that is due, if it may only be played so often; else empty."""
        if listener.status != "active":
            return ""
        planned = self.planned(listener.form)[listener.due]
        return planned.item.audio if planned.item and planned.part and planned.part.plays else ""

    def take(self, listener: Listener, answer: Answer) -> Taken:
        """Say what an answer to the step that is due leads to; raises `Unfit` where it is no answer to it."""
        planned = self.planned(listener.form)[listener.due]
        if planned.show == "consent" and not answer.agreed:
            return Taken("screened", "consent")
        if planned.show == "background":
            if answer.background is None:
                raise Unfit("background: missing")
            _require_background(answer.background)
            reason = self._misfit(answer.background)
            return Taken("screened", reason) if reason else Taken("active", deal=True)
        if planned.show == "headphones" and answer.tone is None:
            raise Unfit("tone: missing")
        if planned.item is not None and planned.part is not None:
            _require_answer(planned.item, planned.part, answer)
        last = listener.form is not None and listener.due + 1 == len(self.planned(listener.form))
        return Taken("finished" if last else "active")

    def trials(self) -> dict[int, int]:
        """Map the number of each headphone step to its trial."""
        return {number: p.trial for number, p in enumerate(self._before) if p.show == "headphones"}

    def heard(self, answers: Iterable[tuple[int, Answer]]) -> int:
        """Count the headphone trials, given as trial and answer, in which the quietest tone was found."""
        return sum(answer.tone == self.test.tones[trial].quietest for trial, answer in answers)

    def _planned_before(self) -> Iterator[Planned]:
        settings, words = self.test.settings, self.words
        yield Planned("consent", text=settings.consent or words.consent.text)
        yield Planned("background", text=words.background.text)
        yield Planned("instructions", text=settings.instructions or words.instructions.text)
        if self.test.loudness:
            yield Planned("loudness", text=words.loudness.text)
        for trial in range(len(self.test.tones)):
            yield Planned("headphones", trial=trial, text=words.headphones.text)

    def _planned(self, keys: Iterable[str]) -> Iterator[Planned]:
        met: set[tuple[str, bool]] = set()
        for key in keys:
            if key == BREAK:
                yield Planned("break", text=self.words.part.rest_text)
                continue
            item, part = self.item(key)
            practice = item.role == "practice"
            if (part.name, practice) not in met:
                told = "\n\n".join(self._introduced(part, practice, (part.name, True) in met))
                yield Planned("part", part=part, practice=practice, text=told)
                met.add((part.name, practice))
            yield Planned("item", item, part, practice)
            if practice and part.feedback and item.answer:
                named = language.label(self.words, item.answer, part.shown)
                yield Planned("feedback", part=part, practice=True, text=named)

    def _introduced(self, part: PartSettings, practice: bool, practised: bool) -> Iterator[str]:
        words = self.words.instructions
        if practised:
            yield words.earnest
            return
        yield {"choice": words.choice, "text": words.text_kind, "segments": words.segments}[part.kind]
        if part.several:
            yield words.several
        if practice:
            yield words.practice

    def _shown(self, planned: Planned) -> dict[str, object]:
        """Fill in what only steps of one kind have."""
        people = self.test.settings.people
        if planned.show == "background":
            return {
                "languages": people.languages,
                "dialects": people.dialects,
                "hearing": people.hearing != "leave",
                "least_age": people.least_age,
            }
        if planned.show == "headphones":
            tones = self.test.tones[planned.trial].audio
            return {"tones": tones, "question": self.words.headphones.question}
        if planned.show == "loudness":
            return {"audio": self.test.loudness}
        if planned.part is None:
            return {}
        question = self._question(planned.part, planned.item)
        of_part = {"kind": planned.part.kind, "practice": planned.practice, "question": question}
        return of_part | (self._asked(planned.item, planned.part) if planned.item is not None else {})

    def _question(self, part: PartSettings, item: Item | None) -> str:
        if item is not None and item.role == "catch":
            return language.fill(self.words.part.catch, label=language.label(self.words, item.answer, part.shown))
        return part.question or language.question(self.words, part.kind, part.target)

    def _asked(self, item: Item, part: PartSettings) -> dict[str, object]:
        labels = () if part.kind == "text" else item.labels
        return {
            "choices": tuple(Choice(label=one, words=language.label(self.words, one, part.shown)) for one in labels),
            "several": part.several,
            "none": part.none,
            "scales": tuple(self._scales(part)),
            "audio": item.audio,
            "seconds": item.seconds,
            "peaks": self.peaks.get(item.audio, ()) if part.kind == "segments" else (),
            "plays": part.plays,
        }

    def _scales(self, part: PartSettings) -> Iterator[Scale]:
        words = self.words.scale
        if part.intensity:
            low, high = part.intensity.low or words.intensity_low, part.intensity.high or words.intensity_high
            yield Scale(name="intensity", points=part.intensity.points, low=low, high=high)
        if part.confidence:
            low, high = part.confidence.low or words.confidence_low, part.confidence.high or words.confidence_high
            yield Scale(name="confidence", points=part.confidence.points, low=low, high=high)

    def _end(self, listener: Listener) -> Step:
        codes, words = self.test.settings.codes, self.words
        if listener.status == "withdrawn":
            return Step(step=listener.due, show="withdrawn", progress=1, text=words.withdraw.done)
        if listener.status == "finished":
            return Step(step=listener.due, show="done", progress=1, text=words.done.text, **_coded(codes.completion))
        if listener.reason == "consent":  # their own wish, so there is nothing to explain or to pay
            return Step(step=listener.due, show="screened", progress=1)
        text = words.done.screened_text
        return Step(step=listener.due, show="screened", progress=1, text=text, **_coded(codes.screen_out))

    def _misfit(self, said: Background) -> str:
        """Say why a listener does not fit; empty if so."""
        people = self.test.settings.people
        if said.age is not None and said.age < people.least_age:
            return "age"
        wanted = {name.strip().casefold() for name in people.first_language}
        if wanted and not wanted & {name.strip().casefold() for name in said.first}:
            return "first language"
        return "hearing" if people.hearing == "screen-out" and said.hearing == "loss" else ""


def _coded(code: str) -> dict[str, str]:
    return {"link": code} if code.startswith(("https://", "http://")) else {"code": code}


def _require_background(said: Background) -> None:
    names = [*said.first, *said.levels, *said.years]
    if not said.first or any(not name.strip() or len(name) > _LONGEST_NAME for name in names):
        raise Unfit(f"background: name at least one first language, every language in 1 to {_LONGEST_NAME} characters")
    if any(not 0 <= level <= 5 for level in said.levels.values()):
        raise Unfit("background.levels: from 0 to 5")
    if any(not 0 <= years <= 120 for years in said.years.values()):  # false of NaN, too
        raise Unfit("background.years: from 0 to 120")


def _require_answer(item: Item, part: PartSettings, answer: Answer) -> None:
    """Raise `Unfit` where an answer is none to what was asked."""
    given = answer.labels if part.kind == "choice" else ()
    if part.kind == "choice":
        least, most = 0 if part.none else 1, len(item.labels) if part.several else 1
        if not least <= len(given) <= most or len(set(given)) < len(given) or not set(given) <= set(item.labels):
            raise Unfit(f"labels: {least} to {most} of what may be chosen")
    elif answer.labels:
        raise Unfit("labels: not asked for")
    if answer.regions and part.kind != "segments":
        raise Unfit("regions: not asked for")
    for region in answer.regions:
        if not region.start < region.end <= item.seconds + _SLACK or region.label not in item.labels:
            raise Unfit("regions: a stretch of the recording, with one of the labels")
    if part.plays and answer.plays > part.plays:
        raise Unfit(f"plays: {part.plays} at most")
    for name, scale in (("intensity", part.intensity), ("confidence", part.confidence)):
        value = getattr(answer, name)
        if (value is not None) if scale is None else not 1 <= (value or math.nan) <= scale.points:
            raise Unfit(f"{name}: {'not asked for' if scale is None else f'from 1 to {scale.points}'}")
