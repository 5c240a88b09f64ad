"""Decoders: ways to make one label per frame of posteriors `[frame, label]`, each with the widths that dev chooses."""

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
        begins, found = runs(np.asarray(posteriors.argmax(axis=1)))
        edges, labels = [*begins.tolist(), len(posteriors)], found.tolist()
        sums = np.concatenate([np.zeros((1, posteriors.shape[1])), np.cumsum(posteriors, axis=0, dtype=np.float64)])
        while len(labels) > 1:
            lengths = np.diff(edges)
            at = int(lengths.argmin())
            if lengths[at] >= least:
                break
            weight = sums[edges[at + 1]] - sums[edges[at]]
            sides = [side for side in (at - 1, at + 1) if 0 <= side < len(labels)]
            _give(edges, labels, at, max(sides, key=lambda side: weight[labels[side]]))
        return np.repeat(np.array(labels, dtype=np.int64), np.diff(edges))

    def __str__(self) -> str:
        """Name it with its minimum."""
        return f"minimum {self.seconds:g} s"


def _give(edges: list[int], labels: list[int], at: int, side: int) -> None:
    """Give a run to its neighbour, and join neighbours that are then alike."""
    labels[at] = labels[side]
    for left in (at, at - 1):
        if 0 <= left < len(labels) - 1 and labels[left] == labels[left + 1]:
            del labels[left + 1], edges[left + 1]


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
        said = self.scale * np.log(np.maximum(posteriors.astype(np.float64), TINY))
        moves = np.array(self.transitions)
        frames, labels = said.shape
        before = np.zeros((frames, labels), dtype=np.int64)
        best = np.array(self.start) + said[0] if frames else np.zeros(labels)
        every = np.arange(labels)
        for frame in range(1, frames):
            ways = best[:, None] + moves
            before[frame] = ways.argmax(axis=0)
            best = ways[before[frame], every] + said[frame]
        codes = np.zeros(frames, dtype=np.int64)
        if frames:
            codes[-1] = best.argmax()
        for frame in range(frames - 1, 0, -1):
            codes[frame - 1] = before[frame, codes[frame]]
        return codes

    def __str__(self) -> str:
        """Name it with its scale."""
        return f"viterbi {self.scale:g}"


Decoder = Annotated[Argmax | Median | Minimum | Hysteresis | Viterbi, Field(discriminator="kind")]
