"""Segmentation: which label when. Emotion diarization error and its parts, frames, segments, boundaries.

All but the mean over utterances are of seconds that are added over utterances and divided once. Where the reference
has the labels R at some moment and the answer the labels H, those in both are right; of the others as many as can be
are paired and confused; what is left of R is missed; what is left of H is a false alarm where R is empty, and overlap
where it is not. So the seconds are those of the identification error rate (Bredin 2017, pyannote.metrics), whose false
alarm is ours and overlap together, and the error rate is that of emotion diarization (Wang, Ravanelli, Yacoubi 2023,
Speech emotion diarization: which emotion appears when?): errors over the duration of all recordings, not of all labels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sibboleth.metrics import matching
from sibboleth.metrics.classification import OTHER
from sibboleth.metrics.metric import Array, Breakdown, Metric, Rows, divide
from sibboleth.metrics.spans import Division, Spans, together

NONE = "(none)"
"""Name of stretches without label, in slices."""
BLOCK = 2048
"""Answers that are divided at a time, which bounds memory."""
PARTS = ("false_alarm", "missed", "confused", "overlap")


@dataclass(frozen=True)
class Answers:
    """Spans of labels, answered and true, all within the recording."""

    labels: tuple[str, ...]
    reference: Spans
    hypothesis: Spans
    """The index behind all labels stands for any other."""
    seconds: Array
    """`[answer]`, how long the recording is."""
    covered: Array
    """`[answer]`, until when there is an answer at all; what lies behind is without label."""
    collar: float = 0.0
    """Seconds before and after each boundary of the reference that do not count as errors or as time."""

    def __len__(self) -> int:
        """Count the answers."""
        return len(self.seconds)

    def take(self, rows: Rows) -> Self:
        """Return some of the answers."""
        spans = self.reference.take(rows), self.hypothesis.take(rows)
        return type(self)(self.labels, *spans, self.seconds[rows], self.covered[rows], self.collar)

    @cached_property
    def present(self) -> npt.NDArray[np.bool_]:
        """Whether the reference of each answer has each label, and last any time without label, `[answer, label + 1]`.

        A collar counts here.
        """
        found = np.zeros((len(self), len(self.labels) + 1), np.bool_)
        found[self.reference.answers, self.reference.labels] = True
        found[:, -1] = _background(self) > 0
        return found


def seconds(answers: Answers) -> Array:
    """Return the seconds of each answer by what is true and what is answered, `[answer, (label + 2)^2 + 4]`.

    A matrix: rows are the labels, no label, and what is answered beside a true label; columns the labels, any other,
    and no label. Then the seconds without true label, all that are scored, the share of the utterance that is
    wrong in the mode of `UTTERANCE_MEAN`, and 1.
    """
    blocks = [_seconds(answers.take(slice(k, k + BLOCK))) for k in range(0, max(len(answers), 1), BLOCK)]
    return np.concatenate(blocks)


def _seconds(answers: Answers) -> Array:
    size, count = len(answers.labels), len(answers)
    ours, theirs = answers.reference, answers.hypothesis
    every, nought = np.arange(count), np.zeros(count)
    near = [np.clip(edges + side, 0, answers.seconds[ours.answers]) for edges, side in _collars(answers)]
    times = [nought, answers.seconds, answers.covered, ours.starts, ours.ends, theirs.starts, theirs.ends, *near]
    who = [every, every, every, *[ours.answers] * 2, *[theirs.answers] * 2, *[ours.answers] * len(near)]
    division = Division(who, times)
    true = division.covered(3, 4, ours.labels, size) > 0
    answered = division.covered(5, 6, theirs.labels, size + 1) > 0
    scored = division.covered(7, 8) + division.covered(9, 10) == 0 if near else np.ones((len(true), 1), np.bool_)
    stretches = division.stretches
    length = stretches.seconds * scored[:, 0]
    adding = sparse.csc_matrix(
        (np.ones(len(length)), (stretches.answers, np.arange(len(length)))), shape=(count, len(length))
    )
    cells = np.zeros((count, size + 2, size + 2))
    right = true & answered[:, :size]
    lost = true & ~right
    more = answered.copy()
    more[:, :size] &= ~right
    lost_count, more_count = lost.sum(axis=1), more.sum(axis=1)
    pairs = np.minimum(lost_count, more_count)
    silent = ~true.any(axis=1)
    both = length * _share(pairs, lost_count * more_count)
    missed = length * _share(lost_count - pairs, lost_count)
    added = length * _share(more_count - pairs, more_count)
    for label in range(size):
        here = np.flatnonzero(lost[:, label] & (pairs > 0))
        cells[:, label, : size + 1] = adding[:, here] @ (both[here, None] * more[here])
    diagonal = np.arange(size)
    cells[:, diagonal, diagonal] += adding @ (length[:, None] * right)
    cells[:, :size, size + 1] = adding @ (missed[:, None] * lost)
    cells[:, size, : size + 1] = adding @ ((added * silent)[:, None] * more)
    cells[:, size + 1, : size + 1] = adding @ ((added * ~silent)[:, None] * more)
    cells[:, size, size + 1] = adding @ (length * (silent & ~answered.any(axis=1)))
    alike = (true == answered[:, :size]).all(axis=1) & ~answered[:, size] & (division.covered(0, 2)[:, 0] > 0)
    wrong = 1 - divide(adding @ (stretches.seconds * alike), answers.seconds)
    rest = [adding @ (length * silent), adding @ length, np.where(np.isnan(wrong), 0, wrong), ~np.isnan(wrong)]
    return np.concatenate([cells.reshape(count, (size + 2) ** 2), np.column_stack(rest)], axis=1)


def _collars(answers: Answers) -> list[tuple[Array, float]]:
    """Where the collars around starts begin and end, then those around ends."""
    if not answers.collar:
        return []
    spans, width = answers.reference, answers.collar
    return [(spans.starts, -width), (spans.starts, width), (spans.ends, -width), (spans.ends, width)]


def _share(some: npt.NDArray[np.int64], many: npt.NDArray[np.int64]) -> Array:
    return np.where(many > 0, some / np.maximum(many, 1), 0.0)


def _background(answers: Answers) -> Array:
    """Seconds without true label, `[answer]`."""
    spans, every = answers.reference, np.arange(len(answers))
    division = Division(
        [every, every, spans.answers, spans.answers],
        [np.zeros(len(answers)), answers.seconds, spans.starts, spans.ends],
    )
    silent = division.covered(2, 3)[:, 0] == 0
    stretches = division.stretches
    found = np.bincount(stretches.answers[silent], stretches.seconds[silent], minlength=len(answers))
    return np.asarray(found, dtype=np.float64)


def _matrix(sums: Array) -> Array:
    """Return the matrix of seconds of summed parts, `[..., label + 2, label + 2]`."""
    size = math.isqrt(sums.shape[-1] - 4)
    return sums[..., :-4].reshape(*sums.shape[:-1], size, size)


def error_seconds(sums: Array) -> Array:
    """Return false alarm, missed, confused and overlap of summed parts, in seconds `[..., 4]`."""
    cells = _matrix(sums)
    size = cells.shape[-1] - 2
    return np.stack(
        [
            cells[..., size, : size + 1].sum(axis=-1),
            cells[..., :size, size + 1].sum(axis=-1),
            _confused(cells).sum(axis=-1),
            cells[..., size + 1, :].sum(axis=-1),
        ],
        axis=-1,
    )


def _confused(cells: Array) -> Array:
    """Return the seconds of each label for which another was answered, `[..., label]`: the matrix off its diagonal."""
    size = cells.shape[-1] - 2
    return np.asarray(np.where(np.eye(size, size + 1, dtype=bool), 0.0, cells[..., :size, : size + 1]).sum(axis=-1))


def label_seconds(sums: Array) -> Array:
    """Return of each label its seconds, those right, false alarm, missed, confused and overlap, `[..., label + 1, 6]`.

    Missed and confused are of the true label, false alarm and overlap of the label answered. Of no label, the last row,
    there are seconds and those right; its errors are those of labels.
    """
    cells = _matrix(sums)
    size = cells.shape[-1] - 2
    right = np.diagonal(cells[..., :size, :size], axis1=-2, axis2=-1)
    missed = cells[..., :size, size + 1]
    true = cells[..., :size, :].sum(axis=-1)
    alarm, beside = cells[..., size, :size], cells[..., size + 1, :size]
    labels = np.stack([true, right, alarm, missed, _confused(cells), beside], axis=-1)
    none = np.zeros_like(labels[..., :1, :])
    none[..., 0, 0], none[..., 0, 1] = sums[..., -4], cells[..., size, size + 1]
    return np.concatenate([labels, none], axis=-2)


def _error_rate(sums: Array) -> Array:
    return divide(error_seconds(sums).sum(axis=-1), sums[..., -3])


def _part(index: int) -> Callable[[Array], Array]:
    return lambda sums: divide(error_seconds(sums)[..., index], sums[..., -3])


def _true(sums: Array) -> Array:
    """Seconds of each label in the reference, and without label, `[..., label + 1]`."""
    return np.concatenate([_matrix(sums)[..., :-2, :].sum(axis=-1), sums[..., -4:-3]], axis=-1)


def _hits(sums: Array) -> Array:
    """Seconds that are right, by label and without label, `[..., label + 1]`."""
    cells = _matrix(sums)
    size = cells.shape[-1] - 2
    right = np.diagonal(cells[..., :size, :size], axis1=-2, axis2=-1)
    return np.concatenate([right, cells[..., size, size + 1, None]], axis=-1)


def _answered(sums: Array) -> Array:
    """Seconds of each label in the answers, and without label, `[..., label + 1]`."""
    cells = _matrix(sums)
    size = cells.shape[-1] - 2
    return np.concatenate([cells[..., :size].sum(axis=-2), cells[..., size + 1, None].sum(axis=-2)], axis=-1)


def recall(sums: Array) -> Array:
    """Seconds that are right over seconds that are true, `[..., label + 1]`, the last without label."""
    return divide(_hits(sums), _true(sums))


def precision(sums: Array) -> Array:
    """Seconds that are right over seconds answered, `[..., label + 1]`, the last without label."""
    return divide(_hits(sums), _answered(sums))


def f1(sums: Array) -> Array:
    """Twice the seconds that are right over those true and those answered, `[..., label + 1]`."""
    return divide(2 * _hits(sums), _true(sums) + _answered(sums))


def shares(sums: Array) -> Array:
    """Each label's seconds by what was answered, over its seconds: `[..., (label + 1) * (label + 2)]`."""
    cells = _matrix(sums)[..., :-1, :]
    found = divide(cells, _true(sums)[..., None])
    return found.reshape(*sums.shape[:-1], -1)


