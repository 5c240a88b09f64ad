"""What is fine-tuned: layers of an encoder with adapters, a mean over time, and a head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sibboleth.methods import HeadSettings
from sibboleth.models import adapters, losses
from sibboleth.models.encoders.stack import Stack
from sibboleth.models.losses import Kind
from sibboleth.models.tuning.epochs import Rows
from sibboleth.models.tuning.masking import Masking

Array = npt.NDArray[np.float64]

HEAD = ("head.", "mix")
"""Beginnings of the names of what is trained first where the head goes first."""


@dataclass(frozen=True)
class TuningBatch:
    """Utterances to learn from, or to answer about."""

    inputs: Tensor | tuple[Tensor, ...]
    """Pooled hidden states `[row, layer, dim]`, frames `[row, frame, dim]`, frames of several hidden states
    `[row, layer, frame, dim]`, or prepared audio of each row."""
    lengths: Tensor
    """Own frames of each row; of prepared audio, its samples."""
    truth: Tensor
    """`[row, out]`; of texts `[row, token]`, -1 behind."""
    seconds: float
    scale: Tensor | None = None
    """Mean and deviation of what the speaker of each row says, `[row, 2, layer, dim]`; none where all have one."""

    @property
    def rows(self) -> int:
        """How many utterances it has."""
        return len(self.truth)

    def part(self, begin: int, end: int) -> Self:
        """Return some of its rows."""
        of_rows = {name: one for name, one in vars(self).items() if name != "seconds" and one is not None}
        share = (end - begin) / self.rows
        return replace(self, seconds=self.seconds * share, **{name: one[begin:end] for name, one in of_rows.items()})

    def to(self, device: torch.device) -> Self:
        """Return it on a device."""
        inputs = self.inputs
        moved = inputs.to(device) if isinstance(inputs, Tensor) else tuple(one.to(device) for one in inputs)
        scale = None if self.scale is None else self.scale.to(device)
        return type(self)(moved, self.lengths.to(device), self.truth.to(device), self.seconds, scale)


class Head(nn.Sequential):
    """Linear layers with ReLU, and dropout before each where asked for."""

    def __init__(self, dim: int, settings: HeadSettings, out: int, seed: int) -> None:
        """Draw the weights as `torch.nn.Linear` does; equal seeds, equal heads."""
        sizes = (dim, *settings.hidden, out)
        parts: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for index, (inner, outer) in enumerate(zip(sizes, sizes[1:], strict=False)):
                parts += [nn.ReLU()] if index else []
                parts += [nn.Dropout(settings.dropout)] if settings.dropout else []
                parts.append(nn.Linear(inner, outer))
        super().__init__(*parts)


def chosen(numbers: Sequence[int], dim: int) -> nn.Linear:
    """Make a head that answers with some of the `dim` numbers that it hears, in this order, and is not trained."""
    made = nn.Linear(dim, len(numbers), bias=False).requires_grad_(False)
    made.weight.copy_(torch.eye(dim)[list(numbers)])
    return made


class Tuned(nn.Module):
    """An encoder's layers, a mix of their outputs or the last, the mean over time, and a head."""

    label_weights: Tensor
    """`[out]`: by which the loss of a row is multiplied, label by label."""
    centre: Tensor
    spread: Tensor
    """Mean and deviation of the numbers that are learnt; 0 and 1 for labels."""
    voices = 1
    """How many heads answer, each by itself."""

    def __init__(
        self,
        stack: Stack | None,
        head: nn.Module,
        mixed: int,
        out: int,
        loss: Kind,
        trains_front: bool,
        masking: Masking,
    ) -> None:
        """Put them together; without a stack its inputs are pooled, and `mixed` is how many layers are mixed (or 0)."""
        super().__init__()
        self.stack, self.head, self.loss = stack, head, loss
        self.mix = nn.Parameter(torch.zeros(mixed)) if mixed else None
        self.trains_front, self.masking = trains_front, masking
        self.register_buffer("label_weights", torch.ones(out), persistent=False)
        self.register_buffer("centre", torch.zeros(out), persistent=False)
        self.register_buffer("spread", torch.ones(out), persistent=False)
        self.told: list[float] = []
        """Losses of the batches since somebody last took them."""

    def forward(self, batch: TuningBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        output = self.outputs(batch).float()
        truth = (batch.truth - self.centre) / self.spread
        if self.loss == "squared":
            loss = losses.squared_error(output, truth).mean()
        else:
            weights = batch.truth @ self.label_weights
            loss = (losses.cross_entropy(output, truth) * weights).sum() / weights.sum()
        return {"loss": loss}

    def weight(self, batch: TuningBatch) -> float:
        """Return what the loss of a batch weighs beside those of other parts: its rows, or its labels' weights."""
        if self.loss == "squared":
            return float(batch.rows)
        return float((batch.truth @ self.label_weights.to(batch.truth.device)).sum())

    def outputs(self, batch: TuningBatch) -> Tensor:
        """Return what the head says, `[row, out]`: logits, or numbers yet to be scaled back."""
        return self.head(self.pooled(batch))  # type: ignore[no-any-return]

    def judged(self, batch: TuningBatch) -> list[tuple[Tensor, Tensor]]:
        """Return, for each voice, the loss of each row `[row]`, no label weighed, and answers `[row, out]`."""
        output = self.outputs(batch).float().cpu()
        scaled = (batch.truth.cpu() - self.centre.cpu()) / self.spread.cpu()
        of_row = losses.squared_error if self.loss == "squared" else losses.cross_entropy
        return [(of_row(output.double(), scaled), torch.from_numpy(self.answered(output)))]

    def pooled(self, batch: TuningBatch) -> Tensor:
        """Return what the head hears, `[row, dim]`."""
        if self.stack is None:
            assert isinstance(batch.inputs, Tensor)
            return self._mixed(list(batch.inputs.unbind(1)))
        states, lengths = self.states(batch)
        own = torch.arange(states[0].shape[1], device=states[0].device) < lengths[:, None]
        some = states if self.mix is not None else states[-1:]
        return self._mixed([_mean(one, own) for one in some])

    def states(self, batch: TuningBatch) -> tuple[list[Tensor], Tensor]:
        """Return hidden states `[row, frame, dim]` from the lowest on, and the own frames of each row."""
        assert self.stack is not None
        if isinstance(batch.inputs, Tensor):
            frames, lengths = batch.inputs, batch.lengths
        else:
            with torch.set_grad_enabled(self.trains_front and torch.is_grad_enabled()):
                frames, lengths = self.stack.enter(batch.inputs, batch.lengths.tolist())
        return self.stack(self._hidden(frames, lengths), lengths), lengths

    def _mixed(self, layers: Sequence[Tensor]) -> Tensor:
        """Mix hidden states of one shape, of which there is one more axis."""
        if self.mix is None:
            return layers[-1]
        share = torch.softmax(self.mix, 0)
        return (share.reshape(-1, *(1 for _ in layers[0].shape)) * torch.stack(list(layers))).sum(0)

    def _hidden(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Hide spans of frames while training; chance is torch's global one."""
        return self.masking.hidden(frames, lengths) if self.training else frames

    def trained(self) -> dict[str, Tensor]:
        """Return a copy of all that is trained, by name, on the processor."""
        own = {name: one for name, one in self.named_parameters() if name.startswith(HEAD)}
        found = {name: one.detach().cpu().clone() for name, one in own.items()}
        if self.stack is not None:
            state = adapters.adapter_state(self.stack)
            found |= {f"stack.{name}": one.detach().cpu().clone() for name, one in state.items()}
        return found

    def take(self, trained: Mapping[str, Tensor]) -> None:
        """Put back what `trained` returned."""
        own = {name: one for name, one in self.named_parameters() if name.startswith(HEAD)}
        with torch.no_grad():
            for name, one in own.items():
                one.copy_(trained[name])
        if self.stack is not None:
            state = {name.removeprefix("stack."): one for name, one in trained.items() if name.startswith("stack.")}
            adapters.load_adapter_state(self.stack, state)

    def learn(self, train: Rows, scaled: Rows, truth: Array, weigh: bool) -> None:
        """Know how rare labels are from the training rows, or the scale of numbers from `scaled`; truth `[row, out]`.

        A second stage keeps the scale of the first, whose head it goes on with.
        """
        own = torch.from_numpy(truth[scaled if self.loss == "squared" else train]).float()
        if self.loss == "squared":
            self.centre.copy_(own.mean(0))
            self.spread.copy_(own.std(0, unbiased=False).clamp(min=1e-6))
        elif weigh:
            counts = own.sum(0)
            there = counts > 0
            self.label_weights.copy_(torch.where(there, counts.sum() / (there.sum() * counts.clamp(min=1e-9)), 0.0))

    def answered(self, output: Tensor) -> Array:
        """Turn outputs `[row, out]` into probabilities or numbers."""
        output = output.double().cpu()
        found = output * self.spread.cpu() + self.centre.cpu() if self.loss == "squared" else output.softmax(-1)
        return np.asarray(found.numpy())


def _mean(frames: Tensor, own: Tensor) -> Tensor:
    """Return the mean over each row's own frames, `[row, dim]`."""
    inside = own[:, :, None]
    return frames.float().masked_fill(~inside, 0.0).sum(1) / inside.sum(1)
