"""A fine-tuned encoder as any other: audio in, the hidden states that its head hears out."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sibboleth.models.encoders import Audio, Encoder, HiddenStates
from sibboleth.models.encoders.checkpoint import Checkpoint
from sibboleth.models.encoders.stack import Stack, own_frames, prepared
from sibboleth.models.encoders.transformer import Transformer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Shortened(Checkpoint):
    """A checkpoint that ends at a hidden state in its middle."""

    kept: int
    """Layers that it keeps."""

    @classmethod
    def of(cls, found: Checkpoint, kept: int) -> Self:
        """Leave the layers above a hidden state out."""
        told = {one.name: getattr(found, one.name) for one in fields(Checkpoint)}
        return cls(**{**told, "layers": kept + 1, "kept": kept})

    def build(self) -> "PreTrainedModel":
        """Load the weights; transformers would put Whisper's last norm behind whichever layer is last."""
        model = super().build()
        inner: Any = model
        if self.config["model_type"] == "whisper":
            inner.layer_norm = nn.Identity()
        else:
            inner = inner.encoder
        inner.layers = inner.layers[: self.kept]
        return model


@dataclass(frozen=True, kw_only=True)
class TunedEncoder(Encoder):
    """The layers of a stack with its adapters; its hidden states are those that are mixed, or the last alone."""

    below: Transformer
    """Where the frames come from: the encoder without the layers that the stack computes."""
    stack: Stack = field(repr=False)
    bfloat16: bool
    """Whether the stack was trained in bfloat16."""
    from_audio: bool
    """Whether the stack computed what lies below it while it was trained."""

    @classmethod
    def of(cls, found: Checkpoint, stack: Stack, states: int, *, identity: str, bfloat16: bool, audio: bool) -> Self:
        """Put a stack on its checkpoint; the last so many hidden states are wanted, and `audio` is `from_audio`."""
        below = Shortened.of(replace(found, precision="float32") if audio else found, max(1, stack.lowest))
        return cls(
            name=found.name,
            identity=identity,
            kind=found.kind,
            rate=found.rate,
            layers=states,
            dim=found.dim,
            stride=found.stride,
            language=found.language,
            below=below.unshortened(),
            stack=stack,
            bfloat16=bfloat16,
            from_audio=audio,
        )

    def working_bytes(self, seconds: float) -> int:
        """Estimate what the layers take, and what lies below them."""
        return super().working_bytes(seconds) + self.below.working_bytes(seconds)

    def prepare(self) -> None:
        """Load the weights."""
        self.below.prepare()

    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Encode one utterance of at most `WINDOW` seconds."""
        return self.batch([audio])[0]

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        """Encode several utterances of at most `WINDOW` seconds."""
        device = self.stack.device
        # What comes from a cache in training was not computed as the stack is.
        cached = None if self.from_audio and self.bfloat16 else self._below(several, samples)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            frames, lengths = self._entered(several) if cached is None else cached
            states = self.stack(frames, lengths.to(device))[-self.layers :]
            both = torch.stack([state.float() for state in states]).cpu()
        return [np.asarray(both[:, row, :count].numpy()) for row, count in enumerate(lengths.tolist())]

    def for_recording(self, blocks: Iterable[Audio]) -> Self:
        """Let what lies below know the recording."""
        return replace(self, below=self.below.for_recording(blocks))

    @contextlib.contextmanager
    def side_by_side(self) -> Iterator[int]:
        """Give every thread of the processor an utterance, but not where parallel bottlenecks keep what came."""
        if any(getattr(one, "parallel", False) for one in self.stack.bottlenecks.values()):
            yield 1
            return
        with self.below.side_by_side() as threads:
            yield threads

    def enter_thread(self) -> None:
        """Compute with this thread alone."""
        self.below.enter_thread()

    @property
    def batch_seconds(self) -> float:
        """Batches pay on an accelerator only."""
        return self.below.batch_seconds

    def _entered(self, several: Sequence[Audio]) -> tuple[Tensor, Tensor]:
        """Return hidden state `lowest` and own frames as the stack computes them."""
        return self.stack.enter([prepared(self.below, one) for one in several], [len(one) for one in several])

    def _below(self, several: Sequence[Audio], samples: int | None) -> tuple[Tensor, Tensor]:
        """Return the same as every encoder computes it: the fastest way there is."""
        rows = [torch.from_numpy(states[self.stack.lowest]) for states in self.below.batch(several, samples)]
        own = [min(len(row), own_frames(self.below, len(one))) for row, one in zip(rows, several, strict=True)]
        return pad_sequence(rows, batch_first=True).to(self.stack.device), torch.tensor(own)
