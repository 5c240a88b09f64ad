"""A trained model in use: audio in, labels with probabilities or numbers out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from sibboleth.models import encoding, samples
from sibboleth.models.encoders import WINDOW, Encoder
from sibboleth.models.encoding import Recording, Statistics
from sibboleth.models.tuning.network import Tuned, TuningBatch
from sibboleth.models.tuning.record import ModelRecord


@dataclass(frozen=True)
class Prediction:
    """What a model says about one utterance."""

    label: str | None
    """The likeliest label; none where it gives a number."""
    value: float
    """The label's probability, or the number."""
    weights: Mapping[str, float]
    """Probability of every label."""


@dataclass(frozen=True)
class Model:
    """An encoder and a head; `folder.load` makes it."""

    record: ModelRecord
    encoder: Encoder = field(repr=False)
    layers: range
    """Hidden states of the encoder that the head hears."""
    network: Tuned = field(repr=False)
    """The head, and the mix of layers before it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels in the order of their probabilities; none for a number."""
        return self.record.labels

    def predict(self, audio: npt.ArrayLike, rate: int) -> Prediction:
        """Label audio `[sample]` or `[sample, channel]`, full scale at 1, of a rate in Hz.

        Audio above 30 s is encoded in overlapping windows of 30 s. Raises `InvalidInput` for audio that is shorter than
        0.1 s, not finite, or of another shape.
        """
        heard = samples.mono(audio, rate, self.encoder.rate)
        mine = self.encoder.rate
        self.encoder.prepare()
        if len(heard) <= WINDOW * mine:
            parts = iter([self.encoder.hidden_states(heard)])
        elif self.encoder.frames:
            parts = encoding.windows(self.encoder, lambda: iter([heard]), len(heard))
        else:
            parts = iter([encoding.averaged(self.encoder, lambda: iter([heard]), len(heard))])
        return self.answer(encoding.pooled(parts))

    def predictions(self, recordings: Sequence[Recording]) -> Iterator[Prediction | str]:
        """Label recordings in their order; yields the reason where one cannot be labelled, and the others go on."""
        for one in encoding.encode(self.encoder, recordings):
            yield one.failure or "" if one.statistics is None else self.answer(one.statistics)

    @torch.inference_mode()
    def answer(self, statistics: Statistics) -> Prediction:
        """Label one utterance by the mean and deviation over time of all hidden states, `[layer, 2, dim]`."""
        count = 2 if self.record.encoder.pooling == "mean+std" else 1
        heard = torch.from_numpy(np.stack([statistics[layer, :count].reshape(-1) for layer in self.layers]))[None]
        device = next(self.network.parameters()).device
        nothing = torch.zeros(1, len(self.labels) or 1)
        batch = TuningBatch(heard, torch.ones(1, dtype=torch.long), nothing, 0.0).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.record.bits == "bfloat16"):
            output = self.network.outputs(batch).float()
        answered = self.network.answered(output)[0]
        if not self.labels:
            return Prediction(None, float(answered[0]), {})
        weights = dict(zip(self.labels, answered.tolist(), strict=True))
        best = self.labels[int(np.argmax(answered))]
        return Prediction(best, weights[best], weights)
