"""What an encoder is: audio in, hidden states of all layers out."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sibboleth.errors import SibbolethError

Audio = npt.NDArray[np.float32]
"""Mono samples `[sample]` at the encoder's rate, full scale at 1."""
HiddenStates = npt.NDArray[np.float32]
"""`[layer, frame, dim]`."""
Kind = Literal["control", "checkpoint", "callable"]
Pooling = Literal["mean", "mean+std"]

VERSION = 1
"""Raised when the numbers that encoders produce change; it is part of every identity."""

WINDOW = 30.0
"""Seconds. A longer utterance is encoded in consecutive windows of equal length, none above this."""


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
    default_pooling: Pooling = "mean"
    """Statistics over time that a probe is given where the study does not say."""
    language: str | None = None
    """Language it was pre-trained on, as far as the study says."""
    fine_tuned: bool = False
    """Whether it was trained with labels (transcripts among them), as far as its files say."""
    notes: tuple[str, ...] = ()
    """What a reader of its results should know."""

    def prepare(self) -> None:  # noqa: B027 - most encoders have nothing to prepare
        """Load weights; `hidden_states` does so too, but an error here concerns the encoder and no utterance."""

    @abstractmethod
    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Encode one utterance `[sample]` of at most `WINDOW` seconds, all layers in one pass.

        Audio shorter than one frame is padded with zeros to one. Raises `EncodingError` where it cannot.
        """


def identify(**parts: object) -> str:
    """Hash named parts (JSON values) into an encoder's identity."""
    text = json.dumps({"encoding": VERSION, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def lengthened(audio: Audio, samples: int) -> Audio:
    """Pad with zeros at the end to at least `samples`."""
    missing = samples - len(audio)
    return audio if missing <= 0 else np.pad(audio, (0, missing))
