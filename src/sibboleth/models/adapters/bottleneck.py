"""Bottleneck adapters: a small network at the feed-forward block of each layer (Houlsby et al. 2019, 1902.00751)."""

from typing import Any

import torch
from torch import Tensor, nn

from sibboleth.methods import BottleneckSettings
from sibboleth.models.encoders.stack import Stack


class Bottleneck(nn.Module):
    """Down to an inner size, ReLU, and up again; what it makes is added to the output of the block."""

    def __init__(self, dim: int, settings: BottleneckSettings) -> None:
        """Draw weights as `torch.nn.Linear` does; at an identity start the last layer is zero."""
        super().__init__()
        inner = inner_size(dim, settings)
        self.down, self.up = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.parallel = settings.placement == "parallel"
        self._heard: Tensor | None = None
        if settings.start == "identity":
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Turn `[row, frame, dim]` into what is added."""
        added: Tensor = self.up(torch.relu(self.down(frames)))
        return added

    def hear(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Stand before the block."""
        self._heard = inputs[0]

    def add(self, _: nn.Module, __: tuple[Any, ...], output: Tensor) -> Tensor:
        """Stand behind the block."""
        heard, self._heard = self._heard, None
        added: Tensor = self(heard if self.parallel else output)
        return output + added


def inner_size(dim: int, settings: BottleneckSettings) -> int:
    """Return the size between its two layers."""
    return max(1, round(dim / settings.reduction))


def put(stack: Stack, settings: BottleneckSettings) -> None:
    """Put one at the last feed-forward block of every layer above `lowest`.

    It heeds modules as they are now, so low-rank updates of the block have to be there before.
    """
    for number, layer in stack.above():
        bottleneck = Bottleneck(stack.encoder.dim, settings)
        stack.bottlenecks[str(number)] = bottleneck
        first, last = _block(layer)
        if bottleneck.parallel:
            first.register_forward_pre_hook(bottleneck.hear)
        last.register_forward_hook(bottleneck.add)


def _block(layer: Any) -> tuple[nn.Module, nn.Module]:
    """Return the modules with which the feed-forward block of a layer begins and ends."""
    if hasattr(layer, "fc2"):
        # Whisper's layers have no block of their own; its dropout comes after the adapter.
        return layer.fc1, layer.fc2
    block = layer.ffn2 if hasattr(layer, "ffn2") else layer.feed_forward
    return block, block
