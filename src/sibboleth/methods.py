"""Methods: how an encoder is put to a target beyond a probe, and how that is trained."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from sibboleth import upstreams
from sibboleth.augmentation import AugmentationSettings
from sibboleth.settings import Settings

Context = Annotated[
    tuple[Annotated[float, Field(gt=0, le=30)], ...], AfterValidator(lambda value: tuple(sorted(set(value))))
]
"""Seconds of windows about a frame, each once."""
Optimiser = Literal["adamw", "sgd"]
Decay = Literal["constant", "linear", "cosine", "tri-stage"]


def placed(encoder: str, folder: Path | None) -> str:
    """Return the name of an encoder as it is used: what lies in `folder`, that of the study, by its whole path.

    What s3prl calls an upstream is its checkpoint; raises `ValueError` for one that is not known.
    """
    if folder is None:
        return upstreams.checkpoint(encoder)
    prefix, name = ("python:", encoder[7:]) if encoder.startswith("python:") else ("", encoder)
    beside = folder / name.partition(".py:")[0] if prefix else folder / name
    found = beside.exists() or beside.with_suffix(".py").exists()
    return f"{prefix}{folder / name}" if name.startswith((".", "/")) or found else upstreams.checkpoint(encoder)


class LoraSettings(Settings):
    """Low-rank updates of linear layers (Hu et al. 2022, arXiv 2106.09685), through peft."""

    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.1, ge=0, lt=1)
    targets: tuple[str, ...] = ("attention", "feed-forward")
    """`attention` (query, key, value and output), `feed-forward` (both linear layers), or names of modules as the
    family has them, such as `q_proj`."""

    @field_validator("targets")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one")
        return value


class BottleneckSettings(Settings):
    """A small network at the feed-forward block of each layer (Houlsby et al. 2019; He et al. 2022)."""

    reduction: float = Field(16.0, ge=1)
    """Its inner size is the encoder's dim divided by this."""
    placement: Literal["sequential", "parallel"] = "sequential"
    """`sequential` adds what it makes of the block's output, as the anchor study does; `parallel` what it makes of the
    block's input."""
    start: Literal["identity", "random"] = "identity"
    """`identity` begins with no effect (its last layer is zero); `random` is the anchor study's own start."""


class GateSettings(Settings):
    """One learned factor per number of each layer's input (weight gating, Lashkarashvili et al. 2024)."""

    start: Literal["identity", "anchor"] = "identity"
    """`identity` begins at 1 (twice a sigmoid of 0); `anchor` at the sigmoid of 1, 0.731, as the anchor study does."""


class HeadSettings(Settings):
    """What answers: a network over the mean of the frames, or over every frame of transcripts and segmentations."""

    hidden: tuple[int, ...] = ()
    """Sizes of its hidden layers, with ReLU between; none is a linear head. The anchor study's has `[128, 16]`."""
    dropout: float = Field(0.0, ge=0, lt=1)
    context: Context = ()
    """Of segmentations: seconds of windows about each frame, whose mean and deviation are heard beside the frame."""
    per_speaker: bool = False
    """Of segmentations, over a frozen encoder: frames are heard on the scale (mean and deviation) of all that their
    speaker says, labels unseen, and not on that of all that trains."""


class TuningAugmentation(AugmentationSettings):
    """How training utterances are changed; all but masks change the audio, so that nothing can be cached."""

    speed: tuple[float, ...] = ()
    """Factors of which one is drawn per utterance, such as 0.9, 1, 1.1; pitch changes with it."""
    mask: float = Field(0.0, ge=0, lt=1)
    """Share of the frames that are hidden from the layers that are trained, in spans."""
    mask_length: int = Field(10, ge=1)
    """Frames of a span."""
    time_mask: float = Field(0.0, ge=0, le=1)
    """The same counted as fairseq and transformers count (`mask_prob`, `mask_time_prob`): the lengths of all spans as a
    share of the frames, so that with overlaps 0.65 hides about half of them."""
    feature_mask: float = Field(0.0, ge=0, le=1)
    """As `time_mask`, of the numbers of a frame, the same in all frames of an utterance (`mask_channel_prob`)."""
    feature_mask_length: int = Field(64, ge=1)
    """Numbers of a span."""

    @field_validator("speed")
    @classmethod
    def _plausible(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0.25 <= one <= 4 for one in value):
            raise ValueError("each factor must be from 0.25 to 4")
        return value

    @property
    def changes_audio(self) -> bool:
        """Whether the encoder hears other audio in every epoch."""
        return bool(self.gain or self.reverberation or self.noise or self.babble or self.colour or self.speed)


