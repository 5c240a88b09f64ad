"""Recognisers that `sibboleth train` has saved: an encoder, a head over its frames, and the characters it writes."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models.encoders import Audio, Encoder, HiddenStates, identify
from sibboleth.models.encoders.checkpoint import digest
from sibboleth.models.recognition.ctc import Ctc
from sibboleth.models.tuning import folder as folders
from sibboleth.models.tuning.ctc import BLANK
from sibboleth.models.tuning.network import TuningBatch
from sibboleth.models.tuning.record import FILE
from sibboleth.models.tuning.transcriber import Transcriber
from sibboleth.study import EncoderSettings


@dataclass(frozen=True)
class Characters:
    """What makes text of tokens: token 0 is the blank, and those from 1 on are characters."""

    known: str

    def decode(self, tokens: Sequence[int]) -> str:
        """Join repeats, drop blanks, and put single blanks between words."""
        before = (BLANK, *tokens)
        kept = [one for one, last in zip(tokens, before, strict=False) if one not in (BLANK, last)]
        return " ".join("".join(self.known[one - 1] for one in kept).split())


@dataclass(frozen=True, kw_only=True)
class Answering(Encoder):
    """An encoder with its head as an encoder of one layer: the likeliest token of every frame, `[1, frame, 1]`."""

    below: Encoder
    """Whose hidden states the head hears."""
    states: range
    """Which of them."""
    network: Transcriber = field(repr=False)
    bfloat16: bool
    """Whether the head was trained in bfloat16."""

    def prepare(self) -> None:
        """Load the weights."""
        self.below.prepare()

    def working_bytes(self, seconds: float) -> int:
        """Estimate what the encoder takes, beside which the answer is nothing."""
        return self.below.working_bytes(seconds)

    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Answer about one utterance of at most `WINDOW` seconds."""
        return self._answered(self.below.hidden_states(audio))

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        """Answer about several utterances of at most `WINDOW` seconds."""
        return [self._answered(one) for one in self.below.batch(several, samples)]

    def for_recording(self, blocks: Iterable[Audio]) -> Self:
        """Let the encoder know the recording."""
        return replace(self, below=self.below.for_recording(blocks))

    @contextlib.contextmanager
    def side_by_side(self) -> Iterator[int]:
        """Take as many threads as the encoder does."""
        with self.below.side_by_side() as threads:
            yield threads

    def enter_thread(self) -> None:
        """Compute with this thread alone."""
        self.below.enter_thread()

    @property
    def batch_seconds(self) -> float:
        """Batches pay where they pay for the encoder."""
        return self.below.batch_seconds

    @torch.inference_mode()
    def _answered(self, states: HiddenStates) -> HiddenStates:
        device = next(self.network.parameters()).device
        heard = torch.from_numpy(states[self.states.start : self.states.stop])[None]
        batch = TuningBatch(heard, torch.tensor([heard.shape[2]]), torch.zeros(1, 1), 0.0).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            ((logits, _),) = self.network.said(batch)
        logits = logits.float()
        best = logits.argmax(-1, keepdim=True).float().masked_fill(~logits.isfinite().all(-1, keepdim=True), torch.nan)
        return np.asarray(best.cpu().numpy())


def is_one(folder: Path) -> bool:
    """Say whether a folder is a trained model, or is to be one."""
    return (folder / FILE).is_file() or (folder / folders.STATE / "training.json").is_file()


def load(settings: EncoderSettings, language: str | None, version: int, *, trust: bool = False) -> Ctc:
    """Load the recogniser in a folder; its encoder, where that is a Python function, only where you `trust` its code.

    Raises `SibbolethError` where it is damaged or does not transcribe, and `InvalidInput` where it is asked for another
    language or precision than its own.
    """
    name, folder = settings.name, Path(settings.name)
    model = folders.opened(folder, trust=trust)
    record = model.record
    if record.kind != "transcription":
        verb = "diarize" if record.kind == "segmentation" else "predict"
        raise SibbolethError(f"{folder}: a model that does not transcribe; `sibboleth {verb} {folder} AUDIO` uses it")
    assert isinstance(model.network, Transcriber)
    if language is not None:
        raise InvalidInput(f"recogniser {name!r}: writes what it was trained to; leave --language out")
    if settings.precision not in ("float32", record.encoder.precision):
        raise InvalidInput(f"recogniser {name!r}: computes as it was trained; leave --precision out")
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    written = {path.relative_to(folder).as_posix(): digest(path) for path in files}
    found = model.encoder
    tokens = Answering(
        name=name,
        identity=identify(recogniser=version, trained=record.encoder.identity, files=written),
        kind=found.kind,
        rate=found.rate,
        layers=1,
        dim=1,
        stride=found.stride,
        precision=found.precision,
        below=found,
        states=model.layers,
        network=model.network,
        bfloat16=record.bits == "bfloat16",
    )
    rule = record.normalisation
    notes = (f"it writes texts as the rule {rule} leaves them: `sibboleth score --normalise {rule}` does so to both",)
    characters = Characters(record.characters)
    return Ctc(name=name, identity=tokens.identity, rate=found.rate, notes=notes, tokens=tokens, tokenizer=characters)
