"""What whoever runs a test sees while people take it: how many, how far, where they stop, how well they agree."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sibboleth.listeners import answering, export
from sibboleth.listeners.export import Answered
from sibboleth.listeners.session import Course, Listener
from sibboleth.listeners.step import Answer
from sibboleth.listeners.store import AWAY, Seen, Store

STATES = {
    "invited": "invited, not here yet",
    "active": "begun, not finished",
    "finished": "finished",
    "screened": "screened out",
    "withdrawn": "withdrawn",
}
EXPORT = "/admin/export.zip"


@dataclass(frozen=True)
class PartOverview:
    """How far the answers to a part are."""

    name: str
    kind: str
    answers: int
    items: int
    raters: int
    """People who answered the item that fewest did."""
    agreement: str
    measure: str


@dataclass(frozen=True)
class Row:
    """One listener."""

    listener: str
    state: str
    progress: float
    answers: int
    seen: str


@dataclass(frozen=True)
class Overview:
    """The admin page; `web/admin.html` shows it."""

    version: str
    counts: tuple[tuple[str, str], ...]
    parts: tuple[PartOverview, ...]
    stopped: tuple[tuple[str, int], ...]
    failures: tuple[tuple[str, str], ...]
    listeners: tuple[Row, ...]
    exports: tuple[tuple[str, str], ...] = (("Predictions, listeners and answers as CSV", EXPORT),)


def overview(store: Store, course: Course) -> Overview:
    """Look at everything that was answered so far."""
    with store.moment():
        seen = store.seen()
        given = [*store.answers()]
        heard = {one.listener.rater: answering.heard(store, course, one.listener.rater) for one in seen}
    answered: dict[int, list[Answered]] = {}
    durations: dict[int, float] = {}
    for one in given:
        answer = Answer.model_validate_json(one.given)
        durations[one.rater] = durations.get(one.rater, 0.0) + (answer.duration or 0.0)
        if one.item:
            own = answered.setdefault(one.rater, [])
            own.append(Answered(one.rater, len(own), *course.item(one.item), answer))
    every = [one for own in answered.values() for one in own]
    return Overview(
        version=course.test.version,
        counts=tuple(_counts(seen, every, durations)),
        parts=tuple(_part(course, part.name, every) for part in course.test.settings.parts),
        stopped=tuple(_stopped(course, seen)),
        failures=tuple(_failures(course, heard, answered)),
        listeners=tuple(_rows(course, seen, answered)),
    )


def alpha(answered: Sequence[Answered]) -> float:
    """Krippendorff's alpha of first answers, nominal; several labels are one category together."""
    items = {key: row for row, key in enumerate(sorted({one.item.utterance for one in answered}))}
    raters = {who: column for column, who in enumerate(sorted({one.rater for one in answered}))}
    labels = {said: code for code, said in enumerate(sorted({tuple(sorted(one.labels)) for one in answered}))}
    codes = np.full((len(items), len(raters)), -1, np.int64)
    for one in answered:
        codes[items[one.item.utterance], raters[one.rater]] = labels[tuple(sorted(one.labels))]
    if len(raters) < 2 or len(labels) < 2:
        return float("nan")
    from sibboleth.metrics import agreement  # scipy, without which a server starts faster

    return agreement.alpha(codes, np.arange(len(labels), dtype=np.float64))


def _counts(seen: list[Seen], every: list[Answered], durations: dict[int, float]) -> Iterator[tuple[str, str]]:
    states: Counter[str] = Counter(one.listener.status for one in seen)
    now = sum(one.listener.status == "active" and one.ago < AWAY for one in seen)
    yield "at it within the last hour", str(now)
    yield from ((words, str(states[state])) for state, words in STATES.items() if states[state])
    yield "answers to items", str(sum(one.item.role in ("item", "repeat") for one in every))
    done = [durations[one.listener.rater] / 60 for one in seen if one.listener.status == "finished" and durations]
    yield "median minutes of who finished", f"{statistics.median(done):.1f}" if done else "-"
    times = [one.answer.reaction for one in every if one.item.role == "item" and one.answer.reaction is not None]
    yield "median seconds from sound to answer", f"{statistics.median(times):.1f}" if times else "-"


def _part(course: Course, name: str, every: list[Answered]) -> PartOverview:
    asked = {item.key for item in course.test.items if item.part == name and item.role == "item"}
    own = [one for one in every if one.item.key in asked]
    counts = Counter(one.item.key for one in own)
    kind = next(part.kind for part in course.test.settings.parts if part.name == name)
    found = alpha(own) if kind == "choice" and own else float("nan")
    return PartOverview(
        name=name,
        kind=kind,
        answers=len(own),
        items=len(asked),
        raters=min((counts[key] for key in asked), default=0),
        agreement="-" if found != found else f"{found:.2f}",
        measure="Krippendorff's alpha" if kind == "choice" else "",
    )


def _stopped(course: Course, seen: list[Seen]) -> Iterator[tuple[str, int]]:
    """Count by place, in the order of the test, who is not finished and has been away."""
    away = [one.listener for one in seen if one.listener.status == "active" and one.ago >= AWAY]
    places = Counter((_phase(course, one), _place(course, one)) for one in away)
    for (_, place), count in sorted(places.items()):
        yield place, count
    reasons = Counter(one.listener.reason for one in seen if one.listener.status == "screened")
    for reason, count in sorted(reasons.items()):
        yield f"screened out: {'did not consent' if reason == 'consent' else reason}", count


def _phase(course: Course, who: Listener) -> int:
    """Return how far along a place is, alike for all items of a part."""
    planned = course.planned(who.form)
    place = planned[who.due]
    return next(k for k, one in enumerate(planned) if (one.show, one.part) == (place.show, place.part))


def _place(course: Course, who: Listener) -> str:
    planned = course.planned(who.form)[who.due]
    return planned.show if planned.part is None else f"{planned.part.name}: {planned.show}"


def _failures(
    course: Course, heard: dict[int, tuple[int, int]], answered: dict[int, list[Answered]]
) -> Iterator[tuple[str, str]]:
    checks = course.test.settings.checks
    for who, (right, trials) in heard.items():
        catch, wrong = export.catches(answered.get(who, []))
        failed = [f"{wrong} of {catch} catch trials"] if wrong > checks.catch_allowed else []
        if trials == len(course.test.tones) and right < checks.headphones_needed and trials:
            failed.append(f"headphones: {right} of {trials} right")
        if failed:
            yield export.rater(who), ", ".join(failed)


def _rows(course: Course, seen: list[Seen], answered: dict[int, list[Answered]]) -> Iterator[Row]:
    for one in seen:
        who = one.listener
        begun = who.status in ("active", "finished")
        yield Row(
            listener=export.rater(who.rater),
            state=STATES[who.status],
            progress=course.step(who).progress if begun else 0.0,
            answers=len(answered.get(who.rater, [])),
            seen=_ago(one.ago) if begun else "-",
        )


def _ago(seconds: float) -> str:
    for size, words in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {words} ago"
    return "just now"
