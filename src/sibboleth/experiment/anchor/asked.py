"""The file of a reproduction: where the corpora are, which encoders, how much, and whose answers."""

from pathlib import Path

from pydantic import Field, model_validator

from sibboleth import settings
from sibboleth.settings import Settings

LANGUAGES = {"zh": "esd", "de": "pavoque", "en": "iemocap"}
"""Languages of the study and the corpus of each."""


FOLDERS = ("esd", "pavoque", "iemocap", "zed", "dialect")
"""Corpora of the study; the last two can be left out."""


class FolderSettings(Settings):
    """Where the corpora are, as they are unpacked, relative to the file."""

    esd: Path
    pavoque: Path
    iemocap: Path
    zed: Path | None = None
    """Without it there are no segments."""
    dialect: Path | None = None
    """Manifest of any corpus with the columns `emotion` and `dialect`; without it there is no dialect."""
    excited_is_happy: bool = False
    """Whether IEMOCAP's excited counts as happy, which is not known of the study."""


class KeptSettings(Settings):
    """An encoder, and how much of it is fine-tuned."""

    name: str
    layers: int = Field(ge=1)
    """Transformer layers that are kept in fine-tuning."""


class EncoderSettings(Settings):
    """An encoder for each language of the study, and one for segments; the study's own where not given."""

    zh: KeptSettings = KeptSettings(name="TencentGameMate/chinese-wav2vec2-base", layers=7)
    de: KeptSettings = KeptSettings(name="facebook/wav2vec2-base-de-voxpopuli-v2", layers=5)
    en: KeptSettings = KeptSettings(name="facebook/wav2vec2-base-960h", layers=9)
    segments: KeptSettings = KeptSettings(name="microsoft/wavlm-large", layers=24)

    @model_validator(mode="after")
    def _one_is_kept_alike(self) -> "EncoderSettings":
        several = {kept.name: {one.layers for one in self.every if one.name == kept.name} for kept in self.every}
        if unlike := sorted(name for name, layers in several.items() if len(layers) > 1):
            raise ValueError(f"{unlike[0]} is kept with different layers in different languages; keep as many in all")
        return self

    @property
    def every(self) -> tuple[KeptSettings, ...]:
        """Encoders of languages, in the study's order."""
        return tuple(self.of(language) for language in LANGUAGES)

    def of(self, language: str) -> KeptSettings:
        """Return the encoder of a language."""
        kept: KeptSettings = getattr(self, language)
        return kept


class PeopleSettings(Settings):
    """Whose answers stand beside the models'."""

    ratings: Path | None = None
    """What `sibboleth listen export` wrote of the listening test, relative to the file; simulated where not given."""
    simulated: int = Field(24, ge=4)
    """How many listeners are simulated."""


class SizeSettings(Settings):
    """What is less than in the study; whatever is not given is as there."""

    per_label: int | None = Field(None, ge=1)
    """Utterances of each emotion of each corpus: 500."""
    epochs: int | None = Field(None, ge=1)
    """Of fine-tuning: 100."""
    learning_rate: float | None = Field(None, gt=0)
    """Of fine-tuning: 1e-4."""
    probe_learning_rate: float | None = Field(None, gt=0)
    """Of the heads on frozen layers: 1e-4."""
    mixes: int = Field(2000, ge=1)
    """Mixes of ESD, and of IEMOCAP, to learn segments from; the study had none of its own."""
    resamples: int | None = Field(None, ge=100)
    """Behind every interval: 2000."""


class Reproduction(Settings):
    """A reproduction of the anchor study."""

    seed: int = Field(0, ge=0)
    stand_ins: bool = False
    """Speak the corpora first: controlled speech of a machine in their layouts, into their folders."""
    corpora: FolderSettings
    encoders: EncoderSettings = EncoderSettings()
    people: PeopleSettings = PeopleSettings()
    size: SizeSettings = SizeSettings()


def read(path: Path) -> Reproduction:
    """Read and validate a file; paths in it stay as they are written."""
    return settings.read(path, Reproduction)
