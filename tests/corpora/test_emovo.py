from pathlib import Path

import pytest

from sibboleth import corpora
from sibboleth.corpora import emovo
from sibboleth.errors import InvalidInput


def unpack(top: Path) -> Path:
    """Make every recording that was published, 588, empty."""
    for speaker in emovo.SPEAKERS:
        (top / speaker).mkdir(parents=True)
        for emotion in emovo.EMOTIONS:
            for sentence in emovo.SENTENCES:
                (top / speaker / f"{emotion}-{speaker}-{sentence}.wav").write_bytes(b"")
    return top


def test_the_published_layout(tmp_path: Path) -> None:
    table = corpora.prepare("emovo", unpack(tmp_path)).table
    assert len(table) == 588 and set(table["emotion"].value_counts()["count"]) == {84}
    row = table.filter(utterance="rab-m2-l1").row(0, named=True)
    assert (row["speaker"], row["sex"], row["age"], row["emotion"], row["language"]) == (
        "m2",
        "male",
        27,
        "angry",
        "it",
    )
    assert row["text"].startswith("L'autunno prossimo Tony partirà") and row["sentence"] == "l1"
    assert set(table.filter(sex="female")["speaker"]) == {"f1", "f2", "f3"}


def test_a_folder_around_it_other_case_and_re_encoded_files_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "EMOVO" / "Documents").mkdir(parents=True)
    (tmp_path / "EMOVO" / "Documents" / "struttura.pdf").write_bytes(b"")
    for name in ("DIS-F1-B1.aif", "gio-f1-b1.flac", "._gio-f1-b1.flac"):
        (tmp_path / "EMOVO" / name).write_bytes(b"")
    assert corpora.prepare("emovo", tmp_path).table["utterance"].to_list() == ["dis-f1-b1", "gio-f1-b1"]


def test_files_that_are_none_of_it_are_named(tmp_path: Path) -> None:
    for name in ("dis-f1-b1.wav", "dis-f4-b1.wav", "dis-f1-b9.wav"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InvalidInput, match="EMOVO's folder has f1/dis-f1-b1") as caught:
        corpora.prepare("emovo", tmp_path)
    assert len(caught.value.problems) == 2
