"""What is true of a controlled corpus, written beside it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sibboleth import runs
from sibboleth.corpora.synthetic import emotion
from sibboleth.corpora.synthetic.design import Design, Language, best_possible_score
from sibboleth.corpora.synthetic.emotion import CUES
from sibboleth.corpora.synthetic.plan import Speaker
from sibboleth.errors import SibbolethError

FORMAT = 1
"""Raised when the same design no longer makes the same audio."""

OBSERVER = (
    "UAR expected of the Bayes rule, which knows the class distributions, the drawn cues without error and the "
    "speaker's baseline: an upper bound for every observer that answers one utterance at a time"
)
PLANTED = {
    "none": None,
    "duplicate": "one recording of each emotion of the first speaker of each language is also the second speaker's",
    "alias": "half of the first speaker of each language stands under another name, in the same session",
}


def read(root: Path) -> dict[str, Any]:
    """Return `truth.json`; raises `SibbolethError` where it is missing or broken."""
    file = root / "truth.json"
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SibbolethError(f"{file}: cannot be read ({error}); make the corpus in an empty folder") from None
    return record


def claim(root: Path, design: Design, version: str, people: Sequence[Speaker]) -> None:
    """Write `truth.json`, or make sure that the one there is of the same making.

    Raises `SibbolethError` for another design or version, and for audio of unknown making.
    """
    making = {"format": FORMAT, "espeak-ng": version, "design": design.model_dump(mode="json")}
    if (root / "truth.json").exists():
        there = read(root)
        differ = [key for key, value in making.items() if there.get(key) != value]
        if differ:
            what = " and ".join(differ)
            raise SibbolethError(f"{root}: holds a controlled corpus of another {what}; choose an empty folder")
        return
    if any((root / folder).exists() for folder in ("audio", "segments")):
        raise SibbolethError(f"{root}: holds audio or segments but no truth.json; choose an empty folder")
    text = json.dumps(making | _record(design, people), indent=2, ensure_ascii=False)
    runs.write_text(root / "truth.json", text + "\n")


def _record(design: Design, people: Sequence[Speaker]) -> dict[str, object]:
    best = {language: asdict(score) for language, score in best_possible_score(design).items()}
    return {
        "note": "synthetic speech; never a result about people",
        "planted": PLANTED[design.leak],
        "best_possible_score": {"metric": "uar", "meaning": OBSERVER, "languages": best},
        "cues": {cue.name: {"meaning": cue.meaning, "spread": cue.spread} for cue in CUES},
        "class_means": {language: _means(design, language) for language in design.languages},
        "speakers": {person.name: _description(person) for person in people},
    }


def _means(design: Design, language: Language) -> dict[str, object]:
    """Means of the cues that carry the emotion, in their own units."""
    means = emotion.class_means(design.emotions, design.coded(language))
    carried = np.any(means != 0, axis=0).tolist()
    return {
        label: {cue.name: round(z * cue.spread, 4) for cue, z, c in zip(CUES, row, carried, strict=True) if c}
        for label, row in zip(design.emotions, means.tolist(), strict=True)
    }


def _description(person: Speaker) -> dict[str, object]:
    baseline = {cue.name: value for cue, value in zip(CUES, person.baseline, strict=True)}
    return {"voice": person.voice, "sex": person.sex, "accent": person.accent or "native", "baseline": baseline}
