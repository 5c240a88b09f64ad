"""Recognition: checkpoints that were trained to transcribe, here or elsewhere, used as they are. CTC and Whisper."""

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sibboleth.errors import InvalidInput, MissingExtra, SibbolethError
from sibboleth.models.encoders import box, identify
from sibboleth.models.recognition import tokenizer
from sibboleth.models.recognition.recogniser import Recogniser, Transcript
from sibboleth.study import EncoderSettings

__all__ = ["Recogniser", "Transcript", "load"]

VERSION = 1
"""Raised when the texts that recognisers produce change; it is part of every identity."""


def load(settings: EncoderSettings, language: str | None = None, *, trust: bool = False) -> Recogniser:
    """Find a recogniser: a folder, or OWNER/NAME or OWNER/NAME@REVISION of the hub, fetching what is not cached.

    Its weights are loaded when they are first needed. `language` is what a recogniser of many languages hears. What
    `sibboleth train` has saved may name a Python function as its encoder, run only where you `trust` it. Raises
    `SibbolethError` saying what to do where there is no such checkpoint, or it is no recogniser of a known family.
    """
    name = settings.name
    if not all(importlib.util.find_spec(package) for package in ("torch", "transformers")):
        raise MissingExtra(f"recogniser {name!r}", "models")
    if "/" not in name and not Path(name).is_dir():
        encoder = name == "logmel" or name in box.names() or name.startswith(("python:", "untrained:"))
        raise InvalidInput(
            f"recogniser {name!r}: {'is an encoder and cannot transcribe' if encoder else 'no such folder'}; give a "
            "folder with a CTC checkpoint or a Whisper, one that `sibboleth train` has saved, or one of the hub as "
            "OWNER/NAME or OWNER/NAME@REVISION"
        )
    from sibboleth.models.recognition import trained

    if trained.is_one(Path(name)):
        return trained.load(settings, language, VERSION, trust=trust)
    return _loaded(settings, language)


def _loaded(settings: EncoderSettings, language: str | None) -> Recogniser:
    from sibboleth.models.encoders import checkpoint
    from sibboleth.models.recognition import ctc, whisper

    name = settings.name
    files = (*tokenizer.FILES, *([] if language is None else [ctc.ADAPTER.format(language)]))
    folder = checkpoint.locate(name, files, _complete(language))
    found = checkpoint.of_frames(settings, folder)
    words = tokenizer.load(name, folder)
    generation = _json(folder / tokenizer.GENERATION)
    own = {item.name: getattr(found, item.name) for item in dataclasses.fields(found)}
    if found.config["model_type"] == "whisper":
        code = whisper.choose(name, generation, language)
        identity = _identity(found.identity, folder, files, code)
        generator = whisper.Generator(**own | {"identity": identity, "spoken": code})
        return whisper.Whisper(
            name=name,
            identity=identity,
            rate=found.rate,
            notes=found.notes + _whisper_notes(generation, code),
            generator=generator,
            tokenizer=words,
        )
    ctc.require_ctc(name, words)
    adapter = ctc.choose(name, folder, words, language)
    identity = _identity(found.identity, folder, files, adapter)
    stride = ctc.stride(found.config, found.stride or 1)
    more = {"identity": identity, "layers": 1, "dim": 1, "stride": stride, "adapter": adapter}
    tokens = ctc.Tokens(**own | more)
    return ctc.Ctc(
        name=name,
        identity=identity,
        rate=found.rate,
        notes=found.notes + _ctc_notes(found.preprocessor),
        tokens=tokens,
        tokenizer=words,
    )


def _complete(language: str | None) -> Callable[[Path], bool]:
    """Return what says whether a folder in the hub's cache has all of a recogniser's files."""

    def complete(folder: Path) -> bool:
        from sibboleth.models.encoders import hub

        vocabulary = any((folder / file).is_file() for file in tokenizer.VOCABULARIES)
        whisper = _json(folder / "config.json").get("model_type") == "whisper"
        rest = not whisper or (folder / tokenizer.GENERATION).is_file()
        adapted = whisper or language is None or (folder / f"adapter.{language}.safetensors").is_file()
        return hub.preprocesses(folder) and vocabulary and rest and adapted

    return complete


def _identity(encoder: str, folder: Path, files: tuple[str, ...], language: str | None) -> str:
    from sibboleth.models.encoders.checkpoint import digest

    written = {file: digest(folder / file) for file in files if (folder / file).is_file()}
    return identify(recogniser=VERSION, encoder=encoder, files=written, language=language)


def _whisper_notes(generation: dict[str, Any], language: str | None) -> tuple[str, ...]:
    if language is not None or not generation.get("is_multilingual", True):
        return ()
    return ("it finds out the language of each utterance by itself, and may be wrong; --language says it",)


def _ctc_notes(preprocessor: Any) -> tuple[str, ...]:
    if not str(preprocessor.get("processor_class", "")).endswith("WithLM"):
        return ()
    return ("it comes with a language model, which is not used: decoding is greedy",)


def _json(file: Path) -> dict[str, Any]:
    """Read a file's object, which is empty where there is none."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SibbolethError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise SibbolethError(f"{file}: must hold a JSON object, not a {type(content).__name__}")
    return content
