"""Whisper: text is generated from log-mel spectrograms of 30 s, each utterance alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sibboleth.errors import InvalidInput, SibbolethError
from sibboleth.models import encoding
from sibboleth.models.encoders import WINDOW, Audio, EncodingError
from sibboleth.models.encoders.checkpoint import Checkpoint
from sibboleth.models.encoders.transformer import quiet
from sibboleth.models.encoding import Recording
from sibboleth.models.recognition.recogniser import Recogniser, Transcript

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GREEDY = {"do_sample": False, "num_beams": 1, "temperature": 0.0, "condition_on_prev_tokens": False}
"""The likeliest token at every step; no second attempt at a higher temperature, which would be drawn by chance."""


@dataclass(frozen=True, kw_only=True)
class Generator(Checkpoint):
    """A whole Whisper, encoder and decoder."""

    spoken: str | None = None
    """Code of the language that is spoken; none lets the model find out, utterance by utterance."""

    def build(self) -> "PreTrainedModel":
        """Load the model with its decoder; raises `SibbolethError` where it has none."""
        from transformers import AutoModelForSpeechSeq2Seq

        model, gaps = self.loaded(AutoModelForSpeechSeq2Seq)
        if any(gap.startswith(("model.decoder.", "proj_out.")) for gap in gaps):
            raise SibbolethError(
                f"recogniser {self.name!r}: has no decoder, so it is an encoder and cannot transcribe. Give a whole "
                "Whisper, e.g. openai/whisper-small"
            )
        self.require_none(gaps)
        return model

    def tokens(self, audio: Audio) -> list[int]:
        """Generate tokens; audio above 30 s in transformers' way, window by window from where the last text ended."""
        import torch

        long = len(audio) > WINDOW * self.rate
        model: Any = self._model
        if long and not hasattr(model.generation_config, "no_timestamps_token_id"):
            raise EncodingError(
                "it is longer than 30 s, which takes timestamps, and the checkpoint's generation_config.json has none; "
                "cut it, or put the generation_config.json of the Whisper that it was trained from beside its weights"
            )
        whole = {"truncation": False, "padding": "longest", "return_attention_mask": True} if long else {}
        inputs = self._extractor(audio, sampling_rate=self.rate, return_tensors="pt", **whole)
        more = {"attention_mask": inputs.attention_mask.to(model.device)} if long else {}
        full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), full_precision:
            made = model.generate(
                self._placed(inputs.input_features), return_timestamps=long, **more, **self._asked(model), **GREEDY
            )
        numbers: list[int] = made[0].tolist()
        return numbers

    def _asked(self, model: Any) -> dict[str, str]:
        """Return what a model of many languages is asked; one of English alone takes no question."""
        asked = {} if self.spoken is None else {"language": self.spoken}
        known = model.generation_config
        many = getattr(known, "is_multilingual", True) and hasattr(known, "task_to_id")
        return {"task": "transcribe", **asked} if many else {}


@dataclass(frozen=True, kw_only=True)
class Whisper(Recogniser):
    """Greedy decoding of a Whisper."""

    generator: Generator = field(repr=False)
    tokenizer: Any = field(repr=False)

    def prepare(self) -> None:
        """Load the weights; raises `SibbolethError` where there is no decoder among them."""
        self.generator.prepare()

    def heard(self, audio: Audio) -> str:
        """Transcribe samples; raises `EncodingError` for more than 30 s where the checkpoint has no timestamps."""
        with quiet():
            self.prepare()
            return self._said(audio)

    def transcripts(self, recordings: Sequence[Recording]) -> Iterator[Transcript]:
        """Transcribe recordings in their order."""
        with quiet():
            self.prepare()
            yield from encoding.side_by_side(self.generator, self._transcript, recordings)

    def _said(self, audio: Audio) -> str:
        return str(self.tokenizer.decode(self.generator.tokens(audio), skip_special_tokens=True)).strip()

    def _transcript(self, recording: Recording) -> Transcript:
        try:
            return Transcript(self._said(recording.read(self.rate)))
        except Exception as error:  # whatever one utterance does to a model must not lose the others
            text = str(error) if isinstance(error, SibbolethError) else f"{type(error).__name__}: {error}"
            return Transcript(None, f"recogniser {self.name!r} fails on it: {text}")


def choose(name: str, generation: dict[str, Any], language: str | None) -> str | None:
    """Return the code of a language by the checkpoint's generation_config.json; it may be given by its English name.

    Raises `InvalidInput` where the checkpoint does not know it.
    """
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    if language is None:
        return None
    asked = language.strip().lower()
    code = TO_LANGUAGE_CODE.get(asked, asked)
    if not generation.get("is_multilingual", True):
        if code != "en":
            raise InvalidInput(
                f"recogniser {name!r}: hears English alone, and no {language!r}; its sibling without .en hears many"
            )
        return None
    known = sorted(token.strip("<|>") for token in generation.get("lang_to_id", {}))
    if not known:
        raise InvalidInput(
            f"recogniser {name!r}: its files do not say which languages it knows, so none can be asked for; put the "
            "generation_config.json of the Whisper that it was trained from beside its weights, or leave --language out"
        )
    if code not in known:
        raise InvalidInput(f"recogniser {name!r}: does not know the language {language!r}; it knows {', '.join(known)}")
    return code
