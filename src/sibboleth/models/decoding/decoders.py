"""Decoders: ways to make one label per frame of posteriors `[frame, label]`, each with the widths that dev chooses."""

import heapq
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from sibboleth.models.decoding.timelines import Codes, runs
from sibboleth.settings import Settings

Posteriors = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""`[frame, label]`, rows sum to 1."""
TINY = 1e-8
BLOCK = 4096
"""Frames whose logarithms are in memory together."""


class Argmax(Settings):
    """The likeliest label of every frame by itself."""

    kind: Literal["argmax"] = "argmax"

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return labels `[frame]`; `stride` is seconds per frame."""
        return np.asarray(posteriors.argmax(axis=1))

    def __str__(self) -> str:
        """Name it."""
        return "argmax"


class Median(Settings):
    """The likeliest label of running medians of the posteriors; the first and last frame go on beyond the ends."""

    kind: Literal["median"] = "median"
    seconds: float = Field(gt=0)
    """Width; as many frames, and one more where that is even."""

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return labels `[frame]`."""
        width = max(1, round(self.seconds / stride)) // 2 * 2 + 1
        return np.asarray(ndimage.median_filter(posteriors, size=(width, 1), mode="nearest").argmax(axis=1))

    def __str__(self) -> str:
        """Name it with its width."""
        return f"median {self.seconds:g} s"


class Minimum(Settings):
    """No segment shorter than a minimum: as long as there is one, the shortest goes to a neighbour.

    Of two neighbours it goes to the one whose label is likelier in it, the earlier of equals.
    """

    kind: Literal["minimum"] = "minimum"
    seconds: float = Field(gt=0)

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return labels `[frame]`."""
        least = max(1, round(self.seconds / stride))
        begins, labels = runs(np.asarray(posteriors.argmax(axis=1)))
        found = _Runs(begins.tolist(), labels.tolist(), len(posteriors))
        sums = np.concatenate([np.zeros((1, posteriors.shape[1])), np.cumsum(posteriors, axis=0, dtype=np.float64)])
        for at in found.shorter(least):
            weight = sums[found.ends[at]] - sums[found.begins[at]]
            sides = [side for side in (found.before[at], found.after[at]) if side is not None]
            found.give(at, max(sides, key=lambda side: weight[found.labels[side]]))
        kept = list(found)
        return np.repeat(np.array([found.labels[k] for k in kept], dtype=np.int64), [found.length(k) for k in kept])

    def __str__(self) -> str:
        """Name it with its minimum."""
        return f"minimum {self.seconds:g} s"


class _Runs:
    """Runs of frames of one label, of which one after the other is given to a neighbour."""

    def __init__(self, begins: list[int], labels: list[int], frames: int) -> None:
        count = len(begins)
        self.begins, self.labels = begins, labels
        self.ends = [*begins[1:], frames][:count]
        self.before: list[int | None] = [k - 1 if k else None for k in range(count)]
        self.after: list[int | None] = [k + 1 if k + 1 < count else None for k in range(count)]
        self.there = [True] * count
        self.heap = [(self.length(k), begins[k], k) for k in range(count)]
        heapq.heapify(self.heap)

    def __iter__(self) -> Iterator[int]:
        """Number the runs that are left, in order."""
        return (k for k in range(len(self.there)) if self.there[k])

    def length(self, at: int) -> int:
        """Return the frames of a run."""
        return self.ends[at] - self.begins[at]

    def shorter(self, least: int) -> Iterator[int]:
        """Yield the shortest run, the first of equals, as long as one is too short and has a neighbour."""
        while self.heap and self.heap[0][0] < least:
            length, begin, at = heapq.heappop(self.heap)
            now = self.there[at] and (length, begin) == (self.length(at), self.begins[at])
            if now and (self.before[at] is not None or self.after[at] is not None):
                yield at

    def give(self, at: int, side: int) -> None:
        """Give a run to its neighbour, with the one on its other side if that is then alike."""
        beyond = self.after[at] if side == self.before[at] else self.before[at]
        self._join(at, side)
        if beyond is not None and self.labels[beyond] == self.labels[side]:
            self._join(beyond, side)
        heapq.heappush(self.heap, (self.length(side), self.begins[side], side))

    def _join(self, at: int, side: int) -> None:
        before, after = self.before[at], self.after[at]
        self.there[at] = False
        self.begins[side], self.ends[side] = (
            min(self.begins[at], self.begins[side]),
            max(self.ends[at], self.ends[side]),
        )
        if before is not None:
            self.after[before] = after
        if after is not None:
            self.before[after] = before


