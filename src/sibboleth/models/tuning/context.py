"""Context: what is around each frame, as the mean and deviation of the frames in windows about it.

An emotion shows over words and not in 20 ms; a head over single frames hears what an encoder has gathered into them and
no more. With windows a linear head knows what a classifier of utterances knows, and still where it is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 1e-10
"""Variance that a window has at least, so that its root has a slope."""


def size(dim: int, seconds: Sequence[float]) -> int:
    """Return how many numbers a head hears of each frame."""
    return dim * (1 + 2 * len(seconds))


def around(frames: Tensor, lengths: Tensor, seconds: Sequence[float], strides: Tensor) -> Tensor:
    """Put beside each of `frames` `[row, frame, dim]` the mean and deviation of windows of so many seconds about it.

    Windows end where the own frames of a row end, so that company changes nothing; `strides` `[row]` are seconds per
    frame. Returns `[row, frame, dim + 2 * window * dim]`.
    """
    if not seconds:
        return frames
    count = frames.shape[1]
    places = torch.arange(count, device=frames.device)
    own = (places < lengths[:, None])[:, :, None]
    # In float64: a window is what is left of two long sums.
    inside = frames.double().masked_fill(~own, 0.0)
    sums, squares = (torch.nn.functional.pad(one.cumsum(1), (0, 0, 1, 0)) for one in (inside, inside.square()))
    heard = [frames]
    for width in seconds:
        half = (width / strides / 2).round().long().clamp(min=1)[:, None]
        begin = (places - half).clamp(min=0).minimum(lengths[:, None])
        end = (places + half + 1).minimum(lengths[:, None])
        many = (end - begin).clamp(min=1)[:, :, None]
        mean = _between(sums, begin, end) / many
        variance = _between(squares, begin, end) / many - mean.square()
        heard += [mean.to(frames.dtype), variance.clamp(min=LEAST).sqrt().to(frames.dtype)]
    return torch.cat(heard, dim=2)


def _between(sums: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Return the sums from `begin` to `end`, both `[row, frame]`."""
    rows, count, dim = sums.shape
    above = torch.arange(rows, device=sums.device)[:, None] * count
    flat = sums.flatten(0, 1)  # whole frames are looked up faster than their numbers
    first, last = (flat.index_select(0, (above + one).flatten()).reshape(*one.shape, dim) for one in (begin, end))
    return last - first
