"""What a recogniser is: audio in, text out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from sibboleth.models import samples
from sibboleth.models.encoders import Audio
from sibboleth.models.encoding import Recording


@dataclass(frozen=True)
class Transcript:
    """What came out of one recording."""

    text: str | None
    """What was said, as the recogniser writes it; empty where it hears no words."""
    failure: str | None = None
    """Why there is nothing."""


@dataclass(frozen=True, kw_only=True)
class Recogniser(ABC):
    """An already trained model that transcribes; `recognition.load` makes it."""

    name: str
    """As it was asked for."""
    identity: str
    """SHA-256 of all that determines its texts: weights, configuration, preprocessing, tokenizer, language."""
    rate: int
    """Sampling rate of the audio it takes, in Hz."""
    notes: tuple[str, ...] = ()
    """What a reader of its results should know."""

    @abstractmethod
    def prepare(self) -> None:
        """Load the weights; raises `SibbolethError` where they are not a recogniser's."""

    @abstractmethod
    def heard(self, audio: Audio) -> str:
        """Transcribe samples `[sample]` at its rate, of any length."""

    @abstractmethod
    def transcripts(self, recordings: Sequence[Recording]) -> Iterator[Transcript]:
        """Transcribe recordings in their order; one that fails has a failure, and the others go on."""

    def transcribe(self, audio: npt.ArrayLike, rate: int) -> str:
        """Transcribe audio `[sample]` or `[sample, channel]`, full scale at 1, of a rate in Hz.

        Raises `InvalidInput` for audio that is shorter than 0.1 s, not finite, or of another shape.
        """
        return self.heard(samples.mono(audio, rate, self.rate))
