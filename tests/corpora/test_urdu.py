from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

FILES = ("Angry/SM1_F10_A010.wav", "Happy/SF10_F1_H01.wav", "Neutral/SM5_F72_N0100.wav", "Sad/SM6_F4_S0100.wav")


def unpack(top: Path, *files: str) -> Path:
    for file in files:
        (top / file).parent.mkdir(parents=True, exist_ok=True)
        (top / file).write_bytes(b"")
    return top


@pytest.mark.parametrize("below", [".", "URDU-Dataset-master"])
def test_the_published_layout(tmp_path: Path, below: str) -> None:
    table = corpora.prepare("urdu", unpack(tmp_path, *(f"{below}/{file}" for file in FILES))).table
    assert table.select("utterance", "speaker", "sex", "emotion", "take", "language").rows() == [
        ("SF10_F1_H01", "SF10", "female", "happy", "1", "ur"),
        ("SM1_F10_A010", "SM1", "male", "angry", "10", "ur"),
        ("SM5_F72_N0100", "SM5", "male", "neutral", "72", "ur"),
        ("SM6_F4_S0100", "SM6", "male", "sad", "4", "ur"),
    ]


def test_folders_of_speakers_other_case_and_re_encoded_files_are_no_hindrance(tmp_path: Path) -> None:
    unpack(tmp_path, "angry/SM1/sm1_f10_a010.flac", "angry/SM1/sm1_f10_a010.mp3", "__MACOSX/Angry/SM1_F10_A010.wav")
    table = corpora.prepare("urdu", tmp_path).table
    assert table["utterance"].to_list() == ["SM1_F10_A010"]
    assert table["audio"][0] == str(tmp_path / "angry/SM1/sm1_f10_a010.flac")


def test_files_that_are_none_of_it_are_named(tmp_path: Path) -> None:
    unpack(tmp_path, *FILES, "Sad/SM6_F4_X01.wav")
    with pytest.raises(InvalidInput, match="as in SM1_F1_A01"):
        corpora.prepare("urdu", tmp_path)
    with pytest.raises(InvalidInput, match="URDU's folder has Angry/"):
        corpora.prepare("urdu", tmp_path / "nowhere")
