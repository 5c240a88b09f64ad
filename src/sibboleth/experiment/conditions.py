"""Conditions: under which people listened, from the listening test's folder, as a run's record keeps them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sibboleth.listeners import test as tests
from sibboleth.listeners.settings import PartSettings
from sibboleth.listeners.test import FILE, Item, Test
from sibboleth.study import Study


def read(study: Study, folders: Sequence[Path]) -> dict[str, Any] | None:
    """Read the test that the study names, else the one above the folder of its ratings; None where there is none.

    Raises `InvalidInput` for a folder that holds no test that can be read.
    """
    named = study.listeners.test
    found = [] if named else [folder.parent for folder in folders if (folder.parent / FILE).is_file()]
    if named is None and len(found) != 1:
        return None
    test = tests.read(named or found[0])
    withheld = study.splits.listening is not None and tests.read(study.splits.listening).version == test.version
    return {**told(test), "withheld": withheld}


def told(test: Test) -> dict[str, Any]:
    """Say what a reviewer asks of a test: version, orders, loudness, checks, and each part's items."""
    settings = test.settings
    return {
        "name": settings.name,
        "version": test.version,
        "language": settings.language,
        "forms": len(test.forms),
        "per_listener": settings.per_listener,
        "pause": settings.pause,
        "level": settings.level,
        "drawn_for_a_study": settings.study is not None,
        "checks": settings.checks.model_dump(mode="json"),
        "first_language": list(settings.people.first_language),
        "hearing": settings.people.hearing,
        "least_age": settings.people.least_age,
        "parts": [_part(part, [item for item in test.items if item.part == part.name]) for part in settings.parts],
    }


def _part(part: PartSettings, items: Sequence[Item]) -> dict[str, Any]:
    count = {role: sum(item.role == role for item in items) for role in ("item", "practice", "repeat", "catch")}
    return {
        "name": part.name,
        "kind": part.kind,
        "target": part.target,
        "question": part.question,
        "labels": list(part.labels),
        "by": list(part.by),
        "count": part.count,
        "plays": part.plays,
        "feedback": part.feedback,
        "several": part.several,
        "none": part.none,
        "scales": [name for name in ("intensity", "confidence") if getattr(part, name) is not None],
        "speakers": len({item.speaker for item in items if item.role == "item"}),
        **count,
    }
