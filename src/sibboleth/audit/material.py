"""Material: oddities of the audio, the rows and the encoders themselves."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from sibboleth.audit.finding import Evidence, Finding, plural, some

WANTED = ("label ", "no label", "no number", "no value")
"""How the reasons begin for which a study itself leaves rows out; every other reason is a fault of the audio."""

LABELLED = re.compile(
    r"whisper|[-_](960|100|10)h\b|[-_](10m|1h)\b|(?<![a-z])ft(?![a-z])|fine-?_?tun|for-?ctc|(?<![a-z])(ctc|asr|s2t|stt)(?![a-z])"
    r"|mms-(1b-(all|l1107|fl102)|lid)|xlsr-53-[a-z]|[-_]to-en\b|emotion|superb-|(?<![a-z])(ser|vad|kws|lid|er|sid)(?![a-z])|transcri",
    re.IGNORECASE,
)
"""Names of checkpoints that were trained with labels."""
UNLABELLED_HEAD = re.compile(r"PreTraining|Model$|MaskedLM")


def duplicate_audio(evidence: Evidence) -> Finding | None:
    """Find recordings that several utterances have."""
    copies = _copies(evidence)
    if not copies:
        return None
    rows = np.concatenate(copies)
    return Finding(
        "duplicate-audio",
        "warning",
        f"{len(rows)} utterances are {plural(len(copies), 'recording')}, each under several names.",
        "The same recording counts several times, in training and in the score.",
        evidence.utterances(rows),
    )


def contradicting_labels(evidence: Evidence) -> Finding | None:
    """Find recordings with several labels."""
    column = evidence.column(evidence.target.name)
    found = [rows for rows in _copies(evidence) if column.gather(rows.tolist()).n_unique() > 1]
    if not found:
        return None
    return Finding(
        "contradicting-labels",
        "warning",
        f"{plural(len(found), 'recording')} with different values of {evidence.target.name!r} under different names.",
        "At most one of the labels can be right: nobody can answer all of them correctly.",
        evidence.utterances(np.concatenate(found)),
    )


def excluded_audio(evidence: Evidence) -> Finding | None:
    """Find utterances left out because their audio cannot be used."""
    return _excluded(
        evidence,
        wanted=False,
        finding=Finding(
            "excluded-audio",
            "warning",
            "{count} left out because of the audio: {reasons}.",
            "The result says nothing about them; if they are of one speaker or label, it is skewed.",
        ),
    )


def unasked_utterances(evidence: Evidence) -> Finding | None:
    """Find utterances left out because the study does not ask for them."""
    return _excluded(
        evidence,
        wanted=True,
        finding=Finding(
            "unasked-utterances",
            "note",
            "{count} left out because the study does not ask for them: {reasons}.",
            "The result says nothing about them.",
        ),
    )


def unused_utterances(evidence: Evidence) -> Finding | None:
    """Find utterances in no part of any fold."""
    unused = np.ones(len(evidence.table), dtype=bool)
    for fit in evidence.fits:
        for rows in (fit.train, fit.dev, *(test.rows for test in fit.tests)):
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


def missing_class(evidence: Evidence) -> Finding | None:
    """Find fits whose train or dev lacks a label of their domain, and tests that lack one."""
    labels = evidence.labels()
    of_domain = {domain: set(np.unique(labels[rows]).tolist()) - {-1} for domain, rows in evidence.domains()}
    lacking: Counter[str] = Counter()
    tests = 0
    for fit in evidence.fits:
        trained = set(labels[fit.train].tolist())
        lacking["train"] += bool(of_domain.get(fit.source, set()) - trained)
        lacking["dev"] += bool(len(fit.dev)) and bool(trained - {-1} - set(labels[fit.dev].tolist()))
        for test in fit.tests:
            tests += 1
            lacking["test"] += bool(of_domain.get(test.domain, set()) - set(labels[test.rows].tolist()))
    if not lacking.total():
        return None
    fits = plural(len(evidence.fits), "fit")
    told = [f"{part} in {lacking[part]} of {fits}" for part in ("train", "dev") if lacking[part]]
    told += [f"test in {lacking['test']} of {plural(tests, 'test')}"] if lacking["test"] else []
    return Finding(
        "missing-class",
        "warning",
        f"A label of the domain is missing from {', from '.join(told)}.",
        "Missing from train: it is never answered. From dev: it has no say in what is chosen. From a test: harmless "
        "for scores pooled over folds, but the score of such a fold alone leaves the label out.",
    )


def labelled_encoder(evidence: Evidence) -> Finding | None:
    """Find encoders that were trained with labels, by their name or their configuration."""
    found = [name for name in evidence.encoders if name in evidence.fine_tuned or trained_with_labels(name)]
    if not found:
        return None
    return Finding(
        "labelled-encoder",
        "warning",
        f"{plural(len(found), 'encoder')} trained with labels: {some(found)}.",
        "Beside encoders trained on speech alone, the difference is one of transcripts or labels too, and the test "
        "corpus may be among what they have seen.",
    )


def trained_with_labels(name: str) -> bool:
    """Tell from its name, or from the configuration in its folder, that a checkpoint was trained with labels."""
    if name.startswith(("untrained:", "python:")) or name == "logmel":
        return False
    try:
        configuration = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        heads = configuration["architectures"]
        return any(not UNLABELLED_HEAD.search(str(head)) or str(head).startswith("Whisper") for head in heads)
    except (OSError, ValueError, KeyError, TypeError):
        return LABELLED.search(name.partition("@")[0]) is not None


def _excluded(evidence: Evidence, wanted: bool, finding: Finding) -> Finding | None:
    if evidence.excluded is None or evidence.excluded.is_empty():
        return None
    reason = evidence.excluded["reason"].fill_null("no reason given")
    begins = pl.Series([text.startswith(WANTED) for text in reason], dtype=pl.Boolean)
    rows = evidence.excluded.filter(begins if wanted else ~begins)
    if rows.is_empty():
        return None
    counted = Counter(rows["reason"].fill_null("no reason given")).most_common()
    message = finding.message.format(
        count=plural(len(rows), "utterance"), reasons=some([f"{reason} ({count})" for reason, count in counted])
    )
    return Finding(finding.name, finding.grade, message, finding.effect, tuple(rows["utterance"].to_list()))


def _copies(evidence: Evidence) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Group the rows that have the same audio, two or more at a time."""
    digests = evidence.digests()
    counts = np.bincount(digests[digests >= 0], minlength=1)
    return [np.flatnonzero(digests == digest) for digest in np.flatnonzero(counts > 1)]
