"""Heads: what sits on top of features. A stack of independent heads of one shape is one set of batched tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
"""Name to tensor `[head, ...]`; heads never mix, so gradients of a summed loss are each head's own."""


@dataclass(frozen=True)
class Mlp:
    """Linear layers with ReLU between them, over one layer's features or a learned mix of all layers'."""

    dim: int
    hidden: tuple[int, ...]
    out: int
    mixed_layers: int = 0
    """Number of layers that a softmax-weighted sum mixes first; 0 for a single layer's features."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        sizes = (self.dim, *self.hidden, self.out)
        return self.mixed_layers + sum((a + 1) * b for a, b in zip(sizes, sizes[1:], strict=False))

    def start(self, seeds: Sequence[int]) -> Parameters:
        """Draw one head per seed as `torch.nn.Linear` does: uniform within 1/sqrt(inputs); equal seeds, equal heads."""
        drawn = {seed: self._draw(seed) for seed in set(seeds)}
        return {name: torch.stack([drawn[seed][name] for seed in seeds]) for name in drawn[seeds[0]]}

    def _draw(self, seed: int) -> Parameters:
        generator = torch.Generator().manual_seed(seed)
        sizes = (self.dim, *self.hidden, self.out)
        parameters = {"mix": torch.zeros(self.mixed_layers)} if self.mixed_layers else {}
        for index, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
            bound = fan_in**-0.5
            parameters[f"weight{index}"] = torch.empty(fan_in, fan_out).uniform_(-bound, bound, generator=generator)
            parameters[f"bias{index}"] = torch.empty(fan_out).uniform_(-bound, bound, generator=generator)
        return parameters

    def spread(self, parameters: Parameters, scale: Tensor) -> Tensor:
        """Return the first linear layer's weights for features of all layers that are yet to be scaled and mixed.

        scale `[head, layer, dim]`; returns `[head, out, layer * dim]`.
        """
        by_layer = torch.softmax(parameters["mix"], -1)[:, :, None] * scale
        return (parameters["weight0"].transpose(1, 2)[:, :, None] * by_layer[:, None]).flatten(2)

    def __call__(self, parameters: Parameters, features: Tensor) -> Tensor:
        """Turn features `[head, row, dim]` (`[head, row, layer, dim]` if mixed) into outputs `[head, row, out]`."""
        if self.mixed_layers:
            share = torch.softmax(parameters["mix"], -1)
            features = (share[:, None, None] @ features)[:, :, 0]
        for index in range(len(self.hidden) + 1):
            if index:
                features = torch.relu(features)
            features = torch.baddbmm(parameters[f"bias{index}"][:, None], features, parameters[f"weight{index}"])
        return features
