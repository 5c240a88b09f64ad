"""What an encoder is: audio in, hidden states of all layers out."""

import contextlib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from sibboleth.errors import SibbolethError

Audio = npt.NDArray[np.float32]
"""Mono samples `[sample]` at the encoder's rate, full scale at 1."""
HiddenStates = npt.NDArray[np.float32]
"""`[layer, frame, dim]`."""
Kind = Literal["control", "checkpoint", "callable"]
Pooling = Literal["mean", "mean+std"]

VERSION = 2
"""Raised when the numbers that encoders produce change; it is part of every identity."""

FRAMES_PER_SECOND = 100.0
"""Of an encoder that does not say how far apart its frames are."""
COPIES = 4
"""How many times as much as the hidden states of an utterance is held while it is encoded."""
WORKING_BYTES = 16 * 2**20
"""Held besides, however short it is: pieces of the front end, and what the allocator keeps."""

WINDOW = 30.0
"""Seconds. A longer utterance is encoded in overlapping windows, none above this."""
Precision = Literal["float32", "bfloat16"]


class EncodingError(SibbolethError):
    """Audio that an encoder cannot encode; the utterance is left out and the others go on."""


@dataclass(frozen=True, kw_only=True)
class Encoder(ABC):
    """Audio to hidden states, and what is known about it before anything is encoded."""

    name: str
    """As the study writes it."""
    identity: str
    """SHA-256 of all that determines its numbers: weights, configuration, preprocessing. Never of a name."""
    kind: Kind
    rate: int
    """Sampling rate of the audio it takes, in Hz."""
    layers: int
    """Number of hidden states: the input of the first layer, and the output of each."""
    dim: int
    """Size of one frame of one layer."""
    stride: int | None = None
    """Samples from one frame to the next, if that is a fixed number."""
    frames: bool = True
    """Whether it gives frames; if not, its only layer has one, the embedding of the utterance: `[1, 1, dim]`."""
    precision: Precision = "float32"
    """Of its arithmetic; what it returns is float32."""
    default_pooling: Pooling = "mean"
    """Statistics over time that a probe is given where the study does not say."""
    language: str | None = None
    """Language it was pre-trained on, as far as the study says."""
    fine_tuned: bool = False
    """Whether it was trained with labels (transcripts among them), as far as its files say."""
    labels: tuple[str, ...] = ()
    """Of a whole model, whose only layer is what it says of every frame: the labels that its numbers are logits of."""
    notes: tuple[str, ...] = ()
    """What a reader of its results should know."""

    def prepare(self) -> None:  # noqa: B027 - most encoders have nothing to prepare
        """Load weights; `hidden_states` does so too, but an error here concerns the encoder and no utterance."""

    @abstractmethod
    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Encode one utterance `[sample]` of at most `WINDOW` seconds, all layers in one pass.

        Audio shorter than one frame is padded with zeros to one. Raises `EncodingError` where it cannot.
        """

    def plainly(self, audio: Audio) -> HiddenStates:
        """Encode one utterance in the plainest way there is, slowly perhaps: what every other way is held against."""
        return self.hidden_states(audio)

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        """Encode several utterances; each as if it were alone, up to rounding (1e-5 of its norm in float32).

        An encoder that pads them pads to `samples`, or to the longest.
        """
        return [self.hidden_states(audio) for audio in several]

    def for_recording(self, blocks: Iterable[Audio]) -> Self:
        """Return an encoder for windows of one recording, which knows what depends on all of it.

        `blocks` are the whole recording in order; they are only iterated where something is needed of them.
        """
        return self

    @contextlib.contextmanager
    def side_by_side(self) -> Iterator[int]:
        """Make ready to encode in several threads, and say in how many; 1 where that is unsafe or gains nothing."""
        yield 1

    def enter_thread(self) -> None:  # noqa: B027 - most encoders have nothing to do
        """Make ready one of the threads that `side_by_side` is for; called in it."""

    def working_bytes(self, seconds: float) -> int:
        """Estimate what encoding one utterance of so many seconds takes at its peak, beside the weights; rather much.

        That is the audio, and hidden states as the encoder makes them, as they are returned, and in its layers.
        """
        per_second = self.rate / self.stride if self.stride else FRAMES_PER_SECOND
        states = self.layers * (seconds * per_second + 1) * self.dim * 4
        return int(COPIES * states + 2 * seconds * self.rate * 4) + WORKING_BYTES

    @property
    def batch_seconds(self) -> float:
        """Seconds of audio that a batch should hold; 0 where utterances are best encoded one at a time."""
        return 0.0


def identify(**parts: object) -> str:
    """Hash named parts (JSON values) into an encoder's identity."""
    text = json.dumps({"encoding": VERSION, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def lengthened(audio: Audio, samples: int) -> Audio:
    """Pad with zeros at the end to at least `samples`."""
    missing = samples - len(audio)
    return audio if missing <= 0 else np.pad(audio, (0, missing))
