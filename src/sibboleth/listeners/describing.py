"""Describing: what was drawn, how long it takes, and what should be known before people are asked."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from sibboleth.listeners.design import Design
from sibboleth.listeners.drawing import LABEL, Drawn
from sibboleth.listeners.sound import Sound
from sibboleth.listeners.test import Test

SECONDS = {"choice": (1.3, 4.0), "text": (2.0, 12.0), "segments": (3.0, 20.0)}
"""How long an item of each kind takes about: so many times its sound, and so many seconds."""
BEFORE = 4.0
"""Minutes for consent, background, instructions and checks, about."""
FEW = 4
"""Speakers under which what people answer may be about single voices."""
DIFFERENT = 3.0
"""LU between the mean loudness of labels from which on loudness tells them."""
LACKING = 0.1
"""dB of the loudness asked for that a sound may lack unsaid."""
SHOWN = 3


def counts(design: Design) -> pl.DataFrame:
    """Count the items of every part by domain and label."""
    tables = []
    for drawn in design.parts:
        values = pl.concat_str(list(drawn.part.by), separator=" ") if drawn.part.by else pl.lit("")
        told = drawn.items.with_columns(values.alias("values"), pl.lit(drawn.part.name).alias("part"))
        tables.append(
            told.group_by("part", "values", pl.col(LABEL).alias("label"))
            .agg(pl.len().alias("items"), pl.col("speaker").n_unique().alias("speakers"), pl.col("seconds").sum())
            .sort("values", "label")
        )
    return pl.concat(tables)


def minutes(test: Test) -> tuple[float, float]:
    """Return about how many minutes the shortest and the longest form take."""
    kinds = {part.name: part.kind for part in test.settings.parts}
    long = {}
    for item in test.items:
        times, more = SECONDS[kinds[item.part]]
        long[item.key] = times * item.seconds + more
    each = [sum(long.get(key, 30.0) for key in form.items) / 60 + BEFORE for form in test.forms]
    return min(each), max(each)


def notes(design: Design, sounds: Sequence[Sound]) -> tuple[str, ...]:
    """Say what of the drawn items could mislead."""
    told = [note for drawn in design.parts for note in (*_speakers(drawn), *_sentences(drawn))]
    return (*told, *_loudness(design, sounds), *_limited(design, sounds))


def _speakers(drawn: Drawn) -> Iterator[str]:
    for where, items in _domains(drawn):
        count = items["speaker"].n_unique()
        if count < FEW:
            voices = f"{count} speaker{'s' * (count > 1)}"
            yield f"{where}: {voices}; what people answer may be about single voices"
        if items[LABEL].n_unique() < 2:
            continue
        labels = items.group_by(LABEL).agg(pl.col("speaker").unique(), pl.len().alias("items"))
        alone = labels.filter((pl.col("speaker").list.len() == 1) & (pl.col("items") > 1)).sort(LABEL)
        if count > 1 and len(alone):
            yield f"{where}: {', '.join(alone[LABEL])} is spoken by one speaker alone, whose voice tells it"
        voices_of = items.group_by("speaker").agg(pl.col(LABEL).n_unique(), pl.len().alias("items"))
        tied = voices_of.filter((pl.col(LABEL) == 1) & (pl.col("items") > 2)).sort("speaker")
        if count > 1 and len(tied):
            yield f"{where}: {_some(tied['speaker'].to_list())} speak one label alone, so that the voice tells it"


def _sentences(drawn: Drawn) -> Iterator[str]:
    for where, items in _domains(drawn):
        if items[LABEL].n_unique() < 2:
            continue
        texts = items.drop_nulls("text").group_by("text").agg(pl.col(LABEL).n_unique(), pl.len().alias("items"))
        tied = texts.filter((pl.col("items") > 1) & (pl.col(LABEL) == 1))
        if len(tied) and tied["items"].sum() > len(items) / 10:
            yield (
                f"{where}: {len(tied)} sentences of {tied['items'].sum()} items are spoken with one label alone, so "
                "that the words tell it"
            )


def _loudness(design: Design, sounds: Sequence[Sound]) -> Iterator[str]:
    """Compare the loudness of labels where nothing equalises it."""
    if design.settings.level is not None:
        return
    known = {one.name: one.loudness for one in sounds if np.isfinite(one.loudness)}
    for part in design.settings.parts:
        if part.kind == "text":
            continue
        levels: dict[str, list[float]] = {}
        for item in design.items:
            if item.part == part.name and item.role == "item" and item.audio in known:
                levels.setdefault(item.answer, []).append(known[item.audio])
        means = sorted((float(np.mean(values)), label) for label, values in levels.items())
        if len(means) > 1 and means[-1][0] - means[0][0] > DIFFERENT:
            (low, soft), (high, loud) = means[0], means[-1]
            yield (
                f"part {part.name}: loudness tells labels apart, {loud} has {high:.0f} and {soft} {low:.0f} LUFS on "
                "average; `level` takes that away, and with it what of it belongs to the label"
            )


def _limited(design: Design, sounds: Sequence[Sound]) -> Iterator[str]:
    level = design.settings.level
    if silent := [one.utterance for one in sounds if not np.isfinite(one.loudness)]:
        yield f"{_some(silent)}: silent to the measure of loudness, and left as it is"
    short = sorted((one for one in sounds if one.lacking > LACKING), key=lambda one: -one.lacking)
    if level is not None and short:
        most, names = short[0].lacking, _some([one.utterance for one in short])
        several = "sounds" if len(short) > 1 else "sound"
        yield (
            f"{len(short)} {several} would clip at {level:g} LUFS and lack up to {most:.1f} dB of it "
            f"({names}); level = {np.floor(level - most):g} reaches all"
        )


def _domains(drawn: Drawn) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the items of each value of `by`, with words for it."""
    if not drawn.part.by:
        yield f"part {drawn.part.name}", drawn.items
        return
    for values, items in drawn.items.group_by(list(drawn.part.by), maintain_order=True):
        yield f"part {drawn.part.name}, {' '.join(map(str, values))}", items


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
