"""What an encoder of the tested language is worth beside one of another: per domain, and for the gap between domains.

A is the encoder of the tested language, B the other; `home` is the domain that trained, `away` one that did not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from sibboleth import metrics
from sibboleth.metrics import Metric
from sibboleth.scores.gaps import averaged
from sibboleth.scores.slices import Array, Clusters, Codes, Items, code
from sibboleth.stats import Resampler, degrees, difference_bounds, effective, spread, sum_by
from sibboleth.study import StatisticsSettings
from sibboleth.targets import Target

PRETRAINED: dict[str, type[pl.DataType]] = {
    "a": pl.String,
    "b": pl.String,
    "a_language": pl.String,
    "b_language": pl.String,
    "method": pl.String,
    "source": pl.String,
    "domain": pl.String,
    "seconds": pl.Float64,
    "contrast": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "clusters": pl.Int64,
}
"""`a` and `b` are encoders; `domain` is null for all that did not train, together; `n` and `clusters` are those of
`domain`. `contrast` is one of `CONTRASTS`."""

CONTRASTS = {"difference": (1, -1, 0, 0), "gap of a": (1, 0, -1, 0), "gap of b": (0, 1, 0, -1), "gap": (1, -1, -1, 1)}
"""Weights of A and B away, and of both at home."""


@dataclass(frozen=True)
class Match:
    """Two encoders under one method and training: their runs at home, and on each other domain."""

    a: str
    b: str
    a_language: str
    b_language: str
    method: str
    source: str
    seconds: float | None
    """The budget's, where training was cut."""
    home: tuple[str, str] | None
    """None where the study does not test at home: then there is no gap."""
    away: dict[str, tuple[str, str]]


