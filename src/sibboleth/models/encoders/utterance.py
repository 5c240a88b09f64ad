"""Utterance encoders: speech encoders whose frames are pooled into one embedding per utterance.

Two files beside a checkpoint make it one: `utterance.json` says how frames are pooled and how large the embedding is,
`utterance.safetensors` holds the layer that makes it. Without them the folder is a checkpoint like any other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders.contract import WINDOW, Audio, EncodingError, HiddenStates, identify
from sibboleth.models.encoders.transformer import Transformer
from sibboleth.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DESCRIPTION = "utterance.json"
WEIGHTS = "utterance.safetensors"
FILES = (DESCRIPTION, WEIGHTS)
LEAST_VARIANCE = 1e-5
"""Below it the standard deviation over frames is that of this variance, so that its slope stays finite."""


class Description(Settings):
    """What `utterance.json` says."""

    format: Literal[1] = 1
    pooling: Literal["mean+std"] = "mean+std"
    """Over all frames of the last layer, after the final layer norm where the model has one."""
    dim: int = Field(ge=1)
    """Of a frame."""
    embedding: int = Field(ge=1)
    """Size of the embedding."""


class Embedder(nn.Module):
    """Frames to an embedding: mean and standard deviation over time, and a linear layer."""

    def __init__(self, dim: int, embedding: int) -> None:
        """Begin with random weights."""
        super().__init__()
        self.linear = nn.Linear(2 * dim, embedding)

    def forward(self, states: Tensor) -> Tensor:
        """Turn `[row, frame, dim]` into `[row, embedding]`."""
        frames = states.float()
        deviation = frames.var(1, correction=0).clamp(min=LEAST_VARIANCE).sqrt()
        embedding: Tensor = self.linear(torch.cat([frames.mean(1), deviation], dim=-1))
        return embedding

    @property
    def description(self) -> Description:
        """Say how large it is."""
        return Description(dim=self.linear.in_features // 2, embedding=self.linear.out_features)


@dataclass(frozen=True, kw_only=True)
class UtteranceTransformer(Transformer):
    """A speech encoder of transformers with an embedder behind its last layer: one layer, and no frames."""

    backbone: Transformer = field(repr=False)
    folder: Path

    def build(self) -> "PreTrainedModel":
        """Make the model of the frames."""
        return self.backbone.build()

    def prepare(self) -> None:
        """Load the weights, the embedder's among them."""
        super().prepare()
        _ = self._embedder

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        """Embed several utterances of at most `WINDOW` seconds, `[1, 1, embedding]` each."""
        longest = max(len(audio) for audio in several) / self.rate
        if longest > WINDOW:
            raise EncodingError(f"{longest:.1f} s is longer than the window of {WINDOW:g} s")
        full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), full_precision, self._inputs(several, samples) as (inputs, frames):
            states = self._model(**inputs).last_hidden_state
            return [self._embedded(states[row : row + 1, :count]) for row, count in enumerate(frames)]

    def plainly(self, audio: Audio) -> HiddenStates:
        """Embed one utterance of any length with transformers' own model, in float32 and one pass."""
        keyed = self._extractor(audio, sampling_rate=self.rate, return_tensors="pt", return_attention_mask=False)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self._embedded(self._plain(keyed["input_values"].to(self._plain.device)).last_hidden_state)

    @cached_property
    def _embedder(self) -> Embedder:
        return read(self.folder).to(self._model.device).requires_grad_(False)

    def _embedded(self, states: Tensor) -> HiddenStates:
        return np.asarray(self._embedder(states)[None].cpu().numpy())


def is_one(folder: Path) -> bool:
    """Tell whether a folder holds an utterance encoder; raises `SibbolethError` where one of its files is missing."""
    there = [name for name in FILES if (folder / name).is_file()]
    if len(there) == 1:
        missing = next(name for name in FILES if name not in there)
        raise SibbolethError(
            f"{folder}: has {there[0]}, as an utterance encoder has, but no {missing}; copy that, too, or remove "
            f"{there[0]} to use the encoder's frames"
        )
    return bool(there)


def utterance_encoder(backbone: Transformer, folder: Path, digests: Mapping[str, str]) -> UtteranceTransformer:
    """Put the embedder of a folder behind an encoder; `digests` are the SHA-256 of `FILES`.

    Raises `SibbolethError` where its files do not fit the encoder.
    """
    told = _described(folder)
    dim = backbone.dim
    if told.dim != dim:
        raise SibbolethError(f"{folder / DESCRIPTION}: is for frames of {told.dim} numbers, and the encoder has {dim}")
    return UtteranceTransformer(
        name=backbone.name,
        identity=identify(encoder="utterance-1", backbone=backbone.identity, files=dict(digests)),
        kind=backbone.kind,
        rate=backbone.rate,
        layers=1,
        dim=told.embedding,
        frames=False,
        precision=backbone.precision,
        language=backbone.language,
        fine_tuned=backbone.fine_tuned,
        notes=(*backbone.notes, f"one embedding of {told.embedding} numbers per utterance, and no frames"),
        config=backbone.config,
        preprocessor=backbone.preprocessor,
        backbone=backbone,
        folder=folder,
    )


def save(embedder: Embedder, folder: Path) -> None:
    """Write the files that make the checkpoint in a folder an utterance encoder."""
    from safetensors.torch import save_file

    save_file({name: one.detach().cpu().contiguous() for name, one in embedder.state_dict().items()}, folder / WEIGHTS)
    (folder / DESCRIPTION).write_text(embedder.description.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Embedder:
    """Read an embedder; raises `SibbolethError` where its weights are not what the description says."""
    from safetensors.torch import load_file

    told = _described(folder)
    embedder = Embedder(told.dim, told.embedding)
    try:
        embedder.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:  # safetensors and torch raise whatever their parsers raise
        reason = " ".join(str(error).split())[:200]
        raise SibbolethError(f"{folder / WEIGHTS}: does not hold what {DESCRIPTION} says ({reason})") from None
    return embedder


def _described(folder: Path) -> Description:
    file = folder / DESCRIPTION
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        return Description.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SibbolethError(f"{file}: {where}: {first['msg']}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SibbolethError(f"{file}: cannot be read as JSON ({error})") from None
