"""`untrained:ARCHITECTURE`: a real architecture with random weights, the control for what training adds."""

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import arithmetic
from sibboleth.models.encoders.contract import identify
from sibboleth.models.encoders.transformer import Configuration, Transformer, hop, size
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Untrained(Transformer):
    """Random weights, drawn as transformers initialises the architecture; equal seeds, equal weights."""

    seed: int

    def build(self) -> "PreTrainedModel":
        """Draw the weights; the caller keeps the global random state."""
        import torch

        torch.manual_seed(self.seed)
        return drawn(self.config)


def drawn(config: Configuration) -> "PreTrainedModel":
    """Make the model that a configuration describes, with random weights."""
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    options = dict(config)
    made = AutoConfig.for_model(options.pop("model_type"), **options)
    if made.model_type == "whisper":
        return WhisperEncoder(made)  # type: ignore[arg-type]
    model: PreTrainedModel = AutoModel.from_config(made, dtype=torch.float32)  # type: ignore[no-untyped-call]
    return model


def untrained(settings: EncoderSettings) -> Untrained:
    """Make an untrained encoder of a bundled architecture; raises `SibbolethError` for an unknown one."""
    name = settings.name
    architecture = name.removeprefix("untrained:")
    known = architectures()
    if architecture not in known:
        raise SibbolethError(f"encoder {name!r}: no such architecture; there are: {', '.join(known)}")
    config, preprocessor = known[architecture]["config"], known[architecture]["preprocessor"]
    layers, dim = size(config)
    precision = arithmetic.precision(settings)
    determined = {
        "config": config,
        "preprocessor": preprocessor,
        "precision": precision,
        "seed": settings.seed,
        # The same seed draws other weights with another torch or another initialisation.
        "versions": {package: importlib.metadata.version(package) for package in ("torch", "transformers")},
    }
    return Untrained(
        name=name,
        identity=identify(encoder="untrained", **determined),
        kind="control",
        rate=preprocessor["sampling_rate"],
        layers=layers,
        dim=dim,
        stride=hop(config),
        precision=precision,
        language=settings.language,
        notes=arithmetic.remark(precision),
        config=config,
        preprocessor=preprocessor,
        seed=settings.seed,
    )


@cache
def architectures() -> Mapping[str, Any]:
    """Return the bundled architectures: name to `config` and `preprocessor`, in the files' own words."""
    file = resources.files("sibboleth.models.encoders") / "architectures.json"
    known: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return known
