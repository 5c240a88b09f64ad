"""Listening: what a listening test is drawn from, and what of a study's material listeners judge."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from sibboleth import corpus, schemes, stimuli
from sibboleth.errors import InvalidInput, Problem
from sibboleth.experiment import labels, material
from sibboleth.experiment.material import Material
from sibboleth.listeners import test as tests
from sibboleth.listeners.drawing import HEARD, TESTED
from sibboleth.listeners.settings import ListeningTest, PartSettings
from sibboleth.splits import Fit, Fold, Rows
from sibboleth.study import CorpusSettings, Study, TargetSettings

SOUND = ("seconds", "rate", "digest")
"""What a test needs of a scan."""


def pools(
    test: ListeningTest, heard: pl.DataFrame | None = None, tested: Collection[str] = ()
) -> dict[str, pl.DataFrame]:
    """Read and scan what each part is drawn from: the corpora that have its target.

    `heard` are the utterances and digests that no item may have, as `heard` tells of a study, and `tested` those that
    a model of it answers. Raises `InvalidInput` as
    studies do, and for a target or a label that no corpus has.
    """
    there = {settings.name: _there(settings, test.parts) for settings in test.corpora}
    _require_labels(test, there)
    known: dict[object, pl.DataFrame] = {}
    made = {}
    for part in test.parts:
        study = _study(test, part, there)
        key = study.model_dump_json()
        if key not in known:
            known[key] = _pool(study, heard, tested)
        made[part.name] = known[key]
    return made


def heard(stuff: Material, fits: Sequence[Fit]) -> pl.DataFrame:
    """Return utterance and digest of what a model that answers about it has learnt from or was selected on.

    That is everything but what is tested and unheard (`stimuli.unheard`).
    """
    mask = np.ones(len(stuff.table), dtype=bool)
    mask[stimuli.unheard(fits)] = False
    return stuff.table.select("utterance").with_columns(stuff.scan["digest"]).filter(mask)


def judged(stuff: Material) -> Rows:
    """Return the rows of a study that are items of its listening test, or the very same recording as one.

    Raises `InvalidInput` where there is no such test, or none of its items is in the study.
    """
    folder = stuff.study.splits.listening
    if folder is None:
        return schemes.NONE
    items = [item for item in tests.read(folder).items if item.role in ("item", "repeat")]
    known = stuff.table["utterance"].is_in([item.utterance for item in items])
    same = stuff.scan["digest"].is_in([item.digest for item in items]).fill_null(False)
    rows = np.flatnonzero(known | same)
    if not len(rows):
        raise InvalidInput(
            f"splits.listening: none of the {len(items)} items of {folder} is an utterance of the study; its corpora "
            "have to have the names that they have in the test's file"
        )
    return rows


def withheld(folds: Mapping[str, Sequence[Fold]], rows: Rows) -> dict[str, tuple[Fold, ...]]:
    """Take rows out of train and dev of every fold; what is tested stays.

    Raises `InvalidInput` where that leaves a fold that trained nothing to train on or to select with.
    """
    if not len(rows):
        return {name: tuple(several) for name, several in folds.items()}
    made = {
        name: tuple(
            replace(fold, train=fold.train[~np.isin(fold.train, rows)], dev=fold.dev[~np.isin(fold.dev, rows)])
            for fold in several
        )
        for name, several in folds.items()
    }
    problems = [
        Problem(f"{name} {new.name}", f"nothing is left to {what}")
        for name, several in folds.items()
        for old, new in zip(several, made[name], strict=True)
        for what, before, after in (("train on", old.train, new.train), ("select with", old.dev, new.dev))
        if len(before) and not len(after)
    ]
    if problems:
        raise InvalidInput(
            "splits.listening: without what listeners judge, too little is left; draw fewer items, or leave out "
            "splits.listening and draw from what no model has learnt from, with `study` in the test's file",
            problems,
        )
    return made


def _there(settings: CorpusSettings, parts: Sequence[PartSettings]) -> dict[str, set[str] | None]:
    """Return the labels that a corpus has of each part's target; None of a target that it does not have."""
    table = corpus.read(settings.manifest, columns=settings.columns or None, without_audio=True).table
    found: dict[str, set[str] | None] = {}
    for name in dict.fromkeys(part.target for part in parts):
        soft = labels.soft_columns(table.columns, name)
        hard = table[name].cast(pl.String).drop_nulls().unique().to_list() if name in table.columns else []
        found[name] = {*soft, *hard} or None
    return found


def _require_labels(test: ListeningTest, there: Mapping[str, Mapping[str, set[str] | None]]) -> None:
    for part in test.parts:
        if not any(found[part.target] for found in there.values()):
            tables = (
                corpus.read(one.manifest, columns=one.columns or None, without_audio=True) for one in test.corpora
            )
            columns = ", ".join(dict.fromkeys(name for one in tables for name in one.table.columns))
            raise InvalidInput(
                f"part {part.name!r}: no corpus has a column {part.target!r} with values, which target names; there are"
                f" {columns}"
            )
        said = {
            settings.labels.get(label, label)
            for settings in test.corpora
            for label in there[settings.name][part.target] or ()
        }
        if part.kind == "choice" and (unknown := sorted(set(part.labels) - said)):
            raise InvalidInput(
                f"part {part.name!r}: labels names {', '.join(unknown)}, which no corpus has; there are "
                f"{', '.join(sorted(said))}"
            )
    for settings in test.corpora:
        known = set[str]().union(*(found or () for found in there[settings.name].values()))
        if unknown := sorted(set(settings.labels) - known):
            targets = ", ".join(there[settings.name])
            raise InvalidInput(f"corpus {settings.name!r}: labels names {', '.join(unknown)}, which {targets} never is")


def _study(test: ListeningTest, part: PartSettings, there: Mapping[str, Mapping[str, set[str] | None]]) -> Study:
    """Make the study that reads a part's material as studies do."""
    corpora = []
    for settings in test.corpora:
        found = there[settings.name][part.target]
        if found:
            known = {old: new for old, new in settings.labels.items() if old in found}
            corpora.append(settings.model_copy(update={"labels": {} if part.kind == "text" else known}))
    named = part.labels if part.kind == "choice" else ()
    target = TargetSettings(column=part.target, labels=named)
    if part.kind == "text":
        target = TargetSettings(column=part.target, kind="transcription", normalisation="none")
    return Study(name="listening", corpora=tuple(corpora), target=target)


def _pool(study: Study, heard: pl.DataFrame | None, tested: Collection[str]) -> pl.DataFrame:
    stuff = material.gather(study)
    table = stuff.table.with_columns(stuff.scan[name] for name in SOUND)
    if heard is None:
        return table.with_columns(pl.lit(False).alias(HEARD))
    named = pl.col("utterance").is_in(heard["utterance"].implode())
    same = pl.col("digest").is_in(heard["digest"].drop_nulls().implode())
    answered = pl.col("utterance").is_in(list(tested)).alias(TESTED)
    return table.with_columns((named | same.fill_null(False)).alias(HEARD), answered)
