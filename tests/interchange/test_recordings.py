from pathlib import Path

import pytest

from sibboleth import corpus
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus_import import corpus_import

LISTS = {
    "dev-clean/84/121123/84-121123": "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT IN LESS\n",
    "dev-clean/84/121550/84-121550": "84-121550-0000\tBUT WITH FULL RAVISHMENT\r\n",
    "dev-clean/174/50561/174-50561": "174-50561-0000 FORGOTTEN TOO\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "LibriSpeech"
    for name, lines in LISTS.items():
        (root / name).parent.mkdir(parents=True)
        (root / f"{name}.trans.txt").write_text(lines, newline="")
        for line in lines.splitlines():
            (root / name).with_name(f"{line.split()[0]}.flac").write_bytes(b"")
    return root


@pytest.mark.parametrize("below", [".", "dev-clean"])
def test_librispeech_is_read_at_first_try(root: Path, below: str) -> None:
    read = corpus_import(str(root / below), output=root.parent / "manifest.csv")
    assert read.notes == ()
    table = corpus.read(read.manifest).table.sort("utterance")
    assert "label" not in table.columns
    assert table.select("utterance", "speaker", "session", "text").rows() == [
        ("174-50561-0000", "174", "174-50561", "FORGOTTEN TOO"),
        ("84-121123-0000", "84", "84-121123", "GO DO YOU HEAR"),
        ("84-121123-0001", "84", "84-121123", "BUT IN LESS"),
        ("84-121550-0000", "84", "84-121550", "BUT WITH FULL RAVISHMENT"),
    ]


def test_recordings_without_a_line_and_lines_without_a_text_are_told(root: Path) -> None:
    (root / "dev-clean/84/121123/84-121123.trans.txt").write_text("84-121123-0000 GO\n")
    read = corpus_import(str(root), output=root.parent / "manifest.csv")
    assert read.notes == ("1 of 4 recordings have no line in a .trans.txt",)
    (root / "dev-clean/84/121123/84-121123.trans.txt").write_text("84-121123-0000 GO\n84-121123-0001\n")
    with pytest.raises(
        InvalidInput, match=r"84-121123\.trans\.txt:2: expected the name of a recording, a blank and its"
    ):
        corpus_import(str(root), output=root.parent / "other.csv")


def test_transcripts_in_other_folders_give_texts_and_ask_for_speakers(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all/anna-1.wav").write_bytes(b"")
    (tmp_path / "all/mine.trans.txt").write_text("anna-1 Hello.\n")
    with pytest.raises(InvalidInput, match=r"nothing of speakers.*--speaker"):
        corpus_import(str(tmp_path), output=tmp_path / "manifest.csv")
    read = corpus_import(str(tmp_path), output=tmp_path / "manifest.csv", speaker="^([a-z]+)")
    assert read.corpus.table.select("speaker", "text").rows() == [("anna", "Hello.")]


def test_a_folder_of_recordings_that_are_not_read_says_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "angry").mkdir()
    (tmp_path / "angry/x.m4a").write_bytes(b"")
    with pytest.raises(
        InvalidInput, match=r"no recordings.*\nNot read as they are: 1 \.m4a, such as angry/x\.m4a\. To"
    ):
        corpus_import(str(tmp_path), output=tmp_path / "manifest.csv", format="datasets")
