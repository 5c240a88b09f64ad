"""Transferability without labels of the target: distances between domains, and how well features fit source labels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

RIDGE = 0.1
"""Penalty of the ridge regressions, on standardised features and the mean squared error."""
MOST_STEPS, SETTLED = 200, 1e-8
"""When LogME's two precisions are settled: when their ratio changes by less, relatively."""


def coral_distance(a: Array, b: Array) -> float:
    """Squared Frobenius distance of two domains' covariances over 4 dim^2, features `[row, dim]` (Sun et al. 2016)."""
    difference = np.cov(a, rowvar=False, bias=True) - np.cov(b, rowvar=False, bias=True)
    return float((np.atleast_2d(difference) ** 2).sum() / (4 * a.shape[1] ** 2))


def mean_distance(a: Array, b: Array) -> float:
    """Squared distance of two domains' means over dim: the linear maximum mean discrepancy, features `[row, dim]`."""
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).mean())


def proxy_a_distance(a: Array, b: Array, a_groups: Codes, b_groups: Codes, folds: int = 3) -> float:
    """2 (1 - 2 error) of a linear classifier of two domains, by features `[row, dim]` of held-out groups `[row]`.

    0 where it cannot tell them, 2 where it always can (Ben-David et al. 2007). Both domains weigh alike.
    """
    x = np.concatenate([a, b])
    truth = np.repeat(np.eye(2), (len(a), len(b)), axis=0)
    dealt = np.concatenate([dealt_out(a_groups, folds), dealt_out(b_groups, folds)])
    recall = recalls(truth, held_out(x, truth, dealt, balanced=True))
    return float(2 * (1 - 2 * (1 - recall.mean())))


def recalls(truth: Array, scores: Array) -> Array:
    """Return the share of each label's rows `[label]` that have their highest score there, of `[row, label]`."""
    hit = np.eye(truth.shape[1])[scores.argmax(axis=1)]
    return np.asarray((truth * hit).sum(axis=0) / truth.sum(axis=0))


def dealt_out(groups: Codes, folds: int) -> Codes:
    """Deal groups `[row]` whole to folds `[row]`, the largest first, each to the smallest; rows, where there is one."""
    sizes = np.bincount(groups)
    if np.count_nonzero(sizes) < 2:
        return np.arange(len(groups)) % folds
    load, home = np.zeros(folds), np.zeros(len(sizes), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        home[group] = load.argmin()
        load[home[group]] += sizes[group]
    return home[groups]


def held_out(x: Array, truth: Array, folds: Codes, balanced: bool = False) -> Array:
    """Return scores `[row, out]` of ridge regressions from features `[row, dim]`, each fold by one of all others.

    Features are standardised, the offset is free; where `balanced`, the rows of each label weigh alike.
    """
    weight = (truth / truth.sum(axis=0)).sum(axis=1) if balanced else np.ones(len(x))
    scores = np.zeros(truth.shape)
    for fold in np.unique(folds):
        held = folds == fold
        if held.all():
            continue
        share = weight[~held] / weight[~held].sum()
        mean = share @ x[~held]
        variance = share @ (x[~held] - mean) ** 2
        scale = np.where(variance > 1e-12 * variance.max(initial=0.0), np.sqrt(np.maximum(variance, 1e-300)), np.inf)
        known, centre = (x[~held] - mean) / scale, share @ truth[~held]
        scores[held] = (x[held] - mean) / scale @ _ridge(known, truth[~held] - centre, share) + centre
    return scores


def _ridge(x: Array, y: Array, share: Array) -> Array:
    """Weights `[dim, out]`, solved in the smaller of the spaces of features and of rows."""
    rows, dim = x.shape
    if rows < dim:
        root = np.sqrt(share)[:, None]
        inner = root * x
        return np.asarray(inner.T @ np.linalg.solve(inner @ inner.T + RIDGE * np.eye(rows), root * y))
    weighed = x.T * share
    return np.asarray(np.linalg.solve(weighed @ x + RIDGE * np.eye(dim), weighed @ y))


def logme(features: Array, labels: Array) -> float:
    """Logarithm of the maximum evidence of labels `[row, out]` given features `[row, dim]`, per row, mean over out.

    The evidence of a Bayesian linear regression, maximised over the precisions of its weights and of the noise by the
    fixed point of MacKay (You et al. 2021, arXiv 2102.11005). Higher is better. NaN where a label is constant.
    """
    rows, dim = features.shape
    if rows < dim:
        squares, axes = np.linalg.eigh(features @ features.T)
        projected = axes.T @ labels
    else:
        squares, axes = np.linalg.eigh(features.T @ features)
        projected = axes.T @ (features.T @ labels) / np.sqrt(np.maximum(squares, 1e-300))[:, None]
    there = squares > max(float(squares[-1]), 0.0) * max(rows, dim) * np.finfo(np.float64).eps
    found = [_evidence(y, own**2, squares[there], dim) for y, own in zip(labels.T, projected[there].T, strict=True)]
    return float(np.mean(found)) if found else float("nan")


def _evidence(y: Array, projected: Array, squares: Array, dim: int) -> float:
    """Maximise for one label, in the features' singular basis: squared projections and squared singular values."""
    rows = len(y)
    if np.ptp(y) == 0:
        return float("nan")
    outside = max(float(y @ y - projected.sum()), 0.0)
    ratio = 1.0  # of the precision of the weights to that of the noise
    for _ in range(MOST_STEPS):
        alpha, beta = _precisions(ratio, projected, squares, outside, rows)
        before, ratio = ratio, alpha / beta
        if abs(ratio - before) <= SETTLED * before:
            break
    alpha, beta = _precisions(ratio, projected, squares, outside, rows)
    weights = float((squares * projected / (squares + ratio) ** 2).sum())
    missed = outside + float((projected * (ratio / (squares + ratio)) ** 2).sum())
    determinant = float(np.log(alpha + beta * squares).sum()) + (dim - len(squares)) * np.log(alpha)
    evidence = dim * np.log(alpha) + rows * np.log(beta) - determinant - beta * missed - alpha * weights
    return float((evidence - rows * np.log(2 * np.pi)) / (2 * rows))


def _precisions(ratio: float, projected: Array, squares: Array, outside: float, rows: int) -> tuple[float, float]:
    used = float((squares / (squares + ratio)).sum())
    weights = float((squares * projected / (squares + ratio) ** 2).sum())
    missed = outside + float((projected * (ratio / (squares + ratio)) ** 2).sum())
    return used / max(weights, 1e-300), max(rows - used, 1e-12) / max(missed, 1e-300)


def ranks(values: Sequence[float], higher_is_better: bool) -> Array:
    """Return places from 1, the best first; equals share their mean place, and what is undefined comes last."""
    from scipy.stats import rankdata

    array = np.asarray(values, dtype=np.float64)
    worst = np.where(np.isnan(array), np.inf, -array if higher_is_better else array)
    return np.asarray(rankdata(worst), dtype=np.float64)
