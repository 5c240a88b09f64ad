"""Metrics, as addable parts and a rate over their sums.

A metric never averages rates: each answer gives a row of parts (counts, moments), rows are summed over whatever is
asked (a slice, a bootstrap resample), and `rate` turns sums into the number. So UAR, CCC and WER are pooled, sliced
and resampled by the same three lines of code, and a resample costs one matrix product.
"""

from typing import Any

from sibboleth.metrics import classification, regression, segmentation, transcription
from sibboleth.metrics.alignment import Alignment, align
from sibboleth.metrics.metric import Answers, Breakdown, Metric
from sibboleth.metrics.parts import Parts
from sibboleth.targets import Target

__all__ = ["Alignment", "Answers", "Breakdown", "Metric", "Parts", "align", "breakdowns", "of"]


def of(target: Target) -> tuple[Metric[Any], ...]:
    """Return the metrics of the target's kind, the main one (`uar`, `ccc`, `wer`, `eder`) first."""
    families: dict[str, tuple[Metric[Any], ...]] = {
        "classification": classification.METRICS,
        "regression": regression.METRICS,
        "transcription": transcription.METRICS,
        "segmentation": segmentation.METRICS,
    }
    return families[target.kind]


def breakdowns(target: Target) -> tuple[Breakdown[Any], ...]:
    """Return the metrics per class of the target's kind: recall, precision, F1 and the confusion matrix."""
    if target.kind == "segmentation":
        return segmentation.breakdowns(target.labels)
    return classification.breakdowns(target.labels) if target.kind == "classification" else ()
