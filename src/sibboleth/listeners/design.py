"""Design: draws a listening test, its items, catch trials, repeats and orders, and writes its folder."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sibboleth import segments
from sibboleth.errors import InvalidInput
from sibboleth.listeners import drawing, forms, sound
from sibboleth.listeners.drawing import LABEL, Drawn
from sibboleth.listeners.settings import ListeningTest
from sibboleth.listeners.sound import Sound, Stretch
from sibboleth.listeners.test import Form, Item, Role, Test, version
from sibboleth.progress import track

TOLD = ("language", "dialect", "accent")
"""Columns whose values are kept of every item, where a manifest has them."""


@dataclass
class Design:
    """A test that is drawn, and what it is to be made of."""

    settings: ListeningTest
    parts: tuple[Drawn, ...]
    items: list[Item] = field(default_factory=list)
    stretches: dict[str, Stretch] = field(default_factory=dict)
    """Sounds by name."""
    notes: list[str] = field(default_factory=list)
    volume: Stretch | None = None
    """What the volume is set by."""
    forms: tuple[Form, ...] = ()
    """Orders of everything that a listener is given."""


def draw(settings: ListeningTest, pools: Mapping[str, pl.DataFrame]) -> Design:
    """Draw a test from a table for every part.

    A table has the columns of a corpus, those of `audio.scan` that a sound needs (`seconds`, `rate`, `digest`), and
    `drawing.HEARD`. Each part is drawn for itself: one that is added behind changes nothing before it.

    Raises `InvalidInput` where there is too little to draw from.
    """
    parts: list[Drawn] = []
    used: set[str] = set()
    for part in settings.parts:
        found = drawing.draw(part, drawing.pool(part, pools[part.name]), settings.seed, used)
        parts.append(found)
        used |= found.utterances
    design = Design(settings, tuple(parts), notes=[note for found in parts for note in found.notes])
    for found in parts:
        design.items += [_item(design, found, row, "item") for row in found.items.rows(named=True)]
        design.items += [_item(design, found, row, "practice") for row in found.practice.rows(named=True)]
    _catch(design, used)
    if settings.checks.loudness and len(left := drawing.rest(parts[0], settings.seed, used, 1)):
        design.volume = _placed(design, left.row(0, named=True))
    design.forms, repeats = forms.forms(settings, design.items, design.notes)
    design.items += repeats
    return design


def write(folder: Path, design: Design) -> tuple[Test, tuple[Sound, ...]]:
    """Write the sounds of a test, each whole or not at all; returns the test and its sounds."""
    settings = design.settings
    sounds = []
    for stretch in track(list(design.stretches.values()), "Writing", len(design.stretches), "sounds"):
        samples, rate, told = sound.heard(stretch, settings.level)
        sound.write(folder, stretch.name, samples, rate)
        sounds.append(told)
    loudness = {one.name: round(one.loudness, 1) if np.isfinite(one.loudness) else None for one in sounds}
    items = [one.model_copy(update={"loudness": loudness[one.audio]}) for one in design.items]
    volume = _volume(folder, design, sounds) if settings.checks.loudness else ""
    tones = sound.tones(folder, settings.seed) if settings.checks.headphones else ()
    test = Test(version="", settings=settings, items=tuple(items), forms=design.forms, loudness=volume, tones=tones)
    return test.model_copy(update={"version": version(test)}), tuple(sounds)


def _item(design: Design, drawn: Drawn, row: Mapping[str, Any], role: Role) -> Item:
    part, stretch = drawn.part, _stretch(design, row)
    columns = [*part.by, *(name for name in TOLD if name not in part.by)]
    own = tuple(str(row[name]) for name in part.by)
    return Item(
        key=sound.name(design.settings.seed, part.name, role, row["utterance"]),
        part=part.name,
        role=role,
        audio=stretch.name,
        seconds=round(row["seconds"], 3),
        utterance=row["utterance"],
        speaker=row["speaker"] or "",
        values={name: str(row[name]) for name in columns if row.get(name) is not None},
        labels=drawn.labels[own],
        answer=str(row[part.target] or ""),
        segments=_segments(row) if part.kind == "segments" else (),
        digest=row["digest"],
    )


def _segments(row: Mapping[str, Any]) -> tuple[tuple[float, float, str], ...]:
    """Return what the manifest says holds when, where it is written in the row itself."""
    given = row.get(segments.COLUMN)
    if not isinstance(given, str) or not given.lstrip().startswith("["):
        return ()
    read = segments.of_manifest(pl.DataFrame([{"utterance": row["utterance"], segments.COLUMN: given}]), Path())
    return tuple(read.table.select("start", "end", "label").rows())


def _stretch(design: Design, row: Mapping[str, Any]) -> Stretch:
    """Note the sound of a row; recordings with the same samples are one sound."""
    made = _placed(design, row)
    return design.stretches.setdefault(made.name, made)


def _placed(design: Design, row: Mapping[str, Any]) -> Stretch:
    called = sound.name(design.settings.seed, "sound", row["digest"], design.settings.level)
    return Stretch(called, row["audio"], row["start"], row["end"], row["rate"], row["utterance"])


def _catch(design: Design, used: set[str]) -> None:
    """Make catch trials: utterances that are nothing else, about which a written instruction asks for one label.

    It is never the label of the utterance, so that who answers what they hear fails. They are divided among the parts
    with a choice by their length.
    """
    wanted = design.settings.checks.catch
    able = [found for found in design.parts if found.part.kind == "choice"]
    if not wanted:
        return
    if not able:
        raise InvalidInput("checks.catch: a catch trial asks for a label, and no part of this test is a choice")
    for found, count in zip(able, _divided(wanted, [len(found.items) for found in able]), strict=True):
        clips = drawing.rest(found, design.settings.seed, used, count)
        used |= set(clips["utterance"])
        if len(clips) < count:
            again = found.items.select(clips.columns).sample(count - len(clips), seed=design.settings.seed)
            clips = pl.concat([clips, again])
            design.notes.append(f"part {found.part.name}: catch trials sound like items, since nothing else is left")
        for number, row in enumerate(clips.rows(named=True)):
            design.items.append(_trial(design, found, row, number))


def _trial(design: Design, drawn: Drawn, row: Mapping[str, Any], number: int) -> Item:
    item = _item(design, drawn, row, "catch")
    asked = [label for label in item.labels if label != row[LABEL]]
    if not asked:
        raise InvalidInput(f"part {drawn.part.name!r}: a catch trial needs two labels to choose from; leave out catch")
    key = sound.name(design.settings.seed, drawn.part.name, "catch", number)
    empty: dict[str, Any] = {"utterance": "", "speaker": "", "values": {}, "digest": ""}
    return item.model_copy(update={"key": key, "answer": asked[number % len(asked)], **empty})


def _divided(count: int, sizes: Sequence[int]) -> list[int]:
    """Divide a number in proportion to sizes, the largest remainders rounded up."""
    shares = [count * size / sum(sizes) for size in sizes]
    given = [math.floor(share) for share in shares]
    for place in np.argsort([whole - share for whole, share in zip(given, shares, strict=True)], kind="stable"):
        given[place] += sum(given) < count
    return given


def _volume(folder: Path, design: Design, sounds: Sequence[Sound]) -> str:
    """Write what the volume is set by, as loud as the median item, and return its name."""
    level = sound.median(sounds) if design.settings.level is None else design.settings.level
    if design.volume is None:
        return sound.noise(folder, design.settings.seed, level)
    samples, rate, _ = sound.heard(design.volume, level)
    called = sound.name(design.settings.seed, "volume", design.volume.name)
    sound.write(folder, called, samples, rate)
    return called
