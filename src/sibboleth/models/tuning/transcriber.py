"""What is trained to transcribe: a head over every frame, of one hidden state (or a mix), or one for each of them."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from sibboleth.models.encoders.stack import Stack
from sibboleth.models.tuning import ctc
from sibboleth.models.tuning.epochs import Rows
from sibboleth.models.tuning.masking import Masking
from sibboleth.models.tuning.network import Array, Tuned, TuningBatch


class Transcriber(Tuned):
    """Heads over frames, trained by CTC; a stack in which nothing is trained runs without dropout."""

    scale: Tensor
    """Mean and deviation of what heads hear, `[2, layer, dim]`; 0 and 1 where the encoder is trained."""

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
    ) -> None:
        """Put them together; several heads hear a hidden state each, the last of them the last.

        `states` is how many there are. Without a stack its inputs are frames of all of them.
        """
        several = len(heads) > 1
        super().__init__(stack, nn.ModuleList(heads) if several else heads[0], mixed, out, "ctc", trains_front, masking)
        self.voices = len(heads)
        self.register_buffer("scale", torch.stack([torch.zeros(states, dim), torch.ones(states, dim)]), False)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, but not of a stack that is frozen."""
        super().train(mode)
        if self.stack is not None and not self.stack.trained:
            self.stack.eval()
        return self

    def learn(self, train: Rows, scaled: Rows, truth: Array, weigh: bool) -> None:
        """Tokens have no scale, and none weighs more."""

    def forward(self, batch: TuningBatch) -> dict[str, Tensor]:
        """Return the loss of a batch: the mean over rows, heads added up, since they share no weight."""
        told = [ctc.losses(one, lengths, batch.truth).mean() for one, lengths in self.said(batch)]
        return {"loss": torch.stack(told).sum()}

    def weight(self, batch: TuningBatch) -> float:
        """Return what the loss of a batch weighs beside those of other parts: its rows."""
        return float(batch.rows)

    def judged(self, batch: TuningBatch) -> list[tuple[Tensor, Tensor]]:
        """Return, for each head, the loss of each row and the text that it says, `[row, token]`."""
        return [
            (ctc.losses(one, lengths, batch.truth).double().cpu(), ctc.greedy(one, lengths).double())
            for one, lengths in self.said(batch)
        ]

    def said(self, batch: TuningBatch) -> list[tuple[Tensor, Tensor]]:
        """Return what each head says, `[row, frame, out]`, and the own frames of each row."""
        frozen = self.stack is None or not self.stack.trained
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            states, lengths = self._heard(batch)
        # `[row, 2, layer, dim]`, with one row where all speakers have one scale
        scale = self.scale[None] if batch.scale is None else batch.scale
        heard = [(one.float() - scale[:, 0, k, None]) / scale[:, 1, k, None] for k, one in enumerate(states)]
        if isinstance(self.head, nn.ModuleList):
            return [
                (head(self._around(one, lengths, batch)), lengths) for head, one in zip(self.head, heard, strict=True)
            ]
        return [(self.head(self._around(self._mixed(heard), lengths, batch)), lengths)]

    def _around(self, frames: Tensor, lengths: Tensor, batch: TuningBatch) -> Tensor:
        """Return what a head hears of frames; CTC finds what is around a frame by itself."""
        return frames

    def _heard(self, batch: TuningBatch) -> tuple[list[Tensor], Tensor]:
        """Return the hidden states that heads hear."""
        if self.stack is not None:
            states, lengths = self.states(batch)
        else:
            assert isinstance(batch.inputs, Tensor)
            states = [self._hidden(one, batch.lengths) for one in batch.inputs.unbind(1)]
            lengths = batch.lengths
        return states[-self.scale.shape[1] :], lengths
