"""Where pre-training begins: a new encoder of a bundled architecture, or somebody's checkpoint."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import load
from sibboleth.models.encoders.transformer import Configuration, Transformer, frame_samples, hop
from sibboleth.models.pretraining.clusters import Frame
from sibboleth.pretraining import StartSettings
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
"""Encoders of waveforms, which mask their frames in the same way."""
PHASES = 4
"""Of each band-pass filter: cosine and sine, up and down, so that rectified they add up to its level."""
MASKED = 0.05
"""`mask_time_prob` written for a model that had none; transformers' own default, and no business of pre-training."""
LOWEST = 40.0
"""Hz of the lowest filter."""
HIGHEST = 0.97
"""Of half the rate: the highest filter."""
GAIN = 0.2
"""Norm of a filter below `EMPHASIS`. Quiet speech is then about as large as the constant in the layer norm behind it,
so that level is told from level there rather than normalised away."""
EMPHASIS = 250.0
"""Hz above which filters rise by 6 dB per octave, as speech falls: else the low ones would drown the others."""


def start(settings: StartSettings, seed: int) -> Transformer:
    """Find the encoder to begin with; raises `SibbolethError` for one that cannot be pre-trained."""
    name = settings.checkpoint or f"untrained:{settings.architecture}"
    found = load(EncoderSettings(name=name, seed=seed))
    if not isinstance(found, Transformer) or found.config["model_type"] not in FAMILIES:
        family = found.config["model_type"] if isinstance(found, Transformer) else name
        raise SibbolethError(f"start: {family} cannot be pre-trained; it takes a model of {', '.join(FAMILIES)}")
    return found


def build(begin: Transformer, settings: StartSettings) -> "PreTrainedModel":
    """Make the model in float32, ready to learn; the global random state is the same afterwards."""
    with torch.random.fork_rng(devices=[]):
        model = begin.build()
    if settings.filters == "mel":
        front: Any = model.feature_extractor
        _as_filters(front.conv_layers[0].conv, begin.rate)
    ready(model)
    return model


def ready(model: "PreTrainedModel") -> None:
    """Let a model learn and hide frames: a checkpoint comes without dropout, some without a vector of hidden frames."""
    placed: torch.nn.Module = model
    placed.train()
    config: Any = model.config
    if getattr(model, "masked_spec_embed", None) is None:
        random = torch.Generator().manual_seed(0)
        model.masked_spec_embed = nn.Parameter(torch.rand(config.hidden_size, generator=random))
        config.mask_time_prob = MASKED
    config.apply_spec_augment = True
    config.mask_feature_prob = 0.0


def frame(config: Configuration, rate: int) -> Frame:
    """Return where the encoder's frames lie."""
    return Frame(rate=rate, hop=hop(config), field=frame_samples(config))


def _as_filters(convolution: Any, rate: int) -> None:
    """Give a convolution of samples windowed sines, evenly spaced in mel; the bias stays."""
    if not isinstance(convolution, nn.Conv1d) or convolution.out_channels % PHASES:
        raise SibbolethError(f"start.filters: a number of channels that is a multiple of {PHASES} is needed")
    bands, kernel = convolution.out_channels // PHASES, convolution.kernel_size[0]
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, HIGHEST * rate / 2))
    frequency = 700 * (10 ** (np.linspace(lowest, highest, bands) / 2595) - 1)
    time = (np.arange(kernel) - (kernel - 1) / 2) / rate
    angle = 2 * np.pi * frequency[:, None] * time + np.pi / 2 * np.arange(PHASES)[:, None, None]
    wave = np.cos(angle) * np.hanning(kernel + 2)[1:-1]
    wave *= GAIN / np.linalg.norm(wave, axis=-1, keepdims=True) * np.maximum(1, frequency / EMPHASIS)[:, None]
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(wave.reshape(-1, 1, kernel).astype(np.float32)))
