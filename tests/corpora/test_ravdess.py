from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

FILES = (
    "Actor_01/03-01-01-01-01-01-01.wav",
    "Actor_01/03-01-06-02-02-02-01.wav",
    "Actor_24/03-01-02-01-02-01-24.wav",
    "Actor_24/03-01-07-01-01-01-24.wav",
    "Actor_24/03-01-08-01-01-01-24.wav",
)


def unpack(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"")


@pytest.mark.parametrize("below", [".", "Audio_Speech_Actors_01-24", "audio_speech_actors_01-24"])
def test_the_published_layout(tmp_path: Path, below: str) -> None:
    unpack(tmp_path / below, *FILES)
    table = corpora.prepare("ravdess", tmp_path).table
    assert table["utterance"].to_list() == sorted(Path(name).stem for name in FILES)
    by_id = {row["utterance"]: row for row in table.iter_rows(named=True)}
    fearful = by_id["03-01-06-02-02-02-01"]
    assert (fearful["emotion"], fearful["intensity"], fearful["take"], fearful["sex"]) == (
        "fearful",
        "strong",
        "02",
        "male",
    )
    assert fearful["text"] == "Dogs are sitting by the door." and fearful["language"] == "en"
    assert by_id["03-01-02-01-02-01-24"]["emotion"] == "calm" and by_id["03-01-02-01-02-01-24"]["sex"] == "female"
    assert set(table["emotion"]) == {"neutral", "fearful", "calm", "disgusted", "surprised"}
    assert all(Path(audio).is_file() for audio in table["audio"])


@pytest.mark.parametrize("folder", ["speech/actor {}", "ravdess/Audio", "."])
def test_renamed_folders_or_none_and_re_encoded_files_say_the_same(tmp_path: Path, folder: str) -> None:
    unpack(tmp_path / "one", *FILES)
    one = corpora.prepare("ravdess", tmp_path / "one").table
    for file in map(Path, FILES):
        unpack(tmp_path / "two", f"{folder.format(file.stem[-2:])}/{file.stem}.flac")
    assert corpora.prepare("ravdess", tmp_path / "two").table.drop("audio").equals(one.drop("audio"))


def test_actors_that_are_there_twice_count_once_and_song_is_left_out(tmp_path: Path) -> None:
    unpack(tmp_path, *FILES, "Actor_01/03-02-01-01-01-01-01.wav")
    unpack(tmp_path / "audio_speech_actors_01-24", *FILES)
    assert len(corpora.prepare("ravdess", tmp_path).table) == len(FILES)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Actor_01/01-01-01-01-01-01-01.wav", "audio-only"),
        ("Actor_01/03-01-09-01-01-01-01.wav", "not a name"),
        ("Actor_01/song.wav", "not a name"),
        ("Actor_02/03-01-01-01-01-01-03.wav", "Actor_03"),
    ],
)
def test_files_that_do_not_belong_are_named(tmp_path: Path, name: str, word: str) -> None:
    unpack(tmp_path, *FILES, name)
    with pytest.raises(InvalidInput, match=word) as caught:
        corpora.prepare("ravdess", tmp_path)
    assert [problem.file for problem in caught.value.problems] == [str(tmp_path / name)]


def test_other_folders_are_refused_with_the_layout_that_is_expected(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidInput, match="RAVDESS's folder has Actor_01/"):
            corpora.prepare("ravdess", wrong)


def test_unknown_corpora_are_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'nobody'; there are .*emodb, .*nemo, .*ravdess, .*synthetic"):
        corpora.prepare("nobody", tmp_path)


def test_real_files(real_speech: Path) -> None:
    table = corpora.prepare("ravdess", real_speech / "ravdess").table
    assert len(table) == 80 and table["speaker"].n_unique() == 10
    assert set(table["emotion"].value_counts()["count"]) == {20}
    assert set(table.filter(table["speaker"] == "01")["sex"]) == {"male"}
