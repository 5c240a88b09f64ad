"""A reproduction's studies are the presets, but for paths, encoders and size; its file says what is wrong in it."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from sibboleth import settings
from sibboleth.errors import InvalidInput
from sibboleth.experiment.anchor import asked, studies
from sibboleth.experiment.anchor.asked import Reproduction
from sibboleth.listeners.settings import ListeningTest
from sibboleth.settings import Settings
from sibboleth.study import Study

FOLDERS = {"esd": "a", "pavoque": "b", "iemocap": "c", "zed": "d", "dialect": "e/manifest.csv"}
BOXED = {
    "zh": {"name": "sibboleth-tiny-multi", "layers": 2},
    "de": {"name": "sibboleth-tiny-nl", "layers": 3},
    "en": {"name": "org/english", "layers": 4},
    "segments": {"name": "org/large", "layers": 6},
}


def reproduction(**more: Any) -> Reproduction:
    return Reproduction.model_validate({"corpora": FOLDERS, **more})


def differs(one: Settings, other: Settings) -> set[str]:
    """Name the settings that differ, inside tables too."""
    a, b = (each.model_dump(mode="json") for each in (one, other))
    return set(_differs(a, b, ""))


def _differs(a: Any, b: Any, place: str) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [at for key in {*a, *b} for at in _differs(a.get(key), b.get(key), f"{place}.{key}".lstrip("."))]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [at for one, other in zip(a, b, strict=True) for at in _differs(one, other, place)]
    return [] if a == b else [place]


def test_corpora_alone_give_the_study_in_its_own_size() -> None:
    one = reproduction()
    ours = {"corpora.manifest", "corpora.ratings"}
    emotion = studies.preset(studies.EMOTION, Study)
    assert differs(studies.emotion(one), emotion) == ours | {"splits.listening"}
    assert differs(studies.segments(one), studies.preset(studies.SEGMENTS, Study)) <= ours
    dialect = studies.preset(studies.DIALECT, Study)
    assert differs(studies.dialect(one, ["tianjin"]), dialect) == ours | {"splits.listening"}
    test = studies.preset(studies.LISTENING, ListeningTest)
    assert differs(studies.listening(one, ["tianjin"]), test) == {"name", "study", "corpora.manifest"}
    assert emotion.splits.per_label == 500 and emotion.training.epochs == 100


def test_encoders_and_their_layers_stand_where_the_studys_did() -> None:
    one = reproduction(encoders=BOXED)
    made = studies.emotion(one)
    assert [(encoder.name, encoder.language) for encoder in made.encoders] == [
        ("sibboleth-tiny-multi", None),
        ("sibboleth-tiny-nl", None),
        ("org/english", "en"),
    ]
    kept = {"sibboleth-tiny-multi": 2, "sibboleth-tiny-nl": 3, "org/english": 4}
    assert [method.layers for method in made.methods] == [kept, kept]
    segments = studies.segments(one)
    assert [encoder.name for encoder in segments.encoders] == ["org/large", "logmel"]
    assert [method.layers for method in segments.methods] == [{"org/large": 6}]
    assert [encoder.name for encoder in studies.dialect(one, ["x"]).encoders] == ["sibboleth-tiny-multi", "logmel"]


def test_one_encoder_may_be_that_of_all_languages_with_one_number_of_layers() -> None:
    same = {language: {"name": "org/multi", "layers": 5} for language in ("zh", "de", "en")}
    assert [one.name for one in studies.emotion(reproduction(encoders=same)).encoders] == ["org/multi"]
    with pytest.raises(ValueError, match="org/multi is kept with different layers"):
        reproduction(encoders={**same, "de": {"name": "org/multi", "layers": 6}})


def test_size_changes_size_alone() -> None:
    size = {"per_label": 30, "epochs": 3, "learning_rate": 0.01, "probe_learning_rate": 0.002, "resamples": 200}
    small, whole = reproduction(size=size), reproduction()
    assert differs(studies.emotion(small), studies.emotion(whole)) == {
        *("splits.per_label", "training.epochs", "training.learning_rate", "probe.learning_rate"),
        "statistics.resamples",
    }
    segments = {"training.epochs", "methods.training.epochs", "statistics.resamples"}
    assert differs(studies.segments(small), studies.segments(whole)) == segments


def test_without_zed_or_a_dialect_nobody_is_asked_about_them() -> None:
    few = {name: FOLDERS[name] for name in ("esd", "pavoque", "iemocap")}
    test = studies.listening(Reproduction.model_validate({"corpora": few}), ())
    assert [part.name for part in test.parts] == ["emotion"]
    assert [corpus.name for corpus in test.corpora] == list(few) and test.people.dialects == ()


def test_excited_is_happy_where_that_is_chosen_in_models_and_people_alike() -> None:
    one = reproduction(corpora={**FOLDERS, "excited_is_happy": True})
    for made in (studies.emotion(one), studies.listening(one, ["x"])):
        told = {corpus.name: corpus.labels for corpus in made.corpora}
        assert told["iemocap"] == {"excited": "happy"} and told["esd"] == {}


def test_peoples_answers_take_the_place_of_simulated_ones() -> None:
    one = reproduction(people={"ratings": "listening/export"})
    assert {corpus.ratings for corpus in studies.emotion(one).corpora} == {Path("listening/export")}
    assert {corpus.ratings for corpus in studies.emotion(reproduction()).corpora} == {Path("listening/simulated")}


def test_files_read_back_as_they_were_made(tmp_path: Path) -> None:
    one = reproduction(encoders=BOXED)
    made: dict[str, tuple[Settings, type[Settings]]] = {
        "emotion": (studies.emotion(one), Study),
        "segments": (studies.segments(one), Study),
        "dialect": (studies.dialect(one, ["x"]), Study),
        "listening": (studies.listening(one, ["x"]), ListeningTest),
    }
    for name, (settings_, model) in made.items():
        (tmp_path / f"{name}.toml").write_text(settings.written(settings_, "about", chosen=True), encoding="utf-8")
        assert settings.read(tmp_path / f"{name}.toml", model) == settings_


def test_the_files_that_come_with_it_are_valid_and_an_unknown_key_is_not(tmp_path: Path) -> None:
    folder = resources.files("sibboleth.recipes")
    own = asked.read(Path(str(folder / "reproduce.toml")))
    assert own.encoders == asked.EncoderSettings() and own.size == asked.SizeSettings() and not own.stand_ins
    text = (folder / "reproduce-stand-ins.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
    assert asked.read(tmp_path / "settings.toml").stand_ins
    (tmp_path / "settings.toml").write_text(text.replace("per_label", "per_lable"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"\[size\.per_lable\] unknown key"):
        asked.read(tmp_path / "settings.toml")
