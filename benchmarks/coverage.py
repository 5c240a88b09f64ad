"""How often the intervals of `sibboleth.stats` hold the truth, and how often its test errs, on simulated data.

    python benchmarks/coverage.py            # prints the tables of docs/statistics.md
    python benchmarks/coverage.py --write    # and keeps the first beside the code, as stats/coverage.csv

Every scenario draws speakers who differ from each other, and as unequally many answers from each as corpora have; the
truth is known without sampling error. The intervals are those of `Resampler.intervals`, as `scores` calls it: many
data sets stand side by side as many numbers, and each batch has its own seed.
"""

import argparse
import csv
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from sibboleth import stats

Array = npt.NDArray[np.float64]
CLUSTERS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
LEVELS = (0.90, 0.95, 0.99)
BATCH = 25
"""Data sets that share the draws of one seed."""


@dataclass(frozen=True)
class Scenario:
    """One kind of data, whose true score is known."""

    name: str
    about: str
    draw: Callable[[np.random.Generator, int, int], tuple[Array, Array]]
    """Generator, data sets, speakers to parts `[speaker, data set, part]` and answers `[speaker, data set]`."""
    rate: Callable[[Array], Array]
    truth: float
    bounds: tuple[float, float]


def sizes(rng: np.random.Generator, sets: int, speakers: int, mean: float) -> Array:
    """Answers per speaker, log-normal: the effective number of speakers is about 0.7 of their number."""
    return np.maximum(5, np.round(mean * rng.lognormal(-0.18, 0.6, (speakers, sets))))


def logistic_mean(mean: float, deviation: float) -> float:
    """Mean of a logit-normal number, by Gauss-Hermite quadrature."""
    x, weight = np.polynomial.hermite_e.hermegauss(80)
    return float((expit(mean + deviation * x) * weight).sum() / weight.sum())


def ratio(sums: Array) -> Array:
    """Hits over answers."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def subtraction(sums: Array) -> Array:
    """Ratio of A minus that of B."""
    return np.asarray((sums[..., 0] - sums[..., 1]) / sums[..., 2])


def mean_recall(sums: Array) -> Array:
    """UAR of hits and answers of four labels."""
    with np.errstate(invalid="ignore"):
        recall = sums[..., :4] / sums[..., 4:]
    there = sums[..., 4:] > 0
    return np.asarray(np.where(there, recall, 0).sum(axis=-1) / there.sum(axis=-1))


def concordance(sums: Array) -> Array:
    """CCC (Lin 1989) of n, sums and products."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    x, y = x / n, y / n
    return np.asarray(2 * (xy / n - x * y) / (xx / n - x**2 + yy / n - y**2 + (x - y) ** 2))


def accuracy(mean: float, deviation: float, name: str, equal: bool = False) -> Scenario:
    """Right or wrong answers."""
    truth = logistic_mean(mean, deviation)

    def draw(rng: np.random.Generator, sets: int, speakers: int) -> tuple[Array, Array]:
        n = np.full((speakers, sets), 30.0) if equal else sizes(rng, sets, speakers, 30)
        right = rng.binomial(n.astype(int), expit(mean + deviation * rng.normal(size=n.shape)))
        return np.stack([right, n], axis=-1), n

    about = f"right answers, {truth:.0%} on average; the speakers' log odds have a deviation of {deviation:g}"
    about += "; 30 answers of each speaker" if equal else ""
    return Scenario(name, about, draw, ratio, truth, (0, 1))


def recall() -> Scenario:
    """Four labels, each speaker with other shares of them."""
    means, deviation = np.array([1.2, 0.6, 0.2, -0.2]), math.sqrt(2) * 0.7
    truth = float(np.mean([logistic_mean(m, deviation) for m in means]))

    def draw(rng: np.random.Generator, sets: int, speakers: int) -> tuple[Array, Array]:
        n = sizes(rng, sets, speakers, 40)
        k = rng.multinomial(n.astype(int), rng.dirichlet([4, 3, 2, 1], n.shape))
        odds = means + 0.7 * rng.normal(size=(*n.shape, 1)) + 0.7 * rng.normal(size=(*n.shape, 4))
        return np.concatenate([rng.binomial(k, expit(odds)), k], axis=-1).astype(float), n

    about = "four labels of unequal recall, their shares differing by speaker (Dirichlet 4:3:2:1)"
    return Scenario("UAR", about, draw, mean_recall, truth, (0, 1))


