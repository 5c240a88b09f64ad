"""The pre-training file: on which speech without labels, from which start, by which objective, for how long."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sibboleth import settings
from sibboleth.augmentation import AugmentationSettings
from sibboleth.settings import NAME, Settings
from sibboleth.study import CorpusSettings


class SpeechSettings(CorpusSettings):
    """One manifest of speech; labels are not looked at."""

    hours: float | None = Field(None, gt=0)
    """Use so many hours of it, drawn by the seed; less is always a part of more. All of it, if not given."""


class StartSettings(Settings):
    """Where pre-training begins: one of the two."""

    architecture: str | None = None
    """A bundled architecture (`untrained:ARCHITECTURE` is its control), with random weights."""
    checkpoint: str | None = None
    """A checkpoint to go on from: a folder, or OWNER/NAME[@REVISION]."""
    filters: Literal["random", "mel"] = "random"
    """First convolution of an architecture: random, or band-pass filters evenly spaced in mel (Zeghidour et al. 2018,
    arXiv 1711.01161), which are learnt further."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "StartSettings":
        if (self.architecture is None) == (self.checkpoint is None):
            raise ValueError("give either architecture or checkpoint")
        if self.checkpoint is not None and self.filters != "random":
            raise ValueError("filters can be chosen for a new architecture only; a checkpoint has its own")
        return self

    @field_validator("checkpoint")
    @classmethod
    def _folder_beside_the_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        beside = None if folder is None or value is None else Path(folder) / value
        return str(beside) if beside is not None and beside.is_dir() else value


class TargetFeatures(Settings):
    """Features whose clusters are to be predicted."""

    features: str = "mfcc"
    """`mfcc` (13 and two deltas, as HuBERT's first iteration), or any encoder: `logmel`, a folder, a checkpoint."""
    layer: int | None = Field(None, ge=0)
    """Layer of the encoder, 0 its input; the last, if not given."""
    clusters: int = Field(100, ge=2, le=65_535)

    @field_validator("features")
    @classmethod
    def _folder_beside_the_file(cls, value: str, info: ValidationInfo) -> str:
        folder = (info.context or {}).get("folder")
        beside = None if folder is None else Path(folder) / value
        return str(beside) if beside is not None and beside.is_dir() else value


class MaskSettings(Settings):
    """Which frames are hidden from the encoder."""

    share: float = Field(0.8, gt=0, le=1)
    """Sum of the spans' lengths over the utterance's; spans overlap, so that fewer frames are hidden."""
    length: int = Field(10, ge=1)
    """Frames of a span."""


class HubertObjective(Settings):
    """Masked prediction of clusters (Hsu et al. 2021, arXiv 2106.07447)."""

    kind: Literal["hubert"] = "hubert"
    targets: tuple[TargetFeatures, ...] = Field((TargetFeatures(),), min_length=1)
    """Clusterings to predict, each with a head of its own; their losses are averaged."""
    mask: MaskSettings = MaskSettings()
    visible: float = Field(0.0, ge=0, lt=1)
    """Share of the loss that is over frames which are not hidden; 0 is HuBERT's."""
    projection: int = Field(256, ge=1)
    """Dimension in which a frame is compared with the clusters."""
    temperature: float = Field(0.1, gt=0)
    hours: float = Field(10.0, gt=0)
    """Speech from which the clusters are learnt, at most."""


class Wav2vec2Objective(Settings):
    """Contrast of the true quantized frame with others (Baevski et al. 2020, arXiv 2006.11477)."""

    kind: Literal["wav2vec2"] = "wav2vec2"
    mask: MaskSettings = MaskSettings(share=0.65)
    negatives: int = Field(100, ge=1)
    codes: int = Field(320, ge=2)
    """Per group of codes."""
    groups: int = Field(2, ge=1)
    temperature: float = Field(0.1, gt=0)
    diversity: float = Field(0.1, ge=0)
    """Weight of the loss that asks for all codes to be used."""
    softness: tuple[float, float, float] = (2.0, 0.5, 0.999995)
    """Temperature of the choice of codes: first, least, and factor per step."""


