"""Batches of speech without labels: equally long cuts of pieces.

Every batch follows from the pieces, the seed and its number, whatever was read before. The rows of a batch are cut to
the shortest of them, which is about as long as all: so nothing is padded, and no mask is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sibboleth import audio
from sibboleth.augmentation import AugmentationSettings
from sibboleth.models import augmentation
from sibboleth.models.pretraining.clusters import Labels
from sibboleth.models.pretraining.pieces import Pieces
from sibboleth.pretraining import BatchSettings

POOL = 32
"""Batches whose pieces are sorted by length together."""
Audio = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SpeechBatch:
    """What an objective learns from at once."""

    views: tuple[Tensor, ...]
    """Audio `[row, sample]` of each view, augmented; view k of a row is another cut of the same piece."""
    labels: tuple[Tensor, ...]
    """Cluster of each frame of the first view, `[row, frame]`, by clustering."""
    seconds: float

    @property
    def rows(self) -> int:
        """How many pieces of speech it has."""
        return len(self.views[0])

    def part(self, begin: int, end: int) -> "SpeechBatch":
        """Return some of its rows."""
        views, labels = (tuple(one[begin:end] for one in some) for some in (self.views, self.labels))
        return SpeechBatch(views, labels, self.seconds * (end - begin) / self.rows)

    def to(self, device: torch.device) -> "SpeechBatch":
        """Return it on a device."""
        views, labels = (tuple(one.to(device, non_blocking=True) for one in some) for some in (self.views, self.labels))
        return SpeechBatch(views, labels, self.seconds)


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How an objective wants its speech."""

    views: tuple[float, ...]
    """Seconds of each view, at most; of a shorter piece, all of it."""
    rate: int
    """Hz."""
    hop: int
    """Samples from frame to frame; cuts begin where a frame does."""
    normalise: bool
    """Bring each cut to mean 0 and variance 1, as the encoder expects it."""


class Batches(Dataset[SpeechBatch]):
    """All batches there will ever be, by number from 0: epoch after epoch, each in an order of its own."""

    def __init__(
        self,
        pieces: Pieces,
        cutting: Cutting,
        settings: BatchSettings,
        changes: AugmentationSettings,
        labels: Sequence[Labels],
        seed: int,
    ) -> None:
        """Plan; audio is read when a batch is asked for."""
        self.paths, self.starts = pieces.table["audio"].to_list(), pieces.table["start"].to_numpy()
        self.samples = (pieces.seconds * cutting.rate).astype(np.int64)
        self.cutting, self.changes, self.labels, self.seed = cutting, changes, tuple(labels), seed
        asked = np.array([round(view * cutting.rate) for view in cutting.views])
        self.cost = np.minimum(self.samples[:, None], asked).sum(1)
        self.budget = settings.seconds * cutting.rate
        self._planned: tuple[int, list[Rows]] = (-1, [])
        self._firsts = [0]

    def __getitem__(self, number: int) -> SpeechBatch:
        """Read, cut and change the speech of a batch."""
        rows = self._rows(number)
        random = np.random.default_rng([self.seed, number])
        cuts = [self._cut(rows, view, random) for view in self.cutting.views]
        labels = tuple(torch.from_numpy(one.of(rows, *cuts[0])) for one in self.labels)
        views = tuple(self._heard(rows, begins, length, random) for begins, length in cuts)
        return SpeechBatch(views, labels, sum(view.numel() for view in views) / self.cutting.rate)

    def _rows(self, number: int) -> Rows:
        """Find the pieces of a batch."""
        epoch = next((index for index, first in enumerate(self._firsts) if first > number), len(self._firsts)) - 1
        while True:
            plan = self._plan(epoch)
            if epoch + 1 == len(self._firsts):
                self._firsts.append(self._firsts[epoch] + len(plan))
            if number < self._firsts[epoch + 1]:
                return plan[number - self._firsts[epoch]]
            epoch += 1

    def _plan(self, epoch: int) -> list[Rows]:
        """Divide all pieces into batches of pieces of about one length, in an order of the epoch's own."""
        if self._planned[0] != epoch:
            random = np.random.default_rng([self.seed, 0, epoch])
            order = random.permutation(len(self.cost))
            pool = np.cumsum(self.cost[order]) // (POOL * self.budget)
            order = order[np.lexsort((self.cost[order], pool))]
            plan = np.split(order, _ends(self.cost[order], self.budget))
            self._planned = epoch, [plan[index] for index in random.permutation(len(plan))]
        return self._planned[1]

    def _cut(self, rows: Rows, view: float, random: np.random.Generator) -> tuple[Rows, int]:
        """Draw where the cuts of a view begin, and how long all are, in samples."""
        length = min(round(view * self.cutting.rate), int(self.samples[rows].min()))
        steps = (self.samples[rows] - length) // self.cutting.hop
        return random.integers(0, steps + 1) * self.cutting.hop, length

    def _heard(self, rows: Rows, begins: Rows, length: int, random: np.random.Generator) -> Tensor:
        """Read the cuts of a view and change them."""
        rate = self.cutting.rate
        heard = np.zeros((len(rows), length), np.float32)
        for place, (row, begin) in enumerate(zip(rows.tolist(), begins.tolist(), strict=True)):
            start = float(self.starts[row]) + begin / rate
            found, _ = audio.read(self.paths[row], rate, start, start + length / rate)
            heard[place, : len(found)] = found[:length]
        heard = augmentation.changed(heard, rate, self.changes, random)
        if self.cutting.normalise:
            heard = (heard - heard.mean(1, keepdims=True)) / np.sqrt(heard.var(1, keepdims=True) + 1e-7)
        return torch.from_numpy(heard)


def _ends(cost: Rows, budget: float) -> list[int]:
    """Find where batches of sorted pieces end, so that none costs more than the budget or has no piece."""
    ends, total = [], 0
    for place, one in enumerate(cost.tolist()):
        if total and total + one > budget:
            ends.append(place)
            total = 0
        total += one
    return ends
