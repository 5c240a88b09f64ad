"""Speech encoders of transformers: how each family takes its audio and gives its hidden states.

What an utterance is encoded with cannot change it: alone it goes through unpadded; in a batch all that sees more than
one frame (front end, positional convolution, attention) sees its own frames only. Hidden state 0 is the
input of the first layer, hidden state k the output of layer k, as transformers 5 gives them: where a model has a final
layer norm after its last layer (stable-layer-norm models such as XLS-R, HuBERT-large and WavLM-large) the last hidden
state is taken before it; Whisper's is taken after it.
"""

import contextlib
import copy
import math
import threading
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from sibboleth.models.encoders.contract import (
    WINDOW,
    Audio,
    Encoder,
    EncodingError,
    HiddenStates,
    identify,
    lengthened,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from sibboleth.models.encoders.front import Front, Moments

FAMILIES = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "data2vec-audio",
    "unispeech",
    "unispeech-sat",
    "wav2vec2-bert",
    "whisper",
)
"""Model types (`model_type` of config.json) that can be encoded with; XLS-R and MMS are wav2vec2."""

HOP = 320
"""Samples from frame to frame at 16 kHz."""
BATCH_SECONDS = 240.0
"""Audio in a batch on an accelerator."""
WHOLE_ATTENTION = ("wavlm", "wav2vec2-bert")
"""Families whose attention is computed with a matrix of all frames by all for every head."""
ATTENTION_COPIES = 5
"""How many such matrices there are at once."""
CONVOLUTIONS = {"conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2)}
"""Of the front end of samples where a configuration does not say: 400 samples a frame, 320 apart."""

Configuration = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Transformer(Encoder):
    """A speech encoder of transformers; subclasses say where the weights come from."""

    config: Configuration = field(repr=False)
    """Its config.json."""
    preprocessor: Configuration = field(repr=False)
    """Its preprocessor_config.json; what is absent has the family's default."""
    recording: "Moments | None" = field(default=None, repr=False)
    """The recording that all audio is a window of."""
    shortened: bool = field(default=True, repr=False)
    """Whether frames behind the utterance, which only Whisper has, are dropped from the hidden states."""

    @abstractmethod
    def build(self) -> "PreTrainedModel":
        """Make the model with its weights, in float32."""

    def prepare(self) -> None:
        """Load the weights."""
        _ = self._model, self._extractor

    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Encode one utterance of at most `WINDOW` seconds, all layers in one pass."""
        return self.batch([audio])[0]

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        """Encode several utterances of at most `WINDOW` seconds, all layers in one pass."""
        import torch

        longest = max(len(audio) for audio in several) / self.rate
        if longest > WINDOW:
            raise EncodingError(f"{longest:.1f} s is longer than the window of {WINDOW:g} s")
        full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), full_precision, self._inputs(several, samples) as (inputs, frames):
            states = self._states(inputs)
            return [
                np.asarray(torch.stack([state[row, :count] for state in states]).float().cpu().numpy())
                for row, count in enumerate(frames)
            ]

    def plainly(self, audio: Audio) -> HiddenStates:
        """Encode one utterance of any length as transformers does by itself, in float32: what all else is held against.

        A second copy of the model is loaded for it.
        """
        import torch

        keyed = self._extractor(audio, sampling_rate=self.rate, return_tensors="pt", return_attention_mask=False)
        inputs = keyed["input_features" if "input_features" in keyed else "input_values"]
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            states = self._plain(inputs.to(self._plain.device), output_hidden_states=True).hidden_states
        whisper = self.config["model_type"] == "whisper"
        frames = -(-len(audio) // (2 * self._extractor.hop_length)) if whisper and self.shortened else None
        return np.asarray(torch.cat([state[:, :frames] for state in states]).cpu().numpy())

    def for_recording(self, blocks: Iterable[Audio]) -> Self:
        """Return an encoder that normalises windows of one recording by all of it."""
        from sibboleth.models.encoders.front import Front, Moments

        front = getattr(self._model, "feature_extractor", None)
        if not isinstance(front, Front):
            return self
        knowing = copy.copy(self)
        object.__setattr__(knowing, "recording", Moments.of(blocks, front.kernel, front.stride))
        return knowing

    def unshortened(self) -> Self:
        """Return the encoder whose hidden states have all frames that its layers see.

        Whisper's layers also see the silence up to 30 s, so there it is another encoder with another identity.
        """
        if self.config["model_type"] != "whisper" or not self.shortened:
            return self
        whole = copy.copy(self)
        object.__setattr__(whole, "shortened", False)
        object.__setattr__(whole, "identity", identify(encoder="unshortened", of=self.identity))
        return whole

    def working_bytes(self, seconds: float) -> int:
        """Estimate what encoding one utterance takes, with matrices of attention where a family makes them whole."""
        family = self.config["model_type"]
        seconds = WINDOW if family == "whisper" else seconds
        frames = seconds * self.rate / (self.stride or 1)
        heads = self.config.get("num_attention_heads", 0) if family in WHOLE_ATTENTION else 0
        return super().working_bytes(seconds) + int(ATTENTION_COPIES * heads * frames**2 * 4)

    @contextlib.contextmanager
    def side_by_side(self) -> Iterator[int]:
        """Give every thread of the processor an utterance of its own; that is faster than sharing one.

        Neither torch nor numpy starts threads inside them, so that there are no more than there were.
        """
        import torch

        before = torch.get_num_threads()
        if self.batch_seconds:
            yield 1
            return
        self.enter_thread()
        try:
            with threadpool_limits(1, user_api="blas"):
                yield before
        finally:
            torch.set_num_threads(before)

    def enter_thread(self) -> None:
        """Compute with this thread alone: torch would give each thread helpers of its own, and other last bits."""
        import torch

        if not self.batch_seconds:
            torch.set_num_threads(1)

    @property
    def batch_seconds(self) -> float:
        """Batches pay on an accelerator only."""
        return BATCH_SECONDS if self._model.device.type != "cpu" else 0.0

    def _states(self, inputs: Mapping[str, Any]) -> "Sequence[torch.Tensor]":
        """Run the model; returns each layer's `[row, frame, dim]`."""
        states: Sequence[torch.Tensor] = self._model(**inputs, output_hidden_states=True).hidden_states
        return states

    @cached_property
    def _model(self) -> "PreTrainedModel":
        """Load the weights, go to the accelerator if there is one, and put what can be computed once in place."""
        import torch
        from torch.nn.utils import parametrize

        from sibboleth.models.encoders import arithmetic
        from sibboleth.models.encoders.front import Front, PerRow

        with BUILDING, torch.random.fork_rng(devices=[]), quiet():
            model = self.build()
        for module in list(model.modules()):
            if isinstance(module, torch.nn.Conv1d) and parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")
        model.eval()  # type: ignore[no-untyped-call]
        model.requires_grad_(False)
        placed: torch.nn.Module = model
        placed.to(arithmetic.device())
        dtype = getattr(torch, self.precision)
        original = getattr(model, "feature_extractor", None)
        if original is not None and Front.fits(original):
            front = Front(original, dtype)
            model.feature_extractor = front
            inner: Any = model.encoder
            inner.pos_conv_embed = PerRow(inner.pos_conv_embed, front)
        placed.to(dtype)
        if arithmetic.packing_pays():
            arithmetic.pack(model)
        return model

    @cached_property
    def _plain(self) -> "PreTrainedModel":
        import torch

        from sibboleth.models.encoders import arithmetic

        with BUILDING, torch.random.fork_rng(devices=[]), quiet():
            model = self.build()
        model.eval()  # type: ignore[no-untyped-call]
        placed: torch.nn.Module = model
        placed.to(arithmetic.device())
        return model

    @cached_property
    def _extractor(self) -> Any:
        from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

        family = self.config["model_type"]
        if family == "whisper":
            return WhisperFeatureExtractor.from_dict({"feature_size": self.config["num_mel_bins"], **self.preprocessor})
        if family == "wav2vec2-bert":
            return SeamlessM4TFeatureExtractor.from_dict(dict(self.preprocessor))
        return Wav2Vec2FeatureExtractor.from_dict(dict(self.preprocessor))

    @contextlib.contextmanager
    def _inputs(self, several: Sequence[Audio], samples: int | None) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Give the model's inputs, and how many frames of its output are each utterance's own."""
        family = self.config["model_type"]
        if family == "whisper":
            # The model takes exactly 30 s; what it says about the silence behind the utterance is dropped.
            features = self._extractor(list(several), sampling_rate=self.rate, return_tensors="pt").input_features
            hop = 2 * self._extractor.hop_length
            own = [max(1, -(-len(audio) // hop)) for audio in several]
            seen = [features.shape[-1] // 2] * len(several)
            yield {"input_features": self._placed(features)}, own if self.shortened else seen
        elif family == "wav2vec2-bert":
            yield self._filterbanks(several, samples)
        else:
            with self._waveforms(several, samples) as waveforms:
                yield waveforms

    def _filterbanks(self, several: Sequence[Audio], samples: int | None) -> tuple[dict[str, Any], list[int]]:
        """Two stacked filterbank frames of 25 ms, 10 ms apart, make one; an odd last one is dropped."""
        import torch

        heard = [lengthened(audio, 400 + 160) for audio in several]
        rows = [
            self._extractor(audio, sampling_rate=self.rate, padding=False, return_tensors="pt").input_features[0]
            for audio in heard
        ]
        frames = [len(row) for row in rows]
        longest = max([*frames, 0 if samples is None else ((samples - 400) // 160 + 1) // 2])
        if len(rows) == 1 and samples is None:
            return {"input_features": self._placed(rows[0][None])}, frames
        padded = torch.stack([torch.nn.functional.pad(row, (0, 0, 0, longest - len(row))) for row in rows])
        mask = torch.arange(longest) < torch.tensor(frames)[:, None]
        return {"input_features": self._placed(padded), "attention_mask": mask.long().to(self._model.device)}, frames

    @contextlib.contextmanager
    def _waveforms(self, several: Sequence[Audio], samples: int | None) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Normalise each utterance (by the recording that it is a window of), pad them, and say who is who."""
        import torch

        from sibboleth.models.encoders.front import Batch, Front, current_batch

        front = self._model.feature_extractor
        if not isinstance(front, Front):
            raise EncodingError("its convolutional front end is built in a way that is not known")
        heard, moments = zip(*(self._heard(lengthened(audio, front.field), front) for audio in several), strict=True)
        lengths = [len(audio) for audio in heard]
        longest = max([*lengths, samples or 0])
        rows = torch.stack([torch.from_numpy(lengthened(audio, longest)) for audio in heard])
        inputs = {"input_values": rows.to(self._model.device)}
        if len(rows) > 1 or longest > lengths[0]:
            mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
            inputs["attention_mask"] = mask.long().to(self._model.device)
        token = current_batch.set(Batch(lengths, moments))
        try:
            with contextlib.nullcontext() if len(rows) == 1 else _mismatched_masks():
                yield inputs, [front.frames(length) for length in lengths]
        finally:
            current_batch.reset(token)

    def _heard(self, audio: Audio, front: "Front") -> tuple[Audio, "Moments | None"]:
        """Normalise one utterance, as transformers does, or a window by its recording."""
        from sibboleth.models.encoders.front import Moments

        whole = self.recording
        if self._extractor.do_normalize:
            if whole is None:
                audio = self._extractor.zero_mean_unit_var_norm([audio], None)[0]
            else:
                audio, whole = whole.normalised(audio)
        if front.group_norm is None:
            return audio, None
        whole = whole or Moments.of([audio], front.kernel, front.stride)
        # A group norm takes any constant away; without it float32 has more digits for the speech.
        return whole.centred(audio)

    def _placed(self, features: "torch.Tensor") -> "torch.Tensor":
        return features.to(self._model.device, self._model.dtype)


BUILDING = threading.RLock()
"""Building a model changes global state of torch and transformers."""


def size(config: Configuration) -> tuple[int, int]:
    """Return the number of hidden states and their dim."""
    if config["model_type"] == "whisper":
        return config["encoder_layers"] + 1, config["d_model"]
    return config["num_hidden_layers"] + 1, config["hidden_size"]


def hop(config: Configuration) -> int:
    """Return the samples from one frame to the next; all families but those with odd convolutions have 20 ms."""
    if config["model_type"] in ("whisper", "wav2vec2-bert"):
        return HOP
    return math.prod(config.get("conv_stride", (HOP,)))


def frame_samples(config: Configuration) -> int:
    """Return the samples that one frame is made of, in families that take samples."""
    kernels, strides = (config.get(name, usual) for name, usual in CONVOLUTIONS.items())
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


@contextlib.contextmanager
def _mismatched_masks() -> Iterator[None]:
    """Let WavLM hand torch a mask of another type than its position bias."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Support for mismatched")
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing bars and lists of unused heads."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
