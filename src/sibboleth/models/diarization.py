"""Diarization by a trained model: which label when, in recordings of any length, in bounded memory.

A recording above 30 s goes through in windows of 30 s that overlap by 5 s or more. What the head says of a frame in
several windows is averaged (logits), each window counting by how far it sees to the nearer side. What is held of a
recording is a row of numbers per frame; it is kept now and then, so that one that is stopped goes on.
"""

import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import encoding, samples
from sibboleth.models.decoding.decoders import Argmax, Decoder, Posteriors
from sibboleth.models.decoding.timelines import Timeline
from sibboleth.models.encoders import WINDOW, Audio, Encoder, speechbrain
from sibboleth.models.encoding import CONTEXT, LONGEST_ROUNDING, Recording
from sibboleth.models.tuning import folder as folders
from sibboleth.models.tuning.network import TuningBatch
from sibboleth.models.tuning.transcriber import Transcriber
from sibboleth.storage import atomic
from sibboleth.study import EncoderSettings
from sibboleth.targets import BACKGROUND

SAVED = 20
"""Windows after which what is known of a recording is kept."""
LEAST_VARIANCE = 1e-8
"""As training has it, of numbers that hardly vary."""
Moments = npt.NDArray[np.float64]
Segment = tuple[float, float, str]
"""Start and end in seconds, and label."""


@dataclass(frozen=True)
class Diarizer:
    """An encoder, a head over its frames, and how segments are made of what it says; `load` makes it."""

    name: str
    identity: str
    """Of all that determines what it says."""
    labels: tuple[str, ...]
    """In the order of the head's outputs."""
    background: str | None
    """Label of what no segment covers, if it knows such a label."""
    decoder: Decoder
    encoder: Encoder = field(repr=False)
    layers: range
    """Hidden states of the encoder that the head hears."""
    network: Transcriber | None = field(repr=False)
    """None where what the encoder gives are logits."""
    bfloat16: bool = False
    """Whether the head was trained in bfloat16."""
    per_speaker: bool = False
    """Whether frames are heard on the scale of what their speaker says."""

    def segments(self, audio: npt.ArrayLike, rate: int) -> list[Segment]:
        """Return the segments of audio `[sample]` or `[sample, channel]`, full scale at 1, of a rate in Hz.

        Raises `InvalidInput` for audio that is shorter than 0.1 s, not finite, or of another shape.
        """
        heard = samples.mono(audio, rate, self.encoder.rate)
        self.encoder.prepare()
        made = _Pass(self, lambda: iter([heard]), len(heard))
        for _ in made:
            pass
        return self.decoded(made.posteriors, len(heard) / self.encoder.rate)

    def passing(self, recording: Recording, state: Path | None = None, scale: Tensor | None = None) -> "_Pass":
        """Go through a recording window by window, from the state in a file if there is one.

        `scale` is that of its speaker, which `scale` finds; that of the recording alone where it is needed and not
        given.
        """
        count = round(recording.seconds * self.encoder.rate)
        return _Pass(self, lambda: recording.blocks(self.encoder.rate), count, state, scale)

    def scale(self, recordings: Sequence[Recording]) -> Tensor:
        """Return mean and deviation of the frames of all of some recordings of one speaker, `[2, layer, dim]`."""
        rate = self.encoder.rate
        found = [self.moments(partial(one.blocks, rate), round(one.seconds * rate)) for one in recordings]
        weight = np.array([one.seconds for one in recordings]) / sum(one.seconds for one in recordings)
        mean, square = (np.tensordot(weight, np.stack(each), 1) for each in zip(*found, strict=True))
        return _scaled(mean, square)

    def moments(self, blocks: Callable[[], Iterator[Audio]], count: int) -> tuple[Moments, Moments]:
        """Return the means of the numbers of all frames and of their squares, both `[layer, dim]`."""
        if count <= WINDOW * self.encoder.rate:
            parts = iter([self.encoder.hidden_states(np.concatenate(list(blocks())))])
        else:
            parts = encoding.windows(self.encoder, blocks, count)
        own = encoding.pooled(parts)[self.layers.start : self.layers.stop].astype(np.float64)
        return own[:, 0], own[:, 0] ** 2 + own[:, 1] ** 2

    def decoded(self, posteriors: Posteriors, seconds: float) -> list[Segment]:
        """Make segments of posteriors `[frame, label]`, the background's left out."""
        stride = self.stride
        codes = self.decoder(posteriors, stride or seconds / max(1, len(posteriors)))
        one = Timeline.of_frames(codes, stride, seconds)
        spans = zip(one.starts.tolist(), one.ends.tolist(), (self.labels[k] for k in one.labels), strict=True)
        return [(start, end, label) for start, end, label in spans if label != self.background]

    @property
    def stride(self) -> float | None:
        """Seconds from one frame to the next, where that is fixed."""
        return None if self.encoder.stride is None else self.encoder.stride / self.encoder.rate

    @torch.inference_mode()
    def logits(self, encoder: Encoder, window: Audio, scale: Tensor | None = None) -> npt.NDArray[np.float32]:
        """Return what the head says of each frame of at most `WINDOW` seconds, `[frame, label]`."""
        given = encoder.hidden_states(window)[self.layers.start : self.layers.stop]
        return _finite(given[0] if self.network is None else self._heard(given, len(window) / encoder.rate, scale))

    def _heard(self, given: npt.NDArray[np.float32], length: float, scale: Tensor | None) -> npt.NDArray[np.float32]:
        """Return what the head says of hidden states `[layer, frame, dim]` of so many seconds."""
        assert self.network is not None
        device = next(self.network.parameters()).device
        states = torch.from_numpy(given)[None]
        seconds = torch.tensor([[length]])
        own = None if scale is None else scale[None]
        batch = TuningBatch(states, torch.tensor([states.shape[2]]), seconds, 0.0, own).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            ((said, _),) = self.network.said(batch)
        return np.asarray(said[0].float().cpu().numpy())


