"""SpeechBrain's models of emotion diarization, such as `speechbrain/emotion-diarization-wavlm-large`, as they are.

A folder (or checkpoint of the hub) in the layout of that model::

    hyperparams.yaml     settings, of which a few plain values are read; none of its tags is followed
    wav2vec2.ckpt        weights of a WavLM (or another family of transformers), behind `model.`
    model.ckpt           weights of one linear layer without bias over its last frames
    label_encoder.txt    lines such as 'a' => 0

What is computed is what `speechbrain.inference.diarization` says: the audio is brought to mean 0 and deviation 1, the
last hidden state, behind the encoder's final norm, is normed over all frames and numbers together (`output_norm`), then
comes the linear layer. A window of a long recording is normed by itself. The configuration of the encoder is that of
the checkpoint that hyperparams.yaml names as `wav2vec2_hub`, since the folder has none. The layout and the names of
weights are as the published files and code describe them; this has been tried on models made in that layout, and not on
the published weights. What does not fit raises, and then what SpeechBrain's own program says can be scored instead.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from sibboleth.errors import SibbolethError
from sibboleth.models.encoders import arithmetic, checkpoint, hub, untrained
from sibboleth.models.encoders.contract import WINDOW, Audio, Encoder, EncodingError, HiddenStates, identify, lengthened
from sibboleth.models.encoders.transformer import Configuration, frame_samples, hop
from sibboleth.study import EncoderSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SETTINGS, ENCODER, HEAD, LABELS = FILES = ("hyperparams.yaml", "wav2vec2.ckpt", "model.ckpt", "label_encoder.txt")
NAMES = {"a": "angry", "h": "happy", "n": "neutral", "s": "sad"}
"""What its letters stand for."""
INSTEAD = (
    "Score the RTTM that SpeechBrain's own program makes instead: `sibboleth score MODEL.rttm --reference MANIFEST`"
)
_LABEL = re.compile(r"'(.+)' => (\d+)")
_NORMS = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
"""Names of a convolution's weights before and after torch 2."""


class _Plain(yaml.SafeLoader):  # type: ignore[misc]
    """Reads mappings, lists and values, whatever tags they bear."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return node.value


_Plain.add_multi_constructor("!", _untagged)


@dataclass(frozen=True, kw_only=True)
class SpeechBrainDiarizer(Encoder):
    """A model as an encoder of one layer: what it says of every frame, a logit per label, `[1, frame, label]`."""

    folder: Path
    config: Configuration = field(repr=False)
    """Of its encoder."""
    normalises: bool
    """Whether the encoder wants audio of mean 0 and deviation 1."""
    output_norm: bool
    """Whether its last hidden state is normed over all frames and numbers together."""

    def prepare(self) -> None:
        """Load the weights; raises `SibbolethError` where they do not fit."""
        _ = self._model

    @torch.inference_mode()
    def hidden_states(self, audio: Audio) -> HiddenStates:
        """Say what holds in each frame of at most `WINDOW` seconds."""
        if len(audio) > WINDOW * self.rate:
            raise EncodingError(f"{len(audio) / self.rate:.1f} s is longer than the window of {WINDOW:g} s")
        model, head = self._model
        heard = torch.from_numpy(lengthened(audio, frame_samples(self.config)))[None].to(head.device)
        heard = heard - heard.mean()
        if self.normalises:
            heard = nn.functional.layer_norm(heard, heard.shape[1:])
        states: Tensor = model(heard).last_hidden_state
        if self.output_norm:
            states = nn.functional.layer_norm(states, states.shape[1:])
        return np.asarray((states @ head.T).cpu().numpy(), dtype=np.float32)

    @cached_property
    def _model(self) -> "tuple[PreTrainedModel, Tensor]":
        model = untrained.drawn(self.config)
        weights = _renamed(_weights(self.folder / ENCODER))
        try:
            gaps = model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise _unfit(self.folder / ENCODER, f"has other shapes ({str(error).splitlines()[-1].strip()})") from None
        missing = [one for one in gaps.missing_keys if not one.endswith(checkpoint.HARMLESS)]
        if missing or gaps.unexpected_keys:
            raise _unfit(
                self.folder / ENCODER, f"weights are missing or unknown: {(missing + gaps.unexpected_keys)[0]}"
            )
        several = list(_weights(self.folder / HEAD).values())
        shape = (len(self.labels), int(self.config["hidden_size"]))
        if [tuple(one.shape) for one in several] != [shape]:
            raise _unfit(self.folder / HEAD, f"does not hold one matrix {shape[0]} x {shape[1]} alone")
        head, device = several[0], arithmetic.device()
        model.to(device).eval()  # type: ignore[arg-type]
        return model, head.float().to(device)


def is_one(name: str) -> bool:
    """Say whether a name is that of a folder in this layout, or of one of SpeechBrain's checkpoints of the hub."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return all((folder / file).is_file() for file in (SETTINGS, LABELS))
    return name.startswith("speechbrain/")


