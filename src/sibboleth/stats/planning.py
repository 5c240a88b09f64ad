"""Power of a study that is not made yet: answers are simulated, and tested by the code that tests real ones.

Two systems answer items of speakers. Whether an answer is right is a latent normal number above a threshold. Latent
numbers of one system correlate within a speaker (`icc`), those of the two systems on one item (`same_item`) and on
different items of one speaker (`same_speaker`). `docs/statistics.md` explains it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from sibboleth.stats.limits import degrees, difference_bounds, effective, spread
from sibboleth.stats.permutation import sign_flip
from sibboleth.stats.resampling import Rate, Resampler

Array = npt.NDArray[np.float64]
FLIPS = 2000
"""Swaps of a simulated permutation test, at least."""


@dataclass(frozen=True)
class Model:
    """What is assumed about the answers: shares of right ones, and correlations of the latent numbers."""

    a: float
    """Share of A's answers that are right."""
    b: float
    a_icc: float
    """Correlation of A's latent numbers on two items of one speaker."""
    b_icc: float
    same_item: float
    """Correlation of A's and B's latent numbers on one item."""
    same_speaker: float
    """The same on two items of one speaker."""

    def covariances(self) -> tuple[Array, Array]:
        """Covariances of A and B: what a speaker's items share, and the rest; made possible where they are not."""
        shared = float(np.clip(self.same_speaker, *(s * np.sqrt(self.a_icc * self.b_icc) for s in (-1, 1))))
        rest = float(
            np.clip(self.same_item - shared, *(s * np.sqrt((1 - self.a_icc) * (1 - self.b_icc)) for s in (-1, 1)))
        )
        own, other = np.diag([self.a_icc, self.b_icc]), np.diag([1 - self.a_icc, 1 - self.b_icc])
        swap = np.array([[0.0, 1.0], [1.0, 0.0]])
        return own + shared * swap, other + rest * swap

    def between(self) -> "Model":
        """Return the same, A and B answering about different speakers."""
        return replace(self, same_item=0.0, same_speaker=0.0)


@dataclass(frozen=True)
class Design:
    """A study: what it asks of whom, and how it is tested."""

    speakers: int
    """Speakers; of each group, where the two systems (or groups) have different ones."""
    items: int
    """Items of each speaker, labels in turn."""
    classes: int = 4
    paired: bool = True
    """Whether both answer the same items of the same speakers."""
    alpha: float = 0.05
    comparisons: int = 1
    """Comparisons in the family: power is that of the smallest p, which Holm multiplies by all of them."""


