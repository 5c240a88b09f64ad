from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

NAMES = ("DC/a01", "DC/sa15", "JE/d02", "JK/f03", "KL/h04", "KL/n30", "KL/su05")


def unpack(top: Path, *names: str, suffix: str = ".wav") -> Path:
    for name in names:
        (top / f"{name}{suffix}").parent.mkdir(parents=True, exist_ok=True)
        (top / f"{name}{suffix}").write_bytes(b"")
    return top


def test_the_published_layout(tmp_path: Path) -> None:
    unpack(tmp_path / "AudioData", *NAMES)
    (tmp_path / "AudioData/Info.txt").write_text("Speakers")
    table = corpora.prepare("savee", tmp_path / "AudioData").table
    assert table.select("utterance", "speaker", "emotion", "sentence").rows() == [
        ("DC_a01", "DC", "angry", "a01"),
        ("DC_sa15", "DC", "sad", "sa15"),
        ("JE_d02", "JE", "disgusted", "d02"),
        ("JK_f03", "JK", "fearful", "f03"),
        ("KL_h04", "KL", "happy", "h04"),
        ("KL_n30", "KL", "neutral", "n30"),
        ("KL_su05", "KL", "surprised", "su05"),
    ]
    assert set(table["sex"]) == {"male"} and set(table["language"]) == {"en"} and table["text"].null_count() == 7
    assert table["audio"][0] == str(tmp_path / "AudioData/DC/a01.wav")


def test_one_folder_of_all_speakers_wrapped_in_others_and_re_encoded_says_the_same(tmp_path: Path) -> None:
    one = corpora.prepare("savee", unpack(tmp_path / "a", *NAMES)).table.drop("audio")
    flat = unpack(tmp_path / "b" / "savee" / "ALL", *(name.replace("/", "_") for name in NAMES), suffix=".FLAC")
    assert corpora.prepare("savee", flat.parents[1]).table.drop("audio").equals(one)
    lower = unpack(tmp_path / "c", *(name.lower().replace("/", "/Speech/") for name in NAMES))
    assert corpora.prepare("savee", lower).table.drop("audio").equals(one)


def test_files_that_are_none_of_it_are_named(tmp_path: Path) -> None:
    unpack(tmp_path, "DC/a01", "DC/x01", "MK/a01")
    with pytest.raises(InvalidInput, match="not a name of this corpus.*take it out") as caught:
        corpora.prepare("savee", tmp_path)
    assert [Path(problem.file).parent.name for problem in caught.value.problems] == ["DC", "MK"]
    for wrong in (tmp_path / "nowhere", unpack(tmp_path / "empty", "notes", suffix=".txt")):
        with pytest.raises(InvalidInput, match="SAVEE's folder has DC/a01"):
            corpora.prepare("savee", wrong)


def test_an_archive_that_is_still_packed_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "AudioData.zip").write_bytes(b"PK")
    with pytest.raises(InvalidInput, match=r"no recordings .*; unpack AudioData\.zip"):
        corpora.prepare("savee", tmp_path)
