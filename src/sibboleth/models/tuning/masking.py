"""Masking: spans of frames, and of the numbers of all frames, that are hidden from what is trained."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Masking:
    """What is hidden while training; chance is torch's global one."""

    share: float
    """Of the frames that are hidden on average, overlaps counted."""
    length: int
    """Frames of a span."""
    time: float = 0.0
    """As fairseq's `mask_prob`: the lengths of all spans, overlapping or not, as a share of the frames."""
    features: float = 0.0
    """The same of the numbers of a frame; a row's frames all lose the same ones."""
    features_length: int = 64

    def hidden(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Return frames `[row, frame, dim]` with zeros where they are hidden; `lengths` are the own frames of rows."""
        if self.share:
            frames = frames.masked_fill(self._by_share(*frames.shape[:2]).to(frames.device)[:, :, None], 0.0)
        if self.time:
            spans = drawn(lengths.tolist(), frames.shape[1], self.time, self.length)
            frames = frames.masked_fill(spans.to(frames.device)[:, :, None], 0.0)
        if self.features:
            size = frames.shape[2]
            spans = drawn([size] * len(frames), size, self.features, self.features_length)
            frames = frames.masked_fill(spans.to(frames.device)[:, None, :], 0.0)
        return frames

    def _by_share(self, rows: int, count: int) -> Tensor:
        length = min(self.length, count)
        # So many begin that the share is hidden on average, overlaps counted: 1 - (1 - p) ** length.
        begins = torch.rand(rows, count) < 1 - (1 - self.share) ** (1 / length)
        return nn.functional.max_pool1d(nn.functional.pad(begins.float(), (length - 1, 0))[:, None], length, stride=1)[
            :, 0
        ].bool()


def drawn(sizes: list[int], width: int, share: float, length: int) -> Tensor:
    """Draw spans as fairseq's `compute_mask_indices` does, `[row, width]`, each row within its own size.

    Of a row of n places, `share * n / length` spans (rounded up or down by chance, so that the mean is exact) begin at
    different places.
    """
    spans = torch.zeros(len(sizes), width, dtype=torch.bool)
    for row, size in enumerate(sizes):
        span = min(length, size)
        count = min(int(share * size / length + float(torch.rand(()))), size - span + 1)
        for begin in torch.randperm(size - span + 1)[:count].tolist():
            spans[row, begin : begin + span] = True
    return spans
