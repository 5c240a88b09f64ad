"""Shares: how the labels are distributed over domains, parts and other columns."""

from collections.abc import Iterator

import numpy as np

from sibboleth.audit.association import associated
from sibboleth.audit.finding import Cause, Evidence, Finding, some
from sibboleth.audit.sentences import spoken
from sibboleth.schemes import Rows
from sibboleth.splits import Fit, Stage

SKEWED = 3.0
"""How many times the rarest label the most frequent one may occur."""
ASSOCIATED = 0.3
"""Cramér's V above which two columns are said to go together."""
UNLIKELY = 0.01
"""p below which a difference is no accident of few cases."""
SHIFTED = 0.15
"""Share of the utterances that would have to change their label for two parts to have the same shares."""
PLACES = ("language", "dialect", "accent", "region", "country", "nationality", "locale")
"""Columns that mean much the same, so that none is news about another."""
METADATA = (*PLACES, "session", "sex", "gender", "style", "device", "microphone", "room", "environment", "text")
"""Columns that a label is compared with."""


def class_imbalance(evidence: Evidence) -> Finding | None:
    """Find domains where one label is much more frequent than another."""
    return Finding.of(
        _imbalances(evidence),
        "class-imbalance",
        "warning",
        f"The most frequent label occurs over {SKEWED:g} times as often as the rarest in {{told}}.",
        "Accuracy rewards guessing the frequent label; read UAR, or balance with splits.balance.",
    )


def _imbalances(evidence: Evidence) -> Iterator[Cause]:
    """Yield the domains with the utterances of their rarest label."""
    labels = evidence.labels()
    for domain, rows in evidence.domains():
        present, counts = np.unique(labels[rows][labels[rows] >= 0], return_counts=True)
        if len(counts) > 1 and counts.max() > SKEWED * counts.min():
            rarest = rows[np.isin(labels[rows], present[counts == counts.min()])]
            yield f"{domain} ({_listed(evidence, present, counts)})", evidence.utterances(rarest)


def label_shift(evidence: Evidence) -> Finding | None:
    """Find dev and test parts whose label shares differ from those of train in the same domain."""
    return Finding.of(
        _shifts(evidence),
        "label-shift",
        "warning",
        "Labels are distributed differently in the parts of {count}: {told}.",
        "What was frequent in train is expected in test too, and what dev prefers need not suit test. Stratify the "
        "parts by label, or read UAR, which weighs all labels alike.",
        noun="fold",
    )


def _shifts(evidence: Evidence) -> Iterator[Cause]:
    """Yield the folds where a part differs, with the label that it has most too much of."""
    labels = evidence.labels()
    for where, training, others in _divisions(evidence):
        for part, rows in others:
            train = training[labels[training] >= 0]
            other = rows[labels[rows] >= 0]
            if not len(train) or not len(other):
                continue
            counts = np.stack(
                [np.bincount(labels[part_rows], minlength=labels.max() + 1) for part_rows in (train, other)]
            )
            shares = counts / counts.sum(axis=1, keepdims=True)
            more = shares[1] - shares[0]
            if np.abs(more).sum() / 2 < SHIFTED or not _credible(labels, train, other):
                continue
            code = int(more.argmax())
            name = _name(evidence, code)
            told = f"{where} ({name} is {shares[0, code]:.0%} of train, {shares[1, code]:.0%} of {part})"
            yield told, evidence.utterances(other[labels[other] == code])
            break


def _divisions(evidence: Evidence) -> Iterator[tuple[str, Rows, list[tuple[str, Rows]]]]:
    """Yield what trains, and dev and the tests of the same domain, each with its name.

    Of fits of two stages only what no other fit has; few shots are never like the rest, which nobody can help.
    """
    seen = set()
    for fit in sorted(evidence.fits, key=lambda fit: fit.then is not None):
        stages: list[Fit | Stage] = [fit]
        if fit.then is not None:
            stages = [fit, fit.then] if fit.then.shots is None else [fit]
            stages = [one for one in stages if (id(one.train), id(one.dev)) not in seen]
        for one in stages:
            seen.add((id(one.train), id(one.dev)))
            home = one.source if isinstance(one, Fit) else one.domain
            tests = [("test", test.rows) for test in fit.tests if test.domain == home]
            yield f"{fit.source} {fit.fold}", one.train, [("dev", one.dev), *tests]


