"""Losses of probes: cross-entropy against a label distribution, or half the squared error."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["cross-entropy", "squared", "ctc", "frames"]


@dataclass(frozen=True)
class Terms:
    """A loss and its derivatives by the outputs, row by row: value and curvature `[..., row]`, slope as the outputs.

    The curvature is the mean second derivative over all directions that change the answer.
    """

    value: Tensor
    slope: Tensor
    curvature: Tensor


def terms(output: Tensor, truth: Tensor, kind: Kind) -> Terms:
    """Differentiate the loss of outputs `[..., out, row]` against truth `[out, row]`."""
    if kind == "squared":
        slope = output - truth
        return Terms(0.5 * slope.square().sum(-2), slope, torch.ones_like(slope[..., 0, :]))
    log_share = torch.log_softmax(output, -2)
    share = log_share.exp()
    curvature = (1 - share.square().sum(-2)) / max(1, output.shape[-2] - 1)
    return Terms(-(truth * log_share).sum(-2), share - truth, curvature)


def cross_entropy(output: Tensor, truth: Tensor) -> Tensor:
    """Return losses `[...]` of logits `[..., out]` against distributions `[..., out]`."""
    return -(truth * torch.log_softmax(output, -1)).sum(-1)


def squared_error(output: Tensor, truth: Tensor) -> Tensor:
    """Return half the squared errors `[...]` of numbers `[..., out]`."""
    return 0.5 * (output - truth).square().sum(-1)
