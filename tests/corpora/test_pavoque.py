import json
from pathlib import Path

import pytest

from sibboleth import corpora, segments
from sibboleth.errors import InvalidInput

SAD = """- prompt: obadiah0008
  text: 'Was ist das: ein Problem?'
  style: sad
  start: 0.0
  end: 4.1
  segments:
  - {lab: H#, end: 0.470484}
  - {lab: v, end: 0.535}
  - {lab: '6', end: 0.625}
  - {lab: _, end: 4.095}
- prompt: m0002
  text: Ägyptologie, Pharao,
    Fluch des Pharao.
  style: sad
  start: 4.1
  end: 9,5
"""
POKER = "- {prompt: m0002, text: No, style: poker, start: 0.5, end: 1.5}\n"


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "pavoque-sad.flac", "pavoque-poker.flac", "pavoque-outtakes.flac")
    (tmp_path / "pavoque-sad.yaml").write_text(SAD, encoding="utf-8")
    (tmp_path / "pavoque-poker.yaml").write_text(POKER, encoding="utf-8")
    (tmp_path / "pavoque-outtakes.yaml").write_text(SAD.replace("m0002", "m0003a"), encoding="utf-8")
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("pavoque", root).table
    assert table.select("utterance", "start", "end", "emotion", "style", "sentence", "text").rows() == [
        ("m0002-poker", 0.5, 1.5, None, "poker", "m0002", "No"),
        ("m0002-sad", 4.1, 9.5, "sad", "sad", "m0002", "Ägyptologie, Pharao, Fluch des Pharao."),
        ("obadiah0008-sad", 0.0, 4.1, "sad", "sad", "obadiah0008", "Was ist das: ein Problem?"),
    ]
    assert [Path(audio).name for audio in table["audio"]] == ["pavoque-poker.flac", *["pavoque-sad.flac"] * 2]
    assert set(table["speaker"]) == {"roettig"} and set(table["sex"]) == {"male"} and set(table["language"]) == {"de"}


def test_phones_are_segments_that_a_study_can_ask_for(root: Path) -> None:
    table = corpora.prepare("pavoque", root).table
    assert table["phones"].null_count() == 2
    found = segments.of_manifest(table, root, column="phones")
    assert found.of("obadiah0008-sad") == [(0.470484, 0.535, "v"), (0.535, 0.625, "6")]
    assert json.loads(table["phones"][2])[0] == {"start": 0.470484, "end": 0.535, "label": "v"}


def test_utterances_that_were_cut_out_need_no_times(root: Path) -> None:
    put(root, "build/wav/obadiah0008-sad.wav", "build/wav/spike0074-angry.WAV", "build/wav/a0014a-neutral.wav")
    table = corpora.prepare("pavoque", root).table
    assert table.select("utterance", "start", "end").rows()[2:] == [
        ("obadiah0008-sad", None, None),
        ("spike0074-angry", None, None),
    ]
    assert table["audio"][2].endswith("build/wav/obadiah0008-sad.wav") and table["text"][2].startswith("Was ist")
    assert table["text"][3] is None and table["emotion"][3] == "angry"


def test_the_first_release_has_folders_of_characters(tmp_path: Path) -> None:
    put(tmp_path, "Recordings/Spike/m0001.flac", "Recordings/Poppy/m0001.flac", "Recordings/Neutral/a0001.flac")
    table = corpora.prepare("pavoque", tmp_path).table
    assert table["utterance"].to_list() == ["a0001-neutral", "m0001-angry", "m0001-happy"]


def test_a_wrapped_copy_without_audio_says_where_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "pavoque-data-master").mkdir()
    (tmp_path / "pavoque-data-master/Pavoque-Poker.yml").write_bytes(b"\xef\xbb\xbf" + POKER.encode())
    table = corpora.prepare("pavoque", tmp_path).table
    assert table["audio"].to_list() == [str(tmp_path / "pavoque-data-master/Pavoque-Poker.flac")]


def test_what_is_not_pavoque_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"PAVOQUE's folder has pavoque-angry\.flac"):
        corpora.prepare("pavoque", tmp_path / "empty")
    put(root, "holiday.wav", "pavoque-happy.flac")
    (root / "pavoque-sad.yaml").write_text(SAD.replace("9,5", "soon").replace("style: sad", "style: rage", 1))
    with pytest.raises(InvalidInput, match=r"pavoque-happy\.yaml is missing") as caught:
        corpora.prepare("pavoque", root)
    said = [problem.message for problem in caught.value.problems]
    assert "take it out" in said[0] and len(said) == 4
    assert said[1].startswith("utterance 1: expected a prompt and a style") and "'rage'" in said[1]
    assert said[2] == "utterance 2: m0002 needs a start and a later end in seconds; there are 4.1 and soon"
    (root / "pavoque-sad.yaml").write_text("- prompt: [")
    with pytest.raises(InvalidInput, match=r"pavoque-sad\.yaml: cannot be read as YAML"):
        corpora.prepare("pavoque", root)
    (root / "pavoque-sad.yaml").write_text("prompt: m0001")
    with pytest.raises(InvalidInput, match="not a list of utterances"):
        corpora.prepare("pavoque", root)
