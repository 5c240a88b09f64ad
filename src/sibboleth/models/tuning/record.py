"""`sibboleth.json`: what a folder with a trained model says about it."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sibboleth.errors import SibbolethError
from sibboleth.methods import MethodSettings
from sibboleth.models.decoding.decoders import Decoder
from sibboleth.settings import Settings
from sibboleth.targets import Kind

FILE = "sibboleth.json"
FORMAT: Literal[1] = 1


class EncoderRecord(Settings):
    """The encoder that was trained, or that the head hears."""

    name: str
    """As the study wrote it."""
    identity: str
    """Content hash of the whole encoder before it was trained."""
    language: str | None
    rate: int
    stride: int | None = None
    """Samples from one frame to the next, where that is fixed."""
    dim: int
    whole: int
    """Transformer layers that it had."""
    layers: int
    """Those that are kept: the head hears that hidden state."""
    lowest: int
    """Hidden state above which it was trained, or from which on layers are mixed."""
    pooling: Literal["mean", "mean+std"]
    precision: Literal["float32", "bfloat16"]
    family: str | None
    """Its `model_type`; none where transformers does not know it."""
    copied: bool
    """Whether it lies in the folder; if not it is loaded by its name."""


class StageRecord(Settings):
    """One training, and what dev chose."""

    domain: str
    utterances: int
    speakers: int
    hours: float
    dev_utterances: int
    dev_speakers: int
    epochs: int
    """Epochs taken."""
    epoch: int
    """The one that dev chose."""
    learning_rate: float | None = None
    """The one that dev chose; a second stage goes on with that of the first."""
    dev_loss: float | None
    dev: float | None
    """The main metric of that epoch on dev."""


class ScoreRecord(Settings):
    """A cross-validated score of the same encoder, method and source in a study's run."""

    regime: str
    domain: str
    metric: str
    estimate: float | None
    low: float | None
    high: float | None
    utterances: int
    speakers: int


class ModelRecord(Settings):
    """A trained model."""

    format: Literal[1] = FORMAT
    name: str
    kind: Kind
    target: str
    labels: tuple[str, ...]
    """In the order of the head's outputs; none where it gives a number or a text."""
    characters: str = ""
    """That it writes, in the order of the head's outputs behind the blank, where it transcribes."""
    normalisation: str | None = None
    """Rule of the texts that it learnt to write."""
    background: str | None = None
    """Label of what no segment covers, where it makes segments and knows such a label."""
    decoder: Decoder | None = None
    """How it makes segments of frames, as dev chose."""
    label_seconds: dict[str, float] = {}
    """Training seconds of each label, of all stages, where it makes segments."""
    method: MethodSettings
    """As it was trained: sizes chosen, training settings filled in."""
    encoder: EncoderRecord
    preprocessing: dict[str, Any]
    """What is done to audio before the encoder."""
    bits: Literal["float32", "bfloat16"]
    """Of the matrix products that were trained."""
    trained: dict[str, int]
    """Number of trained parameters of each part."""
    total: int
    """Parameters in all."""
    column: str
    """Whose values are the domains."""
    stages: tuple[StageRecord, ...]
    metric: str
    scores: tuple[ScoreRecord, ...]
    confidence: float
    """Of their intervals."""
    languages: tuple[str, ...]
    corpora: tuple[dict[str, Any], ...]
    label_counts: dict[str, int]
    """Training utterances of each label, of all stages."""
    seed: int
    study: dict[str, Any]
    fingerprint: str
    """Of all that determines the weights."""
    versions: dict[str, str]

    @property
    def from_audio(self) -> bool:
        """Whether everything below the trained layers was computed anew while training, and not read from a cache."""
        method = self.method
        assert method.training is not None
        return method.adapts and (method.train == "encoder" or method.training.augmentation.changes_audio)


def read(folder: Path) -> ModelRecord:
    """Read it; raises `SibbolethError` where the folder is none of a trained model, or of a newer sibboleth."""
    file = folder / FILE
    if not folder.is_dir():
        raise SibbolethError(f"{folder}: no such folder; give the folder that `sibboleth train` has written")
    if not file.is_file():
        raise SibbolethError(f"{folder}: not a trained model (it has no {FILE}); `sibboleth train` writes one")
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SibbolethError(f"{file}: cannot be read as JSON ({error})") from None
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise SibbolethError(f"{file}: written by a newer sibboleth (format {found}); update sibboleth")
    try:
        return ModelRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SibbolethError(f"{file}: is not what `sibboleth train` writes: {where}: {first['msg']}") from None


def hub_name(name: str) -> str | None:
    """Return the name that an encoder has on the Hugging Face hub; none for one that has none there."""
    repository = name.partition("@")[0]
    elsewhere = name.startswith((".", "/", "~", "untrained:", "python:")) or Path(name).exists()
    return repository if repository.count("/") == 1 and not elsewhere else None
