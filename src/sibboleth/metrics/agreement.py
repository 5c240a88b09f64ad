"""Agreement of raters: Krippendorff's alpha, Fleiss' and Cohen's kappa, for any weights of items and raters.

A bootstrap weighs raters as well as items. A rater who is drawn twice would agree with himself, so only pairs of
different raters count, each by the product of its weights. With all weights 1 the numbers are those of the libraries
krippendorff, statsmodels and scikit-learn. What is undefined (one rater, one category) is NaN.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sibboleth.metrics.metric import Array, divide

Codes = npt.NDArray[np.int64]
Level = Literal["nominal", "ordinal", "interval"]

BOUNDS = (-1.0, 1.0)
"""Range of all of these."""
_DENSE = 4_000_000
"""Numbers up to which counts of pairs are kept whole, which is faster, rather than without zeros."""


class Tally:
    """Answers of raters about items, counted by category with any weights; missing answers are -1."""

    def __init__(self, answers: Codes, values: Array) -> None:
        """Take the categories `[item, rater]`, and the number that each category stands for `[category]`, ascending.

        The numbers matter for the interval level alone, their order for the ordinal one.
        """
        self.items, self.raters = answers.shape
        self.values = values
        item, rater = np.nonzero(answers >= 0)
        row = item * len(values) + answers[item, rater]
        shape = (self.items * len(values), self.raters)
        self._counting = sparse.csr_matrix((np.ones(len(row)), (row, rater)), shape=shape)

    def counts(self, raters: Array) -> Array:
        """Sum the weights `[..., rater]` of those who gave each answer: `[resample, item, category]`."""
        return np.asarray((self._counting @ raters.T).T).reshape(len(raters), self.items, len(self.values))

    def pairs(self, raters: Array) -> tuple[Array, Array, Array]:
        """Return counts, each rater's own square `[resample, item, category]`, and pairs `[resample, item]`.

        Pairs are of different raters, each in both orders, by the product of their weights.
        """
        counts, own = self.counts(raters), self.counts(raters**2)
        return counts, own, counts.sum(axis=-1) ** 2 - own.sum(axis=-1)

    def agreement(self, items: Array, raters: Array, levels: tuple[Level, ...]) -> Array:
        """Return alpha at each level, then Fleiss' kappa, `[resample, number]`, for weights of items and raters."""
        counts, own, pairs = self.pairs(raters)
        weight = np.where(pairs > 0, items, 0.0)
        pairs = np.where(pairs > 0, pairs, 1.0)
        size = counts.sum(axis=-1)
        same = (counts**2 - own).sum(axis=-1) / pairs
        marginal = np.matmul(weight[:, None], counts)[:, 0]
        found = [
            self._nominal(weight * size, same, marginal)
            if level == "nominal"
            else self._spaced(level, weight * size / pairs, counts, marginal)
            for level in levels
        ]
        share = divide(marginal, marginal.sum(axis=-1, keepdims=True))
        chance = (share**2).sum(axis=-1)
        observed = divide((weight * same).sum(axis=-1), weight.sum(axis=-1))
        return np.stack([*found, _beyond(observed, chance)], axis=-1)

    def _nominal(self, weight: Array, same: Array, marginal: Array) -> Array:
        total = marginal.sum(axis=-1)
        expected = divide(total**2 - (marginal**2).sum(axis=-1), total - 1)
        return _alpha((weight * (1 - same)).sum(axis=-1), expected, total)

    def _spaced(self, level: Level, weight: Array, counts: Array, marginal: Array) -> Array:
        """Alpha of squared distances; the ordinal distance is that of the mid-ranks of all answers."""
        total = marginal.sum(axis=-1)
        ranks = np.cumsum(marginal, axis=-1) - marginal / 2
        place = ranks if level == "ordinal" else np.broadcast_to(self.values, marginal.shape)
        place = place - divide((marginal * place).sum(axis=-1), total)[:, None]  # no large squares to subtract
        first, second = (np.matmul(counts, power[..., None])[..., 0] for power in (place, place**2))
        observed = (weight * 2 * (counts.sum(axis=-1) * second - first**2)).sum(axis=-1)
        squares = (marginal * place**2).sum(axis=-1)
        expected = divide(2 * (total * squares - (marginal * place).sum(axis=-1) ** 2), total - 1)
        return _alpha(observed, expected, total)


class Kappas:
    """Cohen's kappa of many pairs of raters, from the answers that both gave."""

    def __init__(self, first: Codes, second: Codes, categories: int, speakers: Codes) -> None:
        """Take the categories of both sides of each pair `[item, pair]`, -1 where missing, and speakers `[item]`."""
        pairs, self.categories = first.shape[1], categories
        self.speakers = int(speakers.max(initial=-1)) + 1
        item, pair = np.nonzero((first >= 0) & (second >= 0))
        self.answered = np.bincount(pair, minlength=pairs)
        """Items that both sides of each pair answered, `[pair]`."""
        sides = first[item, pair], second[item, pair]
        alike = sides[0] == sides[1]
        # Alike, then each category of the first and of the second: sums stay in long rows, a number per pair.
        column = np.concatenate(
            [pair[alike], (1 + sides[0]) * pairs + pair, (1 + categories + sides[1]) * pairs + pair]
        )
        row = speakers[np.concatenate([item[alike], item, item])]
        shape = self.speakers, (1 + 2 * categories) * pairs
        counted = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
        self._counted = counted.toarray() if shape[0] * shape[1] <= _DENSE else counted

    def __call__(self, speakers: Array) -> Array:
        """Return observed and expected agreement and kappa `[3, resample, pair]`, for weights of speakers."""
        counts = np.asarray(speakers @ self._counted)
        counts = counts.reshape(len(speakers), 1 + 2 * self.categories, len(self.answered))
        first, second = counts[:, 1 : 1 + self.categories], counts[:, 1 + self.categories :]
        total = first.sum(axis=1)
        observed = divide(counts[:, 0], total)
        chance = divide((first * second).sum(axis=1), total**2)
        return np.stack([observed, chance, _beyond(observed, chance)])


def alpha(answers: Codes, values: Array, level: Level = "nominal") -> float:
    """Krippendorff's alpha of categories `[item, rater]`: 1 - observed / expected disagreement (Krippendorff 2011)."""
    return _whole(answers, values, (level,))[0]


def fleiss(answers: Codes, categories: int) -> float:
    """Fleiss' kappa (1971) of categories `[item, rater]`; items with one answer do not count."""
    return _whole(answers, np.arange(categories, dtype=np.float64), ())[0]


def cohen(first: Codes, second: Codes, categories: int) -> float:
    """Cohen's kappa (1960) of two raters' categories `[item]`, on the items that both answered."""
    kappas = Kappas(first[:, None], second[:, None], categories, np.zeros(len(first), np.int64))
    return float(kappas(np.ones((1, kappas.speakers)))[2, 0, 0])


def _whole(answers: Codes, values: Array, levels: tuple[Level, ...]) -> list[float]:
    found = Tally(answers, values).agreement(np.ones((1, len(answers))), np.ones((1, answers.shape[1])), levels)
    return [float(number) for number in found[0]]


def _alpha(observed: Array, expected: Array, total: Array) -> Array:
    """1 - observed / expected; NaN where everything is alike, up to rounding."""
    return 1 - divide(observed, np.where(expected > 1e-12 * np.maximum(total, 1), expected, 0.0))


def _beyond(observed: Array, chance: Array) -> Array:
    """Agreement beyond chance as a share of what is possible."""
    return divide(observed - chance, np.where(chance < 1 - 1e-12, 1 - chance, 0.0))
