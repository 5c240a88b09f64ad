"""How often the intervals and tests about transcripts hold, on simulated recognisers.

    python benchmarks/recognition.py         # prints the numbers of docs/statistics.md, section Transcripts

Truth is known: the ratio of two groups' error rates is 2, two recognisers are equally good, no word is lost more often
than others are in the same mouth.
"""

import argparse

import numpy as np
import numpy.typing as npt
import polars as pl

from sibboleth import predictions, stats
from sibboleth.scores import recognition
from sibboleth.targets import Target

Array = npt.NDArray[np.float64]
PAIRS = ((2, 2), (3, 3), (4, 4), (6, 6), (10, 10), (20, 20), (50, 50), (3, 30), (5, 50))
TOGETHER = 50
"""Data sets in one regression: as groups of their own they do not touch each other."""
NORMAL = 1.959964


def ratios(random: np.random.Generator, pair: tuple[int, int], sets: int) -> tuple[float, float, float]:
    """Share of intervals of 95 % that held the ratio: as they are, and with the normal quantile and either variance."""
    held = []
    for _ in range(sets // TOGETHER):
        drawn = [_speakers(random, size, rate) for size, rate in zip(pair, (0.2, 0.1), strict=True)]
        errors, words = (_blocks([group[k] for group in drawn]) for k in (0, 1))
        rates = stats.LogRates(errors, words)
        for k in range(TOGETHER):
            found = rates.ratio(k, TOGETHER + k, 0.95)
            if np.isnan(found.low):
                continue
            off = abs(np.log(found.ratio) - np.log(2))
            usual = [np.sqrt(sum(_variance(e[:, k], w[:, k], wide) for e, w in drawn)) for wide in (True, False)]
            held.append((found.low <= 2 <= found.high, *(off <= NORMAL * error for error in usual)))
    shares = np.mean(held, axis=0).tolist()
    return shares[0], shares[1], shares[2]


def _speakers(random: np.random.Generator, size: int, rate: float) -> tuple[Array, Array]:
    """Errors and words `[speaker, data set]`: speakers log-normal with deviation 0.5, their words with 0.7."""
    words = np.maximum(1, np.round(300 * random.lognormal(0, 0.7, (size, TOGETHER))))
    hard = random.lognormal(-(0.5**2) / 2, 0.5, (size, TOGETHER))
    return random.poisson(rate * hard * words).astype(np.float64), words


def _blocks(groups: list[Array]) -> Array:
    sizes = [len(group) for group in groups]
    found = np.zeros((sum(sizes), TOGETHER * len(groups)))
    for k, group in enumerate(groups):
        start = sum(sizes[:k])
        found[start : start + len(group), k * TOGETHER : (k + 1) * TOGETHER] = group
    return found


def _variance(errors: Array, words: Array, reduced: bool) -> float:
    residuals = errors - errors.sum() / words.sum() * words
    residuals /= 1 - words / words.sum() if reduced else 1
    return float((residuals**2).sum() / errors.sum() ** 2)


def segments(random: np.random.Generator, speakers: int, deviation: float, sets: int = 1000) -> float:
    """Share of matched pairs tests at 0.05 that found a difference between recognisers that are equally good."""
    found = []
    for _ in range(sets):
        means = random.normal(0, deviation, (speakers, 1))
        differences = np.round(random.normal(means, 1.2, (speakers, 60))).astype(np.int64).ravel()
        found.append(stats.matched_pairs(differences).p < 0.05)
    return float(np.mean(found))


def words(random: np.random.Generator, speakers: int, sets: int = 200) -> float:
    """Share of data sets in which some word of 20 was found lost, by speakers who each miss and favour their own."""
    found = []
    for _ in range(sets):
        missed, favoured = random.beta(1, 4, (speakers, 20)), random.dirichlet(np.ones(20), speakers)
        rows = []
        for k in range(20 * speakers):
            said = random.choice(20, 5, p=(favoured[k % speakers] + 0.05) / 2)
            kept = random.random(5) >= missed[k % speakers, said]
            texts = [f"w{word}" for word in said], [f"w{w}" if k else "x" for w, k in zip(said, kept, strict=True)]
            rows.append((f"u{k}", f"s{k % speakers}", "ab"[k % 2], *map(" ".join, texts)))
        table = pl.DataFrame(rows, schema=["utterance", "speaker", "group", "text", "said"], orient="row")
        common = {"utterance": table["utterance"], "target": "text", "value": 1.0, "run": "r", "rater": "r"}
        transcripts = recognition.Transcripts.of(
            predictions.table({**common, "source": "model", "label": table["said"]}),
            predictions.table({**common, "source": "reference", "label": table["text"]}),
            Target(name="text", kind="transcription"),
            clusters=dict(table.select("utterance", "speaker").iter_rows()),
            slices=table,
            columns=["group"],
        )
        found.append(bool((recognition.lost_words(transcripts)["p_holm"] < 0.05).any()))
    return float(np.mean(found))


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=10_000, help="data sets of each pair of groups")
    sets = parser.parse_args().sets
    for pair in PAIRS:
        held = ratios(np.random.default_rng(pair), pair, sets)
        print(f"ratio, {pair} speakers: held", " ".join(f"{100 * share:.1f}" for share in held))
    for speakers in (5, 10, 20, 40):
        shares = [segments(np.random.default_rng(speakers), speakers, deviation) for deviation in (0.0, 0.2, 0.4)]
        print(f"matched pairs, {speakers} speakers: found", " ".join(f"{100 * share:.1f}" for share in shares))
    for speakers in (4, 6, 10, 20, 40):
        print(f"lost words, {speakers} speakers: found {100 * words(np.random.default_rng(speakers), speakers):.1f}")


if __name__ == "__main__":
    main()
