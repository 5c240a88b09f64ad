"""A listening test by hand, small enough to know every step of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sibboleth.listeners import test
from sibboleth.listeners.settings import ListeningTest
from sibboleth.listeners.test import Form, Item, Test, Tones

LABELS = ("angry", "happy", "sad")
PASSWORD = "a long password"

EMOTION: dict[str, Any] = {
    "name": "emotion",
    "labels": LABELS,
    "practice": 1,
    "feedback": True,
    "repeats": 1,
    "confidence": {"points": 5},
}
WHERE: dict[str, Any] = {"name": "where", "kind": "segments", "labels": LABELS, "none": True}
WORDS: dict[str, Any] = {"name": "words", "kind": "text", "target": "text"}


def settings(**changes: Any) -> ListeningTest:
    given = {"name": "small", "title": "A small test", "corpora": [{"name": "own", "manifest": "own.csv"}]}
    return ListeningTest.model_validate({**given, "parts": [EMOTION, WHERE, WORDS], **changes})


def item(key: str, part: str, role: str = "item", answer: str = "sad", **changes: Any) -> Item:
    given: dict[str, Any] = {"key": key, "part": part, "role": role, "audio": f"sound{key}", "answer": answer}
    labels = () if part == "words" else LABELS
    spoken = {"seconds": 1.0, "utterance": "" if role == "catch" else f"own:{key}", "labels": labels}
    return Item.model_validate({**given, **spoken, **changes})


ITEMS = (
    item("p", "emotion", "practice", "happy"),
    item("a", "emotion"),
    item("b", "emotion", answer="angry"),
    item("c", "emotion", "catch", "happy"),
    item("r", "emotion", "repeat", audio="sounda", utterance="own:a"),
    item("s", "where"),
    item("t", "words", answer="Der Lappen liegt auf dem Eisschrank."),
)
ORDERS = (("p", "a", "b", "|", "c", "r", "s", "t"), ("p", "b", "c", "|", "a", "r", "s", "t"))
"""Forms; with what stands before items, a listener has 16 steps, and 7 more where headphones are checked."""


def drawn(tones: int = 0, orders: Sequence[Sequence[str]] = ORDERS, **changes: Any) -> Test:
    trials = [Tones(audio=("loud", "quiet", "turned"), quietest=1) for _ in range(tones)]
    forms = [Form(number=number, items=tuple(order)) for number, order in enumerate(orders)]
    made = Test(
        version="",
        settings=settings(**changes),
        items=ITEMS,
        forms=tuple(forms),
        loudness="soundp",
        tones=tuple(trials),
    )
    return made.model_copy(update={"version": test.version(made)})


def write(folder: Path, made: Test) -> Path:
    """Write a test with its audio, of noise."""
    (folder / test.AUDIO).mkdir(parents=True)
    random = np.random.default_rng(0)
    names = {one.audio for one in made.items} | {name for trial in made.tones for name in trial.audio}
    for name in sorted(names):
        soundfile.write(folder / test.AUDIO / f"{name}.wav", random.normal(0, 0.1, 16000), 16000)
    test.write(folder, made)
    return folder


def answer(step: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Answer what a step asks as most would."""
    given: dict[str, Any] = {"step": step["step"], "duration": 2.5}
    if step["show"] == "consent":
        given["agreed"] = True
    elif step["show"] == "background":
        given["background"] = {"first": ["de"], "levels": {"en": 4}, "age": 30, "hearing": "normal"}
    elif step["show"] == "headphones":
        given["tone"] = 1
    elif step["show"] == "item":
        given |= {"plays": 1, "reaction": 1.25} | _said(step)
    return {**given, **changes}


def _said(step: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {scale["name"]: 3 for scale in step["scales"]}
    if step["kind"] == "choice":
        said["labels"] = ["sad"]
    elif step["kind"] == "text":
        said["text"] = "der lappen liegt auf dem eisschrank"
    else:
        said["regions"] = [{"start": 0.2, "end": 0.7, "label": "sad"}]
    return said
