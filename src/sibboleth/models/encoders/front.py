"""The convolutional front end of wav2vec 2.0 and its kin, exact in any company and in bounded memory.

Seven convolutions make one frame of 20 ms of 25 ms of samples. Written as products of matrices with channels last they
need no copy of the audio. The one part that looks at a whole utterance is the group norm of the first convolution (in
models without layer norm there): its mean and variance follow from the mean and covariance of the samples under the
kernel, so it is folded into that convolution's weights, and what is left sees 25 ms only. An utterance can then be
computed in pieces, and a window of a long recording as if the whole had been heard.
"""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sibboleth.models.encoders.contract import Audio

PIECE = 1 << 22
"""Numbers of the first layer computed at once on a processor: 16 MB, or 2.5 s of a layer of 512 channels."""
TINY = 1e-7
"""Added to the variance of the samples, as Wav2Vec2FeatureExtractor does."""


@dataclass(frozen=True)
class Moments:
    """What the front end must know of all of a recording: moments of its samples and of those under a kernel."""

    samples: int
    mean: float
    variance: float
    taps: npt.NDArray[np.float64]
    """Mean of the samples under each tap of the first kernel `[tap]`."""
    covariance: npt.NDArray[np.float64]
    """`[tap, tap]`."""

    @classmethod
    def of(cls, blocks: Iterable[Audio], kernel: int, stride: int) -> "Moments":
        """Measure audio that comes in blocks, in bounded memory."""
        samples, frames, total, power = 0, 0, 0.0, 0.0
        summed: npt.NDArray[np.float64] = np.zeros(kernel)
        products: npt.NDArray[np.float64] = np.zeros((kernel, kernel))
        left: npt.NDArray[np.float64] = np.empty(0)
        for block in blocks:
            exact = block.astype(np.float64)
            samples, total, power = samples + len(exact), total + float(exact.sum()), power + float(exact @ exact)
            heard = np.concatenate([left, exact])
            count = max(0, (len(heard) - kernel) // stride + 1)
            if count:
                under = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(heard, kernel)[::stride][:count])
                frames, summed, products = frames + count, summed + np.ones(count) @ under, products + under.T @ under
            left = heard[count * stride :]
        mean, taps = total / max(1, samples), summed / max(1, frames)
        covariance = products / max(1, frames) - np.outer(taps, taps)
        return cls(samples, mean, max(0.0, power / max(1, samples) - mean**2), taps, covariance)

    def normalised(self, audio: Audio) -> tuple[Audio, "Moments"]:
        """Bring samples to mean 0 and variance 1 over the recording, and say what the recording then is."""
        scale = 1 / np.sqrt(self.variance + TINY)
        whole = Moments(self.samples, 0.0, 1.0, (self.taps - self.mean) * scale, self.covariance * scale**2)
        return np.asarray((audio.astype(np.float64) - self.mean) * scale, dtype=np.float32), whole

    def centred(self, audio: Audio) -> tuple[Audio, "Moments"]:
        """Take the mean of the recording away, before float32 has to carry it through a product."""
        whole = Moments(self.samples, 0.0, self.variance, self.taps - self.mean, self.covariance)
        return np.asarray(audio.astype(np.float64) - self.mean, dtype=np.float32), whole


@dataclass(frozen=True)
class Batch:
    """Who is in a batch."""

    samples: Sequence[int]
    """Length of each row."""
    moments: Sequence[Moments | None]
    """Of the recording that each row is, or is a window of; only a group norm asks for them."""


current_batch: ContextVar[Batch | None] = ContextVar("current_batch", default=None)
"""The batch that the running thread encodes; the modules below ask for it, as transformers hands it to no module."""


@dataclass(frozen=True)
class _Layer:
    kernel: int
    stride: int
    weights: tuple[torch.Tensor, ...]
    """Of as many taps as a stride at a time, `[tap * channel, output]`."""
    bias: torch.Tensor | None
    norm: nn.LayerNorm | None
    activation: nn.Module


