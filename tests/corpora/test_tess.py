from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

FILES = (
    "OAF_Fear/OAF_back_fear.wav",
    "OAF_Pleasant_surprise/OAF_bar_ps.wav",
    "OAF_neutral/OA_bite_neutral.wav",
    "YAF_angry/YAF_germ_angry.wav",
    "YAF_disgust/YAF_youth_disgust.wav",
    "YAF_happy/YAF_calm_happy.wav",
    "YAF_sad/YAF_calm_sad.wav",
)


def unpack(top: Path, *files: str) -> Path:
    for file in files:
        (top / file).parent.mkdir(parents=True, exist_ok=True)
        (top / file).write_bytes(b"")
    return top


def test_the_published_layout(tmp_path: Path) -> None:
    table = corpora.prepare("tess", unpack(tmp_path, *FILES)).table
    assert table.select("utterance", "speaker", "age", "emotion", "text").rows() == [
        ("OAF_back_fear", "OAF", 64, "fearful", "Say the word back."),
        ("OAF_bar_ps", "OAF", 64, "surprised", "Say the word bar."),
        ("OAF_bite_neutral", "OAF", 64, "neutral", "Say the word bite."),
        ("YAF_calm_happy", "YAF", 26, "happy", "Say the word calm."),
        ("YAF_calm_sad", "YAF", 26, "sad", "Say the word calm."),
        ("YAF_germ_angry", "YAF", 26, "angry", "Say the word germ."),
        ("YAF_youth_disgust", "YAF", 26, "disgusted", "Say the word youth."),
    ]
    assert set(table["sex"]) == {"female"} and table["sentence"].n_unique() == 6


def test_all_in_one_folder_and_a_copy_inside_the_copy_that_is_passed_on_count_once(tmp_path: Path) -> None:
    flat = unpack(tmp_path / "flat", *(Path(file).name for file in FILES))
    one = corpora.prepare("tess", flat).table
    twice = unpack(tmp_path / "twice" / "TESS data", *FILES)
    unpack(twice / "TESS data", *FILES)
    assert corpora.prepare("tess", tmp_path / "twice").table.drop("audio").equals(one.drop("audio"))
    assert not any(
        Path(audio).parents[2].name == "TESS data" for audio in corpora.prepare("tess", twice).table["audio"]
    )


def test_files_that_are_none_of_it_are_named(tmp_path: Path) -> None:
    unpack(tmp_path, *FILES, "03a01Fa.wav")
    with pytest.raises(InvalidInput, match="as in OAF_back_angry") as caught:
        corpora.prepare("tess", tmp_path)
    assert [problem.file for problem in caught.value.problems] == [str(tmp_path / "03a01Fa.wav")]
