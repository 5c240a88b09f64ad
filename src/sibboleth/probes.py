"""Probes: what a frozen encoder's hidden states are asked with, and how it is trained."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from sibboleth.methods import Context, TuningSettings
from sibboleth.settings import Settings

PROBES = {"transcription": "ctc", "segmentation": "frames"}
"""Kinds of targets that have a probe of their own."""


class LinearProbe(Settings):
    """Multinomial logistic (or ridge) regression, its L2 strength chosen on dev."""

    kind: Literal["linear"] = "linear"
    l2: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    """Candidates for the penalty on the mean loss; standardised features."""

    @field_validator("l2")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or min(value) <= 0:
            raise ValueError("give at least one penalty, all above 0")
        return value


def _several(value: object) -> object:
    """Make one value a list of one."""
    return (value,) if isinstance(value, (int, float)) else value


Candidates = Annotated[tuple[float, ...], BeforeValidator(_several)]
"""One number or several."""


class MlpProbe(Settings):
    """The anchor study's head: dim-128-16-classes, ReLU, AdamW, early stopping on dev loss."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (128, 16)
    learning_rate: Candidates = Field((1e-4,), min_length=1)
    """One value, or candidates among which dev chooses, per fold and seed."""
    weight_decay: Candidates = Field((1e-5,), min_length=1)
    """As `learning_rate`; with candidates for both, every pair is tried."""
    epsilon: float = Field(1e-8, gt=0)
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(100, ge=1)
    patience: int = Field(10, ge=1)
    """Epochs in a row without a lower dev loss after which training stops."""
    standardise: bool = False
    """Scale features by the training set's mean and deviation first; the anchor study does not."""

    @field_validator("learning_rate", "weight_decay")
    @classmethod
    def _usable(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        least = 0.0 if info.field_name == "weight_decay" else 5e-324
        if not all(least <= one < float("inf") for one in value):
            raise ValueError("each must be 0 or more" if least == 0 else "each must be above 0")
        if len(set(value)) < len(value):
            raise ValueError("each candidate once")
        return value


class CtcProbe(Settings):
    """Of transcripts: a linear layer over the frames of every hidden state, all trained by CTC in one pass per batch.

    The frames are standardised, the encoder is frozen, and each layer has the epoch and learning rate that dev chooses
    for it. Gradients are not clipped, so that a layer learns as it would alone; there is no learned mix.
    """

    kind: Literal["ctc"] = "ctc"
    training: TuningSettings | None = None
    """As the study's `[training]` where not given."""


class FramesProbe(Settings):
    """Of segmentations: a linear layer over the frames of every hidden state, all trained in one pass per batch.

    As the probe of transcripts, but that each frame is learnt by itself, every label weighing as much as every other.
    """

    kind: Literal["frames"] = "frames"
    context: Context = ()
    """Seconds of windows about each frame, whose mean and deviation are heard beside the frame; none where it is asked
    what single frames tell."""
    per_speaker: bool = False
    """Whether frames are heard on the scale of all that their speaker says, and not on that of all that trains."""
    training: TuningSettings | None = None
    """As the study's `[training]` where not given."""


def _probe_kind(value: object) -> str:
    """Return the kind that a probe table names; without one it is linear."""
    kind = value.get("kind", "linear") if isinstance(value, dict) else getattr(value, "kind", "linear")
    return str(kind)


Probe = Annotated[
    Annotated[LinearProbe, Tag("linear")]
    | Annotated[MlpProbe, Tag("mlp")]
    | Annotated[CtcProbe, Tag("ctc")]
    | Annotated[FramesProbe, Tag("frames")],
    Discriminator(
        _probe_kind,
        custom_error_type="probe",
        custom_error_message="kind must be 'linear', 'mlp', 'ctc' or 'frames'",
        custom_error_context={},
    ),
]