class Front(nn.Module):
    """Samples `[row, sample]` to frames `[row, channel, frame]`, each row of `current_batch` alone."""

    def __init__(self, original: nn.Module, dtype: torch.dtype) -> None:
        """Take the weights of a feature encoder of transformers; all but the first product are computed in `dtype`."""
        super().__init__()
        self.original = original
        self.dtype = dtype
        layers: list[nn.Module] = list(original.conv_layers)  # type: ignore[arg-type]
        norm = getattr(layers[0], "layer_norm", None)
        self.group_norm = norm if isinstance(norm, nn.GroupNorm) else None
        self.layers = [
            _layer(layer, torch.float32 if index == 0 else dtype, index == 0) for index, layer in enumerate(layers)
        ]
        self.kernel, self.stride = self.layers[0].kernel, self.layers[0].stride
        self.hop = int(np.prod([layer.stride for layer in self.layers]))
        field = 1
        for layer in reversed(self.layers):
            field = (field - 1) * layer.stride + layer.kernel
        self.field = field

    @classmethod
    def fits(cls, original: nn.Module) -> bool:
        """Tell whether a feature encoder is built as this one can compute it."""
        layers = list(getattr(original, "conv_layers", ()))
        convolutions = [getattr(layer, "conv", None) for layer in layers]
        plain = all(
            isinstance(one, nn.Conv1d) and (one.padding, one.dilation, one.groups) == ((0,), (1,), 1)
            for one in convolutions
        )
        norms = [getattr(layer, "layer_norm", None) for layer in layers]
        later = all(norm is None or isinstance(norm, nn.LayerNorm) for norm in norms[1:])
        first = not norms or norms[0] is None or isinstance(norms[0], nn.LayerNorm)
        grouped = bool(norms) and isinstance(norms[0], nn.GroupNorm) and norms[0].num_groups == norms[0].num_channels
        return bool(layers) and plain and later and (first or grouped)

    def frames(self, samples: int) -> int:
        """Count the frames of so many samples."""
        return max(0, (samples - self.field) // self.hop + 1)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Compute each row over its own length; behind it are zeros."""
        who = current_batch.get()
        if who is None:
            raise RuntimeError("the front end was called without saying who is in the batch")
        rows = [
            self._row(row[:length], whole) for row, length, whole in zip(samples, who.samples, who.moments, strict=True)
        ]
        longest = self.frames(samples.shape[1])
        if len(rows) == 1 and len(rows[0]) == longest:
            return rows[0].T[None]
        return torch.stack([nn.functional.pad(row, (0, 0, 0, longest - len(row))) for row in rows]).transpose(1, 2)

    def _row(self, samples: torch.Tensor, whole: Moments | None) -> torch.Tensor:
        """Return `[frame, channel]`."""
        first = self._first(whole, samples.device)
        count = self.frames(len(samples))
        size = count
        if samples.device.type == "cpu":
            size = max(1, PIECE * self.layers[0].stride // (self.hop * first[0].shape[1]))
        pieces = []
        for begin in range(0, count, size):
            end = min(begin + size, count)
            pieces.append(self._piece(samples[begin * self.hop : (end - 1) * self.hop + self.field], first))
        return torch.cat(pieces) if len(pieces) > 1 else pieces[0]

    def _piece(self, samples: torch.Tensor, first: tuple[torch.Tensor, torch.Tensor | None]) -> torch.Tensor:
        start, *others = self.layers
        weight, bias = first
        under = samples.unfold(0, start.kernel, start.stride)
        frames: torch.Tensor = under @ weight if bias is None else torch.addmm(bias, under, weight)
        frames = frames.to(self.dtype)
        frames = start.activation(frames if start.norm is None else start.norm(frames))
        for layer in others:
            frames = _convolved(frames.contiguous(), layer)
            frames = layer.activation(frames if layer.norm is None else layer.norm(frames))
        return frames

    def _first(self, whole: Moments | None, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weight and bias of the first convolution, with the group norm over the recording folded in."""
        first = self.layers[0]
        weight = first.weights[0]
        if self.group_norm is None:
            return weight, first.bias
        assert whole is not None
        exact = weight.detach().cpu().double().numpy()
        variance = np.maximum(0.0, np.einsum("to,ts,so->o", exact, whole.covariance, exact))
        gain = self.group_norm.weight.detach().cpu().double().numpy() / np.sqrt(variance + self.group_norm.eps)
        shift = self.group_norm.bias.detach().cpu().double().numpy() - whole.taps @ exact * gain
        folded = torch.from_numpy((exact * gain).astype(np.float32)), torch.from_numpy(shift.astype(np.float32))
        return folded[0].to(device), folded[1].to(device)


class PerRow(nn.Module):
    """A module over frames `[row, frame, dim]` that sees neighbours, applied to every row of the batch by itself."""

    def __init__(self, inner: nn.Module, front: Front) -> None:
        """Wrap a module whose output has the shape of its input."""
        super().__init__()
        self.inner = inner
        self.front = front

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Apply it; behind a row's own frames are zeros."""
        who = current_batch.get()
        if who is None or (len(frames) == 1 and self.front.frames(who.samples[0]) == frames.shape[1]):
            return self.inner(frames)  # type: ignore[no-any-return]
        result = torch.zeros_like(frames)
        for row, samples in enumerate(who.samples):
            own = self.front.frames(samples)
            result[row, :own] = self.inner(frames[row : row + 1, :own])[0]
        return result


def _layer(layer: nn.Module, dtype: torch.dtype, first: bool) -> _Layer:
    convolution, norm = layer.conv, getattr(layer, "layer_norm", None)
    assert isinstance(convolution, nn.Conv1d)
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    # Taps of one stride lie side by side in memory, so each such part is one matrix product; the first layer's
    # kernel is wider than its stride but has a single channel.
    step = kernel if first else stride
    weight = convolution.weight.detach()
    parts = [weight[:, :, tap : tap + step].permute(2, 1, 0).flatten(0, 1) for tap in range(0, kernel, step)]
    return _Layer(
        kernel,
        stride,
        tuple(part.to(dtype, copy=True, memory_format=torch.contiguous_format) for part in parts),
        None if convolution.bias is None else convolution.bias.detach().to(dtype, copy=True),
        norm if isinstance(norm, nn.LayerNorm) else None,
        layer.activation,  # type: ignore[arg-type]
    )


def _convolved(frames: torch.Tensor, layer: _Layer) -> torch.Tensor:
    """Convolve `[frame, channel]` by adding a matrix product for each stride of taps."""
    channels = frames.shape[1]
    count = (len(frames) - layer.kernel) // layer.stride + 1
    result: torch.Tensor | None = None
    for part, weight in enumerate(layer.weights):
        offset = frames.storage_offset() + part * layer.stride * channels
        under = frames.as_strided((count, len(weight)), (layer.stride * channels, 1), offset)
        if result is not None:
            result.addmm_(under, weight)
        elif layer.bias is None:
            result = under @ weight
        else:
            result = torch.addmm(layer.bias, under, weight)
    assert result is not None
    return result
