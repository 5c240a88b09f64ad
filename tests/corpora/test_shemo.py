import json
from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

FILES = ("female/F01A01", "female/F03S02", "female/F24H15", "male/M02F01", "male/M05N121", "male/M12W07")
SAID = [
    {"id": "F01A01", "gender": "female", "emotion": "angry", "transcript": "دیگه نمی‌تونم", "ipa": "dige nemitunӕm"},
    {"id": "M02F01", "gender": "male", "emotion": "fearful", "transcript": "\ufeffاون مال جوونیامه ", "ipa": ""},
]


def unpack(top: Path) -> Path:
    for name in FILES:
        (top / f"{name}.wav").parent.mkdir(parents=True, exist_ok=True)
        (top / f"{name}.wav").write_bytes(b"")
    return top


def test_the_published_layout(tmp_path: Path) -> None:
    (unpack(tmp_path) / "shemo.json").write_text(json.dumps(SAID))
    table = corpora.prepare("shemo", tmp_path).table
    assert table.select("utterance", "speaker", "sex", "emotion", "take").rows() == [
        ("F01A01", "F01", "female", "angry", "01"),
        ("F03S02", "F03", "female", "sad", "02"),
        ("F24H15", "F24", "female", "happy", "15"),
        ("M02F01", "M02", "male", "fearful", "01"),
        ("M05N121", "M05", "male", "neutral", "121"),
        ("M12W07", "M12", "male", "surprised", "07"),
    ]
    assert table["text"].to_list() == ["دیگه نمی‌تونم", None, None, "اون مال جوونیامه", None, None]
    assert table["ipa"].to_list()[:4] == ["dige nemitunӕm", None, None, None]
    assert set(table["language"]) == {"fa"}


def test_without_texts_renamed_and_re_encoded_it_is_still_prepared(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / f"{Path(name).name.lower()}.flac").write_bytes(b"")
    table = corpora.prepare("shemo", tmp_path).table
    assert table["utterance"].to_list() == [Path(name).name for name in FILES] and table["text"].null_count() == 6


def test_texts_by_the_name_of_the_recording_and_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    by_name = {f"{one['id']}.wav": {"transcript": one["transcript"]} for one in SAID}
    (unpack(tmp_path) / "Shemo.json").write_text(json.dumps(by_name), encoding="utf-8-sig")
    assert corpora.prepare("shemo", tmp_path).table["text"].null_count() == 4


@pytest.mark.parametrize("content", ["{", '["F01A01"]', '[{"name": "F01A01"}]', "3"])
def test_a_damaged_list_of_texts_is_refused(tmp_path: Path, content: str) -> None:
    (unpack(tmp_path) / "shemo.json").write_text(content)
    with pytest.raises(InvalidInput, match=r"shemo\.json: not the published list of id, transcript and ipa"):
        corpora.prepare("shemo", tmp_path)


def test_files_that_are_none_of_it_are_named(tmp_path: Path) -> None:
    (unpack(tmp_path) / "male/M02X01.wav").write_bytes(b"")
    with pytest.raises(InvalidInput, match="as in F03S02") as caught:
        corpora.prepare("shemo", tmp_path)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["M02X01.wav"]
