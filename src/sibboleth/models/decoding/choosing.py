"""Choosing: the decoders that dev may choose from, and the one that it likes best."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sibboleth.models.decoding.decoders import (
    Argmax,
    Decoder,
    Hysteresis,
    Median,
    Minimum,
    Nothing,
    Plain,
    Posteriors,
    Viterbi,
    Weighed,
)
from sibboleth.models.decoding.timelines import Array, Codes, Timeline, packed

WIDTHS = (0.1, 0.2, 0.4, 0.8)
"""Seconds of medians and minimum durations."""
THRESHOLDS = ((0.4, 0.3), (0.5, 0.3), (0.6, 0.4), (0.8, 0.5))
"""Of hysteresis: on and off."""
SCALES = (1.0, 0.3, 0.1, 0.03)
"""Of Viterbi."""
FACTORS = (2.0, 4.0, 8.0, 0.5)
"""By which the background may be likelier than a head says."""
WEIGHED = "weighed"
Score = Callable[[Array, Array], float]
"""Timelines that are true and answered, `[utterance, number]`, to the main metric."""


def candidates(
    kinds: Sequence[str], train: Sequence[Timeline], labels: int, background: int | None, stride: float
) -> Iterator[Plain]:
    """List decoders of the kinds asked for, the plainest first; transitions are learned from `train`."""
    if "argmax" in kinds or set(kinds) <= {WEIGHED}:
        yield Argmax()
    for kind, made in (("median", Median), ("minimum", Minimum)):
        if kind in kinds:
            yield from (made(seconds=width) for width in WIDTHS)
    if "hysteresis" in kinds:
        yield from (Hysteresis(on=on, off=off, background=background) for on, off in THRESHOLDS)
    if "viterbi" in kinds:
        start, moves = transitions(train, labels, stride)
        told = tuple(start.tolist()), tuple(tuple(row) for row in moves.tolist())
        yield from (Viterbi(scale=scale, start=told[0], transitions=told[1]) for scale in SCALES)


def transitions(train: Sequence[Timeline], labels: int, stride: float) -> tuple[Array, Array]:
    """Count with which labels timelines begin, and which follow which from frame to frame: log shares.

    Every count is one more than was seen (of transitions, of each), so that none is impossible.
    """
    start, moves = np.ones(labels), np.ones((labels, labels))
    for one in train:
        codes = one.frames(int(one.seconds / stride), stride)
        start[codes[:1][codes[:1] >= 0]] += 1
        pairs = np.stack([codes[:-1], codes[1:]])
        np.add.at(moves, tuple(pairs[:, (pairs >= 0).all(axis=0)]), 1)
    return np.log(start / start.sum()), np.log(moves / moves.sum(axis=1, keepdims=True))


def decoded(
    posteriors: Sequence[Posteriors], seconds: npt.NDArray[np.floating], decoder: Decoder, stride: float | None
) -> Array:
    """Decode utterances of so many `seconds` into timelines `[utterance, number]`."""
    found = []
    for own, length in zip(posteriors, seconds.tolist(), strict=True):
        codes: Codes = decoder(own, stride or length / max(1, len(own)))
        found.append(Timeline.of_frames(codes, stride, length))
    return packed(found)


@dataclass(frozen=True)
class Choosing:
    """What decoders are chosen by: what a head says of dev, and what is true there."""

    posteriors: Sequence[Posteriors]
    truth: Array
    score: Score
    better: int
    """-1 where a lower score is better."""
    stride: float | None

    def best(self, decoders: Sequence[Decoder]) -> Decoder:
        """Return the decoder whose timelines score best, the first of equals."""
        if len(decoders) == 1:
            return decoders[0]
        tried = [self.better * self._scored(one) for one in decoders]
        return decoders[int(np.nan_to_num(tried, nan=-np.inf).argmax())]

    def weighed(self, decoders: Sequence[Plain], background: int) -> Decoder:
        """Return the best with the background weighed: the factor of the best decoder, then the best with that factor.

        Nothing but background is among them, so that on dev none is worse than that.
        """
        plain = self.best(decoders)
        weighed = [Weighed(background=background, factor=factor, then=plain) for factor in FACTORS]
        found = self.best([plain, *weighed, Nothing(background=background)])
        if not isinstance(found, Weighed):
            return found
        others = [found.model_copy(update={"then": one}) for one in decoders if one != plain]
        return self.best([found, *others])

    def _scored(self, decoder: Decoder) -> float:
        return self.score(self.truth, decoded(self.posteriors, self.truth[:, 0], decoder, self.stride))
