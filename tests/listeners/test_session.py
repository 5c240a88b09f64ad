"""From a drawn test and a listener's place to what is shown, and from an answer to what follows."""

from dataclasses import replace
from typing import Any

import pytest
from tests.listeners import small

from sibboleth.listeners import words
from sibboleth.listeners.session import Course, Listener, Unfit
from sibboleth.listeners.settings import PeopleSettings
from sibboleth.listeners.step import Answer

SHOWN = [
    *("consent", "background", "instructions", "loudness"),
    *("part", "item", "feedback"),
    *("part", "item", "item", "break", "item", "item"),
    *("part", "item", "part", "item"),
]
NEW = Listener(rater=1, form=None, status="active", reason="", due=0)


def course(**changes: Any) -> Course:
    return Course(small.drawn(**changes), words.read("en"), {"sounds": (0.5, 1.0)})


def walk(made: Course, form: int = 0) -> list[dict[str, Any]]:
    """Take the whole test, each step answered as most would, and return what was shown."""
    shown, listener = [], NEW
    while listener.status == "active":
        step = made.step(listener).model_dump()
        shown.append(step)
        taken = made.take(listener, Answer.model_validate(small.answer(step)))
        listener = replace(
            listener, due=listener.due + 1, status=taken.status, form=form if taken.deal else listener.form
        )
    return [*shown, made.step(listener).model_dump()]


def at(made: Course, show: str, kind: str | None = None) -> tuple[Listener, dict[str, Any]]:
    """Go to the first step that shows this."""
    number = next(s["step"] for s in walk(made) if s["show"] == show and kind in (None, s["kind"]))
    listener = replace(NEW, due=number, form=0 if number >= 2 else None)
    return listener, made.step(listener).model_dump()


def test_a_listener_meets_every_step_in_order_and_then_the_end() -> None:
    shown = walk(course(codes={"completion": "C0DE"}))
    assert [step["show"] for step in shown] == [*SHOWN, "done"]
    assert [step["step"] for step in shown] == list(range(len(SHOWN) + 1))
    assert [step["audio"] for step in shown if step["show"] == "item"] == [
        *("soundp", "sounda", "soundb", "soundc", "sounda", "sounds", "soundt")
    ]
    progress = [step["progress"] for step in shown]
    assert progress == sorted(progress) and (progress[0], progress[-1]) == (0, 1)
    assert (shown[-1]["code"], shown[-1]["link"]) == ("C0DE", "")


def test_what_is_shown_tells_neither_utterance_nor_role_nor_answer() -> None:
    """But the answer in practice, afterwards, and in the words of a catch trial."""
    shown = walk(course())
    items = [step for step in shown if step["show"] == "item"]
    assert not any("own:" in str(step) or "Lappen" in str(step) or "catch" in str(step) for step in shown)
    assert {name for step in items for name in step} == set(shown[0])  # a step has no field that others have not
    regular, repeated = items[1], items[4]
    assert {k: v for k, v in regular.items() if k not in ("step", "progress")} == {
        k: v for k, v in repeated.items() if k not in ("step", "progress")
    }
    assert [step["text"] for step in shown if step["show"] == "feedback"] == ["Happiness"]
    assert "choose “Happiness”" in items[3]["question"]
    assert [step["practice"] for step in items] == [True] + [False] * 6


def test_headphone_trials_come_before_the_parts_and_are_counted() -> None:
    made = course(tones=6)
    shown = [step["show"] for step in walk(made)]
    assert shown == [*SHOWN[:4], *["headphones"] * 6, *SHOWN[4:], "done"]
    assert made.trials() == {4 + k: k for k in range(6)}
    answers = [(trial, Answer(step=4 + trial, tone=tone)) for trial, tone in enumerate((1, 1, 0, 2, 1, 1))]
    assert made.heard(answers) == 4


@pytest.mark.parametrize(
    ("people", "said", "reason"),
    [
        ({}, {"age": 17}, "age"),
        ({"least_age": 16}, {"age": 17}, ""),
        ({}, {"age": None}, ""),
        ({"languages": ["de", "nl"], "first_language": ["DE", "nl"]}, {"first": ["en", "de"]}, ""),
        ({"languages": ["nl"], "first_language": ["nl"]}, {"first": ["en", "de"]}, "first language"),
        ({"hearing": "screen-out"}, {"hearing": "loss"}, "hearing"),
        ({"hearing": "screen-out"}, {"hearing": "unsaid"}, ""),
        ({"hearing": "ask"}, {"hearing": "loss"}, ""),
    ],
)
def test_who_does_not_fit_is_screened_out_before_a_form_is_dealt(
    people: dict[str, Any], said: dict[str, Any], reason: str
) -> None:
    made = course(people=people, codes={"screen_out": "https://example.org/out"})
    listener, step = at(made, "background") if not reason else (replace(NEW, due=1), {"step": 1})
    given = {"first": ["de"], "age": 30, **said}
    taken = made.take(listener, Answer.model_validate({"step": step["step"], "background": given}))
    assert (taken.reason, taken.deal) == (reason, not reason)
    if reason:
        shown = made.step(replace(listener, due=2, status=taken.status, reason=reason))
        assert (shown.show, shown.link, shown.code) == ("screened", "https://example.org/out", "")


