"""Names: what manifests call labels and speakers, where that hides who or what is meant."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from sibboleth.audit.finding import Cause, Evidence, Finding, plural
from sibboleth.audit.leaks import PARTS, overlap
from sibboleth.corpus import spelling
from sibboleth.schemes import Rows

FEWEST = 10
"""Utterances of a domain under which each may well have a speaker of its own."""
UNASKED = r"^label (.*) is not asked for$"
"""Reason for which a study leaves a label out."""


def alike_labels(evidence: Evidence) -> Finding | None:
    """Find labels that are written in several ways, also where the study asks for one of them alone."""
    if evidence.target.kind != "classification":
        return None
    named = pl.DataFrame({"utterance": evidence.column("utterance"), "label": evidence.column(evidence.target.name)})
    named = named.cast(pl.String)
    if evidence.excluded is not None:
        reasons = evidence.excluded.select("utterance", label=pl.col("reason").str.extract(UNASKED))
        named = pl.concat([named, reasons.cast(pl.String)])
    groups = spelling.alike(named["label"])
    if not groups:
        return None
    members = [label for group in groups for label in group]
    return Finding(
        "alike-labels",
        "error",
        f"{plural(len(groups), 'label')} written in several ways, which differ in {spelling.HOW}: "
        f"{spelling.told(groups)}.",
        "Each way counts as a label of its own, so that right answers are scored as wrong, or utterances are left out. "
        f'Write it in one way, or translate it under [[corpora]]: labels = {{ "{groups[0][0]}" = "{groups[0][-1]}" }}.',
        tuple(named.filter(pl.col("label").is_in(members))["utterance"]),
    )


def alike_speakers(evidence: Evidence) -> Finding | None:
    """Find speakers who are written in several ways; an error where one of them trains and another is tested."""
    column = evidence.column("speaker")
    groups = spelling.alike(column)
    if not groups:
        return None
    numbers = {name: number for number, group in enumerate(groups) for name in group}
    values: Rows = column.replace_strict(numbers, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    leaks = any(overlap(evidence, values, part) is not None for part in PARTS.values())
    return Finding(
        "alike-speakers",
        "error" if leaks else "warning",
        f"{plural(len(groups), 'speaker')} written in several ways, which differ in {spelling.HOW}: "
        f"{spelling.told(groups)}.",
        "Each way counts as a person: the same voice may train and be tested, and intervals are over more speakers "
        "than there are. Write each speaker in one way.",
        evidence.utterances(values >= 0),
    )


def lone_utterances(evidence: Evidence) -> Finding | None:
    """Find domains in which every utterance has a speaker of its own."""
    return Finding.of(
        _lone(evidence),
        "lone-utterances",
        "warning",
        "Every utterance has a speaker of its own in {told}.",
        "If the column speaker holds names of files, nobody knows who speaks: the same voice trains and is tested, and "
        "intervals take utterances for speakers. Write who speaks; where several recordings are of one person, they "
        "need one name.",
    )


def _lone(evidence: Evidence) -> Iterator[Cause]:
    speakers = evidence.codes("speaker")
    for domain, rows in evidence.domains():
        known = rows[speakers[rows] >= 0]
        if FEWEST <= len(known) == len(np.unique(speakers[known])):
            files = ", each called as its file" if _called_as_files(evidence, known) else ""
            yield f"{domain} ({plural(len(known), 'utterance')}{files})", evidence.utterances(known)


def _called_as_files(evidence: Evidence, rows: Rows) -> bool:
    places = evidence.table[rows].select("utterance", "audio", "speaker").cast(pl.String)
    return all(_last(speaker) in (_last(one), _last(audio)) for one, audio, speaker in places.iter_rows())


def _last(name: str | None) -> str:
    """Return what is behind the last slash, without a suffix of recordings."""
    return Path(name or "").stem
