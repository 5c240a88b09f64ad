"""Checkpoints on disk or on the Hugging Face hub, identified by the bytes of their files."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibboleth import upstreams
from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import arithmetic, box, hub, utterance
from sibboleth.models.encoders.contract import identify
from sibboleth.models.encoders.transformer import FAMILIES, Configuration, Transformer, hop, size
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RATE = 16_000
"""Hz, where a preprocessor does not say."""
ADAPTER = "adapter_config.json"
"""What makes transformers put peft's updates, which no identity would know of, on top of weights."""
HARMLESS = ("masked_spec_embed", "decoder.", "adapter.", "intermediate_ffn.")
"""Weights that no hidden state depends on, by the end or the start of their name."""
LABELLED = (
    "ForCTC",
    "ForSequenceClassification",
    "ForAudioFrameClassification",
    "ForXVector",
    "ForAudioClassification",
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Transformer):
    """A pre-trained model in a folder."""

    folder: Path

    def build(self) -> "PreTrainedModel":
        """Load the weights in float32; raises `SibbolethError` where some of the encoder's are not in the file."""
        from transformers import AutoModel

        model, gaps = self.loaded(AutoModel)
        self.require_none(gaps)
        encoder: PreTrainedModel = model.get_encoder() if self.config["model_type"] == "whisper" else model
        return encoder

    def loaded(self, kind: Any) -> "tuple[PreTrainedModel, list[str]]":
        """Load a kind of model, one of transformers' `AutoModel...`, in float32; returns also the weights it lacks.

        Raises `SibbolethError` where the file cannot be read or is a pickle that could run code.
        """
        import torch

        try:
            model, report = kind.from_pretrained(
                self.folder,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:  # torch, safetensors and transformers raise whatever their parsers raise
            raise SibbolethError(f"encoder {self.name!r}: {_unreadable(self.folder, error)}") from None
        gaps = [key for key in report["missing_keys"] if not key.startswith(HARMLESS) and not key.endswith(HARMLESS)]
        return model, sorted(gaps + [str(key[0]) for key in report["mismatched_keys"]])

    def require_none(self, gaps: Sequence[str]) -> None:
        """Raise `SibbolethError` where the file lacks weights."""
        if gaps:
            raise SibbolethError(
                f"encoder {self.name!r}: {len(gaps)} weights of the encoder are not in {self.folder} or have another "
                f"shape ({', '.join(gaps[:3])}, ...); they would be random. Save the model again with "
                "save_pretrained"
            )


def checkpoint(settings: EncoderSettings) -> Transformer:
    """Find one of the box, the checkpoint `name`, `name@revision` or a folder, fetching files that are not cached.

    Raises `SibbolethError` where it cannot be found, is not a speech encoder of a known family, or holds its weights
    only as a pickle that would run code.
    """
    found = of_frames(settings, locate(settings.name))
    folder = found.folder
    if not utterance.is_one(folder):
        return found
    if settings.pooling == "mean+std":
        raise SibbolethError(
            f"encoder {found.name!r}: gives one embedding per utterance, which has no standard deviation over time; "
            "leave `pooling` out"
        )
    return utterance.utterance_encoder(found, folder, {file: digest(folder / file) for file in utterance.FILES})


def of_frames(settings: EncoderSettings, folder: Path) -> Checkpoint:
    """Return the checkpoint in a folder, whatever else stands there; raises as `checkpoint` does."""
    name = settings.name
    config = configuration(name, folder)
    if (folder / ADAPTER).is_file():
        raise SibbolethError(
            f"encoder {name!r}: {folder / ADAPTER} puts an adapter on top of the weights; merge it (peft's "
            "merge_and_unload, then save_pretrained), or remove it to use the encoder as it was"
        )
    precision = arithmetic.precision(settings)
    weights = hub.weights(folder)
    if not weights:
        raise SibbolethError(
            f"encoder {name!r}: {folder} has no weights, or not all shards of them; one of {', '.join(hub.WEIGHTS)} is "
            "needed. Flax, TensorFlow and fairseq checkpoints have to be converted to transformers first"
        )
    preprocessor, notes = preprocessing(folder, config)
    architectures = tuple(map(str, config.get("architectures") or ()))
    labelled = config["model_type"] == "whisper" or any(a.endswith(LABELLED) for a in architectures)
    if labelled:
        notes += (f"it was trained with labels ({', '.join(architectures) or config['model_type']})",)
    layers, dim = size(config)
    files = {file.name: digest(file) for file in (folder / "config.json", *weights)}
    return Checkpoint(
        name=name,
        identity=identify(encoder="transformers-5", files=files, preprocessor=preprocessor, precision=precision),
        kind="checkpoint",
        rate=_rate(name, preprocessor),
        layers=layers,
        dim=dim,
        stride=hop(config),
        precision=precision,
        language=settings.language or (box.language(name) if name in box.names() else None),
        fine_tuned=labelled,
        notes=notes + arithmetic.remark(precision),
        config=config,
        preprocessor=preprocessor,
        folder=folder,
    )


def locate(name: str, more: Sequence[str] = (), complete: Callable[[Path], bool] = hub.preprocesses) -> Path:
    """Return the folder with the checkpoint's files; of the hub also `more` of them, fetched unless it is `complete`.

    Raises `SibbolethError` where there is no such folder or checkpoint.
    """
    if name in box.names():
        return box.FOLDER / name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    repository, _, revision = name.partition("@")
    if name.startswith((".", "/", "~")) or repository.count("/") > 1:
        raise SibbolethError(f"encoder {name!r}: no such folder")
    if "/" not in repository:
        raise SibbolethError(
            f"encoder {name!r}: no such encoder. Give one of the box ({', '.join(box.names())}), `logmel`, "
            "`untrained:ARCHITECTURE`, a checkpoint as OWNER/NAME or OWNER/NAME@REVISION, a folder, or "
            f"python:FILE.py:FUNCTION. Of s3prl's upstreams it is none{upstreams.nearest(name)}"
        )
    return hub.snapshot(name, repository, revision or None, more, complete)


def configuration(name: str, folder: Path) -> Configuration:
    """Return what config.json says; raises `SibbolethError` where it is none of a known family."""
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise SibbolethError(f"encoder {name!r}: the folder has no config.json; save the model with save_pretrained")
    written = _json(folder / "config.json")
    family = written.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise SibbolethError(
            f"encoder {name!r}: model type {family!r} is not a speech encoder that sibboleth knows; it knows "
            f"{', '.join(FAMILIES)}. Wrap any other model in a Python function: python:FILE.py:FUNCTION"
        )
    if _names_kernel(written):
        raise SibbolethError(
            f"{folder / 'config.json'}: asks for code of the hub to compute attention with (attn_implementation), "
            "which is not run; remove that line"
        )
    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        ).to_dict()
        size(config), hop(config)
    except Exception as error:  # transformers raises whatever its checks of single fields raise
        told = " ".join(str(error).split()) or type(error).__name__
        raise SibbolethError(f"{folder / 'config.json'}: is not the configuration of a {family} ({told})") from None
    return config