def diarizer(settings: EncoderSettings) -> SpeechBrainDiarizer:
    """Find a model; its weights are loaded when they are first needed.

    Raises `SibbolethError` where it cannot be found, or is not in the layout.
    """
    name = settings.name
    folder = _located(name, FILES)
    if absent := [file for file in FILES if not (folder / file).is_file()]:
        raise _unfit(folder, f"has no {absent[0]}")
    told = _settings(folder / SETTINGS)
    labels = _labels(folder / LABELS)
    place = _located(str(_beside(folder, told["wav2vec2_hub"])), ("config.json", *hub.PREPROCESSORS))
    config = checkpoint.configuration(name, place)
    preprocessor, _ = checkpoint.preprocessing(place, config)
    files = {one.name: checkpoint.digest(one) for one in (*(folder / file for file in FILES), place / "config.json")}
    return SpeechBrainDiarizer(
        name=name,
        identity=identify(encoder="speechbrain-1", files=files, preprocessor=preprocessor),
        kind="checkpoint",
        rate=int(preprocessor.get("sampling_rate", checkpoint.RATE)),
        layers=1,
        dim=len(labels),
        stride=hop(config),
        language=settings.language,
        fine_tuned=True,
        notes=("it is a whole model with a head of its own; its only layer is what that says of each frame",),
        labels=labels,
        folder=folder,
        config=config,
        normalises=bool(preprocessor.get("do_normalize", True)),
        output_norm=bool(told["output_norm"]),
    )


def _located(name: str, wanted: tuple[str, ...]) -> Path:
    """Return the folder with some files, fetching what is not cached."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or name.startswith((".", "/", "~")):
        raise SibbolethError(f"encoder {name!r}: no such folder. {INSTEAD}")
    return hub.files(name, repository, revision or None, wanted)


def _beside(folder: Path, name: str) -> Path:
    """Return a folder that lies beside hyperparams.yaml under its whole path; a name of the hub as it is."""
    return folder / name if (folder / name).is_dir() else Path(name)


def _settings(file: Path) -> dict[str, Any]:
    """Read the few values that matter; raises `SibbolethError` for what the published model does not do."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Plain)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unfit(file, f"cannot be read as YAML ({' '.join(str(error).split())[:200]})") from None
    told = content if isinstance(content, dict) else {}
    encoder, norm = told.get("wav2vec2"), told.get("input_norm", {})
    if not isinstance(told.get("wav2vec2_hub"), str) or not isinstance(encoder, Mapping):
        raise _unfit(file, "does not say which encoder (wav2vec2_hub, wav2vec2)")
    for key in ("window_length", "stride"):
        if told.get(key) != 1:
            raise _unfit(file, f"{key} is {told.get(key)}, and only a model of single frames (1) is known")
    if not isinstance(norm, Mapping) or norm.get("norm_type", "sentence") != "sentence" or norm.get("std_norm"):
        raise _unfit(file, "input_norm is not that of each utterance's mean")
    return {"wav2vec2_hub": told["wav2vec2_hub"], "output_norm": encoder.get("output_norm", False)}


def _labels(file: Path) -> tuple[str, ...]:
    """Read which number is which label; letters are written out."""
    lines = file.read_text(encoding="utf-8").splitlines()
    ends = next((place for place, line in enumerate(lines) if line.startswith("=")), len(lines))
    found = {int(match[2]): match[1] for line in lines[:ends] if (match := _LABEL.fullmatch(line.strip()))}
    if len(found) < 2 or sorted(found) != list(range(len(found))):
        raise _unfit(file, "does not number labels from 0")
    return tuple(NAMES.get(found[number], found[number]) for number in range(len(found)))


def _weights(file: Path) -> dict[str, Tensor]:
    """Read weights, and nothing that could run code."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parser raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _unfit(file, f"cannot be loaded as weights alone ({reason})") from None
    if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
        raise _unfit(file, "is no table of weights")
    return dict(found)


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights the names that transformers has for them now."""
    found = {}
    for name, one in weights.items():
        *path, last = name.removeprefix("model.").split(".")
        convolved = path[-2:] == ["pos_conv_embed", "conv"]
        found[".".join([*path, _NORMS.get(last, last) if convolved else last])] = one
    return found


def _unfit(place: Path, why: str) -> SibbolethError:
    return SibbolethError(f"{place}: {why}; it is not in the layout that sibboleth knows. {INSTEAD}")
