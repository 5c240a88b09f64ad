"""Classification: UAR, accuracy, macro-F1, per class, confusion, calibration; hard and soft reference labels.

A soft reference (shares of listeners) counts in the confusion matrix with its weights, so a hard one is a special
case. An answer outside the label set, or without any weight, is wrong: it stands in an extra column of the matrix.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from sibboleth.metrics.metric import Array, Breakdown, Metric, Rows, divide

OTHER = "(other)"
"""Answer outside the label set, in slices of the confusion matrix."""
BINS = 15
"""Equally wide bins of confidence, `(k/15, (k+1)/15]`, of the expected calibration error (Guo et al. 2017)."""
SMALLEST = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to this in the cross-entropy, as scikit-learn does."""


@dataclass(frozen=True)
class Answers:
    """Weights of labels, answered and true."""

    labels: tuple[str, ...]
    reference: Array
    """`[answer, label]`, rows sum to one."""
    weights: Array
    """`[answer, label]`, share of the whole answer; rows sum to one, or less with labels outside the set."""
    outside: Array | None = None
    """`[answer]`, share of the heaviest label outside the set; None where there is none."""

    def __len__(self) -> int:
        """Count the answers."""
        return len(self.reference)

    def take(self, rows: Rows) -> Self:
        """Return some of the answers."""
        outside = None if self.outside is None else self.outside[rows]
        return type(self)(self.labels, self.reference[rows], self.weights[rows], outside)

    @cached_property
    def decided(self) -> npt.NDArray[np.int64]:
        """Index of the heaviest label `[answer]`, ties to the alphabetically first; `len(labels)` is outside."""
        alphabetical = np.array(sorted(range(len(self.labels)), key=lambda k: self.labels[k]), dtype=np.int64)
        best = alphabetical[np.argmax(self.weights[:, alphabetical], axis=1)]
        heaviest = self.weights[np.arange(len(self)), best]
        rival = 0.0 if self.outside is None else self.outside
        return np.where((heaviest > 0) & (heaviest >= rival), best, len(self.labels))

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Whether the reference gives weight to each label, `[answer, label]`."""
        return np.asarray(self.reference > 0)

    @property
    def forced(self) -> bool:
        """Whether every answer is a choice of one label rather than a distribution."""
        shares = self.weights if self.outside is None else np.column_stack([self.weights, self.outside])
        return bool(np.all((shares == 0) | (shares == 1)))


def confusion(answers: Answers) -> Array:
    """Return each answer's confusion matrix as parts: label by answer, the last answer being any other."""
    size = len(answers.labels)
    cells = np.zeros((len(answers), size, size + 1))
    cells[np.arange(len(answers)), :, answers.decided] = answers.reference
    return cells.reshape(len(answers), size * (size + 1))


def _size(sums: Array) -> int:
    """Return the number of labels, from label * (label + 1) parts."""
    return (math.isqrt(4 * sums.shape[-1] + 1) - 1) // 2


def _hits(sums: Array) -> Array:
    return sums[..., :: _size(sums) + 2]


def _true(sums: Array) -> Array:
    """How often each label is true; a product, because numpy sums short axes slowly."""
    size = _size(sums)
    return np.asarray(sums @ np.repeat(np.eye(size), size + 1, axis=0))


def _answered(sums: Array) -> Array:
    """How often each label is answered."""
    size = _size(sums)
    return np.asarray(sums @ np.tile(np.eye(size + 1, size), (size, 1)))


def recall(sums: Array) -> Array:
    """Hits over true, `[..., label]`; NaN for a label that the reference never has."""
    return divide(_hits(sums), _true(sums))


def precision(sums: Array) -> Array:
    """Hits over answered, `[..., label]`; NaN for a label that is never answered."""
    return divide(_hits(sums), _answered(sums))


def f1(sums: Array) -> Array:
    """Twice the hits over true plus answered, `[..., label]`; NaN for a label neither true nor answered."""
    return divide(2 * _hits(sums), _true(sums) + _answered(sums))


def shares(sums: Array) -> Array:
    """Confusion matrix, each row a distribution of answers, `[..., label * (label and other)]`; NaN in empty rows."""
    return divide(sums, np.repeat(_true(sums), _size(sums) + 1, axis=-1))


def _mean_defined(values: Array) -> Array:
    defined = ~np.isnan(values)
    return divide(_total(np.where(defined, values, 0.0)), _total(defined.astype(np.float64)))


def _total(values: Array) -> Array:
    return np.asarray(values @ np.ones(values.shape[-1]))


def _accuracy(sums: Array) -> Array:
    return divide(_total(_hits(sums)), _total(sums))


