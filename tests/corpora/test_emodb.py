from pathlib import Path

import numpy as np
import pytest
import soundfile

from sibboleth import audio, corpora
from sibboleth.errors import InvalidInput

NAMES = ("03a01Fa", "08a02Wb", "09b10Ld", "10a04Ea", "11b01Ab", "12a05Tc", "16b09Nb")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "wav").mkdir()
    for name in NAMES:
        (tmp_path / f"wav/{name}.wav").write_bytes(b"")
    (tmp_path / "wav/._03a01Fa.wav").write_bytes(b"")
    rows = [f"{n}\xa0\xa0\t{name}.wav\t{90 + n},50\xa0\xa0\t{n},00\xa0" for n, name in enumerate(NAMES[:-1], start=1)]
    text = "Nr.\tSatz\terkannt\tnatuerlich\n" + "\n".join(rows) + "\n"
    (tmp_path / "erkennung.txt").write_text(text, encoding="latin-1")
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("emodb", root).table
    assert table["utterance"].to_list() == list(NAMES)
    assert table["emotion"].to_list() == ["happy", "angry", "bored", "disgusted", "fearful", "sad", "neutral"]
    assert table["speaker"].to_list() == ["03", "08", "09", "10", "11", "12", "16"]
    assert table["sex"].to_list() == ["male", "female", "female", "male", "male", "male", "female"]
    assert set(table["language"]) == {"de"}
    first, last = table.row(0, named=True), table.row(-1, named=True)
    assert first["text"] == "Der Lappen liegt auf dem Eisschrank." and first["take"] == "a" and first["age"] == 31
    assert (first["recognition"], first["naturalness"]) == (0.915, 0.01)
    assert last["recognition"] is None and last["naturalness"] is None


def test_a_copy_that_was_renamed_re_encoded_and_saved_again_says_the_same(root: Path, tmp_path: Path) -> None:
    one = corpora.prepare("emodb", root).table
    copy = tmp_path / "copy" / "EmoDB" / "Audio"
    copy.mkdir(parents=True)
    for name in NAMES:
        (copy / f"{name.upper()}.FLAC").write_bytes(b"")
    listed = (root / "erkennung.txt").read_text(encoding="latin-1").replace("\t", ";").replace("\n", "%\r\n")
    (copy.parent / "Erkennung.txt").write_text(listed, encoding="utf-8-sig")
    again = corpora.prepare("emodb", tmp_path / "copy").table
    assert again.drop("audio").equals(one.drop("audio")) and again["audio"][0].endswith("Audio/03A01FA.FLAC")
    assert corpora.ratings("emodb", tmp_path / "copy").equals(corpora.ratings("emodb", root))


def test_what_is_another_format_than_its_name_says_is_read_all_the_same(root: Path) -> None:
    tone = 0.1 * np.sin(np.arange(16000) / 10)
    for number, name in enumerate(NAMES):
        soundfile.write(root / f"wav/{name}.wav", tone * (1 + number), 16000, format="AIFF" if number % 2 else "FLAC")
    assert set(audio.scan(corpora.prepare("emodb", root).table)["status"]) == {"ok"}


def test_other_folders_are_refused_with_the_layout_that_is_expected(root: Path) -> None:
    with pytest.raises(InvalidInput, match="EmoDB's folder has wav/"):
        corpora.prepare("emodb", root / "nowhere")
    (root / "wav/17a01Fa.wav").write_bytes(b"")
    (root / "wav/holiday.wav").write_bytes(b"")
    with pytest.raises(InvalidInput, match="take it out") as caught:
        corpora.prepare("emodb", root)
    assert len(caught.value.problems) == 2


def test_a_damaged_list_of_judgements_is_refused_by_line(root: Path) -> None:
    path = root / "erkennung.txt"
    path.write_text(path.read_text(encoding="latin-1").replace("92,50", "viele"), encoding="latin-1")
    with pytest.raises(InvalidInput) as caught:
        corpora.prepare("emodb", root)
    assert [problem.row for problem in caught.value.problems] == [3]


def test_a_copy_without_the_list_of_judgements_has_all_the_rest(root: Path) -> None:
    whole = corpora.prepare("emodb", root).table
    (root / "erkennung.txt").unlink()
    copy = corpora.prepare("emodb", root / "wav").table
    judged = ("recognition", "naturalness")
    assert copy.drop(judged).equals(whole.drop(judged)) and copy["recognition"].null_count() == len(copy)
    assert corpora.ratings("emodb", root) is None


def test_real_files(real_speech: Path) -> None:
    table = corpora.prepare("emodb", real_speech / "emodb").table
    assert len(table) == 339 and table["speaker"].n_unique() == 10 and table["text"].n_unique() == 10
    assert table["recognition"].null_count() == 0 and table["recognition"].min() >= 0.8
    assert table["naturalness"].is_between(0, 1).all()
    assert dict(table["emotion"].value_counts().iter_rows()) == {"angry": 127, "happy": 71, "neutral": 79, "sad": 62}


def test_sentences_are_those_published(real_speech: Path) -> None:
    lines = (real_speech / "emodb" / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    published = {code: text.lower() for code, text in (line.split("\t") for line in lines)}
    table = corpora.prepare("emodb", real_speech / "emodb").table
    assert {code: text.lower() for code, text in table.select("sentence", "text").unique().iter_rows()} == published
