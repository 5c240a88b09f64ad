from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.errors import InvalidInput

HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "samples").mkdir()
    rows = [HEADER]
    for emotion in EMOTIONS:
        (tmp_path / f"samples/KD0_{emotion}_12.flac").write_bytes(b"")
        rows.append(f'KD0_{emotion}_12.wav\t{emotion}\t"Nie, mówi.\tnie mówi\t KD0\tfemale\t28')
    (tmp_path / "data.tsv").write_text("\r\n".join(rows) + "\r\n", encoding="utf-8")
    return tmp_path


def test_the_published_layout(root: Path) -> None:
    table = corpora.prepare("nemo", root).table
    assert table["emotion"].to_list() == ["angry", "fearful", "happy", "neutral", "sad", "surprised"]
    assert set(table["speaker"]) == {"KD0"} and set(table["language"]) == {"pl"}
    assert set(table["sex"]) == {"female"} and set(table["age"]) == {28} and set(table["sentence"]) == {"12"}
    assert set(table["text"]) == {'"Nie, mówi.'} and set(table["normalized_text"]) == {"nie mówi"}
    assert table["audio"][0] == str(root / "samples/KD0_anger_12.flac")


def test_a_copy_in_other_folders_other_case_and_with_a_byte_order_mark_says_the_same(
    root: Path, tmp_path: Path
) -> None:
    one = corpora.prepare("nemo", root).table
    copy = tmp_path / "copy" / "nEMO-main"
    (copy / "Audio").mkdir(parents=True)
    for emotion in EMOTIONS:
        (copy / f"Audio/KD0_{emotion.capitalize()}_12.WAV").write_bytes(b"")
    listed = (root / "data.tsv").read_text(encoding="utf-8").replace("\tfemale\t28", "\t Female\t28.0")
    (copy / "Data.tsv").write_text(listed.replace("gender", "Gender"), encoding="utf-8-sig")
    again = corpora.prepare("nemo", tmp_path / "copy").table
    assert again.drop("audio").equals(one.drop("audio"))


def test_other_folders_are_refused_with_the_layout_that_is_expected(root: Path) -> None:
    with pytest.raises(InvalidInput, match="nEMO's folder has data.tsv and samples/"):
        corpora.prepare("nemo", root / "samples")
    (root / "data.tsv").write_text("file\temotion\n")
    with pytest.raises(InvalidInput, match="file_id"):
        corpora.prepare("nemo", root)


def test_every_row_that_is_not_as_published_is_named(root: Path) -> None:
    rows = ("KD0_anger_99.wav\tanger\ta\ta\tKD0\tfemale\t28", "KD0_fear_12.wav\trage\ta\ta\tKD0\tfemale\told")
    with (root / "data.tsv").open("a", encoding="utf-8") as file:
        file.write("\n".join(rows))
    with pytest.raises(InvalidInput) as caught:
        corpora.prepare("nemo", root)
    assert [(p.row, p.field) for p in caught.value.problems] == [(8, "file_id"), (9, "emotion"), (9, "age")]


def test_real_files(real_speech: Path) -> None:
    table = corpora.prepare("nemo", real_speech / "nemo").table
    assert len(table) == 252 and table["speaker"].n_unique() == 9
    assert table["speaker"].str.len_chars().unique().to_list() == [3]
    assert set(table["emotion"].value_counts()["count"]) == {63}
    assert table["text"].n_unique() == table["sentence"].n_unique() == 7
