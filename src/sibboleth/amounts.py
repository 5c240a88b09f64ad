"""The file of a data study: one objective on growing amounts of speech of several languages, and what each is good for.

Every language and amount becomes an ordinary pre-training file, and every target an ordinary study file.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from sibboleth import settings
from sibboleth.augmentation import AugmentationSettings
from sibboleth.pretraining import (
    BatchSettings,
    Objective,
    Pretraining,
    SpeechSettings,
    StartSettings,
    TrainingSettings,
)
from sibboleth.probes import LinearProbe, Probe
from sibboleth.settings import NAME, Settings
from sibboleth.splits import Regime, SplitSettings
from sibboleth.study import CorpusSettings, EncoderSettings, ReportSettings, StatisticsSettings, Study, TargetSettings


class Recipe(Settings):
    """A pre-training file without its speech: one for all amounts, steps included, so that only the data differ."""

    start: StartSettings
    objective: Objective
    batches: BatchSettings = BatchSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings


class AskedTarget(TargetSettings):
    """One column that the encoders are asked about, in a study of its own."""

    name: str = Field("", pattern=rf"^$|{NAME}")
    """Of the study; the column's, if not given."""
    domain: str | None = None
    """As `domain` above, for this target only."""
    regimes: Annotated[tuple[Regime, ...], Field(min_length=1)] | None = None
    """As `regimes` above, for this target only."""
    corpora: tuple[str, ...] = ()
    """Names of the labelled corpora that have it; all of them, if not given."""
    translate: dict[str, dict[str, str]] = {}
    """By labelled corpus: its label to this target's, `{ emodb = { Wut = "angry" } }`."""

    @property
    def called(self) -> str:
        """Name of its study."""
        return self.name or re.sub(r"[^A-Za-z0-9_.-]+", "-", self.column).strip(".-")[:100] or "target"


@dataclass(frozen=True)
class Point:
    """One encoder that is pre-trained: a language and an amount."""

    language: str
    """Name of the group of corpora."""
    hours: float

    @property
    def name(self) -> str:
        """Of its folder and file."""
        return f"{self.language}-{self.hours:g}h"


