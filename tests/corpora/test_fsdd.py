import json
from pathlib import Path

import pytest

from sibboleth import corpora, corpus
from sibboleth.corpora import fsdd
from sibboleth.errors import InvalidInput
from sibboleth.recipes.corpus import prepare

METADATA = '''"""A python dictionary to store meta-data about the speakers."""

metadata = {
    'nicolas': {
    \t'gender': 'male',
    \t'accent': 'BEL/French',
    \t'language': 'english'
    },
    'anna': {'gender': 'female', 'accent': 'USA/neutral', 'language': 'english'}
}
'''


def fill(root: Path, *names: str) -> Path:
    (root / "recordings").mkdir(parents=True)
    for name in names:
        (root / "recordings" / name).write_bytes(b"")
    return root


def test_the_published_layout(tmp_path: Path) -> None:
    root = fill(tmp_path, "0_nicolas_4.wav", "7_anna_32.wav", "9_george_10.wav", "3_zoe_0.wav")
    (root / "metadata.py").write_text(METADATA)
    table = corpora.prepare("fsdd", root).table
    columns = ("utterance", "speaker", "text", "digit", "take", "part", "sex", "country", "accent")
    assert table.select(columns).rows() == [
        ("0_nicolas_4", "nicolas", "zero", "0", 4, "test", "male", "BEL", "L1 French"),
        ("3_zoe_0", "zoe", "three", "3", 0, "test", None, None, None),  # of whom nothing is said
        ("7_anna_32", "anna", "seven", "7", 32, "train", "female", "USA", "United States"),
        ("9_george_10", "george", "nine", "9", 10, "train", "male", "GRC", "L1 Greek"),  # as published
    ]
    assert set(table["language"]) == {"en"}
    assert corpus.read(prepare("fsdd", root)).table["digit"].to_list() == ["0", "3", "7", "9"]


def test_a_copy_in_another_folder_and_format_and_without_metadata(tmp_path: Path) -> None:
    root = fill(tmp_path / "fsdd-1.0.10" / "x", "1_theo_0.FLAC", "1_theo_0.mp3", "2_lucas_7.flac").parent
    (root / "x" / "spectrograms").mkdir()
    table = corpora.prepare("fsdd", root).table
    assert [Path(file).name for file in table["audio"]] == ["1_theo_0.FLAC", "2_lucas_7.flac"]
    assert table["accent"].to_list() == ["United States", "L1 German"]
    (root / "speakers.json").write_text(json.dumps({"theo": {"gender": "male", "accent": " GRC/Greek "}}), "utf-8-sig")
    assert corpora.prepare("fsdd", root).table["accent"].to_list() == ["L1 Greek", "L1 German"]


def test_what_is_not_fsdd_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no recordings in it or below. FSDD's folder has"):
        corpora.prepare("fsdd", tmp_path)
    root = fill(tmp_path / "a", "0_theo_0.wav", "holiday.wav")
    with pytest.raises(InvalidInput, match="take it out of the folder") as caught:
        corpora.prepare("fsdd", root)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["holiday.wav"]
    (root / "recordings/holiday.wav").unlink()
    for broken in ("metadata = {'theo': {", "metadata = print(1)", "metadata = ['theo']"):
        (root / "metadata.py").write_text(broken)
        with pytest.raises(InvalidInput, match=r"metadata\.py: not as published: a dictionary of speakers"):
            corpora.prepare("fsdd", root)


def test_real_files(real_speech: Path) -> None:
    table = corpora.prepare("fsdd", real_speech / "fsdd").table
    published = fsdd.CARD.counts
    assert len(table) == 600 and table["speaker"].n_unique() == published["speakers"]
    assert dict(table["digit"].value_counts().iter_rows()) == {f"{digit}": 60 for digit in range(10)}
    assert all(published[f"digit.{digit}"] == 5 * 60 for digit in range(10))  # a fifth of it is there
    assert dict(table.select("speaker", "accent").unique().iter_rows()) == {
        "george": "L1 Greek",
        "jackson": "United States",
        "lucas": "L1 German",
        "nicolas": "L1 French",
        "theo": "United States",
        "yweweler": "L1 German",
    }
