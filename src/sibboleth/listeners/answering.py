"""What listeners do, from their browser into the store. Each function is called inside a transaction."""

from collections.abc import Mapping, Sequence

from sibboleth.listeners.session import Course, Listener
from sibboleth.listeners.step import Answer
from sibboleth.listeners.store import Given, Store


class Ahead(ValueError):
    """An answer to a step that is still to come."""


def begin(store: Store, people: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the token of a new listener, or another one of whoever came from the platform as the same person.

    `people` are what the platform said; the first of `names` that it said tells the person.
    """
    known = next((name for name in names[:1] if people.get(name)), None)
    before = store.person(known, people[known]) if known else None
    return store.enrol(people) if before is None else store.another(before.rater)


def give(store: Store, course: Course, token: str, answer: Answer) -> Listener | None:
    """Keep an answer, and return how far the listener is now; None where the token is of nobody.

    An answer to a step that was answered changes nothing. Raises `Ahead` of one that is still to come, and
    `session.Unfit` of one that does not fit.
    """
    listener = store.listener(token)
    if listener is None or answer.step < listener.due or listener.status not in ("invited", "active"):
        return listener
    if answer.step > listener.due:
        raise Ahead(f"step {answer.step} is still to come; {listener.due} is due")
    taken = course.take(listener, answer)
    planned = course.planned(listener.form)[listener.due]
    given = answer.model_dump_json(exclude_defaults=True)
    item = planned.item.key if planned.item is not None else ""
    store.put(Given(listener.rater, listener.due, planned.show, item, given))
    if taken.deal:
        store.deal(listener.rater, course.forms)
    status, reason = taken.status, taken.reason
    if status == "active" and not _passed(store, course, listener):
        status, reason = "screened", "headphones"
    if status != listener.status:
        store.move(listener.rater, status, reason)
    return store.numbered(listener.rater)


def heard(store: Store, course: Course, rater: int) -> tuple[int, int]:
    """Count a listener's right headphone trials, and all that were answered."""
    trials = course.trials()
    given = [one for one in store.answers(rater) if one.step in trials]
    answers = [(trials[one.step], Answer.model_validate_json(one.given)) for one in given]
    return course.heard(answers), len(answers)


def _passed(store: Store, course: Course, listener: Listener) -> bool:
    """Say whether the listener may go on after the step that was just answered."""
    checks = course.test.settings.checks
    if checks.headphones_fail != "screen-out" or listener.due != max(course.trials(), default=-1):
        return True
    right, _ = heard(store, course, listener.rater)
    return right >= checks.headphones_needed
