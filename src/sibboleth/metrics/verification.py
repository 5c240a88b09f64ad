"""Verification: how well scores of pairs tell whether both are the same.

The equal error rate is where the receiver operating characteristic meets the line on which the share of genuine
trials refused equals the share of impostor trials accepted. Equal scores are accepted or refused together, so that
the characteristic is a polyline with a corner between different scores (Fawcett 2006, An introduction to ROC analysis,
section 5.1), and the rate is read off it linearly, as most papers do. Without ties it differs by less than one trial
from what other conventions give at the nearest threshold.
"""

import numpy as np
import numpy.typing as npt

from sibboleth.metrics.metric import Array, divide

Scores = npt.NDArray[np.floating]


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """Return the equal error rate of scores of trials, higher ones speaking for the same; NaN without both kinds.

    Raises `ValueError` where a score is no number.
    """
    scores = np.concatenate([np.ravel(genuine), np.ravel(impostor)])
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    different, places = np.unique(scores, return_inverse=True)
    first, second = np.split(places, [np.size(genuine)])
    counts = [np.bincount(some, minlength=len(different)).astype(np.float64) for some in (first, second)]
    return float(rate(*counts))


def rate(genuine: Array, impostor: Array) -> Array:
    """Return the equal error rate `[...]` of numbers of trials `[..., score]`, scores ascending; NaN without both.

    Exact where each place is one score; a range of scores in a place is taken for one.
    """
    if genuine.shape[-1] == 0:
        return np.full(genuine.shape[:-1], np.nan)
    refused, accepted = errors(genuine, impostor)
    behind = refused - accepted
    # The last corner refuses everybody, so one is always found.
    place = np.maximum((behind >= 0).argmax(axis=-1), 1)[..., None]
    before, after = (np.take_along_axis(behind, place - step, axis=-1) for step in (1, 0))
    low, high = (np.take_along_axis(refused, place - step, axis=-1) for step in (1, 0))
    return np.asarray((low + (high - low) * divide(-before, after - before))[..., 0])


def errors(genuine: Array, impostor: Array) -> tuple[Array, Array]:
    """Return the share of genuine trials refused and of impostor trials accepted at each corner `[..., score + 1]`."""
    refused, passed = (_share_below(counts) for counts in (genuine, impostor))
    return refused, 1 - passed


def _share_below(counts: Array) -> Array:
    below = np.concatenate([np.zeros_like(counts[..., :1]), counts.cumsum(axis=-1)], axis=-1)
    return divide(below, below[..., -1:])
