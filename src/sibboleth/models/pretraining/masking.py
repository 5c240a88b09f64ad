"""Spans of frames that are hidden from an encoder."""

import torch
from torch import Tensor

from sibboleth.pretraining import MaskSettings


def masked(rows: int, frames: int, settings: MaskSettings) -> Tensor:
    """Draw which frames are hidden, `[row, frame]`; spans may overlap, and each row has as many of them.

    As in wav2vec 2.0 and HuBERT: share * frames / length spans, rounded up or down by chance, at different starts.
    Chance is torch's global one.
    """
    length = min(settings.length, frames)
    spans = int(settings.share * frames / length + float(torch.rand(())))
    spans = min(max(1, spans), frames - length + 1)
    starts = torch.rand(rows, frames - length + 1).argsort(1)[:, :spans]
    hidden = torch.zeros(rows, frames, dtype=torch.bool)
    places = (starts[:, :, None] + torch.arange(length)).flatten(1)
    return hidden.scatter_(1, places, True)
