"""EmoBox's folders as they are published: keys, label map, folds, and speakers in the list beside them."""

import json
from pathlib import Path

import pytest

from sibboleth import interchange
from sibboleth.errors import InvalidInput
from sibboleth.interchange import Asked

KNOWN = {"dataset": "mini", "type": "raw", "sample_rate": 8000, "num_frame": 8000.0, "task": "category", "channel": 1}


def line(name: str, emotion: str, **more: object) -> str:
    wav = f"downloads/mini/wav/{name}.wav"
    return json.dumps({"key": f"mini-{name}", "wav": wav, **KNOWN, "length": 1.0, "emo": emotion, **more}) + "\n"


@pytest.fixture
def emobox(sounds: Path) -> Path:
    """`data/mini` beside `downloads`, where the recordings lie; the first fold has one speaker in train and test."""
    root = sounds.parent
    (root / "downloads" / "mini").mkdir(parents=True)
    sounds.rename(root / "downloads" / "mini" / "wav")
    folder = root / "data" / "mini"
    lines = {"a0": line("a0", "anger"), "a1": line("a1", "hapy"), "b0": line("b0", "anger"), "b1": line("b1", "hapy")}
    folds = {1: (("a0", "b0", "b1"), ("a1",)), 2: (("a0", "a1"), ("b0", "b1"))}
    for fold, parts in folds.items():
        (folder / f"fold_{fold}").mkdir(parents=True)
        for part, names in zip(("train", "test"), parts, strict=True):
            text = "".join(lines[name] for name in names)
            (folder / f"fold_{fold}" / f"mini_{part}_fold_{fold}.jsonl").write_text(text, encoding="utf-8")
    (folder / "mini.jsonl").write_text("".join(lines.values()), encoding="utf-8")
    (folder / "label_map.json").write_text('{"anger": "Angry", "hapy": "Happy"}', encoding="utf-8")
    return folder


def speakers(folder: Path, **of: str) -> None:
    """Write the list that EmoBox has beside the lines: its third field may have blanks."""
    lines = [
        f"mini-{name} 1 {who} 0 1.0 <id=mini-{name},lang=en,spk={who},emotion=anger> anger" for name, who in of.items()
    ]
    (folder / "data.seg.wrd.stm").write_text("\n".join(lines), encoding="utf-8")


def test_labels_are_what_the_map_means_and_speakers_stand_beside(emobox: Path) -> None:
    speakers(emobox, a0="anna b", a1="anna b", b0="bert", b1="bert")
    assert interchange.recognised(str(emobox)) == "emobox"
    back, found = interchange.read(str(emobox), "emobox", Asked())
    assert back.table.select("utterance", "speaker", "emotion", "emo").sort("utterance").rows() == [
        ("mini-a0", "anna b", "Angry", "anger"),
        ("mini-a1", "anna b", "Happy", "hapy"),
        ("mini-b0", "bert", "Angry", "anger"),
        ("mini-b1", "bert", "Happy", "hapy"),
    ]
    assert set(back.table["language"]) == {None}  # the list says en of every corpus
    assert found.folds is not None and found.folds.group_by("fold", "part").len().sort("fold", "part").rows() == [
        ("fold-1", "test", 1),
        ("fold-1", "train", 3),
        ("fold-2", "test", 2),
        ("fold-2", "train", 2),
    ]


def test_without_the_list_speakers_come_from_names_or_not_at_all(emobox: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"says nothing of speakers.*--speaker '\^\(\.\.\)'"):
        interchange.read(str(emobox), "emobox", Asked())
    back, _ = interchange.read(str(emobox), "emobox", Asked(speaker="^(.)"))
    assert set(back.table["speaker"]) == {"a", "b"}
    speakers(emobox, a0="unknown", a1="anna", b0="bert", b1="bert")
    with pytest.raises(InvalidInput, match="1 of 4 utterances have no speaker, such as mini-a0"):
        interchange.read(str(emobox), "emobox", Asked())


def test_recordings_elsewhere_and_folders_of_several_corpora(emobox: Path) -> None:
    downloads = emobox.parents[1] / "downloads"
    downloads.rename(emobox.parents[2] / "speech")
    with pytest.raises(InvalidInput, match="4 recordings are not there; say where they lie"):
        interchange.read(str(emobox), "emobox", Asked(speaker="^(.)"))
    back, _ = interchange.read(
        str(emobox), "emobox", Asked(speaker="^(.)", audio=emobox.parents[2] / "speech" / "mini")
    )
    assert len(back.table) == 4
    other = emobox.with_name("other")
    other.mkdir()
    (other / "other.jsonl").write_text(line("a0", "anger").replace('"mini"', '"other"').replace("mini-", "other-"))
    with pytest.raises(InvalidInput, match="2 corpora .mini, other.; read one at a time, such as .*data/mini"):
        interchange.read(str(emobox.parent), "emobox", Asked())


def test_lines_that_cannot_be_used_are_named(emobox: Path) -> None:
    (emobox / "mini.jsonl").write_text('{"key": "x", "wav": "y"}\n' + line("a0", "anger", type="feature"))
    with pytest.raises(InvalidInput) as caught:
        interchange.read(str(emobox), "emobox", Asked())
    assert [problem.row for problem in caught.value.problems] == [1, 2]
    assert "has no emo" in str(caught.value) and "is of type 'feature'" in str(caught.value)
    (emobox / "mini.jsonl").unlink()
    (emobox / "label_map.json").write_text("[]")
    with pytest.raises(InvalidInput, match="must be an object of labels"):
        interchange.read(str(emobox), "emobox", Asked())
