"""What people answered, as tables that say nothing of who they are: no tokens, platform identifiers, addresses, times.

Practice and catch trials are not in the predictions; nothing of who has withdrawn is in any table but their number.
"""

import dataclasses
import io
import statistics
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sibboleth import predictions, runs
from sibboleth.listeners.session import Course, Listener
from sibboleth.listeners.settings import PartSettings
from sibboleth.listeners.step import Answer, Background
from sibboleth.listeners.store import Given, Store
from sibboleth.listeners.test import Item

NONE = "none"
"""Label of `none of these`, and of a recording in which nothing was marked."""
AGES = (18, 25, 35, 45, 55, 65, 75)
"""Where bands of age begin."""


@dataclass(frozen=True)
class Export:
    """All tables."""

    predictions: pl.DataFrame
    listeners: pl.DataFrame
    """A row per listener who answered anything or withdrew: language background, checks, how far, how fast."""
    answers: pl.DataFrame
    """A row per answer to an item, practice and catch trials too: plays, seconds, whether it was right."""


@dataclass(frozen=True)
class Answered:
    """An answer to an item."""

    rater: int
    place: int
    """Which of the listener's items it was, from 0."""
    item: Item
    part: PartSettings
    answer: Answer
    fetched: int | None = None
    """How often its sound was handed out, where playings are limited."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What was answered, as labels."""
        if self.part.kind == "text":
            return (self.answer.text,)
        given = self.answer.labels or tuple(region.label for region in self.answer.regions)
        return given or (NONE,)

    @property
    def right(self) -> bool:
        """Whether it is what the item's answer is, for a text but for capitals, points and spaces."""
        if self.part.kind == "text":
            return _words(self.answer.text) == _words(self.item.answer)
        return set(self.labels) == {self.item.answer}


def rater(number: int) -> str:
    """Name a listener in tables."""
    return f"L{number:04}"


def export(store: Store, course: Course) -> Export:
    """Make the tables of everything that was answered so far."""
    with store.moment():
        listeners = [one.listener for one in store.seen() if one.listener.due or one.listener.status == "withdrawn"]
        given, handed = [*store.answers()], store.handed()
    return tables(course, listeners, given, handed)


def tables(
    course: Course,
    listeners: Sequence[Listener],
    given: Iterable[Given],
    handed: Mapping[tuple[int, int], int] | None = None,
) -> Export:
    """Make the tables of some listeners and their answers; `handed` says how often each step's sound was handed out."""
    answered: dict[int, list[Answered]] = {}
    others: dict[int, dict[int, tuple[str, Answer]]] = {}
    for one in given:
        answer = Answer.model_validate_json(one.given)
        if one.item:
            own = answered.setdefault(one.rater, [])
            fetched = (handed or {}).get((one.rater, one.step))
            own.append(Answered(one.rater, len(own), *course.item(one.item), answer, fetched))
        else:
            others.setdefault(one.rater, {})[one.step] = one.show, answer
    every = [one for own in answered.values() for one in own]
    people = [_person(course, who, answered.get(who.rater, []), others.get(who.rater, {})) for who in listeners]
    return Export(
        predictions=table(course.test.settings.name, every),
        listeners=_wide(people),
        answers=pl.DataFrame([*map(_row, every)], schema=_ANSWERS, orient="row"),
    )


def table(run: str, answered: Iterable[Answered]) -> pl.DataFrame:
    """Return answers to items and repeats as predictions; what comes a second time is another trial."""
    trials: Counter[tuple[int, str, str, str]] = Counter()
    rows: list[dict[str, Any]] = []
    for one in answered:
        if one.item.role not in ("item", "repeat"):
            continue
        for target, values in _targets(one).items():
            what = one.rater, one.item.utterance, target, one.part.kind if target == one.part.target else ""
            common = {"rater": rater(one.rater), "utterance": one.item.utterance, "target": target}
            rows += [{**common, "trial": trials[what], **value} for value in values]
            trials[what] += 1
    frame = pl.DataFrame(rows, schema={name: predictions.SCHEMA[name] for name in _FILLED})
    filled = frame.with_columns(run=pl.lit(run), source=pl.lit("listener"), layer=pl.lit(None, pl.Int32))
    return predictions.validate(filled.select(list(predictions.SCHEMA)))


_FILLED = ("rater", "utterance", "target", "trial", "start", "end", "label", "value")


def _targets(one: Answered) -> dict[str, list[dict[str, Any]]]:
    """Return the values of an answer by what they are of: the target, and scales beside it."""
    found = {one.part.target: [*_values(one)]}
    for name in ("intensity", "confidence"):
        if (value := getattr(one.answer, name)) is not None:
            found[f"{one.part.target}.{name}"] = [{"value": float(value)}]
    return found