def _credible(labels: Rows, train: Rows, other: Rows) -> bool:
    parts = np.repeat([0, 1], [len(train), len(other)]).astype(np.int64)
    return associated(parts, labels[np.concatenate([train, other])])[1] < UNLIKELY


def label_domain_confound(evidence: Evidence) -> Finding | None:
    """Find an association of label and domain; its utterances have the labels that a domain favours."""
    labels, domains = evidence.labels(), evidence.codes(evidence.domain)
    strength, p = associated(domains, labels)
    if strength < ASSOCIATED or p >= UNLIKELY:
        return None
    known = np.flatnonzero((labels >= 0) & (domains >= 0))
    table = np.zeros((domains.max() + 1, labels.max() + 1))
    np.add.at(table, (domains[known], labels[known]), 1)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return Finding(
        "label-domain-confound",
        "warning",
        f"Labels are distributed differently over the domains (Cramér's V {strength:.2f}; 0 is alike, 1 is separate): "
        f"{some([_shares(evidence, name, rows) for name, rows in evidence.domains()])}.",
        "A model trained on several domains can guess the label from the domain's sound, and a model from one domain "
        "expects labels that are rare in another.",
        evidence.utterances(known[(table > expected)[domains[known], labels[known]]]),
    )


def label_metadata_confound(evidence: Evidence) -> Finding | None:
    """Find columns such as sex, accent, session or the sentence that go together with the label inside a domain."""
    return Finding.of(
        _confounded(evidence),
        "label-metadata-confound",
        "warning",
        "The label goes together with another column: {told}.",
        "A probe that hears the other can answer the label without understanding it. Balance the two "
        "(splits.balance), compare within each value (statistics.slices), or choose a subset (keep).",
    )


def _confounded(evidence: Evidence) -> Iterator[Cause]:
    labels, speakers = evidence.labels(), evidence.codes("speaker")
    target = evidence.target.name
    names = [
        name for name in evidence.table.columns if name.lower() in METADATA and name not in (target, evidence.domain)
    ]
    for name in names:
        if target.lower() in PLACES and name.lower() in PLACES:
            continue
        codes = spoken(evidence) if name == "text" else evidence.codes(name)
        for domain, rows in evidence.domains():
            known = rows[(labels[rows] >= 0) & (codes[rows] >= 0)]
            if not len(known):
                continue
            cases = _cases(labels, codes, speakers, known)
            strength, p = associated(labels[cases], codes[cases])
            if strength >= ASSOCIATED and p < UNLIKELY:
                yield f"{name} in {domain} (Cramér's V {strength:.2f})", evidence.utterances(known)


def _cases(labels: Rows, codes: Rows, speakers: Rows, rows: Rows) -> Rows:
    """Take one row per speaker and value where the label is the speaker's own, else all rows."""
    alone = np.where(speakers[rows] < 0, speakers.max(initial=0) + 1 + np.arange(len(rows)), speakers[rows])
    of_speakers = len(np.unique(alone * (labels.max() + 1) + labels[rows])) == len(np.unique(alone))
    if not of_speakers:
        return rows
    return rows[np.unique(alone * (codes.max() + 1) + codes[rows], return_index=True)[1]]


def _listed(evidence: Evidence, present: Rows, counts: Rows) -> str:
    """Write labels with their counts, the most frequent first."""
    order = np.argsort(-counts, kind="stable")
    told = [f"{_name(evidence, int(present[at]))} {counts[at]}" for at in order]
    return ", ".join(told) if len(told) <= 8 else f"{', '.join(told[:4])} ... {', '.join(told[-3:])}"


def _shares(evidence: Evidence, domain: str, rows: Rows) -> str:
    labels = evidence.labels()[rows]
    present, counts = np.unique(labels[labels >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    told = [f"{_name(evidence, int(present[at]))} {counts[at] / counts.sum():.0%}" for at in order]
    return f"{domain} {', '.join(told) or 'no label'}"


def _name(evidence: Evidence, code: int) -> str:
    return evidence.label_names()[code]
