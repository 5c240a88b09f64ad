"""Encoders: audio to hidden states of all layers. Controls, checkpoints and anybody's function alike."""

import importlib.util

from sibboleth.errors import MissingExtra, SibbolethError
from sibboleth.models.encoders.contract import (
    WINDOW,
    Audio,
    Encoder,
    EncodingError,
    HiddenStates,
    Kind,
    Pooling,
    Precision,
    identify,
)
from sibboleth.models.encoders.custom import check, custom
from sibboleth.models.encoders.logmel import logmel
from sibboleth.study import EncoderSettings

__all__ = [
    "WINDOW",
    "Audio",
    "Encoder",
    "EncodingError",
    "HiddenStates",
    "Kind",
    "Pooling",
    "Precision",
    "check",
    "identify",
    "load",
]


def load(settings: EncoderSettings) -> Encoder:
    """Make the encoder that the settings name; its weights are loaded when they are first needed.

    Raises `SibbolethError` saying what to do where there is no such encoder or it cannot be used, and `MissingExtra`
    where it needs torch and transformers and they are not installed.
    """
    name = settings.name
    if name == "logmel" or name.startswith("python:"):
        if settings.precision == "bfloat16":
            raise SibbolethError(f"encoder {name!r}: its precision cannot be chosen; leave `precision` out")
        return logmel(name, settings.language) if name == "logmel" else custom(name, settings.language)
    if not all(importlib.util.find_spec(package) for package in ("torch", "transformers")):
        raise MissingExtra(f"encoder {name!r}", "models")
    if name.startswith("untrained:"):
        from sibboleth.models.encoders.untrained import untrained

        return untrained(settings)
    from sibboleth.models.encoders import speechbrain
    from sibboleth.models.encoders.checkpoint import checkpoint

    return speechbrain.diarizer(settings) if speechbrain.is_one(name) else checkpoint(settings)