def simulate(model: Model, design: Design, count: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Yield so many studies: right answers of each label, then wrong ones, `[speaker, 2 * label]`, of A and of B.

    A seed draws the same latent numbers whatever the levels, so that power never falls where the difference grows.
    """
    rng = np.random.default_rng([seed, design.speakers, design.items])
    model = model if design.paired else model.between()
    shared, rest = (_root(covariance) for covariance in model.covariances())
    threshold = special.ndtri(np.array([model.a, model.b]))
    speakers = np.arange(design.speakers)[:, None]
    label = np.arange(design.speakers * design.items).reshape(design.speakers, -1) % design.classes
    place, size = (speakers * design.classes + label).ravel(), design.speakers * design.classes
    asked = np.bincount(place, minlength=size).reshape(-1, design.classes)
    for _ in range(count):
        speaker = rng.standard_normal((design.speakers, 1, 2)) @ shared.T
        latent = speaker + rng.standard_normal((design.speakers, design.items, 2)) @ rest.T
        right = latent < threshold
        hits = [np.bincount(place, side.ravel(), size).reshape(asked.shape) for side in np.moveaxis(right, -1, 0)]
        yield np.concatenate([hits[0], asked - hits[0]], axis=1), np.concatenate([hits[1], asked - hits[1]], axis=1)


def accuracy(parts: Array) -> Array:
    """Accuracy of right and wrong answers by label, `[..., 2 * label]`."""
    right, _ = np.split(parts, 2, axis=-1)
    return np.asarray(right.sum(axis=-1) / parts.sum(axis=-1))


def uar(parts: Array) -> Array:
    """Unweighted average recall of right and wrong answers by label, `[..., 2 * label]`, over the labels that occur.

    What of a confusion matrix it depends on, which may be far smaller.
    """
    right, wrong = np.split(parts, 2, axis=-1)
    there = right + wrong > 0
    recall = np.divide(right, right + wrong, out=np.zeros_like(right), where=there)
    return np.asarray(recall.sum(axis=-1) / there.sum(axis=-1))


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def power(model: Model, design: Design, rate: Rate, *, simulations: int, seed: int = 0) -> float:
    """Share of simulated studies that find the difference at `alpha`, corrected for all comparisons."""
    found = _by_test if design.paired else _by_interval
    return float(np.mean([found(a, b, design, rate, seed) for a, b in simulate(model, design, simulations, seed)]))


def _by_test(a: Array, b: Array, design: Design, rate: Rate, seed: int) -> bool:
    """The permutation test of `scores.compare`."""
    from_swaps = max(FLIPS, round(2 * design.comparisons / design.alpha))
    p = sign_flip(np.concatenate([a, b], axis=1), rate, flips=from_swaps, first=FLIPS, seed=seed)
    return p * design.comparisons <= design.alpha


def _by_interval(a: Array, b: Array, design: Design, rate: Rate, seed: int) -> bool:
    """The interval of the gap between groups of different speakers, as `scores.score` has it."""
    resampler = Resampler(1000, 1 - design.alpha / design.comparisons, seed)

    def one(sums: Array) -> Array:
        return np.asarray(rate(sums))[..., None]

    sides = np.concatenate([resampler.rates(side, one, k) for k, side in enumerate((a, b), 1)], axis=1)
    each = np.array([[float(effective(side.sum(axis=1))) - 1] for side in (a, b)])
    freedom = degrees(spread(sides)[:, None] ** 2, each)
    estimate = one(a.sum(axis=0)) - one(b.sum(axis=0))
    low, high = resampler.limits(sides[:, :1] - sides[:, 1:], estimate, freedom, difference_bounds((0.0, 1.0)))
    return bool(low[0] > 0 or high[0] < 0)


def expected(model: Model, design: Design) -> float:
    """Power by the normal formula: Phi(|d| / SE - z), SE^2 = (var of an item + (items - 1) cov within) / answers.

    It takes many speakers for granted, and checks the simulation where they are.
    """
    model = model if design.paired else model.between()
    joint = {
        "aa": pair(model.a, model.a, model.a_icc) - model.a**2,
        "bb": pair(model.b, model.b, model.b_icc) - model.b**2,
        "ab": pair(model.a, model.b, model.same_speaker) - model.a * model.b,
        "item": pair(model.a, model.b, model.same_item) - model.a * model.b,
    }
    item = model.a * (1 - model.a) + model.b * (1 - model.b) - 2 * joint["item"]
    within = joint["aa"] + joint["bb"] - 2 * joint["ab"]
    error = np.sqrt(max(item + (design.items - 1) * within, 1e-12) / (design.items * design.speakers))
    z = special.ndtri(1 - design.alpha / design.comparisons / 2)
    return float(special.ndtr(abs(model.a - model.b) / error - z))


def pair(a: float, b: float, correlation: float) -> float:
    """Probability that two latent numbers of this correlation are both below their thresholds.

    The independent product plus an integral over the correlation (Drezner and Wesolowsky 1990), by Gauss-Legendre.
    """
    h, k = (float(special.ndtri(share)) for share in (a, b))
    node, weight = np.polynomial.legendre.leggauss(64)
    end = np.arcsin(correlation)
    angle = end * (node + 1) / 2
    height = np.exp(-(h**2 + k**2 - 2 * h * k * np.sin(angle)) / (2 * np.cos(angle) ** 2))
    return float(a * b + end / 2 * (height @ weight) / (2 * np.pi))


def fit(a: Array, b: Array, speakers: npt.NDArray[np.int64]) -> Model:
    """Estimate the model from right (1) and wrong (0) answers `[item]` of two systems to the same items.

    Shares of pairs of items that are both right, within speakers and systems or across, are what they are under the
    model (tetrachoric correlations), beside those of different speakers' items, so that few speakers give no bias;
    correlations below 0 within a system count as 0. There must be two speakers.
    """
    count = np.bincount(speakers).astype(np.float64)
    hits = [np.bincount(speakers, side) for side in (a, b)]
    levels = [float(np.clip(side.mean(), 1e-3, 1 - 1e-3)) for side in (a, b)]

    def correlation(one: int, other: int, shared: float) -> float:
        """`shared` is the share of pairs both right; that of different speakers' items is what chance gives."""
        apart = hits[one].sum() * hits[other].sum() - (hits[one] * hits[other]).sum()
        chance = apart / (count.sum() ** 2 - (count**2).sum())
        return tetrachoric(levels[one], levels[other], levels[one] * levels[other] + shared - chance)

    def within(one: int, other: int, same: float) -> float:
        pairs = (count * (count - 1)).sum()
        return correlation(one, other, ((hits[one] * hits[other]).sum() - same) / pairs) if pairs else 0.0

    a_icc, b_icc = (max(within(k, k, hits[k].sum()), 0.0) for k in (0, 1))
    both = float((a * b).sum())
    same = correlation(0, 1, both / len(a))
    return Model(levels[0], levels[1], a_icc, b_icc, same, within(0, 1, both))


def tetrachoric(a: float, b: float, both: float) -> float:
    """Correlation of latent numbers that are below their thresholds with probability a, b and, both, `both`."""
    low, high = -0.95, 0.95
    if both <= pair(a, b, low):
        return low
    if both >= pair(a, b, high):
        return high
    return float(optimize.brentq(lambda r: pair(a, b, r) - both, low, high, xtol=1e-4))


def detectable(
    model: Model, design: Design, rate: Rate, wanted: float, *, simulations: int, seed: int = 0, steps: int = 4
) -> float:
    """Smallest difference, added to B's level, that is found with the wanted power; NaN where none below 1 is.

    From the formula's guess on, the difference is mended by the power that its simulation has: the probit of power
    is nearly linear in the difference.
    """
    z, most = special.ndtri(1 - design.alpha / design.comparisons / 2), (1 - model.b) * 0.999
    difference = _guess(lambda d: expected(replace(model, a=model.b + d), design), wanted, most)
    for _ in range(steps):
        reached = power(replace(model, a=model.b + difference), design, rate, simulations=simulations, seed=seed)
        if difference >= most and reached < wanted:
            return float("nan")
        if abs(reached - wanted) < 0.5 / np.sqrt(simulations):
            break
        inside = float(np.clip(reached, 0.5 / simulations, 1 - 0.5 / simulations))
        factor = (z + special.ndtri(wanted)) / max(z + special.ndtri(inside), 0.1)
        difference = min(difference * float(np.clip(factor, 0.5, 2.0)), most)
    return float(difference)


def _guess(power_of: Callable[[float], float], wanted: float, most: float) -> float:
    if power_of(most) < wanted:
        return most
    least = min(1e-6, most / 2)
    if power_of(least) >= wanted:
        return least
    return float(optimize.brentq(lambda d: power_of(d) - wanted, least, most, xtol=1e-4))
