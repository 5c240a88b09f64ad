"""Files that come with sibboleth."""

import tomllib
from pathlib import Path

import pytest

from sibboleth import amounts, pretraining, settings, study
from sibboleth.errors import InvalidInput
from sibboleth.listeners.settings import ListeningTest
from sibboleth.recipes import preset

MODELS = {
    "pretrain": pretraining.Pretraining,
    "curves": amounts.Amounts,
    "run": study.Study,
    "listen design": ListeningTest,
}


def test_every_preset_is_listed_with_the_verb_that_takes_it(tmp_path: Path) -> None:
    there = preset.names().all
    assert {"humans-vs-ssl", "pretraining-data", "tiny-en", "tiny-nl"} <= set(there)
    for name, (verb, what) in there.items():
        file = preset.write(name, output=tmp_path / f"{name}.toml")
        assert settings.read(file, MODELS[verb])
        assert what
        assert tomllib.loads(preset.show(name).plain) == tomllib.loads(file.read_text())


def test_a_file_of_ones_own_is_not_overwritten(tmp_path: Path) -> None:
    file = preset.write("tiny-en", output=tmp_path / "mine.toml")
    assert preset.write("tiny-en", output=file) == file
    file.write_text(file.read_text() + "# changed\n")
    with pytest.raises(InvalidInput, match="says something else"):
        preset.write("tiny-en", output=file)
    assert file.read_text().endswith("# changed\n")


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="pretraining-data"):
        preset.show("large-en")
