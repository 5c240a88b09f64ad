"""Confounds: what goes together with the label or the domain in the material itself."""

import numpy as np

from sibboleth.audit.finding import Evidence, Finding, plural, some
from sibboleth.splits import Rows
from sibboleth.stratification import tabulate

FEW = 10
"""Speakers below which an interval over speakers is unsure."""
SKEWED = 3.0
"""How many times the rarest label the most frequent one may occur."""
ASSOCIATED = 0.3
"""Cramér's V above which label and domain are said to go together."""


def label_speaker_confound(evidence: Evidence) -> Finding | None:
    """Find labels that a single one of several speakers has."""
    labels, speakers = evidence.labels(), evidence.codes("speaker")
    told, found = [], np.zeros(len(labels), dtype=bool)
    for domain, rows in evidence.domains():
        rows = rows[(labels[rows] >= 0) & (speakers[rows] >= 0)]
        count = len(np.unique(speakers[rows]))
        for label in np.unique(labels[rows]) if count > 1 else ():
            own = rows[labels[rows] == label]
            if len(np.unique(speakers[own])) == 1:
                found[own] = True
                told.append(f"{_label(evidence, own)} in {domain} (of {count} speakers)")
    if not told:
        return None
    return Finding(
        "label-speaker-confound",
        "error",
        f"{plural(len(told), 'label')} spoken by a single speaker only: {some(told)}.",
        "Label and voice cannot be told apart, and no fold can both train and test on them with different speakers. "
        "Leave these labels out (target.labels), or add speakers.",
        evidence.utterances(found),
    )


def label_follows_speaker(evidence: Evidence) -> Finding | None:
    """Find domains whose every speaker has one label only."""
    labels, speakers = evidence.labels(), evidence.codes("speaker")
    told, found = [], np.zeros(len(labels), dtype=bool)
    for domain, rows in evidence.domains():
        rows = rows[(labels[rows] >= 0) & (speakers[rows] >= 0)]
        if len(rows) == 0 or len(np.unique(labels[rows])) < 2:
            continue
        pairs = len(np.unique(np.stack([speakers[rows], labels[rows]]), axis=1).T)
        count = len(np.unique(speakers[rows]))
        if pairs == count and len(rows) > count:
            found[rows] = True
            told.append(f"{domain} ({count} speakers)")
    if not told:
        return None
    return Finding(
        "label-follows-speaker",
        "warning",
        f"Every speaker has one label only in {some(told)}.",
        "The label is a property of speakers: what counts is the number of speakers, not of utterances, and folds "
        "that share speakers would measure who speaks.",
        evidence.utterances(found),
    )


def one_class_domain(evidence: Evidence) -> Finding | None:
    """Find domains with a single label."""
    labels = evidence.labels()
    told, found = [], []
    for domain, rows in evidence.domains():
        there = np.unique(labels[rows][labels[rows] >= 0])
        if len(there) == 1:
            told.append(f"{domain} (only {_label(evidence, rows[labels[rows] >= 0])})")
            found.append(rows)
    if not told:
        return None
    return Finding(
        "one-class-domain",
        "error",
        f"{plural(len(told), 'domain')} with one label only: {some(told)}.",
        "There is nothing to tell apart: no probe can be trained on it, and a score on it means nothing.",
        evidence.utterances(np.concatenate(found)),
    )


def one_speaker_domain(evidence: Evidence) -> Finding | None:
    """Find domains that one speaker speaks."""
    speakers = evidence.codes("speaker")
    alone = [(domain, rows) for domain, rows in evidence.domains() if len(np.unique(speakers[rows])) == 1]
    alone = [(domain, rows) for domain, rows in alone if (speakers[rows] >= 0).all()]
    if not alone:
        return None
    return Finding(
        "one-speaker-domain",
        "warning",
        f"{plural(len(alone), 'domain')} spoken by one speaker: {some([domain for domain, _ in alone])}.",
        "The result is about this voice: nothing in it separates the speaker from the domain, and its uncertainty over "
        "speakers is unknown.",
        evidence.utterances(np.concatenate([rows for _, rows in alone])),
    )


def few_clusters(evidence: Evidence) -> Finding | None:
    """Find domains that fewer than `FEW` speakers test."""
    speakers = evidence.codes("speaker")
    told, found = [], []
    for domain, _ in evidence.domains():
        tested = np.unique(np.concatenate([NONE, *(t.rows for _, t in evidence.tests() if t.domain == domain)]))
        count = len(np.unique(speakers[tested][speakers[tested] >= 0]))
        if 1 < count < FEW:
            told.append(f"{domain} ({count})")
            found.append(tested)
    if not told:
        return None
    return Finding(
        "few-clusters",
        "warning",
        f"{plural(len(told), 'domain')} tested by fewer than {FEW} speakers: {some(told)}.",
        "Intervals resample speakers: with so few they are unsure themselves, and mostly too narrow.",
        evidence.utterances(np.concatenate(found)),
    )


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
    names = evidence.column(evidence.target.name)
    written = {code: str(names[int(np.flatnonzero(labels == code)[0])]) for code in union}
    told = [f"{domain} has no {', '.join(sorted(written[c] for c in codes))}" for domain, codes in lacking.items()]
    return Finding(
        "different-labels",
        "warning",
        f"The label sets of the domains differ: {'; '.join(told)}.",
        "What a source has never seen it cannot answer, so that part of a loss across domains is a missing label, not "
        "a different coding of it. Name the common labels in target.labels to compare like with like.",
    )


def class_imbalance(evidence: Evidence) -> Finding | None:
    """Find domains where one label is much more frequent than another."""
    labels = evidence.labels()
    told = []
    for domain, rows in evidence.domains():
        counts = np.bincount(labels[rows][labels[rows] >= 0])
        counts = counts[counts > 0]
        if len(counts) > 1 and counts.max() > SKEWED * counts.min():
            told.append(f"{domain} ({counts.max()} to {counts.min()})")
    if not told:
        return None
    return Finding(
        "class-imbalance",
        "warning",
        f"The most frequent label occurs over {SKEWED:g} times as often as the rarest in {some(told)}.",
        "Accuracy rewards guessing the frequent label; read UAR, or balance with splits.balance.",
    )


def label_domain_confound(evidence: Evidence) -> Finding | None:
    """Find an association of label and domain, by Cramér's V."""
    labels, domains = evidence.labels(), evidence.codes(evidence.domain)
    known = (labels >= 0) & (domains >= 0)
    if not known.any():
        return None
    table = tabulate(labels[known], domains[known])
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return None
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    square = float(((table - expected) ** 2 / expected).sum())
    strength = (square / table.sum() / (min(table.shape) - 1)) ** 0.5
    if strength < ASSOCIATED:
        return None
    return Finding(
        "label-domain-confound",
        "warning",
        f"Labels are distributed differently over the domains (Cramér's V {strength:.2f}; 0 is alike, 1 is separate).",
        "A model trained on several domains can guess the label from the domain's sound, and a model from one domain "
        "expects labels that are rare in another.",
    )


NONE: Rows = np.empty(0, dtype=np.int64)


def _label(evidence: Evidence, rows: Rows) -> str:
    return str(evidence.column(evidence.target.name)[int(rows[0])])
