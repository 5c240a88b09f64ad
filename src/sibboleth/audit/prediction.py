"""Prediction: how well one number about a recording, without listening, tells its label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.schemes import Rows

Values = npt.NDArray[np.float64]

BINS = 10
"""Quantile bins that a number is cut into; fewer where there are few utterances."""
PER_BIN = 20
FOLDS = 5
"""Groups of speakers of which each is left out once."""
SHUFFLES = 999
MOST = 3000
"""Utterances that are looked at; of more, so many are drawn."""


@dataclass(frozen=True)
class Sample:
    """Utterances of one domain whose target and measures are compared."""

    rows: Rows
    target: Values
    """Codes of the labels from 0, or the numbers of a regression `[utterance]`."""
    labels: int
    """How many labels; 0 for a regression."""
    speakers: Rows
    """Codes from 0 `[utterance]`."""

    @classmethod
    def draw(cls, rows: Rows, target: Values, speakers: Rows, labelled: bool) -> "Sample":
        """Take the rows, or `MOST` of them; rows without a speaker count as speakers of their own."""
        if len(rows) > MOST:
            kept = np.sort(np.random.default_rng(len(rows)).choice(len(rows), MOST, replace=False))
            rows, target, speakers = rows[kept], target[kept], speakers[kept]
        alone = np.where(speakers < 0, speakers.max(initial=0) + 1 + np.arange(len(rows)), speakers)
        found = np.unique(target)
        codes = np.searchsorted(found, target).astype(np.float64) if labelled else target
        numbers = np.unique(alone, return_inverse=True)[1].astype(np.int64)
        return cls(rows, codes, len(found) if labelled else 0, numbers)

    def shuffled(self) -> Values:
        """Exchange the targets so that speakers stay what they are `[shuffle, utterance]`.

        Within each speaker, where speakers have several; where every speaker has one, among the speakers.
        """
        random = np.random.default_rng(len(self.rows))
        first = np.full(int(self.speakers.max(initial=0)) + 1, np.nan)
        first[self.speakers] = self.target
        if bool((first[self.speakers] == self.target).all()) and len(first) > 1:
            drawn = np.stack([random.permutation(len(first)) for _ in range(SHUFFLES)])
            return np.asarray(first[drawn][:, self.speakers])
        order = np.argsort(self.speakers, kind="stable")
        mixed = np.empty((SHUFFLES, len(self.rows)))
        for shuffle in mixed:
            shuffle[order] = self.target[np.lexsort((random.random(len(self.rows)), self.speakers))]
        return mixed

    def scores(self, values: Values, targets: Values) -> Values:
        """Return how well `values` tell each row of `targets` `[variant, utterance]`.

        For labels: UAR of a predictor that knows the label shares of each quantile bin among other speakers. For
        numbers: the absolute rank correlation.
        """
        return self._recalls(_bins(values), targets) if self.labels else _correlations(values, targets)

    @property
    def chance(self) -> float:
        """What an empty measure reaches."""
        return 1 / self.labels if self.labels else 0.0

    def _recalls(self, bins: Rows, targets: Values) -> Values:
        """UAR of each row of `targets` `[variant, utterance]`, each group of speakers predicted from the others."""
        alone = self.speakers.max(initial=0) == 0
        folds = (np.arange(len(bins)) if alone else self.speakers) % FOLDS
        width, count = int(bins.max()) + 1, self.labels
        cells = (folds * width + bins) * count
        size = FOLDS * width * count
        tables = np.stack([np.bincount(cells + target, minlength=size) for target in targets.astype(np.int64)])
        tables = tables.reshape(len(targets), FOLDS, width, count)
        totals = tables.sum(axis=(1, 2), keepdims=True)
        others = tables.sum(axis=1, keepdims=True) - tables
        likely = others / np.maximum(others.sum(axis=2, keepdims=True), 1)
        answer = likely.argmax(axis=3)[..., None]
        right = np.where(np.arange(count) == answer, tables, 0).sum(axis=(1, 2))
        return np.asarray((right / np.maximum(totals[:, 0, 0], 1)).mean(axis=1))


def _bins(values: Values) -> Rows:
    found, codes = np.unique(values, return_inverse=True)
    count = max(2, min(BINS, len(values) // PER_BIN))
    if len(found) <= count:
        return np.asarray(codes, dtype=np.int64)
    edges = np.unique(np.quantile(values, np.arange(1, count) / count))
    return np.asarray(np.searchsorted(edges, values, side="right"), dtype=np.int64)


def _correlations(values: Values, targets: Values) -> Values:
    """Absolute Spearman correlation of `values` with each row of `targets`."""
    from scipy.stats import rankdata  # a second of every command's start

    ranks = rankdata(values) - (len(values) + 1) / 2
    others = rankdata(targets[0])
    places = np.argsort(targets[0], kind="stable")
    ordered, by_value = targets[0][places], others[places]
    ranked = by_value[np.searchsorted(ordered, targets)] - (len(values) + 1) / 2
    spread = np.sqrt((ranks**2).sum() * (ranked[0] ** 2).sum())
    return np.asarray(np.abs(ranked @ ranks) / spread if spread else np.zeros(len(targets)))


def unlikely(observed: Values, shuffled: Values) -> Values:
    """Return p of every measure `[measure]`, corrected for all that were tried.

    The share of shuffles in which any measure does as well, in units of its own spread (Westfall and Young 1993,
    Resampling-based multiple testing). `observed` `[measure]`, `shuffled` `[measure, shuffle]`.
    """
    middle = shuffled.mean(axis=1, keepdims=True)
    spread = np.maximum(shuffled.std(axis=1, keepdims=True), 1e-9)
    best = ((shuffled - middle) / spread).max(axis=0)
    reached = (best >= (observed[:, None] - middle) / spread - 1e-9).sum(axis=1)
    return np.asarray((1 + reached) / (1 + shuffled.shape[1]))