def pretrained(
    predictions: pl.DataFrame,
    reference: pl.DataFrame,
    target: Target,
    matches: Sequence[Match],
    *,
    clusters: Clusters,
    statistics: StatisticsSettings | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Return every contrast of the main metric with its interval, a row of `PRETRAINED` each.

    `predictions` hold one rater of each run. Both encoders are compared on the utterances that both answered. Intervals
    resample speakers, of the domains by themselves where no speaker is in both.
    """
    settings = statistics or StatisticsSettings()
    answers = _Answers.of(predictions, reference, target, clusters)
    resampler = Resampler(settings.resamples, settings.confidence, seed)
    made: list[tuple[object, ...]] = []
    for one in matches:
        about = (one.a, one.b, one.a_language, one.b_language, one.method, one.source)
        home = None if one.home is None else answers.both([one.home])
        if home is not None:
            made.append((*about, one.source, one.seconds, "difference", *_told(home, None, answers, resampler)[0]))
        together: dict[str | None, list[tuple[str, str]]] = {domain: [runs] for domain, runs in one.away.items()}
        if len(together) > 1:
            together[None] = list(one.away.values())
        for domain, runs in together.items():
            told = _told(answers.both(runs), home, answers, resampler)
            rows = zip(CONTRASTS, told, strict=False)  # without a home the difference alone
            made += [(*about, domain, one.seconds, name, *numbers) for name, numbers in rows]
    return pl.DataFrame(made, schema=PRETRAINED, orient="row")


@dataclass(frozen=True)
class _Sums:
    """Parts of A and B of each speaker, on what both answered."""

    speakers: Codes
    parts: Array
    """`[speaker, parts of A and of B]`."""
    sizes: Array
    """Answers of each speaker."""


@dataclass(frozen=True)
class _Answers:
    metric: Metric[Any]
    speakers: Codes
    """`[utterance]`."""
    runs: dict[str, tuple[Codes, Array]]
    """The utterances that each run answered, sorted, and their parts."""

    @classmethod
    def of(cls, predictions: pl.DataFrame, reference: pl.DataFrame, target: Target, clusters: Clusters) -> "_Answers":
        aligned = metrics.align(predictions, reference, target)
        utterances = aligned.keys["utterance"].unique().sort()
        metric = metrics.of(target)[0]
        parts = metric.parts(aligned.answers)
        places = code(aligned.keys["utterance"], utterances.to_list())
        rows = aligned.keys.with_row_index("row").group_by("run").agg("row").iter_rows()
        runs = {run: averaged(parts[mine], places[mine]) for run, mine in rows}
        return cls(metric, Items.of(utterances, clusters, None, ()).clusters, runs)

    def both(self, pairs: Sequence[tuple[str, str]]) -> _Sums:
        """Sum what both encoders answered in some pairs of runs."""
        who, parts = [], []
        for pair in pairs:
            found = [self.runs[run] for run in pair]
            common = np.intersect1d(found[0][0], found[1][0], assume_unique=True)
            who.append(self.speakers[common])
            parts.append(np.concatenate([own[np.searchsorted(there, common)] for there, own in found], axis=1))
        speakers, codes = np.unique(np.concatenate(who), return_inverse=True)
        sums = sum_by(np.concatenate(parts), codes, len(speakers))
        return _Sums(speakers, sums, np.bincount(codes, minlength=len(speakers)).astype(np.float64))

    def rates(self, sums: Array) -> Array:
        """Turn parts of A and B `[..., part]` into their rates `[..., 2]`."""
        return np.asarray(self.metric.rate(sums.reshape(*sums.shape[:-1], 2, -1)))


def _told(away: _Sums, home: _Sums | None, answers: _Answers, resampler: Resampler) -> list[tuple[float | int, ...]]:
    """Return estimate, limits, answers and speakers of each contrast; without a home of the difference alone."""
    sides = [away] if home is None else [away, home]
    weights = np.array(list(CONTRASTS.values()), dtype=np.float64)[:, : 2 * len(sides)]
    weights = weights[:1] if home is None else weights
    estimate = weights @ np.concatenate([answers.rates(side.parts.sum(axis=0)) for side in sides])
    n, count = int(away.sizes.sum()), len(away.speakers)
    if min(len(side.speakers) for side in sides) < 2:
        return [(float(one), np.nan, np.nan, n, count) for one in estimate]
    drawn, freedom = _resampled(sides, answers, resampler)
    terms = np.stack([own @ weights[:, 2 * k : 2 * k + 2].T for k, own in enumerate(drawn)])
    used = degrees(np.stack([spread(one) ** 2 for one in terms]), freedom[:, None])
    reach = np.abs(weights).sum(axis=1) / 2 * difference_bounds(answers.metric.bounds)[1]
    low, high = resampler.limits(terms.sum(axis=0), estimate, used, np.stack([-reach, reach], 1))
    return [(*map(float, one), n, count) for one in zip(estimate, low, high, strict=True)]


def _resampled(sides: Sequence[_Sums], answers: _Answers, resampler: Resampler) -> tuple[list[Array], Array]:
    """Return both rates of each side in every resample `[resample, 2]`, and each side's degrees of freedom."""
    freedom = np.array([float(effective(side.sizes)) - 1 for side in sides])
    speakers = np.unique(np.concatenate([side.speakers for side in sides]))
    if len(speakers) == sum(len(side.speakers) for side in sides):
        drawn = [resampler.rates(side.parts, answers.rates, stream) for stream, side in enumerate(sides, 1)]
        return drawn, freedom
    # A speaker of both sides comes and goes with all utterances.
    width = sides[0].parts.shape[1]
    wide = np.zeros((len(speakers), len(sides) * width))
    for k, side in enumerate(sides):
        wide[np.searchsorted(speakers, side.speakers), k * width : (k + 1) * width] = side.parts
    rates = resampler.rates(
        wide,
        lambda sums: np.concatenate(
            [answers.rates(sums[..., k * width : (k + 1) * width]) for k in range(len(sides))], axis=-1
        ),
    )
    return [rates[:, 2 * k : 2 * k + 2] for k in range(len(sides))], np.full(len(sides), freedom.min())