def _values(one: Answered) -> Iterator[dict[str, Any]]:
    if one.part.kind == "segments":
        stretches = {(region.start, region.end, region.label) for region in one.answer.regions}
        for start, end, label in sorted(stretches or {(0.0, one.item.seconds, NONE)}):
            yield {"start": start, "end": end, "label": label, "value": 1.0}
        return
    for label in one.labels:
        yield {"label": label, "value": 1 / len(one.labels)}


def catches(answered: Iterable[Answered]) -> tuple[int, int]:
    """Count catch trials answered, and those answered wrongly."""
    right = [one.right for one in answered if one.item.role == "catch"]
    return len(right), right.count(False)


def _person(
    course: Course, who: Listener, answered: list[Answered], others: dict[int, tuple[str, Answer]]
) -> dict[str, Any]:
    said = next((answer.background for _, answer in others.values() if answer.background), None)
    trials = course.trials()
    tones = [(trials[step], answer) for step, (show, answer) in others.items() if show == "headphones"]
    catch, wrong = catches(answered)
    judged = [one for one in answered if one.item.role in ("item", "repeat")]
    reactions = [one.answer.reaction for one in judged if one.answer.reaction is not None]
    return {
        "rater": rater(who.rater),
        "status": who.status,
        "reason": who.reason or None,
        "form": who.form,
        "answers": len(judged),
        **_said(said),
        "headphone_trials": len(tones),
        "headphones_right": course.heard(tones),
        "catch_trials": catch,
        "catch_wrong": wrong,
        "catch_failed": wrong > course.test.settings.checks.catch_allowed,
        "median_reaction": statistics.median(reactions) if reactions else None,
        "mean_plays": statistics.fmean(one.answer.plays for one in judged) if judged else None,
        "fetched_again": sum((one.fetched or 0) > 1 for one in judged),
    }


def _said(said: Background | None) -> dict[str, Any]:
    if said is None:
        return {"first_language": None, "age": None, "gender": None, "hearing": None}
    return {
        "first_language": "; ".join(said.first),
        "age": _band(said.age),
        "gender": said.gender or None,
        "hearing": said.hearing,
        **{f"native.{name}": True for name in said.first},
        **{f"level.{name}": level for name, level in said.levels.items()},
        **{f"years.{name}": years for name, years in said.years.items()},
    }


def _band(age: int | None) -> str | None:
    if age is None:
        return None
    begins = [start for start in AGES if start <= age]
    if not begins:
        return f"under {AGES[0]}"
    ends = [start for start in AGES if start > age]
    return f"{begins[-1]}-{ends[0] - 1}" if ends else f"{begins[-1]} and over"


def _wide(people: list[dict[str, Any]]) -> pl.DataFrame:
    """Make a table in which every listener has the columns of all; whose background is known is native or is not."""
    names = dict.fromkeys(name for person in people for name in person)
    asked = ("native.", "level.", "years.")
    plain = [name for name in names if not name.startswith(asked)]
    more = sorted(name for name in names if name.startswith(asked))
    rows = [
        [
            person.get(name, False if name.startswith("native.") and person["first_language"] is not None else None)
            for name in (*plain, *more)
        ]
        for person in people
    ]
    return pl.DataFrame(rows, schema=[*plain, *more], orient="row", infer_schema_length=None)


_ANSWERS: dict[str, type[pl.DataType]] = {
    "rater": pl.String,
    "place": pl.Int32,
    "part": pl.String,
    "role": pl.String,
    "utterance": pl.String,
    "right": pl.Boolean,
    "plays": pl.Int32,
    "fetched": pl.Int32,
    "reaction": pl.Float64,
    "duration": pl.Float64,
}


def _row(one: Answered) -> tuple[Any, ...]:
    known = one.item.answer and one.part.kind != "segments"
    right = one.right if known else None
    item, answer = one.item, one.answer
    named = item.utterance or None
    times = answer.plays, one.fetched, answer.reaction, answer.duration
    return rater(one.rater), one.place, one.part.name, item.role, named, right, *times


def archive(tables: Export) -> bytes:
    """Return the tables as CSV files in a ZIP."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, frame in named(tables).items():
            packed.writestr(f"{name}.csv", runs.csv(frame))
    return file.getvalue()


def named(tables: Export) -> dict[str, pl.DataFrame]:
    """Return the tables by the names of their files."""
    return {field.name: getattr(tables, field.name) for field in dataclasses.fields(tables)}


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()
