"""Alignment of pooled features, and of answers, from statistics that need no label of the target."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

CONSTANT = 1e-7
"""Deviation beside its mean below which a feature, which came as float32, is constant."""
FEWEST = 2
"""Utterances from which a group has a mean and deviation of its own."""
DEPENDENT = 1e-10
"""Share of the largest singular value of a cross-covariance below which a direction is rounding."""
MOST_STEPS, SETTLED = 1000, 1e-9
"""When the estimate of the label shares ends."""


def z_normalised(x: Array, groups: Codes, fallback: Codes | None = None) -> Array:
    """Give the features `[row, dim]` of each group mean 0 and deviation 1; a constant feature becomes 0.

    A group of fewer than `FEWEST` rows, which would lose everything, is normalised as its group in `fallback`.
    """
    made = np.empty_like(x)
    small = np.bincount(groups, minlength=int(groups.max(initial=-1)) + 1)[groups] < FEWEST
    for group in np.unique(groups[~small]):
        rows = groups == group
        made[rows] = _scaled(x[rows], x[rows])
    for group in np.unique(fallback[small]) if fallback is not None else ():
        rows = fallback == group
        made[rows & small] = _scaled(x[rows & small], x[rows])
    return made


def _scaled(x: Array, known: Array) -> Array:
    mean, scale = known.mean(axis=0), _scale(known)
    return np.asarray(np.where(scale > 0, (x - mean) / np.where(scale > 0, scale, 1.0), 0.0))


def _scale(x: Array) -> Array:
    """Return the deviation of each feature, 0 where it is constant."""
    deviation = x.std(axis=0)
    return np.asarray(np.where(deviation > CONSTANT * np.abs(x.mean(axis=0)), deviation, 0.0))


def coral(source: Array, target: Array) -> Array:
    """Give features of a source `[row, dim]` the mean and covariance of a target's `[row, dim]`.

    C_S^(-1/2) C_T^(1/2) on features in units of each domain's own deviations (Sun, Feng and Saenko 2016, Return of
    frustratingly easy domain adaptation). The covariances are shrunk by Ledoit and Wolf (2004), by as much as they
    need, where the paper adds the identity.
    """
    home, away = _scaled(source, source), _scaled(target, target)
    turned = home @ _power(_shrunk(home), -0.5) @ _power(_shrunk(away), 0.5)
    return np.asarray(turned * _scale(target) + target.mean(axis=0))


def _shrunk(centred: Array) -> Array:
    from sklearn.covariance import ledoit_wolf

    return np.asarray(ledoit_wolf(centred, assume_centered=True)[0], dtype=np.float64)


def _power(covariance: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    floor = max(float(values[-1]), 0.0) * len(values) * np.finfo(np.float64).eps
    powers = np.where(values > floor, np.maximum(values, np.finfo(np.float64).tiny) ** exponent, 0.0)
    return np.asarray(vectors * powers @ vectors.T)


def label_shares(answers: Array, prior: Array) -> Array:
    """Estimate the shares of labels `[label]` among answers `[row, label]` of a model that was trained with `prior`.

    The maximum of the likelihood, by EM (Saerens, Latinne and Decaestecker 2002, Adjusting the outputs of a classifier
    to new a priori probabilities).
    """
    shares = prior
    for _ in range(MOST_STEPS):
        before, shares = shares, adjusted(answers, prior, shares).mean(axis=0)
        if np.abs(shares - before).max() < SETTLED:
            break
    return shares


def adjusted(answers: Array, prior: Array, shares: Array) -> Array:
    """Turn answers `[row, label]` of a model that was trained with label shares `prior` into those for `shares`."""
    weighed = answers * np.where(prior > 0, shares / np.where(prior > 0, prior, 1.0), 0.0)
    total = weighed.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, weighed / np.where(total > 0, total, 1.0), answers))


@dataclass(frozen=True)
class Eraser:
    """The smallest change after which no linear probe can tell a concept better than by always answering the same.

    Least-squares concept erasure in closed form (LEACE, Belrose et al. 2023, arXiv 2306.03819): in whitened
    coordinates the directions that covary with the concept are taken out.
    """

    mean: Array
    """`[dim]`."""
    into: Array
    """Features to the whitened coordinates that are erased, `[dim, rank]`."""
    back: Array
    """And back, `[rank, dim]`."""

    @classmethod
    def fit(cls, x: Array, concept: Array) -> "Eraser":
        """Find what of features `[row, dim]` covaries with a concept `[row, value]`: one-hot values, or numbers."""
        mean, scale = x.mean(axis=0), _scale(x)
        centred = _scaled(x, x)  # erasure is the same in any units; these keep it exact
        values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
        there = values > max(float(values[-1]), 0.0) * len(values) * np.finfo(np.float64).eps
        root, axes = np.sqrt(values[there]), vectors[:, there]
        crossed = (centred @ axes / root).T @ (concept - concept.mean(axis=0)) / len(x)
        left, singular, _ = np.linalg.svd(crossed, full_matrices=False)
        left = left[:, singular > max(DEPENDENT * float(singular.max(initial=0.0)), 1e-12)]
        return cls(
            mean, axes / root @ left / np.where(scale > 0, scale, np.inf)[:, None], (left.T * root) @ axes.T * scale
        )

    @property
    def rank(self) -> int:
        """How many directions are erased: at most one fewer than the concept has values."""
        return int(self.into.shape[1])

    def __call__(self, x: Array) -> Array:
        """Erase the concept from features `[row, dim]`."""
        return np.asarray(x - (x - self.mean) @ self.into @ self.back)


def one_hot(codes: Codes) -> Array:
    """Turn codes `[row]` into `[row, value]`, 1 where the row has the value."""
    return np.asarray(np.eye(int(codes.max(initial=-1)) + 1)[codes])