def _names_kernel(written: Any) -> bool:
    """Say whether a configuration, or one inside it, names a kernel of the hub: OWNER/NAME, which transformers runs."""
    if isinstance(written, list):
        return any(map(_names_kernel, written))
    if not isinstance(written, dict):
        return False
    asked = [value for key, value in written.items() if str(key).endswith("_implementation")]
    return any("/" in json.dumps(value) for value in asked) or any(map(_names_kernel, written.values()))


def preprocessing(folder: Path, config: Configuration) -> tuple[Configuration, tuple[str, ...]]:
    """Return what is written about preprocessing, alone or inside a processor's file, and a note where nothing is."""
    alone, together = (folder / file for file in hub.PREPROCESSORS)
    if alone.is_file():
        return _json(alone), ()
    inside = _json(together).get("feature_extractor") if together.is_file() else None
    if isinstance(inside, dict):
        return inside, ()
    return {}, (f"no preprocessor_config.json: the defaults of {config['model_type']} are used",)


def _json(file: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SibbolethError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise SibbolethError(f"{file}: must hold a JSON object, not a {type(content).__name__}")
    return content


def _rate(name: str, preprocessor: Configuration) -> int:
    """Return the sampling rate that the preprocessor asks for."""
    rate = preprocessor.get("sampling_rate", RATE)
    if not isinstance(rate, int) or isinstance(rate, bool) or rate < 1:
        raise SibbolethError(
            f"encoder {name!r}: sampling_rate in its preprocessor's file is {rate!r}; it must be a number of Hz"
        )
    return rate


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unreadable(folder: Path, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "weights_only" in str(error) or "Weights only" in str(error) or "unpickl" in str(error).lower():
        return (
            f"its weights in {folder} are a pickle that holds more than weights; loading it could run any code, so it "
            "is refused. Convert it to safetensors where you trust it: model.save_pretrained(folder)"
        )
    return f"its weights in {folder} cannot be loaded: {reason}"
