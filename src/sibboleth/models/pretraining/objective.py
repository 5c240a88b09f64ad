"""What all objectives have in common: an encoder in the middle, batches in, a loss and signs of health out."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sibboleth.models.pretraining.speech import SpeechBatch
from sibboleth.models.pretraining.watch import Vital
from sibboleth.models.training import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Objective(nn.Module):
    """All that is learnt, the encoder among it. Called with a batch it gives `loss` and its vitals by name."""

    shape: Shape = "linear"
    """How the learning rate falls."""
    looking: bool = True
    """Whether the vitals are wanted; the loop says so before each step."""
    vitals: tuple[Vital, ...] = ()
    """Numbers that tell whether the encoder collapses."""

    @property
    def network(self) -> nn.Module:
        """Return itself: what the loop trains."""
        return self

    @abstractmethod
    def forward(self, batch: SpeechBatch) -> dict[str, Tensor]:
        """Return the loss and single numbers about its health."""

    @property
    @abstractmethod
    def encoder(self) -> "PreTrainedModel":
        """Return the encoder that is kept in the end."""

    def before_step(self, step: int, steps: int) -> None:
        """Do what has to be done before a step counted from 0."""

    def weight(self, batch: SpeechBatch) -> float | None:
        """Return what a batch's loss weighs beside those of other parts; none: it is no mean over rows."""
        return None

    def heard(self, loss: float) -> None:
        """Take in the loss of a batch: the log has it."""

    def after_step(self, step: int, steps: int) -> None:
        """Do what has to be done after it."""

    def factor(self, name: str) -> float:
        """Learn everything equally fast."""
        return 1.0

    def state(self) -> dict[str, Any]:
        """Return all weights."""
        return self.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.load_state_dict(state)


@torch.no_grad()
def rank(frames: Tensor, most: int = 2048) -> Tensor:
    """Return the effective rank of frames `[..., dim]`: the exponential of the entropy of their spectrum.

    Roy and Vetterli 2007: over the eigenvalues' shares of the variance. 1 where all lie on a line.
    """
    some = frames.detach().float().reshape(-1, frames.shape[-1])
    some = some[:: max(1, len(some) // most)]
    some = some - some.mean(0)
    found = torch.linalg.eigvalsh(some.T @ some / len(some)).clamp(min=0)
    share = found / found.sum().clamp(min=1e-12)
    return torch.exp(-(share * share.clamp(min=1e-12).log()).sum())


@torch.no_grad()
def perplexity(probabilities: Tensor) -> Tensor:
    """Return how many codes are in use, `exp` of the entropy of their mean probability; `[..., code]`."""
    mean = probabilities.detach().float().reshape(-1, probabilities.shape[-1]).mean(0)
    return torch.exp(-(mean * mean.clamp(min=1e-12).log()).sum())