class DinoObjective(Settings):
    """Teacher and student see pieces of one utterance (Caron et al. 2021; for speech Cho et al. 2022)."""

    kind: Literal["dino"] = "dino"
    long: float = Field(4.0, gt=0)
    """Seconds of a long piece; teacher and student see two of them."""
    short: float = Field(2.0, gt=0)
    """Seconds of a short piece; the student alone sees them."""
    shorts: int = Field(4, ge=0)
    embedding: int = Field(256, ge=1)
    hidden: int = Field(2048, ge=1)
    bottleneck: int = Field(256, ge=1)
    prototypes: int = Field(65_536, ge=2)
    student_temperature: float = Field(0.1, gt=0)
    teacher_temperature: float = Field(0.04, gt=0)
    centre_momentum: float = Field(0.9, ge=0, lt=1)
    teacher_momentum: float = Field(0.996, ge=0, lt=1)
    """At the beginning; it rises to 1 along a cosine."""
    frozen_last_layer: float = Field(1 / 70, ge=0, le=1)
    """Share of the steps for which the last layer is not learnt."""

    @model_validator(mode="after")
    def _short_is_shorter(self) -> "DinoObjective":
        if self.short > self.long:
            raise ValueError(f"short, {self.short:g} s, is longer than long, {self.long:g} s")
        return self


Objective = Annotated[HubertObjective | Wav2vec2Objective | DinoObjective, Field(discriminator="kind")]


class BatchSettings(Settings):
    """How speech is put together."""

    seconds: float = Field(60.0, gt=0)
    """Audio in a batch of one process, padding counted."""
    shortest: float = Field(1.0, gt=0)
    """Shorter utterances are left out."""
    longest: float = Field(8.0, gt=0, le=30)
    """Longer utterances are cut: another piece each time."""
    accumulate: int = Field(1, ge=1)
    """Batches per step of the optimiser."""
    workers: int = Field(0, ge=0)
    """Processes that read audio ahead; 0 reads it in between."""


class TrainingSettings(Settings):
    """How long, how fast, and in which arithmetic."""

    steps: int = Field(ge=1)
    """Steps of the optimiser."""
    learning_rate: float = Field(5e-4, gt=0)
    """The highest: it rises linearly, then falls linearly to zero (hubert, wav2vec2) or along a cosine (dino)."""
    warm_up: float = Field(0.08, ge=0, lt=1)
    """Share of the steps in which it rises."""
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = Field(1e-6, gt=0)
    clip: float = Field(10.0, gt=0)
    """Norm to which gradients are cut."""
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    """Of the matrix products; `auto` is bfloat16 where the machine is faster with it."""
    save: float = Field(300.0, gt=0)
    """Seconds of training between states from which a stopped run goes on."""


class Pretraining(Settings):
    """One encoder, pre-trained by one command."""

    name: str = Field(pattern=NAME)
    seed: int = Field(0, ge=0)
    language: str | None = None
    """What a study should say of the encoder's language; the corpora's, if all have the same one."""
    corpora: tuple[SpeechSettings, ...] = Field(min_length=1)
    start: StartSettings
    objective: Objective
    batches: BatchSettings = BatchSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Pretraining":
        names = [one.name for one in self.corpora]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"corpora named twice: {', '.join(twice)}")
        return self


def encoders(start: StartSettings, objective: Objective) -> tuple[str | None, ...]:
    """Name the encoders that pre-training begins with and learns from."""
    learnt = objective.targets if isinstance(objective, HubertObjective) else ()
    return start.checkpoint, *(one.features for one in learnt)


def read(path: Path) -> Pretraining:
    """Read and validate a pre-training file; paths in it are relative to it."""
    return settings.read(path, Pretraining, {"folder": path.parent})
