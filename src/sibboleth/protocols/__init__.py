"""Published protocols as data: how others divided, probed and scored, what they published, and what is wrong with it.

One TOML file per protocol lies beside this file; a study names one (`protocol = "superb-er"`), or the path of another
file of the same form.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sibboleth import settings
from sibboleth.errors import InvalidInput
from sibboleth.settings import Settings

SUFFIX = ".toml"
WHOLE = ("probe",)
"""Groups of settings that a study gives whole or not at all: the keys of two kinds of probe do not mix."""

LayerRule = Literal["mix", "last", "selected"]
"""Which layers a number is of: a learned weighted sum of all, the last, or the one that dev chose."""


class Source(Settings):
    """Where a number or a rule was read."""

    title: str
    url: str = Field(pattern=r"^https://")


class Published(Settings):
    """One published number."""

    encoder: str
    """Checkpoint as a study names it."""
    called: str
    """What the source calls the encoder."""
    metric: Literal["accuracy", "uar", "macro_f1"]
    value: float = Field(ge=0, le=1)
    folds: tuple[float, ...] = ()
    """The same of every fold, where published."""
    corpus: str | None = None
    """Which of the protocol's corpora; not needed where it has one."""
    layers: LayerRule | None = None
    """Where it is not the protocol's rule."""
    source: str
    """Key of `sources`."""


class ProtocolCorpus(Settings):
    """A corpus as the protocol uses it."""

    name: str
    """Name that a study gives the corpus, so that numbers are shown beside each other."""
    utterances: int = Field(ge=1)
    speakers: int = Field(ge=1)
    classes: int = Field(ge=2)
    folds: int | None = Field(None, ge=1)
    rule: str | None = None
    """Scheme of `splits` that gives the same folds, where the rule behind the lists is known."""
    leak: str = ""
    """Which speakers of the test also train; empty where none do."""
    spellings: dict[str, tuple[str, ...]] = {}
    """Label to other spellings of it in manifests, merged labels among them."""
    merged: dict[str, str] = {}
    """Labels of the corpus (in any spelling) that the protocol counts as another one."""


class Defaults(Settings):
    """What a study of the protocol has where it says nothing itself; never `allow`: a leak is allowed by the user."""

    regimes: tuple[str, ...] = ("within",)
    layer_mix: bool | None = None
    target: dict[str, Any] = {}
    splits: dict[str, Any]
    probe: dict[str, Any]
    statistics: dict[str, Any] = {}


class Protocol(Settings):
    """How somebody divided, probed and scored a corpus, with what came of it."""

    title: str
    metric: Literal["accuracy", "uar", "macro_f1"]
    average: Literal["folds", "utterances"]
    """Whether the number is the mean of the folds' scores or one score of all utterances."""
    layers: LayerRule
    pooling: Literal["mean", "mean+std"]
    head: str
    head_form: Literal["linear", "mlp", "any", "other"]
    """Kind of our probe that is the same function of the pooled layers; `any` where the protocol leaves it open."""
    training: str
    """`any` where the protocol leaves it open, as `choice`."""
    dev: str
    choice: str
    """By what dev chooses."""
    manifest: str
    """What a manifest must have."""
    flaws: tuple[str, ...] = Field(min_length=1)
    unverified: tuple[str, ...] = ()
    """What is known to be published but could not be checked, and is not shown."""
    origin: str = ""
    """Where the numbers are of another protocol with the same tests: of which, and what it does otherwise."""
    study: Defaults
    corpora: tuple[ProtocolCorpus, ...] = Field(min_length=1)
    sources: dict[str, Source]
    published: tuple[Published, ...] = ()

    @field_validator("corpora")
    @classmethod
    def _names_once(cls, value: tuple[ProtocolCorpus, ...]) -> tuple[ProtocolCorpus, ...]:
        names = [corpus.name for corpus in value]
        if len(set(names)) < len(names):
            raise ValueError("a corpus is named twice")
        return value

    @model_validator(mode="after")
    def _numbers_lead_somewhere(self) -> "Protocol":
        names = {corpus.name for corpus in self.corpora}
        for number in self.published:
            if number.source not in self.sources:
                raise ValueError(f"published: {number.encoder} has the source {number.source!r}, which is not there")
            if number.corpus not in (names if len(names) > 1 or number.corpus else {None}):
                raise ValueError(f"published: {number.encoder} has the corpus {number.corpus!r}, which is not there")
        return self

    def corpus(self, name: str) -> ProtocolCorpus | None:
        """Find a corpus by the name that a study gave it; capitals, dashes and underscores do not matter."""
        return next((corpus for corpus in self.corpora if _plain(corpus.name) == _plain(name)), None)

    def numbers(self, corpus: ProtocolCorpus) -> tuple[Published, ...]:
        """Return what was published of a corpus."""
        return tuple(number for number in self.published if number.corpus in (None, corpus.name))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def names() -> tuple[str, ...]:
    """Name the protocols there are."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(Path(file.name).stem for file in files if file.name.endswith(SUFFIX)))


def known(name: str) -> bool:
    """Whether it is one of them, or the path of a file."""
    return name in names() or name.endswith(SUFFIX)


def read(name: str) -> Protocol:
    """Read a protocol by name or path; raises `InvalidInput` for one that is not there or not valid."""
    if name.endswith(SUFFIX):
        return settings.read(Path(name), Protocol)
    if name not in names():
        raise InvalidInput(f"no protocol is called {name!r}; there are {', '.join(names())}, or give a {SUFFIX} file")
    with resources.as_file(resources.files(__name__).joinpath(name + SUFFIX)) as path:
        return settings.read(path, Protocol)


def completed(study: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """Fill what a study's table leaves open with the protocol's settings; what it says itself stays."""
    given = dict(study)
    for name, value in protocol.study.model_dump(exclude_none=True).items():
        own = given.get(name)
        if isinstance(value, dict) and isinstance(own, Mapping) and name not in WHOLE:
            given[name] = {**value, **own}
        elif value:
            given.setdefault(name, value)
    return given
