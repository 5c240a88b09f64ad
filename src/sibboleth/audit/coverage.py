"""Coverage: what the result leaves out, and what it counts twice."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth.audit.finding import SECOND_DEV, SECOND_TRAIN, Cause, Evidence, Finding, plural
from sibboleth.splits import Rows

WANTED = ("label ", "no label", "no number", "no value", "keep asks", "not drawn")
"""How the reasons begin for which a study itself leaves rows out; every other reason is a fault of the audio."""
LATE = 0.1
"""Seconds by which a segment may end behind its recording without a word, as rounded times do."""
_SEGMENTS = pl.List(pl.Struct({"start": pl.Float64, "end": pl.Float64, "label": pl.String}))
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def duplicate_audio(evidence: Evidence) -> Finding | None:
    """Find recordings that several utterances have."""
    return Finding.of(
        (("", evidence.utterances(rows)) for rows in _copies(evidence)),
        "duplicate-audio",
        "warning",
        "{utterances} are {count}, each under several names.",
        "The same recording counts several times, in training and in the score.",
        noun="recording",
    )


def contradicting_labels(evidence: Evidence) -> Finding | None:
    """Find recordings with several labels."""
    column = evidence.column(evidence.target.name)
    found = (rows for rows in _copies(evidence) if column.gather(rows.tolist()).n_unique() > 1)
    return Finding.of(
        (("", evidence.utterances(rows)) for rows in found),
        "contradicting-labels",
        "warning",
        "{count} with different labels under different names.",
        "At most one of the labels can be right: nobody can answer all of them correctly.",
        noun="recording",
    )


def excluded_audio(evidence: Evidence) -> Finding | None:
    """Find utterances left out because their audio cannot be used."""
    return Finding.of(
        _left_out(evidence, wanted=False),
        "excluded-audio",
        "warning",
        "{utterances} left out because of the audio: {told}.",
        "The result says nothing about them; if they are of one speaker or label, it is skewed.",
    )


def segments_beyond_audio(evidence: Evidence) -> Finding | None:
    """Find utterances whose segments end behind their recording."""
    if evidence.target.kind != "segmentation" or evidence.scan is None:
        return None
    last = pl.col(evidence.target.name).str.json_decode(_SEGMENTS).list.eval(pl.element().struct.field("end").max())
    ends = evidence.table.select("utterance", last.list.first().alias("end"), evidence.scan["seconds"])
    late = ends.filter(pl.col("end") > pl.col("seconds") + LATE).sort(
        pl.col("end") - pl.col("seconds"), descending=True
    )
    return Finding.of(
        (
            (f"{name} lasts {seconds:g} s, and is labelled until {end:g} s", [name])
            for name, end, seconds in late.rows()
        ),
        "segments-beyond-audio",
        "warning",
        "{utterances} with segments that end behind the recording: {told}.",
        "What lies behind is neither learnt nor scored. Times are seconds from the beginning of the utterance; "
        "milliseconds, or times of another recording, make all labels wrong.",
        noun="utterance",
        shown=3,
    )


def unasked_utterances(evidence: Evidence) -> Finding | None:
    """Find utterances left out because the study does not ask for them."""
    return Finding.of(
        _left_out(evidence, wanted=True),
        "unasked-utterances",
        "note",
        "{utterances} left out because the study does not ask for them: {told}.",
        "The result says nothing about them.",
    )


def unused_utterances(evidence: Evidence) -> Finding | None:
    """Find utterances in no part of any fold."""
    unused = np.ones(len(evidence.table), dtype=bool)
    for fit in evidence.fits:
        for rows in (*fit.heard, *(test.rows for test in fit.tests)):
            unused[rows] = False
    if not unused.any():
        return None
    return Finding(
        "unused-utterances",
        "note",
        f"{int(unused.sum())} of {plural(len(unused), 'utterance')} are in no part of any fold.",
        "They are encoded but neither train, nor select, nor test. With fixed lists: are their names the same there?",
        evidence.utterances(unused),
    )


def impossible_pair(evidence: Evidence) -> Finding | None:
    """Find pairs of domains that have no fits, because too little is left without the speakers who are tested."""
    return Finding.of(
        (
            (f"{pair.source} to {pair.target} under {pair.regime}", evidence.utterances(pair.rows))
            for pair in evidence.impossible
        ),
        "impossible-pair",
        "warning",
        "{count} of source and target not tried: {told}. The domains have the same speakers: without those who are "
        "tested (or select) in the target, the source has no train or no dev rows.",
        "The matrix of source and target has a hole there, and no mean includes it. Domains that are divided together "
        '(splits.scheme = "speaker-folds", not in splits.test_only) keep other speakers to train on.',
        noun="pair",
    )


def too_few_shots(evidence: Evidence) -> Finding | None:
    """Find numbers of shots that are left out, because a label has fewer utterances to train on."""
    return Finding.of(
        (
            (
                f"{', '.join(f'few-shot({count})' for count in one.shots)} from all domains to {one.target} "
                f"({one.label} has {plural(len(one.rows), 'train utterance')} in {one.fold})",
                evidence.utterances(one.rows),
            )
            for one in evidence.scarce
        ),
        "too-few-shots",
        "note",
        "Left out is {told}.",
        "The learning curve ends there before it ends elsewhere: compare domains at numbers of shots that all have.",
    )


def missing_class(evidence: Evidence) -> Finding | None:
    """Find fits whose train or dev lacks a label of their domain, and tests that lack one."""
    labels = evidence.labels()
    of_domain = dict(evidence.domains())
    nothing = np.empty(0, dtype=np.int64)
    lacking: Counter[str] = Counter()
    found = np.zeros(len(labels), dtype=bool)

    size = int(labels.max(initial=-1)) + 2

    def present(rows: Rows) -> npt.NDArray[np.bool_]:
        there = np.zeros(size, dtype=bool)
        there[labels[rows]] = True
        there[-1] = False
        return there

    wanted = {domain: present(rows) for domain, rows in of_domain.items()}

    def look(part: str, rows: Rows, expected: Rows, labels_there: npt.NDArray[np.bool_]) -> None:
        missing = labels_there & ~present(rows)
        if missing.any():
            lacking[part] += 1
            found[expected[missing[labels[expected]]]] = True

    for fit in evidence.fits:
        look("train", fit.train, of_domain.get(fit.source, nothing), wanted.get(fit.source, present(nothing)))
        if len(fit.dev):
            look("dev", fit.dev, fit.train, present(fit.train))
        if fit.then is not None:
            then = fit.then
            look(
                SECOND_TRAIN, then.train, of_domain.get(then.domain, nothing), wanted.get(then.domain, present(nothing))
            )
            if len(then.dev):
                look(SECOND_DEV, then.dev, then.train, present(then.train))
        for test in fit.tests:
            look("test", test.rows, of_domain.get(test.domain, nothing), wanted.get(test.domain, present(nothing)))
    if not lacking.total():
        return None
    fits, tests = plural(len(evidence.fits), "fit"), plural(sum(1 for _ in evidence.tests()), "test")
    parts = ("train", "dev", SECOND_TRAIN, SECOND_DEV)
    told = [f"{part} in {lacking[part]} of {fits}" for part in parts if lacking[part]]
    told += [f"test in {lacking['test']} of {tests}"] if lacking["test"] else []
    return Finding(
        "missing-class",
        "warning",
        f"A label of the domain is missing from {', from '.join(told)}.",
        "Missing from train: it is never answered. From dev: it has no say in what is chosen. From a test: harmless "
        "for scores pooled over folds, but the score of such a fold alone leaves the label out.",
        evidence.utterances(found),
    )


def listening_items(evidence: Evidence) -> Finding | None:
    """Say what listeners judge, and that it trains nothing."""
    if evidence.judged is None or not len(evidence.judged):
        return None
    asked = np.unique(np.concatenate([test.rows for _, test in evidence.tests()] or [evidence.judged[:0]]))
    tested = int(np.isin(evidence.judged, asked).sum())
    return Finding(
        "listening-items",
        "note",
        f"{plural(len(evidence.judged), 'utterance')} that listeners judge were kept out of train and dev; models are "
        f"tested on {tested} of them.",
        "Models and listeners are asked about what both hear for the first time. Train sets are smaller by that.",
        evidence.utterances(evidence.judged),
    )


def _left_out(evidence: Evidence, wanted: bool) -> Iterator[Cause]:
    """Yield the reasons, the most frequent first, with their utterances.

    Faults of the audio that differ in their numbers alone are one reason, and the first of them is told.
    """
    several: dict[str, list[tuple[str, str]]] = {}
    if evidence.excluded is not None:
        for utterance, given in evidence.excluded.select("utterance", "reason").iter_rows():
            reason = given or "no reason given"
            if reason.startswith(WANTED) == wanted:
                kind = reason if wanted else _NUMBER.sub("#", reason)
                several.setdefault(kind, []).append((utterance, reason))
    for found in sorted(several.values(), key=len, reverse=True):
        alike = " alike" if len({reason for _, reason in found}) > 1 else ""
        yield f"{found[0][1]} ({len(found)}{alike})", [utterance for utterance, _ in found]


def _copies(evidence: Evidence) -> list[Rows]:
    """Group the rows that have the same audio, two or more at a time."""
    digests = evidence.digests()
    order = np.argsort(digests, kind="stable")
    order = order[digests[order] >= 0]
    groups = np.split(order, np.flatnonzero(np.diff(digests[order])) + 1)
    return [rows for rows in groups if len(rows) > 1]