def _part_of_label(part: int) -> Callable[[Array], Array]:
    """Return a function to seconds of one column of `label_seconds` over the label's seconds, `[..., label]`."""

    def share(sums: Array) -> Array:
        found = label_seconds(sums)[..., :-1, :]
        return divide(found[..., part], found[..., 0])

    return share


def _frame_recall(sums: Array) -> Array:
    found = recall(sums)
    defined = ~np.isnan(found)
    return divide(np.where(defined, found, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def matched(answers: Answers) -> Array:
    """Matched segments, those of the reference, those answered, `[answer, 3]`."""
    ours, theirs = answers.reference, answers.hypothesis
    pairs = matching.matched(ours, theirs)[0]
    counts = [np.bincount(ours.answers[pairs], minlength=len(answers)), *(np.diff(s.bounds) for s in (ours, theirs))]
    return np.column_stack(counts).astype(np.float64)


def boundary_errors(answers: Answers) -> Array:
    """How far boundaries of matched segments are off, as a histogram: counts, then sums, `[answer, 2 * bin]`.

    Beginning and end of a recording are no boundaries.
    """
    ours, theirs = answers.reference, answers.hypothesis
    a, b = matching.matched(ours, theirs)
    ends = ours.ends[a] < answers.seconds[ours.answers[a]] - matching.ROUNDING
    begins = ours.starts[a] > matching.ROUNDING
    who = np.concatenate([ours.answers[a][begins], ours.answers[a][ends]])
    apart = np.concatenate([(ours.starts[a] - theirs.starts[b])[begins], (ours.ends[a] - theirs.ends[b])[ends]])
    return matching.histogram(who, np.abs(apart), len(answers))


def concatenate(parts: Sequence[Answers]) -> Answers:
    """Put answers of one label set behind each other."""
    ours, theirs = (together([getattr(part, side) for part in parts]) for side in ("reference", "hypothesis"))
    seconds, covered = (np.concatenate([getattr(part, name) for part in parts]) for name in ("seconds", "covered"))
    return Answers(parts[0].labels, ours, theirs, seconds, covered, parts[0].collar)


_ANY = (0.0, math.inf)
EDER = Metric("eder", "EDER", seconds, _error_rate, False, _ANY, ratio=True)
"""Emotion diarization error rate: false alarm, missed, confused and overlap in seconds, over the duration."""
FALSE_ALARM = Metric("false_alarm", "False alarm", seconds, _part(0), False, _ANY)
"""Seconds of labels answered where none is true, over the duration."""
MISSED = Metric("missed", "Missed", seconds, _part(1), False, _ANY)
"""Seconds of true labels to which nothing was answered, over the duration."""
CONFUSED = Metric("confused", "Confused", seconds, _part(2), False, _ANY)
"""Seconds of true labels for which another was answered, over the duration."""
OVERLAP = Metric("overlap", "Overlap", seconds, _part(3), False, _ANY)
"""Seconds of labels answered beside a true one, over the duration."""
FRAME_UAR = Metric("frame_uar", "Frame UAR", seconds, _frame_recall)
"""Mean of `recall` over what the reference has, stretches without label included."""
SEGMENT_F1 = Metric(
    "segment_f1", "Segment F1", matched, lambda sums: divide(2 * sums[..., 0], sums[..., 1] + sums[..., 2])
)
"""F1 of segments; one is found by a segment of its label that it shares at least half of their union with."""
BOUNDARY_ERROR = Metric("boundary_error", "Boundary error (s)", boundary_errors, matching.median, False, _ANY)
"""Median distance of boundaries of matched segments, in seconds; to less than a tenth of itself."""
UTTERANCE_MEAN = Metric(
    "eder_utterance_mean",
    "EDER, mean over utterances",
    seconds,
    lambda sums: divide(sums[..., -2], sums[..., -1]),
    False,
)
"""Mean over utterances of 1 - right time / duration, as SpeechBrain's recipe reports it (no collar).

There stretches without label are a label, and what no answer covers is wrong. Labels are compared whole, not by first
letter, and answers may have several at once, which are right where they are those of the reference.
"""

METRICS: tuple[Metric[Answers], ...] = (
    EDER,
    FALSE_ALARM,
    MISSED,
    CONFUSED,
    OVERLAP,
    FRAME_UAR,
    SEGMENT_F1,
    BOUNDARY_ERROR,
    UTTERANCE_MEAN,
)


def breakdowns(labels: tuple[str, ...]) -> tuple[Breakdown[Answers], ...]:
    """Recall, precision and F1 of the seconds of each label, what was answered in them, and errors per second."""
    names = tuple(f"label={label}" for label in (*labels, NONE))
    each = tuple(range(len(names)))
    cells = tuple(f"{name},answer={answer}" for name in names for answer in (*labels, OTHER, NONE))
    row = tuple(k for k in each for _ in range(len(labels) + 2))
    return (
        Breakdown("recall", names, each, seconds, recall),
        Breakdown("precision", names, each, seconds, precision),
        Breakdown("f1", names, each, seconds, f1),
        Breakdown("confusion", cells, row, seconds, shares),
        *(
            Breakdown(name, names[:-1], each[:-1], seconds, _part_of_label(column), bounds)
            for name, column, bounds in (("false_alarm", 2, _ANY), ("confused", 4, (0.0, 1.0)), ("overlap", 5, _ANY))
        ),
    )
