"""Confounds: what goes together with the label or the domain in the material itself."""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from sibboleth.audit.finding import Cause, Evidence, Finding, plural
from sibboleth.schemes import Rows
from sibboleth.stats import FEW_CLUSTERS, coverage


def label_speaker_confound(evidence: Evidence) -> Finding | None:
    """Find labels that a single one of several speakers has."""
    return Finding.of(
        _lone_labels(evidence),
        "label-speaker-confound",
        "error",
        "{count} spoken by a single speaker only: {told}.",
        "Label and voice cannot be told apart, and no fold can both train and test on them with different speakers. "
        "Leave these labels out (target.labels), or add speakers.",
        noun="label",
    )


def _lone_labels(evidence: Evidence) -> Iterator[Cause]:
    labels, speakers = evidence.labels(), evidence.codes("speaker")
    for domain, rows in _known(evidence):
        count = len(np.unique(speakers[rows]))
        for label in np.unique(labels[rows]) if count > 1 else ():
            own = rows[labels[rows] == label]
            if len(np.unique(speakers[own])) == 1:
                yield f"{_label(evidence, own)} in {domain} (of {count} speakers)", evidence.utterances(own)


def label_follows_speaker(evidence: Evidence) -> Finding | None:
    """Find domains whose every speaker has one label only."""
    return Finding.of(
        _labels_of_speakers(evidence),
        "label-follows-speaker",
        "warning",
        "Every speaker has one label only in {told}.",
        "The label is a property of speakers: what counts is the number of speakers, not of utterances, and folds "
        "that share speakers would measure who speaks.",
    )


def _labels_of_speakers(evidence: Evidence) -> Iterator[Cause]:
    labels, speakers = evidence.labels(), evidence.codes("speaker")
    for domain, rows in _known(evidence):
        pairs = len(np.unique(speakers[rows] * (labels.max() + 1) + labels[rows]))
        count = len(np.unique(speakers[rows]))
        if len(np.unique(labels[rows])) > 1 and pairs == count < len(rows):
            yield f"{domain} ({count} speakers)", evidence.utterances(rows)


def one_class_domain(evidence: Evidence) -> Finding | None:
    """Find domains with a single label."""
    labels = evidence.labels()
    known = ((domain, rows[labels[rows] >= 0]) for domain, rows in evidence.domains())
    return Finding.of(
        (
            (f"{domain} (only {_label(evidence, rows)})", evidence.utterances(rows))
            for domain, rows in known
            if len(np.unique(labels[rows])) == 1
        ),
        "one-class-domain",
        "error",
        "{count} with one label only: {told}.",
        "There is nothing to tell apart: no probe can be trained on it, and a score on it means nothing.",
    )


def one_speaker_domain(evidence: Evidence) -> Finding | None:
    """Find domains that one speaker speaks."""
    speakers = evidence.codes("speaker")
    return Finding.of(
        (
            (domain, evidence.utterances(rows))
            for domain, rows in evidence.domains()
            if len(np.unique(speakers[rows])) == 1 and speakers[rows[0]] >= 0
        ),
        "one-speaker-domain",
        "warning",
        "{count} spoken by one speaker: {told}.",
        "The result is about this voice: nothing in it separates the speaker from the domain, and its uncertainty over "
        "speakers is unknown.",
    )


def few_clusters(evidence: Evidence) -> Finding | None:
    """Find domains that fewer than `FEW_CLUSTERS` speakers test."""
    causes = list(_few(evidence))
    fewest = min((count for _, count, _ in causes), default=0)
    return Finding.of(
        ((f"{domain} ({count})", utterances) for domain, count, utterances in causes),
        "few-clusters",
        "warning",
        f"{{count}} tested by fewer than {FEW_CLUSTERS} speakers: {{told}}.",
        f"Intervals resample speakers: with so few they are wide and lean on their formula. With {fewest} speakers "
        f"{coverage(fewest)} (docs/statistics.md); what kind of speakers were missed they cannot know.",
    )


def _few(evidence: Evidence) -> Iterator[tuple[str, int, Sequence[str]]]:
    speakers = evidence.codes("speaker")
    for domain, _ in evidence.domains():
        here = np.zeros(len(speakers), dtype=bool)
        for rows in (t.rows for _, t in evidence.tests() if t.domain == domain):
            here[rows] = True
        tested = np.flatnonzero(here)
        count = len(np.unique(speakers[tested][speakers[tested] >= 0]))
        if 1 < count < FEW_CLUSTERS:
            yield domain, count, evidence.utterances(tested)


def unknown_speakers(evidence: Evidence) -> Finding | None:
    """Find utterances whose speaker is unknown."""
    unknown = evidence.codes("speaker") < 0
    if not unknown.any():
        return None
    return Finding(
        "unknown-speakers",
        "warning",
        f"The speaker of {int(unknown.sum())} of {plural(len(unknown), 'utterance')} is unknown.",
        "Whether train and test share their speakers cannot be seen, and intervals take each of these utterances for a "
        "speaker of its own.",
        evidence.utterances(unknown),
    )


def different_labels(evidence: Evidence) -> Finding | None:
    """Find domains that lack labels of others."""
    labels = evidence.labels()
    sets = {domain: set(labels[rows][labels[rows] >= 0].tolist()) for domain, rows in evidence.domains()}
    union = set().union(*sets.values())
    lacking = {domain: union - there for domain, there in sets.items() if union - there}
    if not lacking:
        return None
    shared = union.intersection(*sets.values())
    names = evidence.column(evidence.target.name)
    written = {code: str(names[int(np.flatnonzero(labels == code)[0])]) for code in union}
    told = [f"{domain} has no {', '.join(sorted(written[c] for c in codes))}" for domain, codes in lacking.items()]
    common = ", ".join(json.dumps(name, ensure_ascii=False) for name in sorted(written[code] for code in shared))
    return Finding(
        "different-labels",
        "warning",
        f"The label sets of the domains differ: {'; '.join(told)}.",
        "What a source has never seen it cannot answer, so that part of a loss across domains is a missing label, not "
        "a different coding of it; and no single chance level exists, so that the report shows none. "
        + (
            f"To compare like with like, ask for the labels that all have: target.labels = [{common}]."
            if len(shared) > 1
            else "To compare like with like, name in target.labels those that the domains have in common, and leave "
            "out the domains without them: no two labels are in all."
        ),
        evidence.utterances(np.isin(labels, list(union - shared))),
    )


def _known(evidence: Evidence) -> Iterator[tuple[str, Rows]]:
    """Yield every domain with its rows of known label and speaker, where there are any."""
    known = (evidence.labels() >= 0) & (evidence.codes("speaker") >= 0)
    for domain, rows in evidence.domains():
        if known[rows].any():
            yield domain, rows[known[rows]]


def _label(evidence: Evidence, rows: Rows) -> str:
    return str(evidence.column(evidence.target.name)[int(rows[0])])
