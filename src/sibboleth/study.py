"""The study file: what is asked, of which corpora, encoders, probes, folds and regimes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sibboleth import accents, methods, protocols, settings, texts
from sibboleth import alignment as alignments
from sibboleth.alignment import Alignment
from sibboleth.errors import SibbolethError
from sibboleth.methods import MethodSettings, TuningSettings
from sibboleth.probes import PROBES, LinearProbe, Probe
from sibboleth.settings import NAME, Settings
from sibboleth.splits import STAGED, USUAL, Regime, SplitSettings
from sibboleth.targets import BACKGROUND, Kind, Target

CODE = "python:"
"""Names of encoders that are Python functions begin so."""
EngineName = Literal["local", "ray"]
Decoder = Literal["argmax", "median", "minimum", "hysteresis", "viterbi", "weighed"]
DECODERS: tuple[Decoder, ...] = get_args(Decoder)


class CorpusSettings(Settings):
    """One manifest and how it is read."""

    name: str = Field(pattern=NAME)
    """Short name; it precedes every utterance and speaker id, so that ids of two corpora never meet."""
    manifest: Path
    """CSV, TSV, JSONL or Parquet file, relative to the study file."""
    columns: dict[str, str] = {}
    """Our column name to the manifest's, where they differ: `{ speaker = "client_id" }`."""
    labels: dict[str, str] = {}
    """This corpus's target label to the study's: `{ Wut = "angry" }`; labels not named stay as they are."""
    keep: dict[str, tuple[str, ...]] = {}
    """Only rows with one of these values in these columns: `{ language = ["nl"] }`."""
    language: str | None = None
    """Language of every row, where the manifest has no such column."""
    accents: str | None = None
    """Tell `accent` and `dialect` from what the manifest says of accents (`accents`, `variant`, `l1`, ...): `built-in`,
    or a table with the columns said, accent and dialect, relative to the study file, put over the built-in one."""

    ratings: Path | None = None
    """What people said of the utterances: a predictions table, as `listen import` and `corpus prepare` write it, or the
    folder that `listen export` wrote, relative to the study file. They are scored beside the models, on what these are
    tested on."""

    @field_validator("accents")
    @classmethod
    def _table_beside_the_study(cls, value: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        return value if value in (None, accents.BUILT_IN) or folder is None else str(Path(folder) / value)

    @field_validator("manifest", "ratings")
    @classmethod
    def _beside_the_study(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else Path(folder) / value


class ListenersSettings(Settings):
    """What is known of the people whose answers `ratings` of the corpora are."""

    people: Path | None = None
    """Table with a row per `rater`; the `listeners.csv` beside the ratings where not given."""
    test: Path | None = None
    """Folder of the listening test; that above the ratings' folder where not given and there is one."""
    groups: tuple[str, ...] = ()
    """Columns of the people's table by which they are told apart, beside language and dialect."""
    names: dict[str, tuple[str, ...]] = {}
    """What people call a language or dialect of the utterances, where they differ: `{ de = ["German", "Deutsch"] }`."""

    @field_validator("people", "test")
    @classmethod
    def _beside_the_study(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else Path(folder) / value


class TargetSettings(Settings):
    """The column asked about."""

    column: str = "emotion"
    """`text` where it is a transcript, and `segments` where it is a segmentation, and not given."""
    kind: Kind = "classification"
    labels: tuple[str, ...] = ()
    """Label set, in the order of figures; other rows are left out. Empty: every label that occurs, sorted."""
    normalisation: str = "basic"
    """How transcripts are written before anything is learnt or scored: `none`, `basic`, or a language's rule
    (`sibboleth.texts`). Tokens are the characters that are left."""
    tier: str | None = None
    """Of a segmentation: only segments of this tier; all where not given."""
    background: str | None = "neutral"
    """Of a segmentation: the label of what no segment covers; empty where such time is not learnt."""
    collar: float = Field(0.0, ge=0)
    """Of a segmentation: seconds before and after each boundary of the reference that are not scored."""
    decoders: tuple[Decoder, ...] = Field(DECODERS, min_length=1)
    """Of a segmentation: ways to make segments of frames, among which dev chooses one per model; `weighed` makes the
    background likelier or less likely before another way, up to saying nothing."""

    @model_validator(mode="before")
    @classmethod
    def _text_is_transcribed(cls, data: Any) -> Any:
        usual = {"transcription": "text", "segmentation": "segments"}
        if isinstance(data, dict) and data.get("kind") in usual:
            return {"column": usual[data["kind"]], **data}
        return data

    @field_validator("background")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @model_validator(mode="after")
    def _transcripts_are_no_labels(self) -> "TargetSettings":
        if self.kind == "transcription" and self.labels:
            raise ValueError("labels are of a classification; a transcript has none")
        if self.normalisation not in texts.RULES:
            raise ValueError(f"normalisation must be one of {', '.join(texts.RULES)}")
        return self

    def target(self, labels: tuple[str, ...], background: tuple[str, ...] = BACKGROUND) -> Target:
        """Make the target with the labels that the corpora turned out to have."""
        there = labels if self.kind in ("classification", "segmentation") else ()
        return Target(name=self.column, kind=self.kind, labels=there, background=background, collar=self.collar)


class EncoderSettings(Settings):
    """One encoder and what is known about it."""

    name: str
    """`sibboleth-tiny-en`, `-nl`, `-multi`, `logmel`, `untrained:ARCHITECTURE`, checkpoint `name` or `name@revision`,
    folder, `python:FILE.py:FUNCTION`, an upstream of s3prl (`wavlm_large`, `s3prl:wavlm_large`)."""
    language: str | None = None
    """Language it was pre-trained on: an axis of its own, `multi` for several; known of those in the box."""
    pooling: Literal["mean", "mean+std"] | None = None
    """Statistics over time given to the probe; `mean`, and `mean+std` for `logmel`."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of a transformer's arithmetic; `auto` is bfloat16 where the processor or accelerator is faster with it."""
    seed: int = Field(0, ge=0)
    """Seed of the random weights of an untrained encoder."""

    @field_validator("name")
    @classmethod
    def _folder_beside_the_study(cls, value: str, info: ValidationInfo) -> str:
        return methods.placed(value, (info.context or {}).get("folder"))


class StatisticsSettings(Settings):
    """How uncertainty is computed."""

    resamples: int = Field(2000, ge=100)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    slices: tuple[str, ...] = ("language", "dialect", "accent")
    """Columns whose values get scores of their own; absent or constant columns are passed over."""


class ReportSettings(Settings):
    """What goes into the page."""

    title: str | None = None
    audio: Literal["link", "embed", "none"] = "link"
    """Players for the utterances most often wrong: linked, embedded (mind the corpus's licence), or none."""
    examples: int = Field(12, ge=0)


class Study(Settings):
    """One question, answered by one command."""

    name: str = Field(pattern=NAME)
    question: str = ""
    """What is asked, in a sentence for the report."""
    seed: int = Field(0, ge=0)
    engine: EngineName = "local"
    """Where the work of a run is done: on this machine, or on a Ray cluster."""
    protocol: str | None = None
    """Published protocol whose settings hold where the study says nothing, and whose numbers the report shows: a name
    that `sibboleth protocol names` knows, or the path of such a file."""
    domain: str = "corpus"
    """Column whose values are compared: `corpus`, `language`, `dialect`, `accent`, any other."""
    regimes: tuple[Regime, ...] = USUAL
    shots: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Utterances per class of the target that the regime `few-shot` goes on with; more where a domain has as many."""
    seeds: int = Field(1, ge=1)
    """Training runs of each probe and method that starts at random, each with few-shot draws of its own; pooled."""
    layer_mix: bool = True
    """Also train a learned weighted sum of all layers."""
    allow: tuple[str, ...] = ()
    """Audit errors accepted by name; they stay in the report."""
    corpora: tuple[CorpusSettings, ...] = Field(min_length=1)
    listeners: ListenersSettings = ListenersSettings()
    target: TargetSettings = TargetSettings()
    encoders: tuple[EncoderSettings, ...] = ()
    probe: Probe = LinearProbe()
    alignment: tuple[Alignment, ...] = ()
    """Ways to align domains without target labels, each tried with the probe beside none: `z-norm`, `z-norm:speaker`,
    `coral`, `logit-adjustment`, `erase:COLUMN`."""
    methods: tuple[MethodSettings, ...] = ()
    """Ways of fine-tuning, each tried with every encoder beside the probe."""
    training: TuningSettings = TuningSettings()
    """How methods are trained that do not say so themselves."""
    splits: SplitSettings = SplitSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="before")
    @classmethod
    def _protocol_fills_in(cls, data: Any, info: ValidationInfo) -> Any:
        if not (isinstance(data, dict) and isinstance(data.get("protocol"), str) and protocols.known(data["protocol"])):
            return data
        name, folder = data["protocol"], (info.context or {}).get("folder")
        if folder is not None and name not in protocols.names():
            name = str(Path(folder) / name)
        return protocols.completed({**data, "protocol": name}, protocols.read(name))

    @model_validator(mode="before")
    @classmethod
    def _transcripts_have_their_probe(cls, data: Any) -> Any:
        if isinstance(data, dict) and "probe" not in data:
            target = data.get("target")
            kind = target.get("kind") if isinstance(target, dict) else getattr(target, "kind", None)
            return {**data, "probe": {"kind": PROBES[kind]}} if kind in PROBES else data
        return data

    @field_validator("protocol")
    @classmethod
    def _protocol_is_known(cls, value: str | None) -> str | None:
        if value is not None and not protocols.known(value):
            raise ValueError(f"no such protocol; there are {', '.join(protocols.names())}, or give a .toml file")
        return value

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Study":
        for what, several in (("corpora", self.corpora), ("encoders", self.encoders), ("methods", self.methods)):
            names = [one.name for one in several]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} named twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _alignments_fit(self) -> "Study":
        if len(set(self.alignment)) < len(self.alignment):
            raise ValueError("alignment: name each once")
        if self.alignment and "zero-shot" not in self.regimes:
            raise ValueError('alignment: it is of zero-shot; add "zero-shot" to regimes')
        if alignments.LOGIT_ADJUSTMENT in self.alignment and self.target.kind != "classification":
            raise ValueError(f"alignment: {alignments.LOGIT_ADJUSTMENT} is of labels, and the target is a number")
        if alignments.ERASE + self.target.column in self.alignment:
            raise ValueError(f"alignment: {self.target.column} is the target; to erase it takes the target's labels")
        return self

    @model_validator(mode="after")
    def _transcripts_fit(self) -> "Study":
        if PROBES.get(self.target.kind) != (self.probe.kind if self.probe.kind in PROBES.values() else None):
            raise ValueError('probe: kind = "ctc" is of transcripts, "frames" of segmentations, and they have no other')
        if self.target.kind not in PROBES:
            return self
        transcribes = self.target.kind == "transcription"
        trained = [self.training, *(one.training for one in self.methods if one.training is not None)]
        for where, asked in (
            ("alignment", self.alignment),
            ("splits.balance", self.splits.balance),
            ("splits.per_label", self.splits.per_label),
            ("training.class_weights", any(one.class_weights for one in trained)),
            ("training.balanced", any(one.balanced for one in trained)),
            ("corpora.labels", transcribes and any(one.labels for one in self.corpora)),
        ):
            if asked:
                what = "a transcript" if transcribes else "a segmentation"
                raise ValueError(f"{where}: it is of labels, and the target is {what}; leave it out")
        return self

    @model_validator(mode="after")
    def _methods_fit(self) -> "Study":
        names = {one.name for one in self.methods}
        framed = [one.name for one in self.methods if one.head.context or one.head.per_speaker or one.as_is]
        if framed and self.target.kind != "segmentation":
            raise ValueError(f"methods: {framed[0]} has as_is or a head's context or per_speaker, of segmentations")
        if reserved := names & {"linear", "mlp", "ctc", "frames"}:
            raise ValueError(f"methods: {', '.join(sorted(reserved))} is the name of a probe; choose another")
        for one in self.methods:
            if one.match_parameters is not None and one.match_parameters not in names:
                raise ValueError(f"methods: {one.name} is to match {one.match_parameters}, and there is no such method")
            table = one.layers if isinstance(one.layers, dict) else {}
            if absent := sorted(set(table) - {encoder.name for encoder in self.encoders}):
                raise ValueError(f"methods: {one.name} keeps layers of {absent[0]}, and there is no such encoder")
        if (staged := [one for one in self.regimes if one in STAGED]) and not self.methods:
            raise ValueError(
                f"regimes: {' and '.join(staged)} need [[methods]], which train in steps; a probe is solved at once"
            )
        if not self.shots or min(self.shots) < 1 or len(set(self.shots)) < len(self.shots):
            raise ValueError("shots: give numbers of 1 or more, each once")
        return self


def require_trust(file: Path, names: Sequence[str | None], trust: bool) -> None:
    """Raise `SibbolethError` where encoders that a file names are Python functions, and nobody trusts their code."""
    code = [name for name in names if name is not None and name.startswith(CODE)]
    if code and not trust:
        raise SibbolethError(
            f"{file}: names code that would be run: {', '.join(code)}. Look at it, and give --trust (trust=True) where "
            "you trust it"
        )


def read(path: Path) -> Study:
    """Read and validate a study file; paths in it are relative to it."""
    return settings.read(path, Study, {"folder": path.parent})