def errors(rng: np.random.Generator, words: Array, share: Array) -> Array:
    """Count wrong words, with three times a Poisson's variance: errors come in runs."""
    return rng.negative_binomial(words * share / 2, 1 / 3).astype(float)


def word_errors(deviation: float, name: str) -> Scenario:
    """Word errors whose rate is log-normal over speakers."""

    def draw(rng: np.random.Generator, sets: int, speakers: int) -> tuple[Array, Array]:
        n = sizes(rng, sets, speakers, 30)
        share = 0.15 * rng.lognormal(-(deviation**2) / 2, deviation, n.shape)
        return np.stack([errors(rng, 9 * n, share), 9 * n], axis=-1), n

    about = f"15 % of words wrong; speakers log-normal with deviation {deviation:g}, errors in runs"
    return Scenario(name, about, draw, ratio, 0.15, (0, math.inf))


def accuracy_difference() -> Scenario:
    """Two systems on the same answers."""
    truth = logistic_mean(0.8, 1) - logistic_mean(0.4, 1)

    def draw(rng: np.random.Generator, sets: int, speakers: int) -> tuple[Array, Array]:
        n = sizes(rng, sets, speakers, 30)
        easy = 0.8 * rng.normal(size=n.shape)
        right = [rng.binomial(n.astype(int), expit(m + easy + 0.6 * rng.normal(size=n.shape))) for m in (0.8, 0.4)]
        return np.stack([*right, n], axis=-1).astype(float), n

    about = f"two systems on the same speakers, {truth:.0%} apart, alike in which speakers are hard"
    return Scenario("accuracy, paired", about, draw, subtraction, truth, (-1, 1))


def word_error_difference() -> Scenario:
    """Two recognisers on the same words."""

    def draw(rng: np.random.Generator, sets: int, speakers: int) -> tuple[Array, Array]:
        n = sizes(rng, sets, speakers, 30)
        hard = rng.lognormal(-0.125, 0.5, n.shape)
        wrong = [errors(rng, 9 * n, w * hard * rng.lognormal(-0.045, 0.3, n.shape)) for w in (0.15, 0.18)]
        return np.stack([*wrong, 9 * n], axis=-1), n

    about = "two recognisers on the same words, WER 15 and 18 %"
    return Scenario("WER, paired", about, draw, subtraction, -0.03, (-math.inf, math.inf))


def agreement() -> Scenario:
    """Ratings with a bias of their own for each speaker."""
    var_y = 0.3**2 + 1
    truth = 2 * 0.6 * var_y / (0.6**2 * var_y + 0.4**2 + 0.6**2 + var_y)

    def draw(rng: np.random.Generator, sets: int, speakers: int) -> tuple[Array, Array]:
        n = sizes(rng, sets, speakers, 30)
        used = np.arange(int(n.max())) < n[..., None]
        y = 0.3 * rng.normal(size=(*n.shape, 1)) + rng.normal(size=used.shape)
        x = 0.6 * y + 0.4 * rng.normal(size=(*n.shape, 1)) + 0.6 * rng.normal(size=used.shape)
        x, y = x * used, y * used
        return np.stack([n, *(m.sum(axis=-1) for m in (x, y, x * x, y * y, x * y))], axis=-1), n

    about = "predicted arousal with a bias for each speaker"
    return Scenario("CCC", about, draw, concordance, truth, (-1, 1))


SCENARIOS = (
    accuracy(0.5, 0.8, "accuracy .61"),
    accuracy(2.6, 1.0, "accuracy .90"),
    accuracy(2.6, 1.0, "accuracy .90, equal", equal=True),
    recall(),
    word_errors(0.5, "WER"),
    agreement(),
    accuracy_difference(),
    word_error_difference(),
)
HARD = word_errors(0.8, "WER, few very hard speakers")
"""Speakers so unlike that no interval from 30 of them knows the tail; shown in docs/statistics.md, not in the data."""


