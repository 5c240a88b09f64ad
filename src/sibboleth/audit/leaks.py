"""Leaks: what the test shares with what trained or selected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.audit.finding import SECOND_DEV, SECOND_TRAIN, Evidence, Finding, place, plural
from sibboleth.splits import Fit, Rows

PARTS: dict[str, Callable[[Fit], Rows | None]] = {
    "train": lambda fit: fit.train,
    "dev": lambda fit: fit.dev,
    SECOND_TRAIN: lambda fit: None if fit.then is None else fit.then.train,
    SECOND_DEV: lambda fit: None if fit.then is None else fit.then.dev,
}
"""What a model learns from or is selected on, before it is tested."""


@dataclass(frozen=True)
class Overlap:
    """What one part of the fits shares with their tests."""

    tests: int
    """Tests that share anything."""
    all: int
    """Tests of the fits that have the part."""
    worst: tuple[int, int]
    """Values shared and values tested, in the test with the largest share."""
    where: str
    rows: Rows
    """Test rows with a shared value."""

    def __str__(self) -> str:
        """Write the numbers."""
        shared, tested = self.worst
        often = "in the only test" if self.all == 1 else f"in {self.tests} of {self.all} tests"
        return f"{shared} of {tested} in {self.where}; {often}"


def overlap(evidence: Evidence, values: Rows, part: Callable[[Fit], Rows | None]) -> Overlap | None:
    """Compare the values (-1 is unknown) of a part of every fit that has it with those of its tests."""
    if values.max(initial=-1) < 0:
        return None
    there = np.zeros(int(values.max()) + 2, dtype=bool)
    worst, where, hits, rows, count = (0, 1), "", 0, [np.empty(0, dtype=np.int64)], 0
    last: Rows | None = None
    for fit, test in evidence.tests():
        mine = part(fit)
        if mine is None:
            continue
        count += 1
        if mine is not last:
            there[:] = False
            there[values[mine]] = True
            there[-1] = False
            last = mine
        tested = values[test.rows]
        if there[tested].any():
            known = np.unique(tested[tested >= 0])
            shared = int(there[known].sum())
            hits += 1
            rows.append(test.rows[there[tested]])
            if shared * worst[1] > worst[0] * len(known) or not where:
                worst, where = (shared, len(known)), place(fit, test)
    return Overlap(hits, count, worst, where, np.unique(np.concatenate(rows))) if hits else None


def shared_utterances(evidence: Evidence) -> Finding | None:
    """Find utterances in train or dev and in the test of one fold."""
    return _leak(
        evidence,
        "shared-utterances",
        np.arange(len(evidence.table)),
        "utterances",
        "The model is asked about the very utterances that it has learnt or was selected on: scores are far too high.",
    )


def shared_speakers(evidence: Evidence) -> Finding | None:
    """Find speakers in train or dev and in the test of one fold."""
    return _leak(
        evidence,
        "shared-speakers",
        evidence.codes("speaker"),
        "speakers",
        "The model can recognise voices instead of what is asked: scores are too high for new speakers.",
    )


def shared_sessions(evidence: Evidence) -> Finding | None:
    """Find recording sessions in train or dev and in the test of one fold."""
    return _leak(
        evidence,
        "shared-sessions",
        evidence.codes("session"),
        "sessions",
        "Room, microphone and dialogue partner are known from training: scores are too high for new recordings. "
        'Sessions stay whole with scheme = "leave-one-session-out".',
    )


def identical_audio(evidence: Evidence) -> Finding | None:
    """Find audio in train or dev that is in the test of one fold too, under another name."""
    return _leak(
        evidence,
        "identical-audio",
        evidence.digests(),
        "recordings",
        "The model has heard the very same recordings: their scores are too high. Leave the copies out.",
    )


def dev_shares_speakers(evidence: Evidence) -> Finding | None:
    """Find speakers in train and in dev, also in either stage's train and the second stage's dev."""
    values = evidence.codes("speaker")
    shared = np.zeros(len(values), dtype=bool)
    fits = 0
    there = np.zeros(int(values.max(initial=-1)) + 2, dtype=bool)
    for fit in evidence.fits:
        there[:] = False
        hit = 0
        for train, dev in ((fit.train, fit.dev), *(() if fit.then is None else ((fit.then.train, fit.then.dev),))):
            there[values[train]] = True
            there[-1] = False
            rows = dev[there[values[dev]]]
            shared[rows] = True
            hit += len(rows)
        fits += hit > 0
    if not fits:
        return None
    return Finding(
        "dev-shares-speakers",
        "warning",
        f"Train and dev share speakers in {fits} of {plural(len(evidence.fits), 'fit')}.",
        "Penalty, epoch and layer are chosen for voices already known, so that the choice may be wrong for new ones.",
        evidence.utterances(shared),
    )


def target_labels_select(evidence: Evidence) -> Finding | None:
    """Find fits that are selected on the labels of the domain they are tested on."""
    fits = [fit for fit in evidence.fits if any(test.regime == "target-selected" for test in fit.tests)]
    if not fits:
        return None
    selecting = np.zeros(len(evidence.table), dtype=bool)
    for fit in fits:
        selecting[fit.dev] = True
    rows = np.flatnonzero(selecting)
    return Finding(
        "target-labels-select",
        "warning",
        f"The regime target-selected chooses penalty, epoch and layer with the labels of {len(rows)} utterances of the "
        "target domains.",
        "These scores are not zero-shot: read them as what zero-shot could reach with a perfect choice.",
        evidence.utterances(rows),
    )


def target_labels_train(evidence: Evidence) -> Finding | None:
    """Find fits that go on with a second training on the domain they are tested on, and say how many labels it uses."""
    stages = [fit.then for fit in evidence.fits if fit.then is not None]
    if not stages:
        return None
    whole = [stage for stage in stages if stage.shots is None]
    few = sorted({stage.shots for stage in stages if stage.shots is not None})
    told = []
    if whole:
        train, dev = (_marked(evidence, rows) for rows in ([s.train for s in whole], [s.dev for s in whole]))
        told.append(
            f"The regime two-stage trains on the labels of {train.sum()} utterances of the target domains, and chooses "
            f"the epoch of that with the labels of {dev.sum()}."
        )
    if few:
        each = "label" if evidence.target.kind == "classification" else "fifth of the numbers"
        drawn = _marked(evidence, [stage.train for stage in stages if stage.shots is not None])
        told.append(
            f"The regime few-shot trains on {', '.join(map(str, few))} utterances of each {each} of the target domain "
            f"({drawn.sum()} utterances over all models), and chooses nothing with labels of the target."
        )
    return Finding(
        "target-labels-train",
        "note",
        " ".join(told),
        "These scores are not zero-shot: they say what a source is worth where the target has labels. Compare them "
        "with within, which learns from the target alone.",
        evidence.utterances(_marked(evidence, [rows for stage in stages for rows in (stage.train, stage.dev)])),
    )


def no_dev(evidence: Evidence) -> Finding | None:
    """Find fits without dev rows."""
    fits = [fit for fit in evidence.fits if not len(fit.dev)]
    if not fits:
        return None
    return Finding(
        "no-dev",
        "warning",
        f"{len(fits)} of {plural(len(evidence.fits), 'fold')} have no dev part.",
        "Nothing but the test is left to choose epoch or layer, and what is chosen on the test is too high.",
        evidence.utterances(np.concatenate([fit.train for fit in fits])),
    )


def repeated_test(evidence: Evidence) -> Finding | None:
    """Find utterances that several folds test."""
    tests: dict[tuple[str, str, str, int], list[Rows]] = {}
    for fit, test in evidence.tests():
        draw = 0 if fit.then is None else fit.then.draw
        tests.setdefault((fit.source, test.regime, test.domain, draw), []).append(test.rows)
    repeated = np.zeros(len(evidence.table), dtype=bool)
    for rows in tests.values():
        repeated |= np.bincount(np.concatenate(rows), minlength=len(repeated)) > 1
    if not repeated.any():
        return None
    return Finding(
        "repeated-test",
        "warning",
        f"{plural(int(repeated.sum()), 'utterance')} of {len(evidence.table)} are tested in several folds.",
        "Folds are not independent: averages over folds count these utterances more than once, and intervals over "
        "folds are too narrow.",
        evidence.utterances(repeated),
    )


def _leak(evidence: Evidence, name: str, values: Rows, noun: str, effect: str) -> Finding | None:
    """Make the error for values of train or dev, of either stage, that are in test."""
    overlaps = {name: overlap(evidence, values, part) for name, part in PARTS.items()}
    shared = [found.rows for found in overlaps.values() if found is not None]
    if not shared:
        return None
    told = [
        f"{part} and test share {'no ' + noun if found is None else f'{noun} ({found})'}"
        for part, found in overlaps.items()
        if found is not None or part in ("train", "dev")
    ]
    message = ", ".join(told)
    rows = np.concatenate(shared)
    return Finding(name, "error", f"{message[0].upper()}{message[1:]}.", effect, evidence.utterances(rows))


def _marked(evidence: Evidence, parts: Sequence[Rows]) -> npt.NDArray[np.bool_]:
    """Mark the rows that are in any of the parts, of which many are the same array."""
    marked = np.zeros(len(evidence.table), dtype=bool)
    for rows in {id(rows): rows for rows in parts}.values():
        marked[rows] = True
    return marked