class TuningSettings(Settings):
    """How long, how fast, in which batches, and what selects."""

    epochs: int = Field(30, ge=1)
    """At most; dev may stop training earlier."""
    patience: int = Field(10, ge=1)
    """Epochs in a row without a better dev score after which training stops."""
    select: Literal["loss", "metric"] = "loss"
    """What dev must improve in: its loss, or the target's main metric (equals are broken by the loss)."""
    batch_seconds: float = Field(60.0, gt=0)
    """Audio in a batch, padding counted."""
    batch_size: int | None = Field(None, ge=1)
    """Exactly so many utterances in a batch instead, as published recipes count."""
    accumulate: int = Field(1, ge=1)
    """Batches per step of the optimiser."""
    optimiser: Optimiser = "adamw"
    learning_rate: float | tuple[float, ...] = 1e-3
    """One value, or candidates that are each trained with, and among which dev chooses as it chooses the epoch."""
    head_rate: float | None = Field(None, gt=0)
    """Learning rate of the head, where it is another."""
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(1e-8, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd."""
    decay: Decay = "linear"
    """How the learning rate falls after it has risen: not at all, to zero by a line or a cosine, or in three stages
    (risen, held, then exponentially to `floor`)."""
    warm_up: float = Field(0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    hold: float = Field(0.4, ge=0, lt=1)
    """Share of the steps for which tri-stage holds it."""
    floor: float = Field(0.05, gt=0, le=1)
    """Share of the learning rate at which tri-stage ends."""
    clip: float = Field(1.0, gt=0)
    """Norm to which gradients are cut; `clip = inf` cuts nothing."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of the matrix products; `auto` is bfloat16 where the machine is faster with it."""
    class_weights: bool = False
    """Weigh the loss of a label by how rare it is."""
    balanced: bool = False
    """Draw every label equally often in an epoch."""
    head_first: int = Field(0, ge=0)
    """Epochs in which only the head (and layer mix) is trained, before all else joins (Chen and Rudnicky 2022)."""
    shot_steps: int = Field(50, ge=1)
    """Steps on the examples of a few-shot regime, which have no dev set."""
    augmentation: TuningAugmentation = TuningAugmentation()
    save: float = Field(120.0, gt=0)
    """Seconds of training between states from which a stopped run goes on."""

    @field_validator("learning_rate")
    @classmethod
    def _usable(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        several = value if isinstance(value, tuple) else (value,)
        if not several or not all(0 < one < float("inf") for one in several):
            raise ValueError("each must be above 0")
        if len(set(several)) < len(several):
            raise ValueError("each candidate once")
        return value

    @property
    def rates(self) -> tuple[float, ...]:
        """Return the candidates for the learning rate."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    def at(self, rate: float) -> "TuningSettings":
        """Return the same with one learning rate."""
        return self.model_copy(update={"learning_rate": rate})

    @model_validator(mode="after")
    def _stages_fit(self) -> "TuningSettings":
        if self.decay == "tri-stage" and self.warm_up + self.hold >= 1:
            raise ValueError("warm_up and hold leave no share of the steps to decay in")
        if self.head_first >= self.epochs:
            raise ValueError("head_first must be below epochs")
        return self


class MethodSettings(Settings):
    """One way of fine-tuning; adapters combine."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.+-]+$")
    """As figures and tables name it."""
    train: Literal["head", "layers", "encoder"] = "head"
    """What is trained beside adapters: the head alone, also the transformer layers above `lowest`, or every weight."""
    layers: int | dict[str, int] | None = None
    """Keep so many transformer layers, so that the head hears that hidden state; all where not given. A table gives a
    number per encoder: `{ "facebook/wav2vec2-base" = 8 }`."""
    lowest: int = Field(0, ge=0)
    """Leave layers up to this one as they are: adapters and training begin above hidden state `lowest`."""
    lora: LoraSettings | None = None
    bottleneck: BottleneckSettings | None = None
    gate: GateSettings | None = None
    mix: bool = False
    """Give the head a learned weighted sum of the hidden states from `lowest` to the last kept layer."""
    as_is: bool = False
    """Train nothing: the head that a model came with answers, such as that of SpeechBrain's emotion diarization."""
    match_parameters: str | None = None
    """Name of the method whose number of trained parameters this one should have: rank or inner size is chosen so."""
    head: HeadSettings = HeadSettings()
    training: TuningSettings | None = None
    """As the study's `[training]` where not given."""

    @field_validator("layers")
    @classmethod
    def _of_encoders_as_they_are_used(
        cls, value: int | dict[str, int] | None, info: ValidationInfo
    ) -> int | dict[str, int] | None:
        folder = (info.context or {}).get("folder")
        return {placed(name, folder): kept for name, kept in value.items()} if isinstance(value, dict) else value

    @property
    def adapts(self) -> bool:
        """Whether anything but the head and the layer mix is trained."""
        return self.train != "head" or any((self.lora, self.bottleneck, self.gate))

    def kept(self, encoder: str, layers: int) -> int:
        """Return how many transformer layers of an encoder (which has `layers`) are kept."""
        wanted = self.layers.get(encoder, layers) if isinstance(self.layers, dict) else self.layers
        return layers if wanted is None else wanted

    @model_validator(mode="after")
    def _can_be_matched(self) -> "MethodSettings":
        if self.match_parameters is not None and self.lora is None and self.bottleneck is None:
            raise ValueError("match_parameters needs a lora or a bottleneck whose size can be chosen")
        if self.match_parameters == self.name:
            raise ValueError("match_parameters names the method itself")
        if self.adapts and self.head.per_speaker:
            raise ValueError("head.per_speaker is over a frozen encoder, whose frames have a scale beforehand")
        if self.as_is and (self.adapts or self.mix or self.head != HeadSettings() or self.training is not None):
            raise ValueError("as_is trains nothing; leave all else of this method out")
        if self.train == "encoder" and self.lowest:
            raise ValueError('train = "encoder" trains every weight; lowest belongs to "layers" and adapters')
        return self
