import json
from pathlib import Path

import pytest

from sibboleth import corpora, corpus, segments
from sibboleth.errors import InvalidInput
from sibboleth.progress import console
from sibboleth.recipes.corpus import prepare

ZED = {
    "spk1_1": {"wav": "spk1_1.wav", "duration": 6.144, "emotion": [{"emo": "angry", "start": 3.763, "end": 6.144}]},
    "spk2_10": {"wav": "spk2_10.wav", "duration": 4.0, "emotion": [{"emo": "sad", "start": 0.0, "end": 4.0}]},
}


def unpack(top: Path, change: dict[str, object] | None = None) -> Path:
    top.mkdir(exist_ok=True)
    (top / "ZED.json").write_text(json.dumps({**ZED, **(change or {})}))
    return top


@pytest.mark.parametrize("below", [".", "wav"])
def test_the_published_layout(tmp_path: Path, below: str) -> None:
    unpack(tmp_path)
    (tmp_path / below).mkdir(exist_ok=True)
    for name in ZED:
        (tmp_path / below / f"{name}.wav").write_bytes(b"")
    table = corpora.prepare("zed", tmp_path).table
    assert table["audio"].to_list() == [str((tmp_path / below / f"{name}.wav").resolve()) for name in ZED]
    assert table.select("utterance", "speaker", "language", "emotion", "duration").rows() == [
        ("spk1_1", "spk1", "en", "angry", 6.144),
        ("spk2_10", "spk2", "en", "sad", 4.0),
    ]
    read = corpus.read(prepare("zed", tmp_path))
    found = segments.of_manifest(read.table, tmp_path)
    assert found.of("spk1_1") == [(3.763, 6.144, "angry")] and found.durations["spk2_10"] == 4.0


def test_a_folder_around_it_other_case_and_a_byte_order_mark_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "ZED_v1/Audio").mkdir(parents=True)
    (tmp_path / "ZED_v1/zed.json").write_text(json.dumps(ZED), encoding="utf-8-sig")
    (tmp_path / "ZED_v1/Audio/spk1_1.flac").write_bytes(b"")
    table = corpora.prepare("zed", tmp_path).table
    assert table["audio"].to_list() == [
        str(tmp_path / "ZED_v1" / name) for name in ("Audio/spk1_1.flac", "spk2_10.wav")
    ]


def test_missing_recordings_are_told_and_scoring_can_do_without(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with console.capture() as capture:
        manifest = prepare("zed", unpack(tmp_path))
    assert f"recordings missing: 2 of 2, such as {tmp_path.resolve() / 'spk1_1.wav'}." in capture.get()
    assert len(corpus.read(manifest, without_audio=True).table) == 2
    with pytest.raises(InvalidInput, match="no such file"):
        corpus.read(manifest)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"take1": {"duration": 1, "emotion": []}}, "'take1' is not a name of ZED"),
        ({"spk3_1": {"duration": 1, "emotion": [{"emo": "proud", "start": 0, "end": 1}]}}, "labels .*: proud"),
        ({"spk3_1": {"emotion": [{"emo": "sad", "start": 0, "end": 1}]}}, "'spk3_1' has no duration"),
        ({"spk3_1": {"duration": 1}}, "no list of segments"),
    ],
)
def test_what_is_not_zed_is_refused(tmp_path: Path, change: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        corpora.prepare("zed", unpack(tmp_path, change))
    with pytest.raises(InvalidInput, match=r"ZED's folder has ZED\.json"):
        corpora.prepare("zed", tmp_path / "nowhere")


def test_the_real_labels(real_speech: Path) -> None:
    table = corpora.prepare("zed", real_speech / "zed").table
    assert len(table) == 180 and table["speaker"].n_unique() == 73
    assert dict(table["emotion"].value_counts().iter_rows()) == {"sad": 66, "happy": 62, "angry": 52}
