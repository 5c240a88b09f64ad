"""Simulation: listeners with known ability take a drawn test, to try its analysis before people are asked.

Their answers have the source `simulated` and are never shown as people's.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from sibboleth.listeners import export
from sibboleth.listeners.export import Export
from sibboleth.listeners.session import Course, Listener, Planned
from sibboleth.listeners.settings import PartSettings, ScaleSettings
from sibboleth.listeners.step import Answer, Background, Region
from sibboleth.listeners.store import Given
from sibboleth.listeners.test import Item

NATIVE, FOREIGN, SPREAD = 2.0, 1.0, 0.5
"""Mean ability, in logits, with items in a listener's first language and in others, and its standard deviation."""
UNFAMILIAR = 1.0
"""Logits that a listener loses with items in a dialect that the test asks about and they have not heard."""
YEARS = 10.0
"""For which the others have heard it: every second listener of each first language."""
DIFFICULTY = 1.0
"""Standard deviation of items' difficulty, in logits."""
LAPSE = 0.02
"""Share of answers that are given without having listened."""
CARELESS = 0.08
"""Share of listeners who always answer so."""
FAVOURED = 0.7
"""Share of an item's wrong answers that fall on the same wrong label."""
JITTER = 0.15
"""Standard deviation in seconds of the borders that listeners draw."""
UNKNOWN = "unknown"
"""First language where no item's is known."""


@dataclass(frozen=True)
class Simulated:
    """What is true of a simulated listener."""

    rater: int
    first: str
    ability: float
    """In logits, beside what comes of the language."""
    careless: bool
    exposed: bool
    """Whether they have heard the dialects that the test asks about."""


