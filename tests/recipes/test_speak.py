from pathlib import Path

import pytest

from sibboleth import corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.speak import speak

pytest.importorskip("espeakng_loader")


def test_the_manifest_can_be_read_and_says_who_said_what(tmp_path: Path) -> None:
    spoken = speak(tmp_path, languages=("nl",), hours=0.002, seed=1)
    assert spoken.manifest == tmp_path / "manifest.csv"
    table = corpus.read(spoken.manifest).table
    assert table["language"].unique().to_list() == ["nl"]
    assert all(Path(file).exists() for file in table["audio"])
    assert table["text"].null_count() == 0
    [(language, hours, speakers, utterances)] = spoken.table.iter_rows()
    assert (language, speakers, utterances) == ("nl", table["speaker"].n_unique(), len(table))
    assert 0.002 <= hours < 0.008
    assert f"{utterances} utterances" in str(spoken)
    before = spoken.manifest.read_bytes()
    assert speak(tmp_path, languages=("nl",), hours=0.002, seed=1).manifest.read_bytes() == before
    spoken.manifest.write_text("audio,speaker\n")
    with pytest.raises(InvalidInput, match="says something else"):
        speak(tmp_path, languages=("nl",), hours=0.002, seed=1)
    assert spoken.manifest.read_text() == "audio,speaker\n"
    assert not list(tmp_path.glob(".manifest*"))


def test_arguments_that_make_no_sense_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as told:
        speak(tmp_path / "new", languages=("xx",), hours=-1)
    assert "languages" in str(told.value)
    assert "hours" in str(told.value)
    assert not (tmp_path / "new").exists()
