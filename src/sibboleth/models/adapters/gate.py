"""Weight gating: one learned factor per number of a layer's input (Lashkarashvili et al. 2024, arXiv 2402.11747)."""

from typing import Any

import torch
from torch import Tensor, nn

from sibboleth.methods import GateSettings
from sibboleth.models.encoders.stack import Stack


class Gate(nn.Module):
    """Frames times a sigmoid of learned numbers."""

    def __init__(self, dim: int, settings: GateSettings) -> None:
        """Begin at factors of 1 or, as the anchor study does, at 0.731."""
        super().__init__()
        identity = settings.start == "identity"
        self.most = 2.0 if identity else 1.0
        self.weight = nn.Parameter(torch.zeros(dim) if identity else torch.ones(dim))

    def forward(self, frames: Tensor) -> Tensor:
        """Turn `[row, frame, dim]` into the same."""
        return self.most * torch.sigmoid(self.weight) * frames

    def open(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Stand before a layer, whose first input is the frames."""
        return (self(inputs[0]), *inputs[1:])


def put(stack: Stack, settings: GateSettings) -> None:
    """Put a gate before every layer above `lowest`."""
    for number, layer in stack.above():
        gate = Gate(stack.encoder.dim, settings)
        stack.gates[str(number)] = gate
        layer.register_forward_pre_hook(gate.open)