def simulate(course: Course, count: int, seed: int) -> Export:
    """Let `count` simulated listeners take a test; the tables are those of people but for source and names.

    A listener answers an item rightly with chance guess + (1 - guess) / (1 + exp(difficulty - ability)), a Rasch model
    with guessing; items and listeners follow from the seed and their names, and more listeners change none before.
    """
    languages = sorted({item.values["language"] for item in course.test.items if "language" in item.values})
    listeners, given = [], []
    for number in range(1, count + 1):
        random = np.random.default_rng([seed, number])
        first = languages[(number - 1) % len(languages)] if languages else UNKNOWN
        ability, careless = float(random.normal(0, SPREAD)), bool(random.random() < CARELESS)
        who = Simulated(number, first, ability, careless, (number - 1) // max(len(languages), 1) % 2 == 0)
        took = _Taking(course, who, seed, random)
        given += list(took.answers())
        listeners.append(took.listener)
    made = export.tables(course, listeners, given)
    renamed = pl.col("rater").str.replace("^L", "simulated-")
    return Export(
        predictions=made.predictions.with_columns(renamed, source=pl.lit("simulated")),
        listeners=made.listeners.with_columns(renamed),
        answers=made.answers.with_columns(renamed),
    )


class _Taking:
    """One simulated listener, step by step."""

    def __init__(self, course: Course, who: Simulated, seed: int, random: np.random.Generator) -> None:
        self._course, self._who, self._seed, self._random = course, who, seed, random
        self.listener = Listener(who.rater, None, "active", "", 0)

    def answers(self) -> Iterator[Given]:
        forms = self._course.forms
        while self.listener.status == "active":
            now = self.listener
            planned = self._course.planned(now.form)[now.due]
            answer = self._answer(planned, now.due)
            taken = self._course.take(now, answer)
            form = forms[(self._who.rater - 1) % len(forms)] if taken.deal else now.form
            self.listener = replace(now, form=form, status=taken.status, reason=taken.reason, due=now.due + 1)
            key = planned.item.key if planned.item else ""
            yield Given(self._who.rater, now.due, planned.show, key, answer.model_dump_json())

    def _answer(self, planned: Planned, step: int) -> Answer:
        if planned.item is not None and planned.part is not None:
            return self._judged(planned.item, planned.part, step)
        if planned.show == "headphones":
            right = self._course.test.tones[planned.trial].quietest
            guess = int(self._random.integers(3))
            return Answer(step=step, tone=guess if self._guesses() else right)
        if planned.show == "background":
            age = int(self._random.integers(20, 60))
            years = dict.fromkeys(self._course.test.settings.people.dialects, YEARS if self._who.exposed else 0.0)
            said = Background(age=age, gender="", first=(self._who.first,), years=years, hearing="normal")
            return Answer(step=step, background=said)
        return Answer(step=step, agreed=True)

    def _strange(self, item: Item) -> bool:
        asked = {name.casefold() for name in self._course.test.settings.people.dialects}
        return not self._who.exposed and item.values.get("dialect", "").casefold() in asked

    def _guesses(self) -> bool:
        return self._who.careless or bool(self._random.random() < LAPSE)

    def _judged(self, item: Item, part: PartSettings, step: int) -> Answer:
        guesses, nature = self._guesses(), _nature(item, self._seed)
        known = item.values.get("language", self._who.first) == self._who.first
        clear = (NATIVE if known else FOREIGN) + self._who.ability - float(nature.normal(0, DIFFICULTY))
        clear -= UNFAMILIAR if self._strange(item) else 0.0
        knows = not guesses and (item.role == "catch" or bool(self._random.random() < 1 / (1 + np.exp(-clear))))
        reaction = float(self._random.lognormal(0.3 if knows else 0.7, 0.4))
        common = {
            "plays": 1 + int(self._random.random() < 0.2),
            "reaction": reaction,
            "duration": reaction + item.seconds,
        }
        scales = {
            "intensity": _scaled(part.intensity, float(self._random.normal(0.5, 0.2))),
            "confidence": _scaled(part.confidence, float(self._random.normal(1 / (1 + np.exp(-clear)), 0.15))),
        }
        if part.kind == "text":
            kept = [
                word
                for word in item.answer.split()
                if not guesses and self._random.random() < 1 / (1 + np.exp(-clear - 2))
            ]
            return Answer(step=step, text=" ".join(kept) or "-", **common, **scales)
        label = self._label(item, knows, guesses, nature)
        if part.kind == "choice":
            return Answer(step=step, labels=(label,), **common, **scales)
        regions = self._marked(item, knows, guesses, nature) if item.segments else self._regions(item, label, nature)
        return Answer(step=step, regions=regions, **common, **scales)

    def _label(self, item: Item, knows: bool, guesses: bool, nature: np.random.Generator) -> str:
        """Choose a label: who knows it not guesses any, or falls for the wrong one that the item suggests."""
        wrong = [label for label in item.labels if label != item.answer]
        favoured = str(nature.choice(wrong)) if wrong else item.answer
        if knows and item.answer in item.labels:
            return item.answer
        if not guesses and self._random.random() < FAVOURED * (1 - 1 / len(item.labels)):
            return favoured
        return str(self._random.choice(np.asarray(item.labels)))

    def _marked(self, item: Item, knows: bool, guesses: bool, nature: np.random.Generator) -> tuple[Region, ...]:
        """Mark the segments that the item has in truth, their borders somewhat off, with labels that may be wrong."""
        found = []
        for start, end, label in item.segments:
            if label not in item.labels:
                continue
            said = self._label(item.model_copy(update={"answer": label}), knows, guesses, nature)
            first, last = np.clip([start, end] + self._random.normal(0, JITTER, 2), 0, item.seconds)
            if last > first:
                found.append(Region(start=round(float(first), 3), end=round(float(last), 3), label=said))
        return tuple(found)

    def _regions(self, item: Item, label: str, nature: np.random.Generator) -> tuple[Region, ...]:
        """Mark a stretch of the item, alike for all listeners, its borders somewhat off."""
        start, long = nature.uniform(0, 0.5) * item.seconds, nature.uniform(0.3, 0.5) * item.seconds
        first = float(np.clip(start + self._random.normal(0, JITTER), 0, 0.9 * item.seconds))
        last = float(np.clip(start + long + self._random.normal(0, JITTER), first + 0.05 * item.seconds, item.seconds))
        return (Region(start=round(first, 3), end=round(max(last, first + 0.01), 3), label=label),)


def _nature(item: Item, seed: int) -> np.random.Generator:
    """Return what decides about an item alike for all listeners and both times it comes."""
    named = f"{seed}/{item.part}/{item.utterance or item.key}"
    return np.random.default_rng(list(hashlib.sha256(named.encode()).digest()))


def _scaled(scale: ScaleSettings | None, value: float) -> int | None:
    return None if scale is None else 1 + int(np.clip(round(value * (scale.points - 1)), 0, scale.points - 1))