def _scaled(mean: Moments, square: Moments) -> Tensor:
    deviation = np.sqrt(np.maximum(square - mean**2, LEAST_VARIANCE))
    return torch.from_numpy(np.stack([mean, deviation])).float()


def _finite(said: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not np.isfinite(said).all():
        raise SibbolethError("its output is not finite (NaN or infinity)")
    return said


class _Pass:
    """One recording, window by window; iterating yields the seconds that each window adds."""

    def __init__(
        self,
        model: Diarizer,
        blocks: Callable[[], Iterator[Audio]],
        count: int,
        state: Path | None = None,
        scale: Tensor | None = None,
    ) -> None:
        self.model, self.blocks, self.count, self.state, self.scale = model, blocks, count, state, scale
        self.sums: npt.NDArray[np.float32] = np.zeros((0, len(model.labels)), np.float32)
        self.weights: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self.length = 0
        """Frames so far."""

    def __iter__(self) -> Iterator[float]:
        if self.scale is None and self.model.per_speaker:
            self.scale = _scaled(*self.model.moments(self.blocks, self.count))
        encoder = self.model.encoder.for_recording(self.blocks())
        rate, done = encoder.rate, self._restored()
        size = int(WINDOW * rate)
        opening = next(encoding.cut(self.blocks(), size, 0, 1))
        stride = encoder.stride or max(1, round(len(opening) / len(self.model.logits(encoder, opening, self.scale))))
        size = size // stride * stride
        beyond = max(0, self.count + LONGEST_ROUNDING - size)
        many = 1 + math.ceil(beyond / (size - 2 * int(CONTEXT * rate)))
        step = 0 if many == 1 else math.ceil(beyond / (many - 1) / stride) * stride
        for index, window in enumerate(encoding.cut(self.blocks(), size, step, many)):
            if index >= done and len(window):
                self._add(
                    self.model.logits(encoder, window, self.scale), index * step // stride, (size - step) // stride
                )
                if self.state is not None and (index + 1) % SAVED == 0:
                    self._keep(index + 1)
            yield len(window) / rate if index == many - 1 else step / rate

    @property
    def posteriors(self) -> Posteriors:
        """Return probabilities of all frames so far, `[frame, label]`."""
        said = self.sums[: self.length] / self.weights[: self.length, None]
        said -= said.max(axis=1, keepdims=True)
        np.exp(said, out=said)
        said /= said.sum(axis=1, keepdims=True)
        return said

    def _add(self, said: npt.NDArray[np.float32], begin: int, overlap: int) -> None:
        """Add a window's answers, which weigh by how far each frame is from the nearer end, within an overlap."""
        end = begin + len(said)
        if end > len(self.weights):
            room = max(end, 2 * len(self.weights)) - len(self.weights)
            self.sums = np.concatenate([self.sums, np.zeros((room, said.shape[1]), np.float32)])
            self.weights = np.concatenate([self.weights, np.zeros(room, np.float32)])
        places = np.arange(len(said))
        weight = np.minimum(np.minimum(places + 1, len(said) - places), max(1, overlap)).astype(np.float32)
        self.sums[begin:end] += weight[:, None] * said
        self.weights[begin:end] += weight
        self.length = max(self.length, end)

    def _keep(self, done: int) -> None:
        assert self.state is not None
        with atomic(self.state) as temporary, temporary.open("wb") as file:
            known = {"sums": self.sums[: self.length], "weights": self.weights[: self.length]}
            np.savez(file, allow_pickle=False, done=done, count=self.count, **known)

    def _restored(self) -> int:
        """Take back what was kept; returns how many windows that is."""
        if self.state is None:
            return 0
        try:
            with self.state.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if int(kept["count"]) != self.count or kept["sums"].shape[1] != len(self.model.labels):
                    return 0
                self.sums, self.weights, done = kept["sums"], kept["weights"], int(kept["done"])
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return 0
        self.length = len(self.weights)
        return done


def load(path: Path | str, *, trust: bool = False) -> Diarizer:
    """Load a model that `sibboleth train` has saved; its encoder, where that is a Python function, only with `trust`.

    Or one of SpeechBrain's, in a folder or as `speechbrain/NAME` of the hub. Raises `SibbolethError` where there is
    none or it is damaged, `InvalidInput` where the model makes no segments.
    """
    if speechbrain.is_one(str(path)):
        return _as_it_is(speechbrain.diarizer(EncoderSettings(name=str(path))))
    model = folders.opened(path, trust=trust)
    record = model.record
    if record.kind != "segmentation":
        verb = "transcribe" if record.kind == "transcription" else "predict"
        raise InvalidInput(f"{path}: a model that makes no segments; `sibboleth {verb} {path} AUDIO` uses it")
    assert isinstance(model.network, Transcriber)
    return Diarizer(
        name=record.name,
        identity=record.fingerprint,
        labels=record.labels,
        background=record.background,
        decoder=record.decoder or Argmax(),
        encoder=model.encoder,
        layers=model.layers,
        network=model.network,
        bfloat16=record.bits == "bfloat16",
        per_speaker=record.method.head.per_speaker,
    )


def _as_it_is(model: speechbrain.SpeechBrainDiarizer) -> Diarizer:
    """Take a model of SpeechBrain's, which says the likeliest label of each frame."""
    background = next((one for one in model.labels if one in BACKGROUND), None)
    return Diarizer(
        name=model.name,
        identity=model.identity,
        labels=model.labels,
        background=background,
        decoder=Argmax(),
        encoder=model,
        layers=range(1),
        network=None,
    )
