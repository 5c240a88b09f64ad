"""What the pages say, in every language."""

import re
from pathlib import Path

import pytest

from sibboleth.errors import InvalidInput
from sibboleth.listeners import words
from sibboleth.listeners.settings import LANGUAGES


def test_every_language_has_every_word() -> None:
    english = words.read("en")
    for language in LANGUAGES:
        said = words.read(language)
        assert said.tag.partition("-")[0] == language
        assert set(said.labels) == set(english.labels)
        assert not said.extends
        for place, text in _texts(said.model_dump()).items():
            assert text.strip() or place in ("extends",), place
            if language != "en" and len(text) > 25:
                assert text != _texts(english.model_dump())[place], f"{language}: {place} is not translated"


def test_every_language_fills_in_the_same() -> None:
    english = _texts(words.read("en").model_dump())
    for language in LANGUAGES:
        for place, text in _texts(words.read(language).model_dump()).items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[place])), (language, place)


def test_own_words_over_a_language_of_the_box(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('tag = "de-AT"\nextends = "de"\n[begin]\nstart = "Los"\n[labels]\nangry = "Zorn"\n')
    said = words.read(str(own))
    assert (said.tag, said.begin.start, said.part.rest) == ("de-AT", "Los", words.read("de").part.rest)
    assert (said.labels["angry"], said.labels["sad"]) == ("Zorn", "Trauer")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('tag = "sv"\n', "consent] is required"),
        ('tag = "sv"\nextends = "en"\n[item]\nplya = "Spela"\n', ":4: [item.plya] unknown key"),
        ('tag = "sv"\nextends = "en"\n[item]\nleft = "Kvar"\n', "[item.left] {count} is to be filled in"),
        ('tag = "sv"\nextends = "xx"\n', "extends: one of de, en, nl, pl, zh"),
        ('tag = "Swedish!"\nextends = "en"\n', "[tag]"),
        ('tag = "sv"\nextends = "en"\nitem = "Spela"\n', "[item]"),
    ],
)
def test_bad_words_are_told_by_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    own = tmp_path / "sv.toml"
    own.write_text(text)
    with pytest.raises(InvalidInput) as error:
        words.read(str(own))
    assert str(own) in str(error.value) and told in str(error.value)


def test_unknown_language_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"language: fr is none of de, en, nl, pl, zh, nor a \.toml file"):
        words.read("fr")


def test_labels_and_questions_are_the_files_before_the_languages() -> None:
    german = words.read("de")
    assert words.label(german, "angry", {"angry": "wütend"}) == "wütend"
    assert words.label(german, "Angry", {}) == "Ärger"
    assert words.label(german, "contempt", {}) == "contempt"
    assert words.question(german, "choice", "emotion") == "Welches Gefühl hören Sie?"
    assert words.question(german, "choice", "voice") == "Was davon hören Sie?"
    assert words.question(german, "text", "emotion") == "Was wird gesagt?"
    assert words.fill("{label}, {other}", label="a") == "a, {other}"


def _texts(tree: dict[str, object], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _texts(value, f"{above}{key}.")
        elif isinstance(value, str):
            found[f"{above}{key}"] = value
    return found
