"""What a network is given of each utterance: as much as never changes is computed once and read from the cache.

A frozen encoder is pooled hidden states; below the lowest trained layer it is frames of one hidden state; where the
audio itself changes from epoch to epoch, or every weight is trained, it is prepared audio.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sibboleth.methods import TuningAugmentation
from sibboleth.models import augmentation
from sibboleth.models.encoders import stack
from sibboleth.models.tuning.epochs import Epochs, Rows
from sibboleth.models.tuning.network import TuningBatch

if TYPE_CHECKING:
    from sibboleth.models.encoders.transformer import Transformer
    from sibboleth.models.encoding import Recording
    from sibboleth.models.features import Features

Array = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]


class Inputs(ABC):
    """Utterances as a network takes them; rows are those of the study's table."""

    def __init__(self, truth: Array, seconds: Array) -> None:
        """Keep what is to be learnt, `[row, out]` or `[row, token]`, and how long each is."""
        self.truth, self.seconds = truth, seconds

    @abstractmethod
    def load(self, rows: Rows, random: np.random.Generator | None) -> tuple[Tensor | tuple[Tensor, ...], Tensor]:
        """Return the inputs of some rows and their lengths; `random` changes them, none leaves them as they are."""

    def batch(self, rows: Rows, random: np.random.Generator | None = None) -> TuningBatch:
        """Make a batch of some rows."""
        inputs, lengths = self.load(rows, random)
        truth = torch.from_numpy(self.truth[rows]).float()
        return TuningBatch(inputs, lengths, truth, float(self.seconds[rows].sum()))


class PooledInputs(Inputs):
    """Means over time of some layers, `[row, layer, dim]`."""

    def __init__(self, matrices: Sequence[npt.NDArray[np.float32]], truth: Array, seconds: Array) -> None:
        """Take one matrix per layer, `[row, dim]`."""
        super().__init__(truth, seconds)
        self.means = np.stack(matrices, axis=1)

    def load(self, rows: Rows, random: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        """Look them up."""
        return torch.from_numpy(self.means[rows]), torch.ones(len(rows), dtype=torch.long)


class FrameInputs(Inputs):
    """Frames of one hidden state, from the cache."""

    def __init__(
        self,
        features: "Features",
        layer: int,
        places: npt.NDArray[np.int64],
        own: npt.NDArray[np.int64],
        truth: Array,
        seconds: Array,
        speakers: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Read hidden state `layer` of features, whose row for every row of the table is in `places`.

        `own` are the frames of each row that are its own, not of silence behind it; `speakers` number who speaks.
        """
        super().__init__(truth, seconds)
        self.features, self.layer, self.places, self.own = features, layer, places, own
        self.speakers = np.arange(len(own)) if speakers is None else speakers
        self._scales: Samples | None = None

    def know_speakers(self, layers: Sequence[int]) -> None:
        """Give every batch from now on the scale of all that the speaker of each row says."""
        there = np.flatnonzero((self.places >= 0) & (self.own > 0))
        known = {
            speaker: there[self.speakers[there] == speaker] for speaker in np.unique(self.speakers[there]).tolist()
        }
        shape = (int(self.speakers.max()) + 1, 2, len(layers), self.features.matrix(layers[0], "mean").shape[1])
        self._scales = np.zeros(shape, np.float32)
        for speaker, rows in known.items():
            self._scales[speaker] = self.scale(rows, layers)

    def batch(self, rows: Rows, random: np.random.Generator | None = None) -> TuningBatch:
        """Make a batch of some rows, with the scale of their speakers where that is known."""
        made = super().batch(rows, random)
        if self._scales is None:
            return made
        return replace(made, scale=torch.from_numpy(self._scales[self.speakers[rows]]))

    def load(self, rows: Rows, random: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        """Read and pad them."""
        return self._padded(rows, self.layer)

    def scale(self, rows: Rows, layers: Sequence[int]) -> Array:
        """Return mean and deviation of each number of all frames of some rows, `[2, layer, dim]`."""
        weight = self.own[rows] / self.own[rows].sum()
        found = []
        for layer in layers:
            own = self.features.matrix(layer, "mean+std")[self.places[rows]].astype(np.float64)
            mean, deviation = np.split(own, 2, axis=1)
            centre = weight @ mean
            found.append((centre, np.sqrt(np.maximum(weight @ (mean**2 + deviation**2) - centre**2, 1e-8))))
        return np.stack(found, axis=1)

    def _padded(self, rows: Rows, layer: int) -> tuple[Tensor, Tensor]:
        found = [torch.from_numpy(np.array(self.features.frames(int(self.places[row]), layer))) for row in rows]
        lengths = [min(len(one), int(self.own[row])) for one, row in zip(found, rows, strict=True)]
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True), torch.tensor(lengths)


class StateInputs(FrameInputs):
    """Frames of several hidden states, `[row, layer, frame, dim]`, where nothing can be computed from the lowest."""

    def load(self, rows: Rows, random: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        """Read and pad all that were kept."""
        found = [self._padded(rows, layer) for layer in self.features.framed]
        return torch.stack([frames for frames, _ in found], dim=1), found[0][1]


class AudioInputs(Inputs):
    """Audio, changed anew in every epoch while training, as the encoder's model takes it."""

    def __init__(
        self,
        encoder: "Transformer",
        recordings: Sequence["Recording"],
        changes: TuningAugmentation,
        truth: Array,
        seconds: Array,
    ) -> None:
        """Read recordings, one per row of the table."""
        super().__init__(truth, seconds)
        self.encoder, self.recordings, self.changes = encoder, recordings, changes

    def load(self, rows: Rows, random: np.random.Generator | None) -> tuple[tuple[Tensor, ...], Tensor]:
        """Read, change and prepare them."""
        heard = [self.recordings[row].read(self.encoder.rate) for row in rows]
        if random is not None:
            heard = changed(heard, self.encoder.rate, self.changes, random)
        prepared = tuple(stack.prepared(self.encoder, one) for one in heard)
        return prepared, torch.tensor([len(one) for one in heard])


def changed(
    several: Sequence[Samples], rate: int, changes: TuningAugmentation, random: np.random.Generator
) -> list[Samples]:
    """Change utterances of any lengths; speed first, so that all else happens to what is then heard."""
    if changes.speed:
        factors = random.choice(changes.speed, len(several))
        several = [faster(one, float(factor)) for one, factor in zip(several, factors, strict=True)]
    longest = max(map(len, several))
    # Babble comes from another utterance of the batch, which is repeated to be long enough.
    rows = np.stack([np.resize(one, longest) for one in several])
    found = augmentation.changed(rows, rate, changes, random)
    return [np.ascontiguousarray(row[: len(one)]) for row, one in zip(found, several, strict=True)]


def faster(samples: Samples, factor: float) -> Samples:
    """Play audio faster by a factor, at another pitch: the samples of a tape that runs faster."""
    if factor == 1:
        return samples
    return np.asarray(soxr.resample(samples, factor, 1.0), dtype=np.float32)


class EpochBatches(Dataset[TuningBatch]):
    """All batches of a training, made when they are asked for; chance follows from the seed and the number."""

    def __init__(self, inputs: Inputs, plan: Epochs, seed: int) -> None:
        """Serve the batches of a plan."""
        self.inputs, self.plan, self.seed = inputs, plan, seed

    def __len__(self) -> int:
        """Count them."""
        return len(self.plan.batches)

    def __getitem__(self, number: int) -> TuningBatch:
        """Make one batch."""
        return self.inputs.batch(self.plan.batches[number], np.random.default_rng([self.seed, 7, number]))
