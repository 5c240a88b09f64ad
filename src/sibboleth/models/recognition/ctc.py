"""CTC recognisers: the likeliest token of every frame, then the checkpoint's own tokenizer."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import encoding
from sibboleth.models.encoders import WINDOW, Audio, Encoder, HiddenStates
from sibboleth.models.encoders.checkpoint import Checkpoint
from sibboleth.models.encoding import Recording
from sibboleth.models.recognition.recogniser import Recogniser, Transcript

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ADAPTER = "adapter.{}.safetensors"
"""File with what a checkpoint of many languages (MMS) has for one of them."""
SHOWN = 10
"""Languages that an error names."""


@dataclass(frozen=True, kw_only=True)
class Tokens(Checkpoint):
    """A CTC checkpoint as an encoder of one layer: the number of the likeliest token of every frame, `[1, frame, 1]`.

    So all that holds of encoding holds of it: company changes nothing, and windows of long audio join frame by frame.
    """

    adapter: str | None = None
    """Language whose weights are put in."""

    def build(self) -> "PreTrainedModel":
        """Load the model with its head; raises `SibbolethError` where it has none."""
        from transformers import AutoModelForCTC

        model: Any
        model, gaps = self.loaded(AutoModelForCTC)
        if any(gap.startswith("lm_head.") for gap in gaps):
            raise SibbolethError(
                f"recogniser {self.name!r}: has no CTC head, or none of its vocabulary's size, so it is an encoder and "
                "cannot transcribe. Give a checkpoint that was fine-tuned to transcribe, or train one: a study with "
                'kind = "transcription"'
            )
        self.require_none(gaps)
        if self.adapter is not None:
            self._adapt(model, self.adapter)
        encoder: PreTrainedModel = model.base_model
        encoder.lm_head = model.lm_head
        return encoder

    def batch(self, several: Sequence[Audio], samples: int | None = None) -> list[HiddenStates]:
        """Encode several utterances; one by one where an adapter's convolutions would see what is behind a row."""
        if self.config.get("add_adapter"):
            return [super(Tokens, self).batch([audio])[0] for audio in several]
        return super().batch(several, samples)

    def _states(self, inputs: Mapping[str, Any]) -> "Sequence[torch.Tensor]":
        model: Any = self._model
        logits = model.lm_head(model(**inputs).last_hidden_state).float()
        best = logits.argmax(-1, keepdim=True).float()
        return [best.masked_fill(~logits.isfinite().all(-1, keepdim=True), float("nan"))]

    def _adapt(self, model: Any, language: str) -> None:
        try:
            model.load_adapter(language, local_files_only=True)
        except Exception as error:  # torch, safetensors and transformers raise whatever their parsers raise
            told = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise SibbolethError(
                f"recogniser {self.name!r}: {ADAPTER.format(language)} in {self.folder}, its weights for this language,"
                f" cannot be loaded: {told}"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Ctc(Recogniser):
    """Greedy decoding of a CTC checkpoint, or of a model that was trained here."""

    tokens: Encoder = field(repr=False)
    """An encoder of one layer: the number of the likeliest token of every frame, `[1, frame, 1]`."""
    tokenizer: Any = field(repr=False)
    """Makes text of tokens: `decode`."""

    def prepare(self) -> None:
        """Load the weights; raises `SibbolethError` where there is no CTC head among them."""
        self.tokens.prepare()

    def heard(self, audio: Audio) -> str:
        """Transcribe samples; above 30 s the frames of overlapping windows are joined, then decoded together."""
        self.prepare()
        if len(audio) <= WINDOW * self.rate:
            parts = [self.tokens.hidden_states(audio)]
        else:
            parts = list(encoding.windows(self.tokens, lambda: iter([audio]), len(audio)))
        return self._text([part[0] for part in parts])

    def transcripts(self, recordings: Sequence[Recording]) -> Iterator[Transcript]:
        """Transcribe recordings in their order."""
        for one in encoding.encode(self.tokens, recordings, frames=(0,)):
            yield Transcript(None, one.failure) if one.failure else Transcript(self._text([one.frames[0]]))

    def _text(self, parts: Sequence[HiddenStates]) -> str:
        """Join repeats and drop blanks, in the tokenizer's way; `[frame, 1]` each."""
        numbers = [int(number) for part in parts for number in part[:, 0]]
        return str(self.tokenizer.decode(numbers)).strip()


def stride(config: Mapping[str, Any], hop: int) -> int:
    """Return the samples from one token to the next: an adapter behind the last layer makes them fewer."""
    if not config.get("add_adapter"):
        return hop
    return hop * int(config["adapter_stride"] ** config["num_adapter_layers"])


def require_ctc(name: str, tokenizer: Any) -> None:
    """Raise `SibbolethError` for a tokenizer that does not know of blanks and repeats."""
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2PhonemeCTCTokenizer

    if not isinstance(tokenizer, (Wav2Vec2CTCTokenizer, Wav2Vec2PhonemeCTCTokenizer)):
        raise SibbolethError(
            f"recogniser {name!r}: its tokenizer ({type(tokenizer).__name__}) is none of CTC; its tokenizer_config.json"
            ' must say "tokenizer_class": "Wav2Vec2CTCTokenizer"'
        )


def choose(name: str, folder: Path, tokenizer: Any, language: str | None) -> str | None:
    """Set a tokenizer of many languages to one; returns the language, none where the checkpoint has only its own.

    Raises `InvalidInput` for a language that it has not, for none where it has many, and for one where it has none.
    """
    vocabulary = getattr(tokenizer, "vocab", {})
    several = sorted(key for key, value in vocabulary.items() if isinstance(value, dict))
    if not several and language is None:
        return None
    if not several:
        raise InvalidInput(f"recogniser {name!r}: a CTC checkpoint writes what it was trained to; leave --language out")
    if language not in several:
        near = difflib.get_close_matches(language or "", several, SHOWN, 0.3) or several[:SHOWN]
        said = "which language does it hear?" if language is None else f"has no language {language!r};"
        raise InvalidInput(
            f"recogniser {name!r}: {said} Give one of its {len(several)} with --language: {', '.join(near)}, ..."
        )
    if not (folder / ADAPTER.format(language)).is_file():
        raise InvalidInput(
            f"recogniser {name!r}: {folder} has no {ADAPTER.format(language)}, its weights for this language; put it "
            "there, from where the checkpoint came from"
        )
    tokenizer.set_target_lang(language)
    return language
