"""Calibration: a few seconds in which it is measured how fast this machine encodes, multiplies and scores."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from sibboleth import predictions, scores
from sibboleth.experiment import material as gathered
from sibboleth.experiment.cost import Span
from sibboleth.experiment.material import Material

if TYPE_CHECKING:
    from sibboleth.models.encoders import Encoder

ROUNDS, LEAST_ROUNDS, ROUND_SECONDS = 5, 2, 1.0
"""How often something is measured: fewer times, but so often, where it takes longer than so many seconds in all."""
SHORTEST = 0.5
"""Seconds of the shortest audio that is encoded to measure."""
SIZE = 384
"""Of the matrices that are multiplied."""
SHARE_OF_PEAK = 0.25
"""Of the speed of a matrix product that probes reach."""
SCORED = 1000
"""Utterances whose answers are scored to measure, at most."""
REPORT = Span(10.0, 5.0, 30.0)
"""Seconds that comparisons across runs and the page take: as measured with few and with many sections."""


def measured(work: Callable[[], object], per: float = 1.0) -> Span:
    """Measure how long some work takes, divided by how much it is."""
    begun = time.perf_counter()
    found: list[float] = []
    while len(found) < LEAST_ROUNDS or (len(found) < ROUNDS and time.perf_counter() - begun < ROUND_SECONDS):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) / per)
    return Span.of(found)


def encoding(encoder: "Encoder", seconds: float) -> Span | None:
    """Measure the time that a second of audio takes, on noise of the length of an utterance; None where that fails.

    Recordings go side by side or in batches, as in a run, but nothing is read.
    """
    from sibboleth.models import encoding as encoders
    from sibboleth.models import threads
    from sibboleth.models.encoders import WINDOW, Audio

    length = min(max(seconds, SHORTEST), WINDOW)
    noise = np.random.default_rng(0).normal(0, 0.1, int(length * encoder.rate)).astype(np.float32)

    @dataclass(frozen=True)
    class Noise(encoders.Recording):
        def read(self, rate: int) -> Audio:
            return noise

    encoder.prepare()
    count = max(2 * threads.count(), math.ceil(encoder.batch_seconds / length))
    some = [Noise(str(number), "", None, None, length) for number in range(count)]
    # A callable may fail on noise and work on speech; what it fails on is told when it is encoded.
    if any(one.failure for one in encoders.encode(encoder, some[:1])):
        return None
    return measured(lambda: list(encoders.encode(encoder, some)), per=count * length)


def operation() -> Span:
    """Measure the time that a floating point operation of a probe takes."""
    matrix = np.random.default_rng(0).normal(size=(SIZE, SIZE))
    matrix @ matrix
    return measured(lambda: matrix @ matrix, per=SHARE_OF_PEAK * 2 * SIZE**3)


def scoring(material: Material) -> tuple[Span, int]:
    """Measure how long it takes to score one rater, who answers as the corpus does, and on how many utterances."""
    domain = material.study.domain
    largest = material.table[domain].value_counts(sort=True)[domain][0]
    some = material.table.filter(pl.col(domain) == largest).head(SCORED)
    reference = gathered.reference(material).join(some.select("utterance"), on="utterance", how="semi")
    answers = reference.with_columns(
        run=pl.lit("calibration"), source=pl.lit("model"), rater=pl.lit("selected"), layer=pl.lit(0, pl.Int32)
    ).select(list(predictions.SCHEMA))
    clusters = dict(some.select("utterance", "speaker").iter_rows())

    def score() -> None:
        scores.score(
            answers,
            reference,
            material.target,
            clusters=clusters,
            slices=some,
            statistics=material.study.statistics,
            seed=material.study.seed,
        )

    score()
    return measured(score), len(some)
