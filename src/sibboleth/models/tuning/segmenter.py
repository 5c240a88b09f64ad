"""What is trained to segment: a head over every frame, of one hidden state (or a mix), or one for each of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sibboleth.models.decoding import choosing
from sibboleth.models.decoding.decoders import Argmax, Decoder, Posteriors
from sibboleth.models.decoding.timelines import UNKNOWN, unpacked
from sibboleth.models.encoders.stack import Stack
from sibboleth.models.tuning import context
from sibboleth.models.tuning.epochs import Rows
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.network import Array, TuningBatch
from sibboleth.models.tuning.transcriber import Transcriber


class Segmenter(Transcriber):
    """Heads over frames, trained by cross-entropy in which every label weighs as much as every other.

    Truth is timelines (`decoding.timelines`); frames without label are not learnt.
    """

    def __init__(
        self,
        stack: Stack | None,
        heads: Sequence[nn.Module],
        states: int,
        dim: int,
        *,
        mixed: int,
        out: int,
        trains_front: bool,
        masking: Masking,
        stride: float | None,
        context: Sequence[float] = (),
    ) -> None:
        """Put them together as a transcriber is; `stride` is seconds per frame, where that is fixed.

        `context` are seconds of windows about a frame whose mean and deviation heads hear beside it.
        """
        super().__init__(stack, heads, states, dim, mixed=mixed, out=out, trains_front=trains_front, masking=masking)
        self.loss = "frames"
        self.stride, self.context = stride, tuple(context)
        self.decoders: list[Decoder] = [Argmax()] * self.voices
        """How each head's answers are made into segments."""

    def learn(self, train: Rows, scaled: Rows, truth: Array, weigh: bool) -> None:
        """Weigh labels by how rare they are in the seconds of the training rows."""
        out = len(self.label_weights)
        seconds = torch.from_numpy(sum((one.covered(out) for one in unpacked(truth[train])), np.zeros(out))).float()
        there = seconds > 0
        rare = seconds.sum() / (there.sum() * seconds.clamp(min=1e-9))
        self.label_weights.copy_(torch.where(there, rare, 0.0))

    def forward(self, batch: TuningBatch) -> dict[str, Tensor]:
        """Return the loss of a batch: the weighted mean over frames, heads added up, since they share no weight."""
        told = []
        for output, lengths in self.said(batch):
            loss, weight = self._losses(output, lengths, batch.truth)
            told.append(loss.sum() / weight.sum().clamp(min=1e-9))
        return {"loss": torch.stack(told).sum()}

    def weight(self, batch: TuningBatch) -> float:
        """Return what the loss of a batch weighs beside those of other parts: the weights of its frames.

        Of audio, whose frames are not known yet, the weighed seconds of each label: in proportion to within a frame.
        """
        if isinstance(batch.inputs, Tensor):
            targets = self._targets(batch.truth, batch.lengths, int(batch.lengths.max())).to(self.label_weights.device)
            return float(self.label_weights[targets.clamp(min=0)].masked_fill(targets == UNKNOWN, 0.0).sum())
        weights = self.label_weights.cpu().numpy()
        return float(sum(one.covered(len(weights)) @ weights for one in unpacked(batch.truth.cpu().numpy())))

    def judged(self, batch: TuningBatch) -> list[tuple[Tensor, Tensor]]:
        """Return, for each head, the loss of each row, labels weighed as in training, and its timeline."""
        seconds = batch.truth[:, 0].double().cpu().numpy()
        found = []
        for (output, lengths), decoder in zip(self.said(batch), self.decoders, strict=True):
            loss, weight = self._losses(output, lengths, batch.truth)
            rows = (loss.sum(1) / weight.sum(1).clamp(min=1e-9)).double().cpu()
            answers = choosing.decoded(_own(output, lengths), seconds, decoder, self.stride)
            found.append((rows, torch.from_numpy(answers)))
        return found

    def posteriors(self, batch: TuningBatch) -> list[list[Posteriors]]:
        """Return what each head says of the own frames of each row, `[frame, label]`."""
        return [_own(output, lengths) for output, lengths in self.said(batch)]

    def _around(self, frames: Tensor, lengths: Tensor, batch: TuningBatch) -> Tensor:
        """Put beside frames what is around them."""
        strides = (
            batch.truth[:, 0] / lengths if self.stride is None else torch.full_like(batch.truth[:, 0], self.stride)
        )
        return context.around(frames, lengths, self.context, strides)

    def _losses(self, output: Tensor, lengths: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return weighted losses and weights of frames, both `[row, frame]`; 0 where there is nothing to learn."""
        targets = self._targets(truth, lengths, output.shape[1]).to(output.device)
        weight = self.label_weights[targets.clamp(min=0)].masked_fill(targets == UNKNOWN, 0.0)
        losses = nn.functional.cross_entropy(
            output.float().transpose(1, 2), targets, ignore_index=UNKNOWN, reduction="none"
        )
        return losses * weight, weight

    def _targets(self, truth: Tensor, lengths: Tensor, width: int) -> Tensor:
        """Return the label of every own frame, `[row, frame]`, and -1 elsewhere."""
        codes = np.full((len(truth), width), UNKNOWN, dtype=np.int64)
        counts = lengths.tolist()
        for row, (one, count) in enumerate(zip(unpacked(truth.cpu().numpy()), counts, strict=True)):
            codes[row, :count] = one.frames(count, self.stride)
        return torch.from_numpy(codes)


def _own(output: Tensor, lengths: Tensor) -> list[Posteriors]:
    """Return the posteriors of each row's own frames."""
    said = output.detach().float().softmax(-1).cpu().numpy()
    return [one[:count] for one, count in zip(said, lengths.tolist(), strict=True)]