class Amounts(Settings):
    """How much speech, and of which language, pre-training needs; answered by one command."""

    name: str = Field(pattern=NAME)
    question: str = ""
    """What is asked, in a sentence for the page."""
    seed: int = Field(0, ge=0)
    """Of everything: the start, the draws of speech, batches, folds."""
    speech: tuple[CorpusSettings, ...] = Field(min_length=1)
    """Manifests of speech to pre-train on; labels are not looked at."""
    languages: dict[str, tuple[str, ...]] = Field(min_length=1)
    """Name in the figures to the speech that it draws from, in equal shares: `both = ["english", "dutch"]`."""
    hours: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(min_length=1)
    """Amounts of speech per encoder, all its corpora together; less is always a part of more."""
    pretraining: Recipe
    domain: str = "corpus"
    """Column whose values are probed apart, as in a study."""
    regimes: tuple[Regime, ...] = Field(("within",), min_length=1)
    seeds: int = Field(1, ge=1)
    layer_mix: bool = False
    allow: tuple[str, ...] = ()
    """Audit errors accepted by name, in all studies."""
    corpora: tuple[CorpusSettings, ...] = Field(min_length=1)
    """Labelled speech."""
    targets: tuple[AskedTarget, ...] = Field(min_length=1)
    encoders: tuple[EncoderSettings, ...] = ()
    """Others to hold them against, besides `logmel` and what pre-training began with: an off-the-shelf checkpoint."""
    probe: Probe = LinearProbe()
    splits: SplitSettings = SplitSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    report: ReportSettings = ReportSettings()

    @field_validator("hours")
    @classmethod
    def _amounts_grow(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len({f"{one:g}" for one in value}) < len(value):
            raise ValueError("each amount once (they are told apart to 6 digits)")
        return tuple(sorted(value))

    @field_validator("speech", "corpora", "encoders")
    @classmethod
    def _names_are_unique(cls, value: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        if info.field_name == "corpora" and any(one.labels for one in value):
            raise ValueError(
                "labels of a corpus belong to one target here: move them to [[targets]], "
                'as translate = { CORPUS = { THEIRS = "OURS" } }'
            )
        return value

    @field_validator("languages")
    @classmethod
    def _languages_have_speech(
        cls, value: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        there = [one.name for one in info.data.get("speech", ())]
        for language, corpora in value.items():
            if not re.fullmatch(NAME, language):
                raise ValueError(f"{language!r} is no name for files: use letters, digits, dots, dashes")
            if not corpora or len(set(corpora)) < len(corpora):
                raise ValueError(f"{language} needs one [[speech]] or more, each once")
            if there and (unknown := sorted(set(corpora) - set(there))):
                raise ValueError(f"{language} names {', '.join(unknown)}; of [[speech]] there are {', '.join(there)}")
        if idle := sorted(set(there) - {name for corpora in value.values() for name in corpora}):
            raise ValueError(f"no language draws from {', '.join(idle)}")
        return value

    @field_validator("targets")
    @classmethod
    def _targets_have_corpora(cls, value: tuple[AskedTarget, ...], info: ValidationInfo) -> tuple[AskedTarget, ...]:
        names = [one.called for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"targets need different names: {', '.join(twice)}; give them a `name`")
        there = [one.name for one in info.data.get("corpora", ())]
        for target in value:
            unknown = sorted({*target.corpora, *target.translate} - set(there))
            if there and unknown:
                raise ValueError(
                    f"{target.called} names {', '.join(unknown)}; of [[corpora]] there are {', '.join(there)}"
                )
        return value

    @property
    def points(self) -> tuple[Point, ...]:
        """Encoders to pre-train, language by language, the smallest amount first."""
        return tuple(Point(language, hours) for language in self.languages for hours in self.hours)

    def pretraining_of(self, point: Point) -> Pretraining:
        """Return the pre-training file of a point."""
        names = self.languages[point.language]
        speech = {one.name: one for one in self.speech}
        share = point.hours / len(names)
        return Pretraining(
            name=point.name,
            seed=self.seed,
            corpora=tuple(SpeechSettings(**speech[name].model_dump(), hours=share) for name in names),
            **{name: getattr(self.pretraining, name) for name in Recipe.model_fields},
        )

    def study_of(self, target: AskedTarget, encoders: tuple[EncoderSettings, ...] = ()) -> Study:
        """Return the study file of a target, of some encoders and of what they are held against."""
        asked = [one for one in self.corpora if one.name in (target.corpora or [c.name for c in self.corpora])]
        return Study(
            name=f"{self.name}-{target.called}",
            question=f"{self.question.rstrip()} ({target.column})".strip() if self.question else "",
            seed=self.seed,
            domain=target.domain or self.domain,
            regimes=target.regimes or self.regimes,
            corpora=tuple(one.model_copy(update={"labels": target.translate.get(one.name, {})}) for one in asked),
            target=TargetSettings(column=target.column, kind=target.kind, labels=target.labels),
            encoders=(*encoders, *self.others),
            **{
                name: getattr(self, name)
                for name in ("seeds", "layer_mix", "allow", "probe", "splits", "statistics", "report")
            },
        )

    @property
    def others(self) -> tuple[EncoderSettings, ...]:
        """What every study has beside the encoders that are pre-trained: those of the file, then the controls."""
        named = {one.name for one in self.encoders}
        return (*self.encoders, *(one for one in self.controls if one.name not in named))

    @property
    def controls(self) -> tuple[EncoderSettings, ...]:
        """`logmel`, and the architecture untrained or the checkpoint that pre-training begins with."""
        begin = self.pretraining.start
        name = begin.checkpoint or f"untrained:{begin.architecture}"
        return EncoderSettings(name="logmel"), EncoderSettings(name=name, seed=self.seed)


def read(path: Path) -> Amounts:
    """Read and validate the file of a data study; paths in it are relative to it, and absolute afterwards."""
    return settings.read(path, Amounts, {"folder": path.parent.resolve()})