def _per_answer(value: Callable[[Answers], Array]) -> Callable[[Answers], Array]:
    def parts(answers: Answers) -> Array:
        return np.column_stack([value(answers), np.ones(len(answers))])

    return parts


def _mean(sums: Array) -> Array:
    return divide(sums[..., 0], sums[..., 1])


def _with_rest(answers: Answers) -> tuple[Array, Array]:
    """Answered and true distributions; weight outside the label set stands in one more column."""
    rest = np.maximum(1 - answers.weights.sum(axis=1), 0.0)
    return np.column_stack([answers.weights, rest]), np.column_stack([answers.reference, np.zeros(len(answers))])


def _cross_entropy(answers: Answers) -> Array:
    return np.asarray(-(answers.reference * np.log(np.maximum(answers.weights, SMALLEST))).sum(axis=1))


def _brier(answers: Answers) -> Array:
    answered, true = _with_rest(answers)
    return np.asarray(((answered - true) ** 2).sum(axis=1))


def _total_variation(answers: Answers) -> Array:
    answered, true = _with_rest(answers)
    return np.asarray(np.abs(answered - true).sum(axis=1) / 2)


def _jensen_shannon(answers: Answers) -> Array:
    answered, true = _with_rest(answers)
    middle = (answered + true) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = [np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=1) for p in (answered, true)]
    return np.asarray((terms[0] + terms[1]) / 2)


def _calibration_parts(answers: Answers) -> Array:
    """Confidence minus correctness in its bin, and a count: `[answer, bin + 1]`."""
    rest = np.zeros(len(answers)) if answers.outside is None else answers.outside
    rows = np.arange(len(answers))
    confidence = np.column_stack([answers.weights, rest])[rows, answers.decided]
    correct = np.column_stack([answers.reference, np.zeros(len(answers))])[rows, answers.decided]
    parts = np.zeros((len(answers), BINS + 1))
    parts[rows, np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)] = confidence - correct
    parts[:, BINS] = 1
    return parts


def _calibration_error(sums: Array) -> Array:
    return divide(_total(np.abs(sums[..., :BINS])), sums[..., BINS])


UAR = Metric("uar", "UAR", confusion, lambda sums: _mean_defined(recall(sums)))
"""Unweighted average recall: the mean of `recall` over the labels that the reference has (balanced accuracy)."""
ACCURACY = Metric("accuracy", "Accuracy", confusion, _accuracy)
"""Share of answers that are right."""
MACRO_F1 = Metric("macro_f1", "Macro-F1", confusion, lambda sums: _mean_defined(f1(sums)))
"""Mean of `f1` over the labels that are true or answered at least once."""
CALIBRATION_ERROR = Metric("ece", "ECE", _calibration_parts, _calibration_error, False, needs_posterior=True)
"""Expected calibration error: sum over bins of |sum of confidence - sum of correct| / n (Guo et al. 2017)."""
BRIER = Metric("brier", "Brier score", _per_answer(_brier), _mean, False, (0.0, 2.0), needs_posterior=True)
"""Mean of the summed squared distance to the reference (Brier 1950)."""
CROSS_ENTROPY = Metric(
    "cross_entropy", "Cross-entropy", _per_answer(_cross_entropy), _mean, False, (0.0, math.inf), needs_posterior=True
)
"""Mean of -sum(reference * ln(answer)), in nats; the log loss, where the reference is hard."""
TOTAL_VARIATION = Metric(
    "total_variation", "Total variation", _per_answer(_total_variation), _mean, False, needs_posterior=True
)
"""Mean of half the summed absolute distance between answered and true distribution."""
JENSEN_SHANNON = Metric(
    "jensen_shannon", "Jensen-Shannon", _per_answer(_jensen_shannon), _mean, False, needs_posterior=True
)
"""Mean Jensen-Shannon divergence of answered and true distribution, in bits (Lin 1991)."""

METRICS: tuple[Metric[Answers], ...] = (
    UAR,
    ACCURACY,
    MACRO_F1,
    CALIBRATION_ERROR,
    BRIER,
    CROSS_ENTROPY,
    TOTAL_VARIATION,
    JENSEN_SHANNON,
)


def breakdowns(labels: tuple[str, ...]) -> tuple[Breakdown[Answers], ...]:
    """Recall, precision and F1 of each label, and the confusion matrix, each row summing to one."""
    names = tuple(f"label={label}" for label in labels)
    each = tuple(range(len(labels)))
    cells = tuple(f"{name},answer={answer}" for name in names for answer in (*labels, OTHER))
    row = tuple(k for k in each for _ in range(len(labels) + 1))
    return (
        Breakdown("recall", names, each, confusion, recall),
        Breakdown("precision", names, each, confusion, precision),
        Breakdown("f1", names, each, confusion, f1),
        Breakdown("confusion", cells, row, confusion, shares),
    )
