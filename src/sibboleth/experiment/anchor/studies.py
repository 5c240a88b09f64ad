"""The presets of the anchor study as a reproduction asks for them: paths, encoders and size put in, all else as it is.

The files are written beside one another: `emotion.toml`, `listening.toml`, `segments.toml` and `dialect.toml`, with the
manifests in `corpora/`, the mixes in `mixes/` and the listening test in `listening/`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from sibboleth.experiment.anchor.asked import LANGUAGES, Reproduction
from sibboleth.listeners.settings import ListeningTest
from sibboleth.settings import Settings
from sibboleth.study import CorpusSettings, EncoderSettings, Study

EMOTION, LISTENING, SEGMENTS, DIALECT = "emotion", "listening", "segments", "dialect"
STANDARD = "standard"
"""Dialect of what is spoken in none."""
MIXED = ("esd", "iemocap")
"""Corpora that segments are learnt from, as mixes."""
PATTERNS = ("n-e", "e-n", "n-e-n", "e")
"""Of the mixes: those of SpeechBrain's recipe."""
BOXED = "sibboleth-tiny-"
"""How names of encoders begin whose language is known of themselves."""
SIMULATED = Path(LISTENING) / "simulated"

Model = TypeVar("Model", bound=Settings)


def manifest(corpus: str) -> Path:
    """Return where the manifest of a corpus is."""
    return Path("corpora") / f"{corpus}.csv"


def mixes(corpus: str) -> Path:
    """Return where the mixes of a corpus are."""
    return Path("mixes") / corpus


def preset_name(part: str) -> str:
    """Return what the preset of a part is called."""
    return "humans-vs-ssl" if part == EMOTION else f"humans-vs-ssl-{part}"


def preset(part: str, model: type[Model]) -> Model:
    """Return a preset of the study, its paths as they are written."""
    text = (resources.files("sibboleth") / "presets" / f"{preset_name(part)}.toml").read_text(encoding="utf-8")
    return model.model_validate(tomllib.loads(text))


def emotion(asked: Reproduction) -> Study:
    """Return the study of emotion in three languages; what people are asked about trains none of its models."""
    study = preset(EMOTION, Study)
    layers = {one.name: one.layers for one in asked.encoders.every}
    encoders = {
        one.name: _named(one.name, language) for language in LANGUAGES for one in (asked.encoders.of(language),)
    }
    size = asked.size
    return changed(
        study,
        seed=asked.seed,
        corpora=[_judged(one, asked) for one in study.corpora],
        encoders=list(encoders.values()),
        methods=[changed(one, layers=layers) for one in study.methods],
        probe=changed(study.probe, learning_rate=size.probe_learning_rate),
        training=changed(study.training, epochs=size.epochs, learning_rate=size.learning_rate),
        splits=changed(study.splits, per_label=size.per_label, listening=LISTENING),
        statistics=changed(study.statistics, resamples=size.resamples),
    )


def segments(asked: Reproduction) -> Study:
    """Return the study of segments: learnt from mixes, tested on ZED."""
    study, size = preset(SEGMENTS, Study), asked.size
    named = {one: mixes(one) / "manifest.csv" for one in MIXED}
    kept, (_, *controls) = asked.encoders.segments, study.encoders
    tuned = [
        changed(
            one, layers={kept.name: kept.layers}, training=one.training and changed(one.training, epochs=size.epochs)
        )
        for one in study.methods
    ]
    return changed(
        study,
        seed=asked.seed,
        corpora=[
            changed(one, manifest=named[one.name]) if one.name in named else _judged(one, asked)
            for one in study.corpora
        ],
        encoders=[_named(kept.name, "en"), *controls],
        methods=tuned,
        training=changed(study.training, epochs=size.epochs),
        statistics=changed(study.statistics, resamples=size.resamples),
    )


def dialect(asked: Reproduction, dialects: Sequence[str]) -> Study:
    """Return the study of a dialect beside standard Mandarin; `dialects` are those of its corpus."""
    study, size = preset(DIALECT, Study), asked.size
    _, *controls = study.encoders
    return changed(
        study,
        seed=asked.seed,
        corpora=[_judged(one, asked) for one in study.corpora],
        encoders=[_named(asked.encoders.zh.name, "zh"), *controls],
        probe=changed(study.probe, learning_rate=size.probe_learning_rate),
        splits=changed(study.splits, per_label=size.per_label, test_only=tuple(dialects), listening=LISTENING),
        statistics=changed(study.statistics, resamples=size.resamples),
    )


def listening(asked: Reproduction, dialects: Sequence[str]) -> ListeningTest:
    """Return the listening test; without a corpus of segments, or of a dialect, it has no such part."""
    test = preset(LISTENING, ListeningTest)
    left_out = {
        **({} if asked.corpora.zed else {SEGMENTS: "zed"}),
        **({} if asked.corpora.dialect else {DIALECT: "dialect"}),
    }
    return changed(
        test,
        name=LISTENING,
        seed=asked.seed,
        study=Path(f"{EMOTION}.toml"),
        corpora=[_corpus(one, asked) for one in test.corpora if one.name not in left_out.values()],
        parts=[one for one in test.parts if one.name not in left_out],
        people=changed(test.people, dialects=tuple(dialects)),
    )


def changed(one: Model, **values: object) -> Model:
    """Return the same settings with some changed, validated as a file is; None changes nothing."""
    told = one.model_dump(mode="json", exclude_unset=True)
    plain: dict[str, Any] = {name: _plain(value) for name, value in values.items() if value is not None}
    return type(one).model_validate(told | plain)


def _plain(value: object) -> object:
    if isinstance(value, Settings):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return str(value) if isinstance(value, Path) else value


def _corpus(one: CorpusSettings, asked: Reproduction) -> CorpusSettings:
    excited = one.name == LANGUAGES["en"] and asked.corpora.excited_is_happy
    labels = {**one.labels, "excited": "happy"} if excited else None
    return changed(one, manifest=manifest(one.name), labels=labels)


def _judged(one: CorpusSettings, asked: Reproduction) -> CorpusSettings:
    return changed(_corpus(one, asked), ratings=asked.people.ratings or SIMULATED)


def _named(name: str, language: str) -> EncoderSettings:
    """Return an encoder of a language; those in the box know theirs."""
    return EncoderSettings(name=name, language=None if name.startswith(BOXED) else language)
