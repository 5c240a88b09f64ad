"""Verification trials: all pairs of utterances scored by cosine, in memory that does not grow with their number.

Pairs are scored in blocks, one speaker against all later ones, and counted by score in a few ranges. The range in
which both errors are equal is looked into again for the exact rate. For the interval whole speakers are drawn: a trial
between two speakers counts as often as both were drawn together, one within a speaker as often as that speaker was
(the bootstrap of a graph's vertices: Snijders and Borgatti 1999); between copies of one speaker there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.metrics import verification
from sibboleth.metrics.metric import Array
from sibboleth.stats import Interval, Resampler, effective

Codes = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float32]

RANGES = 128
"""Ranges of scores, at most; the narrower the nearer to the equal error rate."""
SAMPLE = 1500
"""Utterances, about, whose pairs show where scores lie."""
BLOCK = 2_000_000
"""Scores held at once."""
WORK = 2e11
"""Operations of resampling, about, above which there are fewer resamples."""
FEWEST = 200
"""Resamples at least: they give the standard error to 5 %."""
GENUINE, IMPOSTOR = 0, 1


@dataclass(frozen=True)
class Trials:
    """Which pairs are scored, the same for all embeddings: every two utterances.

    Where something else than the speaker is verified, pairs of one speaker are no trials: the voice would decide them.
    """

    speaker: Codes
    """`[utterance]`: speakers 0, 1, ... one after the other."""
    verified: Codes | None = None
    """`[utterance]`: the same number for what is the same; speakers where not given."""

    @property
    def speakers(self) -> int:
        """Count the speakers."""
        return int(self.speaker[-1]) + 1

    @property
    def within(self) -> bool:
        """Whether pairs of one speaker are trials."""
        return self.verified is None

    @property
    def identity(self) -> Codes:
        """Return what is verified."""
        return self.speaker if self.verified is None else self.verified

    @property
    def counts(self) -> tuple[int, int]:
        """Count genuine and impostor trials."""
        own, genuine = _pairs(self.speaker), _pairs(self.identity)
        every = len(self.speaker) * (len(self.speaker) - 1) // 2
        if self.within:
            return genuine, every - genuine
        both = np.unique(np.stack([self.speaker, self.identity]), axis=1, return_inverse=True)[1]
        alike = _pairs(both)
        return genuine - alike, every - own - (genuine - alike)


def _pairs(codes: Codes) -> int:
    size = np.bincount(codes.ravel())
    return int((size * (size - 1) // 2).sum())


def drawn(speaker: Codes, most: int, seed: int) -> Codes:
    """Draw utterances so that there are at most so many pairs of them; returns their places in order.

    Speakers with many utterances are cut to a number that is the same for all; where even two of each are too many,
    speakers are drawn. All are taken where they are few enough.
    """
    room = int(np.sqrt(2.0 * most))
    size = np.bincount(speaker)
    if size.sum() <= room:
        return np.arange(len(speaker))
    random = np.random.default_rng([seed, len(size)])
    each = max(2, max((m for m in range(1, room + 1) if np.minimum(size, m).sum() <= room), default=0))
    chosen = random.permutation(len(size))
    chosen = chosen[np.cumsum(np.minimum(size, each)[chosen]) <= room]
    order = random.permutation(len(speaker))
    order = order[np.argsort(speaker[order], kind="stable")]
    place = np.arange(len(order)) - (np.cumsum(size) - size)[speaker[order]]
    return np.sort(order[(place < each) & np.isin(speaker[order], chosen)])


def equal_error_rate(embeddings: Embeddings, trials: Trials, resampler: Resampler) -> Interval:
    """Score all trials between embeddings `[utterance, dim]` by cosine; the interval resamples speakers.

    The estimate is exact but for the arithmetic of float32. An embedding of zeros has cosine 0 with all others. There
    are no limits with fewer than two speakers, or where a tenth of the resamples has no trials of both kinds.
    """
    unit = _unit(embeddings)
    edges = _edges(unit, trials, resampler.seed)
    resamples = max(FEWEST, int(WORK / (trials.speakers**2 * RANGES)))
    weights = np.concatenate(list(resampler.weights(trials.speakers)))[:resamples]
    counted, resampled = _counted(unit, trials, edges, weights)
    estimate = np.array([_exact(unit, trials, edges, counted)])
    freedom = effective(np.bincount(trials.speaker).astype(np.float64)[:, None]) - 1
    rates = verification.rate(*resampled)[:, None]
    low, high = resampler.limits(rates, estimate, freedom, (0.0, 1.0))
    if trials.speakers < 2:
        low, high = np.full((2, 1), np.nan)
    return Interval(float(estimate[0]), float(low[0]), float(high[0]), sum(trials.counts), trials.speakers)


def _unit(embeddings: Embeddings) -> Embeddings:
    norm = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(embeddings / np.where(norm > 0, norm, 1), dtype=np.float32)


def _edges(unit: Embeddings, trials: Trials, seed: int) -> Embeddings:
    """Choose the limits of ranges so that from one to the next the errors come nearer to each other by a little."""
    some = drawn(trials.speaker, SAMPLE**2 // 2, seed)
    codes = np.unique(trials.speaker[some], return_inverse=True)[1]
    found: list[list[Embeddings]] = [[], []]
    fewer = Trials(codes, None if trials.verified is None else trials.verified[some])
    for _, _, scores, kinds in _blocks(unit[some], fewer):
        for kind in (GENUINE, IMPOSTOR):
            found[kind].append(scores[kinds == kind])
    every = [np.concatenate(scores) if scores else np.zeros(0, np.float32) for scores in found]
    different, places = np.unique(np.concatenate(every), return_inverse=True)
    if not all(map(len, every)):
        return np.asarray(different[np.linspace(0, len(different) - 1, min(RANGES - 1, len(different))).astype(int)])
    counts = [np.bincount(p, minlength=len(different)).astype(float) for p in np.split(places, [len(every[0])])]
    refused, accepted = verification.errors(*counts)
    wanted = np.linspace(-1, 1, RANGES + 1)[1:-1] ** 3
    return np.asarray(np.unique(different[np.searchsorted((refused - accepted)[:-1], wanted) - 1]))


def _blocks(unit: Embeddings, trials: Trials) -> Iterator[tuple[int, Codes, Embeddings, Codes]]:
    """Yield a speaker, and of trials with it: the other's speaker, score, and kind (-1 where it is no trial)."""
    firsts = np.searchsorted(trials.speaker, np.arange(trials.speakers + 1))
    for speaker, (first, end) in enumerate(zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True)):
        rows = max(1, BLOCK // (len(unit) - first))
        for row in range(first, end, rows):
            mine = slice(row, min(row + rows, end))
            scores = unit[mine] @ unit[first:].T
            kinds = np.where(trials.identity[mine, None] == trials.identity[first:], GENUINE, IMPOSTOR)
            own = kinds[:, : end - first]
            if trials.within:
                own[np.arange(mine.start, mine.stop)[:, None] >= np.arange(first, end)] = -1
            else:
                own[:] = -1
            others = np.broadcast_to(trials.speaker[first:], scores.shape)
            kept = kinds >= 0
            yield speaker, others[kept], scores[kept], kinds[kept]


def _counted(unit: Embeddings, trials: Trials, edges: Embeddings, weights: Array) -> tuple[Array, Array]:
    """Count trials by kind and range `[kind, range]`, and with speakers drawn `[kind, resample, range]`."""
    ranges = len(edges) + 1
    counted, resampled = np.zeros((2, ranges)), np.zeros((2, len(weights), ranges))
    for speaker, others, scores, kinds in _blocks(unit, trials):
        size = trials.speakers - speaker
        cells = (kinds * size + (others - speaker)) * ranges + np.searchsorted(edges, scores, side="right")
        counts = np.bincount(cells, minlength=2 * size * ranges).reshape(2, size, ranges).astype(np.float64)
        counted += counts.sum(axis=1)
        with_it = weights[:, speaker:].copy()
        with_it[:, 0] = 1
        for kind in (GENUINE, IMPOSTOR):
            there = np.flatnonzero(counts[kind].any(axis=1))
            resampled[kind] += weights[:, speaker, None] * (with_it[:, there] @ counts[kind, there])
    return counted, resampled


def _exact(unit: Embeddings, trials: Trials, edges: Embeddings, counted: Array) -> float:
    """Look at every score of the range in which the errors are equal."""
    refused, accepted = verification.errors(*counted)
    if np.isnan(refused + accepted).any():
        return float("nan")
    place = max(int((refused >= accepted).argmax()), 1) - 1
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])[place : place + 2]
    inside: list[list[Embeddings]] = [[], []]
    for _, _, scores, kinds in _blocks(unit, trials):
        near = (scores >= bounds[0]) & (scores < bounds[1])
        for kind in (GENUINE, IMPOSTOR):
            inside[kind].append(scores[near & (kinds == kind)])
    every = [np.concatenate(some) for some in inside]
    places = np.unique(np.concatenate(every), return_inverse=True)[1]
    size = int(places.max(initial=-1)) + 1
    counts = []
    for kind, some in enumerate(np.split(places, [len(every[0])])):
        below = counted[kind, :place].sum()
        within = np.bincount(some, minlength=size)
        counts.append(np.concatenate([[below], within, [counted[kind].sum() - below - within.sum()]]))
    return float(verification.rate(*counts))