class Hysteresis(Settings):
    """Two thresholds: a stretch where a label stays at `off` or above counts if it reaches `on` somewhere.

    Of several labels that count the likeliest is taken; where none does, the background, or the likeliest of all where
    there is no background.
    """

    kind: Literal["hysteresis"] = "hysteresis"
    on: float = Field(gt=0, le=1)
    off: float = Field(gt=0, le=1)
    background: int | None
    """Its index."""

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return labels `[frame]`."""
        counts = np.zeros(posteriors.shape)
        for label in range(posteriors.shape[1]):
            if label == self.background:
                continue
            own = posteriors[:, label]
            stretch, many = ndimage.label(own >= self.off)
            reached = np.concatenate([[False], ndimage.maximum(own, stretch, range(1, many + 1)) >= self.on])
            counts[:, label] = np.where(reached[stretch], own, 0.0)
        nothing = posteriors.argmax(axis=1) if self.background is None else self.background
        return np.asarray(np.where(counts.any(axis=1), counts.argmax(axis=1), nothing))

    def __str__(self) -> str:
        """Name it with its thresholds."""
        return f"hysteresis {self.on:g} and {self.off:g}"


class Viterbi(Settings):
    """The likeliest path, by transitions between frames that the training segments have.

    Heads are trained with all labels in balance, so that their posteriors are in proportion to likelihoods. What
    neighbouring frames say is no independent evidence: it counts by `scale`.
    """

    kind: Literal["viterbi"] = "viterbi"
    scale: float = Field(gt=0)
    """By which log posteriors are multiplied."""
    start: tuple[float, ...]
    """Log probability of beginning with each label."""
    transitions: tuple[tuple[float, ...], ...]
    """Log probability of each label, after each."""

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return labels `[frame]`."""
        moves = np.array(self.transitions)
        frames, labels = posteriors.shape
        before = np.zeros((frames, labels), dtype=np.int16)
        best = np.array(self.start)
        every = np.arange(labels)
        for begin in range(0, frames, BLOCK):
            block = posteriors[begin : begin + BLOCK].astype(np.float64)
            for frame, said in enumerate(self.scale * np.log(np.maximum(block, TINY)), start=begin):
                if frame:
                    ways = best[:, None] + moves
                    before[frame] = ways.argmax(axis=0)
                    best = ways[before[frame], every]
                best = best + said
        codes = np.zeros(frames, dtype=np.int64)
        if frames:
            codes[-1] = best.argmax()
        for frame in range(frames - 1, 0, -1):
            codes[frame - 1] = before[frame, codes[frame]]
        return codes

    def __str__(self) -> str:
        """Name it with its scale."""
        return f"viterbi {self.scale:g}"


Plain = Annotated[Argmax | Median | Minimum | Hysteresis | Viterbi, Field(discriminator="kind")]


class Weighed(Settings):
    """The background made more or less likely, and then another decoder.

    Heads are trained with all labels in balance, and an error rate in seconds does not weigh them so.
    """

    kind: Literal["weighed"] = "weighed"
    background: int
    """Its index."""
    factor: float = Field(gt=0)
    """By which its posterior is multiplied."""
    then: Plain

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return labels `[frame]`."""
        said = posteriors.copy()
        said[:, self.background] *= self.factor
        said /= np.maximum(said.sum(axis=1, keepdims=True), TINY)
        return self.then(said, stride)

    def __str__(self) -> str:
        """Name it with its factor."""
        return f"{self.then}, background x {self.factor:g}"


class Nothing(Settings):
    """No segment at all: of a head whose false alarms cost more than what it finds."""

    kind: Literal["nothing"] = "nothing"
    background: int
    """Its index."""

    def __call__(self, posteriors: Posteriors, stride: float) -> Codes:
        """Return the background `[frame]`."""
        return np.full(len(posteriors), self.background, dtype=np.int64)

    def __str__(self) -> str:
        """Name it."""
        return "no segments"


Decoder = Annotated[Argmax | Median | Minimum | Hysteresis | Viterbi | Weighed | Nothing, Field(discriminator="kind")]
