"""Speech encoders of transformers: how each family takes its audio and gives its hidden states.

Every utterance goes through alone and unpadded, so what it is encoded with cannot change it. Hidden state 0 is the
input of the first layer, hidden state k the output of layer k, as transformers 5 gives them: where a model has a final
layer norm after its last layer (stable-layer-norm models such as XLS-R, HuBERT-large and WavLM-large) the last hidden
state is taken before it; Whisper's is taken after it.
"""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sibboleth.models.encoders.contract import WINDOW, Audio, Encoder, EncodingError, HiddenStates, lengthened

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

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

Configuration = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Transformer(Encoder):
    """A speech encoder of transformers; subclasses say where the weights come from."""

    config: Configuration = field(repr=False)
    """Its config.json."""
    preprocessor: Configuration = field(repr=False)
    """Its preprocessor_config.json; what is absent has the family's default."""

    @abstractmethod
    def build(self) -> "PreTrainedModel":
        """Make the model with its weights, in float32."""

    def prepare(self) -> None:
        """Load the weights."""
        _ = self._model

    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Encode one utterance of at most `WINDOW` seconds, all layers in one pass."""
        import torch

        if len(audio) > WINDOW * self.rate:
            raise EncodingError(f"{len(audio) / self.rate:.1f} s is longer than the window of {WINDOW:g} s")
        inputs, frames = self._inputs(audio)
        full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), full_precision:
            output = self._model(inputs.to(self._model.device), output_hidden_states=True)
            states: Sequence[torch.Tensor] = output.hidden_states
            stacked = torch.cat([state[:, :frames] for state in states]).float()
        return np.asarray(stacked.cpu().numpy())

    @cached_property
    def _model(self) -> "PreTrainedModel":
        """Load the weights, fold constant reparametrisations and go to the accelerator, if there is one."""
        import torch
        from torch.nn.utils import parametrize

        with torch.random.fork_rng(devices=[]), _quiet():
            model = self.build()
        for module in list(model.modules()):
            if isinstance(module, torch.nn.Conv1d) and parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")
        model.eval()  # type: ignore[no-untyped-call]
        model.requires_grad_(False)
        placed: torch.nn.Module = model
        placed.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
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

    def _inputs(self, audio: Audio) -> tuple["torch.Tensor", int | None]:
        """Return the model's input and how many frames of its output are the utterance's; all if none."""
        family = self.config["model_type"]
        if family == "whisper":
            # The model takes exactly 30 s; what it says about the silence behind the utterance is dropped.
            features = self._extractor(audio, sampling_rate=self.rate, return_tensors="pt")
            return features.input_features, max(1, -(-len(audio) // (2 * self._extractor.hop_length)))
        if family == "wav2vec2-bert":
            # Two stacked filterbank frames of 25 ms, 10 ms apart, make one; an odd last one is dropped.
            heard = lengthened(audio, 400 + 160)
            features = self._extractor(heard, sampling_rate=self.rate, padding=False, return_tensors="pt")
            return features.input_features, None
        heard = lengthened(audio, self._receptive_field)
        return self._extractor(heard, sampling_rate=self.rate, return_tensors="pt").input_values, None

    @cached_property
    def _receptive_field(self) -> int:
        """Samples that one frame of the convolutional front end sees."""
        kernels, strides = self._model.config.conv_kernel, self._model.config.conv_stride
        field = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            field = (field - 1) * stride + kernel
        return field


def size(config: Configuration) -> tuple[int, int]:
    """Return the number of hidden states and their dim."""
    if config["model_type"] == "whisper":
        return config["encoder_layers"] + 1, config["d_model"]
    return config["num_hidden_layers"] + 1, config["hidden_size"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