def test_a_first_language_that_the_page_does_not_ask_about_would_screen_out_everybody() -> None:
    with pytest.raises(ValueError, match="first_language: also name dutch in languages"):
        PeopleSettings(languages=("nl",), first_language=("Dutch",))


def test_who_does_not_consent_is_thanked_and_not_paid() -> None:
    made = course(codes={"screen_out": "OUT"})
    taken = made.take(NEW, Answer(step=0))
    assert (taken.status, taken.reason) == ("screened", "consent")
    assert made.step(replace(NEW, due=1, status="screened", reason="consent")).code == ""


CHOICE: dict[str, Any] = {"labels": ["sad"], "confidence": 3}


@pytest.mark.parametrize(
    ("kind", "given", "fits"),
    [
        ("choice", CHOICE, True),
        ("choice", {**CHOICE, "labels": []}, False),
        ("choice", {**CHOICE, "labels": ["sad", "angry"]}, False),
        ("choice", {**CHOICE, "labels": ["bored"]}, False),
        ("choice", {"labels": ["sad"]}, False),
        ("choice", {**CHOICE, "confidence": 6}, False),
        ("choice", {**CHOICE, "intensity": 2}, False),
        ("choice", {**CHOICE, "regions": [{"start": 0, "end": 0.5, "label": "sad"}]}, False),
        ("segments", {}, True),
        ("segments", {"regions": [{"start": 0.5, "end": 1.04, "label": "sad"}]}, True),
        ("segments", {"regions": [{"start": 0.5, "end": 1.2, "label": "sad"}]}, False),
        ("segments", {"regions": [{"start": 0.5, "end": 0.5, "label": "sad"}]}, False),
        ("segments", {"regions": [{"start": 0.1, "end": 0.5, "label": "bored"}]}, False),
        ("segments", {"labels": ["sad"]}, False),
        ("text", {"text": "der Lappen"}, True),
        ("text", {"labels": ["der Lappen"]}, False),
    ],
)
def test_only_what_was_asked_for_is_an_answer(kind: str, given: dict[str, Any], fits: bool) -> None:
    made = course()
    listener, step = at(made, "item", kind)
    answer = Answer.model_validate({"step": step["step"], **given})
    if fits:
        assert made.take(listener, answer).status in ("active", "finished")
    else:
        with pytest.raises(Unfit):
            made.take(listener, answer)


@pytest.mark.parametrize(("labels", "fits"), [([], True), (["sad", "angry"], True), (["sad", "sad"], False)])
def test_several_labels_or_none_where_the_part_allows(labels: list[str], fits: bool) -> None:
    made = course(parts=[{**small.EMOTION, "several": True, "none": True}, small.WHERE, small.WORDS])
    listener, step = at(made, "item", "choice")
    answer = Answer.model_validate({"step": step["step"], "labels": labels, "confidence": 1})
    assert (step["several"], step["none"]) == (True, True)
    if fits:
        made.take(listener, answer)
    else:
        with pytest.raises(Unfit):
            made.take(listener, answer)


@pytest.mark.parametrize(
    "said",
    [
        {"first": []},
        {"first": [" "]},
        {"first": ["x" * 81]},
        {"first": ["de"], "levels": {"en": 6}},
        {"first": ["de"], "years": {"tianjin": float("nan")}},
        {"first": ["de"], "years": {"tianjin": -1}},
    ],
)
def test_a_background_that_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        course().take(replace(NEW, due=1), Answer.model_validate({"step": 1, "background": said}))
    with pytest.raises(Unfit):
        course().take(replace(NEW, due=1), Answer(step=1))


def test_waveforms_are_sent_of_segments_alone() -> None:
    items = [step for step in walk(course()) if step["show"] == "item"]
    assert [bool(step["peaks"]) for step in items] == [step["kind"] == "segments" for step in items]
