"""How often the intervals about people beside models hold, on simulated panels, and what a large panel costs.

    python benchmarks/people.py         # prints the numbers of docs/statistics.md, section People beside models
    python benchmarks/people.py --cost  # processor time and memory; set OMP_NUM_THREADS=1

Truth is known: two listeners agree as often as a very large panel does, and the effects are those that were put in.
"""

import argparse
import resource
import time

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from sibboleth import predictions, stats
from sibboleth.metrics import agreement
from sibboleth.scores import people
from sibboleth.stats.mixed import CrossedLogistic
from sibboleth.targets import Target

Array = npt.NDArray[np.float64]
SPEAKERS, LISTENERS, ITEMS, LABELS, MANY = (4, 8, 16, 30), (4, 8, 15, 30), 6, 4, 2000
STUDIES = ((8, 4, 6, 0.0), (12, 6, 6, 0.3), (24, 12, 4, 0.3), (40, 20, 3, 0.3))
"""Listeners, speakers, items of each, deviation of slopes."""
EFFECTS = (([-1, 0, 1, 0], -0.8), ([-1, 1, 0, 0], -0.5), ([1, -1, -1, 1], -0.7))
"""Contrast of the cells (domain x background) and its truth: domain, background, interaction."""


def know(random: np.random.Generator, speakers: int, listeners: int) -> Array:
    """Probability that each listener knows the label of what each speaker says."""
    skill = np.clip(random.normal(0.6, 0.15, listeners), 0.05, 0.95)
    ease = np.clip(random.normal(0, 0.12, speakers), -0.3, 0.3)
    return np.clip(skill + ease[:, None], 0, 1)


def alpha(speakers: int, listeners: int, truth: float, sets: int) -> float:
    """Share of intervals of 95 % that held alpha."""
    resampler, held, of = stats.Resampler(resamples=200), 0, np.repeat(np.arange(speakers), ITEMS)
    sizes = np.full(speakers, 1.0 * ITEMS * listeners), np.full(listeners, 1.0 * ITEMS * speakers)
    for seed in range(sets):
        random = np.random.default_rng([seed, speakers, listeners])
        knowing = know(random, speakers, listeners)[of]
        label = random.integers(0, LABELS, (len(of), 1))
        known, guess = random.random(knowing.shape) < knowing, random.integers(0, LABELS, knowing.shape)
        tally = agreement.Tally(np.where(known, label, guess), np.arange(1.0 * LABELS))

        def nominal(by: Array, who: Array, tally: agreement.Tally = tally) -> Array:
            return tally.agreement(by[:, of], who, ("nominal",))

        _, low, high = stats.weighted(resampler, nominal, *sizes, agreement.BOUNDS)
        held += low[0] <= truth <= high[0]
    return held / sets


def effects(listeners: int, speakers: int, items: int, slope: float, sets: int) -> tuple[Array, float]:
    """Share of intervals of 95 % that held each effect, and the mean estimate of the interaction."""
    held, found = np.zeros(len(EFFECTS)), []
    item, who = (codes.ravel() for codes in np.indices((speakers * items, listeners)))
    speaker = item // items
    domain, group = speaker % 2, who % 2
    fewest = [
        min(speakers - 2, listeners // 2 - 1),
        min(listeners - 2, speakers // 2 - 1),
        min(speakers, listeners) - 2,
    ]
    for seed in range(sets):
        random = np.random.default_rng(seed)
        odds = 1.0 - 0.8 * domain - 0.5 * group - 0.7 * domain * group + random.normal(0, 0.6, listeners)[who]
        odds = odds + random.normal(0, 0.8, speakers * items)[item] + random.normal(0, 0.5, speakers)[speaker]
        odds = odds + random.normal(0, slope, (listeners, 2))[who, domain]
        right = random.random(len(odds)) < special.expit(odds)
        groupings = [who, item, speaker, who * 2 + domain, speaker * 2 + group]
        fitted = CrossedLogistic(right, domain * 2 + group, groupings).fit()
        for k, (contrast, truth) in enumerate(EFFECTS):
            terms = np.array(contrast, dtype=np.float64)
            reach = special.stdtrit(fewest[k], 0.975) * np.sqrt(terms @ fitted.covariance @ terms)
            held[k] += abs(terms @ fitted.odds - truth) <= reach
        found.append(float(terms @ fitted.odds))
    return held / sets, float(np.mean(found))


def cost(listeners: int = 120, items: int = 96, models: int = 4) -> tuple[float, float]:
    """Seconds of processor time, and MB at most: two domains, two groups of listeners, of whom a tenth failed."""
    random, labels = np.random.default_rng(0), np.array(["angry", "happy", "neutral", "sad"])
    said = [f"u{k:03}" for k in range(items)]
    about = {"utterance": said, "target": "emotion", "value": 1.0}
    true = labels[np.arange(items) % len(labels)]
    frames = []
    for k in range(listeners + models):
        answer = np.where(random.random(items) < 0.6, true, random.choice(labels, items))
        source, run = ("simulated", "test") if k < listeners else ("model", f"model {k}")
        frames.append(predictions.table({**about, "source": source, "run": run, "rater": f"r{k:03}", "label": answer}))
    reference = predictions.table({**about, "source": "reference", "run": "true", "rater": "true", "label": true})
    known = pl.DataFrame({"rater": [f"r{k:03}" for k in range(listeners)]}).with_row_index("k")
    known = known.select("rater", group=pl.col("k") % 2, catch_failed=pl.col("k") % 10 == 0)
    clusters = {name: f"s{k // ITEMS}" for k, name in enumerate(said)}
    start, every = time.process_time(), pl.concat(frames)
    for half in (said[: items // 2], said[items // 2 :]):
        people.beside(
            every.filter(pl.col("utterance").is_in(half)),
            reference,
            Target(name="emotion", labels=tuple(labels.tolist())),
            clusters=clusters,
            listeners=known,
            by=["group"],
        )
    return time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--cost", action="store_true")
    asked = parser.parse_args()
    sets = asked.sets
    if asked.cost:
        print("{:.1f} s of processor time, {:.0f} MB at most".format(*cost()))
        return
    known = know(np.random.default_rng(1), MANY, MANY)
    pairs = (known.mean(axis=1) * MANY) ** 2 - (known**2).sum(axis=1)
    truth = float(pairs.mean() / (MANY * (MANY - 1)))
    print(f"alpha {truth:.2f}; listeners {LISTENERS}")
    for speakers in SPEAKERS:
        print(speakers, *(f"{100 * alpha(speakers, listeners, truth, sets):.1f}" for listeners in LISTENERS))
    print("listeners, speakers, items: domain, background, interaction, estimate")
    for listeners, speakers, items, slope in STUDIES:
        held, estimate = effects(listeners, speakers, items, slope, sets * 6 // 10)
        print(listeners, speakers, speakers * items, *(f"{100 * share:.0f}" for share in held), f"{estimate:.2f}")


if __name__ == "__main__":
    main()