def covered(scenario: Scenario, speakers: int, sets: int, seed: int = 0) -> dict[float, float]:
    """Share of intervals that hold the truth, by their confidence."""
    held = dict.fromkeys(LEVELS, 0)
    width = scenario.draw(np.random.default_rng(0), 1, 2)[0].shape[-1]
    for batch in range(math.ceil(sets / BATCH)):
        rng = np.random.default_rng([seed, speakers, batch])
        parts, answers = scenario.draw(rng, BATCH, speakers)

        def rates(sums: Array) -> Array:
            return scenario.rate(sums.reshape(*sums.shape[:-1], BATCH, width))

        for level in LEVELS:
            resampler = stats.Resampler(confidence=level, seed=seed + batch)
            _, low, high = resampler.intervals(parts.reshape(speakers, -1), rates, answers, scenario.bounds)
            held[level] += int(np.count_nonzero((low <= scenario.truth) & (scenario.truth <= high)))
    return {level: count / (BATCH * math.ceil(sets / BATCH)) for level, count in held.items()}


def crossed(speakers: int, raters: int, sets: int, seed: int = 0) -> float:
    """Share of 95 % intervals of a group of listeners that hold the truth: speakers, listeners and items differ."""
    truth = logistic_mean(0.5, math.sqrt(0.6**2 + 0.6**2 + 0.8**2))
    held = 0
    for k in range(sets):
        rng = np.random.default_rng([seed, speakers, raters, k])
        hard = 0.6 * rng.normal(size=(speakers, 1, 1)) + 0.8 * rng.normal(size=(speakers, 1, 10))
        right = rng.random((speakers, raters, 10)) < expit(0.5 + hard + 0.6 * rng.normal(size=(1, raters, 1)))
        cells = np.stack([right.sum(axis=2), np.full((speakers, raters), 10)], axis=-1).astype(float)
        resampler = stats.Resampler(1000, seed=k)
        group = stats.Cells(cells, cells[..., 1])
        _, low, high = stats.crossed(resampler, group, lambda s: ratio(s)[..., None], (0, 1))
        held += bool(low[0] <= truth <= high[0])
    return held / sets


def false_alarms(speakers: int, sets: int, seed: int = 0) -> float:
    """Share of p at most 0.05 where the two systems do not differ."""
    found = 0
    for k in range(sets):
        rng = np.random.default_rng([seed, speakers, k])
        n = sizes(rng, 1, speakers, 30)[:, 0]
        easy = 0.5 + 0.8 * rng.normal(size=speakers)
        right = [rng.binomial(n.astype(int), expit(easy + 0.6 * rng.normal(size=speakers))) for _ in "ab"]
        both = np.column_stack([right[0], n, right[1], n]).astype(float)
        found += stats.sign_flip(both, ratio, flips=2000, first=2000, seed=k) <= 0.05
    return found / sets


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=10_000, help="simulated data sets of each kind and size")
    parser.add_argument("--write", action="store_true", help="keep the table as stats/coverage.csv")
    options = parser.parse_args()
    found = {(s.name, g): covered(s, g, options.sets) for s in (*SCENARIOS, HARD) for g in CLUSTERS}
    for s in (*SCENARIOS, HARD):
        print(f"- **{s.name}**: {s.about}; truth {s.truth:.3f}")
    for level in LEVELS:
        print(f"\nPer cent of {level:.0%} intervals that held the truth ({options.sets:,} data sets each):\n")
        rows = [[s.name, *(f"{found[s.name, g][level] * 100:.1f}" for g in CLUSTERS)] for s in (*SCENARIOS, HARD)]
        print(table(["speakers", *CLUSTERS], rows), flush=True)
    sets = max(1, options.sets // 5)
    group = functools.partial(crossed, sets=sets)
    grid = (4, 8, 15, 30)
    print(f"\nThe same for groups of listeners, 95 %, speakers and listeners resampled ({sets:,} data sets each):\n")
    print(table(["speakers", *(f"{r} listeners" for r in grid)],
                [[g, *(f"{group(g, r) * 100:.1f}" for r in grid)] for g in grid]), flush=True)  # fmt: skip
    print(f"\nPer cent of p at most 0.05 where nothing differs ({sets:,} data sets each):\n")
    alarms = [f"{false_alarms(g, sets) * 100:.1f}" for g in CLUSTERS]
    print(table(["speakers", *CLUSTERS], [["p at most 0.05", *alarms]]))
    if options.write:
        place = Path(stats.__file__).with_name("coverage.csv")
        with place.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["data", "clusters", "confidence", "held"])
            for s, g, level in itertools.product(SCENARIOS, CLUSTERS, LEVELS):
                writer.writerow([s.name, g, level, round(found[s.name, g][level], 4)])


if __name__ == "__main__":
    main()
