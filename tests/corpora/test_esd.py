from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

LISTS = {
    "0001": "0001_000001\t打远一看，它们的确很是美丽，\t中立\r\n0001_000351\t打远一看，它们的确很是美丽，\t生气\r\n",
    "0016": "0016_000001\tThe café, I keep.\tNeutral\n0016_001402  She was sad  Surprise\n\nover\n",
    "0020": "﻿0020_001051;Clear than clear water!;Sad\n0020_001052\t\tSad\n",
}
ENCODINGS = {"0001": "gb2312", "0016": "latin-1", "0020": "utf-8"}
FILES = (
    "0001/Neutral/0001_000001.wav",
    "0001/Angry/0001_000351.wav",
    "0016/Neutral/0016_000001.wav",
    "0016/Surprise/0016_001402.wav",
    "0020/Sad/0020_001051.wav",
    "0020/Sad/0020_001052.wav",
    "0020/Happy/0020_000703.wav",
)


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, *FILES)
    for speaker, text in LISTS.items():
        (tmp_path / speaker / f"{speaker}.txt").write_bytes(text.encode(ENCODINGS[speaker]))
    (tmp_path / "ReadMe.txt").write_text("0001: Chinese Female\n", encoding="utf-8")
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("esd", root).table
    assert table.select("utterance", "language", "emotion", "sex", "sentence", "text").rows() == [
        ("0001_000001", "zh", "neutral", "female", "zh001", "打远一看，它们的确很是美丽，"),
        ("0001_000351", "zh", "angry", "female", "zh001", "打远一看，它们的确很是美丽，"),
        ("0016_000001", "en", "neutral", "female", "en001", "The café, I keep."),
        ("0016_001402", "en", "surprised", "female", "en002", "She was sad"),
        ("0020_000703", "en", "happy", "male", "en003", None),
        ("0020_001051", "en", "sad", "male", "en001", "Clear than clear water!"),
        ("0020_001052", "en", "sad", "male", "en002", None),
    ]
    assert table["speaker"].to_list() == ["0001", "0001", "0016", "0016", "0020", "0020", "0020"]
    assert table["audio"][0] == str(root / FILES[0]) and table["part"].null_count() == len(table)


def test_the_release_with_parts_wrapped_in_other_case_and_format(tmp_path: Path) -> None:
    inside = "Emotion Speech Dataset/0003"
    put(tmp_path, f"{inside}/angry/train/0003_000400.FLAC", f"{inside}/angry/evaluation/0003_000351.flac")
    put(tmp_path, f"{inside}/SAD/Test/0003_001400.wav", f"{inside}/SAD/._0003_001400.wav")
    (tmp_path / inside / "0003.txt").write_bytes("0003_000400\t你好。\t生气\n".encode("utf-16"))
    table = corpora.prepare("esd", tmp_path).table
    assert table.select("utterance", "emotion", "part", "text").rows() == [
        ("0003_000351", "angry", "dev", None),
        ("0003_000400", "angry", "train", "你好。"),
        ("0003_001400", "sad", "test", None),
    ]


def test_without_folders_of_emotions_the_number_tells(tmp_path: Path) -> None:
    table = corpora.prepare("esd", put(tmp_path, "0011_000001.wav", "0011_001750.wav")).table
    assert table.select("emotion", "sentence").rows() == [("neutral", "en001"), ("surprised", "en350")]


def test_what_is_not_esd_is_refused_by_file(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such folder"):
        corpora.prepare("esd", root / "nowhere")
    put(root, "0001/Happy/0001_000352.wav", "0021/Sad/0021_001051.wav", "0001/Sad/0001_001751.wav", "holiday.wav")
    with pytest.raises(InvalidInput, match="lies in Happy, but by its number it is Angry") as caught:
        corpora.prepare("esd", root)
    assert len(caught.value.problems) == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"no recordings.*ESD's folder has 0001/Angry/0001_000351\.wav"):
        corpora.prepare("esd", tmp_path / "empty")
